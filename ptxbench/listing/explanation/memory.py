"""Accesses to memory and divergence of two variants, by the emulator's counters, and their lines.

PTX is counted; sectors, bank conflicts and divergence mostly survive ptxas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ptxbench.listing.explanation.finding import (
    CodePlace,
    ExecutedRange,
    Explanation,
    VariantContrast,
    VariantSide,
    percent,
    relation,
)
from ptxbench.metrics import ATOMICS, CLASSES
from ptxbench.units import si

SECTOR_BYTES = 32

WASTEFUL = 2
"""A multiple of the fewest sectors for a request's bytes: a line that reaches it is worth naming."""

NOTICEABLE = 0.05
"""A share of both sides' counts; smaller differences are not reported, because the ends of a small size cause them."""

WORTH = 0.1
"""A share of all sectors of a side: a line with more is worth naming."""

RARE = 0.01
"""A share of the warps' instructions; fewer atomics are not reported, such as a ticket per CTA."""

SECTORS = ("ptx_global_load_sectors", "ptx_global_store_sectors")
CONFLICTS = ("ptx_shared_load_conflicts", "ptx_shared_store_conflicts")
SHARED = ("ptx_shared_load_requests", "ptx_shared_store_requests")


def differ(before: float, after: float) -> bool:
    return abs(after - before) > NOTICEABLE * max(before, after)


def sectors(contrast: VariantContrast) -> Iterator[Explanation]:
    """32-byte sectors of global memory, if one side touches more."""
    counts = contrast.sums(*SECTORS)
    if counts is None or not differ(*counts):
        return
    (a, b), (before, after) = contrast.names, counts
    more = contrast.left if before > after else contrast.right
    place = first_place(more, *SECTORS)
    text = f"{b} touches {after:,.0f} sectors of global memory, {a} {before:,.0f}{relation(before, after)}"
    yield Explanation(
        "sectors",
        f"{text}{f' In {more.name}, {place} touches the most.' if place else ''}",
        text,
        {"sectors": contrast.figures(counts)},
        (place,) if place else (),
    )


class Request(NamedTuple):
    """The global accesses of one line: `load` or `store`, sectors per request, and how many its bytes need."""

    place: CodePlace
    noun: str
    touched: float
    needed: float


def requests(contrast: VariantContrast) -> Iterator[Explanation]:
    """Lines whose requests touch far more sectors than their bytes need, if one side wastes more."""
    if differ(*contrast.both(waste)):
        yield from wasteful_requests(contrast)


def requests_of_both(contrast: VariantContrast) -> Iterator[Explanation]:
    """Lines whose requests touch far more sectors than their bytes need, on both sides: no difference, but it costs
    bandwidth."""
    if not differ(*contrast.both(waste)):
        yield from wasteful_requests(contrast)


def waste(side: VariantSide) -> float:
    """Sectors that a side touches, over those that its bytes need; 0 if they were not counted."""
    touched = needed = 0.0
    for counts in side.lines.values():
        for noun in ("load", "store"):
            touched += counts[f"ptx_global_{noun}_sectors"]
            needed += needed_sectors(counts, noun)
    return touched / needed if needed else 0.0


def needed_sectors(counts: Mapping[str, int], noun: str) -> float:
    """The fewest sectors that these requests could touch: at least one each."""
    request_count, moved = counts[f"ptx_global_{noun}_requests"], counts[f"ptx_global_{noun}_bytes"]
    return max(request_count, moved / SECTOR_BYTES)


def wasteful_requests(contrast: VariantContrast) -> Iterator[Explanation]:
    """The worst line of each side, together if they are equal."""
    worst = [(side, request) for side in contrast if (request := worst_request(side))]
    wastes = {(request.noun, f"{request.touched:.3g}", f"{request.needed:.3g}") for _, request in worst}
    groups = [worst] if len(wastes) == 1 else [[pair] for pair in worst]
    for group in groups:
        yield wasteful_request([side for side, _ in group], [request for _, request in group])


