"""printf and assert of a running kernel, on the worker's side: reads the thread's memory and formats the text."""

from __future__ import annotations

import ctypes
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator.runtime import context
from ptxbench.emulator.runtime.host import ASSERT

CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
CONVERSION = re.compile(r"%([-+ #0]*)(\*|\d*)(?:\.(\*|\d+))?(hh|h|ll|l|j|z|t|L)?([diouxXcsaAeEfFgGp%])")
LONGEST_STRING = 4096


class Console:
    """Collects what one host thread's warps print; the first assert that fails ends the launch."""

    def __init__(self, context_: NDArray[np.int64], buffers: tuple[tuple[int, int], ...]) -> None:
        self.context = context_
        self.buffers = buffers
        self.printed: list[str] = []
        self.failed = ""
        self.callback = CALLBACK(self.called)  # kept: the generated code holds its address

    @property
    def address(self) -> int:
        return ctypes.cast(self.callback, ctypes.c_void_p).value or 0

    def called(self, kind: int, mask: int, site: int, values: int, result: int) -> None:
        lanes = np.ctypeslib.as_array(ctypes.cast(values, ctypes.POINTER(ctypes.c_uint64)), (4, 32))
        counts = np.ctypeslib.as_array(ctypes.cast(result, ctypes.POINTER(ctypes.c_int32)), (32,))
        for lane in range(32):
            if not mask >> lane & 1:
                continue
            a, b, c, d = (int(value) for value in lanes[:, lane])
            if kind == ASSERT:
                self.fail(site, lane, a, b, c, d)
                return
            text, counts[lane] = self.format(lane, a, b)
            self.printed.append(text)

    def fail(self, site: int, lane: int, message: int, file: int, line: int, function: int) -> None:
        """Record the assertion as the thread's fault, unless there is one already."""
        if self.context[context.FAULT_KIND]:
            return
        name, where = self.string(lane, function), self.string(lane, file)
        self.failed = f"{where}:{line}: {name}: the assertion `{self.string(lane, message)}` failed"
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

        Arguments lie one after the other, each aligned to its size; integers of up to 4 bytes take 4, floats are
        doubles. (PTX ISA, "System Calls"; CUDA C++ Programming Guide, "Formatted Output".)
        """
        place, count = arguments, 0

        def take(code: str) -> Any:
            nonlocal place, count
            size = struct.calcsize(code)
            place = -(-place // size) * size
            (value,) = struct.unpack(code, self.read(lane, place, size))
            place += size
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
            shape = f"%{flags}{width}" + (f".{precision}" if precision is not None else "")
            long = length in ("l", "ll", "j", "z", "t")
            if kind in "di":
                return str((shape + "d") % take("<q" if long else "<i"))
            if kind in "ouxX":
                return str((shape + kind) % take("<Q" if long else "<I"))
            if kind == "c":
                return (shape + "c") % chr(take("<i") & 0xFF)
            if kind == "s":
                return (shape + "s") % self.string(lane, take("<Q"))
            if kind == "p":
                return f"{take('<Q'):#x}"
            value = take("<d")
            return float.hex(value) if kind in "aA" else (shape + kind) % value

        return CONVERSION.sub(convert, self.string(lane, template)), count

    def string(self, lane: int, address: int) -> str:
        """A zero-terminated string."""
        found = bytearray()
        while len(found) < LONGEST_STRING and (byte := self.read(lane, address + len(found), 1)) != b"\0":
            found += byte
        return found.decode("utf-8", "replace")

    def read(self, lane: int, address: int, size: int) -> bytes:
        """Bytes at a generic address; "?" where there is no memory."""
        slot: Callable[[int], int] = lambda index: int(self.context[index])  # noqa: E731
        offset = address - context.LOCAL_WINDOW
        if offset >= 0 and offset + size <= slot(context.LOCAL_BYTES):
            return ctypes.string_at(slot(context.LOCAL) + lane * slot(context.LOCAL_BYTES) + offset, size)
        offset = address - context.SHARED_WINDOW
        if offset >= 0 and offset + size <= slot(context.SHARED_BYTES):
            return ctypes.string_at(slot(context.SHARED) + offset, size)
        if any(low <= address and address + size <= high for low, high in self.buffers):
            return ctypes.string_at(address + slot(context.DELTA), size)
        return b"?" * size
