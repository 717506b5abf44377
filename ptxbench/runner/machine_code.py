"""The machine instructions that the variants of a cell executed, for its results."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping

from ptxbench.executed import Executed, joint
from ptxbench.result import ExecutedReport, VariantResult, code_key

DISAGREE = "derivations for the same machine code contradict each other; please report this"


def with_executed(
    results: Mapping[str, VariantResult], derived: Mapping[str, Executed | None]
) -> dict[str, VariantResult]:
    """The results with the executed machine instructions. Variants with the same machine code get the same numbers."""
    groups: dict[str, list[Executed]] = defaultdict(list)
    for name, executed in derived.items():
        if executed is not None:
            groups[code_key(name, results[name].build)].append(executed)
    merged = {code: merge_derivations(group) for code, group in groups.items()}
    return {
        name: dataclasses.replace(result, executed=report(merged[code_key(name, result.build)]))
        if derived.get(name) is not None
        else result
        for name, result in results.items()
    }


def merge_derivations(derivations: list[Executed]) -> Executed:
    """One result from several derivations for the same machine code."""
    if len(derivations) == 1:
        return derivations[0]
    has_numbers = any(executed.fit is not None for executed in derivations)
    return joint(derivations) or (Executed(reason=DISAGREE) if has_numbers else derivations[0])


def report(executed: Executed) -> ExecutedReport:
    return ExecutedReport(
        **{member.name: getattr(executed, member.name) for member in dataclasses.fields(ExecutedReport)}
    )
