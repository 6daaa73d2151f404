"""How collecting and learning keep each other's pace.

Reverb's rate limiter keeps `inserts * samples_per_insert - samples` within bounds:
a learner that runs ahead waits for experience, workers that run ahead wait for the
learner. All numbers follow from what an iteration is.
"""

from __future__ import annotations

import dataclasses

from tfagents_system.dataflow.rows import RowCodec
from tfagents_system.settings.hyperparameters import Hyperparameters

# Fetches that the input pipeline holds beyond `prefetch_batches`: one in Reverb's
# sampler, one being assembled, one ready, one in use. Reverb counts them as sampled.
_PIPELINE_FETCHES = 4


@dataclasses.dataclass(frozen=True)
class Pacing:
    """Sizes and ratio of the experience table, in transitions.

    Attributes:
      capacity: Transitions that the replay holds; the oldest go first.
      min_size: Transitions before the first sample.
      samples_per_insert: Transitions sampled for each one inserted.
      slack_samples: How far learning may run ahead of or behind that ratio.
      prefetched_samples: The most that have been sampled and not been trained on.
    """

    capacity: int
    min_size: int
    samples_per_insert: float
    slack_samples: float
    prefetched_samples: float = 0.0


def warm_up_rows(params: Hyperparameters) -> int:
    """Returns the transitions in the replay before the first gradient step."""
    return int(params.n_buffer_init_episodes * params.env_config["horizon"])


def batches_per_fetch(params: Hyperparameters, codec: RowCodec) -> int:
    """Returns how many batches the learner samples at once.

    Where iterations are short these are fewer: what is fetched ahead is then no more
    than half an iteration, if one batch at once makes it so.

    Args:
      params: The user's `TrainParams`.
      codec: Layout of the rows.
    """
    room = params.num_steps_per_iter // 2 - params.prefetch_batches
    return max(1, min(codec.max_batches_per_fetch, room // _PIPELINE_FETCHES))


def make_pacing(params: Hyperparameters, codec: RowCodec) -> Pacing:
    """Derives the pacing from the iteration.

    An iteration is `n_train_episodes_per_iter * horizon` env steps by all workers
    together and `num_steps_per_iter` gradient steps; one iteration of slack each way
    lets collecting and learning overlap. It is more only where an iteration has fewer
    gradient steps than there are batches fetched ahead.

    Args:
      params: The user's `TrainParams`.
      codec: Layout of the rows.
    """
    horizon = params.env_config["horizon"]
    env_steps_per_iter = params.n_train_episodes_per_iter * horizon
    rows_per_batch = codec.rows_per_batch(params.train_batch_size)
    samples_per_iter = params.num_steps_per_iter * rows_per_batch
    pipeline_batches = _PIPELINE_FETCHES * batches_per_fetch(params, codec)
    prefetched = (params.prefetch_batches + pipeline_batches) * rows_per_batch
    samples_per_insert = samples_per_iter / env_steps_per_iter
    # Reverb needs room for an insert and for a sample.
    room = 2 * codec.rows_per_item * (1 + samples_per_insert)
    return Pacing(
        capacity=params.n_episodes_in_buffer * horizon,
        min_size=warm_up_rows(params),
        samples_per_insert=samples_per_insert,
        slack_samples=float(max(samples_per_iter, prefetched + room)),
        prefetched_samples=float(prefetched),
    )
