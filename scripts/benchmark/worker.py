"""What a worker's step costs besides `env.step`; also inserts a second.

Runs a real collect worker's loop, NumPy actor, writer and all, against a real replay
server, on an environment whose step does nothing. Prints one JSON line.
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
    random_rows,
)

from tfagents_system.acting import episode


def make_trivial_env() -> Any:
    """Returns an environment whose steps cost next to nothing and never end."""
    from tf_agents.environments import py_environment
    from tf_agents.specs import array_spec
    from tf_agents.trajectories import time_step as ts

    class TrivialEnvironment(py_environment.PyEnvironment):
        def __init__(self) -> None:
            super().__init__()
            self.env_secs = 0.0
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

    from tfagents_system.algorithm import sac
    from tfagents_system.dataflow import replay, rows
    from tfagents_system.environments import standard
    from tfagents_system.processes import startup

    startup.limit_threads(1)
    server = ReplayProcess()

    def ignore_wait(waited_secs: float) -> None:
        pass

    specs = make_specs()
    codec = rows.RowCodec(specs)
    writer = replay.ExperienceWriter(
        replay.connect(server.port), codec, np.random.default_rng(0)
    )
    policy = episode.make_policy(
        sac.build_agent(make_params(), specs).collect_policy, np.random.default_rng(0)
    )
    trivial = make_trivial_env()
    env = standard.StandardEnvironment(trivial, horizon=args.env_steps)

    def write(time_step: Any, action: Any, next_time_step: Any) -> None:
        row = codec.pack(
            time_step.observation,
            action,
            next_time_step.reward,
            next_time_step.discount,
            next_time_step.observation,
        )
        writer.write(row, ignore_wait)

    steps = []
    for _ in range(args.repeats):
        wall, cpu, server_cpu = (
            time.perf_counter(),
            time.process_time(),
            server.cpu_secs(),
        )
        episode.run_episode(env, policy, [write])
        writer.flush(ignore_wait)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        server_cpu = server.cpu_secs() - server_cpu
        trivial.reset()
        env_wall = time.perf_counter()
        for _ in range(args.env_steps):
            trivial.step(None)
        env_wall = time.perf_counter() - env_wall
        steps.append([wall, cpu, server_cpu, env_wall])
    wall, cpu, server_cpu, env_wall = min(steps)
    inserts = []
    packed = list(random_rows(codec, 20_000))
    for _ in range(args.repeats):
        started = time.perf_counter()
        for row in packed:
            writer.write(row, ignore_wait)
        writer.flush(ignore_wait)
        inserts.append(len(packed) / (time.perf_counter() - started))
    per_step = 1e6 / args.env_steps
    print(
        json.dumps(
            {
                "overhead_wall_us": (wall - env_wall) * per_step,
                "overhead_cpu_us": (cpu - env_wall) * per_step,
                "server_cpu_us": server_cpu * per_step,
                "trivial_env_step_us": env_wall * per_step,
                "inserts_per_sec": max(inserts),
            }
        ),
        flush=True,
    )
    server.close()
    os._exit(0)


if __name__ == "__main__":
    main()
