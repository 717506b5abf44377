"""Stores of a launch that has not finished when the next one starts.

With programmatic dependent launches a kernel may start before the previous one has ended. It sees the stores of the
previous one only after griddepcontrol.wait. The emulator runs it on the old contents, and applies the stores at the
wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.image import Image
from ptxbench.emulator.memory import Bytes
from ptxbench.emulator.pointers import as_bytes


@dataclass(frozen=True)
class PendingStore:
    """Bytes that the unfinished launch changes: the offset of an array in the arena, positions in it, and the bytes
    before and after."""

    offset: int
    positions: NDArray[np.int64]
    before: Bytes
    after: Bytes


def split_pending_stores(
    image: Image, earlier: Mapping[int, NDArray[np.generic]]
) -> tuple[Image, tuple[PendingStore, ...]]:
    """The image with the contents that arrays had `earlier` (by id), and the stores since then."""
    first = len(image.contents) - len(image.arrays)
    contents, pending_stores = list(image.contents), []
    for index, image_array in enumerate(image.arrays, first):
        old = earlier.get(id(image_array.array))
        if old is None or image_array.array.dtype.hasobject:
            continue
        offset, after = image.contents[index]
        before = as_bytes(old)
        positions = np.flatnonzero(before != after)
        contents[index] = offset, before
        if positions.size:
            pending_stores.append(PendingStore(offset, positions, before[positions], after[positions].copy()))
    return replace(image, contents=tuple(contents)), tuple(pending_stores)


def apply_stores(pending_stores: Sequence[PendingStore], arena: Bytes, *, ended: bool) -> None:
    """Write the new bytes to the arena. `ended`: the launch has ended without a wait; bytes that it stored stay."""
    for store in pending_stores:
        view = arena[store.offset :]
        if ended:
            unchanged = view[store.positions] == store.before
            view[store.positions[unchanged]] = store.after[unchanged]
        else:
            view[store.positions] = store.after
