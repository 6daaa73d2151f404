"""A hand without an arm: one rigid body with the plate, drawn to its goal by a spring.

It follows the law of an arm under operational-space control, with the same inertia in
all directions. There are no joints, no torque limits, and the plate does not slip.
"""

from __future__ import annotations

import pybullet as p

from tfagents_system.environments.contact_insert import geometry, rotations
from tfagents_system.environments.contact_insert.impedance import (
    DAMPING,
    STIFFNESS,
    Wrench,
    wrench_of_hand,
)
from tfagents_system.environments.contact_insert.rotations import Pose, Vector
from tfagents_system.environments.contact_insert.world import World

#: Physics steps for which a force stays the same: half of the loop in Python.
CONTROL_PERIOD = 2
#: Of hand and plate together, about the hand's point.
MASS_KG = 3.0
INERTIA_KG_M2 = 0.05


class FloatingHand:
    """A `Robot`."""

    def __init__(self, sim_hz: int) -> None:
        """Makes an empty world.

        Args:
          sim_hz: Physics steps a second.
        """
        self.world = World()
        self._hz = sim_hz
        self._boxes: list[geometry.Box] = []
        self.body = -1

    def reset(self, holder: geometry.Holder, holder_pose: Pose, hand: Pose) -> None:
        """Rebuilds the world with the hand at a pose, at rest, its goal there."""
        world = self.world
        if holder.boxes == self._boxes:
            # A new body has no contacts that the solver could remember.
            p.removeBody(self.body, physicsClientId=world.client)
            world.move_holder(holder_pose)
        else:
            world.rebuild(holder, holder_pose, self._hz)
            self._boxes = holder.boxes
            self._shape = world.add_plate_shape(geometry.PLATE_IN_HAND)
        self.body = world.add_plate(self._shape, hand, MASS_KG)
        p.changeDynamics(
            self.body,
            -1,
            mass=MASS_KG,
            localInertiaDiagonal=(INERTIA_KG_M2,) * 3,
            physicsClientId=self.world.client,
        )
        world.set_substeps(CONTROL_PERIOD)  # `run` depends on it.
        self._goal = self._pose = hand
        self._velocity = (rotations.ZERO, rotations.ZERO)
        self._begin_mean()

    def _begin_mean(self) -> None:
        """Begins the means of the applied force and torque."""
        self._num_substeps = 0
        self._first_velocity = self._velocity
        self._applied = [0.0] * 6

    def move_holder(self, pose: Pose) -> None:
        """Moves the holder."""
        self.world.move_holder(pose)

    def is_in_contact(self) -> bool:
        """Returns whether the plate touches the holder as they stand."""
        return self.world.is_in_contact(self.body)

    def hand_pose(self) -> Pose:
        """Returns the pose of the hand."""
        return self._pose

    def plate_position(self) -> Vector:
        """Returns the centre of the plate."""
        return geometry.plate_center(self._pose)

    def joint_positions(self) -> list[float]:
        """Returns nothing: it has no joints."""
        return []

    def set_goal(self, translation: Vector, rotation: Vector) -> None:
        """Sets the goal relative to where the hand is now, in world axes."""
        position, orientation = self._pose
        self._goal = Pose(
            rotations.add(position, translation),
            rotations.multiply(rotations.from_vector(rotation), orientation),
        )

    def run(self, num_substeps: int) -> None:
        """Simulates."""
        periods, rest = divmod(num_substeps, CONTROL_PERIOD)
        parts = [(periods, CONTROL_PERIOD), (rest, 1)]
        if self.world.substeps == 1:  # A change of it costs as much as a physics step.
            parts.reverse()
        for number, substeps in parts:
            if number:
                self._control(number, substeps)
        self._num_substeps += num_substeps

    def _control(self, num_periods: int, substeps: int) -> None:
        """Simulates; nearly all of a training's physics is this loop.

        The rotation from the goal is taken as twice the vector part of its quaternion,
        1 % too small at 0.5 rad. The weight is compensated.

        Args:
          num_periods: How often forces are computed.
          substeps: Physics steps of each.
        """
        self.world.set_substeps(substeps)
        body, client = self.body, self.world.client
        get_pose, get_velocity = p.getBasePositionAndOrientation, p.getBaseVelocity
        push, turn, step = p.applyExternalForce, p.applyExternalTorque, p.stepSimulation
        world_axes = p.WORLD_FRAME
        (goal_x, goal_y, goal_z), (gx, gy, gz, gw) = self._goal
        spring, damper = MASS_KG * STIFFNESS, MASS_KG * DAMPING
        twist_spring = 2 * INERTIA_KG_M2 * STIFFNESS
        twist_damper = INERTIA_KG_M2 * DAMPING
        weight = MASS_KG * geometry.GRAVITY
        sum_x = sum_y = sum_z = sum_tx = sum_ty = sum_tz = 0.0
        position, orientation = self._pose
        velocity, spin = self._velocity
        for _ in range(num_periods):
            x, y, z = position
            vx, vy, vz = velocity
            fx = spring * (goal_x - x) - damper * vx
            fy = spring * (goal_y - y) - damper * vy
            fz = spring * (goal_z - z) - damper * vz + weight
            qx, qy, qz, qw = orientation
            wx, wy, wz = spin
            # A quaternion and its negative are the same rotation.
            near = gw * qw + gx * qx + gy * qy + gz * qz >= 0
            twist = twist_spring if near else -twist_spring
            tx = twist * (qw * gx - gw * qx - gy * qz + gz * qy) - twist_damper * wx
            ty = twist * (qw * gy - gw * qy - gz * qx + gx * qz) - twist_damper * wy
            tz = twist * (qw * gz - gw * qz - gx * qy + gy * qx) - twist_damper * wz
            push(body, -1, (fx, fy, fz), position, world_axes, client)
            turn(body, -1, (tx, ty, tz), world_axes, client)
            step(client)
            sum_x += fx
            sum_y += fy
            sum_z += fz
            sum_tx += tx
            sum_ty += ty
            sum_tz += tz
            position, orientation = get_pose(body, client)
            velocity, spin = get_velocity(body, client)
        self._pose, self._velocity = Pose(position, orientation), (velocity, spin)
        sums = (sum_x, sum_y, sum_z, sum_tx, sum_ty, sum_tz)
        self._applied = [a + substeps * b for a, b in zip(self._applied, sums)]

    def read_wrench(self) -> Wrench:
        """Returns the mean wrench since this was last called.

        What the springs and the weight do not explain of the momentum is of contacts.
        """
        (vx, vy, vz), (wx, wy, wz) = self._first_velocity
        num_substeps = self._num_substeps
        fx, fy, fz, tx, ty, tz = self._applied
        self._begin_mean()
        (new_vx, new_vy, new_vz), (new_wx, new_wy, new_wz) = self._velocity
        rate = self._hz / num_substeps
        ax, ay, az = rate * (new_vx - vx), rate * (new_vy - vy), rate * (new_vz - vz)
        twist_rate = INERTIA_KG_M2 * rate
        contact = Wrench(
            (
                MASS_KG * ax - fx / num_substeps,
                MASS_KG * ay - fy / num_substeps,
                MASS_KG * (az + geometry.GRAVITY) - fz / num_substeps,
            ),
            (
                twist_rate * (new_wx - wx) - tx / num_substeps,
                twist_rate * (new_wy - wy) - ty / num_substeps,
                twist_rate * (new_wz - wz) - tz / num_substeps,
            ),
        )
        offset = rotations.rotate(self._pose.orientation, geometry.PLATE_IN_HAND)
        return wrench_of_hand(contact, (ax, ay, az), offset)

    def close(self) -> None:
        """Disconnects from the simulator."""
        self.world.close()
