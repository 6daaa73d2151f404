"""What a picture does not show, drawn over it: force, goal, believed goal, outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tfagents_system.environments.contact_insert import geometry, rotations
from tfagents_system.environments.contact_insert.reward import EndReason
from tfagents_system.environments.contact_insert.rotations import Pose, Vector
from tfagents_system.environments.contact_insert.scene import Scene

Color = tuple[int, int, int]
TARGET_COLOR: Color = (34, 150, 84)
BELIEVED_COLOR: Color = (230, 126, 20)
FORCE_COLOR: Color = (205, 35, 45)
TEXT_COLOR: Color = (45, 50, 58)
#: Of a filled sign, of 255.
FILL_ALPHA, LINE_ALPHA = 62, 235
#: Signs are drawn this much larger and then shrunk, for smooth edges.
OVERSAMPLING = 2
ARROW_M_PER_NEWTON = 0.03
#: A shorter arrow has no direction that one could see.
SHORTEST_ARROW = 0.01
CIRCLE_POINTS = 48
OUTCOMES = {
    EndReason.RUNNING: "",
    EndReason.OVERLOAD: "too much force",
    EndReason.TIME_OUT: "time out",
    EndReason.GOAL: "inserted",
}


def draw_over(
    bodies: NDArray[np.uint8],
    scene: Scene,
    view: Sequence[float],
    projection: Sequence[float],
) -> NDArray[np.uint8]:
    """Draws the signs over a picture.

    Args:
      bodies: The picture, of shape (height, width, 3).
      scene: What it shows.
      view: PyBullet's view matrix.
      projection: PyBullet's projection matrix.

    Returns:
      A picture of the same shape.
    """
    height, width = bodies.shape[:2]
    size = (OVERSAMPLING * width, OVERSAMPLING * height)
    camera = _Camera(view, projection, size)
    layer = Image.new("RGBA", size)
    pen = ImageDraw.Draw(layer)
    for pose, color in (
        (scene.target, TARGET_COLOR),
        (scene.believed, BELIEVED_COLOR),
    ):
        outline = [camera.project(point) for point in _plate_outline(pose)]
        fill = Image.new("RGBA", size)
        ImageDraw.Draw(fill).polygon(outline, fill=(*color, FILL_ALPHA))
        layer.alpha_composite(fill)
        pen.line(
            [*outline, outline[0]], fill=(*color, LINE_ALPHA), width=2 * OVERSAMPLING
        )
    _draw_force(pen, camera, scene)
    _draw_legend(pen, scene, size)
    small = layer.resize((width, height), Image.Resampling.BOX)
    picture = Image.fromarray(bodies).convert("RGBA")
    picture.alpha_composite(small)
    return np.array(picture.convert("RGB"))


class _Camera:
    """From the world to pixels."""

    def __init__(
        self, view: Sequence[float], projection: Sequence[float], size: tuple[int, int]
    ) -> None:
        # PyBullet's matrices are column by column.
        to_eye = np.reshape(view, (4, 4)).T
        self._matrix = np.reshape(projection, (4, 4)).T @ to_eye
        self._size = size

    def project(self, point: Vector) -> tuple[float, float]:
        x, y, _, w = (self._matrix @ np.array([*point, 1.0])).tolist()
        width, height = self._size
        return (x / w + 1) / 2 * width, (1 - y / w) / 2 * height


def _plate_outline(hand: Pose) -> list[Vector]:
    """Returns points on the rim of the plate in a hand."""
    center = geometry.plate_center(hand)
    points = []
    for index in range(CIRCLE_POINTS):
        angle = 2 * math.pi * index / CIRCLE_POINTS
        radius = geometry.PLATE_RADIUS
        in_hand = (radius * math.cos(angle), 0.0, radius * math.sin(angle))
        points.append(
            rotations.add(center, rotations.rotate(hand.orientation, in_hand))
        )
    return points


def _draw_force(pen: ImageDraw.ImageDraw, camera: _Camera, scene: Scene) -> None:
    """Draws an arrow from the hand along the force it exerts beyond the weight."""
    arrow = rotations.scale(scene.contact_force, ARROW_M_PER_NEWTON)
    if rotations.norm(arrow) < SHORTEST_ARROW:
        return
    start = scene.hand.position
    x, y = camera.project(start)
    tip_x, tip_y = camera.project(rotations.add(start, arrow))
    length = math.hypot(tip_x - x, tip_y - y)
    if length == 0:
        return
    along = ((tip_x - x) / length, (tip_y - y) / length)
    head = min(12.0 * OVERSAMPLING, length)
    neck = (tip_x - head * along[0], tip_y - head * along[1])
    across = (-along[1] * head / 2, along[0] * head / 2)
    color = (*FORCE_COLOR, LINE_ALPHA)
    pen.line([(x, y), neck], fill=color, width=4 * OVERSAMPLING)
    pen.polygon(
        [
            (tip_x, tip_y),
            (neck[0] + across[0], neck[1] + across[1]),
            (neck[0] - across[0], neck[1] - across[1]),
        ],
        fill=color,
    )


def _draw_legend(pen: ImageDraw.ImageDraw, scene: Scene, size: tuple[int, int]) -> None:
    """Says what the colours mean, how large the force is, and how it ended."""
    font = ImageFont.load_default(13 * OVERSAMPLING)
    force = rotations.norm(scene.contact_force)
    left, top, line = 12 * OVERSAMPLING, 10 * OVERSAMPLING, 19 * OVERSAMPLING
    box = 10 * OVERSAMPLING
    for index, (color, text) in enumerate(
        (
            (TARGET_COLOR, "goal"),
            (BELIEVED_COLOR, "believed goal"),
            (FORCE_COLOR, f"contact {force:.1f} N"),
        )
    ):
        y = top + index * line
        pen.rectangle([left, y + box // 4, left + box, y + box // 4 + box], fill=color)
        pen.text((left + 2 * box, y), text, font=font, fill=TEXT_COLOR)
    if outcome := OUTCOMES[scene.reason]:
        large = ImageFont.load_default(20 * OVERSAMPLING)
        pen.text(
            (size[0] - left, top), outcome, font=large, fill=TEXT_COLOR, anchor="ra"
        )
