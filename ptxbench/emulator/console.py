"""The host side of calls of a running kernel: printf and assert, whose text is read from the thread's memory, malloc
and free.
"""

from __future__ import annotations

import ctypes
import functools
import re
import struct
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.heap import Heap
from ptxbench.emulator.runtime import conditions, context
from ptxbench.emulator.runtime.host import ALLOCATE, ASSERT, FINISH, RELEASE

CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
CONVERSION = re.compile(r"%([-+ #0]*+)(\*|\d*+)(?:\.(\*|\d*+))?(hh|h|ll|l|j|z|t|L)?([diouxXcsaAeEfFgGp%])")
LONGEST_STRING = 4096


@functools.cache
def snprintf() -> Callable[..., int]:
    """C's function, which formats numbers as CUDA's printf does on the host."""
    windows = sys.platform == "win32"
    library = ctypes.CDLL("msvcrt" if windows else None)
    function = library["_snprintf" if windows else "snprintf"]
    function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]
    return function


def number_text(conversion: str, number: ctypes.c_double | ctypes.c_uint64 | ctypes.c_uint32) -> str:
    """The number as C's printf writes it for a conversion such as %5.2f."""
    text = ctypes.create_string_buffer(LONGEST_STRING)
    snprintf()(text, LONGEST_STRING, conversion.encode(), number)
    return text.value.decode()


