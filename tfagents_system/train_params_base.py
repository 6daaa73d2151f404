"""What a user subclasses: hyperparameters, environment, and the builders of SAC.

A params file holds a subclass named `TrainParams`. Only `env_ctor` must be written;
everything else has a default. Importing this module does not import TensorFlow: the
builders import what they need when they are called.
"""

from __future__ import annotations

import abc
from typing import Any

from tfagents_system.settings import default_observers
from tfagents_system.settings.default_observers import Observers, ReplayObserver
from tfagents_system.settings.hyperparameters import Hyperparameters


class TrainParamsBase(Hyperparameters, abc.ABC):
    """Subclass it as `TrainParams`.

    Its attributes are the hyperparameters of `settings/hyperparameters.py`: set them
    in `__init__` after `super().__init__(env_config)`, or by name in the JSON under
    `train_params`.

    Attributes:
      env_config: The JSON of SAC_CONFIG as a dict, with `horizon` (env steps).
      compute_config: `n_parallel_workers`, from SAC_NUM_COLLECT_WORKERS.
      replay_observer: `replay_buffer` of the last call of `train_observers_ctor`.
    """

    def __init__(self, env_config: dict[str, Any]) -> None:
        """As `Hyperparameters`."""
        super().__init__(env_config)
        self.replay_observer: ReplayObserver | None = None

    @abc.abstractmethod
    def env_ctor(self, seed: int | None = None, *args: Any, **kwargs: Any) -> Any:
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
        from tfagents_system.algorithm import networks as feed_forward
        from tfagents_system.algorithm import recurrent

        module = recurrent if self.recurrent else feed_forward
        return module.make_actor(self, observation_spec, action_spec)

    def critic_ctor(self, observation_spec: Any, action_spec: Any) -> Any:
        """Builds a critic: (observation, action) in, Q value of shape (B,) out.

        Args:
          observation_spec: Nest of TensorSpec, without batch dimension.
          action_spec: BoundedTensorSpec of the action.

        Returns:
          A `tf_agents.networks.network.Network`.
        """
        from tfagents_system.algorithm import networks as feed_forward
        from tfagents_system.algorithm import recurrent

        module = recurrent if self.recurrent else feed_forward
        return module.make_critic(self, observation_spec, action_spec)

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
            self,
            time_step_spec,
            action_spec,
            actor_network=self.actor_ctor(obs_spec, action_spec),
            critic_network=self.critic_ctor(obs_spec, action_spec),
            train_step=train_step,
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
        and rates are always logged: this is for metrics of your own. Observers and
        metrics get each `Trajectory`, transition observers each `(time_step,
        policy_step, next_time_step)`; metrics and transition observers with a
        `result()` are written to TensorBoard.

        What the base class returns has the archived system's names. Its
        `replay_buffer` writes nothing. What is put around it or in its place must
        hand on each trajectory as it is, for it cannot change what is trained on.

        Args:
          reverb_port: TCP port of the replay server on this machine.
          collect_only: Leave out the metrics.

        Returns:
          `(observers, transition_observers, metrics)`, each by name.
        """
        self.replay_observer = ReplayObserver()
        return default_observers.of_training(
            self.replay_observer,
            self.log_period_itrs * self.n_train_episodes_per_iter,
            collect_only,
        )

    def eval_observers_ctor(self) -> Observers:
        """Builds what observes the evaluation episodes; as `train_observers_ctor`."""
        return default_observers.of_evaluation(self.n_eval_episodes)
