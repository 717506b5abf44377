"""Makes the objects of this process immortal, so that its copies share more of its memory.

CPython counts the references to an object in the object itself. So a copy of the process writes to every object that it
uses, and the page of the object is copied, which takes about 4 us. The references to an immortal object are not counted
(PEP 683), and it is never freed. CPython has no function for that: here objects get the count of None, which is
immortal, where CPython keeps it as expected.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from collections.abc import Iterator
from types import CodeType
from typing import Any

LEAST = 1 << 30
"""The least count of an immortal object, in CPython 3.12 and later."""

ADDRESSES = 1 << 48
"""Addresses of a process, in bytes."""


@functools.cache
def make_immortal() -> None:
    """Make the objects immortal that exist now, but for a few that the garbage collector does not know.

    Further calls do nothing, so that a process that replaces what it has loaded does not grow with each call.
    """
    count = ctypes.c_uint32.from_address(id(None)).value
    if not count == sys.getrefcount(None) >= LEAST:
        return
    counts = (ctypes.c_uint32 * (ADDRESSES // 4)).from_address(0)  # an object begins with its count
    gc.unfreeze()
    for container in gc.get_objects():
        counts[id(container) // 4] = count
        for one in gc.get_referents(container):
            counts[id(one) // 4] = count
            for constant in constants(one):
                counts[id(constant) // 4] = count


def constants(code: Any) -> Iterator[Any]:
    """The constants of a function's code, and of the functions that are defined in it; none of other objects."""
    if isinstance(code, CodeType):
        for one in code.co_consts:
            yield one
            yield from constants(one)
