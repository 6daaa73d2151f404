"""Trains SAC of Stable-Baselines3 or SBX; runs with the peers' own Python.

Prints one JSON line: wall and CPU seconds of the timed steps. --export writes the
evaluations as a .csv file that scripts/plot_returns.py plots. Task, networks, batch,
replay and ratio are the same as in `system.py`: 256x256, batch 256, one gradient step
per env step.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from pathlib import Path
from typing import Any

import gym
import gymnasium
import numpy as np

# As scripts/plot_returns.py reads it, which the peers' Python cannot import.
CSV_HEADER = "env_steps,train_steps,return"


class OldGymEnvironment(gymnasium.Env[Any, Any]):
    """A gym 0.23 environment (PyBullet's) behind gymnasium's interface."""

    def __init__(self, env: gym.Env) -> None:
        """Wraps the environment; its time limit is a truncation."""
        self._env = env

        def box(space: Any) -> gymnasium.spaces.Box:
            return gymnasium.spaces.Box(space.low, space.high, dtype=np.float32)

        self.observation_space = box(self._env.observation_space)
        self.action_space = box(self._env.action_space)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Resets; `seed` is used when it is given."""
        super().reset(seed=seed)
        if seed is not None:
            self._env.seed(seed)
        return np.float32(self._env.reset()), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Steps."""
        observation, reward, done, info = self._env.step(action)
        truncated = bool(info.get("TimeLimit.truncated", False))
        return (
            np.float32(observation),
            float(reward),
            bool(done) and not truncated,
            truncated,
            {},
        )


def make_env(name: str) -> gymnasium.Env[Any, Any]:
    """Makes an environment of gym, PyBullet or gymnasium, looked up in this order.

    The project's own `loaders.load` finds the same one.
    """
    importlib.import_module("pybullet_envs")  # Registers its ids with gym.
    env: gymnasium.Env[Any, Any]
    try:
        env = OldGymEnvironment(gym.make(name))
    except (gym.error.Error, ImportError):  # Unknown, or without what it needs.
        env = gymnasium.make(name)
    return gymnasium.wrappers.RecordEpisodeStatistics(env)


def evaluate(model: Any, env: gymnasium.Env[Any, Any], num_episodes: int) -> float:
    """Returns the mean return of the greedy policy."""
    returns = []
    for _ in range(num_episodes):
        observation, _ = env.reset()
        total, done = 0.0, False
        while not done:
            action, _ = model.predict(observation, deterministic=True)
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            done = terminated or truncated
        returns.append(total)
    return float(np.mean(returns))


def make_model(args: argparse.Namespace, env: gymnasium.Env[Any, Any]) -> Any:
    """Builds SB3's or SBX's SAC."""
    if args.library == "sb3":
        import torch
        from stable_baselines3 import SAC

        torch.set_num_threads(len(os.sched_getaffinity(0)))
    else:
        from sbx import SAC
    return SAC(
        "MlpPolicy",
        env,
        learning_rate=args.learning_rate,
        gamma=args.discount,
        tau=args.tau,
        buffer_size=args.buffer_size,
        learning_starts=args.warm_up_env_steps,
        batch_size=256,
        train_freq=1,
        gradient_steps=1,
        policy_kwargs={"net_arch": [256, 256]},
        seed=args.seed,
        device="cpu" if args.library == "sb3" else "auto",
    )


def main() -> None:
    """Trains, and prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--library", choices=("sb3", "sbx"), required=True)
    parser.add_argument(
        "--env", required=True, help="an id of gym 0.23, PyBullet or gymnasium"
    )
    parser.add_argument("--env_steps", type=int, required=True, help="timed")
    parser.add_argument("--warm_up_env_steps", type=int, default=1000)
    parser.add_argument(
        "--untimed_env_steps",
        type=int,
        default=0,
        help="env steps before the timed ones, the warm-up among them",
    )
    parser.add_argument(
        "--eval_period_env_steps",
        type=int,
        default=0,
        help="env steps between evaluations; default: no evaluation",
    )
    parser.add_argument("--num_eval_episodes", type=int, default=5)
    parser.add_argument("--learning_rate", type=float, default=3e-4)
    parser.add_argument("--discount", type=float, default=0.99)
    parser.add_argument("--tau", type=float, default=0.005)
    parser.add_argument("--buffer_size", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--export", type=Path, help="file for the evaluations; ends with .csv"
    )
    args = parser.parse_args()
    if args.export is not None and not args.eval_period_env_steps:
        parser.error("--export needs --eval_period_env_steps")
    if args.export is not None and not args.export.parent.is_dir():
        parser.error(f"--export {args.export}: no directory {args.export.parent}")
    model = make_model(args, make_env(args.env))
    if args.untimed_env_steps:  # The warm-up, and the steps that compile.
        model.learn(args.untimed_env_steps)
    rows = [CSV_HEADER]
    eval_env = make_env(args.env)
    eval_env.reset(seed=args.seed + 1000)
    period = args.eval_period_env_steps or args.env_steps
    wall_secs = cpu_secs = 0.0
    for _ in range(args.env_steps // period):
        wall, cpu = time.monotonic(), time.process_time()
        model.learn(period, reset_num_timesteps=False)
        wall_secs += time.monotonic() - wall
        cpu_secs += time.process_time() - cpu
        if args.eval_period_env_steps:
            mean_return = evaluate(model, eval_env, args.num_eval_episodes)
            rows.append(f"{model.num_timesteps},{model._n_updates},{mean_return:.6g}")
            print(rows[-1], flush=True)
            if args.export is not None:
                args.export.write_text("\n".join(rows) + "\n")
    print(
        json.dumps(
            {
                "library": args.library,
                "env": args.env,
                "env_steps": args.env_steps,
                "wall_secs": wall_secs,
                "cpu_secs": cpu_secs,
            }
        )
    )


if __name__ == "__main__":
    main()
