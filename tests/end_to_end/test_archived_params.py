"""A params file as ContactInsert's in the archived framework, with all its hooks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.harness import Run, evaluate, read_scalars, wait_for
from tfagents_system.experiment.services import worker_name

ENVIRONMENT = """
import json
import numpy as np
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts


class Insert(py_environment.PyEnvironment):
  def __init__(self, seed, noise_level, record=None, env_id=None):
    super().__init__()
    self._rng = np.random.RandomState(seed)
    self.noise_level = noise_level
    if record is not None and env_id is not None:
      with open(record, 'a') as f:
        f.write(json.dumps([env_id, noise_level]) + '\\n')

  def observation_spec(self):
    return {
      'obs': array_spec.ArraySpec((8, 3), np.float32),
      'aux': {'successful': array_spec.ArraySpec((), np.int32)},
    }

  def action_spec(self):
    return array_spec.BoundedArraySpec((3,), np.float32, -1.0, 1.0)

  def set_state(self, state):
    self.noise_level = state['noise_level']

  def _observe(self, successful):
    noise = self.noise_level * self._rng.normal(size=3)
    self._history = np.roll(self._history, -1, axis=0)
    self._history[-1] = self._position + noise
    return {
      'obs': self._history.astype(np.float32),
      'aux': {'successful': np.array(successful, dtype=np.int32)},
    }

  def _reset(self):
    # At least four env steps from its goal, whatever the policy has learned.
    self._position = self._rng.uniform(0.4, 1, size=3)
    self._history = np.tile(self._position, (8, 1))
    self._steps = 0
    return ts.restart(self._observe(1))

  def _step(self, action):
    self._position = self._position + 0.1 * action
    self._steps += 1
    distance = np.linalg.norm(self._position)
    successful = distance < 0.1
    observation = self._observe(successful)
    if successful or self._steps == 20:
      return ts.termination(observation, -distance)
    return ts.transition(observation, -distance)

  def render(self, mode='rgb_array'):
    image = np.zeros((64, 64, 3), dtype=np.uint8)
    row, column = (32 + 12 * self._position[:2]).astype(int)
    image[row - 3:row + 3, column - 3:column + 3] = 255
    image[-4:, :3 * self._steps] = 255  # Moves though the policy may not.
    return image
"""
PARAMS = """
import tensorflow as tf
from tf_agents.environments.py_environment import PyEnvironment
from tf_agents.policies import random_py_policy
from tfagents_system.train_params_base import TrainParamsBase
from tfagents_system.utils.comp import config_tf
from tfagents_system.utils.critic_network import CriticNetwork
from tfagents_system.utils.metric import (
    StepsWrittenMetric, SuccessRateMetric, compute)
from my_insert import Insert  # Beside this file.

config_tf(n_interop_threads=1, n_intraop_threads=1)


class PassOn(object):
  # Around the writer into the replay.
  def __init__(self, observer, metrics):
    self._observer = observer
    self._episodes = metrics['episodes']

  def __call__(self, trajectory):
    assert self._episodes.result() >= 0
    self._observer(trajectory)

  def flush(self):
    self._observer.flush()


class TrainParams(TrainParamsBase):
  def __init__(self, env_config: dict):
    super(TrainParams, self).__init__(env_config)
    self.preprocessing_combiner = tf.keras.layers.Lambda(lambda x: x['obs'])
    self.actor_fc_layer_params = (32, 32)
    self.critic_joint_fc_layer_params = (32, 32)
    self.num_iter = 8
    self.num_steps_per_iter = 25
    self.n_train_episodes_per_iter = 4
    self.n_buffer_init_episodes = 5
    self.n_eval_episodes = 2
    self.eval_period_itrs = 4
    self.train_batch_size = 16

  def critic_ctor(self, observation_spec, action_spec):
    return CriticNetwork(
        (observation_spec, action_spec),
        observation_preprocessing_combiner=self.preprocessing_combiner,
        observation_fc_layer_params=None, action_fc_layer_params=(8,),
        joint_fc_layer_params=self.critic_joint_fc_layer_params)

  def env_ctor(self, seed=None, *args, **kwargs):
    return Insert(seed, *args, **kwargs)

  def collect_env_args_kwargs(self, *args, **kwargs):
    return (self.env_config['noise_level'],), dict(env_id=kwargs['id'])

  def eval_env_args_kwargs(self, *args, **kwargs):
    collect_env = kwargs['collect_env']
    assert isinstance(collect_env, Insert)
    return (collect_env.noise_level,), dict(
        record=self.env_config['record'], env_id=kwargs['id'])

  def train_observers_ctor(self, reverb_port, collect_only=False):
    observers, transition_observers, metrics = super(
        TrainParams, self).train_observers_ctor(reverb_port, collect_only)
    observers['replay_buffer'] = PassOn(observers['replay_buffer'], metrics)
    observers['steps'] = StepsWrittenMetric(min_length_to_write=2, buffer_size=20)
    metrics['mine'] = metrics['reward']
    del metrics['episode_length']
    buffer_size = self.log_period_itrs * self.n_train_episodes_per_iter
    transition_observers = dict(
        transition_observers, success=SuccessRateMetric(buffer_size=buffer_size))
    return observers, transition_observers, metrics

  def eval_observers_ctor(self):
    observers, transition_observers, metrics = super(
        TrainParams, self).eval_observers_ctor()
    env: PyEnvironment = self.env_ctor(3, 0.1)
    results = compute(
        [metrics['reward'], metrics['env_steps']], [SuccessRateMetric()], env,
        random_py_policy.RandomPyPolicy(env.time_step_spec(), env.action_spec()),
        num_episodes=2)
    assert 2 <= results['EnvironmentSteps'] <= 40, results
    assert results['AverageReturn'] < 0 <= results['SuccessRate'], results
    transition_observers = dict(
        transition_observers,
        success=SuccessRateMetric(buffer_size=self.n_eval_episodes))
    return observers, transition_observers, metrics
"""


@pytest.mark.timeout(300)
def test_every_hook_of_an_archived_params_file(tmp_path: Path) -> None:
    record = tmp_path / "eval_envs"
    (tmp_path / "my_insert.py").write_text(ENVIRONMENT)
    run = Run(
        tmp_path,
        PARAMS,
        workers=2,
        horizon=20,
        noise_level=0.25,
        record=str(record),
        curriculum={"noise_level": {"iters": [0, 4], "range": [0.0, 0.1]}},
    )
    try:
        run.start_launcher()
        wait_for(run.has_ended, "the end of the training", 240)
        assert run.train_step == 200
        # The eval environment is made as the collect one is then, and never changed.
        made = {tuple(json.loads(line)) for line in record.read_text().splitlines()}
        assert made == {(0, 0.25), (1, 0.25)}
        for worker in (0, 1):
            assert run.worker(worker).curriculum == {"noise_level": 0.1}
            name = worker_name(worker)
            for folder in (
                run.experiment.train_summaries(name),
                run.experiment.eval_summaries(name),
            ):
                scalars = read_scalars(folder)
                # The user's own, and the framework's.
                assert scalars["Metrics/success"]
                assert scalars["Metrics/success_rate"]
        assert evaluate(run)["is_success"] in (True, False)
    finally:
        run.close()
