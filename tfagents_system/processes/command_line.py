"""The flags of each process, which are read before its slow imports."""

from __future__ import annotations

from absl import flags

from tfagents_system.experiment import services


def define_flags(name: str) -> None:
    """Defines the flags of a process; `absl.flags.FLAGS` has their values.

    Args:
      name: One of `startup.PROCESSES`.
    """
    flags.DEFINE_string("exp_dir", None, "The experiment directory.", required=True)
    if name == services.COLLECT_WORKER:
        flags.DEFINE_integer(
            "worker",
            None,
            "Number of the worker, from 0.",
            required=True,
            lower_bound=0,
        )
    if name == services.PREPARE:
        flags.DEFINE_string("params", None, "The params file.", required=True)
        flags.DEFINE_string("config", None, "The JSON.", required=True)
        flags.DEFINE_string(
            "train_params", "{}", "train_params that win over those of the JSON; JSON."
        )
        # The launcher looks for it: the user's code may end the process with code 0.
        # Not a file, for the disk may be full.
        flags.DEFINE_integer(
            "result_fd",
            None,
            "Where to write the bytes of the full replay: a descriptor.",
        )
