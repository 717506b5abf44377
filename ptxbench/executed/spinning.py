"""Loops that wait: their trips depend on what other threads have done by then, so that their counts say nothing."""

from __future__ import annotations

from collections.abc import Mapping

from ptxbench.executed.paths import Loop, Paths
from ptxbench.executed.ptx import Lines

STRONG = ("volatile", "acquire", "relaxed", "mmio")
WAITS = ("try_wait", "test_wait")


def polls(paths: Paths, lines: Lines, histograms: Mapping[int, Mapping[int, int]]) -> str | None:
    """Which loop waited for other threads in this launch, in words; None where none did.

    A poll that finds its data at once is no wait: the launch is then counted as it ran.
    """
    inner = {loop.line: [each for each in paths.loops if each.line != loop.line and each.body < loop.body]
             for loop in paths.loops}  # fmt: skip
    for loop in paths.loops:
        own = loop.body.difference(*(each.body for each in inner[loop.line]))
        if not any(is_poll(each.opcode) for line in own for each in lines.at(line)):
            continue
        if waited(loop, lines, histograms):
            return f"it waits for other threads in the loop at PTX line {loop.line}, as often as the schedule has it"
    return None


def is_poll(opcode: str) -> bool:
    """Whether an instruction reads what another thread may be about to write, or waits for it."""
    root, *words = opcode.split(".")
    if root == "ld":
        return any(each in words for each in STRONG)
    return (root == "mbarrier" and any(each in words for each in WAITS)) or (root == "atom" and "cas" in words)


def waited(loop: Loop, lines: Lines, histograms: Mapping[int, Mapping[int, int]]) -> bool:
    """Whether a warp made more than one trip."""
    if histogram := histograms.get(loop.line):
        return max(histogram) > 1
    return lines.counter(loop.line, "ptx_thread_instructions_on") > 0  # some lane went back
