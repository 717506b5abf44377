"""Which CTAs touched which bytes of global memory, on the host's side: see runtime/records.py.

Each host thread has its own records, so that it can write them without locks. Conflicts between CTAs of one thread are
detected immediately; conflicts between CTAs of different threads, after the launch.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.runtime import context, records

PAGES_AT_ONCE = 256
"""Pages of records that are compared at once: 256 KB of owners, and at most 1 MB of uses."""
CONFLICTING = [
    records.USE_BITS[use] | records.USE_BITS[other] for use, others in records.CONFLICTS.items() for other in others
    if use != other
]  # fmt: skip
MIXED = frozenset(uses for uses in range(1 << len(records.USES)) if any(uses & bits == bits for bits in CONFLICTING))
"""Sums of USE_BITS with two uses that conflict: if a buffer has such uses, its loads and updates must be recorded."""


class Records:
    """One host thread's records, kept from launch to launch. Lines that no CTA touches cost no memory."""

    def __init__(self) -> None:
        # Separate maps, so that a word in the owners' map never holds old uses.
        self.all_owners = zeroed(0)
        self.all_uses = zeroed(0)
        self.pages: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self.prepared = 0, 0

    def prepare(self, arena_bytes: int, shift: int) -> None:
        """Make a record for each line of the arena, with all pages untouched; `shift`: of the kernel's granule. It is
        where the last one was, if that was of the same size."""
        if self.prepared == (arena_bytes, shift):
            self.pages.fill(0)
            return
        lines = (arena_bytes >> shift) // records.LINE + 1
        pages = lines // records.PAGE + 1
        lines = pages * records.PAGE
        if lines * records.OWNER_BYTES > self.all_owners.size:
            self.all_owners = zeroed(lines * records.OWNER_BYTES)
            self.all_uses = zeroed(lines * records.USES_BYTES)
        self.owners = self.all_owners[: lines * records.OWNER_BYTES].view(np.uint64)
        self.uses = self.all_uses[: lines * records.USES_BYTES].view(np.uint32).reshape(-1, 2, 4)
        self.pages = np.zeros(pages, np.uint8)
        self.prepared = arena_bytes, shift

    def settings(self, shift: int) -> dict[int, int]:
        """The context's slots: the address of the record for the line at address 0."""
        first = context.GLOBAL_BASE >> shift + records.LINE.bit_length() - 1
        return {
            context.RECORD_OWNERS: self.owners.ctypes.data - first * records.OWNER_BYTES,
            context.RECORD_USES: self.uses.ctypes.data - first * records.USES_BYTES,
            context.RECORD_PAGES: self.pages.ctypes.data - first // records.PAGE,
        }

    def touched(self, pages: NDArray[np.int64], tag: int) -> NDArray[np.bool]:
        """Which lines of these pages the launch `tag` touched, shape (pages, lines of a page)."""
        return self.owners.reshape(-1, records.PAGE)[pages] >= 2 * tag

    def used(self, lines: NDArray[np.int64], tag: int) -> NDArray[np.uint32]:
        """The granules of these lines that the launch `tag` used, by use: shape (3, lines)."""
        owners = self.owners[lines]
        recorded: NDArray[np.uint32] = self.uses[lines]
        uses: NDArray[np.uint32] = (recorded[:, 0] | recorded[:, 1])[:, : len(records.USES)]
        uses[owners & 1 == 1] = [0xFFFFFFFF, 0, 0]  # whole lines stored to
        uses[owners < 2 * tag] = 0
        return uses.T

    def stored(self, tag: int, shift: int) -> NDArray[np.int64]:
        """The bytes that the launch `tag` stored to, as ranges from `prepare`'s first byte on, shape (ranges, 2)."""
        pages = self.pages.nonzero()[0]
        page_numbers, line_numbers = self.touched(pages, tag).nonzero()
        lines = pages[page_numbers] * records.PAGE + line_numbers
        masks = self.used(lines, tag)[records.USES.index(records.STORE)]
        bits = np.unpackbits(masks.astype("<u4").view(np.uint8).reshape(-1, 4), axis=1, bitorder="little")
        which, places = bits.nonzero()
        granules = lines[which] * records.LINE + places
        ends = np.flatnonzero(np.diff(granules) != 1)
        firsts = granules[np.concatenate(([0], ends + 1))] if granules.size else granules
        lasts = granules[np.concatenate((ends, [-1]))] if granules.size else granules
        return np.stack((firsts, lasts + 1), axis=1) << shift


def zeroed(size: int) -> NDArray[np.uint8]:
    """Zeroed memory in small pages, so that only touched pages cost memory and clearing time."""
    memory = mmap.mmap(-1, max(size, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(AttributeError, OSError):  # a system without large pages
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.uint8)[:size]


def shared(threads: Sequence[Records], tag: int) -> bool:
    """Whether CTAs of different host threads used the same bytes in the launch `tag`, one of them with a store."""
    (all_pages,) = in_several([thread.pages for thread in threads]).nonzero()
    for start in range(0, all_pages.size, PAGES_AT_ONCE):
        pages = all_pages[start : start + PAGES_AT_ONCE]
        page_numbers, line_numbers = in_several([thread.touched(pages, tag) for thread in threads]).nonzero()
        if not page_numbers.size:  # mostly: runs of CTAs store to lines of their own
            continue
        lines = pages[page_numbers] * records.PAGE + line_numbers
        before = np.zeros((len(records.USES), lines.size), np.uint32)
        for thread in threads:
            used = thread.used(lines, tag)
            if any((use & other).any() for use, other in conflicting(used, before)):
                return True
            before |= used
    return False


def in_several(masks: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The elements, or bits, that are set in more than one of these masks."""
    any_of = masks[0]
    several = any_of & masks[1] if len(masks) > 1 else np.zeros_like(any_of)
    for before, mask in itertools.pairwise(masks[1:]):
        any_of = any_of | before
        several |= any_of & mask
    return several


def conflicting(
    used: NDArray[np.uint32], before: NDArray[np.uint32]
) -> Iterator[tuple[NDArray[np.uint32], NDArray[np.uint32]]]:
    """The pairs of uses that must not overlap."""
    for use, others in records.CONFLICTS.items():
        for other in others:
            yield used[records.USES.index(use)], before[records.USES.index(other)]


def stored_buffers(buffer_uses: Sequence[NDArray[np.int64]]) -> frozenset[int]:
    """Buffers to which accesses stored, or which they updated: the slow path of an access notes the use of its buffer.

    `buffer_uses`: as in unmarked.
    """
    changes = records.USE_BITS[records.STORE] | records.USE_BITS[records.UPDATE]
    return frozenset(
        index for uses in buffer_uses for index, use in enumerate(uses[:, records.USED].tolist()) if use & changes
    )


def unmarked(buffer_uses: Sequence[NDArray[np.int64]]) -> set[int]:
    """Buffers whose loads and updates were not recorded but should have been. `buffer_uses`: of each host thread, shape
    (buffers, BUFFER_SLOTS)."""
    result = set()
    for index, rows in enumerate(zip(*(buffer_use.tolist() for buffer_use in buffer_uses), strict=True)):
        uses = 0
        for row in rows:
            uses |= row[records.USED]
        if uses in MIXED and not rows[0][records.MARKED]:
            result.add(index)
    return result
