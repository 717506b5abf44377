"""The plan of a run: the pairs, their variants, and the sizes. This module builds and runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from ptxbench.backends.base import Backend
from ptxbench.device_shape import DeviceShape
from ptxbench.discovery import LoadedPair, Source, choose_pairs, load, select
from ptxbench.discovery.validate import size_problems
from ptxbench.errors import UsageError
from ptxbench.measure import SETTINGS, SamplingSettings
from ptxbench.pair import Pair, Size
from ptxbench.result import Cell
from ptxbench.runner import memory
from ptxbench.units import size_words

ALL = "all"
"""The value of `--size` that means every bench size."""

MOST_BYTES, MOST_FLOPS = 256 << 20, 4 * 10**9
"""Compulsory bytes and operations of the largest bench size that the emulator runs.

It executes some 10**9 thread-instructions per second on a core, and a reference in float64 takes up to 13 times the
compulsory bytes: at these limits a pair takes about ten seconds and up to 3 GB.
"""


@dataclass(frozen=True)
class PairPlan:
    """One pair with the variants and sizes of a run, and the bench sizes that are too large for the emulator."""

    loaded: LoadedPair
    sources: tuple[Source, ...]
    sizes: tuple[Size, ...]
    too_large: tuple[Size, ...] = ()
    knobs: Mapping[str, int] = field(default_factory=dict)
    """The values of the pair's knobs with which `loaded` was built."""
    one_at_a_time: bool = False
    """Whether each timed sample ends before the next one starts: the driver then reports which kernel is at fault."""
    oracle_asked: bool = True
    """Whether to test which wrong results the pair's oracle would accept. Each round has the same answer."""
    arch: str = ""
    """The architecture to build for, if it is not that of the run."""

    def on(self, arch: str) -> PairPlan:
        """The plan for `arch`, with the variants' files for it."""
        return replace(self, sources=tuple(source.on(arch) for source in self.sources), arch=arch)

    def for_architecture(self, usual: str, *, any_gpu: bool) -> PairPlan:
        """The plan for the architecture that the pair's PTX exists for (LoadedPair.arch)."""
        return replace(self, arch=self.loaded.arch(usual, any_gpu=any_gpu))


class PairMaker(Protocol):
    """Makes a pair that no folder of kernels has. It can be sent to another process."""

    def loaded(self) -> LoadedPair:
        """The pair, made in the process that launches it, because its functions cannot be sent."""
        ...


def no_mark(variant: str) -> None:
    """Do nothing: the `mark` of a plan without a watcher."""


@dataclass(frozen=True)
class RunPlan:
    """One run, before it starts."""

    pair_plans: tuple[PairPlan, ...]
    backend: Backend
    arch: str
    kernels: Path
    assembler: Literal["toolkit", "driver"] = "toolkit"
    cache: Literal["cold", "warm"] = "cold"
    """What a timed launch finds in L2."""
    seed: int = 1
    settings: SamplingSettings = SETTINGS
    rounds: int = 1
    """Fresh processes to measure in, if the backend has a clock."""
    timeout: float = 60.0
    """Seconds without progress, of a build or on the device, after which a worker is killed."""
    round_number: int = 0
    process: int = 0
    renewed: bool = False
    """Whether every timed block has its own data and newly loaded modules."""
    mark: Callable[[str], None] = no_mark
    """Called before each use of the device with the name of the variant; "" for a kernel of ptxbench itself."""
    host_work: Callable[[], AbstractContextManager[None]] = nullcontext
    """Active while the host makes data or judges outputs: `timeout` does not count then."""
    argv: tuple[str, ...] = ()
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """Facts about the device from before the run: the `calibration` of the run document."""
    begun: tuple[Cell, ...] = ()
    """Cells of an interrupted run that this one resumes, with the first `first_round` rounds."""
    first_round: int = 0
    continues: str = ""
    """The id of that run."""
    model: str | None = None
    """The GPU whose floors each cell gets, a name of specifications.MODELS; only for the emulator."""
    sweep: Mapping[str, Any] = field(default_factory=dict)
    """What `ptxbench tune` sweeps; empty for any other run."""
    maker: PairMaker | None = None
    """Makes the only pair of the plan, if `kernels` does not have it."""


