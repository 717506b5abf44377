"""What several rounds have found so far: the cells of each, and which variants are out of it and why."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ptxbench.pair import Size
from ptxbench.result import (
    BIASED,
    BROKEN,
    SKIPPED,
    UNSUPPORTED,
    VERIFIED,
    WRONG,
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

SEVERITY = (WRONG, BROKEN, UNSUPPORTED, SKIPPED, VERIFIED)
"""Of what a variant was in several rounds, the first counts."""

Items = tuple[tuple[str, int], ...]

Place = tuple[str, Items]
"""A pair, and its knobs that are turned: what is built once."""

Key = tuple[Place, Items]
"""A place and a size."""


def key(pair: str, knobs: Mapping[str, int], size: Size) -> Key:
    return (pair, tuple(knobs.items())), tuple(size.items())


def key_of(cell: Cell) -> Key:
    return key(cell.pair, cell.knobs, cell.size)


@dataclass(frozen=True)
class Exclusion:
    """Why a variant is out of a cell: `status` is BROKEN, or SKIPPED where the machine is at fault."""

    status: str
    reason: str


@dataclass
class RoundResults:
    """`taken`: each cell as every round found it. `out`: of a cell, the variants that ended a worker, and how.

    `suspected`: the cells in which one of several variants lost the device, and how. There each sample is waited for
    before the next one starts, which shows whose fault it is.
    """

    plan: RunPlan
    pair_plans: dict[Place, PairPlan]
    taken: dict[Key, list[Cell]] = field(default_factory=dict)
    out: dict[Key, dict[str, Exclusion]] = field(default_factory=dict)
    suspected: dict[Key, DeviceLost] = field(default_factory=dict)
    last: Step | None = None
    """What the present worker last began."""
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
    def keys(self) -> list[Key]:
        """Every cell, the control first, the others in the order of the plan."""
        return [
            (place, tuple(size.items())) for place, pair_plan in self.pair_plans.items() for size in pair_plan.sizes
        ]

    # ---- what is to do

    def shuffled(self, round_number: int) -> list[Key]:
        """The cells in an order of this round's own, those of a pair together; from the run's seed."""
        rng = random.Random(f"{self.plan.seed}:{round_number}:order")
        places = list(self.pair_plans)
        rng.shuffle(places)
        found = []
        for place in places:
            sizes = list(self.pair_plans[place].sizes)
            rng.shuffle(sizes)
            found += [(place, tuple(size.items())) for size in sizes]
        return [each for each in found if self.variants(each)]

    def variants(self, cell: Key) -> tuple[str, ...]:
        """Those that are not out of it."""
        sources = self.pair_plans[cell[0]].sources
        return tuple(source.variant for source in sources if source.variant not in self.out.get(cell, {}))

    def items(self, todo: Sequence[Key]) -> tuple[WorkItem, ...]:
        """The cells as they are sent to a worker: neighbours that differ in nothing but their size together."""
        found: list[WorkItem] = []
        for cell in todo:
            (pair, knobs), size = cell
            known = any(each.oracle is not None for each in self.taken.get(cell, ()))
            item = WorkItem(pair, self.variants(cell), (dict(size),), knobs, cell in self.suspected, not known)
            if found and dataclasses.replace(found[-1], sizes=item.sizes) == item:
                found[-1] = dataclasses.replace(found[-1], sizes=(*found[-1].sizes, dict(size)))
            else:
                found.append(item)
        return tuple(found)

    # ---- what happened

    def step(self, event: Step) -> Step:
        """The step as one of the whole run."""
        self.last = event
        self.done += 1
        total = (self.plan.rounds - self.plan.first_round) * sum(map(steps, self.pair_plans.values()))
        return dataclasses.replace(event, done=min(self.done - 1, total), total=total)

    def add(self, cell: Cell) -> None:
        self.taken.setdefault(key_of(cell), []).append(cell)

    def blame(self, death: WorkerDied) -> DeviceLost | None:
        """A worker ended before its task did: take the variant that it was at out of the cell, or of its whole pair.

        Gives the end of the run where there is none to take out: it died before it did anything, or in the control.
        """
        step = self.last
        if step is None:
            return DeviceLost(f"{death} (when a worker started).")
        if death.phase and not death.variant and not death.from_outside:
            return DeviceLost(f"{death}, in a kernel of ptxbench itself: the GPU or its driver does not work.")
        step = dataclasses.replace(step, variant=death.variant or step.variant, phase=death.phase or step.phase)
        reason = f"{death} ({step.phase}{at(step)})."
        return self.take_out(step, Exclusion(SKIPPED if death.from_outside else BROKEN, reason))

    def blame_lost(self, lost: DeviceLost) -> DeviceLost | None:
        """A worker lost the device: the same for the variant whose kernel did it.

        Where several may have, the cell is to be measured one sample at a time. Gives the end of the run where the
        machine is at fault, or the control failed, or even so no single variant can be named.
        """
        step = self.last
        if step is None or not lost.suspects:
            return lost
        if len(lost.suspects) == 1:
            step = dataclasses.replace(step, variant=lost.suspects[0])
            return self.take_out(step, Exclusion(BROKEN, lost.reason))
        cell = self.cell_of(step)
        reason = f"{lost.reason.rstrip('.')}. The kernels in flight were {' and '.join(lost.suspects)}"
        if cell is None or cell in self.suspected or step.pair == CONTROL:
            return DeviceLost(f"{reason}.", lost.suspects)
        self.suspected[cell] = DeviceLost(reason, lost.suspects)
        return None

    def take_out(self, step: Step, loss: Exclusion) -> DeviceLost | None:
        """Take a variant out, or give the end of the run where that is not possible.

        A failure at a cell's own size is that cell's; in a build or at a check size it is the pair's.
        """
        if step.pair == CONTROL:  # a kernel of our own, which is right: without it no time can be believed
            return DeviceLost(f"The A/A control, a kernel of ptxbench itself, failed: {loss.reason}")
        here = self.cell_of(step)
        place = (step.pair, tuple(step.knobs.items()))
        cells = [here] if here else [each for each in self.keys if each[0] == place]
        if all(step.variant in self.out.get(each, {}) for each in cells):
            return DeviceLost(loss.reason, (step.variant,))
        for each in cells:
            self.out.setdefault(each, {}).setdefault(step.variant, loss)
        return None

    def cell_of(self, step: Step) -> Key | None:
        """The cell at whose own size the step is."""
        here = key(step.pair, step.knobs, step.size) if step.size is not None else None
        return here if here in self.keys else None

    def cleared(self, cell: Cell) -> DeviceLost | None:
        """The end of the run where this cell lost the device once, and not again one sample at a time."""
        lost = self.suspected.get(key_of(cell))
        return lost and DeviceLost(
            f"{lost.reason}; it did not happen again when measured one sample at a time.", lost.suspects
        )

    # ---- what it makes

    def cells(self) -> Iterator[Cell]:
        """Every cell that was begun, with what all rounds so far found of it."""
        found = [self.merged(each) for each in self.keys if each in self.taken or each in self.out]
        biased = is_biased(noise(found), self.plan.settings.biased)
        for cell in found:
            yield dataclasses.replace(cell, labels=sorted({*cell.labels, BIASED})) if biased else cell

    def finished(self) -> Iterator[CellDone]:
        cells = list(self.cells())
        for i, cell in enumerate(cells):
            yield CellDone(cell, last=i + 1 == len(cells) or cells[i + 1].pair != cell.pair)

    def merged(self, cell: Key) -> Cell:
        """One cell of what the rounds found: all samples, all labels, of each variant the worst."""
        rounds = self.taken.get(cell) or [self.bare(cell)]
        variants = {}
        for source in self.pair_plans[cell[0]].sources:
            results = [each.variants[source.variant] for each in rounds if source.variant in each.variants]
            if loss := self.out.get(cell, {}).get(source.variant):
                results.append(VariantResult(source.language, loss.status, loss.reason))
            if results:
                variants[source.variant] = merge_results(results)
        return dataclasses.replace(
            rounds[0],
            variants=variants,
            control=cell[0][0] == CONTROL,
            labels=sorted({label for each in rounds for label in each.labels}),
            rounds=[one for each in rounds for one in each.rounds],
            oracle=next((each.oracle for each in rounds if each.oracle is not None), None),
        )

    def bare(self, cell: Key) -> Cell:
        """A cell that no worker finished."""
        pair, size = self.pair_plans[cell[0]].loaded.pair, dict(cell[1])
        launch = pair.launch(**size)
        return Cell(
            cell[0][0],
            size,
            self.plan.arch,
            LaunchReport(**launch.recorded),
            pair.work(size),
            {},
            cache=self.plan.cache,
            knobs=dict(cell[0][1]),
        )


def at(step: Step) -> str:
    return f", {size_words(step.size)}" if step.size is not None else ""


def merge_results(results: Sequence[VariantResult]) -> VariantResult:
    """The worst of a variant's results, with the greatest error of all and whatever build is known."""
    worst = min(results, key=lambda result: SEVERITY.index(result.status))
    build = worst.build or next((each.build for each in results if each.build), None)
    return dataclasses.replace(worst, build=build, check=checked([each.check for each in results if each.check]))


def checked(checks: Sequence[CheckReport]) -> CheckReport | None:
    if not checks:
        return None
    errors = [each.max_error for each in checks]
    known = [error for error in errors if error is not None]
    repeated = [each.deterministic for each in checks if each.deterministic is not None]
    return dataclasses.replace(
        checks[0],
        max_error=max(known) if len(known) == len(errors) else None,
        worst=next((each.worst for each in checks if each.worst), None),
        deterministic=all(repeated) if repeated else None,
    )
