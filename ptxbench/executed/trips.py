"""How often the copies of an unrolled loop run, from how many trips warps made in the loop of the PTX.

ptxas makes of a loop one that does several trips at once, say 16, 4 and 2, and one for what remains. Which of them ran
how often the sum of the trips does not tell, but the trips of each entry do: the longest first, as often as it fits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ptxbench.executed.flow import Flow, Row
from ptxbench.executed.paths import Loop, Paths
from ptxbench.executed.terms import FAMILIES, ROUTING, multiple

Histogram = Mapping[int, int]
"""How many entries made how many trips."""


def greedy(histogram: Histogram, sizes: Sequence[int]) -> dict[int, tuple[int, int]]:
    """By how many trips a copy does at once: how often it ran in all, and in how many entries it ran."""
    ran: dict[int, int] = dict.fromkeys(sizes, 0)
    entered: dict[int, int] = dict.fromkeys(sizes, 0)
    for trips, entries in histogram.items():
        left = trips
        for size in sorted(sizes, reverse=True):
            times, left = divmod(left, size)
            ran[size] += times * entries
            entered[size] += entries if times else 0
    return {size: (ran[size], entered[size]) for size in sizes}


def rows(flow: Flow, paths: Paths, histograms: Mapping[int, Histogram]) -> Iterator[Row]:
    """What the trips say of the blocks that are copies of a loop's body."""
    lines = flow.lines
    for loop in paths.loops:
        histogram = histograms.get(loop.line)
        if not histogram or any(lines.counter(line, "ptx_divergent_branches") for line in loop.exits):
            continue
        yield from copies(flow, loop, histogram)


def copies(flow: Flow, loop: Loop, histogram: Histogram) -> Iterator[Row]:
    """The same for one loop: by the first line whose copies are of different sizes, an anchor if there is one."""
    graph, lines, together = flow.graph, flow.lines, flow.together_with
    found: dict[tuple[int, str, str], dict[tuple[int, str | None], int]] = defaultdict(dict)
    for block in graph.blocks:
        if block.index in graph.lent:
            continue
        for each in block.operations:
            line = lines.begin(each.line)
            if line is None or line not in loop.once or each.name in ROUTING or each.never:
                continue
            if each.name not in FAMILIES or (
                (found_one := lines.only(line, FAMILIES[each.name][1])) and multiple(found_one, [(0, each)]) == 1
            ):
                places, place = found[line, each.name, each.opcode], (together[block.index], each.guard)
                places[place] = places.get(place, 0) + 1
    votes: Counter[tuple[tuple[tuple[int, str | None], int], ...]] = Counter()
    for (_, name, _), places in found.items():
        votes[tuple(sorted(places.items(), key=str))] += 100 if name in FAMILIES else 1
    if not votes:
        return
    shape = dict(max(votes.items(), key=lambda each: (each[1], str(each[0])))[0])
    expected = greedy(histogram, sorted(set(shape.values())))
    if sum(size * ran for size, (ran, _) in expected.items()) != sum(trips * n for trips, n in histogram.items()):
        return  # some trips are in none of these copies
    for size, (ran, entered) in expected.items():
        same = [place for place, each in shape.items() if each == size]
        free = [block for block, guard in same if guard is None]
        if not free:
            continue
        yield Row(dict.fromkeys(free, 1.0), float(ran) if len(free) == len(same) else 0.0, float(ran))
        if len(same) == 1 and (edges := flow.entries(free[0], loop.body)):
            yield Row(dict.fromkeys(edges, 1.0), float(entered), float(entered))
