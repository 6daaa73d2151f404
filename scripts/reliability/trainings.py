"""Trainings of both modes, started and stopped with the documented commands only."""

from __future__ import annotations

import abc
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import saved_rows
from limited_waiting import Violation, wait_for
from saved_rows import SavedRows
from traces import Traces

from tfagents_system.experiment import status_file
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.experiment.status_file import Phase

# An env step of the environment that has long ones.
LONG_STEP_SECS = 60.0
# On a machine with much else to do.
START_SECS = 600.0
STOP_SECS = 60.0
# Env steps of an episode.
_HORIZON = 20


@dataclasses.dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes:
      code: Its exit code.
      output: All that it printed.
      secs: How long it took.
    """

    code: int
    output: str
    secs: float

    @property
    def last_line(self) -> str:
        """The last line that it printed."""
        return (self.output.strip().splitlines() or ["(nothing printed)"])[-1]

    def expect(self, *codes: int) -> str:
        """Checks that it ended with one of the codes and printed no traceback.

        One of the user's code is welcome where the line says that it is above.

        Returns:
          What it did, for people.

        Raises:
          Violation: It did not.
        """
        what = f"exit code {self.code} after {self.secs:.0f} s: {self.last_line}"
        if self.code not in codes:
            raise Violation(f"{what} (expected {' or '.join(map(str, codes))})")
        has_traceback = "Traceback (most recent call last)" in self.output
        if has_traceback and ", see above" not in self.output:
            raise Violation(f"{what}, with a traceback")
        return what


def make_config(behaviour: str = "", **train_params: Any) -> dict[str, Any]:
    """Returns the JSON of a short, light training: a checkpoint every 2 s.

    Args:
      behaviour: Of the environment, see `faulty_params`.
      **train_params: Hyperparameters that differ.
    """
    return {
        "behaviour": behaviour,
        "long_step_secs": LONG_STEP_SECS,
        "horizon": _HORIZON,
        "train_params": {
            "num_iter": 100_000,
            "num_steps_per_iter": _HORIZON,
            "n_train_episodes_per_iter": 1,
            "n_buffer_init_episodes": 10,
            "n_episodes_in_buffer": 200,
            "checkpoint_period_itrs": 10,
            "eval_period_itrs": 50,
            "n_eval_episodes": 1,
            "train_batch_size": 16,
            "actor_fc_layer_params": [16],
            "critic_joint_fc_layer_params": [16],
            **train_params,
        },
    }


class Training(abc.ABC):
    """One training in an experiment directory of its own.

    Attributes:
      root: Its directory, as the commands are given it.
      traces: Its processes.
      process: What was started last: the launcher, or sac-train.
      prefix: What the commands are started through, e.g. `setpriv`.
      environment: Variables of what is started, beside this process's.
      params: The params file.
      num_workers: Collect workers, where they are processes.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        traces: Traces,
        root: Path | None = None,
    ) -> None:
        """Writes the user's files; starts nothing.

        Args:
          folder: For the user's files and the output.
          config: The JSON.
          traces: Finds its processes.
          root: The experiment directory; None: one in `folder`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.root = root or folder / "experiment"
        self.traces = traces
        self.process: subprocess.Popen[bytes] | None = None
        self.prefix: tuple[str, ...] = ()
        self.environment: dict[str, str] = {}
        self.params = Path(__file__).with_name("faulty_params.py")
        self.num_workers = 1
        self.config = folder / "config.json"
        self.config.write_text(json.dumps(config))
        self._folder = folder
        self._num_starts = 0
        self._started = 0.0
        self._output = folder / "output"

    @abc.abstractmethod
    def command(self) -> list[str]:
        """Returns the command that starts and resumes it."""

    @abc.abstractmethod
    def progress(self) -> int:
        """Returns the gradient steps that it reports; in one process those saved."""

    @abc.abstractmethod
    def is_training(self) -> bool:
        """Returns whether what was started last is taking gradient steps."""

    @abc.abstractmethod
    def read_saved(self) -> SavedRows | None:
        """Reads its newest checkpoint."""

    @abc.abstractmethod
    def stop(self) -> Ended:
        """Stops it as documented; waits for its end."""

    def start(self, *options: str) -> None:
        """Starts or resumes it in a session of its own."""
        self._num_starts += 1
        self._output = self._folder / f"output_{self._num_starts}"
        self._started = time.monotonic()
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*self.prefix, *self.command(), *options],
                env=self._full_environment(),
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def call(self, command: list[str], secs: float = STOP_SECS) -> Ended:
        """Runs a command to its end.

        Raises:
          Violation: It took too long, and was killed.
        """
        started = time.monotonic()
        try:
            completed = subprocess.run(
                [*self.prefix, *command],
                env=self._full_environment(),
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=secs,
                check=False,
            )
        except subprocess.TimeoutExpired:
            name = Path(command[0]).name
            raise Violation(f"{name} had not ended after {secs:.0f} s") from None
        return Ended(
            completed.returncode,
            completed.stdout.decode(errors="replace"),
            time.monotonic() - started,
        )

    def _full_environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment, **self.traces.environment}

    @property
    def is_running(self) -> bool:
        """Whether what was started last still runs."""
        return self.process is not None and self.process.poll() is None

    def wait_end(self, secs: float = STOP_SECS) -> Ended:
        """Waits until what was started last has ended."""
        process = self.process
        assert process is not None
        what = f"the end of {Path(self.command()[0]).name}"
        wait_for(lambda: process.poll() is not None, what, secs)
        output = self._output.read_text(errors="replace")
        return Ended(process.wait(), output, time.monotonic() - self._started)

    def start_training(self) -> None:
        """Starts it and waits until it trains and has a checkpoint."""
        self.start()
        self.wait_until_training()
        wait_for(self.read_saved, "a checkpoint", START_SECS)

    def wait_until_training(self) -> None:
        """Waits until it takes gradient steps.

        Raises:
          Violation: It ended, or took too long.
        """

        def has_begun() -> bool:
            if not self.is_running:
                raise Violation(f"it ended: {self.wait_end().last_line}")
            return self.is_training()

        wait_for(has_begun, "training", START_SECS)

    def wait_for_checkpoint(self, secs: float = START_SECS) -> None:
        """Waits until it has trained on and a new checkpoint is complete."""
        before = self.read_saved()
        old = -1 if before is None else before.train_step

        def is_new() -> bool:
            saved = self.read_saved()
            return saved is not None and saved.train_step > old

        wait_for(is_new, f"a checkpoint after train step {old}", secs)

    def interrupt(self, signum: int = signal.SIGINT) -> None:
        """Sends a signal to what was started last."""
        assert self.process is not None
        self.process.send_signal(signum)


class ManyProcesses(Training):
    """A training under the launcher."""

    def command(self) -> list[str]:
        """Returns the launcher's command."""
        variables = self._folder / "variables.sh"
        variables.write_text(
            f"SAC_NUM_COLLECT_WORKERS={self.num_workers}\n"
            f"SAC_PARAMS='{self.params}'\n"
            f"SAC_CONFIG='{self.config}'\nSAC_EXP_DIR='{self.root}'\n"
        )
        return [str(REPOSITORY / "launch_training.sh"), str(variables)]

    def progress(self) -> int:
        """Returns the learner's train step."""
        return status_file.read_learner(Experiment(self.root)).train_step

    def is_training(self) -> bool:
        """Returns whether the living learner says that it trains."""
        status = status_file.read_learner(Experiment(self.root))
        learners = self.traces.services().get("learner", [])
        is_alive = status.pid in [process.pid for process in learners]
        return status.phase is Phase.TRAINING and status.train_step > 0 and is_alive

    def read_saved(self) -> SavedRows | None:
        """Reads the newest joint checkpoint."""
        return saved_rows.read_newest_generation(self.root)

    def stop(self) -> Ended:
        """Runs scripts/stop_training.sh."""
        command = [str(REPOSITORY / "scripts/stop_training.sh"), str(self.root)]
        return self.call(command)

    def service(self, name: str) -> psutil.Process:
        """Returns the process of a service, e.g. `learner`; waits until it is up."""

        def find() -> list[psutil.Process]:
            return self.traces.services().get(name, [])

        return wait_for(find, name, START_SECS)[0]


