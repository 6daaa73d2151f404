"""The replay server: Reverb with the experience and the newest policy.

It reads the newest joint checkpoint; the learner has it write new ones.
"""

from __future__ import annotations

import reverb

from tfagents_system.algorithm.specs import Specs
from tfagents_system.dataflow import rate_limiter, replay, rows
from tfagents_system.experiment import services, snapshots
from tfagents_system.experiment.run_file import Run
from tfagents_system.experiment.status_file import Phase, ReplayServerStatus
from tfagents_system.experiment.status_writer import StatusWriter
from tfagents_system.host import ports
from tfagents_system.learning import checkpoint
from tfagents_system.processes import startup

POLL_SECS = 1.0


def main() -> int:
    """Serves until it is told to stop."""
    experiment = startup.open_experiment()
    status = StatusWriter(experiment, services.REPLAY_SERVER, ReplayServerStatus)
    run = Run.load(experiment)
    params = snapshots.load(experiment)
    codec = rows.RowCodec.of(params, Specs.load(experiment.specs))
    tables = replay.make_tables(codec, rate_limiter.make_pacing(params, codec))

    # Two Reverb servers can share a port without a word, and split the data.
    ports.check_free(run.reverb_port)
    if checkpoint.restore_replay_files(experiment, codec, tables[0]) is not None:
        status.enter(Phase.LOADING)
    _server = reverb.Server(  # Serves as long as it is referenced.
        tables=tables,
        port=run.reverb_port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(experiment.replay)),
    )
    client = replay.connect(run.reverb_port)
    # Not server.wait(): it waits in C++, where a signal's handler would never run.
    while True:
        info = replay.read_replay(client)
        if info is not None:
            with status.edit() as value:
                value.env_steps = info.num_inserts
                value.num_samples = info.num_samples
                value.num_rows = info.num_rows
            # Only now: before, the counts were those of a former process.
            status.enter(Phase.SERVING)
        if startup.STOP.wait(POLL_SECS):
            break
    status.enter(Phase.STOPPED)
    # Nothing is left to save: the learner has had it write the checkpoint.
    startup.end_process(0)
