"""What a person at the terminal sees of a training."""

from __future__ import annotations

import sys
from types import TracebackType

from tqdm import tqdm


class Progress:
    """A bar with rate and time left, and lines above it; in a pipe only the lines."""

    def __init__(self, iteration: int, iterations: int) -> None:
        """Begins at an iteration.

        Args:
          iteration: Where training begins.
          iterations: Where it ends.
        """
        self._bar = tqdm(
            total=iterations,
            initial=iteration,
            unit="it",
            unit_scale=True,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
        )
        self._iteration = iteration

    def report(self, news: str, iteration: int) -> None:
        """Shows a line, if it is not empty, and how far training is."""
        if news:
            # tqdm.write clears the bar first; without a bar it is a print.
            tqdm.write(news, file=sys.stderr)
            sys.stderr.flush()
        self._bar.update(iteration - self._iteration)
        self._iteration = iteration

    def __enter__(self) -> Progress:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leaves the bar as it is."""
        self._bar.close()
