"""The machine instructions that the variants of a cell executed, for its results."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping

from ptxbench.executed import Executed, joint
from ptxbench.result import ExecutedReport, VariantResult

DISAGREE = "derivations for the same machine code contradict each other; please report this"


def with_executed(
    results: Mapping[str, VariantResult], found: Mapping[str, Executed | None]
) -> dict[str, VariantResult]:
    """The results with what was derived of each. Variants of one machine code get one answer: what all of them say."""
    groups: dict[str, list[Executed]] = defaultdict(list)
    for name, each in found.items():
        if each is not None:
            groups[identity(name, results[name])].append(each)
    known = {key: together(each) for key, each in groups.items()}
    return {
        name: dataclasses.replace(result, executed=report(known[identity(name, result)]))
        if found.get(name) is not None
        else result
        for name, result in results.items()
    }


def identity(name: str, result: VariantResult) -> str:
    """What variants of one machine code have in common."""
    return result.build.sass_sha256 if result.build and result.build.sass_sha256 else f"variant {name}"


def together(found: list[Executed]) -> Executed:
    """What derivations for one machine code say together."""
    if len(found) == 1:
        return found[0]
    numbers = [each for each in found if each.fit is not None]
    return joint(found) or (Executed(reason=DISAGREE) if numbers else found[0])


def report(executed: Executed) -> ExecutedReport:
    return ExecutedReport(**{each.name: getattr(executed, each.name) for each in dataclasses.fields(ExecutedReport)})
