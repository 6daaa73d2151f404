"""Pictures of an episode: bodies by PyBullet's software renderer, signs drawn over."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pybullet as p
import pybullet_data
from numpy.typing import NDArray

from tfagents_system.environments.contact_insert import (
    geometry,
    panda,
    rotations,
    signs,
)
from tfagents_system.environments.contact_insert.geometry import Holder
from tfagents_system.environments.contact_insert.rotations import (
    IDENTITY,
    ZERO,
    Pose,
    Quaternion,
    Vector,
)
from tfagents_system.environments.contact_insert.scene import Scene
from tfagents_system.environments.contact_insert.world import PLATE_TURN

WIDTH, HEIGHT = 480, 360
LOOK_AT = (-0.17, 0.0, 1.185)
DISTANCE, YAW_DEG, PITCH_DEG, FOV_DEG = 1.38, 58.0, -19.0, 42.0

#: Below the arm, down to below the picture.
STAND_HALF_EXTENTS: Vector = (0.09, 0.09, 0.3)
STAND = Pose(
    rotations.subtract(panda.BASE.position, (0.04, 0.0, STAND_HALF_EXTENTS[2])),
    IDENTITY,
)
ORIGIN = Pose(ZERO, IDENTITY)
#: Triangles around the middle of the plate.
SECTORS = 48

Color = tuple[float, float, float, float]
TABLE_COLOR: Color = (0.80, 0.74, 0.66, 1.0)
HOLDER_COLOR: Color = (0.42, 0.52, 0.60, 1.0)
PLATE_COLOR: Color = (0.97, 0.96, 0.93, 1.0)
HAND_COLOR: Color = (0.88, 0.89, 0.91, 1.0)
FINGER_COLOR: Color = (0.30, 0.31, 0.34, 1.0)
BACKGROUND = (0.93, 0.95, 0.97)

MESHES = Path(pybullet_data.getDataPath(), "franka_panda", "meshes", "visual")
#: In the axes of a hand that points down.
PALM_IN_HAND: Vector = (0.0, 0.0, 0.105)
FINGER_IN_HAND: Vector = (0.0, panda.FINGER_OPENING, 0.0466)
#: Turns a finger around to be the other one.
OTHER_SIDE: Quaternion = (0.0, 0.0, 1.0, 0.0)


class Picture:
    """Draws scenes, in a world with visuals only, apart from the physics."""

    def __init__(self) -> None:
        """Connects to a PyBullet server in this process."""
        self._client = p.connect(p.DIRECT)
        self._holder: Holder | None = None
        self._view = p.computeViewMatrixFromYawPitchRoll(
            LOOK_AT, DISTANCE, YAW_DEG, PITCH_DEG, 0, 2
        )
        self._projection = p.computeProjectionMatrixFOV(
            FOV_DEG, WIDTH / HEIGHT, 0.1, 5.0
        )

    def draw(self, scene: Scene) -> NDArray[np.uint8]:
        """Returns a picture of shape (HEIGHT, WIDTH, 3)."""
        if scene.holder is not self._holder:
            self._build(scene)
        self._pose(scene)
        pixels = p.getCameraImage(
            WIDTH,
            HEIGHT,
            self._view,
            self._projection,
            lightDirection=(0.9, -1.7, 2.0),
            lightColor=(1.0, 0.98, 0.95),
            lightAmbientCoeff=0.62,
            lightDiffuseCoeff=0.42,
            lightSpecularCoeff=0.08,
            shadow=1,
            renderer=p.ER_TINY_RENDERER,
            physicsClientId=self._client,
        )
        bodies = np.reshape(np.array(pixels[2], np.uint8), (HEIGHT, WIDTH, 4))[..., :3]
        is_empty = np.reshape(np.array(pixels[4]), (HEIGHT, WIDTH)) < 0
        bodies[is_empty] = _backdrop()[is_empty]
        return signs.draw_over(bodies, scene, self._view, self._projection)

    def _build(self, scene: Scene) -> None:
        """Builds the world of a holder."""
        self._holder = scene.holder
        client = self._client
        p.resetSimulation(physicsClientId=client)
        half = geometry.TABLE_HALF_EXTENTS
        table = Pose((0.0, 0.0, geometry.TABLE_TOP - half[2]), IDENTITY)
        self._add_box(half, table, TABLE_COLOR)
        self._boxes = [
            self._add_box(box.half_extents, Pose(box.center, IDENTITY), HOLDER_COLOR)
            for box in scene.holder.boxes
        ]
        self._plate = self._add_plate()
        if scene.joints:
            self._add_box(STAND_HALF_EXTENTS, STAND, FINGER_COLOR)
            self._arm = p.loadURDF(
                panda.URDF, *panda.BASE, useFixedBase=True, physicsClientId=client
            )
        else:
            self._palm = self._add_mesh("hand.obj", HAND_COLOR)
            self._fingers = [self._add_mesh("finger.obj", FINGER_COLOR) for _ in "12"]

    def _pose(self, scene: Scene) -> None:
        """Moves everything to where it is now."""
        for body, box in zip(self._boxes, scene.holder.boxes):
            self._move(body, scene.holder_pose, box.center, IDENTITY)
        self._move(self._plate, scene.hand, geometry.PLATE_IN_HAND, PLATE_TURN)
        if scene.joints:
            panda.set_joints(self._client, self._arm, scene.joints)
            return
        self._move(self._palm, scene.hand, PALM_IN_HAND, panda.DOWN)
        x, y, z = FINGER_IN_HAND
        turned = rotations.multiply(panda.DOWN, OTHER_SIDE)
        self._move(self._fingers[0], scene.hand, (x, -y, z), panda.DOWN)
        self._move(self._fingers[1], scene.hand, (x, y, z), turned)

    def _move(self, body: int, parent: Pose, offset: Vector, turn: Quaternion) -> None:
        """Moves a body to a pose within another pose."""
        position = rotations.add(
            parent.position, rotations.rotate(parent.orientation, offset)
        )
        orientation = rotations.multiply(parent.orientation, turn)
        p.resetBasePositionAndOrientation(
            body, position, orientation, physicsClientId=self._client
        )

    def _add_box(self, half_extents: Vector, pose: Pose, color: Color) -> int:
        shape = p.createVisualShape(
            p.GEOM_BOX,
            halfExtents=half_extents,
            rgbaColor=color,
            specularColor=(0, 0, 0),
            physicsClientId=self._client,
        )
        return self._add(shape, pose)

    def _add_plate(self) -> int:
        vertices, normals = _disc()
        shape = p.createVisualShape(
            p.GEOM_MESH,
            vertices=vertices,
            normals=normals,
            indices=list(range(len(vertices))),
            rgbaColor=PLATE_COLOR,
            specularColor=(0, 0, 0),
            physicsClientId=self._client,
        )
        return self._add(shape)

    def _add_mesh(self, name: str, color: Color) -> int:
        shape = p.createVisualShape(
            p.GEOM_MESH,
            fileName=str(MESHES / name),
            rgbaColor=color,
            physicsClientId=self._client,
        )
        return self._add(shape)

    def _add(self, shape: int, pose: Pose = ORIGIN) -> int:
        body: int = p.createMultiBody(0, -1, shape, *pose, physicsClientId=self._client)
        return body

    def close(self) -> None:
        """Disconnects."""
        p.disconnect(self._client)


def _disc() -> tuple[list[Vector], list[Vector]]:
    """Returns triangles of a disc along z, three vertices each, and their normals.

    The triangles of PyBullet's own cylinder share normals, which makes a cone of it.
    """
    vertices: list[Vector] = []
    normals: list[Vector] = []
    half = geometry.PLATE_THICKNESS / 2
    for index in range(SECTORS):
        near, far = (2 * math.pi * (index + i) / SECTORS for i in (0, 1))
        ax, ay, bx, by = (
            geometry.PLATE_RADIUS * function(angle)
            for angle in (near, far)
            for function in (math.cos, math.sin)
        )
        for z in (half, -half):
            face = [(0.0, 0.0, z), (ax, ay, z), (bx, by, z)]
            vertices += face if z > 0 else face[::-1]
            normals += [(0.0, 0.0, math.copysign(1.0, z))] * 3
        low_a, low_b = (ax, ay, -half), (bx, by, -half)
        high_a, high_b = (ax, ay, half), (bx, by, half)
        middle = (near + far) / 2
        vertices += [low_a, low_b, high_b, low_a, high_b, high_a]
        normals += [(math.cos(middle), math.sin(middle), 0.0)] * 6
    return vertices, normals


def _backdrop() -> NDArray[np.uint8]:
    """Returns a wall that is a little darker towards the floor."""
    shade = np.linspace(1.0, 0.86, HEIGHT)[:, None, None]
    wall = 255 * shade * np.array(BACKGROUND) * np.ones((1, WIDTH, 1))
    pixels: NDArray[np.uint8] = wall.astype(np.uint8)
    return pixels
