"""Differences in the machine code of two variants, by its opcodes and by the reports of ptxas.

This counts instructions in the code, not executions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from ptxbench.listing.difference import count_differences
from ptxbench.listing.explanation.finding import BRIEF, Explanation, VariantContrast, VariantSide
from ptxbench.toolchain.sass import class_of
from ptxbench.units import plural

NAMED = 3
"""How many opcodes are named if two variants differ in many."""

GENERIC = {"LD", "ST", "ATOM", "QSPC"}
"""Generic accesses, whose space the hardware must determine; QSPC tests it."""

GLOBAL_LOADS, GLOBAL_STORES, ATOMICS = {"LDG", "LD"}, {"STG", "ST"}, {"ATOM", "ATOMG", "RED", "REDG"}

ARITHMETIC = ("FFMA", "FMUL", "FADD")

CONVERSIONS = {"F2F", "F2I", "I2F", "I2I", "F2FP", "I2FP", "I2IP", "F2IP", "FRND"}

SUBNORMAL = re.compile(r"1\.17549\d*e-38")
"""The least normal f32. Code that compares with it handles smaller numbers separately."""

WIDTHS = {"64": 8, "128": 16, "256": 32, "U8": 1, "S8": 1, "U16": 2, "S16": 2}
"""Bytes per thread by modifier; 4 without a modifier."""

PACKED = re.compile(r"B?F(?P<bits>16|32)x(?P<count>\d)")
"""Several numbers in one access of an atomic instruction."""

CARRYING = re.compile(r"IMAD\.(?:WIDE|HI)(?:\.U32|\.S32)*\.X$")
"""A multiply-add that adds the carry of the one before it."""

ADDERS = re.compile(r"(?:IADD3|IADD|VIADD)(?:\.X)?$|IMAD\.(?:X|IADD)$")
"""Additions of integers; a carry may need a separate one."""

CONSTANT = re.compile(
    r"(?:@!?U?P\w+ )?(?:"
    r"(?:U?MOV|IMAD\.MOV(?:\.U32)?)\s+U?R\w+,\s+(?:RZ,\s+RZ,\s+)?-?(?:0x0*[1-9a-f]|[1-9])"
    r"|HFMA2(?:\.MMA)?\s+R\w+,\s+-?RZ,\s+RZ,\s+(?!0, 0\b))"
)
"""A nonzero constant put into a register: by a move, or by half-precision arithmetic on zeros, whose unit is idle."""


def spills(contrast: VariantContrast) -> Iterator[Explanation]:
    counts = contrast.both(lambda side: (side.report.spill_store_bytes or 0) + (side.report.spill_load_bytes or 0))
    if any(counts):
        text = " and ".join(
            f"{name} {count:,} bytes" for name, count in zip(contrast.names, counts, strict=True) if count
        )
        yield Explanation(
            "spills",
            f"Spilled registers go through memory: {text} a thread, stores and loads.",
            f"Registers spill to memory: {text} a thread.",
            {"spill_bytes": contrast.figures(counts)},
        )


def remarks(contrast: VariantContrast) -> Iterator[Explanation]:
    """Optimisations that ptxas says it did not make."""
    for side in contrast:
        for line in dict.fromkeys(re.findall(r"^.*\(C75\d\d\).*$", side.report.log, re.M)):
            yield Explanation("ptxas", f"{side.name}: {line.strip()}")


def occupancy(contrast: VariantContrast) -> Iterator[Explanation]:
    """A step of occupancy, with the registers and the shared memory that differ."""
    (a, b), before, after = contrast.names, contrast.left.occupancy, contrast.right.occupancy
    if before is None or after is None or before == after:
        return
    figures = {"occupancy": contrast.figures((before, after))}
    causes = []
    for name, noun, left, right in (
        ("registers", "registers", contrast.left.report.registers, contrast.right.report.registers),
        ("shared_bytes", "bytes of shared memory", contrast.left.shared_bytes, contrast.right.shared_bytes),
    ):
        if left is not None and right is not None and left != right:
            figures[name] = contrast.figures((left, right))
            causes.append(f"{b} needs {right:,} {noun}, {a} {left:,}")
    share = f"occupancy {100 * after:.0f} % against {100 * before:.0f} %"
    text = f"{'; '.join(causes)}: {share}." if causes else f"{b} has {share} of {a}."
    yield Explanation("occupancy", text, f"{b} has {share} of {a}." if len(text) > BRIEF else "", figures)


def registers(contrast: VariantContrast) -> Iterator[Explanation]:
    """Registers, if they do not change the occupancy or it is unknown."""
    (a, b), left, right = contrast.names, contrast.left.report.registers, contrast.right.report.registers
    occupancy_known = contrast.left.occupancy is not None and contrast.right.occupancy is not None
    if (
        left is None
        or right is None
        or left == right
        or (occupancy_known and contrast.left.occupancy != contrast.right.occupancy)
    ):
        return
    text = f"{b} needs {right} registers, {a} {left}{'; occupancy is the same' if occupancy_known else ''}."
    yield Explanation("registers", text, "", {"registers": contrast.figures((left, right))})


SAME_MIX = "same mix"


def instructions(contrast: VariantContrast) -> Iterator[Explanation]:
    """The number of instructions, and the opcodes that cause the difference."""
    (a, b), (left, right) = contrast.names, contrast.both(lambda side: side.instructions)
    if not left or not right:
        return
    figures = {"sass": contrast.figures((left, right))}
    different = count_differences(contrast.left.opcodes, contrast.right.opcodes)
    if not different:
        text = f"{b} has the instructions of {a}, each as often, in a different order or with different registers."
        yield Explanation(SAME_MIX, text, f"{b} has the instruction mix of {a}: each opcode as often.", figures)
        return
    # If there are fewer instructions, only opcodes with fewer: others do not explain the difference.
    explaining = {name: counts for name, counts in different.items() if (right - left) * (counts[1] - counts[0]) > 0}
    shown_opcodes = list((explaining or different).items())[:NAMED]
    for name, counts in shown_opcodes:
        figures[name] = contrast.figures(counts)
    lines = [f"{name} {before:,} to {after:,}" for name, (before, after) in shown_opcodes]
    if left == right:
        text = f"{a} and {b} both have {left:,} SASS instructions, but not the same"
    else:
        share = f"{100 * abs(right - left) / left:.0f} % {'fewer' if right < left else 'more'}"
        text = f"{b} has {right:,} SASS instructions, {a} {left:,}: {share}"
    yield Explanation("instructions", f"{text}. Most of it is {', '.join(lines)}.", shortened(text, lines), figures)


def shortened(text: str, details: Sequence[str]) -> str:
    """`text` with as many of `details` as fit in one line."""
    while details and len(f"{text}: {', '.join(details)}.") > BRIEF:
        details = details[:-1]
    return f"{text}: {', '.join(details)}." if details else f"{text}."


CLUSTER_REQUESTS = ("ptx_cluster_load_requests", "ptx_cluster_store_requests", "ptx_atomic_cluster_requests")


def knows_all_spaces(side: VariantSide) -> bool:
    """Whether what was counted are accesses to other CTAs of a cluster, for which SASS has only LD, ST and ATOM."""
    return bool(side.sum(*CLUSTER_REQUESTS)) and side.sum("ptx_generic_accesses") == 0


def generic(contrast: VariantContrast) -> Iterator[Explanation]:
    spaces = [
        Counter({name: side.names[name] for name in GENERIC if side.names[name] and not knows_all_spaces(side)})
        for side in contrast
    ]
    for side, counts in zip(contrast, spaces, strict=True):
        if counts:
            text = ", ".join(f"{count} {name}" for name, count in by_frequency(counts))
            figures = {
                name: contrast.figures((spaces[0][name], spaces[1][name])) for name in sorted(spaces[0] | spaces[1])
            }
            yield Explanation(
                "generic addressing",
                f"{side.name} has generic addresses, whose memory space is unknown: {text}.",
                f"{side.name} has generic addresses: {text}.",
                figures,
            )


def by_frequency(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def widths(contrast: VariantContrast) -> Iterator[Explanation]:
    """Accesses to global memory with widths that the other side lacks."""
    for noun, names in (("loads", GLOBAL_LOADS), ("stores", GLOBAL_STORES), ("atomics", ATOMICS)):
        left, right = (accesses(side, names) for side in contrast)
        if not left or not right or left.keys() == right.keys():
            continue
        lines = [
            " and ".join(f"{count} of {plural(size, 'byte')}" for size, count in sorted(widths_of_side.items()))
            for widths_of_side in (left, right)
        ]
        a, b = contrast.names
        yield Explanation(
            "access width",
            f"Global {noun} in the code, by bytes a thread: {a} {lines[0]}; {b} {lines[1]}.",
            f"Global {noun}, bytes a thread: {a} {brief_sizes(left)}; {b} {brief_sizes(right)}.",
            {f"of {size} bytes": contrast.figures((left[size], right[size])) for size in sorted(left | right)},
        )


def brief_sizes(widths_in_code: Counter[int]) -> str:
    """`32 of 16, 64 of 8`."""
    return ", ".join(f"{count} of {size}" for size, count in sorted(widths_in_code.items(), reverse=True))


def accesses(side: VariantSide, names: set[str]) -> Counter[int]:
    """The number of accesses with these opcodes in the code, by bytes per thread."""
    result: Counter[int] = Counter()
    for opcode, count in side.opcodes.items():
        if opcode.partition(".")[0] in GENERIC and knows_all_spaces(side):
            continue  # of another CTA's shared memory
        name, *modifiers = (class_of(opcode) if opcode.partition(".")[0] not in ATOMICS else opcode).split(".")
        if name in names:
            packed = next((match for part in modifiers if (match := PACKED.fullmatch(part))), None)
            size = int(packed["bits"]) // 8 * int(packed["count"]) if packed else None
            result[size or next((WIDTHS[part] for part in modifiers if part in WIDTHS), 4)] += count
    return result


def carries(contrast: VariantContrast) -> Iterator[Explanation]:
    """Carries that are part of a multiply-add on one side, and separate additions on the other."""
    carrying = contrast.both(lambda side: sum(n for name, n in side.opcodes.items() if CARRYING.match(name)))
    adding = contrast.both(lambda side: sum(n for name, n in side.opcodes.items() if ADDERS.match(name)))
    for fused_side, separate_side in ((0, 1), (1, 0)):
        more, less = carrying[fused_side] - carrying[separate_side], adding[separate_side] - adding[fused_side]
        if more > 0 and less > 0:
            a, b = contrast.names[fused_side], contrast.names[separate_side]
            yield Explanation(
                "carries",
                f"In {a} {carrying[fused_side]} multiply-adds take a carry along (IMAD.WIDE.X), "
                f"in {b} {carrying[separate_side]}, which has {less} more additions.",
                f"{a} carries in {carrying[fused_side]} multiply-adds, "
                f"{b} in {carrying[separate_side]} with {less} more additions.",
                {"carrying multiply-adds": contrast.figures(carrying), "additions": contrast.figures(adding)},
            )


def fused(contrast: VariantContrast) -> Iterator[Explanation]:
    """Separate multiplications and additions on one side, fused on the other."""
    for separate_side, fused_side in (contrast, contrast[::-1]):
        together, *apart_each = (fused_side.names[name] - separate_side.names[name] for name in ARITHMETIC)
        apart = -max(apart_each)
        if apart > 0 and together > 0:
            pairs = "multiplication and addition" if apart == 1 else "multiplications and additions"
            fused = f"{together} more fused multiply-add{'' if together == 1 else 's'}"
            yield Explanation(
                "fused multiply-add",
                f"{separate_side.name} has {apart} more separate {pairs}, {fused_side.name} {fused}.",
                f"{fused_side.name} has {fused}, {separate_side.name} {apart} more separate {pairs}.",
                {
                    name: contrast.figures((contrast.left.names[name], contrast.right.names[name]))
                    for name in ARITHMETIC
                },
            )


def guards(contrast: VariantContrast) -> Iterator[Explanation]:
    yield from of_texts(
        contrast,
        SUBNORMAL,
        "subnormal numbers",
        "Guards for subnormal numbers: {a} {left}, {b} {right}.",
        " In CUDA C --use_fast_math removes them.",
    )


def constants(contrast: VariantContrast) -> Iterator[Explanation]:
    yield from of_texts(
        contrast,
        CONSTANT,
        "constants",
        "Instructions that only put a constant into a register: {a} {left}, {b} {right}.",
    )


def of_texts(
    contrast: VariantContrast, pattern: re.Pattern[str], kind: str, text: str, advice: str = ""
) -> Iterator[Explanation]:
    """A finding by the number of instructions in each side's listing that match `pattern`, if that differs."""
    left, right = (
        None
        if side.listing is None
        else sum(bool(pattern.search(instruction.text)) for instruction in side.listing.sass)
        for side in contrast
    )
    if left is not None and right is not None and left != right:
        a, b = contrast.names
        figures = {kind: contrast.figures((left, right))}
        brief = text.format(a=a, b=b, left=left, right=right)
        yield Explanation(kind, brief + advice, brief, figures)


def conversions(contrast: VariantContrast) -> Iterator[Explanation]:
    left, right = contrast.both(lambda side: sum(side.names[name] for name in CONVERSIONS))
    if left != right:
        a, b = contrast.names
        text = f"Conversions between types: {a} {left}, {b} {right}."
        yield Explanation("conversions", text, "", {"conversions": contrast.figures((left, right))})
