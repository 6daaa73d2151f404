"""What a user subclasses: hyperparameters, environment, and the builders of SAC.

A params file holds a subclass named `TrainParams`. Only `env_ctor` must be written;
everything else has a default. Importing this module does not import TensorFlow: the
builders import what they need when they are called.
"""

from __future__ import annotations

import abc
import logging
import os
from typing import Any, Callable, Optional

# The observers of a worker: observers get each `Trajectory`, transition observers
# each `(time_step, policy_step, next_time_step)`, metrics each `Trajectory`; metrics
# and transition observers with a `result()` are written to TensorBoard.
Observers = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


class TrainParamsBase(abc.ABC):
    """Hyperparameters and builders; subclass it as `TrainParams`.

    Any attribute can also be set by name in the JSON, under `train_params`. An
    episode in the names below counts as `horizon` env steps, however early the
    episodes of the environment end.

    Attributes:
      env_config: The JSON of SAC_CONFIG as a dict, with `horizon` (env steps).
      compute_config: `n_parallel_workers`, from SAC_NUM_COLLECT_WORKERS.
    """

    # Agent. Defaults of the archived system unless a line says otherwise.
    #: Discount factor gamma of the return, in (0, 1].
    discount: float = 0.99
    #: Learning rate of the critics (Adam).
    critic_learning_rate: float = 3e-4
    #: Learning rate of the actor (Adam).
    actor_learning_rate: float = 3e-4
    #: Learning rate of the entropy coefficient alpha (Adam).
    alpha_learning_rate: float = 3e-4
    #: How these learning rates change: "constant", or down to 0 over the
    #: num_iter * num_steps_per_iter gradient steps of the training, "linear" or
    #: "cosine" (half a period).
    learning_rate_schedule: str = "constant"
    #: Weight of the new critic in each update of the target critic, in (0, 1].
    target_update_tau: float = 0.005
    #: Gradient steps between updates of the target critics.
    target_update_period: int = 1
    #: Norm to which gradients are clipped; None: not clipped.
    gradient_clipping: Optional[float] = None
    #: Initial log(alpha).
    sac_log_alpha: float = 1.0
    #: Entropy that alpha is tuned to, in nats; None: -dim(action) / 2, TF-Agents'
    #: default. The SAC paper uses -dim(action).
    target_entropy: Optional[float] = None
    #: Factor on the rewards in the critic's targets.
    reward_scale_factor: float = 1.0
    #: Env steps that a transition in the replay leads ahead (n-step returns).
    n_step_returns: int = 1

    # Networks.
    #: Units of the actor's hidden layers.
    actor_fc_layer_params: tuple[int, ...] = (256, 256)
    #: Units of the critics' hidden layers, after observation and action are joined.
    critic_joint_fc_layer_params: tuple[int, ...] = (256, 256)
    #: Activation of the hidden layers, by its name in Keras.
    activation: str = "relu"
    #: Nest of Keras layers like the observation: what turns each of its arrays, or
    #: parts, into a vector. Each network gets its own copies. None, without a combiner
    #: either: convolutions for uint8 images, the rest is cast and flattened, all is
    #: joined.
    preprocessing_layers: Any = None
    #: Keras layer that turns a nested observation into one vector, or what the
    #: preprocessing_layers return (a list); None: they are concatenated.
    preprocessing_combiner: Any = None
    #: Scale observations (floats, no images) to mean 0 and variance 1, by statistics
    #: of the batches that the learner samples, and clip them to [-10, 10].
    normalize_observations: bool = False
    #: Recurrent networks: an LSTM follows the hidden layers of actor and critics, and
    #: batches are of sequences.
    recurrent: bool = False
    #: Length of the training sequences of recurrent networks, env steps.
    recurrent_sequence_length: int = 20
    #: Units of their LSTM.
    recurrent_lstm_units: int = 256

    #: Seed of the workers: environments and exploration. The learner is not seeded.
    seed: int = 0

    # The iteration: collect, train, publish.
    #: Iterations of the whole training.
    num_iter: int = 1000
    #: Gradient steps of an iteration.
    num_steps_per_iter: int = 50
    #: Episodes collected in an iteration, by all workers together.
    n_train_episodes_per_iter: int = 1
    #: Transitions, or sequences, in the batch of a gradient step.
    train_batch_size: int = 256

    # Replay.
    #: Capacity of the replay, episodes.
    n_episodes_in_buffer: int = 350
    #: Episodes in the replay before the first gradient step.
    n_buffer_init_episodes: int = 30
    #: Collect these first episodes with uniformly random actions.
    seed_sac_buffer: bool = True
    #: Batches that the learner fetches ahead.
    prefetch_batches: int = 3

    # Evaluation, logs and checkpoints.
    #: Episodes of an evaluation, by each worker.
    n_eval_episodes: int = 5
    #: Iterations between evaluations; 0: never.
    eval_period_itrs: int = 250
    #: Iterations between summaries of the learner.
    log_period_itrs: int = 10
    #: Iterations between checkpoints.
    checkpoint_period_itrs: int = 250
    #: Newest policy checkpoints to keep, beside the one nearest to the best evaluation;
    #: 0: all.
    n_policy_checkpoints: int = 20

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
        self.logger = logging.getLogger("tfagents_system")

    @abc.abstractmethod
    def env_ctor(self, seed: Optional[int] = None, *args: Any, **kwargs: Any) -> Any:
        """Builds an environment.

        Args:
          seed: Seed of the environment, different in each worker and restart.
          *args: From `collect_env_args_kwargs` or `eval_env_args_kwargs`.
          **kwargs: From the same.

        Returns:
          A `tf_agents.environments.py_environment.PyEnvironment`, or an environment
          of gym, gymnasium or dm_control. With a curriculum it must have
          `set_state(dict)`.
        """

    def collect_env_args_kwargs(
        self, *args: Any, **kwargs: Any
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns `(args, kwargs)` for `env_ctor` of an environment to collect in.

        Called with `id=`, the worker's number; an override need not take it.
        """
        return (), {}

    def eval_env_args_kwargs(
        self, *args: Any, **kwargs: Any
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns `(args, kwargs)` for `env_ctor` of an environment to evaluate in.

        Called with `id=`, the worker's number, and `collect_env=`, that worker's
        environment to collect in; an override need not take them.
        """
        return (), {}

    def actor_ctor(self, observation_spec: Any, action_spec: Any) -> Any:
        """Builds the actor: observation in, squashed normal over actions out.

        Args:
          observation_spec: Nest of TensorSpec, without batch dimension.
          action_spec: BoundedTensorSpec of the action.

        Returns:
          A `tf_agents.networks.network.DistributionNetwork`.
        """
        from tfagents_system.algorithm import networks, recurrent

        arguments: dict[str, Any] = {
            "fc_layer_params": self.actor_fc_layer_params,
            "preprocessing_layers": self.preprocessing_layers,
            "preprocessing_combiner": self.preprocessing_combiner,
            "activation": self.activation,
        }
        if self.recurrent:
            return recurrent.make_actor(
                observation_spec,
                action_spec,
                lstm_units=self.recurrent_lstm_units,
                **arguments,
            )
        return networks.make_actor(observation_spec, action_spec, **arguments)

    def critic_ctor(self, observation_spec: Any, action_spec: Any) -> Any:
        """Builds a critic: (observation, action) in, Q value of shape (B,) out.

        Args:
          observation_spec: Nest of TensorSpec, without batch dimension.
          action_spec: BoundedTensorSpec of the action.

        Returns:
          A `tf_agents.networks.network.Network`.
        """
        from tfagents_system.algorithm import networks, recurrent

        arguments: dict[str, Any] = {
            "joint_fc_layer_params": self.critic_joint_fc_layer_params,
            "preprocessing_layers": self.preprocessing_layers,
            "preprocessing_combiner": self.preprocessing_combiner,
            "activation": self.activation,
        }
        if self.recurrent:
            return recurrent.make_critic(
                observation_spec,
                action_spec,
                lstm_units=self.recurrent_lstm_units,
                **arguments,
            )
        return networks.make_critic(observation_spec, action_spec, **arguments)

    def agent_ctor(
        self, train_step: Any, obs_spec: Any, action_spec: Any, time_step_spec: Any
    ) -> Any:
        """Builds the agent.

        Args:
          train_step: int64 tf.Variable that counts gradient steps.
          obs_spec: Nest of TensorSpec of the observation.
          action_spec: BoundedTensorSpec of the action.
          time_step_spec: TimeStep of TensorSpec.

        Returns:
          A `tf_agents.agents.SacAgent`.
        """
        from tfagents_system.algorithm import sac

        return sac.make_agent(
            time_step_spec,
            action_spec,
            actor_network=self.actor_ctor(obs_spec, action_spec),
            critic_network=self.critic_ctor(obs_spec, action_spec),
            train_step=train_step,
            discount=self.discount,
            actor_learning_rate=self.actor_learning_rate,
            critic_learning_rate=self.critic_learning_rate,
            alpha_learning_rate=self.alpha_learning_rate,
            learning_rate_schedule=self.learning_rate_schedule,
            total_train_steps=self.num_iter * self.num_steps_per_iter,
            target_update_tau=self.target_update_tau,
            target_update_period=self.target_update_period,
            gradient_clipping=self.gradient_clipping,
            initial_log_alpha=self.sac_log_alpha,
            target_entropy=self.target_entropy,
            reward_scale_factor=self.reward_scale_factor,
            normalize_observations=self.normalize_observations,
            agent_class=self.agent_class(),
        )

    def agent_class(self) -> Any:
        """Returns the class of the agent: `ShardedSacAgent`, or a subclass of it."""
        from tfagents_system.algorithm import sac

        return sac.ShardedSacAgent

    def train_observers_ctor(
        self, reverb_port: int, collect_only: bool = False
    ) -> Observers:
        """Builds what observes the training episodes of a worker.

        The transitions reach the replay without an observer, and returns, lengths
        and rates are always logged; this is for metrics of your own.

        Args:
          reverb_port: TCP port of the replay server on this machine.
          collect_only: Leave out the metrics (the archived system's meaning).

        Returns:
          `(observers, transition_observers, metrics)`, each by name.
        """
        return {}, {}, {}

    def eval_observers_ctor(self) -> Observers:
        """Builds what observes the evaluation episodes; as `train_observers_ctor`."""
        return {}, {}, {}


# What each attribute must fulfil beyond its type, and how to say it.
POSITIVE = (lambda value: value > 0, "must be greater than 0")
NOT_NEGATIVE = (lambda value: value >= 0, "must be 0 or more")
FRACTION = (lambda value: 0 < value <= 1, "must be in (0, 1]")
LAYERS = (
    lambda value: all(units > 0 for units in value),
    "must hold layer sizes greater than 0",
)

# The names of tf.keras.activations, which this module must not import.
ACTIVATIONS = (
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


def one_of(*names: str) -> tuple[Callable[[Any], bool], str]:
    """Returns the check that a value is one of some names."""
    return (lambda value: value in names, f"must be one of {', '.join(names)}")


def _are_layers(nest: Any) -> bool:
    """Returns whether all leaves may be Keras layers: what can be called."""
    if isinstance(nest, (dict, list, tuple)):
        values = nest.values() if isinstance(nest, dict) else nest
        return bool(nest) and all(map(_are_layers, values))
    return callable(nest)


CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "discount": FRACTION,
    "critic_learning_rate": POSITIVE,
    "actor_learning_rate": POSITIVE,
    "alpha_learning_rate": POSITIVE,
    "learning_rate_schedule": one_of("constant", "linear", "cosine"),
    "target_update_tau": FRACTION,
    "target_update_period": POSITIVE,
    "gradient_clipping": POSITIVE,
    "reward_scale_factor": POSITIVE,
    "n_step_returns": POSITIVE,
    "actor_fc_layer_params": LAYERS,
    "critic_joint_fc_layer_params": LAYERS,
    "activation": one_of(*ACTIVATIONS),
    "preprocessing_layers": (
        _are_layers,
        "must be a Keras layer, or a nest of them like the observation",
    ),
    "preprocessing_combiner": (callable, "must be a Keras layer"),
    "recurrent_sequence_length": POSITIVE,
    "recurrent_lstm_units": POSITIVE,
    "seed": NOT_NEGATIVE,
    "num_iter": POSITIVE,
    "num_steps_per_iter": POSITIVE,
    "n_train_episodes_per_iter": POSITIVE,
    "train_batch_size": POSITIVE,
    "n_episodes_in_buffer": POSITIVE,
    "n_buffer_init_episodes": POSITIVE,
    "prefetch_batches": POSITIVE,
    "n_eval_episodes": POSITIVE,
    "eval_period_itrs": NOT_NEGATIVE,
    "log_period_itrs": POSITIVE,
    "checkpoint_period_itrs": POSITIVE,
    "n_policy_checkpoints": NOT_NEGATIVE,
}