def wasteful_request(sides: Sequence[VariantSide], worst: Sequence[Request]) -> Explanation:
    places = tuple(request.place for request in worst)
    _, noun, touched, needed = worst[0]
    return Explanation(
        "sectors per request",
        f"At {' and '.join(map(str, places))} a warp's {noun} touches {touched:.3g} sectors, "
        f"and its bytes would fit in {needed:.3g}.",
        f"A {noun} touches {touched:.3g} sectors for {needed:.3g} of bytes, at {places[0]}.",
        {
            "sectors per request": {side.name: request.touched for side, request in zip(sides, worst, strict=True)},
            "sectors needed": {side.name: request.needed for side, request in zip(sides, worst, strict=True)},
        },
        places,
    )


def worst_request(side: VariantSide) -> Request | None:
    """The line that wastes most, if that is much; None if no line does, or lines were not counted."""
    total = side.sum(*SECTORS)
    worst = None
    wasted = 0.0
    for place, counts in side.lines.items():
        for noun in ("load", "store"):
            request_count, touched = counts[f"ptx_global_{noun}_requests"], counts[f"ptx_global_{noun}_sectors"]
            if not request_count or not total or touched < WORTH * total:
                continue
            needed = needed_sectors(counts, noun)
            if touched >= WASTEFUL * needed and touched - needed > wasted:
                wasted = touched - needed
                worst = Request(place, noun, touched / request_count, needed / request_count)
    return worst


def conflicts(contrast: VariantContrast) -> Iterator[Explanation]:
    """Passes over shared memory that bank conflicts add, if one side has more."""
    counts, accesses = contrast.sums(*CONFLICTS), contrast.sums(*SHARED)
    if counts is None or accesses is None or not differ(*counts):
        return
    lines = [
        f"{name} {si(count)}{f' ({count / total:.2g} an access)' if total else ''}" if count else f"{name} none"
        for name, count, total in zip(contrast.names, counts, accesses, strict=True)
    ]
    places = tuple(place for side in contrast if (place := first_place(side, *CONFLICTS)))
    where = f"; most at {' and '.join(map(str, places))}" if places else ""
    yield Explanation(
        "bank conflicts",
        f"Passes over shared memory that bank conflicts add: {', '.join(lines)}{where}.",
        f"Bank conflicts: {', '.join(lines)}.",
        {"bank conflicts": contrast.figures(counts), "shared accesses": contrast.figures(accesses)},
        places,
    )


def atomics(contrast: VariantContrast) -> Iterator[Explanation]:
    """Requests of atomics."""
    counts, instructions = contrast.sums(*ATOMICS), contrast.sums("ptx_warp_instructions")
    if counts is None or instructions is None or not differ(*counts) or max(counts) < RARE * max(instructions):
        return
    (a, b), (before, after) = contrast.names, counts
    text = f"{b} makes {after:,.0f} atomic requests, {a} {before:,.0f}{relation(before, after)}"
    places = tuple(place for side in contrast if (place := first_place(side, *ATOMICS)))
    yield Explanation("atomics", text, "", {"atomic requests": contrast.figures(counts)}, places)


def divergence(contrast: VariantContrast) -> Iterator[Explanation]:
    """Divergent branches. ptxas often makes guards of them, so this comes after findings about the code."""
    counts, branches = contrast.sums("ptx_divergent_branches"), contrast.sums("ptx_branches")
    if counts is None or branches is None or not differ(*counts):
        return
    lines = [
        f"{name} {count:,.0f} of {total:,.0f}" if count else f"{name} none"
        for name, count, total in zip(contrast.names, counts, branches, strict=True)
    ]
    more = contrast.left if counts[0] > counts[1] else contrast.right
    place = first_place(more, "ptx_divergent_branches")
    text = f"Divergent branches of the PTX: {', '.join(lines)}"
    yield Explanation(
        "divergence",
        f"{text}{f'; most at {place}' if place else ''}.",
        f"{text}.",
        {"divergent branches": contrast.figures(counts), "branches": contrast.figures(branches)},
        (place,) if place else (),
    )


def first_place(side: VariantSide, *names: str) -> CodePlace | None:
    """The line with most of these counters; None if all are 0, or lines were not counted."""
    sums = {place: sum(counts[name] for name in names) for place, counts in side.lines.items()}
    most = max(sums, key=lambda place: sums[place], default=None)
    return most if most and sums[most] else None


