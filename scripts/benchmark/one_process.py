"""Trains with sac-train and measures its iterations, after compiling.

Prints one JSON line: wall and CPU seconds of the timed env steps. The flags are those
of off-policy's example. The timed part has no evaluation and no checkpoint.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar

from tfagents_system.one_process import training
from tfagents_system.one_process.trainer import Trainer

WARM_UP_STEPS = 10_000
# The first gradient steps compile.
UNTIMED_STEPS = WARM_UP_STEPS + 500


class TimedTrainer(Trainer):
    """Notes when each iteration begins.

    Attributes:
      times: Wall and CPU seconds at the beginning of iterations, after UNTIMED_STEPS.
    """

    times: ClassVar[list[tuple[float, float]]] = []

    def collect(self) -> None:
        """Takes an env step."""
        if self.iteration >= UNTIMED_STEPS:
            self.times.append((time.monotonic(), time.process_time()))
        super().collect()


def main() -> None:
    """Trains, and prints what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--env", required=True, help="any name that sac-train takes")
    parser.add_argument("--env_steps", type=int, required=True, help="timed")
    args = parser.parse_args()
    flags: dict[str, Any] = {
        "env": args.env,
        "warm_up_steps": WARM_UP_STEPS,
        "iterations": UNTIMED_STEPS + args.env_steps + 1,
        "log_interval": 1_000_000,
        "checkpoint_interval": 1_000_000,
    }
    with tempfile.TemporaryDirectory() as folder:
        training.train(Path(folder), flags, TimedTrainer)
    (wall, cpu), (wall_end, cpu_end) = TimedTrainer.times[0], TimedTrainer.times[-1]
    print(
        json.dumps(
            {
                "library": "sac_train",
                "env": args.env,
                "env_steps": len(TimedTrainer.times) - 1,
                "wall_secs": wall_end - wall,
                "cpu_secs": cpu_end - cpu,
            }
        )
    )


if __name__ == "__main__":
    main()
