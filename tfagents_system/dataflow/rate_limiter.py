"""How collecting and learning keep each other's pace.

Reverb's rate limiter keeps `inserts * samples_per_insert - samples` within bounds:
a learner that runs ahead waits for experience, workers that run ahead wait for the
learner. All numbers follow from what an iteration is.
"""

from __future__ import annotations

import dataclasses

from tfagents_system.train_params_base import TrainParamsBase

# Some recent transitions of a worker share a Reverb item: sampling, inserting and
# storing cost by the item (docs/benchmarks.md).
ROWS_PER_ITEM = 8
# Batches that the learner samples at once. It shuffles their rows, so that next to no
# two rows of a batch come from one item.
BATCHES_PER_FETCH = 16
# Batches that the input pipeline holds beyond `prefetch_batches`: a fetch in Reverb's
# sampler, one being assembled, one ready, one in use. Reverb counts them as sampled.
PIPELINE_BATCHES = 4 * BATCHES_PER_FETCH


@dataclasses.dataclass(frozen=True)
class Pacing:
    """Sizes and ratio of the experience table, in transitions.

    Attributes:
      capacity: Transitions that the replay holds; the oldest go first.
      min_size: Transitions before the first sample.
      samples_per_insert: Transitions sampled for each one inserted.
      slack_samples: How far sampling may run ahead of or behind that ratio.
    """

    capacity: int
    min_size: int
    samples_per_insert: float
    slack_samples: float


def make_pacing(params: TrainParamsBase) -> Pacing:
    """Derives the pacing from the iteration.

    An iteration is `n_train_episodes_per_iter * horizon` env steps by all workers
    together and `num_steps_per_iter` gradient steps; about one iteration of slack
    each way lets collecting and learning overlap.
    """
    horizon = params.env_config["horizon"]
    env_steps_per_iter = params.n_train_episodes_per_iter * horizon
    samples_per_iter = params.num_steps_per_iter * params.train_batch_size
    prefetched = (params.prefetch_batches + PIPELINE_BATCHES) * params.train_batch_size
    samples_per_insert = samples_per_iter / env_steps_per_iter
    return Pacing(
        capacity=params.n_episodes_in_buffer * horizon,
        min_size=params.n_buffer_init_episodes * horizon,
        samples_per_insert=samples_per_insert,
        slack_samples=float(
            max(
                samples_per_iter,
                2 * prefetched,
                # Reverb wants room for an insert and for a sample.
                2 * ROWS_PER_ITEM * (1 + samples_per_insert),
            )
        ),
    )
