"""The figures of a kernel that its cubin holds for the driver: registers, stack, shared memory, threads.

They are in the sections .nv.info, whose format no manual describes. The attributes and their numbers are as nvdisasm
13.5 prints them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ptxbench import architecture
from ptxbench.toolchain.cubin import Cubin

THREADS, STACK, REGISTERS = 0x10, 0x12, 0x2F  # EIATTR_REQNTID, _MIN_STACK_SIZE, _REGCOUNT
SIZED = 0x04
"""The form of an attribute with a given size; all others have two bytes."""

RESERVED_SINCE, RESERVED_BYTES = 90, 1024
"""The first architecture on which a kernel's section of shared memory begins with the bytes of the driver."""


@dataclass(frozen=True)
class KernelInfo:
    """The figures; None for one that the cubin does not have. `threads`: of a CTA, if the kernel requires a number."""

    registers: int | None
    stack_bytes: int | None
    shared_bytes: int
    threads: tuple[int, int, int] | None


def kernel_info(cubin: Cubin, entry: str, arch: str) -> KernelInfo:
    """The figures of `entry`. Raises ValueError if the attributes cannot be read."""
    number = next((i for i, symbol in enumerate(cubin.symbols) if symbol.name == entry), None)
    of_kernels = {
        attribute: struct.unpack("<II", value)[1]
        for attribute, value in attributes(cubin, ".nv.info")
        if attribute in (REGISTERS, STACK) and struct.unpack("<II", value)[0] == number
    }
    of_entry = dict(attributes(cubin, f".nv.info.{entry}"))
    sizes = [section.size for section in cubin.sections if section.name == f".nv.shared.{entry}"]
    reserved = RESERVED_BYTES if architecture.number(arch) >= RESERVED_SINCE else 0
    return KernelInfo(
        of_kernels.get(REGISTERS),
        of_kernels.get(STACK),
        max(0, sum(sizes) - reserved),
        struct.unpack("<III", of_entry[THREADS]) if THREADS in of_entry else None,
    )


def attributes(cubin: Cubin, name: str) -> Iterator[tuple[int, bytes]]:
    """The number and the value of each attribute in the section of that name. Raises ValueError if it is cut short."""
    content = next((section.content for section in cubin.sections if section.name == name), b"")
    offset = 0
    while offset < len(content):
        try:
            form, attribute, size = struct.unpack_from("<BBH", content, offset)
        except struct.error as error:
            raise ValueError(f"{name} is cut short: {error}") from None
        offset += 4
        length = size if form == SIZED else 0
        yield attribute, content[offset : offset + length]
        offset += length
