"""mbarriers as objects outside shared memory, by CTA and address. (PTX ISA, mbarrier.)

A phase completes when the expected arrivals and bytes have arrived. No thread is suspended: the kernel repeats a test
that fails, so it ends only if the arrival comes from its own warp or from one that runs with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ptxbench.emulator.syntax import Operand
from tests.emulator.oracle.loads import Place
from tests.emulator.oracle.step import Action, Step, rule

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

SPACES = ("shared", "shared::cta", "shared::cluster")


class Barrier:
    """Pending arrivals and bytes of the phase; arrivals of the phases after it; the number of complete phases."""

    def __init__(self, count: int) -> None:
        self.pending = self.expected = count
        self.bytes = self.phase = 0

    def settle(self) -> None:
        if not self.pending and not self.bytes:
            self.pending = self.expected
            self.phase += 1

    def expect(self, more: int) -> None:
        self.bytes += more
        self.settle()

    def arrive(self, count: int, more: int, drops: bool) -> None:
        self.bytes += more
        self.pending -= count
        self.expected -= count if drops else 0
        self.settle()

    def token(self) -> int:
        return (self.phase & 1) << 63 | self.pending

    def is_over(self, parity: int) -> bool:
        return self.phase & 1 != parity


def change(threads: Threads, address: Operand, do: Callable[[Barrier, int], Any]) -> list[Any]:
    """The results of `do(barrier, i)` for the mbarrier of each active thread, one after the other; i counts from 0."""
    place = Place(threads, "shared", address)
    return [do(threads.barriers[int(at)], i) for i, at in enumerate(place.offsets)]


@rule("mbarrier", counted="barrier")
def mbarrier(step: Step) -> Action | None:
    operation = step.need("init", "inval", "arrive", "arrive_drop", "expect_tx", "complete_tx", "test_wait", "try_wait")
    with_bytes = operation.startswith("arrive") and bool(step.take("expect_tx"))
    parity = bool(step.take("parity"))
    step.take("noComplete")
    step.take("release", "acquire", "relaxed")
    step.take("cta", "cluster")
    step.take(*SPACES)
    step.need("b64")
    returns = operation.startswith("arrive") or operation.endswith("wait")
    target, (address, *operands) = (step.target, step.sources) if returns else (None, step.operands)

    def act(threads: Threads) -> None:
        def number(i: int, kind: str = "u32") -> int:
            return int(threads.spread(threads.read(operands[0], kind))[i])

        if operation == "init":
            place = Place(threads, "shared", address)
            threads.barriers.update({int(at): Barrier(number(i)) for i, at in enumerate(place.offsets)})
        elif operation in ("expect_tx", "complete_tx"):
            sign = 1 if operation == "expect_tx" else -1
            change(threads, address, lambda barrier, i: barrier.expect(sign * number(i)))
        elif operation.startswith("arrive"):

            def arrive(barrier: Barrier, i: int) -> int:
                before = barrier.token()
                count, more = (1, number(i)) if with_bytes else (number(i) if operands else 1, 0)
                barrier.arrive(count, more, operation == "arrive_drop")
                return before

            threads.write(target, np.array(change(threads, address, arrive), np.uint64))
        elif operation.endswith("wait"):

            def test(barrier: Barrier, i: int) -> bool:
                return barrier.is_over(number(i) if parity else number(i, "u64") >> 63)

            threads.write(target, np.array(change(threads, address, test), bool))

    return act
