"""Submits a training to SLURM: checks it, reckons what it needs, and calls sbatch.

Run by scripts/submit_training.sh with the user's variables in the environment.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfagents_system.errors import UserError, run_command
from tfagents_system.experiment.directory import REPOSITORY, Experiment
from tfagents_system.experiment.run_processes import RunProcesses
from tfagents_system.host.process_tree import adopt_orphans
from tfagents_system.launcher import begin_run, cpu_plan, variables_file
from tfagents_system.launcher.console import say
from tfagents_system.launcher.prepare_step import prepare
from tfagents_system.launcher.run_locks import exclusive_run
from tfagents_system.launcher.task_settings import read_task

JOB_SCRIPT = REPOSITORY / "scripts" / "slurm_train.sbatch"
LOGS = REPOSITORY / "logs" / "slurm"
# The signal comes so long before the time limit: for all processes to stop, and for the
# last checkpoint of a full replay. 500,000 rows of the Minitaur, 132 MB, took 8 to 9 s
# on two CPUs, and 14 s beside other work.
STOP_SECS = 90
SAVED_BYTES_PER_SEC = 9e6


def choose_num_cpus(environment: Mapping[str, str], given: str | None) -> int:
    """Returns the CPUs of the job.

    Args:
      environment: With the numbers of the variables file.
      given: The user's --cpus-per-task.

    Raises:
      UserError: It is needed, as a number is `auto`, or is too small.
    """
    request = variables_file.read_cpu_request(environment)
    needed = cpu_plan.explicit_cpus(request)
    if given is None:
        if needed is None:
            raise UserError(
                "some of the CPU numbers are auto: say how many CPUs the job gets, for "
                "example with --cpus-per-task=8"
            )
        return needed + cpu_plan.LAUNCHER_CPUS
    if not given.isdecimal() or int(given) < 1:
        raise UserError(f"--cpus-per-task={given}: must be a whole number >= 1")
    cpu_plan.plan_cpus(request, range(int(given)))
    return int(given)


def find_option(options: Sequence[str], name: str, letter: str) -> str | None:
    """Returns the value of one of sbatch's options; None if it is not given.

    Args:
      options: The user's.
      name: Its long name, as `--array`.
      letter: Its short one, as `-a`.
    """
    found = None
    for index, option in enumerate(options):
        if option in (name, letter):
            found = options[index + 1] if index + 1 < len(options) else ""
        elif option.startswith(f"{name}="):
            found = option.partition("=")[2]
        elif option.startswith(letter) and not option.startswith("--"):
            found = option.removeprefix(letter)
    return found


def parse_array(text: str) -> list[int]:
    """Returns the tasks of an array as sbatch has it, e.g. `0-9:3%2`, `1,4`.

    Raises:
      UserError: It is none.
    """
    tasks: list[int] = []
    for part in text.partition("%")[0].split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+)(?::([1-9]\d*))?)?", part)
        if match is None:
            raise UserError(f"--array={text}: must be as 0-9, 0-9:3, 1,4 or 0-9%2")
        first, last, step = match.groups()
        tasks.extend(range(int(first), int(last or first) + 1, int(step or 1)))
    if not tasks:
        raise UserError(f"--array={text}: it has no tasks")
    return tasks


def task_environments(
    environment: Mapping[str, str], options: Sequence[str]
) -> list[Mapping[str, str]]:
    """Returns the environment of each task of the array, or of the only one.

    Raises:
      UserError: --array is none.
    """
    array = find_option(options, "--array", "-a")
    if array is None:
        return [environment]
    return [
        {**environment, "SLURM_ARRAY_TASK_ID": str(task)} for task in parse_array(array)
    ]


def read_folders(environments: Sequence[Mapping[str, str]]) -> list[Path]:
    """Returns the experiment directory of each task.

    Raises:
      UserError: A task has no setting in the sweep, or two have one directory.
    """
    for environment in environments:
        read_task(environment)
    folders = [variables_file.read_exp_dir(e) for e in environments]
    if len(set(folders)) < len(folders):
        raise UserError(
            "SAC_EXP_DIR is one directory for all tasks of --array; set SAC_EXP_NAME "
            "instead"
        )
    return folders


def check(environment: Mapping[str, str], params: Path, config: Path) -> int:
    """Runs the prepare step as the job will, in a directory of its own.

    Args:
      environment: The environment of the first task.
      params: The user's params file.
      config: The user's JSON.

    Returns:
      The bytes of the full replay.

    Raises:
      UserError: The job would end at once, for a reason that was printed.
    """
    experiment = Experiment(variables_file.read_exp_dir(environment))
    adopt_orphans()
    with tempfile.TemporaryDirectory() as folder:
        trial = Experiment(Path(folder) / experiment.root.name)
        trial.make()
        for path in (experiment.params, experiment.config, experiment.specs):
            if path.exists():  # A training that was begun goes on with its snapshots.
                shutil.copy(path, trial.root)
        run_id = uuid.uuid4().hex
        variables = begin_run.make_environment(environment, trial, run_id)
        with exclusive_run(trial) as locks:
            run = RunProcesses(trial, locks.lock, run_id)
            return prepare(trial, params, config, variables, run)


def make_command(
    variables_path: str,
    name: str,
    num_cpus: int,
    replay_bytes: int,
    options: Sequence[str],
) -> list[str]:
    """Returns the sbatch command; the user's options come last and win.

    Args:
      variables_path: The variables file.
      name: Of the job and its log.
      num_cpus: CPUs of the job, where the user does not give them.
      replay_bytes: Bytes of the full replay; 0 if they are not known.
      options: The user's.
    """
    is_array = find_option(options, "--array", "-a") is not None
    warning_secs = STOP_SECS + round(replay_bytes / SAVED_BYTES_PER_SEC)
    has_cpus = find_option(options, "--cpus-per-task", "-c") is not None
    return [
        "sbatch",
        "--parsable",
        f"--job-name={name}",
        *([] if has_cpus else [f"--cpus-per-task={num_cpus}"]),
        f"--output={LOGS / name}_{'%A_%a' if is_array else '%j'}.log",
        f"--signal=B:USR1@{warning_secs}",
        f"--chdir={REPOSITORY}",
        *options,
        str(JOB_SCRIPT),
        variables_path,
    ]


def submit(command: Sequence[str]) -> str:
    """Submits; returns the job's id.

    Raises:
      UserError: sbatch refuses, or there is none.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise UserError(
            "there is no sbatch; submit from a login node of the cluster"
        ) from error
    except subprocess.CalledProcessError as error:
        raise UserError(error.stderr.strip().replace("\n", "; ")) from error
    return result.stdout.strip().partition(";")[0]


