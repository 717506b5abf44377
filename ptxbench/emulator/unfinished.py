"""A launch that has not finished when the next one starts: memory as it was, and what the first one will have stored.

With programmatic dependent launches a kernel may start before the one before has ended; only after griddepcontrol.wait
does it see what that one has stored. The emulator runs it on the old contents and brings the new ones at the wait.
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
class Stored:
    """Bytes that the unfinished launch changes: the offset of an array in the arena, positions in it, and the bytes
    before and after."""

    offset: int
    positions: NDArray[np.int64]
    before: Bytes
    after: Bytes


def unfinished(image: Image, earlier: Mapping[int, NDArray[np.generic]]) -> tuple[Image, tuple[Stored, ...]]:
    """The image with the contents that arrays had `earlier` (by id), and what has been stored since."""
    first = len(image.contents) - len(image.arrays)
    contents, stored = list(image.contents), []
    for place, held in enumerate(image.arrays, first):
        old = earlier.get(id(held.array))
        if old is None or held.array.dtype.hasobject:
            continue
        offset, now = image.contents[place]
        then = as_bytes(old)
        positions = np.flatnonzero(then != now)
        contents[place] = offset, then
        if positions.size:
            stored.append(Stored(offset, positions, then[positions], now[positions].copy()))
    return replace(image, contents=tuple(contents)), tuple(stored)


def finish(stored: Sequence[Stored], arena: Bytes, *, over: bool) -> None:
    """Bring the new bytes to the arena. `over`: the launch has ended without a wait; what it stored itself stays."""
    for store in stored:
        view = arena[store.offset :]
        if over:
            same = view[store.positions] == store.before
            view[store.positions[same]] = store.after[same]
        else:
            view[store.positions] = store.after
