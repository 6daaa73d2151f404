"""What every process does first, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tfagents_system.experiment.stopping import STOP_SIGNAL
from tfagents_system.processes import startup


def run(folder: Path, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own that is started in a folder."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(REPOSITORY), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def run_process(folder: Path, name: str, body: str) -> subprocess.CompletedProcess[str]:
    """Runs a process with the given body for its main."""
    return run(
        folder,
        "from pathlib import Path\n"
        "from tfagents_system.processes import startup\n"
        "from tfagents_system.errors import UserError\n"
        "def stop():\n    startup.STOP.set()\n    return 0\n"
        f"def main():\n    {body}\n"
        f"code = startup.run_process({name!r}, main, Path.cwd())\n"
        "print('returned')\n"
        "raise SystemExit(code)",
    )


@pytest.mark.parametrize("name", [*startup.PROCESSES])
@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("return stop()", 0, ""),
        ("return 3", 3, ""),
        ("raise UserError('bad')", 2, "error: bad\n"),
        ("raise KeyError('bug')", 1, "KeyError: 'bug'\n"),
    ],
)
def test_failures_are_written_down(
    tmp_path: Path, name: str, body: str, code: int, words: str
) -> None:
    result = run_process(tmp_path, name, body)
    assert result.returncode == code
    assert words in result.stderr
    path = tmp_path / "num_failures"
    num_failures = int(path.read_text()) if path.exists() else 0
    is_service = startup.PROCESSES[name].is_service
    assert num_failures == bool(code and is_service)
    # A service does not return: a thread of it may wait forever.
    assert ("returned" in result.stdout) == (not is_service and "KeyError" not in words)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 0", "ended, but nobody had stopped it"),
        ("raise SystemExit", "SystemExit"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("raise KeyboardInterrupt", "was interrupted (KeyboardInterrupt)"),
        ("import os; os.chdir('/'); raise SystemExit(0)", "SystemExit: 0"),
    ],
)
def test_a_service_that_ends_though_nobody_stopped_it_has_failed(
    tmp_path: Path, body: str, words: str
) -> None:
    result = run_process(tmp_path, "collect_worker", body)
    assert result.returncode not in (0, 2)
    assert words in result.stderr
    assert int((tmp_path / "num_failures").read_text()) == 1


@pytest.mark.parametrize("name", ["learner", "prepare"])
def test_a_full_disk_is_one_line(tmp_path: Path, name: str) -> None:
    body = "open('/dev/full', 'w', buffering=1).write('x' * 9999)"
    result = run_process(tmp_path, name, body)
    assert result.returncode == 2
    assert result.stderr.endswith("error: [Errno 28] No space left on device\n")


def test_a_failure_that_cannot_be_recorded_is_still_a_failure(tmp_path: Path) -> None:
    (tmp_path / "num_failures").mkdir()
    result = run_process(tmp_path, "learner", "raise UserError('bad')")
    assert result.returncode == 2
    assert "this failure is not counted" in result.stderr


def test_a_service_ends_although_a_thread_of_it_waits_for_ever(tmp_path: Path) -> None:
    result = run_process(
        tmp_path,
        "learner",
        "import threading\n"
        "    threading.Thread(target=threading.Event().wait).start()\n"
        "    print('buffered', end='')\n"
        "    return stop()",
    )
    assert (result.returncode, result.stdout) == (0, "buffered")
    assert f"{tmp_path.name}: pid " in result.stderr


@pytest.mark.parametrize("name", ["learner", "collect_worker"])
def test_a_process_is_prepared_before_its_imports(tmp_path: Path, name: str) -> None:
    """Also for a stop: one that has something to save only notes it.

    SIGTERM is for the launcher to heed, and for what the service starts.
    """
    result = run(
        tmp_path,
        "import os, signal, sys\n"
        "from tfagents_system.experiment import stopping\n"
        "from tfagents_system.processes import startup\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)  # As supervise has it.\n"
        "signal.signal(stopping.STOP_SIGNAL, signal.SIG_IGN)  # As nohup has it.\n"
        f"startup.prepare_process({name!r})\n"
        "import tensorflow as tf\n"
        "print(tf.config.threading.get_inter_op_parallelism_threads(),\n"
        "      tf.config.threading.get_intra_op_parallelism_threads(),\n"
        "      os.environ['SDL_VIDEODRIVER'], flush=True)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "print(startup.STOP.is_set(), flush=True)\n"
        "os.system('kill $$; echo not ended')\n"
        "os.kill(os.getpid(), stopping.STOP_SIGNAL)\n"
        "print(startup.STOP.wait(10))\n",
    )
    assert result.stderr == ""
    if name == "learner":
        num_cpus = len(os.sched_getaffinity(0))
        assert result.stdout == f"{num_cpus} 1 dummy\nFalse\nTrue\n"
        assert result.returncode == 0
    else:
        assert result.stdout == "1 1 dummy\nFalse\n"
        assert result.returncode == -STOP_SIGNAL


def test_who_has_something_to_save_stops_by_itself() -> None:
    names = {name for name, kind in startup.PROCESSES.items() if kind.stops_by_itself}
    assert names == {"replay_server", "learner"}
