"""The model's claims about kernels that a GPU measured later: saved runs, joined by machine code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ptxbench import roofline, specifications, stats
from ptxbench.floors import Claim
from ptxbench.metrics import REFERENCE, comparable
from ptxbench.model.scores import ScoredClaim
from ptxbench.result import Cell, RunDocument
from ptxbench.run_info import Device
from ptxbench.units import size_words

Key = tuple[str, str, str, str | None, str | None]
"""The GPU's published name, pair, size, machine code of the variant and of the reference."""


def scored(runs: Iterable[RunDocument]) -> list[ScoredClaim]:
    """Each measured ratio with a claim for the same machine code in a run with `--model` of that GPU.

    A later run replaces an earlier one.
    """
    claims: dict[Key, Claim] = {}
    measured: dict[Key, tuple[str, float]] = {}
    for run in runs:
        for cell in run.cells:
            for key, claim in claimed(cell):
                claims[key] = claim
            for key, name, ratio in timed(cell, run.device):
                measured[key] = name, ratio
    return [ScoredClaim(name, claims[key], ratio, 1.0) for key, (name, ratio) in measured.items() if key in claims]


def claimed(cell: Cell) -> Iterator[tuple[Key, Claim]]:
    """The model's claim about each variant of a cell."""
    if cell.model is None or cell.model.gpu not in specifications.MODELS:
        return
    _, specification = specifications.MODELS[cell.model.gpu]
    for variant, recorded in cell.model.claims.items():
        if variant in cell.variants:
            verdict = recorded.get("verdict") or ""
            yield key(cell, variant, specification.name), Claim(verdict, recorded.get("reason"))


def timed(cell: Cell, device: Device) -> Iterator[tuple[Key, str, float]]:
    """Name and ratio of each measured variant; the ratio is 1 if its interval contains 1."""
    if cell.control or not cell.rounds or not device.is_gpu:
        return
    specification = roofline.specification(device)
    if specification is None:
        return
    for variant, result in cell.variants.items():
        interval = stats.ratio(cell.rounds, variant) if comparable(cell, result) and variant != REFERENCE else None
        if interval:
            apart = interval.low > 1 or interval.high < 1
            name = label(cell, variant, specification.name)
            yield key(cell, variant, specification.name), name, interval.value if apart else 1.0


def label(cell: Cell, variant: str, gpu: str) -> str:
    """The name of a variant of a cell on a GPU in a claim."""
    return f"{cell.pair} {variant}, {size_words(cell.point, cell.cache)}, {gpu}"


def key(cell: Cell, variant: str, gpu: str) -> Key:
    builds = [result.build if (result := cell.variants.get(name)) else None for name in (variant, REFERENCE)]
    size = size_words(cell.point, cell.cache)
    return (gpu, cell.pair, size, *(build.sass_sha256 if build else None for build in builds))  # type: ignore[return-value]