class OneProcess(Training):
    """A training by sac-train."""

    def command(self) -> list[str]:
        """Returns the command."""
        command = [sys.executable, "-m", "tfagents_system.train"]
        command += ["--logdir", str(self.root), "--params", str(self.params)]
        return [*command, "--config", str(self.config)]

    def progress(self) -> int:
        """Returns the iteration of the newest checkpoint."""
        names = (re.fullmatch(r"ckpt-(\d+)", p.stem) for p in self._manifests())
        return max((int(name[1]) for name in names if name), default=0)

    def _manifests(self) -> list[Path]:
        return list(self.root.glob("ckpt-*.json"))

    def is_training(self) -> bool:
        """Returns whether it has written a checkpoint since it was started."""
        age = time.monotonic() - self._started
        started = time.time() - age
        times = []
        for path in self._manifests():
            try:
                times.append(path.stat().st_mtime)
            except FileNotFoundError:
                continue
        return max(times, default=0.0) > started

    def read_saved(self) -> SavedRows | None:
        """Reads the newest checkpoint."""
        return saved_rows.read_newest_one_process(self.root)

    def stop(self) -> Ended:
        """Interrupts it, as Ctrl-C does."""
        started = time.monotonic()
        self.interrupt()
        ended = self.wait_end()
        return dataclasses.replace(ended, secs=time.monotonic() - started)
