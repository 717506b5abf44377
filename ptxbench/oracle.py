"""Whether a pair's reference and tolerance would notice a wrong result. Knows pairs, and no kernel and no backend.

A kernel runs at every check size, so it is enough that one of them rejects a forgery: the data of a small size may not
show it (a greatest element may well lie in the first nine tenths). At the size of a cell, where a kernel is counted or
timed, it runs once: what that size accepts is a weakness of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptxbench.forgeries import ForgeryCase, ForgeryOutcome
from ptxbench.pair import Pair, Size
from ptxbench.verify import ErrorOf, Expected, expect


def weaknesses(pair: Pair, seed: int, errors: Mapping[str, ErrorOf] | None = None) -> tuple[str, ...]:
    """The forgeries that no check size rejects, in words; none of a good oracle.

    `errors`: of the approximate instructions by opcode, as the kernels' own bounds are widened by. Raises what the
    functions of the pair raise on their own data.
    """
    found: dict[str, set[ForgeryOutcome]] = {}
    counted: dict[str, set[ForgeryOutcome]] = {}
    for size in sorted(pair.check_sizes, key=pair.compulsory_bytes, reverse=True):
        arguments = pair.make_arguments(size, seed)
        case = ForgeryCase(pair, size, arguments, expect(pair, arguments).widened(errors or {}), seed)
        for forgery in case.forgeries():
            outcomes = found.setdefault(forgery.what, set())
            if ForgeryOutcome.REJECTED not in outcomes:
                outcomes.add(forgery.judge())
            counted[forgery.what] = (
                {ForgeryOutcome.ACCEPTED, ForgeryOutcome.SAME} if forgery.must_show else {ForgeryOutcome.ACCEPTED}
            )
        if all(ForgeryOutcome.REJECTED in outcomes for outcomes in found.values()):
            break
    return tuple(
        what for what, outcomes in found.items() if ForgeryOutcome.REJECTED not in outcomes and outcomes & counted[what]
    )


def accepted(pair: Pair, size: Size, arguments: Mapping[str, Any], expected: Expected, seed: int) -> tuple[str, ...]:
    """The forgeries that differ from the right result at this size and are accepted all the same, in words."""
    case = ForgeryCase(pair, size, arguments, expected, seed)
    return tuple(each.what for each in case.forgeries() if each.judge() is ForgeryOutcome.ACCEPTED)
