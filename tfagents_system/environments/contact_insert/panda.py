"""The Franka Panda under operational-space control, for evaluation.

PyBullet's URDF, torques on the seven joints of the arm, the plate fixed to the hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pybullet as p
import pybullet_data

from tfagents_system.environments.contact_insert import geometry, rotations
from tfagents_system.environments.contact_insert.impedance import (
    DAMPING,
    STIFFNESS,
    Wrench,
    wrench_of_hand,
)
from tfagents_system.environments.contact_insert.rotations import (
    IDENTITY,
    ZERO,
    Pose,
    Quaternion,
    Vector,
)
from tfagents_system.environments.contact_insert.world import World

Array = npt.NDArray[np.float64]

URDF = str(Path(pybullet_data.getDataPath(), "franka_panda", "panda.urdf"))
BASE = Pose((-0.56, 0.0, 0.912), IDENTITY)
ARM = list(range(7))
FINGERS = [9, 10]
HAND_LINK = 11
#: The hand link when it points down, as the identity is in this package.
DOWN: Quaternion = (1.0, 0.0, 0.0, 0.0)
#: Where inverse kinematics begins, and what the arm's redundancy is drawn to, rad.
REST = np.array([0.0, -0.2, 0.0, -2.2, 0.0, 2.0, 0.785])
#: From a finger's zero to where it touches the plate.
FINGER_OPENING = geometry.PLATE_THICKNESS / 2
TORQUE_LIMITS = np.array([87.0] * 4 + [12.0] * 3)
POSTURE_STIFFNESS = 10.0
POSTURE_DAMPING = 2 * POSTURE_STIFFNESS**0.5
IK_ROUNDS = 50


def joints_of(client: int, body: int, hand: Pose) -> list[float]:
    """Moves the arm to a pose of the hand, and the fingers to the plate.

    Args:
      client: Of PyBullet.
      body: The arm.
      hand: The pose.

    Returns:
      Positions of arm and fingers.
    """
    orientation = rotations.multiply(hand.orientation, DOWN)
    joints = [*REST.tolist(), FINGER_OPENING, FINGER_OPENING]
    for _ in range(IK_ROUNDS):
        set_joints(client, body, joints)
        solution = p.calculateInverseKinematics(
            body,
            HAND_LINK,
            hand.position,
            orientation,
            maxNumIterations=100,
            residualThreshold=1e-9,
            physicsClientId=client,
        )
        joints[:7] = solution[:7]
    set_joints(client, body, joints)
    return joints


def set_joints(client: int, body: int, joints: list[float]) -> None:
    """Sets positions of arm and fingers, at rest."""
    for joint, position in zip([*ARM, *FINGERS], joints):
        p.resetJointState(body, joint, position, 0.0, physicsClientId=client)


class Panda:
    """A `Robot`."""

    def __init__(self, sim_hz: int) -> None:
        """Makes an empty world.

        Args:
          sim_hz: Physics steps a second.
        """
        self.world = World()
        self._hz = sim_hz
        self.arm = self.plate = -1

    def reset(self, holder: geometry.Holder, holder_pose: Pose, hand: Pose) -> None:
        """Rebuilds the world with the hand at a pose, at rest, its goal there."""
        world, client = self.world, self.world.client
        world.rebuild(holder, holder_pose, self._hz)
        self.arm = p.loadURDF(URDF, *BASE, useFixedBase=True, physicsClientId=client)
        self._posture = np.array(joints_of(client, self.arm, hand))
        p.setJointMotorControlArray(
            self.arm,
            ARM,
            p.VELOCITY_CONTROL,
            forces=[0.0] * len(ARM),
            physicsClientId=client,
        )
        for joint in [-1, *ARM, *FINGERS]:
            p.changeDynamics(
                self.arm,
                joint,
                linearDamping=0,
                angularDamping=0,
                jointDamping=0,
                physicsClientId=client,
            )
        center = geometry.plate_center(hand)
        self.plate = world.add_plate(
            world.add_plate_shape(ZERO),
            Pose(center, hand.orientation),
            geometry.PLATE_MASS_KG,
        )
        self._hold_plate()
        self._goal = hand
        self._begin_mean()

    def _hold_plate(self) -> None:
        """Fixes the plate to the hand; only it touches the holder."""
        client = self.world.client
        constraint = p.createConstraint(
            self.arm,
            HAND_LINK,
            self.plate,
            -1,
            p.JOINT_FIXED,
            ZERO,
            rotations.rotate(DOWN, geometry.PLATE_IN_HAND),
            ZERO,
            rotations.inverse(DOWN),
            physicsClientId=client,
        )
        p.changeConstraint(constraint, maxForce=1000, physicsClientId=client)
        for link in range(-1, p.getNumJoints(self.arm, physicsClientId=client)):
            for other in (self.plate, self.world.holder, self.world.table):
                p.setCollisionFilterPair(
                    self.arm, other, link, -1, 0, physicsClientId=client
                )

    def _begin_mean(self) -> None:
        self._num_substeps = 0
        self._velocity = self._hand_state()[1][:3]
        self._contact = np.zeros(6)

    def _hand_state(self) -> tuple[Pose, Array]:
        """Returns the pose of the hand and its velocity, linear and angular."""
        state = p.getLinkState(
            self.arm,
            HAND_LINK,
            computeLinkVelocity=1,
            computeForwardKinematics=1,
            physicsClientId=self.world.client,
        )
        orientation = rotations.multiply(state[5], rotations.inverse(DOWN))
        return Pose(state[4], orientation), np.array([*state[6], *state[7]])

    def move_holder(self, pose: Pose) -> None:
        """Moves the holder."""
        self.world.move_holder(pose)

    def is_in_contact(self) -> bool:
        """Returns whether the plate touches the holder as they stand."""
        return self.world.is_in_contact(self.plate)

    def hand_pose(self) -> Pose:
        """Returns the pose of the hand."""
        return self._hand_state()[0]

    def plate_position(self) -> Vector:
        """Returns the centre of the plate."""
        position: Vector = p.getBasePositionAndOrientation(
            self.plate, physicsClientId=self.world.client
        )[0]
        return position

    def joint_positions(self) -> list[float]:
        """Returns the positions of arm, rad, and fingers, m."""
        states = p.getJointStates(
            self.arm, [*ARM, *FINGERS], physicsClientId=self.world.client
        )
        return [state[0] for state in states]

    def set_goal(self, translation: Vector, rotation: Vector) -> None:
        """Sets the goal relative to where the hand is now, in world axes."""
        position, orientation = self.hand_pose()
        self._goal = Pose(
            rotations.add(position, translation),
            rotations.multiply(rotations.from_vector(rotation), orientation),
        )

    def run(self, num_substeps: int) -> None:
        """Simulates."""
        for _ in range(num_substeps):
            p.setJointMotorControlArray(
                self.arm,
                ARM,
                p.TORQUE_CONTROL,
                forces=self._torques().tolist(),
                physicsClientId=self.world.client,
            )
            p.stepSimulation(physicsClientId=self.world.client)
            contact = self.world.contact_wrench(self.plate, self.hand_pose().position)
            self._contact += np.array([*contact[0], *contact[1]])
        self._num_substeps += num_substeps

    def _torques(self) -> Array:
        """Returns the torques of operational-space control.

        Translation and rotation are decoupled, each with the inertia of the hand in its
        own three directions; what is left of the joints is drawn to the posture.
        """
        client = self.world.client
        states = p.getJointStates(self.arm, [*ARM, *FINGERS], physicsClientId=client)
        positions = [state[0] for state in states]
        velocities = np.array([state[1] for state in states])
        zeros = [0.0] * len(positions)
        linear, angular = p.calculateJacobian(
            self.arm, HAND_LINK, ZERO, positions, zeros, zeros, physicsClientId=client
        )
        jacobian = np.vstack([linear, angular])[:, :7]
        inertia = np.array(
            p.calculateMassMatrix(self.arm, positions, physicsClientId=client)
        )[:7, :7]
        bias = np.array(
            p.calculateInverseDynamics(
                self.arm, positions, velocities.tolist(), zeros, physicsClientId=client
            )
        )[:7]
        inverse = np.linalg.inv(inertia)
        hand, velocity = self._hand_state()
        error = [
            *rotations.subtract(self._goal.position, hand.position),
            *rotations.difference(self._goal.orientation, hand.orientation),
        ]
        wanted = STIFFNESS * np.array(error) - DAMPING * velocity
        torques = bias
        # The plate's weight, as far as a force at the hand can carry it.
        torques = torques + jacobian[2] * geometry.PLATE_MASS_KG * geometry.GRAVITY
        for rows in (slice(0, 3), slice(3, 6)):
            part = jacobian[rows]
            hand_inertia = np.linalg.inv(part @ inverse @ part.T)
            torques = torques + part.T @ hand_inertia @ wanted[rows]
        to_posture = POSTURE_STIFFNESS * (self._posture[:7] - positions[:7])
        to_posture -= POSTURE_DAMPING * velocities[:7]
        all_rows = inverse @ jacobian.T @ np.linalg.inv(jacobian @ inverse @ jacobian.T)
        torques = (
            torques
            + inertia @ to_posture
            - jacobian.T @ (all_rows.T @ inertia @ to_posture)
        )
        return np.clip(torques, -TORQUE_LIMITS, TORQUE_LIMITS)

    def read_wrench(self) -> Wrench:
        """Returns the mean wrench since this was last called."""
        before, num_substeps = self._velocity, self._num_substeps
        fx, fy, fz, tx, ty, tz = (self._contact / num_substeps).tolist()
        self._begin_mean()
        change = (self._velocity - before) * self._hz / num_substeps
        ax, ay, az = change.tolist()
        offset = rotations.rotate(self.hand_pose().orientation, geometry.PLATE_IN_HAND)
        return wrench_of_hand(Wrench((fx, fy, fz), (tx, ty, tz)), (ax, ay, az), offset)

    def close(self) -> None:
        """Disconnects from the simulator."""
        self.world.close()
