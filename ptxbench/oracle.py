"""Whether a pair's reference and tolerance would reject a wrong result. Knows pairs, but no kernels and no backends.

A kernel runs at every check size, so it is enough that one of them rejects a forgery: the data of a small size may not
show it (a greatest element may well be in the first nine tenths). At the size of a cell, where a kernel is counted or
timed, it runs once, so each forgery that this size accepts is a weakness too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptxbench.forgeries import ForgeryCase, ForgeryOutcome
from ptxbench.pair import Pair, Size
from ptxbench.verify import ErrorOf, Expected, expect


def weaknesses(pair: Pair, seed: int, errors: Mapping[str, ErrorOf] | None = None) -> tuple[str, ...]:
    """The forgeries that no check size rejects, in words; a good oracle has none.

    `errors`: of the approximate instructions by opcode, which also widen the bounds of the kernels. Raises what the
    functions of the pair raise on their own data.
    """
    outcomes_by_forgery: dict[str, set[ForgeryOutcome]] = {}
    counted: dict[str, set[ForgeryOutcome]] = {}
    for size in sorted(pair.check_sizes, key=pair.compulsory_bytes, reverse=True):
        arguments = pair.make_arguments(size, seed)
        case = ForgeryCase(pair, size, arguments, expect(pair, arguments).widened(errors or {}), seed)
        for forgery in case.forgeries():
            outcomes = outcomes_by_forgery.setdefault(forgery.what, set())
            if ForgeryOutcome.REJECTED not in outcomes:
                outcomes.add(forgery.judge())
            counted[forgery.what] = (
                {ForgeryOutcome.ACCEPTED, ForgeryOutcome.SAME} if forgery.must_show else {ForgeryOutcome.ACCEPTED}
            )
        if all(ForgeryOutcome.REJECTED in outcomes for outcomes in outcomes_by_forgery.values()):
            break
    return tuple(
        what
        for what, outcomes in outcomes_by_forgery.items()
        if ForgeryOutcome.REJECTED not in outcomes and outcomes & counted[what]
    )


def accepted(pair: Pair, size: Size, arguments: Mapping[str, Any], expected: Expected, seed: int) -> tuple[str, ...]:
    """The forgeries that differ from the right result at this size but are accepted, in words."""
    case = ForgeryCase(pair, size, arguments, expected, seed)
    return tuple(forgery.what for forgery in case.forgeries() if forgery.judge() is ForgeryOutcome.ACCEPTED)
