"""How long a stop takes: the times that launcher and learner agree on, in seconds."""

from __future__ import annotations

# A process that has nothing to save.
STOP_GRACE_SECS = 4.0
# From the learner's SIGTERM until it has stopped, or writes its last checkpoint.
LEARNER_GRACE_SECS = 8.0
# Within that, how long the learner waits for the gradient step that is under way.
GRADIENT_STEP_GRACE_SECS = LEARNER_GRACE_SECS / 2
# The last checkpoint of a large replay, for as long as the learner says that it writes.
CHECKPOINT_GRACE_SECS = 600.0
