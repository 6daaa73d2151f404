"""How services are stopped: the signal, and how long that takes, in seconds."""

from __future__ import annotations

import signal

# Not SIGTERM: SLURM, systemd and others send that to every process of a job at once.
# A learner must be able to save after it, and the replay server to answer.
STOP_SIGNAL = signal.SIGHUP

# A process that has nothing to save.
STOP_GRACE_SECS = 4.0
# From the learner's signal until it has stopped, or writes its last checkpoint.
LEARNER_GRACE_SECS = 8.0
# Within that, how long the learner waits for the gradient step that is under way.
GRADIENT_STEP_GRACE_SECS = LEARNER_GRACE_SECS / 2
# The last checkpoint of a large replay, for as long as the learner says that it writes.
CHECKPOINT_GRACE_SECS = 600.0