def barriers(contrast: VariantContrast) -> Iterator[Explanation]:
    """Arrivals of warps at barriers."""
    counts = contrast.sums("ptx_barriers")
    if counts is None or not differ(*counts):
        return
    (a, b), (before, after) = contrast.names, counts
    text = f"Warps arrive at {after:,.0f} barriers in {b}, at {before:,.0f} in {a}{relation(before, after)}"
    yield Explanation("barriers", text, "", {"barriers": contrast.figures(counts)})


EXECUTED = "executed instructions"
EXECUTED_SASS = "executed machine instructions"


def executed(contrast: VariantContrast) -> Iterator[Explanation]:
    """Machine instructions that warps execute; PTX instructions if these were not derived, as in older runs."""
    if contrast.left.executed is None and contrast.right.executed is None:
        yield from executed_ptx(contrast)
    elif contrast.left.executed is not None and contrast.right.executed is not None:
        yield from executed_sass(contrast, contrast.left.executed, contrast.right.executed)


def executed_sass(contrast: VariantContrast, left: ExecutedRange, right: ExecutedRange) -> Iterator[Explanation]:
    """Machine instructions that warps execute, and the opcode with most of the difference.

    Nothing if one of them is not known well enough, or if the ranges overlap.
    """
    if not left.settled or not right.settled or not differ(left.likely, right.likely):
        return
    (before_least, before_most), (after_least, after_most) = left.ends, right.ends
    if before_least <= after_most and after_least <= before_most:
        return
    (a, b), fewer = contrast.names, right.likely < left.likely
    shares = {percent(abs(after_least / before_most - 1)), percent(abs(after_most / before_least - 1))}
    words = " to ".join(share.removesuffix(" %") for share in sorted(shares, key=number))
    share = f"{words} % {'fewer' if fewer else 'more'}"
    figures = {EXECUTED_SASS: contrast.figures((left.likely, right.likely))}
    text = f"Warps execute {share} machine instructions in {b} than in {a}"
    most = ""
    if left.by_opcode and right.by_opcode:
        names = sorted({*left.by_opcode, *right.by_opcode})
        counts = {name: (left.by_opcode.get(name, 0.0), right.by_opcode.get(name, 0.0)) for name in names}
        sign = -1 if fewer else 1
        name = max(counts, key=lambda name: sign * (counts[name][1] - counts[name][0]))
        figures[name] = contrast.figures(counts[name])
        most = f" Most of it is {name}, {si(counts[name][1])} against {si(counts[name][0])}."
    yield Explanation(EXECUTED, f"{text}: {right} against {left}.{most}", f"{text}.", figures)


def number(share: str) -> float:
    return float(share.removesuffix(" %"))


def executed_ptx(contrast: VariantContrast) -> Iterator[Explanation]:
    """PTX instructions that warps execute, and the class with most of the difference."""
    counts = contrast.sums("ptx_warp_instructions")
    if counts is None or not all(counts) or not differ(*counts):
        return
    if contrast.left.opcodes and contrast.left.opcodes == contrast.right.opcodes:
        return  # ptxas made the same instructions of both
    (a, b), (before, after) = contrast.names, counts
    text = f"Before ptxas, warps execute {si(after)} PTX instructions in {b}, {si(before)} in {a}"
    share = f"{percent(abs(after / before - 1))} {'fewer' if after < before else 'more'}"
    figures = {"ptx_warp_instructions": contrast.figures(counts)}
    by_class = {name: contrast.sums(f"ptx_warp_instructions_{name}") or (0.0, 0.0) for name in CLASSES}
    name, (left, right) = max(by_class.items(), key=lambda item: abs(item[1][0] - item[1][1]))
    figures[f"ptx_warp_instructions_{name}"] = contrast.figures((left, right))
    yield Explanation(
        EXECUTED,
        f"{text}: {share}. Most of it is {CLASSES[name]}, {si(right)} against {si(left)}.",
        f"Before ptxas: {share} PTX instructions executed in {b} than in {a}.",
        figures,
    )
