"""The cells of all rounds so far, and the variants that are excluded from them, with the reason."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ptxbench.pair import Size
from ptxbench.result import (
    BIASED,
    BROKEN,
    SEVERITY,
    SKIPPED,
    VERIFIED,
    Cell,
    CheckReport,
    LaunchReport,
    VariantResult,
)
from ptxbench.runner.control import CONTROL, control_plan, is_biased, noise
from ptxbench.runner.events import CellDone, DeviceLost, Step
from ptxbench.runner.plan import PairPlan, RunPlan
from ptxbench.runner.session import steps
from ptxbench.runner.worker import WorkerDied, WorkItem
from ptxbench.units import size_words

STATUSES = (*SEVERITY, VERIFIED)
"""The status of a variant over several rounds is the first of these that it had."""

NamedValues = tuple[tuple[str, int], ...]

BuildKey = tuple[str, NamedValues]
"""A pair and the values of its knobs: the unit of building."""

CellKey = tuple[BuildKey, NamedValues]
"""A build, and the size at which it runs."""


def cell_key(pair: str, knobs: Mapping[str, int], size: Size) -> CellKey:
    return (pair, tuple(knobs.items())), tuple(size.items())


def key_of(cell: Cell) -> CellKey:
    return cell_key(cell.pair, cell.knobs, cell.size)


@dataclass(frozen=True)
class Exclusion:
    """Why a variant is excluded from a cell: `status` is BROKEN, or SKIPPED if the machine is at fault."""

    status: str
    reason: str


@dataclass
class RoundResults:
    """The state of a run over its rounds.

    `cells_by_round`: the cells of each round. `excluded`: by cell, the variants that ended a worker, and how.

    `suspected`: the cells in which one of several variants lost the device, and how. In these cells each sample ends
    before the next one starts, which shows which kernel is at fault.
    """

    plan: RunPlan
    pair_plans: dict[BuildKey, PairPlan]
    cells_by_round: dict[CellKey, list[Cell]] = field(default_factory=dict)
    excluded: dict[CellKey, dict[str, Exclusion]] = field(default_factory=dict)
    suspected: dict[CellKey, DeviceLost] = field(default_factory=dict)
    last: Step | None = None
    """The last step that the present worker began."""
    done: int = 0

    @classmethod
    def of(cls, plan: RunPlan) -> RoundResults:
        results = cls(
            plan,
            {
                (pair_plan.loaded.name, tuple(pair_plan.knobs.items())): pair_plan
                for pair_plan in (control_plan(), *plan.pair_plans)
            },
        )
        for cell in plan.begun:
            results.add(cell)
        return results

    @property
    def keys(self) -> list[CellKey]:
        """Every cell, the control first, the others in the order of the plan."""
        return [
            (build_key, tuple(size.items()))
            for build_key, pair_plan in self.pair_plans.items()
            for size in pair_plan.sizes
        ]

    # ---- what remains to be done

    def shuffled(self, round_number: int) -> list[CellKey]:
        """The cells in a random order for this round, from the run's seed; those of a pair stay together."""
        rng = random.Random(f"{self.plan.seed}:{round_number}:order")
        build_keys = list(self.pair_plans)
        rng.shuffle(build_keys)
        cells: list[CellKey] = []
        for build_key in build_keys:
            sizes = list(self.pair_plans[build_key].sizes)
            rng.shuffle(sizes)
            cells += [(build_key, tuple(size.items())) for size in sizes]
        return [cell for cell in cells if self.variants(cell)]

    def variants(self, cell: CellKey) -> tuple[str, ...]:
        """The variants that are not excluded from it."""
        sources = self.pair_plans[cell[0]].sources
        return tuple(source.variant for source in sources if source.variant not in self.excluded.get(cell, {}))

    def items(self, cells: Sequence[CellKey]) -> tuple[WorkItem, ...]:
        """The cells as items for a worker; neighbours that differ only in their size share an item."""
        items: list[WorkItem] = []
        for cell in cells:
            (pair, knobs), size = cell
            is_tested = any(round_result.oracle is not None for round_result in self.cells_by_round.get(cell, ()))
            pair_plan = self.pair_plans[cell[0]]
            tests_oracle = pair_plan.oracle_asked and not is_tested
            variants, one_at_a_time = self.variants(cell), cell in self.suspected
            item = WorkItem(pair, variants, (dict(size),), knobs, one_at_a_time, tests_oracle, pair_plan.arch)
            if items and dataclasses.replace(items[-1], sizes=item.sizes) == item:
                items[-1] = dataclasses.replace(items[-1], sizes=(*items[-1].sizes, dict(size)))
            else:
                items.append(item)
        return tuple(items)

    # ---- what happened

    def step(self, event: Step) -> Step:
        """The step of a worker, counted as one of the whole run."""
        self.last = event
        self.done += 1
        total = (self.plan.rounds - self.plan.first_round) * sum(map(steps, self.pair_plans.values()))
        return dataclasses.replace(event, done=min(self.done - 1, total), total=total)

    def add(self, cell: Cell) -> None:
        self.cells_by_round.setdefault(key_of(cell), []).append(cell)

    def attribute_failure(self, death: WorkerDied) -> DeviceLost | None:
        """A worker ended early: exclude the variant that it worked on, from the cell or from the whole pair.

        Returns the end of the run if no variant can be excluded: the worker died before it began, or in the control.
        """
        step = self.last
        if step is None:
            return DeviceLost(f"{death} (when a worker started).")
        if death.phase and not death.variant and not death.from_outside:
            return DeviceLost(f"{death}, in a kernel of ptxbench itself: the GPU or its driver does not work.")
        step = dataclasses.replace(step, variant=death.variant or step.variant, phase=death.phase or step.phase)
        reason = f"{death} ({step.phase}{size_suffix(step)})."
        return self.exclude(step, Exclusion(SKIPPED if death.from_outside else BROKEN, reason))

    def attribute_loss(self, lost: DeviceLost) -> DeviceLost | None:
        """A worker lost the device: exclude the variant whose kernel caused it.

        If several may have caused it, the cell is measured again, one sample at a time. Returns the end of the run if
        the machine is at fault, if the control failed, or if even then no single variant can be named.
        """
        step = self.last
        if step is None or not lost.suspects:
            return lost
        if len(lost.suspects) == 1:
            step = dataclasses.replace(step, variant=lost.suspects[0])
            return self.exclude(step, Exclusion(BROKEN, lost.reason))
        cell = self.cell_of(step)
        reason = f"{lost.reason.rstrip('.')}. The kernels in flight were {' and '.join(lost.suspects)}"
        if cell is None or cell in self.suspected or step.pair == CONTROL:
            return DeviceLost(f"{reason}.", lost.suspects)
        self.suspected[cell] = DeviceLost(reason, lost.suspects)
        return None

    def exclude(self, step: Step, exclusion: Exclusion) -> DeviceLost | None:
        """Exclude a variant, or return the end of the run if that is not possible.

        A failure at a cell's own size affects that cell; in a build or at a check size it affects the pair.
        """
        if step.pair == CONTROL:  # its kernel is right, so the device is at fault, and no time can be trusted
            return DeviceLost(f"The A/A control, a kernel of ptxbench itself, failed: {exclusion.reason}")
        at_size = self.cell_of(step)
        build_key = (step.pair, tuple(step.knobs.items()))
        cells = [at_size] if at_size else [cell for cell in self.keys if cell[0] == build_key]
        if all(step.variant in self.excluded.get(cell, {}) for cell in cells):
            return DeviceLost(exclusion.reason, (step.variant,))
        for cell in cells:
            self.excluded.setdefault(cell, {}).setdefault(step.variant, exclusion)
        return None

    def cell_of(self, step: Step) -> CellKey | None:
        """The cell at whose own size the step runs."""
        at_size = cell_key(step.pair, step.knobs, step.size) if step.size is not None else None
        return at_size if at_size in self.keys else None

    def cleared(self, cell: Cell) -> DeviceLost | None:
        """The end of the run if this cell lost the device once, and not again when measured one sample at a time."""
        lost = self.suspected.get(key_of(cell))
        return lost and DeviceLost(
            f"{lost.reason}; it did not happen again when measured one sample at a time.", lost.suspects
        )

    # ---- the resulting cells

    def cells(self) -> Iterator[Cell]:
        """Every cell that was started, merged over all rounds so far."""
        cells = [self.merge_rounds(cell) for cell in self.keys if cell in self.cells_by_round or cell in self.excluded]
        biased = is_biased(noise(cells), self.plan.settings.biased)
        for cell in cells:
            yield dataclasses.replace(cell, labels=sorted({*cell.labels, BIASED})) if biased else cell

    def finished(self) -> Iterator[CellDone]:
        cells = list(self.cells())
        for i, cell in enumerate(cells):
            yield CellDone(cell, last=i + 1 == len(cells) or cells[i + 1].pair != cell.pair)

    def merge_rounds(self, cell: CellKey) -> Cell:
        """One cell of all rounds: all samples, all labels, and the worst result of each variant."""
        rounds = self.cells_by_round.get(cell) or [self.empty_cell(cell)]
        variants = {}
        for source in self.pair_plans[cell[0]].sources:
            results = [
                round_result.variants[source.variant]
                for round_result in rounds
                if source.variant in round_result.variants
            ]
            if exclusion := self.excluded.get(cell, {}).get(source.variant):
                results.append(VariantResult(source.language, exclusion.status, exclusion.reason))
            if results:
                variants[source.variant] = merge_results(results)
        return dataclasses.replace(
            rounds[0],
            variants=variants,
            control=cell[0][0] == CONTROL,
            labels=sorted({label for round_result in rounds for label in round_result.labels}),
            rounds=[samples for round_result in rounds for samples in round_result.rounds],
            oracle=next((round_result.oracle for round_result in rounds if round_result.oracle is not None), None),
        )

    def empty_cell(self, cell: CellKey) -> Cell:
        """A cell that no worker finished."""
        pair_plan, size = self.pair_plans[cell[0]], dict(cell[1])
        pair = pair_plan.loaded.pair
        launch = pair.launch(**size)
        return Cell(
            cell[0][0],
            size,
            pair_plan.arch or self.plan.arch,
            LaunchReport(**launch.recorded),
            pair.work(size),
            {},
            cache=self.plan.cache,
            knobs=dict(cell[0][1]),
        )


def size_suffix(step: Step) -> str:
    return f", {size_words(step.size)}" if step.size is not None else ""


def merge_results(results: Sequence[VariantResult]) -> VariantResult:
    """The worst of a variant's results, with the greatest error of all and any build that is known."""
    worst = min(results, key=lambda result: STATUSES.index(result.status))
    build = worst.build or next((result.build for result in results if result.build), None)
    return dataclasses.replace(
        worst, build=build, check=merge_checks([result.check for result in results if result.check])
    )


def merge_checks(checks: Sequence[CheckReport]) -> CheckReport | None:
    if not checks:
        return None
    errors = [check.max_error for check in checks]
    known_errors = [error for error in errors if error is not None]
    repeated = [check.deterministic for check in checks if check.deterministic is not None]
    return dataclasses.replace(
        checks[0],
        max_error=max(known_errors) if len(known_errors) == len(errors) else None,
        worst=next((check.worst for check in checks if check.worst), None),
        deterministic=all(repeated) if repeated else None,
    )