class Console:
    """Collects the output of one host thread's warps, and keeps their heap, which starts at the address `heap`. The
    first failed assert ends the launch."""

    def __init__(
        self,
        context_: NDArray[np.int64],
        buffers: tuple[tuple[int, int], ...],
        bounds: NDArray[np.int64],
        field_values: Mapping[conditions.Field, int],
        heap: int = 0,
        heap_margin: int = 0,
    ) -> None:
        """`bounds`: the table in which the generated code looks up addresses, with room for heap blocks.
        `field_values`: where shared and local memory are, and the initial contents of memory."""
        self.field_values = field_values
        self.context = context_
        self.buffers = buffers
        self.heap = Heap(heap, heap_margin)
        self.bounds = bounds
        self.forget: Callable[[int, int], None] | None = None
        """In a sanitized launch: called with the offset in the arena and the bytes of each new block."""
        self.update_bounds()
        self.printed: list[str] = []
        self.failed = ""
        self.apply_pending_stores: Callable[[], None] | None = None
        """Applies the stores of an unfinished launch before this one."""
        self.callback: Any = CALLBACK(self.called)  # kept alive: the generated code holds its address

    @property
    def address(self) -> int:
        # ctypes.cast would make the callback refer to itself: a cycle, which `close` does not end.
        return ctypes.c_void_p.from_buffer(self.callback).value or 0

    def close(self) -> None:
        """Take no more calls, and drop the callback, which refers to this object. Otherwise this cycle would keep the
        launch's memory (hundreds of MiB of address space) until Python next collects cycles."""
        self.callback = self.forget = self.apply_pending_stores = None

    def called(self, kind: int, mask: int, site: int, values: int, result: int) -> None:
        if kind == FINISH:
            if self.apply_pending_stores is not None:
                self.apply_pending_stores()
            return
        lanes = np.ctypeslib.as_array(ctypes.cast(values, ctypes.POINTER(ctypes.c_uint64)), (4, 32))
        results = np.ctypeslib.as_array(ctypes.cast(result, ctypes.POINTER(ctypes.c_uint64)), (32,))
        for lane in range(32):
            if not mask >> lane & 1:
                continue
            a, b, c, d = (int(value) for value in lanes[:, lane])
            if kind == ASSERT:
                name, where, text = (self.string(lane, address) for address in (d, b, a))
                self.fail(site, lane, f"{where}:{c}: {name}: the assertion `{text}` failed")
                return
            if kind == ALLOCATE:
                results[lane] = self.allocate(a)
            elif kind == RELEASE:
                if a and not self.heap.release(a):
                    self.fail(site, lane, f"free of {a:#x}, which is not a live block from malloc")
                    return
            else:
                text, results[lane] = self.format(lane, a, b)
                self.printed.append(text)
        if kind in (ALLOCATE, RELEASE):
            self.update_bounds()

    def allocate(self, size: int) -> int:
        """A new block; it has the same initial bytes as shared memory."""
        address = self.heap.allocate(size)
        if address:
            ctypes.memset(address + int(self.context[context.DELTA]), self.field_values[conditions.MEMORY], size)
            if self.forget is not None:
                self.forget(address - context.GLOBAL_BASE, size)
        return address

    def update_bounds(self) -> None:
        """Update the generated code's table of accessible addresses."""
        ranges = [*self.buffers, *self.heap.bounds()]
        self.bounds[: 2 * len(ranges)] = np.array(ranges, np.int64).ravel()
        self.context[context.BUFFER_COUNT] = len(ranges)

    def fail(self, site: int, lane: int, message: str) -> None:
        """Record the error as the thread's fault, unless it already has one."""
        if self.context[context.FAULT_KIND]:
            return
        self.failed = message
        for slot, value in (
            (context.FAULT_KIND, context.TRAPPED),
            (context.FAULT_SITE, site - int(self.context[context.COUNTERS])),
            (context.FAULT_LANE, lane),
            (context.FAULT_CTA, int(self.context[context.CTA])),
            (context.FAULT_WARP, int(self.context[context.WARP])),
            (context.FUEL, 0),
        ):
            self.context[slot] = value

    def format(self, lane: int, template: int, arguments: int) -> tuple[str, int]:
        """The text of one lane's printf and how many arguments it took.

        Arguments are consecutive, each aligned to its size; integers of up to 4 bytes take 4, floats are
        doubles. (PTX ISA, "System Calls"; CUDA C++ Programming Guide, "Formatted Output".)
        """
        address, count = arguments, 0

        def take(code: str) -> Any:
            nonlocal address, count
            size = struct.calcsize(code)
            address = -(-address // size) * size
            (value,) = struct.unpack(code, self.read(lane, address, size))
            address += size
            count += 1
            return value

        def convert(match: re.Match[str]) -> str:
            flags, width, precision, length, kind = match.groups()
            if kind == "%":
                return "%"
            if width == "*":
                width = str(take("<i"))
            if precision == "*":
                precision = str(take("<i"))
            # C takes a negative precision for none.
            shape = f"%{flags}{width}" + ("" if precision is None or precision[:1] == "-" else f".{precision}")
            if kind == "c":
                return (shape + "c") % chr(take("<i") & 0xFF)
            if kind == "s":
                address_of_string = take("<Q")
                return (shape + "s") % (self.string(lane, address_of_string) if address_of_string else "(null)")
            if kind in "aAeEfFgG":
                return number_text(shape + kind, ctypes.c_double(take("<d")))
            if kind == "p":
                return number_text(shape + kind, ctypes.c_uint64(take("<Q")))
            if length in ("l", "ll", "j", "z", "t"):
                return number_text(f"{shape}ll{kind}", ctypes.c_uint64(take("<Q")))
            return number_text(f"{shape}{length or ''}{kind}", ctypes.c_uint32(take("<I")))

        return CONVERSION.sub(convert, self.string(lane, template)), count

    def string(self, lane: int, address: int) -> str:
        """A zero-terminated string."""
        content = bytearray()
        while len(content) < LONGEST_STRING and (byte := self.read(lane, address + len(content), 1)) != b"\0":
            content += byte
        return content.decode("utf-8", "replace")

    def read(self, lane: int, address: int, size: int) -> bytes:
        """Bytes at a generic address; "?" outside all memory."""
        slot: Callable[[int], int] = lambda index: int(self.context[index])  # noqa: E731
        offset = address - self.field_values[conditions.LOCAL_BASE]
        if offset >= 0 and offset + size <= slot(context.LOCAL_BYTES):
            return ctypes.string_at(slot(context.LOCAL) + lane * slot(context.LOCAL_BYTES) + offset, size)
        offset = address - self.field_values[conditions.SHARED_BASE]
        if offset >= 0 and offset + size <= slot(context.SHARED_BYTES):
            return ctypes.string_at(slot(context.SHARED) + offset, size)
        if any(low <= address and address + size <= high for low, high in (*self.buffers, *self.heap.bounds())):
            return ctypes.string_at(address + slot(context.DELTA), size)
        return b"?" * size
