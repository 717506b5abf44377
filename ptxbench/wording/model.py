"""A model's claims about a cell: its floors as texts, and the sentences on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ptxbench.floors import INEXACT, WORDS, Claim, ordered
from ptxbench.metrics import REFERENCE
from ptxbench.model.runs import label
from ptxbench.model.scores import ALIKE, LESS, MORE, ScoredClaim
from ptxbench.result import Cell, Model
from ptxbench.specifications import MODELS
from ptxbench.units import ABSENT, enumeration, fixed


def floor_texts(model: Model, name: str) -> tuple[str, str, str, str]:
    """The highest floor, its resource, the next one as a share of it, and the highest divided by the reference's."""
    floors = ordered(model.floors.get(name, {}))
    if not floors:
        return (ABSENT,) * 4
    names = [WORDS.get(floor.resource, floor.resource) for floor in floors[:2]]
    after = f"{names[1]} {100 * floors[1].seconds / floors[0].seconds:.0f} %" if len(floors) > 1 else ABSENT
    return names[0], str(floors[0]), after, share(model, name)


def share(model: Model, name: str) -> str:
    """The highest floor divided by that of the reference, `0.90 - 0.97` if executions are a range: no ratio of
    times."""
    if name == REFERENCE or REFERENCE not in model.floors:
        return ABSENT
    (least, most), (other_least, other_most) = ends(model, name), ends(model, REFERENCE)
    low, high = fixed(least / other_most, 2), fixed(most / other_least, 2)
    return low if low == high else f"{low} - {high}"


def ends(model: Model, name: str) -> tuple[float, float]:
    """The highest floor by the least executions, and by the most."""
    floors, wider = model.floors[name], 1 + model.widths.get(name, 0.0)
    most = (seconds * (wider if resource in INEXACT else 1) for resource, seconds in floors.items())
    return max(floors.values()), max(most)


def claim_sentences(model: Model) -> list[str]:
    """`ptx: lower floor on every resource that matters; only a GPU can measure the times.`, equal ones together.

    Then what the floors lack."""
    variants: dict[str, list[str]] = {}
    for name, recorded in model.claims.items():
        claim = Claim(str(recorded.get("verdict")), recorded.get("reason"))
        variants.setdefault(f"{claim}{'' if claim.reason else '; only a GPU can measure the times'}.", []).append(name)
    sentences = [f"{enumeration(names)}: {claim}" for claim, names in variants.items()]
    lacking: dict[str, list[str]] = {}
    for name, note in model.notes.items():
        lacking.setdefault(note, []).append(name)
    return sentences + [f"{enumeration(names)}: {note}." for note, names in lacking.items()]


def model_lines(cell: Cell, scored: Sequence[ScoredClaim]) -> Iterator[str]:
    """A model's claim about a cell, now or before a GPU measured it."""
    if cell.model and cell.model.gpu in MODELS:
        name = MODELS[cell.model.gpu][1].name
        yield from (f"Model of {name}, floors, not times: {sentence}" for sentence in claim_sentences(cell.model))
    if cell.limits is None or not cell.rounds:
        return
    by_name = {score.name: score for score in scored}
    for variant in cell.variants:
        if score := by_name.get(label(cell, variant, cell.limits.device)):
            yield (
                f"The model of {cell.limits.device} predicted for {variant}: {score.claim}. "
                f"Measured against {REFERENCE}: {TIMES[score.measured]}."
            )


TIMES = {LESS: "less time", ALIKE: "about the same time", MORE: "more time"}
