"""The replay server: Reverb with the experience and the newest policy.

Reads the newest joint checkpoint; the learner has it write new ones.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType

from tfagents_system.launcher.topology import REPLAY_SERVER
from tfagents_system.processes import startup

logger = logging.getLogger(__name__)
POLL_SECS = 1.0


def main() -> int:
    """Serves until SIGTERM."""
    args = startup.make_parser(__doc__ or "").parse_args()
    startup.begin(REPLAY_SERVER)

    import reverb

    from tfagents_system.algorithm.specs import Specs
    from tfagents_system.dataflow import rate_limiter, replay, rows
    from tfagents_system.experiment.directory import Experiment
    from tfagents_system.host import ports
    from tfagents_system.learning import checkpoint

    stop = threading.Event()

    def on_signal(signum: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)

    experiment = Experiment(args.exp_dir)
    status = startup.Status(experiment, REPLAY_SERVER)
    run, params = startup.load_run(experiment)
    codec = rows.RowCodec.of(params, Specs.load(experiment.specs))
    tables = replay.make_tables(codec, rate_limiter.make_pacing(params, codec))

    # Two Reverb servers can share a port without a word, and split the data.
    ports.check_free(run.reverb_port)
    generation = checkpoint.restore_replay_files(experiment, codec, tables[0])
    if generation is not None:
        status.set_state(f"loading the replay of {generation.path.name}")
    _server = reverb.Server(  # Serves for as long as it is referenced.
        tables=tables,
        port=run.reverb_port,
        checkpointer=reverb.checkpointers.DefaultCheckpointer(str(experiment.replay)),
    )
    client = replay.connect(run.reverb_port)
    # Not server.wait(): it sits in C++, where SIGTERM's handler would never run.
    while True:
        info = replay.read_replay(client)
        if info is not None:
            status.report_progress(
                env_steps=info.num_inserts, num_samples=info.num_samples
            )
            status.update(num_rows=info.num_rows)
            # Only now: the counts of a former process are not so any more.
            status.set_state("serving")
        if stop.wait(POLL_SECS):
            break
    status.set_state("stopped")
    # Reverb's own shutdown waits for its clients, and there is nothing left to save:
    # the learner has had it write the checkpoint.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(startup.run_service(main))
