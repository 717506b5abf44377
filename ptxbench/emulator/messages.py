"""The messages between a launch and the emulator's process, and how an answer is sent through a pipe."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.findings import RawFinding, RawReport
from ptxbench.emulator.layout import BINS, Translation
from ptxbench.emulator.pending_stores import PendingStore
from ptxbench.emulator.variation import NO_VARIATION, Variation

CtaOrder = Literal[
    "usual", "first first", "last first", "by turns", "stores first", "first warps", "first alone", "last alone"
]
"""The orders are:

- usual: in rank order, all at once if they may wait for each other.
- first first, last first: one after the other, from the first or from the last.
- by turns: all in one host thread, which switches when all warps of a CTA wait or end. It also switches when a CTA of
  even rank reaches an atom.cas or atom.exch; after a store that others may wait for, or an atom.exch whose result is
  not used, at the next one or at a loop; at the second of two loads of what others may store; and at a strong store
  after a strong load. It also switches when a CTA of odd rank reaches an atomic with a result after an update of global
  memory, with no barrier between.
- stores first: the same, but all CTAs except that of rank 1 switch at such loops, so that CTAs that wait see the first
  stores of the others, and few later ones.
- first warps: all in one host thread. It switches from a CTA when a warp waits or ends that has just drawn a ticket or
  stored what others may wait for, so that other warps of the CTA have not run yet. In clusters: as by turns.
- first alone, last alone: only that CTA runs.
"""
TAKE_TURNS: Sequence[CtaOrder] = ("by turns", "stores first", "first warps")
"""The orders in which all CTAs run in one host thread, which switches between them."""


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
    """The most host threads."""
    fuel: int
    arch: str
    mode: str = "plain"
    """plain, sanitize or adversarial."""
    ctas: CtaOrder = "usual"
    placement: int | None = None
    """A seed for the addresses of shared and local memory, and of functions."""
    module_shift: int = 0
    """By how many bytes the module's variables and the parameters are shifted."""
    variation: Variation = NO_VARIATION
    cluster: tuple[int, int, int] | None = None
    """CTAs of a cluster; None: a launch without clusters."""
    cooperative: bool = True
    """Whether the grid has a workspace, in which cooperative groups count the CTAs that have reached a grid barrier."""
    pending_stores: tuple[PendingStore, ...] = ()
    """What an unfinished launch before this one stores."""
    all_threads: bool = False
    """Whether to start all host threads at once, even if the launch is too short to gain from them."""
    wants_stored: bool = False
    """Whether the reply shall say which bytes one CTA, or those of one host thread, stored to."""

    @property
    def cluster_size(self) -> int:
        return math.prod(self.cluster or (1,))


class Fault(RawReport):
    """The first fault, by CTA rank."""


@dataclass(frozen=True)
class CtaConflict:
    """The first access to bytes that an earlier CTA has used, if one of them stored. CTAs run by rank.

    `slot`: its site's index in the raw counters. `address`: the first byte. `earlier`: store, load or atomic.
    """

    slot: int
    address: int
    cta: int
    earlier: str


OF_CLUSTER, OF_POOL = 16, 17
"""Values of `WaitingLanes.barrier` above the numbers of barriers."""


@dataclass(frozen=True)
class WaitingLanes:
    """Lanes of a warp that wait at one place: the first or the last instruction of `block`.

    `barrier`: its number, with the lanes that have arrived and the lanes expected (-1: every thread). It is -1 if the
    lanes wait for other lanes of their warp, and OF_CLUSTER if they wait at the barrier of their cluster. It is OF_POOL
    if the warp waits for registers; then `expected` is how many more per thread it needs.
    """

    warp: int
    lanes: int
    block: int
    last: bool
    barrier: int
    arrived: int
    expected: int
    mbarrier: tuple[int, int] | None = None
    """If the lanes test an mbarrier without success: its address in shared memory, and its word
    (runtime/mbarriers.py)."""


@dataclass(frozen=True)
class LaunchReply:
    counters: NDArray[np.int64]
    phases: int
    mbarrier_phases: int
    fault: Fault | None
    translation: Translation
    waiting: tuple[WaitingLanes, ...] = ()
    """Only for a deadlock."""
    registers: tuple[int, ...] = ()
    """Only for a deadlock of a kernel with setmaxnreg: the registers per thread of each warp, then the pool's."""
    printed: str = ""
    assertion: str = ""
    """Text of a failed assert or free: where and which."""
    findings: tuple[RawFinding, ...] = ()
    notes: tuple[str, ...] = ()
    """Checks of a sanitized launch that were not made."""
    conflict: CtaConflict | None = None
    blocks: tuple[tuple[int, int], ...] = ()
    """Heap blocks: address and bytes, in malloc order, freed ones included."""
    unfreed: int = 0
    """The number of heap blocks that are still allocated."""
    stored_buffers: frozenset[int] | None = None
    """Indices of the buffers that the launch stored to or updated; None: it may have changed all memory."""
    trips: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, BINS), np.int64))
    """The bins of each loop (layout.py), shape (loops, BINS)."""
    stored: NDArray[np.int64] | None = None
    """Bytes of the arena that were stored to, as ranges in ascending order, shape (ranges, 2); None if it is not known
    or was not wanted."""


@dataclass(frozen=True)
class RetryReply:
    """The request must be sent again, with the arena as before: this run does not count."""


@dataclass(frozen=True)
class ErrorReply:
    """An error of ptxbench, by class name."""

    name: str
    message: str


MOST_CACHED = 32
"""How many translations each side of the pipe keeps."""


@dataclass
class TranslationCache:
    """The last translations sent. They are long, so each is sent once; both sides of the pipe keep a copy."""

    slots: list[Translation | None] = field(default_factory=lambda: [None] * MOST_CACHED)
    newest: int = -1

    def dump(self, answer: Any, stream: IO[bytes]) -> None:
        pickler = AnswerPickler(stream)
        pickler.translations = self
        pickler.dump(answer)
        stream.flush()

    def load(self, stream: IO[bytes]) -> Any:
        """The next answer. Raises EOFError at the end, and UnpicklingError."""
        unpickler = AnswerUnpickler(stream)
        unpickler.translations = self
        return unpickler.load()

    def reference(self, translation: Translation) -> tuple[int, bytes]:
        """The stand-in for a translation in an answer: its slot, and the translation itself if it is new."""
        for slot, cached in enumerate(self.slots):
            if cached is translation:
                return slot, b""
        self.newest = (self.newest + 1) % MOST_CACHED
        self.slots[self.newest] = translation
        return self.newest, pickle.dumps(translation)

    def resolve(self, slot: int, content: bytes) -> Translation:
        if content:
            self.slots[slot] = pickle.loads(content)
        translation = self.slots[slot]
        assert translation is not None
        return translation


class AnswerPickler(pickle.Pickler):
    translations: TranslationCache

    def persistent_id(self, value: Any) -> tuple[int, bytes] | None:
        return self.translations.reference(value) if isinstance(value, Translation) else None


class AnswerUnpickler(pickle.Unpickler):
    translations: TranslationCache

    def persistent_load(self, reference: Any) -> Translation:
        return self.translations.resolve(*reference)
