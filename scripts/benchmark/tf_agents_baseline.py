"""SAC as in TF-Agents' own distributed example, for comparison.

A Reverb server, a learner (ReverbReplayBuffer.as_dataset, learner.Learner, variables
pushed after each gradient step) and a collector (actor.Actor with
ReverbAddTrajectoryObserver, variables pulled after each env step), one process each, at
one gradient step per env step. Prints one JSON line. The environment must be gym's or
PyBullet's: TF-Agents has no loader for gymnasium.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from typing import Any, Callable

BATCH_SIZE = 256
TABLE = "uniform_table"
VARIABLES = "variables"


def make_env(name: str) -> Any:
    """Makes the environment as the example does."""
    from tf_agents.environments import suite_pybullet

    return suite_pybullet.load(name)


def make_agent(env: Any) -> tuple[Any, Any]:
    """Builds SAC with the example's networks; returns it and its train step."""
    import tensorflow as tf
    from tf_agents.agents.ddpg import critic_network
    from tf_agents.agents.sac import sac_agent, tanh_normal_projection_network
    from tf_agents.networks import actor_distribution_network
    from tf_agents.train.utils import spec_utils, train_utils

    observation_spec, action_spec, time_step_spec = spec_utils.get_tensor_specs(env)
    train_step = train_utils.create_train_step()
    adam = tf.keras.optimizers.Adam
    agent = sac_agent.SacAgent(
        time_step_spec,
        action_spec,
        actor_network=actor_distribution_network.ActorDistributionNetwork(
            observation_spec,
            action_spec,
            fc_layer_params=(256, 256),
            continuous_projection_net=(
                tanh_normal_projection_network.TanhNormalProjectionNetwork
            ),
        ),
        critic_network=critic_network.CriticNetwork(
            (observation_spec, action_spec), joint_fc_layer_params=(256, 256)
        ),
        actor_optimizer=adam(3e-4),
        critic_optimizer=adam(3e-4),
        alpha_optimizer=adam(3e-4),
        target_update_tau=0.005,
        target_update_period=1,
        td_errors_loss_fn=tf.math.squared_difference,
        gamma=0.99,
        train_step_counter=train_step,
    )
    agent.initialize()
    return agent, train_step


def serve(port: int, name: str, warm_up_env_steps: int) -> None:
    """Serves the replay and the variables."""
    import reverb
    import tensorflow as tf
    from tf_agents.specs import tensor_spec

    agent, train_step = make_agent(make_env(name))
    variables = {"policy": agent.collect_policy.variables(), "train_step": train_step}
    signature = tf.nest.map_structure(
        lambda variable: tf.TensorSpec(variable.shape, variable.dtype), variables
    )
    replay_signature = tensor_spec.add_outer_dim(
        tensor_spec.from_spec(agent.collect_data_spec), 2
    )
    server = reverb.Server(
        tables=[
            reverb.Table(
                TABLE,
                sampler=reverb.selectors.Uniform(),
                remover=reverb.selectors.Fifo(),
                max_size=300_000,
                rate_limiter=reverb.rate_limiters.SampleToInsertRatio(
                    samples_per_insert=BATCH_SIZE,
                    min_size_to_sample=warm_up_env_steps,
                    error_buffer=100 * BATCH_SIZE,
                ),
                signature=replay_signature,
            ),
            reverb.Table(
                VARIABLES,
                sampler=reverb.selectors.Uniform(),
                remover=reverb.selectors.Fifo(),
                max_size=1,
                rate_limiter=reverb.rate_limiters.MinSize(1),
                signature=signature,
            ),
        ],
        port=port,
    )
    server.wait()


def make_container(port: int, agent: Any, train_step: Any) -> tuple[Any, Any]:
    """Returns TF-Agents' variable container and the variables for it."""
    from tf_agents.experimental.distributed import reverb_variable_container

    container = reverb_variable_container.ReverbVariableContainer(
        f"localhost:{port}", table_names=[VARIABLES]
    )
    return container, {
        "policy": agent.collect_policy.variables(),
        "train_step": train_step,
    }


