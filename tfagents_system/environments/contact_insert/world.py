"""A PyBullet world of its own, with table and holder."""

from __future__ import annotations

import math

import pybullet as p

from tfagents_system.environments.contact_insert import geometry
from tfagents_system.environments.contact_insert.geometry import Holder
from tfagents_system.environments.contact_insert.rotations import (
    IDENTITY,
    ZERO,
    Pose,
    Quaternion,
    Vector,
)

#: Turns PyBullet's cylinder, which stands along z, along y, as the plate is held.
PLATE_TURN: Quaternion = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))


class World:
    """Bodies without visuals.

    Attributes:
      client: Of PyBullet; no two worlds share it.
      holder: Body of the holder.
      table: Body of the table.
      substeps: Physics steps at a time, with the same forces.
    """

    def __init__(self) -> None:
        """Connects to a PyBullet server in this process."""
        self.client = p.connect(p.DIRECT)
        self.table = self.holder = -1
        self.substeps = 0

    def rebuild(self, holder: Holder, pose: Pose, hz: int) -> None:
        """Removes everything, then adds table and holder.

        Args:
          holder: The holder.
          pose: Where it stands.
          hz: Physics steps a second.
        """
        client = self.client
        p.resetSimulation(physicsClientId=client)
        p.setPhysicsEngineParameter(
            deterministicOverlappingPairs=1, physicsClientId=client
        )
        self._hz, self.substeps = hz, 0  # Whatever it was, it is set again.
        self.set_substeps(1)
        p.setGravity(0, 0, -geometry.GRAVITY, physicsClientId=client)
        half = geometry.TABLE_HALF_EXTENTS
        self.table = self._add_static(
            p.createCollisionShape(
                p.GEOM_BOX, halfExtents=half, physicsClientId=client
            ),
            Pose((0.0, 0.0, geometry.TABLE_TOP - half[2]), IDENTITY),
            geometry.TABLE_FRICTION,
        )
        shape = p.createCollisionShapeArray(
            shapeTypes=[p.GEOM_BOX] * len(holder.boxes),
            halfExtents=[box.half_extents for box in holder.boxes],
            collisionFramePositions=[box.center for box in holder.boxes],
            physicsClientId=client,
        )
        self.holder = self._add_static(shape, pose, geometry.FRICTION)

    def set_substeps(self, number: int) -> None:
        """Sets how many physics steps are simulated at a time, with the same forces."""
        if number != self.substeps:
            self.substeps = number
            p.setPhysicsEngineParameter(
                fixedTimeStep=number / self._hz,
                numSubSteps=number,
                physicsClientId=self.client,
            )

    def _add_static(self, shape: int, pose: Pose, friction: float) -> int:
        body: int = p.createMultiBody(
            0, shape, -1, *pose, useMaximalCoordinates=1, physicsClientId=self.client
        )
        p.changeDynamics(
            body, -1, lateralFriction=friction, physicsClientId=self.client
        )
        return body

    def add_plate_shape(self, offset: Vector) -> int:
        """Adds the collision shape of a plate.

        Args:
          offset: From a body with this shape to the plate's centre, in its axes.

        Returns:
          The shape.
        """
        shape: int = p.createCollisionShape(
            p.GEOM_CYLINDER,
            radius=geometry.PLATE_RADIUS,
            height=geometry.PLATE_THICKNESS,
            collisionFramePosition=offset,
            collisionFrameOrientation=PLATE_TURN,
            physicsClientId=self.client,
        )
        return shape

    def add_plate(self, shape: int, pose: Pose, mass_kg: float) -> int:
        """Adds a rigid body, which costs a third less than a multibody.

        Args:
          shape: From `add_plate_shape`.
          pose: Of the body.
          mass_kg: Mass of the body.

        Returns:
          The body.
        """
        body: int = p.createMultiBody(
            mass_kg,
            shape,
            -1,
            *pose,
            useMaximalCoordinates=1,
            physicsClientId=self.client,
        )
        p.changeDynamics(
            body,
            -1,
            mass=mass_kg,
            lateralFriction=geometry.FRICTION,
            linearDamping=0,
            angularDamping=0,
            physicsClientId=self.client,
        )
        return body

    def move_holder(self, pose: Pose) -> None:
        """Moves the holder to another pose."""
        p.resetBasePositionAndOrientation(
            self.holder, *pose, physicsClientId=self.client
        )

    def is_in_contact(self, body: int) -> bool:
        """Returns whether a body touches the holder as they stand."""
        return bool(
            p.getClosestPoints(body, self.holder, 0.0, physicsClientId=self.client)
        )

    def contact_wrench(self, body: int, about: Vector) -> tuple[Vector, Vector]:
        """Sums up what holder and table exerted on a body in the last physics step.

        Args:
          body: The body.
          about: Point that the torque is about.

        Returns:
          Force in N and torque in N m.
        """
        force, torque = list(ZERO), list(ZERO)
        for contact in p.getContactPoints(bodyA=body, physicsClientId=self.client):
            if contact[2] not in (self.table, self.holder):
                continue
            for size, axis in (
                (contact[9], contact[7]),
                (contact[10], contact[11]),
                (contact[12], contact[13]),
            ):
                x, y, z = (size * part for part in axis)
                dx, dy, dz = (a - b for a, b in zip(contact[5], about))
                force[0] += x
                force[1] += y
                force[2] += z
                torque[0] += dy * z - dz * y
                torque[1] += dz * x - dx * z
                torque[2] += dx * y - dy * x
        return (force[0], force[1], force[2]), (torque[0], torque[1], torque[2])

    def close(self) -> None:
        """Disconnects."""
        if self.client >= 0:
            p.disconnect(self.client)
            self.client = -1
