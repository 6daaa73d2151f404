"""A SLURM cluster of this machine alone: real daemons, on ports of their own.

Nothing outside of its folder is touched, and any user may start one, with Debian's
packages slurm-wlm (22.05) and munge.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.waiting import wait_for
from tfagents_system.host import ports, process_tree

# Debian has the daemons where an ordinary user's PATH does not lead.
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
# From SIGTERM to SIGKILL: room for the checkpoint of a small training.
KILL_WAIT_SECS = 30
START_SECS = 30.0
STOP_SECS = KILL_WAIT_SECS + 20.0

# What is not obvious:
# cred_expire: a requeued job waits until its credential has expired, else two minutes.
# ReturnToService=1: a node that was taken down by hand stays so.
# CgroupPlugin=cgroup/v1: unused, and the only one that loads without systemd.
# config_overrides: a node may have more CPUs than the machine.
CONFIG = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/spool_%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd_%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd_%n.log
MailProg=/bin/true
ProctrackType={proctrack}
TaskPlugin={task}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
KillWait={kill_wait_secs}
ReturnToService=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 MaxTime=INFINITE State=UP
PartitionName=high Nodes=ALL PriorityTier=2 MaxTime=INFINITE State=UP
"""


# How jobs are kept to their CPUs: by an affinity that they may widen, or by control
# groups, as most clusters do it.
AFFINITY = {"proctrack": "proctrack/linuxproc", "task": "task/affinity"}
CONTROL_GROUPS = {
    "proctrack": "proctrack/cgroup",
    "task": "task/affinity,task/cgroup",
}
CGROUP_ROOT = Path("/sys/fs/cgroup")


