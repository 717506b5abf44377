"""The stage `repeats`: launches on one set of data that differ in what must not matter to a right kernel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ptxbench.check.asking import Asking
from ptxbench.check.codes import ERROR
from ptxbench.check.findings import Finding, Skip, Told, finding
from ptxbench.check.launching import POISON, Case, How, Left
from ptxbench.emulator.messages import CtaOrder
from ptxbench.errors import KernelError

PLACEMENTS = 4
"""Other places of the arrays that are tried."""

POISONS = (0x00, 0x5A)
"""Other bytes that outputs are filled with before a launch."""

ORDERS: Mapping[CtaOrder, str] = {
    "last first": "with one CTA after the other, from the last",
    "by turns": "with all CTAs in turn from barrier to barrier",
}
"""Other orders of the CTAs, none of which CUDA forbids, and what a message calls them."""

ALONE: Sequence[CtaOrder] = ("first alone", "last alone")


def repeats(asking: Asking) -> Told:
    """Launches on one set of data that differ in what must not matter, and later ones among others."""
    exam, before = asking.exam, asking.launches
    case, other, small = exam.repeated
    drawn = exam.drawn("placements")
    elsewhere = [How(placement=drawn.getrandbits(32)) for _ in range(PLACEMENTS)]
    variations = [
        *(("depends-on-address", "with the arrays elsewhere", each) for each in elsewhere),
        *(("depends-on-output", f"outputs 0x{byte:02x} before", How(poison=byte)) for byte in POISONS),
        ("depends-on-threads", "with its CTAs in another order", How(threads=1)),
        ("depends-on-threads", "with its CTAs in another order", How(threads=3)),
    ]
    for each in exam.repeated:  # alone, so that what is wrong anyway is not taken for the repetition's doing
        if wrong := asking.ask("repeats", each):
            if wrong.gravity == ERROR and exam.excuse(each):
                raise Skip("the pair's own kernels fail on its data too")
            return Told(each.label, [wrong])
    found: list[Finding] = []
    code = "depends-on-launch"
    try:
        first = asking.launch(case, How())
        for code, told, how in variations:
            left = asking.launch(case, how)
            found += asking.differs(code, first, left, case, told, how.poison)
        code = "depends-on-threads"
        found += [*reordered(asking, first, case), *collisions(asking, first, case)]
        kept: dict[str, bytes] = {}
        code = "depends-on-launch"
        for number, each in enumerate((small, case, other, case, small, other, case), 1):
            left = asking.launch(each, How(), kept)
            told = f"launch {number} of one module"
            found += asking.differs(code, first if each is case else None, left, each, told)
    except KernelError as error:
        wrong = asking.fault("repeats", error, case)
        return Told("another launch fails", [finding("repeats", code, wrong.message, wrong.line)])
    worst = [each for each in found if each.gravity == ERROR] or found[:1]
    return Told(f"{asking.launches - before} launches, {'the same bits' if not found else 'not alike'}", worst[:1])


def reordered(asking: Asking, first: Left, case: Case) -> Iterator[Finding]:
    """Launches with CTAs in other orders; one that a kernel of the pair's fails too does not count."""
    for order, told in ORDERS.items():
        how = How(ctas=order)
        try:
            found = list(asking.differs("depends-on-threads", first, asking.launch(case, how), case, told))
        except KernelError as error:
            wrong = asking.fault("repeats", error, case)
            found = [finding("repeats", "depends-on-threads", f"{told}: {wrong.message}", wrong.line)]
        bad = any(each.gravity == ERROR for each in found)
        if not (bad and any(asking.exam.fails(each, case, how) for each in asking.exam.examiners.values())):
            yield from found


def collisions(asking: Asking, first: Left, case: Case) -> Iterator[Finding]:
    """What the first and the last CTA both write, each as if the other did not: a race that no order need show.

    Where the kernel has atomics on global memory that is as it should be, and which they are is not known.
    """
    if first.counters["ptx_atomic_global_requests"] or math.prod(case.launch.grid_xyz) < len(ALONE):
        return
    try:
        one, other = (asking.launch(case, How(ctas=order)) for order in ALONE)
    except KernelError:  # a CTA that waits for others, with or without right: `reordered` tells
        return
    for name in asking.exam.pair.outputs:
        before = case.arguments[name].tobytes() if name in asking.exam.initialised else None
        a, b, whole = (np.frombuffer(each.outputs[name].tobytes(), np.uint8) for each in (one, other, first))
        initial = np.full_like(a, POISON) if before is None else np.frombuffer(before, np.uint8)
        both = (a != initial) & (b != initial) & ((a != b) | (a != whole))
        if both.any():
            told = f"{case.label}: the first and the last CTA both write byte {both.argmax()} of '{name}'"
            yield finding("repeats", "depends-on-threads", f"{told}, without an atomic.")
            return