def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        prog="submit_training.sh",
        usage="submit_training.sh VARIABLES.sh [option] [any option of sbatch ...]",
        description="Submits a training to SLURM.",
        allow_abbrev=False,
    )
    parser.add_argument("variables_path", help=argparse.SUPPRESS)
    parser.add_argument(
        "--dry-run", action="store_true", help="print the command and submit nothing"
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="do not run the params file and the environment here, before the job does",
    )
    args, options = parser.parse_known_args()
    environments = task_environments(os.environ, options)
    folders = read_folders(environments)
    environment = environments[0]
    params = variables_file.read_file(environment, "SAC_PARAMS")
    config = variables_file.read_file(environment, "SAC_CONFIG")
    num_cpus = choose_num_cpus(
        environment, find_option(options, "--cpus-per-task", "-c")
    )
    replay_bytes = 0 if args.no_check else check(environment, params, config)
    name = environment.get("SAC_EXP_NAME") or folders[0].name
    command = make_command(args.variables_path, name, num_cpus, replay_bytes, options)
    say(shlex.join(command))
    if args.dry_run:
        return 0
    job = submit(command)
    output = find_option(command, "--output", "-o") or ""
    log = output.replace("%A", job).replace("%j", job)
    say(f"Submitted as job {job}. Its log: {log}")
    for folder in folders:
        say(f"  status: scripts/status.sh {folder}")
    say(f"  stop, with a checkpoint: scancel {job}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
