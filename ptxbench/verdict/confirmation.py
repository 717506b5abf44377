"""The failing and undecided rows of a gate, measured once more: what to run again, and both runs judged together.

Both runs are judged together, and only once: a gate that is repeated until it passes proves nothing. On a GPU the
rounds of both runs are pooled. Counts must be the same, because ptxas and the emulator are deterministic.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from ptxbench.exit_status import ExitStatus
from ptxbench.result import COMPLETE, Cell, Round, RunDocument
from ptxbench.runner.round_results import merge_results
from ptxbench.units import size_words
from ptxbench.verdict.comparable import NOTE, OK, ComparedKind, ConditionDifference, cell_differences, run_differences
from ptxbench.verdict.gate import Gate, JudgedRow, gate, in_order
from ptxbench.verdict.problems import Problem
from ptxbench.verdict.rows import COUNTERS, Row
from ptxbench.verdict.verdicts import BROKEN, INCONCLUSIVE, NOT_DETERMINISTIC, NOT_MEASURABLE, REGRESSED

Key = tuple[str, tuple[tuple[str, int], ...], str, str]


def cell_key(cell: Cell) -> Key:
    return cell.pair, tuple(cell.point.items()), cell.arch, cell.cache


def row_key(row: Row) -> Key:
    """The key of the cell that a row is of."""
    return row.pair, tuple(row.size.items()), row.arch, row.cache


def doubtful(judged: Gate) -> list[Cell]:
    """The cells of the head run with a row that is INCONCLUSIVE, or fails by its numbers or its verification."""
    failing = [row for row in judged.failing if row.row.verdict in (REGRESSED, BROKEN)]
    keys = {row_key(row.row) for row in (*failing, *inconclusive(judged))}
    return [cell for cell in judged.head.cells if cell_key(cell) in keys and not cell.control]


def inconclusive(judged: Gate) -> list[JudgedRow]:
    return [row for row in judged.rows if row.row.verdict == INCONCLUSIVE]


def obstacles(head: RunDocument, rerun: RunDocument, judged: Gate) -> list[ConditionDifference]:
    """The differences between a new run and head that forbid judging them together."""
    kinds: tuple[ComparedKind, ...] = ("ratio", *(("time",) if "time" in judged.modes else ()))
    emulated = head.device.is_emulator
    return [
        run_difference
        for run_difference in run_differences(head, rerun)
        if emulated or any(run_difference.effect(kind, "ptx") not in (OK, NOTE) for kind in kinds)
    ]


def changes(head: Cell, rerun: Cell) -> list[str]:
    """What differs in a cell that was run again and makes it a different one: launch, work, tolerance, code."""
    differences = []
    for variant in rerun.variants.keys() & head.variants.keys():
        differences += [str(cell_difference) for cell_difference in cell_differences(head, rerun, variant)]
        builds = head.variants[variant].build, rerun.variants[variant].build
        if builds[0] and builds[1] and builds[0].ptx_sha256 != builds[1].ptx_sha256:
            differences.append(f"PTX of {variant}")
    return list(dict.fromkeys(differences))


def pooled(head: RunDocument, others: Sequence[RunDocument]) -> RunDocument:
    """`head` with the results of the other runs for the same cells: all rounds, all labels, the worst result of each
    variant."""
    return dataclasses.replace(head, cells=[pooled_cell(cell, others) for cell in head.cells])


def pooled_cell(cell: Cell, others: Sequence[RunDocument]) -> Cell:
    for other in (other_cell for run in others for other_cell in run.cells if cell_key(other_cell) == cell_key(cell)):
        results = {
            name: merge_results([result, other.variants[name]]) if name in other.variants else result
            for name, result in cell.variants.items()
        }
        cell = dataclasses.replace(
            cell,
            variants=results,
            labels=sorted({*cell.labels, *other.labels}),
            rounds=[*cell.rounds, *renumbered(other.rounds, cell.rounds)],
        )
    return cell


def renumbered(rounds: Sequence[Round], earlier: Sequence[Round]) -> Iterator[Round]:
    """The rounds, numbered after the earlier ones, because each round of either run was a process of its own."""
    first = 1 + max((timed_round.round for timed_round in earlier), default=-1)
    process = 1 + max((timed_round.process for timed_round in earlier), default=-1)
    for timed_round in rounds:
        yield dataclasses.replace(timed_round, round=first + timed_round.round, process=process + timed_round.process)


def judge_together(first: Gate, others: Sequence[RunDocument]) -> Gate:
    """The gate of the head and its confirming runs, judged as one run."""
    judged = gate(pooled(first.head, others), first.base, first.config)
    differing = [disagreement for run in others for disagreement in disagreements(first.head, run)]
    rows = [without_disagreement(row, differing) for row in judged.rows]
    problems = [*judged.problems, *(problem(difference) for difference in differing)]
    problems += [
        Problem(f"The confirming run {run.run.id} is incomplete: its status is {run.run.status}.", "Run it again.")
        for run in others
        if run.run.status != COMPLETE
    ]
    return dataclasses.replace(judged, rows=in_order(rows), problems=problems, confirmed_by=others)


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """Numbers of one variant that differ between two runs and should not."""

    cell: Cell
    variant: str
    differences: Sequence[str]
    """`ptx_barriers 64, then 65`."""


def disagreements(head: RunDocument, rerun: RunDocument) -> Iterator[Disagreement]:
    """Counts that differ in the same cells, and on the emulator verifications that ended differently."""
    emulated = head.device.is_emulator
    cells = {cell_key(cell): cell for cell in head.cells}
    for rerun_cell in rerun.cells:
        cell = cells.get(cell_key(rerun_cell))
        for variant in cell.variants.keys() & rerun_cell.variants.keys() if cell else ():
            assert cell
            statuses = cell.variants[variant].status, rerun_cell.variants[variant].status
            words = [f"{statuses[0]}, then {statuses[1]}"] if emulated and statuses[0] != statuses[1] else []
            values = [(metric, metric.of(cell, variant), metric.of(rerun_cell, variant)) for metric in COUNTERS]
            words += [
                f"{metric.name} {first:,.12g}, then {second:,.12g}"
                for metric, first, second in values
                if first is not None and second is not None and first != second
            ]
            if words:
                yield Disagreement(cell, variant, words)


def problem(disagreement: Disagreement) -> Problem:
    where = f"{disagreement.cell.pair} {disagreement.variant} {size_words(disagreement.cell.size)}"
    return Problem(
        f"{where}: two runs of the same source with the same tools gave {'; '.join(disagreement.differences)}.",
        "This is a bug in ptxbench: please report it with both run files.",
        ExitStatus.NO_VERDICT,
    )


def without_disagreement(judged: JudgedRow, differing: Sequence[Disagreement]) -> JudgedRow:
    """The row; NOT-MEASURABLE if it fails by counts that differ between the runs."""
    of_row = [
        difference
        for difference in differing
        if cell_key(difference.cell) == row_key(judged.row) and difference.variant == judged.row.variant
    ]
    if judged.row.verdict != REGRESSED or not of_row:
        return judged
    row = dataclasses.replace(judged.row, verdict=NOT_MEASURABLE, reason=NOT_DETERMINISTIC)
    return dataclasses.replace(judged, row=row, exit_status=ExitStatus.NO_VERDICT, warns=False)
