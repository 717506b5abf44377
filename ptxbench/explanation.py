"""Why two variants may differ in time: what their machine code has unlike, in words with figures.

Derived from builds alone. What is told was found; that it costs or spares time, only a GPU can tell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ptxbench import toolchain
from ptxbench.listing import Difference, Listing, describe, describe_difference, opcode
from ptxbench.pair import Launch
from ptxbench.toolchain.sass import class_of

SCHEMA = "ptxbench.show/1"

NAMED = 3
"""Opcodes that are named of those which two variants have unlike many of."""

GENERIC = {"LD", "ST", "ATOM", "QSPC"}
"""Accesses whose address may be of any space, which the hardware must find out; QSPC asks for it."""

GLOBAL_LOADS, GLOBAL_STORES = {"LDG", "LD"}, {"STG", "ST"}

CONVERSIONS = {"F2F", "F2I", "I2F", "I2I", "F2FP", "I2FP", "I2IP", "F2IP", "FRND"}

SUBNORMAL = re.compile(r"1\.17549\d*e-38")
"""The least normal f32. Code that compares with it treats smaller numbers apart."""

WIDTHS = {"64": 8, "128": 16, "256": 32, "U8": 1, "S8": 1, "U16": 2, "S16": 2}
"""Bytes a thread by modifier; 4 without any."""


@dataclass(frozen=True)
class Finding:
    """One difference: its kind, and a sentence."""

    kind: str
    text: str


@dataclass(frozen=True)
class Case:
    """What is explained: two listings, and the launch that occupancy is of, where it is known."""

    difference: Difference
    launch: Launch | None = None

    @property
    def sides(self) -> tuple[Listing, Listing]:
        return self.difference.left, self.difference.right

    @property
    def names(self) -> tuple[str, str]:
        return self.difference.left.variant, self.difference.right.variant

    def both(self, count: Callable[[Listing], int]) -> tuple[int, int]:
        return count(self.difference.left), count(self.difference.right)


def explain(case: Case) -> tuple[Finding, ...]:
    """What is unlike, what matters most first; of the same machine code only that it is the same."""
    a, b = case.names
    if case.difference.same_code:
        return (
            Finding(
                "same code", f"{b} is the same machine code as {a}, to the bit: a difference in time would be noise."
            ),
        )
    return tuple(finding for look in LOOKS for finding in look(case))


def spills(case: Case) -> Iterator[Finding]:
    counts = case.both(lambda each: (each.report.spill_store_bytes or 0) + (each.report.spill_load_bytes or 0))
    if any(counts):
        told = " and ".join(f"{name} {count:,} bytes" for name, count in zip(case.names, counts, strict=True) if count)
        yield Finding("spills", f"Spilled registers go through memory: {told} a thread, stores and loads.")


def registers(case: Case) -> Iterator[Finding]:
    (a, b), (left, right) = case.names, (each.report.registers for each in case.sides)
    if left == right:
        return
    text = f"{b} needs {right} registers, {a} {left}"
    before, after = (occupancy(each, case.launch) for each in case.sides)
    if before is not None and after is not None:
        same = before == after
        text += "; occupancy is the same" if same else f": occupancy {100 * after:.0f} % against {100 * before:.0f} %"
    yield Finding("registers", f"{text}.")


def occupancy(listing: Listing, launch: Launch | None) -> float | None:
    """Theoretical, of the launch; None where it is not known."""
    report = listing.report
    if launch is None or report.registers is None:
        return None
    x, y, z = launch.block_xyz
    shared = (report.shared_bytes or 0) + launch.shared_bytes
    return toolchain.occupancy(listing.arch, threads=x * y * z, registers=report.registers, shared_bytes=shared)


def instructions(case: Case) -> Iterator[Finding]:
    (a, b), (left, right) = case.names, case.both(lambda each: len(each.sass))
    if case.difference.same_mix:
        text = f"{b} has the instructions of {a}, each as often, in another order or on other registers"
        yield Finding("instructions", f"{text}.")
        return
    most = list(case.difference.opcodes.items())[:NAMED]
    told = ", ".join(f"{name} {before:,} to {after:,}" for name, (before, after) in most)
    if left == right:
        text = f"{a} and {b} both have {left:,} SASS instructions, but not the same"
    else:
        share = f"{100 * abs(right - left) / left:.0f} % {'fewer' if right < left else 'more'}"
        text = f"{b} has {right:,} SASS instructions, {a} {left:,}: {share}"
    yield Finding("instructions", f"{text}. Most of it is {told}.")


def generic(case: Case) -> Iterator[Finding]:
    for side in case.sides:
        counts = Counter(name for each in side.sass if (name := opcode(each.text).split(".")[0]) in GENERIC)
        if counts:
            told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
            yield Finding("generic addressing", f"{side.variant} has generic addresses, of no certain memory: {told}.")


def widths(case: Case) -> Iterator[Finding]:
    for noun, names in (("loads", GLOBAL_LOADS), ("stores", GLOBAL_STORES)):
        found = [accesses(side, names) for side in case.sides]
        if all(found) and found[0].keys() != found[1].keys():
            left, right = (
                f"{name} {' and '.join(f'{count} of {size} bytes' for size, count in sorted(each.items()))}"
                for name, each in zip(case.names, found, strict=True)
            )
            yield Finding("access width", f"Global {noun} in the code, by bytes a thread: {left}; {right}.")


def accesses(listing: Listing, names: set[str]) -> Counter[int]:
    """How many accesses of these opcodes the code has, by bytes a thread."""
    found: Counter[int] = Counter()
    for each in listing.sass:
        name, *width = class_of(opcode(each.text)).split(".")
        if name in names:
            found[next((WIDTHS[part] for part in width if part in WIDTHS), 4)] += 1
    return found


def fused(case: Case) -> Iterator[Finding]:
    """Multiplications and additions apart on one side, together on the other."""

    def count(side: Listing, *names: str) -> int:
        return sum(opcode(each.text).split(".")[0] in names for each in side.sass)

    for poor, rich in (case.sides, case.sides[::-1]):
        apart = min(count(poor, "FMUL") - count(rich, "FMUL"), count(poor, "FADD") - count(rich, "FADD"))
        together = count(rich, "FFMA") - count(poor, "FFMA")
        if apart > 0 and together > 0:
            yield Finding(
                "fused multiply-add",
                f"{poor.variant} has {apart} more multiplications and additions apart, "
                f"{rich.variant} {together} more of them fused.",
            )


def guards(case: Case) -> Iterator[Finding]:
    counts = case.both(lambda each: sum(bool(SUBNORMAL.search(line.text)) for line in each.sass))
    if counts[0] != counts[1]:
        (a, b), (left, right) = case.names, counts
        yield Finding(
            "subnormal numbers",
            f"Guards for subnormal numbers: {a} {left}, {b} {right}. In CUDA C --use_fast_math takes them out.",
        )


def conversions(case: Case) -> Iterator[Finding]:
    left, right = case.both(lambda each: sum(opcode(line.text).split(".")[0] in CONVERSIONS for line in each.sass))
    if left != right:
        yield Finding("conversions", f"Conversions between types: {case.names[0]} {left}, {case.names[1]} {right}.")


def remarks(case: Case) -> Iterator[Finding]:
    for side in case.sides:
        for line in dict.fromkeys(re.findall(r"^.*\(C75\d\d\).*$", side.report.log, re.M)):
            yield Finding("ptxas", f"{side.variant}: {line.strip()}")


LOOKS = (spills, registers, instructions, generic, widths, fused, guards, conversions, remarks)
"""In the order of what usually costs most."""


def to_document(listings: Sequence[Listing], cases: Sequence[Case] = (), *, diff: bool = False) -> dict[str, Any]:
    """What `ptxbench show --json` prints; `diff`: with the alignment of the one case."""
    return {
        "schema": SCHEMA,
        "variants": [describe(each) for each in listings],
        "diff": describe_difference(cases[0].difference) if diff else None,
        "findings": [
            {"variants": list(case.names), "kind": each.kind, "text": each.text}
            for case in cases
            for each in explain(case)
        ],
    }
