"""Executed machine instructions in words."""

from __future__ import annotations

from collections.abc import Iterator

from ptxbench.executed import Executed
from ptxbench.listing.explanation.finding import percent
from ptxbench.listing.explanation.loops import SassLoop, of_listing
from ptxbench.listing.text import Listing
from ptxbench.units import plural

NAMED = 4
"""The most loops that are shown."""

OTHER_MACHINE_CODE = (
    "With line information ptxas generates different machine code from what `run` times; the lines are of that code."
)


def sentence(executed: Executed) -> str:
    """`Warps execute 29,184 machine instructions.`, or the possible range, or why there is no number."""
    if executed.least is None or executed.most is None:
        return f"It is not known how many machine instructions warps execute: {executed.reason}."
    if executed.least == executed.most:
        return f"Warps execute {executed.least:,} machine instructions."
    why = f": {executed.reason}" if executed.reason else ""
    return f"Warps execute {executed.least:,} to {executed.most:,} machine instructions{why}."


def execution(count: float | None, settled: bool) -> str:
    """`1,024`; `~1,024` if the counts do not determine it; "" if it is unknown."""
    if count is None:
        return ""
    is_whole = abs(count - round(count)) <= WHOLE
    return f"{'' if settled and is_whole else '~'}{count:,.0f}"


WHOLE = 1e-3
"""The greatest distance of a count from a whole number."""


def executions(listing: Listing, executed: Executed) -> Iterator[str]:
    """The executions of warps in total, and in each innermost loop."""
    yield sentence(executed)
    if executed.fit is None or executed.least is None or executed.most is None:
        return
    if not executed.settled:
        yield f"The most likely number is {executed.fit:,}. Counts of single instructions (~) are estimates."
        return
    loops = of_listing(listing)
    for loop in loops[:NAMED]:
        yield in_loop(loop, executed.fit)
    if len(loops) > NAMED:
        more = len(loops) - NAMED
        yield f"{plural(more, 'more loop')} {'has' if more == 1 else 'have'} fewer."


def in_loop(loop: SassLoop, total: int) -> str:
    """`Loop 0120 to 02a0: 24 instructions, 2,048 rounds, 49,152 executed (62 %).`"""
    unrolled = f", unrolled by {loop.copies}" if loop.copies > 1 else ""
    return (
        f"Loop {loop.first:04x} to {loop.last:04x}: {loop.length} instructions{unrolled}, {loop.turns:,.0f} rounds, "
        f"{loop.executed:,.0f} executed ({percent(loop.executed / total)})."
    )
