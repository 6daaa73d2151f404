"""What a worker's step costs besides `env.step`, and how fast a worker can insert.

Runs a worker's episode, with the NumPy actor and the writer, against a real replay
server, in an environment whose step does nothing. Prints one JSON line, with one value
for each repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import numpy as np
from workload import (
    ACTION_DIM,
    OBSERVATION_DIM,
    ReplayProcess,
    make_params,
    make_specs,
    make_writer,
    random_rows,
)

NUM_ROWS = 20_000


def make_trivial_env() -> Any:
    """Returns an environment that does nothing and never ends an episode."""
    from tf_agents.environments import py_environment
    from tf_agents.specs import array_spec
    from tf_agents.trajectories import time_step as ts

    class TrivialEnvironment(py_environment.PyEnvironment):
        def __init__(self) -> None:
            super().__init__()
            self._time_step = ts.transition(
                np.ones(OBSERVATION_DIM, np.float32), reward=1.0
            )

        def observation_spec(self) -> Any:
            return array_spec.ArraySpec((OBSERVATION_DIM,), np.float32)

        def action_spec(self) -> Any:
            return array_spec.BoundedArraySpec((ACTION_DIM,), np.float32, -1, 1)

        def _reset(self) -> Any:
            return ts.restart(np.ones(OBSERVATION_DIM, np.float32))

        def _step(self, action: Any) -> Any:
            return self._time_step

    return TrivialEnvironment()


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env_steps", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

    from tfagents_system.acting import episode, policies
    from tfagents_system.dataflow import rows
    from tfagents_system.environments import standard
    from tfagents_system.host import threads
    from tfagents_system.learning.build import build_agent

    threads.limit_tensorflow_threads(1)
    server = ReplayProcess()
    specs = make_specs()
    codec = rows.RowCodec(specs)
    writer = make_writer(server, codec)
    policy = policies.make_policy(
        build_agent(make_params(), specs).collect_policy, np.random.default_rng(0)
    )
    trivial = make_trivial_env()
    env = standard.StandardEnvironment(trivial, horizon=args.env_steps)
    packed = list(random_rows(codec, NUM_ROWS))
    result: dict[str, list[float]] = {
        "overhead_wall_us": [],
        "overhead_cpu_us": [],
        "server_cpu_us": [],
        "trivial_env_step_us": [],
        "inserts_per_sec": [],
    }
    per_step = 1e6 / args.env_steps
    for _ in range(args.repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        server_cpu = server.cpu_secs()
        episode.run_episode(env, policy, [writer.add])
        writer.flush()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        server_cpu = server.cpu_secs() - server_cpu
        trivial.reset()
        env_wall = time.perf_counter()
        for _ in range(args.env_steps):
            trivial.step(None)
        env_wall = time.perf_counter() - env_wall
        result["overhead_wall_us"].append((wall - env_wall) * per_step)
        result["overhead_cpu_us"].append((cpu - env_wall) * per_step)
        result["server_cpu_us"].append(server_cpu * per_step)
        result["trivial_env_step_us"].append(env_wall * per_step)
        started = time.perf_counter()
        for row in packed:
            writer.write(row)
        writer.flush()
        secs = time.perf_counter() - started
        result["inserts_per_sec"].append(NUM_ROWS / secs)
    print(json.dumps(result), flush=True)
    server.close()
    os._exit(0)


if __name__ == "__main__":
    main()
