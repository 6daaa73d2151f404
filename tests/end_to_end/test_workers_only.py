"""Workers of another machine: they join a training, leave it, and find it again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.end_to_end.harness import ENDLESS, ENDLESS_PARAMS, Run, wait_for
from tests.networks import ADDRESS, linked_networks
from tfagents_system.experiment import run_lock
from tfagents_system.experiment.run_file import Run as RunFile
from tfagents_system.experiment.status_file import (
    CollectWorkerStatus,
    Phase,
    read_worker,
    read_workers,
)
from tfagents_system.launcher import stop

WORKER = "collect_worker_1000"


class Machine:
    """The other machine."""

    def __init__(self, run: Run, before: list[str]) -> None:
        """Does nothing yet.

        Args:
          run: The training.
          before: The words of a command that runs one on this machine.
        """
        self.experiment = run.experiment.machine(1)
        self.output = run.output.with_name("workers' output")
        self._run, self._before = run, before

    @property
    def worker(self) -> CollectWorkerStatus:
        """What its worker says of itself."""
        return read_worker(self.experiment, WORKER)

    def launch(self, *options: str) -> subprocess.Popen[bytes]:
        """Launches its worker."""
        command = [REPOSITORY / "launch_training.sh", self._run.variables]
        with self.output.open("ab") as output:
            return subprocess.Popen(
                [*self._before, *command, "--workers-only", *options],
                env=self._run.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def close(self) -> None:
        """Stops whatever a failed test left."""
        for pid in run_lock.holders(self.experiment.launcher_pid):
            os.kill(pid, signal.SIGKILL)
        stop.stop(self.experiment)

    def wait_for_steps(self, before: int) -> None:
        """Waits until its worker has collected more, with a policy that was learned."""
        wait_for(
            lambda: (
                self.worker.worker_env_steps > before
                and self.worker.policy_train_step > 0
            ),
            "the worker of the other machine",
            200,
        )


@pytest.mark.timeout(500)
def test_workers_of_another_machine_join_leave_and_find_the_training_again(
    tmp_path: Path,
) -> None:
    run = Run(tmp_path, ENDLESS_PARAMS, horizon=50, train_params=ENDLESS)
    run.environment["SAC_REVERB_HOST"] = ADDRESS
    with linked_networks() as (here, there):
        run.before = here
        machine = Machine(run, there)
        try:
            run.start_launcher()
            run.wait_until_training()
            detaching = machine.launch("--detach")
            assert detaching.wait(100) == 0
            machine.wait_for_steps(0)
            status = run.call("scripts/status.sh", run.experiment.root).stdout
            assert f"\n  {WORKER}  collecting for " in status
            assert len(read_workers(run.experiment)) == 2
            log = machine.experiment.root / "launcher.log"
            assert "/100000 | env steps " in log.read_text()
            # It leaves, and the training goes on.
            stopped = run.call("scripts/stop_training.sh", machine.experiment.root)
            assert stopped.returncode == 0, stopped.stderr
            assert log.read_text().endswith("Stopping the workers ...\nStopped.\n")
            assert not run_lock.is_running(machine.experiment)
            run.wait_for_progress()

            launcher = machine.launch()
            machine.wait_for_steps(machine.worker.worker_env_steps)
            first = RunFile.load(machine.experiment)
            # The training stops and resumes, on another port.
            assert run.launcher is not None
            run.launcher.send_signal(signal.SIGINT)
            assert run.launcher.wait(60) == 128 + signal.SIGINT
            # There is a little to learn still.
            config = json.loads(run.experiment.config.read_text())
            config["train_params"]["num_iter"] = run.train_step // 10 + 100
            run.experiment.config.write_text(json.dumps(config))
            run.start_launcher()
            wait_for(
                lambda: RunFile.load(machine.experiment).run_id != first.run_id,
                "the other machine to hear of it",
            )
            assert "was launched again" in machine.output.read_text()
            machine.wait_for_steps(machine.worker.worker_env_steps)
            # The end of the training is that of its workers.
            assert launcher.wait(200) == 0
            assert machine.worker.phase is Phase.FINISHED
            wait_for(run.has_ended, "the end of the training")
        finally:
            print(machine.output.read_text())
            machine.close()
            run.close()
