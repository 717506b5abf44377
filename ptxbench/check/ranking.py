"""Several candidates in the order of how good they are."""

from __future__ import annotations

from collections.abc import Sequence

from ptxbench.check.beside import RANKED
from ptxbench.check.findings import ACCEPTED, NO_VERDICT, REJECTED, STAGES, Judgement
from ptxbench.check.stages import CANDIDATE

TIME = "time"
"""The key of the time in the ratios."""

REFERENCE = "cuda"


def ranked(judgements: Sequence[Judgement]) -> list[Judgement]:
    """The accepted first, by time where all of them have one, else by sectors and then by warp instructions; the
    rejected last, those that came furthest before the others."""
    accepted = [each for each in judgements if each.verdict == ACCEPTED]
    timed = all(time_ratio(each) is not None for each in accepted)

    def key(each: Judgement) -> tuple[float, ...]:
        verdict = (ACCEPTED, NO_VERDICT, REJECTED).index(each.verdict)
        if each.verdict != ACCEPTED:
            return verdict, -list(STAGES).index(each.ended_at or next(iter(STAGES)))
        own = each.compared.get(CANDIDATE, {})
        return verdict, time_ratio(each) or 0.0 if timed else 0.0, *(own.get(name, 0.0) for name in RANKED)

    return sorted(judgements, key=key)


def time_ratio(judgement: Judgement) -> float | None:
    """The candidate's time over that of the pair's CUDA C; None where nothing was timed."""
    return judgement.ratios.get(REFERENCE, {}).get(TIME)
