"""Costs of executed PTX opcodes on a GPU beyond one instruction: subroutines, fences, scopes, waits.

`Executed` is how often warps executed each opcode, such as {"ld.acquire.gpu.global.u64": 64}. Data and pure functions;
imports nothing of ptxbench.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Executed = Mapping[str, int]
"""By opcode, with modifiers in the manual's order; an opcode with a number has it appended: `nanosleep.u32 100`."""

Count = Callable[[Executed], int]

SCOPES = ("cta", "cluster", "gpu", "sys")
"""From the narrowest to the widest."""


def words(opcode: str) -> list[str]:
    return opcode.split(" ")[0].split(".")


NUMBER = re.compile(r"[0-9]{1,20}")


def number(opcode: str) -> int | None:
    """The number that belongs to an opcode; None if there is none, or if a file has an invalid one."""
    _, _, constant = opcode.partition(" ")
    return int(constant) if NUMBER.fullmatch(constant) else None


def total(chosen: Callable[[str], bool]) -> Count:
    """Executions of the chosen opcodes."""
    return lambda executed: sum(count for opcode, count in executed.items() if chosen(opcode))


# ---- arithmetic that is not a single instruction

ROUNDED = re.compile(r"(?:div|rcp|sqrt)\.r[nzmp]\b.*|(?:div|rem)\.[us]\d+|div\.f64|rcp\.f64|sqrt\.f64")
"""Results that are exact to the last place, and quotients of integers: ptxas makes 7 to 30 instructions of one, or a
call of a subroutine (ptxas 13.5, sm_90).
"""

SUBNORMAL = re.compile(r"(?:div\.(?:full|approx)|(?:rcp|sqrt|rsqrt|ex2|lg2)\.approx)\.f32")
"""Approximations that keep subnormal numbers, because they lack `.ftz`: 3 to 6 more instructions around the one."""


def is_division(opcode: str) -> bool:
    """Not integer division by a constant: ptxas multiplies instead."""
    return bool(ROUNDED.fullmatch(opcode)) and number(opcode) is None


def is_subnormal(opcode: str) -> bool:
    return bool(SUBNORMAL.fullmatch(opcode))


def is_conversion(opcode: str) -> bool:
    """Conversions with floating-point numbers; those between integers only move bits."""
    root, *rest = words(opcode)
    return root == "cvt" and any(re.match(r"(?:b?f|tf|e\dm\d|ue\dm\d)\d*", word) for word in rest)


# ---- memory

ACCESSES = ("ld", "ldu", "st", "atom", "red")
PRIVATE_SPACES = ("shared", "local", "param", "const")
"""State spaces that an SM does not share with other SMs."""


def is_access(opcode: str) -> bool:
    return words(opcode)[0] in ACCESSES


def space(opcode: str) -> str:
    """global, shared, local, param or const; empty of a generic access."""
    starts = (word.partition("::")[0] for word in words(opcode)[1:])
    return next((start for start in starts if start in ("global", *PRIVATE_SPACES)), "")


def is_generic(opcode: str) -> bool:
    return is_access(opcode) and not space(opcode)


def is_fence(opcode: str) -> bool:
    return words(opcode)[0] in ("membar", "fence")


def scope(opcode: str) -> str:
    """The scope of a fence or an access; empty for a weak access."""
    parts = words(opcode)
    if "gl" in parts:
        return "gpu"
    if {"volatile", "mmio"} & set(parts):
        return "sys"  # as relaxed accesses of the whole system (PTX ISA, "Memory Operations")
    default = "gpu" if parts[0] in ("atom", "red") else ""
    return next((part for part in parts if part in SCOPES), default)


def reaches(opcode: str, least: str) -> bool:
    opcode_scope = scope(opcode)
    return bool(opcode_scope) and SCOPES.index(opcode_scope) >= SCOPES.index(least)


def fences(least: str) -> Count:
    """Fences of that scope and wider ones."""
    return total(lambda opcode: is_fence(opcode) and reaches(opcode, least))


def accesses(least: str) -> Count:
    """Accesses of global memory, atomics among them, that order or bypass caches with at least that scope."""
    return total(lambda opcode: is_access(opcode) and space(opcode) not in PRIVATE_SPACES and reaches(opcode, least))


def is_sequential(opcode: str) -> bool:
    """A fence that puts all fences of its kind in one order, as every `membar` does."""
    return is_fence(opcode) and ("sc" in words(opcode) or words(opcode)[0] == "membar")


def is_strong(opcode: str) -> bool:
    """A load or store of global memory that no SM cache may answer, and no compiler may merge or move."""
    strong = {"volatile", "relaxed", "acquire", "release", "mmio"}
    return (
        words(opcode)[0] in ("ld", "st") and space(opcode) not in PRIVATE_SPACES and bool(strong & set(words(opcode)))
    )


