"""The other nodes of a SLURM job: on each a launcher of workers alone, by `srun`.

Each has a job step of its own: one that ends, with its node or by itself, does not stop
the training, and is started again as long as SLURM lets it.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.launcher.console import say
from tfagents_system.launcher.slurm_job import scontrol

# How long after its end a step is started again.
RETRY_SECS = 30.0
# From the signal until a step has stopped its workers, which have nothing to save.
STOP_SECS = 15.0


class WorkerNodes:
    """The nodes of a job that only have workers; none where there is no such job."""

    def __init__(
        self,
        experiment: Experiment,
        nodes: Sequence[str],
        environment: Mapping[str, str],
    ) -> None:
        """Starts nothing yet.

        Args:
          experiment: The experiment.
          nodes: Their names.
          environment: The launcher's own.
        """
        self._experiment = experiment
        self._nodes = dict(enumerate(nodes, 1))
        self._environment = {**environment, "SAC_EXP_DIR": str(experiment.root)}
        self._steps: dict[int, subprocess.Popen[bytes]] = {}
        self._retry_at: dict[int, float] = {}

    @classmethod
    def of(cls, experiment: Experiment, environment: Mapping[str, str]) -> WorkerNodes:
        """Returns those of the job that this process runs in.

        Raises:
          UserError: SLURM does not say which.
        """
        if int(environment.get("SLURM_JOB_NUM_NODES", "1")) < 2:
            return cls(experiment, [], environment)
        nodes = environment["SLURM_JOB_NODELIST"]
        names = scontrol("show", "hostnames", nodes).split()
        own = environment.get("SLURMD_NODENAME")
        return cls(experiment, [name for name in names if name != own], environment)

    def keep_running(self) -> None:
        """Starts each step, and again some time after its end."""
        for number, node in self._nodes.items():
            step = self._steps.get(number)
            if step is not None and step.poll() is None:
                continue
            retry_at = self._retry_at.get(number)
            if step is None or (retry_at and time.monotonic() >= retry_at):
                self._retry_at.pop(number, None)
                self._steps[number] = self._start(number, node)
            elif retry_at is None:
                say(f"The workers on {node} have ended; their log: {self._log(number)}")
                self._retry_at[number] = time.monotonic() + RETRY_SECS

    def stop(self) -> None:
        """Stops all steps, in bounded time."""
        for step in self._steps.values():
            step.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECS
        for step in self._steps.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                step.wait(max(0.0, deadline - time.monotonic()))
            step.kill()
            step.wait()

    def _start(self, number: int, node: str) -> subprocess.Popen[bytes]:
        cpus = self._environment.get("SLURM_CPUS_PER_TASK", "1")
        command = ["srun", f"--nodelist={node}", "--nodes=1", "--ntasks=1", "--overlap"]
        command += [f"--cpus-per-task={cpus}", sys.executable, "-u", "-m"]
        command += ["tfagents_system.launcher.launch", "--workers-only"]
        log = self._log(number)
        self._experiment.make_folder(log.parent)
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env={**self._environment, "SAC_MACHINE": str(number)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _log(self, number: int) -> Path:
        return self._experiment.machine(number).root / "launcher.log"