def collect(port: int, name: str, warm_up_env_steps: int) -> None:
    """Collects until it is killed."""
    import reverb
    from tf_agents.policies import py_tf_eager_policy, random_py_policy
    from tf_agents.replay_buffers import reverb_utils
    from tf_agents.train import actor

    env = make_env(name)
    agent, train_step = make_agent(env)
    container, variables = make_container(port, agent, train_step)
    container.update(variables)
    observer = reverb_utils.ReverbAddTrajectoryObserver(
        reverb.Client(f"localhost:{port}"),
        table_name=TABLE,
        sequence_length=2,
        stride_length=1,
    )
    actor.Actor(
        env,
        random_py_policy.RandomPyPolicy(env.time_step_spec(), env.action_spec()),
        train_step,
        steps_per_run=warm_up_env_steps,
        observers=[observer],
    ).run()
    policy = py_tf_eager_policy.PyTFEagerPolicy(
        agent.collect_policy, use_tf_function=True
    )
    collector = actor.Actor(
        env, policy, train_step, steps_per_run=1, observers=[observer]
    )
    while True:
        collector.run()
        container.update(variables)


def learn(port: int, name: str, untimed: int, steps: int, connection: Any) -> None:
    """Learns, and reports the begin and the end of the timed steps."""
    from tf_agents.replay_buffers import reverb_replay_buffer
    from tf_agents.train import learner

    agent, train_step = make_agent(make_env(name))
    container, variables = make_container(port, agent, train_step)
    replay = reverb_replay_buffer.ReverbReplayBuffer(
        agent.collect_data_spec,
        sequence_length=2,
        table_name=TABLE,
        server_address=f"localhost:{port}",
    )
    with tempfile.TemporaryDirectory() as folder:
        sac_learner = learner.Learner(
            folder,
            train_step,
            agent,
            experience_dataset_fn=lambda: replay.as_dataset(
                sample_batch_size=BATCH_SIZE, num_steps=2
            ).prefetch(3),
            checkpoint_interval=10**9,
        )
        container.push(variables)
        for count in (untimed, steps):
            for _ in range(count):
                sac_learner.run(iterations=1)
                container.push(variables)
            connection.send(int(train_step.numpy()))
    os._exit(0)


def wait_for_server(port: int, server: Any) -> None:
    """Waits until the tables are there; their clients fail without them."""
    import reverb

    client = reverb.Client(f"localhost:{port}")
    while server.is_alive():
        try:
            client.server_info(timeout=1)
            return
        except (reverb.errors.ReverbError, RuntimeError):
            time.sleep(0.5)
    sys.exit("the Reverb server ended")


def main() -> None:
    """Runs from the command line."""
    import psutil

    from tfagents_system.host import ports

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", required=True, help="an id of gym 0.23 or PyBullet")
    parser.add_argument("--steps", type=int, default=500, help="timed gradient steps")
    parser.add_argument(
        "--untimed_steps", type=int, default=200, help="gradient steps before those"
    )
    parser.add_argument("--warm_up_env_steps", type=int, default=1000)
    args = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    port = ports.choose_port()
    context = multiprocessing.get_context("spawn")
    connection, child = context.Pipe()

    def start(target: Callable[..., None], *arguments: Any) -> Any:
        # A daemon ends with this process, even if that fails.
        process = context.Process(target=target, args=arguments, daemon=True)
        process.start()
        return process

    started = time.monotonic()
    workers = [start(serve, port, args.env, args.warm_up_env_steps)]
    wait_for_server(port, workers[0])
    workers += [
        start(collect, port, args.env, args.warm_up_env_steps),
        start(learn, port, args.env, args.untimed_steps, args.steps, child),
    ]
    child.close()  # So that `recv` fails if the learner does.
    processes = [psutil.Process(worker.pid) for worker in workers]

    def cpu_secs() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    while not connection.poll(1):
        if not all(worker.is_alive() for worker in workers):
            sys.exit("a process failed")
    connection.recv()
    wall, cpu = time.monotonic(), cpu_secs()
    memory_mb = [process.memory_info().rss / 1e6 for process in processes]
    last_cpu = cpu
    # The learner ends at once, and its CPU time with it.
    while not connection.poll(0.1):
        last_cpu = cpu_secs()
    wall = time.monotonic() - wall
    connection.recv()
    result = {
        "library": "tf_agents",
        "env": args.env,
        "wall_ms": wall / args.steps * 1e3,
        "cpu_ms": (last_cpu - cpu) / args.steps * 1e3,
        "memory_mb": dict(zip(("replay_server", "worker", "learner"), memory_mb)),
        "total_secs": time.monotonic() - started,
    }
    for worker in workers:
        worker.kill()
        worker.join()
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
