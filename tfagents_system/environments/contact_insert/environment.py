"""The environment: what is observed, commanded and rewarded, whatever the robot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tf_agents.environments import py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfagents_system.environments.contact_insert import (
    command,
    geometry,
    noise,
    parameters,
    picture,
    reward,
    robots,
    rotations,
    starts,
)
from tfagents_system.environments.contact_insert.command import Command
from tfagents_system.environments.contact_insert.impedance import (
    Wrench,
    wrench_of_hand,
)
from tfagents_system.environments.contact_insert.reward import EndReason
from tfagents_system.environments.contact_insert.rotations import ZERO, Pose, Vector
from tfagents_system.environments.contact_insert.scene import Scene
from tfagents_system.environments.contact_insert.settings import read_settings

ACTION_SIZE = 6
#: What observations are divided by: N, N m, m and rad. Newtons beside hundredths of a
#: metre slow learning.
OBSERVATION_SCALE: tuple[float, ...] = (
    *(10.0, 10.0, 10.0),
    *(1.0, 1.0, 1.0),
    *(0.1, 0.1, 0.1),
    *(0.2, 0.2, 0.2),
)


class ContactInsertEnvironment(py_environment.PyEnvironment):
    """A hand lowers a plate into a holder whose pose it knows only roughly.

    An observation is `{"obs": (history_length, 12) float32, "aux": {"successful": ()
    int32}}`. A row of `obs` has what the hand exerts on the plate (force, then torque,
    in world axes, mean over the env step), then the way to where the target is believed
    to be (translation, then rotation); the last row is the newest. `successful` is 1
    where the episode has just ended at the goal; networks must not see it.

    An action is a residual, translation, then rotation, on slow straight motion to the
    believed target. The time limit is no terminal state: its discount is 1.

    Attributes:
      metadata: Frames a second of a video.
      settings: What the JSON says; a changed value acts from the next reset on.
      noise_level: Factor on the target's error, in [0, 1].
      goalreach_steps: Consecutive env steps at the goal that are a success.
      forced_init_idx: Start of all episodes: 0 is high, 1 medium, 2 low; None: drawn.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        seed: int | None = None,
        noise_level: float = 1.0,
        goalreach_steps: int = 10,
        forced_init_idx: int | None = None,
    ) -> None:
        """Starts a simulator of its own.

        Args:
          config: The JSON as a dict, see `settings.Settings`.
          seed: Of everything random in the environment; None: of the system.
          noise_level: Factor on the target's error, in [0, 1].
          goalreach_steps: Consecutive env steps at the goal that are a success.
          forced_init_idx: Start of all episodes, see above.

        Raises:
          UserError: A value does not fit.
        """
        super().__init__()
        self.settings = read_settings(config)
        self._config = dict(config)
        self.noise_level = parameters.check("noise_level", noise_level)
        self.goalreach_steps = parameters.check("goalreach_steps", goalreach_steps)
        self.forced_init_idx = parameters.check("forced_init_idx", forced_init_idx)
        self.metadata = {"render_fps": self.settings.policy_hz}
        self._generator = np.random.default_rng(seed)
        self._robot, self._sim_hz = robots.make_robot(self.settings)
        self._picture: picture.Picture | None = None
        self._scale = np.ones(self._row_size, np.float32)
        if self.settings.obs_scale:
            scale = np.array(OBSERVATION_SCALE, np.float32)
            self._scale[: len(scale)] = 1 / scale
        self._reason = EndReason.RUNNING

    @property
    def _row_size(self) -> int:
        has_actions = self.settings.include_actions_in_history
        return len(OBSERVATION_SCALE) + (ACTION_SIZE if has_actions else 0)

    def observation_spec(self) -> Any:
        """Returns the spec of `obs` and of `aux`."""
        shape = (self.settings.history_length, self._row_size)
        return {
            "obs": array_spec.ArraySpec(shape, np.float32, "obs"),
            "aux": {"successful": array_spec.ArraySpec((), np.int32, "successful")},
        }

    def action_spec(self) -> array_spec.BoundedArraySpec:
        """Returns six numbers in [-1, 1]."""
        return array_spec.BoundedArraySpec(
            (ACTION_SIZE,), np.float32, -1.0, 1.0, "action"
        )

    def seed(self, seed: int | None = None) -> None:
        """Seeds everything random from the next reset on."""
        self._generator = np.random.default_rng(seed)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Sets parameters: attributes of the environment or keys of the JSON.

        Args:
          state: Parameter to value. All are checked before any is set.

        Raises:
          UserError: A name is not known, or a value does not fit.
        """
        attributes = {
            name: parameters.check(name, value)
            for name, value in state.items()
            if name in parameters.ATTRIBUTES
        }
        keys = {name: state[name] for name in state if name not in attributes}
        parameters.check_names(keys)
        config = {**self._config, **keys}
        self.settings = read_settings(config) if keys else self.settings
        self._config = config
        for name, value in attributes.items():
            setattr(self, name, value)

    def get_info(self) -> dict[str, Any]:
        """Returns how the episode stands.

        Returns:
          `end_reason`; `slot` that the plate is in, 0 being the middle one, or None;
          `peak_force`, the largest mean over an env step so far, N.
        """
        return {
            "end_reason": int(self._reason),
            "slot": self._slot,
            "peak_force": self._peak_force,
        }

    def _reset(self) -> ts.TimeStep:
        settings, generator = self.settings, self._generator
        start = self.forced_init_idx
        if start is None:
            start = int(generator.choice(len(starts.BINS), p=settings.init_bin_prob))
        self._holder = geometry.Holder(settings)
        self._holder_pose = starts.place(self._robot, self._holder, start, generator)
        self._target = self._holder.target(self._holder_pose)
        error = noise.draw_holder_error(settings, self.noise_level, generator)
        self._believed = noise.displace(self._target, error)
        self._lags = iter(noise.draw_lags(settings, self._sim_hz, generator))
        self._referee = reward.Referee(settings.horizon, settings.force_limit)
        self._reason, self._peak_force = EndReason.RUNNING, 0.0
        self._previous: Command | None = None
        hangs = wrench_of_hand(Wrench(ZERO, ZERO), ZERO, geometry.PLATE_IN_HAND)
        row = self._observe(hangs, [0.0] * ACTION_SIZE)
        self._history = np.tile(row, (settings.history_length, 1))
        return self._time_step(ts.StepType.FIRST, 0.0, 1.0)

    def _observe(self, wrench: Wrench, action: Sequence[float]) -> NDArray[np.float32]:
        """Reads the robot and returns a row of the observation."""
        hand = self._robot.hand_pose()
        self._hand, self._wrench = hand, wrench
        self._slot = self._holder.slot(self._holder_pose, self._robot.plate_position())
        self._errors = _errors(self._believed, hand)
        row = [*wrench.force, *wrench.torque, *self._errors[0], *self._errors[1]]
        if self.settings.include_actions_in_history:
            row += action
        return np.array(row, np.float32) * self._scale

    def _step(self, action: NDArray[np.float32]) -> ts.TimeStep:
        if self._reason != EndReason.RUNNING:
            return self.reset()
        numbers = [max(-1.0, min(1.0, x)) for x in np.asarray(action).tolist()]
        commanded = command.compose(command.base_motion(*self._errors), numbers)
        self._act(commanded)
        row = self._observe(self._robot.read_wrench(), numbers)
        self._history = np.concatenate([self._history[1:], row[None]])
        force = rotations.norm(self._wrench.force)
        self._peak_force = max(self._peak_force, force)
        self._reason = self._referee.judge(self._slot, force, self.goalreach_steps)
        value = self._reward(commanded)
        self._previous = commanded
        if self._reason == EndReason.RUNNING:
            return self._time_step(ts.StepType.MID, value, 1.0)
        # Time runs out for the training only, so that is not the end of the return.
        discount = 1.0 if self._reason == EndReason.TIME_OUT else 0.0
        return self._time_step(ts.StepType.LAST, value, discount)

    def _act(self, commanded: Command) -> None:
        """Simulates an env step; the command comes into force after the lag."""
        lag = next(self._lags)
        self._robot.run(lag)
        self._robot.set_goal(commanded.offset, commanded.turn)
        self._robot.run(self._sim_hz // self.settings.policy_hz - lag)

    def _reward(self, commanded: Command) -> float:
        horizon = self.settings.horizon
        value = -1 / horizon + reward.end_reward(self._reason, self._slot)
        if self._slot is None:
            translation, rotation = _errors(self._target, self._hand)
            value -= reward.distance_cost(
                rotations.norm(translation), rotations.norm(rotation), horizon
            )
        if self._previous is not None:
            value -= reward.change_cost(commanded, self._previous, horizon)
        return value

    def _time_step(
        self, step_type: NDArray[np.int32], value: float, discount: float
    ) -> ts.TimeStep:
        successful = np.int32(self._reason == EndReason.GOAL)
        return ts.TimeStep(
            step_type,
            np.float32(value),
            np.float32(discount),
            {"obs": self._history, "aux": {"successful": successful}},
        )

    def render(self, mode: str = "rgb_array") -> NDArray[np.uint8]:
        """Draws robot, plate and holder, with the force and the believed target.

        Args:
          mode: "rgb_array".

        Returns:
          Of shape (height, width, 3).

        Raises:
          NotImplementedError: Another mode.
        """
        if mode != "rgb_array":
            raise NotImplementedError(f"render mode {mode!r}; use 'rgb_array'")
        if self._picture is None:
            self._picture = picture.Picture()
        return self._picture.draw(
            Scene(
                holder=self._holder,
                holder_pose=self._holder_pose,
                hand=self._hand,
                joints=self._robot.joint_positions(),
                target=self._target,
                believed=self._believed,
                wrench=self._wrench,
                reason=self._reason,
            )
        )

    def close(self) -> None:
        """Ends the simulator."""
        self._robot.close()
        if self._picture is not None:
            self._picture.close()
            self._picture = None


def _errors(target: Pose, hand: Pose) -> tuple[Vector, Vector]:
    """Returns translation and rotation from the hand to a target, in world axes."""
    return (
        rotations.subtract(target.position, hand.position),
        rotations.difference(target.orientation, hand.orientation),
    )
