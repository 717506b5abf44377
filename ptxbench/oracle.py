"""Whether a pair's reference and tolerance would reject a wrong result. Knows pairs, but no kernels and no backends.

A kernel runs at every check size, so it is enough that one of them rejects a wrong output. The data of a small size may
not show it: a greatest element may well be in the first nine tenths. At the size of a cell, where a kernel is counted
or timed, it runs once, so each wrong output that this size accepts is a weakness too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptxbench.pair import Pair, Size
from ptxbench.verify import ErrorOf, Expected, expect
from ptxbench.wrong_outputs import WrongOutputCase, WrongOutputResult


def weaknesses(
    pair: Pair,
    seed: int,
    errors: Mapping[str, ErrorOf] | None = None,
    *,
    varied: bool = False,
    partial_reads: bool = True,
) -> tuple[str, ...]:
    """The wrong_outputs that no check size rejects, in words; a good oracle has none.

    `errors`: of the approximate instructions by opcode, which also widen the bounds of the kernels. `varied`: whether
    scalars and starts are drawn too, as by `check`. `partial_reads`: whether the results of kernels that do not read
    all of their input are tried. Raises what the functions of the pair raise on their own data.
    """
    outcomes_by_kind: dict[str, set[WrongOutputResult]] = {}
    counted: dict[str, set[WrongOutputResult]] = {}
    for number, size in enumerate(sorted(pair.check_sizes, key=pair.compulsory_bytes, reverse=True)):
        arguments = pair.make_arguments(size, seed + number * varied, varied=varied)  # scalars do not depend on sizes
        case = WrongOutputCase(pair, size, arguments, expect(pair, arguments).widened(errors or {}), seed)
        for wrong_output in case.wrong_outputs() if partial_reads else case.wrong_writes():
            outcomes = outcomes_by_kind.setdefault(wrong_output.what, set())
            if WrongOutputResult.REJECTED not in outcomes:
                outcomes.add(wrong_output.judge())
            counted[wrong_output.what] = (
                {WrongOutputResult.ACCEPTED, WrongOutputResult.SAME}
                if wrong_output.must_show
                else {WrongOutputResult.ACCEPTED}
            )
        if all(WrongOutputResult.REJECTED in outcomes for outcomes in outcomes_by_kind.values()):
            break
    return tuple(
        description
        for description, outcomes in outcomes_by_kind.items()
        if WrongOutputResult.REJECTED not in outcomes and outcomes & counted[description]
    )


def accepted(pair: Pair, size: Size, arguments: Mapping[str, Any], expected: Expected, seed: int) -> tuple[str, ...]:
    """The wrong outputs that differ from the right result at this size but are accepted, in words."""
    case = WrongOutputCase(pair, size, arguments, expected, seed)
    return tuple(
        wrong_output.what for wrong_output in case.wrong_outputs() if wrong_output.judge() is WrongOutputResult.ACCEPTED
    )
