"""Preparations of a timed launch. The functions only enqueue, so tests check their order without a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Action = Callable[[], None]
"""Enqueues something and returns at once."""


@dataclass(frozen=True)
class Preparation:
    """`restore`: restores the first content of outputs and in-out arrays; `restore_scratch`: that of scratch arrays.

    `flush`: empties L2; before a warm launch only of lines that some kernel marked as persisting. `hold`: keeps the
    device busy while the host enqueues the timed part.
    """

    restore: Action
    restore_scratch: Action
    flush: Action
    hold: Action

    def cold(self, launch: Action) -> None:
        """Before a launch that finds its data out of L2.

        Outputs and in-out arrays are restored before the flush, because these writes pass through L2. Scratch arrays
        are restored after it: a program that uses such a kernel resets its flags right before the launch, so they are
        in L2.
        """
        self.restore()
        self.flush()
        self.restore_scratch()
        self.hold()

    def warm(self, launch: Action) -> None:
        """Before a launch that finds in L2 what `launch` left there on the same data."""
        self.flush()
        self.restore()
        self.restore_scratch()
        launch()
        self.restore()
        self.restore_scratch()
        self.hold()
