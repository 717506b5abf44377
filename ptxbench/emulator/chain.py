"""The launches of one stream, each of which may start before the previous one has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from numpy.typing import NDArray

from ptxbench import keywords
from ptxbench.emulator import counters
from ptxbench.emulator.findings import SanitizerFinding
from ptxbench.emulator.launch import Execution, run
from ptxbench.emulator.pointers import reachable
from ptxbench.errors import KernelError

Name = TypeVar("Name")


def chain(launches: Sequence[Mapping[str, Any]], *, dependent: bool = True) -> list[Execution]:
    """Run launches of one stream; each element has the arguments of `run`, by name.

    `dependent`: they are programmatic dependent launches. A launch then does not see the stores of the previous one
    until one of its threads executes griddepcontrol.wait: so a missing wait reads old data. The CTAs of all launches
    except the first run one after the other.
    """
    launches, dependent = keywords.several("launches", launches), keywords.truth("dependent", dependent)
    for launch in launches:
        keywords.instance("an element of launches", launch, Mapping, "a dict with the arguments of run")
    return list(in_order(launches, dependent=dependent))


def in_order(launches: Sequence[Mapping[str, Any]], *, dependent: bool) -> Iterator[Execution]:
    """`chain`, one execution at a time."""
    earlier: dict[int, NDArray[Any]] = {}
    for launch, following in zip(launches, [*launches[1:], {}], strict=True):
        next_args = following.get("args", ()) if dependent else ()
        copies = {id(array): array.copy() for _, array in reachable([("", arg) for arg in next_args])}
        yield run(**launch, earlier=earlier)
        earlier = copies


def run_steps(ptx: str, entry: str | None, *, steps: Sequence[Sequence[Any]], dependent: bool, **how: Any) -> Execution:
    """Launch a kernel once for each of `steps`, its arguments, in one stream; the result is that of all launches.

    `dependent`: as in `chain`. `how`: the other arguments of `run`. The module keeps its variables between the
    launches. Raises KernelError as `run` does, which names the launch if there are several.
    """
    if len(steps) == 1:
        return run(ptx, entry, args=steps[0], **how)
    how["kept"] = {} if how.get("kept") is None else how["kept"]
    executions: list[Execution] = []
    try:
        for execution in in_order(
            [{"ptx": ptx, "entry": entry, "args": args, **how} for args in steps], dependent=dependent
        ):
            executions.append(execution)
    except KernelError as error:
        error.args = (f"{error} This is launch {len(executions)} of the chain, which begins with 0.",)
        raise
    return merge_executions(executions)


def merge_executions(executions: Sequence[Execution]) -> Execution:
    """Several launches of one kernel as one: counts are added, and each finding is named once."""
    lines = add_counts(execution.by_line for execution in executions)
    phases, mbarrier_phases = (
        int(sum(execution.counters[name] for execution in executions))
        for name in ("ptx_barrier_phases", "ptx_mbarrier_phases")
    )
    ascending = next((execution for execution in executions if execution.order == "ascending"), executions[0])
    return Execution(
        totals=counters.total(counters.added(lines), phases, mbarrier_phases),
        by_line=lines,
        order=ascending.order,
        printed="".join(execution.printed for execution in executions),
        findings=one_of_each(execution.findings for execution in executions),
        notes=distinct(execution.notes for execution in executions),
        approximate=dict(sum((Counter(execution.approximate) for execution in executions), Counter())),
        models={opcode: model for execution in executions for opcode, model in execution.models.items()},
        unchecked=distinct(execution.unchecked for execution in executions),
        order_reason=ascending.order_reason,
        remarks=one_of_each(execution.remarks for execution in executions),
        changed=distinct(execution.changed for execution in executions),
        unfreed=sum(execution.unfreed for execution in executions),
        opcodes=add_counts(execution.opcodes for execution in executions),
        loops=add_counts(execution.loops for execution in executions),
        irreducible=tuple(sorted({line for execution in executions for line in execution.irreducible})),
        wide_wavefronts=add_counts(execution.wide_wavefronts for execution in executions),
        old_values=one_of_each(execution.old_values for execution in executions),
    )


def add_counts(tables: Iterable[Mapping[int, Mapping[Name, int]]]) -> dict[int, dict[Name, int]]:
    """The sum of tables of counts by line."""
    lines: dict[int, Counter[Name]] = {}
    for table in tables:
        for line, counts in table.items():
            lines.setdefault(line, Counter()).update(counts)
    return {line: dict(counts) for line, counts in sorted(lines.items())}


def one_of_each(by_execution: Iterable[Sequence[SanitizerFinding]]) -> tuple[SanitizerFinding, ...]:
    """The first finding of each kind and line, in the order of the lines."""
    first: dict[tuple[int, str], SanitizerFinding] = {}
    for finding in (finding for findings in by_execution for finding in findings):
        first.setdefault((finding.line, finding.kind), finding)
    return tuple(finding for _, finding in sorted(first.items()))


def distinct(texts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for group in texts for text in group))
