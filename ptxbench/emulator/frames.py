"""The frames of the call stack: the offsets of a routine's parameters, variables and saved registers, and the stack's
size. Knows nothing of code.

A thread's stack follows the kernel's own variables in local memory. Each stack byte has a hidden byte in the warp's
register file, for data that a call must keep safe from the kernel's stores (return addresses, saved registers).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ptxbench.emulator.inline import CallSite, InlinedProgram, Routine
from ptxbench.emulator.variables import assign_offsets

STACK_BYTES = 128 << 10
"""Bytes of a thread's stack where calls are recursive or memory is allocated on it: 4,096 frames of 32 bytes."""
LINE_BYTES = 64
LINK_BYTES = 8
"""Hidden bytes at the start of a frame: the block to return to, and the caller's frame."""
FRAME_ALIGNMENT = 16


@dataclass(frozen=True)
class Frame:
    """Offsets in a routine's frame. `formals`: of parameters and returned values, in the order of the signature.

    `cleared`: the range that is cleared at each call: returned values and variables. `saved`: the hidden range of saved
    registers.
    """

    formals: tuple[int, ...]
    variables: Mapping[str, int]
    cleared: tuple[int, int]
    saved: int
    bytes: int


def lay_out_formals(site: Routine | CallSite) -> tuple[tuple[int, ...], int]:
    """Offsets of parameters and returned values, and their end: the same for all functions of one signature.

    An access has at most the bytes of its variable, so the variable needs no more alignment than that.
    """
    offsets, offset = [], LINK_BYTES
    params, returns = site.signature
    for _, size in (*params, *returns):
        align = min(16, 1 << (size - 1).bit_length())
        offset = -(-offset // align) * align
        offsets.append(offset)
        offset += size
    return tuple(offsets), offset


def lay_out_frame(routine: Routine, saved_bytes: int, align: int) -> Frame:
    """`saved_bytes`: the most bytes of registers that the routine saves at one call."""
    formals, end = lay_out_formals(routine)
    variables, size = assign_offsets(routine.variables.values(), end)
    variables |= dict(zip((formal.name for formal in routine.formals), formals, strict=True))
    saved = -(-end // FRAME_ALIGNMENT) * FRAME_ALIGNMENT
    total = max(size, saved + saved_bytes if saved_bytes else end)
    params, returns = routine.signature
    cleared = formals[len(params)] if returns else end
    return Frame(formals, variables, (cleared, size), saved, -(-total // align) * align)


@dataclass(frozen=True)
class Frames:
    """The frames of all routines; without recursion, callees come first.

    `variables`: offsets of all routines' variables. `saved`: by the index of the instruction after a call, the offset
    in the caller's frame and the name of each saved register. `align`: every frame is a multiple of this, so that its
    variables are aligned as declared.
    """

    of: Mapping[str, Frame]
    variables: Mapping[str, int]
    saved: Mapping[int, Sequence[tuple[int, str]]]
    align: int
    stack_bytes: int


def lay_out_frames(program: InlinedProgram, saved: Mapping[int, Iterable[tuple[int, str]]], *, bounded: bool) -> Frames:
    """`saved`: bytes and name of what each call saves. `bounded`: only calls take memory on the stack."""
    routines, sites = program.routines, program.sites
    frame_variables = [variable for routine in routines.values() for variable in routine.variables.values()]
    align = max(
        FRAME_ALIGNMENT, *(variable.align for variable in (*frame_variables, *program.function.variables.values())), 0
    )
    placed: dict[int, list[tuple[int, str]]] = {}
    saved_bytes = dict.fromkeys(routines, 0)
    for index, sized in saved.items():
        offset = 0
        placed[index] = []
        for size, name in sorted(sized, reverse=True):  # the largest first: each is aligned
            placed[index].append((offset, name))
            offset += size
        caller = sites[index].caller
        saved_bytes[caller] = max(saved_bytes[caller], offset)
    frames = {name: lay_out_frame(routine, saved_bytes[name], align) for name, routine in routines.items()}
    bounded &= not any(site.comes_back for site in sites.values())
    return Frames(
        frames,
        {name: offset for frame in frames.values() for name, offset in frame.variables.items()},
        {
            index: [(frames[sites[index].caller].saved + offset, name) for offset, name in variables]
            for index, variables in placed.items()
        },
        align,
        longest_chain(frames, sites.values()) if bounded else STACK_BYTES,
    )


def stack_base(local_bytes: int, frames: Frames) -> int:
    """Where the stack starts, after the kernel's own variables.

    A thread's memory is an odd number of lines: with a power of two, all lanes would share a few sets of a cache.
    """
    base = -(-local_bytes // frames.align) * frames.align
    lines = (base + frames.stack_bytes) // LINE_BYTES
    return base if lines % 2 else base + max(LINE_BYTES, frames.align)


def longest_chain(frames: Mapping[str, Frame], sites: Iterable[CallSite]) -> int:
    """Bytes of the deepest stack without recursion; `frames` is in the order callees first."""
    called: dict[str, set[str]] = {}
    for site in sites:
        called.setdefault(site.caller, set()).update(site.targets)
    deepest: dict[str, int] = {}
    for name, frame in frames.items():
        deepest[name] = frame.bytes + max((deepest[callee] for callee in called.get(name, ())), default=0)
    return max(deepest.values(), default=0)