def plan_pairs(
    kernels: Path,
    pairs: Sequence[str] = (),
    variants: Sequence[str] = (),
    sizes: Sequence[str] = (),
    *,
    emulated: bool = True,
    device: DeviceShape = DeviceShape(),  # noqa: B008  it is frozen
) -> tuple[tuple[PairPlan, ...], tuple[str, ...]]:
    """The plans for these names or globs, and the names of selected pairs that have no such variant or size.

    Without `variants`, all variants except those `by_request`. `sizes` are in the notation of `--size`; by default each
    pair's first bench size if `emulated`, else all of them. If `emulated`, bench sizes that are too large are left out,
    except the first and those that were given. Sizes that depend on the device are those of `device`. Raises UsageError
    for a pattern without a match, and PairError for a pair that cannot be loaded.
    """
    loaded = [load(kernels, name, device) for name in choose_pairs(kernels, pairs)]
    libraries = {loaded_pair.name: () if emulated else loaded_pair.libraries for loaded_pair in loaded}
    variant_names = dict.fromkeys(
        source.variant for loaded_pair in loaded for source in (*loaded_pair.sources, *libraries[loaded_pair.name])
    )
    chosen = set(select(tuple(variant_names), variants, "variant"))
    requested = [parse_size(text) for text in sizes if text != ALL]
    for size in requested:
        if not any(complete(size, loaded_pair) for loaded_pair in loaded):
            raise UsageError(unknown_size_message(size, loaded))
    all_sizes = ALL in sizes or not (sizes or emulated)
    pair_plans, skipped = [], []
    for loaded_pair in loaded:
        sources = loaded_pair.default_sources if not variants else loaded_pair.sources
        sources = tuple(source for source in (*sources, *libraries[loaded_pair.name]) if source.variant in chosen)
        requested_here = [completed for size in requested if (completed := complete(size, loaded_pair))]
        bench = loaded_pair.pair.bench_sizes if all_sizes else () if sizes else loaded_pair.pair.bench_sizes[:1]
        too_large = [
            size
            for size in bench[1:]
            if emulated and size not in requested_here and is_too_large(loaded_pair.pair, size)
        ]
        chosen_sizes = [size for size in (*bench, *requested_here) if size not in too_large]
        if sources and chosen_sizes:
            pair_plans.append(PairPlan(loaded_pair, sources, without_repeats(chosen_sizes), without_repeats(too_large)))
        else:
            skipped.append(loaded_pair.name)
    return tuple(pair_plans), tuple(skipped)


def is_too_large(pair: Pair, size: Size) -> bool:
    """Whether the emulator skips a bench size unless it is requested by name."""
    return pair.compulsory_bytes(size) > MOST_BYTES or pair.flops(**size) > MOST_FLOPS


def without_repeats(sizes: Sequence[Size]) -> tuple[Size, ...]:
    """Each item once, in order; sizes are mappings, which a set cannot hold."""
    return tuple(size for i, size in enumerate(sizes) if size not in sizes[:i])


def parse_size(text: str) -> Size:
    """`rows=3,columns=257` as a size. Raises UsageError for anything else."""
    size = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            size[name.strip()] = int(number.replace("_", ""), 0)
        except ValueError:
            raise UsageError(f"'{text}' is not a size. Write it as n=65536, or rows=3,columns=257, or all.") from None
    return size


def complete(size: Size, loaded_pair: LoadedPair) -> Size | None:
    """`size` in the order of the pair's dimensions; missing ones are those of its first bench size. None if `size` has
    dimensions that the pair does not have.

    Raises UsageError if the pair cannot have that size, or this machine cannot.
    """
    first = loaded_pair.pair.bench_sizes[0]
    if not size.keys() <= first.keys():
        return None
    completed = {name: size.get(name, value) for name, value in first.items()}
    for problem in size_problems(loaded_pair.pair, completed):
        raise UsageError(f"'{loaded_pair.name}' cannot have the size {size_words(completed)}: {problem.sentence}")
    if why := memory.host_lacks(loaded_pair.pair, completed):
        raise UsageError(f"'{loaded_pair.name}' cannot have the size {size_words(completed)}: {why}")
    return completed


def unknown_size_message(size: Size, loaded: Sequence[LoadedPair]) -> str:
    """The message for a size with dimensions that no pair has."""
    dimensions = {
        loaded_pair.name: ", ".join(loaded_pair.pair.bench_sizes[0]) or "no dimensions" for loaded_pair in loaded
    }
    listed = "; ".join(f"'{name}' has {names}" for name, names in dimensions.items())
    return f"No selected pair has the size {size_words(size)}: {listed}."