class Cluster:
    """A running cluster.

    Attributes:
      environment: The environment of its commands and of who submits.
    """

    def __init__(self, folder: Path) -> None:
        """Knows nothing but its folder."""
        self.environment = {
            # Not those of a job that the tests run in themselves.
            **{k: v for k, v in os.environ.items() if not k.startswith("SLURM")},
            "PATH": PATH,
            "SLURM_CONF": str(folder / "slurm.conf"),
        }

    def call(self, *command: str | Path) -> str:
        """Runs a command of SLURM; returns what it prints."""
        result = subprocess.run(
            list(map(str, command)),
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.returncode == 0, (command, result.stderr)
        return result.stdout.strip()

    def submit(self, *arguments: str | Path) -> str:
        """Submits a job with sbatch; returns its id. Without --output it has none."""
        return self.call("sbatch", "--parsable", "--output=/dev/null", *arguments)

    def job(self, job_id: str) -> dict[str, str]:
        """Returns what the controller says of a job."""
        text = self.call("scontrol", "show", "job", job_id)
        return dict(re.findall(r"(\w+)=(\S*)", text))

    def lose_node(self) -> None:
        """Takes node0 down, and gives it back once its jobs are gone."""
        node = "nodename=node0"
        self.call("scontrol", "update", node, "state=down", "reason=test")
        # A socket of each process that watches a step: while it is there, slurmd takes
        # the job for one that runs.
        folder = Path(self.environment["SLURM_CONF"]).parent
        wait_for(lambda: not any(folder.glob("spool_node0/node0_*")), STOP_SECS)
        self.call("scontrol", "update", node, "state=resume")

    def state(self, job_id: str) -> str:
        """Returns the state of a job, e.g. RUNNING."""
        return self.job(job_id)["JobState"]


def job_processes(folder: Path) -> set[int]:
    """Returns the processes of a cluster's jobs, wherever they hide."""
    config = str(folder / "slurm.conf")
    return {
        pid
        for pid in process_tree.with_variable("SLURM_CONF", config)
        if "SLURM_JOB_ID" in process_tree.environ(pid)
    }


@contextlib.contextmanager
def running_cluster(num_nodes: int = 1, *, confines: bool = False) -> Iterator[Cluster]:
    """Starts a cluster; ends its jobs and daemons.

    Args:
      num_nodes: 1: node0 has both CPUs. 2: node0 and node1 have one each.
      confines: Whether jobs are in control groups; see `can_confine`.

    Yields:
      The cluster; all of its nodes are idle.
    """
    # A short name: sockets are in it.
    folder = Path(tempfile.mkdtemp(prefix="sac_slurm_"))
    folder.chmod(0o755)
    daemons: list[subprocess.Popen[bytes]] = []
    cluster = Cluster(folder)
    try:
        _write_files(folder, num_nodes, confines)
        with (folder / "output").open("wb") as output:
            for command in _daemons(folder, num_nodes):
                daemon = subprocess.Popen(
                    command,
                    env=cluster.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                daemons.append(daemon)
                if command[0] == "munged":
                    wait_for((folder / "munge" / "socket").exists, START_SECS)
        wait_for(lambda: _is_idle(cluster, num_nodes), START_SECS)
        yield cluster
    finally:
        _end(cluster, folder, daemons)
        if confines:
            _remove_control_groups()
        shutil.rmtree(folder)


def can_confine() -> bool:
    """Returns whether this user may make control groups (version 1) of CPUs here."""
    return os.access(CGROUP_ROOT / "cpuset", os.W_OK)


def _remove_control_groups() -> None:
    """Removes what SLURM leaves of them: empty folders."""
    for group in CGROUP_ROOT.glob("*/slurm_node*"):
        for folder in sorted(group.rglob("*/"), reverse=True):
            if folder.is_dir():
                folder.rmdir()
        group.rmdir()


def _write_files(folder: Path, num_nodes: int, confines: bool) -> None:
    (folder / "munge").mkdir()
    key = folder / "munge" / "key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    (folder / "controller").mkdir()
    host = socket.gethostname().partition(".")[0]
    config = CONFIG.format(
        host=host,
        port=ports.choose_port(),
        user=subprocess.run(
            ["id", "-un"], capture_output=True, text=True, check=True
        ).stdout.strip(),
        folder=folder,
        kill_wait_secs=KILL_WAIT_SECS,
        **(CONTROL_GROUPS if confines else AFFINITY),
    )
    for index in range(num_nodes):
        (folder / f"spool_node{index}").mkdir()
        # The others are the other node's: they are reserved.
        reserved = f"CpuSpecList={1 - index} " if num_nodes > 1 else ""
        config += (
            f"NodeName=node{index} NodeHostname={host} NodeAddr=127.0.0.1 "
            f"Port={ports.choose_port()} CPUs=2 Boards=1 SocketsPerBoard=1 "
            f"CoresPerSocket=2 ThreadsPerCore=1 {reserved}State=UNKNOWN\n"
        )
    (folder / "slurm.conf").write_text(config)
    cgroup_config = "CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n"
    if confines:
        cgroup_config += "ConstrainCores=yes\nConstrainRAMSpace=no\n"
    (folder / "cgroup.conf").write_text(cgroup_config)


def _daemons(folder: Path, num_nodes: int) -> Iterator[list[str]]:
    munge = folder / "munge"
    yield [
        "munged",
        "--foreground",
        "--force",
        "--num-threads=2",
        f"--socket={munge}/socket",
        f"--key-file={munge}/key",
        f"--log-file={munge}/log",
        f"--pid-file={munge}/pid",
        f"--seed-file={munge}/seed",
    ]
    yield ["slurmctld", "-D", "-c"]
    for index in range(num_nodes):
        yield ["slurmd", "-D", "-N", f"node{index}"]


def _is_idle(cluster: Cluster, num_nodes: int) -> bool:
    result = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--partition=low", "--format=%T"],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout.split() == ["idle"] * num_nodes


def _end(
    cluster: Cluster, folder: Path, daemons: list[subprocess.Popen[bytes]]
) -> None:
    try:
        if all(daemon.poll() is None for daemon in daemons):
            subprocess.run(
                ["scancel", "--me"], env=cluster.environment, check=False, timeout=30
            )
            wait_for(lambda: not cluster.call("squeue", "--noheader"), STOP_SECS)
    finally:
        process_tree.send(job_processes(folder), signal.SIGKILL)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
            daemon.wait()
        # Those that watch a job outlive slurmd.
        config = cluster.environment["SLURM_CONF"]
        left = process_tree.with_variable("SLURM_CONF", config)
        process_tree.send(left, signal.SIGKILL)
        wait_for(lambda: not process_tree.with_variable("SLURM_CONF", config))
