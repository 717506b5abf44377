"""The frames of the call stack: where a routine's parameters, variables and saved registers lie, and how many bytes
the stack has. Knows nothing of code.

A thread's stack follows the kernel's own variables in local memory. Beside each byte of it lies a hidden one in the
warp's register file: what a call must keep and no store of the kernel can reach (return addresses, saved registers).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ptxbench.emulator.inline import CallSite, Routine
from ptxbench.emulator.syntax import Variable
from ptxbench.emulator.variables import place

STACK_BYTES = 128 << 10
"""Bytes of a thread's stack where calls are recursive or memory is allocated on it: 4,096 frames of 32 bytes."""
LINK_BYTES = 8
"""At the start of a frame, hidden: the block to return to, and the caller's frame."""
FRAME_ALIGNMENT = 16


@dataclass(frozen=True)
class Frame:
    """Offsets in a routine's frame. `formals`: of parameters and returned values, in the order of the signature.

    `cleared`: where its variables begin and end. `saved`: where registers are saved, hidden.
    """

    formals: tuple[int, ...]
    variables: Mapping[str, int]
    cleared: tuple[int, int]
    saved: int
    bytes: int


def lay_out_formals(site: Routine | CallSite) -> tuple[tuple[int, ...], int]:
    """Offsets of parameters and returned values, and their end: the same for all functions of one signature.

    An access has at most as many bytes as its variable, so that no more alignment is needed than that.
    """
    offsets, offset = [], LINK_BYTES
    params, returns = site.signature
    for _, size in (*params, *returns):
        align = min(16, 1 << (size - 1).bit_length())
        offset = -(-offset // align) * align
        offsets.append(offset)
        offset += size
    return tuple(offsets), offset


def alignment(variables: Iterable[Variable]) -> int:
    """What every frame is a multiple of, so that its variables are aligned as they ask."""
    return max(FRAME_ALIGNMENT, *(variable.align for variable in variables), 0)


def lay_out_frame(routine: Routine, saved_bytes: int, align: int) -> Frame:
    """`saved_bytes`: of the registers that the routine saves at one call, at the most."""
    formals, end = lay_out_formals(routine)
    variables, size = place(routine.variables.values(), end)
    variables |= dict(zip((each.name for each in routine.formals), formals, strict=True))
    saved = -(-end // FRAME_ALIGNMENT) * FRAME_ALIGNMENT
    total = max(size, saved + saved_bytes if saved_bytes else end)
    return Frame(formals, variables, (end, size), saved, -(-total // align) * align)


def longest_chain(frames: Mapping[str, Frame], sites: Iterable[CallSite]) -> int:
    """Bytes of the deepest stack without recursion; `frames` has each routine behind those that it calls."""
    called: dict[str, set[str]] = {}
    for site in sites:
        called.setdefault(site.caller, set()).update(site.targets)
    deepest: dict[str, int] = {}
    for name, frame in frames.items():
        deepest[name] = frame.bytes + max((deepest[each] for each in called.get(name, ())), default=0)
    return max(deepest.values())
