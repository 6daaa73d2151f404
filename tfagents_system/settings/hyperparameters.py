"""Every hyperparameter once: its type, check and default, and what it means.

`TrainParamsBase` derives from `Hyperparameters`, so each of them is an attribute of a
user's `TrainParams`, and can be set by name under `train_params` in the JSON.
docs/configuration.md is made from this file by scripts/make_config_reference.py.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import typing
from typing import Annotated, Any, Optional

from tfagents_system.settings.checks import (
    FRACTION,
    KERAS_LAYER,
    KERAS_LAYERS,
    LAYER_SIZES,
    NOT_NEGATIVE,
    POSITIVE,
    one_of,
)

LEARNING_RATE_SCHEDULE = one_of("constant", "linear", "cosine")
CRITIC_LOSS = one_of("squared", "log_cosh")
# The names of tf.keras.activations, which this module must not import.
ACTIVATION = one_of(
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "linear",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
)


@dataclasses.dataclass(frozen=True)
class Execution:
    """How a process computes gradient steps. Set by the framework, not by users.

    Attributes:
      num_batch_shards: Parts of a batch whose gradients are computed in parallel.
      noise_seed: Makes the noise of the losses a function of this seed and of
        train_step, so that a resumed training draws what it would have drawn. None:
        TensorFlow's own random state.
    """

    num_batch_shards: int = 1
    noise_seed: int | None = None


class Hyperparameters:
    """What can be set for a training.

    An episode in the names below counts as `horizon` env steps, however early the
    episodes of the environment end.

    Attributes:
      env_config: The JSON of SAC_CONFIG as a dict, with `horizon` (env steps).
      compute_config: `n_parallel_workers`, from SAC_NUM_COLLECT_WORKERS.
      execution: How this process computes gradient steps.
    """

    # Agent. The defaults are the archived system's unless a line says otherwise.
    #: Discount factor gamma of the return.
    discount: Annotated[float, FRACTION] = 0.99
    #: Learning rate of the critics (Adam).
    critic_learning_rate: Annotated[float, POSITIVE] = 3e-4
    #: Learning rate of the actor (Adam).
    actor_learning_rate: Annotated[float, POSITIVE] = 3e-4
    #: Learning rate of the entropy coefficient alpha (Adam).
    alpha_learning_rate: Annotated[float, POSITIVE] = 3e-4
    #: How these learning rates change: "constant", or down to 0 over the
    #: num_iter * num_steps_per_iter gradient steps of the training, "linear" or
    #: "cosine" (half a period).
    learning_rate_schedule: Annotated[str, LEARNING_RATE_SCHEDULE] = "constant"
    #: Weight of the new critic in each update of the target critic.
    target_update_tau: Annotated[float, FRACTION] = 0.005
    #: Gradient steps between updates of the target critics.
    target_update_period: Annotated[int, POSITIVE] = 1
    #: Norm to which gradients are clipped; None: not clipped.
    gradient_clipping: Annotated[Optional[float], POSITIVE] = None
    #: Initial log(alpha).
    sac_log_alpha: float = 1.0
    #: Entropy that alpha is tuned to, in nats; None: -dim(action) / 2, TF-Agents'
    #: default. The SAC paper uses -dim(action).
    target_entropy: Optional[float] = None
    #: Factor on the rewards in the critic's targets.
    reward_scale_factor: Annotated[float, POSITIVE] = 1.0
    #: Loss of the critics' errors: "squared", or "log_cosh", linear in large errors.
    critic_loss: Annotated[str, CRITIC_LOSS] = "squared"
    #: Env steps between the two observations of a transition in the replay (n-step
    #: returns).
    n_step_returns: Annotated[int, POSITIVE] = 1

    # Networks.
    #: Units of the actor's hidden layers; of a recurrent one: of the layer before the
    #: LSTM and of the LSTM, and of the layer behind it.
    actor_fc_layer_params: Annotated[tuple[int, ...], LAYER_SIZES] = (256, 256)
    #: Units of the critics' hidden layers, after observation and action are joined; of
    #: recurrent ones: of the layer before the LSTM, and of the LSTM, behind which are
    #: 200 and 100.
    critic_joint_fc_layer_params: Annotated[tuple[int, ...], LAYER_SIZES] = (256, 256)
    #: Activation of the hidden layers, by its name in Keras.
    activation: Annotated[str, ACTIVATION] = "relu"
    #: Nest of Keras layers like the observation: each turns one of its arrays, or
    #: parts, into a vector. Each network gets its own copies. None, without a combiner
    #: either: convolutions for uint8 images, everything else is cast and flattened,
    #: and all vectors are joined.
    preprocessing_layers: Annotated[Any, KERAS_LAYERS] = None
    #: Keras layer that turns a nested observation, or the list of what the
    #: preprocessing_layers return, into one vector; None: they are concatenated.
    preprocessing_combiner: Annotated[Any, KERAS_LAYER] = None
    #: Scale observations (floats, no images) to mean 0 and variance 1, by statistics
    #: of the batches that the learner samples, and clip them to [-10, 10].
    normalize_observations: bool = False
    #: Recurrent networks: an LSTM lies between the hidden layers of actor and critics,
    #: and batches are of sequences.
    recurrent: bool = False
    #: Length of the training sequences of recurrent networks, env steps.
    recurrent_sequence_length: Annotated[int, POSITIVE] = 20

    #: Seed of the initial weights and of the workers: environments and exploration.
    seed: Annotated[int, NOT_NEGATIVE] = 0

    # The iteration: collect, train, publish.
    #: Iterations of the whole training.
    num_iter: Annotated[int, POSITIVE] = 1000
    #: Gradient steps of an iteration.
    num_steps_per_iter: Annotated[int, POSITIVE] = 50
    #: Episodes collected in an iteration, by all workers together.
    n_train_episodes_per_iter: Annotated[int, POSITIVE] = 1
    #: Transitions, or sequences, in the batch of a gradient step.
    train_batch_size: Annotated[int, POSITIVE] = 256

    # Replay.
    #: Capacity of the replay, episodes.
    n_episodes_in_buffer: Annotated[int, POSITIVE] = 350
    #: Episodes in the replay before the first gradient step.
    n_buffer_init_episodes: Annotated[int, POSITIVE] = 30
    #: Collect these first episodes with uniformly random actions.
    seed_sac_buffer: bool = True
    #: Batches that the learner fetches ahead.
    prefetch_batches: Annotated[int, POSITIVE] = 3

    # Evaluation, logs and checkpoints.
    #: Episodes of an evaluation, by each worker.
    n_eval_episodes: Annotated[int, POSITIVE] = 5
    #: Iterations between evaluations; 0: never.
    eval_period_itrs: Annotated[int, NOT_NEGATIVE] = 250
    #: Iterations between summaries of the learner.
    log_period_itrs: Annotated[int, POSITIVE] = 10
    #: Iterations between checkpoints.
    checkpoint_period_itrs: Annotated[int, POSITIVE] = 250
    #: Newest policy checkpoints to keep, beside the one nearest to the best evaluation;
    #: 0: all.
    n_policy_checkpoints: Annotated[int, NOT_NEGATIVE] = 20

    def __init__(self, env_config: dict[str, Any]) -> None:
        """Keeps the configuration; a subclass calls this before it sets attributes.

        Args:
          env_config: The JSON of SAC_CONFIG as a dict.
        """
        self.env_config = env_config
        # The launcher replaces `auto` by the number; evaluation alone has one worker.
        workers = os.environ.get("SAC_NUM_COLLECT_WORKERS", "")
        self.compute_config = {
            "n_parallel_workers": int(workers) if workers.isdecimal() else 1
        }
        self.execution = Execution()
        self.logger = logging.getLogger("tfagents_system")

    @property
    def total_train_steps(self) -> int:
        """Gradient steps of the whole training."""
        return self.num_iter * self.num_steps_per_iter

    def iteration_at(self, train_step: int) -> int:
        """Returns the index of the iteration that a gradient step belongs to."""
        return train_step // self.num_steps_per_iter


# The annotation of each hyperparameter, by name, in the order above.
HINTS: dict[str, Any] = {
    name: hint
    for name, hint in typing.get_type_hints(
        Hyperparameters, include_extras=True
    ).items()
    if hasattr(Hyperparameters, name)
}
