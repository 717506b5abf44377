"""Candidates ranked from the best to the worst, and the place of each."""

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
    """The judgements, the best first.

    The accepted are ordered by time if all of them have one, else by sectors and then by executed machine instructions.
    Those whose number of instructions is too uncertain come after the others. The rejected are last, ordered by the
    stage that they reached.
    """
    timed = all_timed(judgements)

    def key(judgement: Judgement) -> tuple[float, ...]:
        verdict = (ACCEPTED, NO_VERDICT, REJECTED).index(judgement.verdict)
        if judgement.verdict != ACCEPTED:
            return verdict, -list(STAGES).index(judgement.ended_at or next(iter(STAGES)))
        time = time_ratio(judgement) or 0.0 if timed else 0.0
        machine_instructions = range_of(judgement)
        instructions = judgement.compared.get(CANDIDATE, {}).get("instructions", 0.0)
        return (
            verdict,
            time,
            sectors(judgement),
            *((0.0, *machine_instructions) if machine_instructions else (1.0, instructions, 0.0)),
        )

    return sorted(judgements, key=key)


def places(judgements: Sequence[Judgement]) -> list[int | None]:
    """The place of each of `ranked` candidates, from 1; equal if no count shows which one is better.

    None for a candidate that is not accepted, and for one whose machine instructions are needed for the order but too
    uncertain.
    """
    accepted = [judgement for judgement in judgements if judgement.verdict == ACCEPTED]
    numbers: list[int | None] = []
    if all_timed(judgements):
        numbers = [*range(1, len(accepted) + 1)]
    else:
        for _, alike in itertools.groupby(accepted, sectors):
            group = [*alike]
            numbers += [len(numbers) + 1] if len(group) == 1 else by_instructions(group, len(numbers))
    return numbers + [None] * (len(judgements) - len(accepted))


def by_instructions(group: Sequence[Judgement], before: int) -> Iterator[int | None]:
    """The places of candidates with the same number of sectors, after `before` better ones; equal if ranges overlap."""
    place, greatest = 0, -1.0
    for number, judgement in enumerate(group, before + 1):
        limits = range_of(judgement)
        if limits is None:
            yield None
            continue
        if limits[0] > greatest:
            place = number
        greatest = max(greatest, limits[1])
        yield place


def range_of(judgement: Judgement) -> tuple[float, float] | None:
    """The least and the most machine instructions of the candidate; None if they are too uncertain."""
    executed = judgement.executed.get(CANDIDATE)
    return (executed["least"], executed["most"]) if executed and settled(executed) else None


def sectors(judgement: Judgement) -> float:
    count: float = judgement.compared.get(CANDIDATE, {}).get("sectors", 0.0)
    return count


def all_timed(judgements: Sequence[Judgement]) -> bool:
    """Whether every accepted candidate has a time."""
    return all(time_ratio(judgement) is not None for judgement in judgements if judgement.verdict == ACCEPTED)


def time_ratio(judgement: Judgement) -> float | None:
    """The candidate's time over that of the pair's CUDA C; None if nothing was timed."""
    return judgement.ratios.get(REFERENCE, {}).get(TIME)
