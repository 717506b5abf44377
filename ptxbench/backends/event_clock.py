"""A clock by two events of the device. It calls only functions that it is given, so tests need no device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any


def nothing() -> None:
    """Enqueues nothing."""


Capture = Callable[[int], Callable[[], None]]
"""Makes a graph of that many launches, and returns the function that enqueues it."""


class EventClock:
    """A clock by two events. Each function that it is given enqueues its part and returns at once.

    `before_launch` gets the launch that is to be timed. `event` makes an event in advance and returns the function that
    records it; `elapsed` waits. `capture` makes a graph of that many launches, rotating over `copies` sets of buffers,
    and returns the function that enqueues it. `capture_resets`: the same for what that graph restores between its
    launches, if anything.
    `outputs` waits, and fetches what the last launch left. `refill` and `reload` do what base.Clock says, and return
    the next launches: each is used once, the last for all later samples. `hold` returns the function that keeps the
    device busy until the host has enqueued a graph; it runs the graph to measure how long that takes.
    """

    def __init__(
        self,
        before_launch: Callable[[Callable[[], None]], None],
        launch: Callable[[], None],
        event: Callable[[], Callable[[], Any]],
        elapsed: Callable[[Any, Any], int],
        reporting: Callable[[], Any],
        capture: Capture | None = None,
        copies: int = 1,
        as_wanted: bool = True,
        outputs: Callable[[], Mapping[str, Any]] = dict,
        refill: Callable[[Mapping[str, Any]], Sequence[Callable[[], None]]] | None = None,
        reload: Callable[[int], Sequence[Callable[[], None]]] | None = None,
        hold: Callable[[Callable[[], None]], Callable[[], None]] = lambda launch: nothing,
        capture_resets: Capture | None = None,
    ) -> None:
        self.before_launch = before_launch
        self.launches = [launch]
        self.refilled = refill
        self.reloaded = reload
        self.event = event
        self.elapsed = elapsed
        self.reporting = reporting
        self.capture = capture
        self.capture_resets = capture_resets
        self.graphs = capture is not None
        self.copies = copies
        self.as_wanted = as_wanted
        self.fetch = outputs
        self.captured: dict[tuple[int, bool], Callable[[], None]] = {}
        self.hold = hold
        self.holds: dict[tuple[int, bool], Callable[[], None]] = {}

    def enqueue_graph(self, launches: int) -> Callable[[], int]:
        """See base.Clock.

        If launches need arrays restored between them, the graph restores them, and the time of a graph that only
        restores is subtracted. A single launch afterwards uses the graph's module, so that its outputs show the state
        of that module.
        """
        assert self.capture is not None
        del self.launches[:-1]
        with_launches = self.enqueue_captured(launches, self.capture)
        if self.capture_resets is None:
            return with_launches
        only_resets = self.enqueue_captured(launches, self.capture_resets)
        return lambda: with_launches() - only_resets()

    def enqueue_captured(self, launches: int, capture: Capture) -> Callable[[], int]:
        """Time a graph. It is captured the first time, outside the timed part.

        The host's time grows with the number of launches. It is measured once per number of launches, and never with
        the data or the module of a later sample.
        """
        key = launches, capture is self.capture
        with self.reporting():
            if key not in self.captured:
                self.captured[key] = capture(launches)
            if key not in self.holds:
                self.holds[key] = self.hold(self.captured[key])
        return self.enqueue_timed(self.captured[key], self.holds[key])

    def enqueue(self) -> Callable[[], int]:
        """See base.Clock."""
        return self.enqueue_timed(self.launches.pop(0) if len(self.launches) > 1 else self.launches[0])

    def refill(self, arguments: Mapping[str, Any]) -> None:
        """See base.Clock."""
        assert self.refilled is not None
        with self.reporting():
            self.captured.clear()
            self.launches = list(self.refilled(arguments))

    def reload(self, samples: int) -> None:
        """See base.Clock."""
        assert self.reloaded is not None
        with self.reporting():
            self.captured.clear()
            self.launches = list(self.reloaded(samples))

    def outputs(self) -> Mapping[str, Any]:
        """See base.Clock."""
        with self.reporting():
            return self.fetch()

    def enqueue_timed(self, launch: Callable[[], None], hold: Callable[[], None] = nothing) -> Callable[[], int]:
        """Time `launch` by two events, which are made before the first is recorded: nothing is made in the timed part.

        `hold` keeps the device busy until the host has enqueued the rest.
        """
        with self.reporting():
            record_start, record_stop = self.event(), self.event()
            self.before_launch(launch)
            hold()
            start = record_start()
            launch()
            stop = record_stop()

        def wait() -> int:
            with self.reporting():
                return self.elapsed(start, stop)

        return wait
