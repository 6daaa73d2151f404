"""What a person at the terminal sees of a training."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from tqdm import tqdm


class Progress:
    """A bar with rate, return and time left, and lines above it; in a pipe only lines.

    The bar appears with the first `update`. Where nothing can be shown, on a full disk
    or in a pipe that nobody reads, the training goes on without.
    """

    def __init__(self, iterations: int) -> None:
        """Shows nothing yet.

        Args:
          iterations: Where the bar ends.
        """
        self._iterations = iterations
        self._bar: tqdm[Any] | None = None

    def print(self, line: str) -> None:
        """Prints a line; tqdm keeps it apart from the bar."""
        with contextlib.suppress(OSError):
            tqdm.write(line, file=sys.stderr)
            sys.stderr.flush()

    def update(self, iteration: int, episode_return: float | None = None) -> None:
        """Moves the bar.

        Args:
          iteration: Iterations done.
          episode_return: Of an episode that has ended.
        """
        with contextlib.suppress(OSError):
            self._update(iteration, episode_return)

    def _update(self, iteration: int, episode_return: float | None) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=self._iterations,
                initial=iteration,
                unit="it",
                unit_scale=True,
                dynamic_ncols=True,
                disable=not sys.stderr.isatty(),
            )
        if episode_return is not None:
            self._bar.set_postfix_str(f"return {episode_return:.4g}", refresh=False)
        self._bar.update(iteration - self._bar.n)

    def close(self) -> None:
        """Leaves the bar as it is."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                self._bar.close()
