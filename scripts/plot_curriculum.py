"""Draws docs/curriculum.svg: the examples of docs/curriculum.md over the iterations.

.venv/bin/python scripts/plot_curriculum.py [OUTPUT]
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from tfagents_system.settings import curriculum

DOCS = Path(__file__).resolve().parent.parent / "docs"
LAST_ITERATION = 140_000
TICK_ITERATIONS = 20_000
# Pixels of one panel.
WIDTH, HEIGHT = 560, 90
LEFT, TOP, GAP = 60, 28, 34
COLOR = "#3b5b8c"


def read_examples() -> list[tuple[str, curriculum.Schedule]]:
    """Returns the schedules in the page's JSON blocks, each with its name."""
    page = (DOCS / "curriculum.md").read_text(encoding="utf-8")
    return [
        item
        for block in re.findall(r"```json\n(.*?)```", page, re.S)
        for item in curriculum.make_schedules(json.loads(f"{{{block}}}")).items()
    ]


def text(x: float, y: float, words: object, anchor: str = "middle") -> str:
    """Returns an SVG text element."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{words}</text>'


def draw_panel(name: str, schedule: curriculum.Schedule, top: float) -> list[str]:
    """Draws one schedule: a staircase, shaded where values are drawn at random."""
    low, high = min(schedule.values), max(schedule.values)

    def x(iteration: int) -> float:
        return LEFT + iteration / LAST_ITERATION * WIDTH

    def y(value: float) -> float:
        return top + HEIGHT * (1 - (value - low) / (high - low))

    ends = (*schedule.iters[1:], LAST_ITERATION)
    corners = [
        f"{x(iteration):g},{y(value):g}"
        for start, end, value in zip(schedule.iters, ends, schedule.values)
        for iteration in (start, end)
    ]
    bottom = top + HEIGHT
    title = f"{name}, uniform" if schedule.is_uniform else name
    shapes = [text(LEFT, top - 8, title, "start")]
    for value in sorted({low, high}):
        shapes.append(text(LEFT - 8, y(value) + 4, f"{value:g}", "end"))
    for iteration in range(0, LAST_ITERATION + 1, TICK_ITERATIONS):
        shapes.append(f'<path d="M{x(iteration):g},{top} V{bottom}" stroke="#dddddd"/>')
        shapes.append(text(x(iteration), bottom + 15, f"{iteration:,}"))
    if schedule.is_uniform:
        start = f"{x(schedule.iters[0]):g},{y(schedule.values[0]):g}"
        end = f"{x(LAST_ITERATION):g},{y(schedule.values[0]):g}"
        shapes.append(
            f'<polygon points="{start} {" ".join(corners)} {end}" fill="{COLOR}" '
            'fill-opacity="0.25"/>'
        )
    shapes.append(
        f'<polyline points="{" ".join(corners)}" fill="none" stroke="{COLOR}" '
        'stroke-width="2"/>'
    )
    return shapes


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("output", nargs="?", type=Path, default=DOCS / "curriculum.svg")
    output = parser.parse_args().output
    examples = read_examples()
    shapes: list[str] = []
    for index, (name, schedule) in enumerate(examples):
        shapes += draw_panel(name, schedule, TOP + index * (HEIGHT + TOP + GAP))
    width = LEFT + WIDTH + 40
    height = len(examples) * (HEIGHT + TOP + GAP)
    body = "\n".join(shapes)
    output.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="DejaVu Sans, sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
