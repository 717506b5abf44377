"""What a run will do: which pairs, which of their variants, at which sizes. Nothing is built or run here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ptxbench.backends.base import Backend
from ptxbench.discovery import Found, Source, find_pairs, load, select
from ptxbench.discovery.validate import size_problems
from ptxbench.errors import UsageError
from ptxbench.pair import Size
from ptxbench.units import size_words

ALL = "all"
"""The value of `--size` that stands for every bench size."""


@dataclass(frozen=True)
class Job:
    """One pair with the variants and sizes that a run takes of it."""

    found: Found
    sources: tuple[Source, ...]
    sizes: tuple[Size, ...]


@dataclass(frozen=True)
class Plan:
    """One run, before it starts."""

    jobs: tuple[Job, ...]
    backend: Backend
    arch: str
    kernels: Path
    assembler: Literal["toolkit", "driver"] = "toolkit"
    seed: int = 1
    argv: tuple[str, ...] = ()


def plan_jobs(
    kernels: Path,
    pairs: Sequence[str] = (),
    variants: Sequence[str] = (),
    sizes: Sequence[str] = (),
    *,
    every_size: bool = False,
) -> tuple[tuple[Job, ...], tuple[str, ...]]:
    """The jobs for these names or globs, and the names of selected pairs that have no such variant or size.

    `sizes` as `--size` has them. Without any, each pair's first bench size, or with `every_size` all of them.
    Raises UsageError for what matches nothing, and PairError for a pair that cannot be loaded.
    """
    loaded = [load(kernels, name) for name in select(find_pairs(kernels), pairs)]
    known = dict.fromkeys(source.variant for found in loaded for source in found.sources)
    chosen = set(select(tuple(known), variants, "variant"))
    given = [parse_size(text) for text in sizes if text != ALL]
    for size in given:
        if not any(complete(size, found) for found in loaded):
            raise UsageError(no_such_size(size, loaded))
    jobs, left_out = [], []
    for found in loaded:
        sources = tuple(source for source in found.sources if source.variant in chosen)
        wanted = sizes_of(found, given, every=ALL in sizes or (not sizes and every_size), default=not sizes)
        if sources and wanted:
            jobs.append(Job(found, sources, wanted))
        else:
            left_out.append(found.name)
    return tuple(jobs), tuple(left_out)


def sizes_of(found: Found, given: Iterable[Size], *, every: bool, default: bool) -> tuple[Size, ...]:
    """The sizes at which a run takes the pair, each once."""
    bench = found.pair.bench_sizes
    wanted = list(bench) if every else list(bench[:1]) if default else []
    wanted += [size for each in given if (size := complete(each, found))]
    return tuple(size for i, size in enumerate(wanted) if size not in wanted[:i])


def parse_size(text: str) -> Size:
    """`rows=3,columns=257` as a size. Raises UsageError for anything else."""
    size = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            size[name.strip()] = int(number.replace("_", ""), 0)
        except ValueError:
            raise UsageError(f"'{text}' is no size. Write it as n=65536, or rows=3,columns=257, or all.") from None
    return size


def complete(size: Size, found: Found) -> Size | None:
    """`size` in the order of the pair's dimensions, those not given as in its first bench size; None if it has others.

    Raises UsageError if the pair cannot have that size.
    """
    first = found.pair.bench_sizes[0]
    if not size.keys() <= first.keys():
        return None
    whole = {name: size.get(name, value) for name, value in first.items()}
    for _, sentence, _ in size_problems(found.pair, whole):
        raise UsageError(f"'{found.name}' cannot have the size {size_words(whole)}: {sentence}")
    return whole


def no_such_size(size: Size, loaded: Sequence[Found]) -> str:
    """No pair has these dimensions: which they have."""
    dimensions = {found.name: ", ".join(found.pair.bench_sizes[0]) for found in loaded}
    known = "; ".join(f"'{name}' has {each}" for name, each in dimensions.items())
    return f"No pair takes the size {size_words(size)}: {known}."
