"""How often the copies of an unrolled loop run, from the trips that warps made in the PTX loop.

ptxas turns a loop into copies that do several trips at once, say 16, 4 and 2, and one for the rest. The sum of the
trips does not determine how often each ran, but the trips of each entry do: the largest first, as often as it fits.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from ptxbench.executed.flow import Flow, FlowRow
from ptxbench.executed.graph import Operation
from ptxbench.executed.guards import Guards
from ptxbench.executed.paths import PathLoop, Paths
from ptxbench.executed.terms import FAMILIES, ROUTING, multiple

Histogram = Mapping[int, int]
"""How many entries made how many trips."""


def greedy(histogram: Histogram, sizes: Sequence[int]) -> dict[int, tuple[int, int]]:
    """For each copy's number of trips: how often the copy ran in all, and in how many entries it ran."""
    ran: dict[int, int] = dict.fromkeys(sizes, 0)
    entered: dict[int, int] = dict.fromkeys(sizes, 0)
    for trips, entries in histogram.items():
        remaining = trips
        for size in sorted(sizes, reverse=True):
            times, remaining = divmod(remaining, size)
            ran[size] += times * entries
            entered[size] += entries if times else 0
    return {size: (ran[size], entered[size]) for size in sizes}


def rows(flow: Flow, paths: Paths, histograms: Mapping[int, Histogram]) -> Iterator[FlowRow]:
    """Constraints from the trips on the blocks that are copies of a loop's body."""
    guards = Guards(flow.graph)
    for loop in paths.loops:
        histogram = histograms.get(loop.line)
        if not histogram or any(flow.lines.counter(line, "ptx_divergent_branches") for line in loop.exits):
            continue
        yield from copies(flow, loop, histogram, guards)


Place = tuple[int, str | None]
"""The place of copies: the first of the blocks that run together, and the guard of the copies."""


def copies(flow: Flow, loop: PathLoop, histogram: Histogram, guards: Guards) -> Iterator[FlowRow]:
    """The constraints for one loop, from lines whose copies have different sizes; anchors, if there are any."""
    votes: Counter[tuple[tuple[Place, int], ...]] = Counter()
    for (_, name, _), copies_of_name in places_of_copies(flow, loop).items():
        places = {
            place: len(spots)
            for place, spots in copies_of_name.items()
            if place[1] is None or not all(guards.never(*at, place[1]) for at in spots)
        }
        votes[tuple(sorted(places.items(), key=str))] += 100 if name in FAMILIES else 1
    if not votes:
        return
    shape = dict(max(votes.items(), key=lambda vote: (vote[1], str(vote[0])))[0])
    expected = greedy(histogram, sorted(set(shape.values())))
    if sum(size * ran for size, (ran, _) in expected.items()) != sum(trips * n for trips, n in histogram.items()):
        return  # some trips are not in these copies
    for size, (ran, entered) in expected.items():
        places_of_size = [place for place, length in shape.items() if length == size]
        unguarded = [block for block, guard in places_of_size if guard is None]
        if not unguarded:
            continue
        yield FlowRow(
            dict.fromkeys(unguarded, 1.0), float(ran) if len(unguarded) == len(places_of_size) else 0.0, float(ran)
        )
        if len(places_of_size) == 1 and (edges := flow.entries(unguarded[0], loop.body)):
            yield FlowRow(dict.fromkeys(edges, 1.0), float(entered), float(entered))


def places_of_copies(
    flow: Flow, loop: PathLoop
) -> Mapping[tuple[int, str, str], Mapping[Place, list[tuple[int, int]]]]:
    """For each line, name and opcode: the places of its copies in the machine code, as block and index."""
    result: dict[tuple[int, str, str], dict[Place, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for block in flow.graph.blocks:
        for index, operation in enumerate(block.operations):
            line = flow.lines.begin(operation.line)
            if line is None or line not in loop.once or operation.name in ROUTING or operation.never:
                continue
            if block.index in flow.graph.helper_blocks or (
                operation.name in FAMILIES and not is_single(flow, line, operation)
            ):
                continue
            place = (flow.together_with[block.index], operation.guard)
            result[line, operation.name, operation.opcode][place].append((block.index, index))
    return result


def is_single(flow: Flow, line: int, operation: Operation) -> bool:
    """Whether one execution of an anchor's line takes exactly one machine instruction like this."""
    statement = flow.lines.only(line, FAMILIES[operation.name][1])
    return statement is not None and multiple(statement, [(0, operation)]) == 1
