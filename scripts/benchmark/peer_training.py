"""Trains SAC of Stable-Baselines3 or SBX; runs in the peers' own environment.

Prints one JSON line: wall and CPU seconds of the timed steps, and for each evaluation
`[env steps, mean greedy return]`. Same task, networks, batch, replay and ratio as
`system.py` gives Distributed SAC: 256x256, batch 256, one gradient step an env step.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

import gymnasium
import numpy as np


class OldGymEnvironment(gymnasium.Env[Any, Any]):
    """A gym 0.23 environment (PyBullet's) behind gymnasium's interface."""

    def __init__(self, name: str) -> None:
        """Makes the environment; its time limit is a truncation."""
        import gym
        import pybullet_envs  # noqa: F401  (registers its environments)

        self._env = gym.make(name)

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
    """Makes one of PyBullet's environments, or gymnasium's."""
    env = OldGymEnvironment(name) if "Bullet" in name else gymnasium.make(name)
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
    parser.add_argument("--env", required=True)
    parser.add_argument("--env_steps", type=int, required=True)
    parser.add_argument("--warm_up_env_steps", type=int, default=1000)
    parser.add_argument("--untimed_env_steps", type=int, default=0)
    parser.add_argument("--eval_period_env_steps", type=int, default=0)
    parser.add_argument("--num_eval_episodes", type=int, default=5)
    parser.add_argument("--learning_rate", type=float, default=3e-4)
    parser.add_argument("--discount", type=float, default=0.99)
    parser.add_argument("--tau", type=float, default=0.005)
    parser.add_argument("--buffer_size", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = make_model(args, make_env(args.env))
    if args.untimed_env_steps:  # The warm-up, and what compiles at the first steps.
        model.learn(args.untimed_env_steps)
    evaluations = []
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
            evaluations.append([int(model.num_timesteps), mean_return])
            print(evaluations[-1], flush=True)
    print(
        json.dumps(
            {
                "library": args.library,
                "env": args.env,
                "env_steps": args.env_steps,
                "wall_secs": wall_secs,
                "cpu_secs": cpu_secs,
                "evaluations": evaluations,
            }
        )
    )


if __name__ == "__main__":
    main()