def is_ordering(opcode: str) -> bool:
    """An access that other accesses must not pass."""
    return is_access(opcode) and bool({"acquire", "release", "acq_rel"} & set(words(opcode)))


# ---- waiting


def is_full_wait(opcode: str) -> bool:
    """A wait after which no asynchronous copy is pending."""
    return "wait_all" in words(opcode) or ("wait_group" in words(opcode) and number(opcode) == 0)


def is_sleep(opcode: str) -> bool:
    return words(opcode)[0] == "nanosleep"


def slept_ns(executed: Executed) -> int:
    """Requested nanoseconds, summed over warps; 0 if the time is in a register."""
    return sum(count * (number(opcode) or 0) for opcode, count in executed.items() if is_sleep(opcode))


# ---- machine instructions, approximately

WEIGHTS = (
    (re.compile(r"(?:div|rem)\.[us](?:16|32) \d+"), 4),
    (re.compile(r"(?:div|rem)\.[us]64 \d+"), 10),
    (re.compile(r"(?:div|rem)\.[us]16"), 8),
    (re.compile(r"(?:div|rem)\.[us]32"), 20),
    (re.compile(r"(?:div|rem)\.[us]64"), 70),
    (re.compile(r"(?:div|sqrt)\.(?:r[nzmp]\.)?f64"), 25),
    (re.compile(r"rcp\.(?:r[nzmp]\.)?f64"), 15),
    (re.compile(r"(?:div|rcp|sqrt)\.r[nzmp](?:\.ftz)?\.f32"), 12),
    (re.compile(r"div\.full\.f32"), 8),
    (re.compile(r"div\.full\.ftz\.f32"), 5),
    (re.compile(r"div\.approx\.f32"), 5),
    (re.compile(r"rcp\.approx\.f32"), 7),
    (re.compile(r"(?:sqrt|rsqrt|ex2|lg2)\.approx\.f32"), 4),
    (re.compile(r"(?:div\.approx|sin\.approx|cos\.approx).*"), 2),
    (re.compile(r"mul\.lo\.[us]64"), 4),
    (re.compile(r"mul\.hi\.[us]64"), 7),
    (re.compile(r"mad\.lo\.[us]64"), 5),
    (re.compile(r"(?:min|max)\.[us]64"), 4),
    (re.compile(r"(?:add|sub|neg|and|or|xor|not|shl|shr|selp|setp\.\w+)\.[usb]64"), 2),
    (re.compile(r"bf[ei]\.\w+"), 3),
)  # fmt: skip
"""Machine instructions that ptxas 13.5 makes of one for sm_90; 1 for any other. The first match counts."""


def weight(opcode: str) -> int:
    return next((instructions for pattern, instructions in WEIGHTS if pattern.fullmatch(opcode)), 1)


def weighted(executed: Executed) -> int:
    """Approximate number of executed machine instructions: each opcode as ptxas translates it without any context."""
    return sum(count * weight(opcode) for opcode, count in executed.items())


# ---- what no count shows

HINTED = ("ld", "ldu", "st", "atom", "red", "cp")
"""Accesses whose modifiers may choose caches, priorities and sizes of prefetches."""

HINTS = ("prefetch", "prefetchu", "applypriority", "discard", "createpolicy")
"""Instructions that do nothing else."""


def is_hinted(opcode: str) -> bool:
    """An access of global memory, or an instruction that only controls its caches."""
    waits = {"commit_group", "wait_group", "wait_all"} & set(words(opcode))
    return is_hint(opcode) or (words(opcode)[0] in HINTED and space(opcode) not in PRIVATE_SPACES and not waits)


def is_hint(opcode: str) -> bool:
    return words(opcode)[0] in HINTS or ("prefetch" in words(opcode))


def respelt(before: Executed, after: Executed) -> str:
    """`ld.global.nc.L2::128B.f32 -> ld.global.nc.f32` for accesses with a changed form; empty if none changed.

    More or fewer accesses of one form are counted elsewhere; changed hints are reported only here.
    """
    hinted = sorted(filter(is_hinted, before.keys() | after.keys()))
    fewer = [opcode for opcode in hinted if after.get(opcode, 0) < before.get(opcode, 0)]
    more = [opcode for opcode in hinted if after.get(opcode, 0) > before.get(opcode, 0)]
    if not (fewer and more):
        fewer, more = [opcode for opcode in fewer if is_hint(opcode)], [opcode for opcode in more if is_hint(opcode)]
    if not fewer and not more:
        return ""
    return f"{', '.join(fewer) or 'nothing'} -> {', '.join(more) or 'nothing'}"
