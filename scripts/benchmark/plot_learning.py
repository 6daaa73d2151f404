"""Plots the evaluations that system.py and peer_training.py print.

Runs with the peers' Python, which has matplotlib: `plot_learning.py OUTPUT.png TITLE
LABEL=FILE[,FILE...] ...`, a curve for each label: the mean over its files (seeds) and
each seed as a thin line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np


def main() -> None:
    """Runs from the command line."""
    output, title, *curves = sys.argv[1:]
    figure, axes = plt.subplots(figsize=(7, 4))
    for index, curve in enumerate(curves):
        label, files = curve.split("=")
        seeds = []
        for path in files.split(","):
            line = Path(path).read_text().strip().splitlines()[-1]
            seeds.append(np.array(json.loads(line)["evaluations"]))
        color = f"C{index}"
        for seed in seeds:
            axes.plot(seed[:, 0], seed[:, 1], color=color, alpha=0.3, linewidth=0.8)
        length = min(len(seed) for seed in seeds)
        mean = np.mean([seed[:length] for seed in seeds], axis=0)
        axes.plot(
            mean[:, 0], mean[:, 1], color=color, label=f"{label}, {len(seeds)} seeds"
        )
    axes.set_xlabel("env steps")
    axes.set_ylabel("mean greedy return, 5 episodes")
    axes.set_title(title)
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(output, dpi=90)


if __name__ == "__main__":
    main()
