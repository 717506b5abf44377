"""What a launch and the emulator's process say to each other, and how an answer goes through a pipe."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.findings import RawFinding
from ptxbench.emulator.layout import BINS, Translation
from ptxbench.emulator.variation import NO_VARIATION, Variation

CtaOrder = Literal["usual", "last first", "by turns", "first alone", "last alone"]
"""usual: as CTAs come, all at once where they may wait for each other. last first: one after the other, from the last.
by turns: all of them in one host thread, which goes to the next wherever a CTA's warps all wait or end, or those
of an even one have stored what others may wait for and come to a loop. first alone, last alone: no other runs."""


@dataclass(frozen=True)
class LaunchRequest:
    """One launch. `params` are the packed parameters; `buffers` (low, high) emulated addresses, ascending."""

    ptx: str
    entry: str | None
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    params: bytes
    buffers: tuple[tuple[int, int], ...]
    arena_bytes: int
    dynamic_shared_bytes: int
    threads: int
    fuel: int
    arch: str
    mode: str = "plain"
    """plain, sanitize or adversarial."""
    ctas: CtaOrder = "usual"
    placement: int | None = None
    """A seed for where the module's variables, the parameters, shared and local memory lie."""
    variation: Variation = NO_VARIATION


@dataclass(frozen=True)
class Fault:
    """The first fault, by CTA rank: `slot` is its counter's index in the raw counters."""

    kind: int
    slot: int
    lane: int
    address: int
    cta: int
    warp: int


@dataclass(frozen=True)
class Clash:
    """The first use of bytes that a CTA before it has used, one of them storing, where CTAs run by rank.

    `slot`: its site's index in the raw counters. `address`: the first byte. `earlier`: store, load or atomic.
    """

    slot: int
    address: int
    cta: int
    earlier: str


@dataclass(frozen=True)
class Waiting:
    """Lanes of a warp that wait at one place: the first or the last instruction of `block`.

    `barrier`: its number, with the lanes that have arrived and those expected (-1: every thread); -1 where they wait
    for other lanes of their warp.
    """

    warp: int
    lanes: int
    block: int
    last: bool
    barrier: int
    arrived: int
    expected: int


@dataclass(frozen=True)
class LaunchReply:
    counters: NDArray[np.int64]
    phases: int
    fault: Fault | None
    translation: Translation
    waiting: tuple[Waiting, ...] = ()
    """Of a deadlock."""
    printed: str = ""
    assertion: str = ""
    """Of an assert or a free that failed: where and which."""
    findings: tuple[RawFinding, ...] = ()
    notes: tuple[str, ...] = ()
    """Checks of a sanitized launch that were not made."""
    clash: Clash | None = None
    blocks: tuple[tuple[int, int], ...] = ()
    """Of the heap: address and bytes, in the order in which malloc gave them; those that were freed too."""
    unfreed: int = 0
    """How many blocks of the heap are allocated still."""
    trips: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, BINS), np.int64))
    """The bins of each loop (layout.py), shape (loops, BINS)."""


@dataclass(frozen=True)
class Again:
    """The job is to be given once more, with the arena as it was: what was done does not count."""


@dataclass(frozen=True)
class Failure:
    """An error of ptxbench's, by class name."""

    name: str
    message: str


MOST_SENT = 32
"""Translations that both sides of the pipe keep."""


@dataclass
class Sent:
    """The translations that were sent last, which are long: each goes through the pipe once. Both sides have one."""

    slots: list[Translation | None] = field(default_factory=lambda: [None] * MOST_SENT)
    newest: int = -1

    def dump(self, answer: Any, stream: IO[bytes]) -> None:
        """Send an answer."""
        pickler = AnswerPickler(stream)
        pickler.sent = self
        pickler.dump(answer)
        stream.flush()

    def load(self, stream: IO[bytes]) -> Any:
        """The next answer. Raises EOFError at the end, and UnpicklingError."""
        unpickler = AnswerUnpickler(stream)
        unpickler.sent = self
        return unpickler.load()

    def reference(self, translation: Translation) -> tuple[int, bytes]:
        """What stands for a translation in an answer: its slot, and the translation itself where it is new."""
        for slot, known in enumerate(self.slots):
            if known is translation:
                return slot, b""
        self.newest = (self.newest + 1) % MOST_SENT
        self.slots[self.newest] = translation
        return self.newest, pickle.dumps(translation)

    def resolve(self, slot: int, content: bytes) -> Translation:
        if content:
            self.slots[slot] = pickle.loads(content)
        known = self.slots[slot]
        assert known is not None
        return known


class AnswerPickler(pickle.Pickler):
    sent: Sent

    def persistent_id(self, value: Any) -> tuple[int, bytes] | None:
        return self.sent.reference(value) if isinstance(value, Translation) else None


class AnswerUnpickler(pickle.Unpickler):
    sent: Sent

    def persistent_load(self, reference: Any) -> Translation:
        return self.sent.resolve(*reference)
