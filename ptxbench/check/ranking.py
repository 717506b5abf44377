"""Several candidates in the order of how good they are, and the place of each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from ptxbench.check.findings import ACCEPTED, NO_VERDICT, REJECTED, STAGES, Judgement
from ptxbench.check.machine_code import settled
from ptxbench.check.stages import CANDIDATE

TIME = "time"
"""The key of the time in the ratios."""

REFERENCE = "cuda"


def ranked(judgements: Sequence[Judgement]) -> list[Judgement]:
    """The accepted first, by time where all of them have one, else by sectors and then by executed machine
    instructions, those whose number is too uncertain behind the others; the rejected last, those that came furthest
    before the others."""
    timed = all_timed(judgements)

    def key(each: Judgement) -> tuple[float, ...]:
        verdict = (ACCEPTED, NO_VERDICT, REJECTED).index(each.verdict)
        if each.verdict != ACCEPTED:
            return verdict, -list(STAGES).index(each.ended_at or next(iter(STAGES)))
        time = time_ratio(each) or 0.0 if timed else 0.0
        known = range_of(each)
        instructions = each.compared.get(CANDIDATE, {}).get("instructions", 0.0)
        return verdict, time, sectors(each), *((0.0, *known) if known else (1.0, instructions, 0.0))

    return sorted(judgements, key=key)


def places(judgements: Sequence[Judgement]) -> list[int | None]:
    """The place of each of `ranked` candidates, from 1: equal for those of which no count says which is better.

    None for one whose machine instructions are not known well enough, where the order would need them, and for one that
    is not accepted.
    """
    accepted = [each for each in judgements if each.verdict == ACCEPTED]
    found: list[int | None] = []
    if all_timed(judgements):
        found = [*range(1, len(accepted) + 1)]
    else:
        for _, alike in itertools.groupby(accepted, sectors):
            group = [*alike]
            found += [len(found) + 1] if len(group) == 1 else by_instructions(group, len(found))
    return found + [None] * (len(judgements) - len(accepted))


def by_instructions(group: Sequence[Judgement], before: int) -> Iterator[int | None]:
    """The places behind `before` others of candidates with equally many sectors: equal where ranges overlap."""
    place, reach = 0, -1.0
    for number, each in enumerate(group, before + 1):
        known = range_of(each)
        if known is None:
            yield None
            continue
        if known[0] > reach:
            place = number
        reach = max(reach, known[1])
        yield place


def range_of(judgement: Judgement) -> tuple[float, float] | None:
    """The least and the most machine instructions of the candidate; None where a claim cannot rest on them."""
    own = judgement.executed.get(CANDIDATE)
    return (own["least"], own["most"]) if own and settled(own) else None


def sectors(judgement: Judgement) -> float:
    found: float = judgement.compared.get(CANDIDATE, {}).get("sectors", 0.0)
    return found


def all_timed(judgements: Sequence[Judgement]) -> bool:
    """Whether every accepted candidate has a time."""
    return all(time_ratio(each) is not None for each in judgements if each.verdict == ACCEPTED)


def time_ratio(judgement: Judgement) -> float | None:
    """The candidate's time over that of the pair's CUDA C; None where nothing was timed."""
    return judgement.ratios.get(REFERENCE, {}).get(TIME)
