"""What a run will do: which pairs, which of their variants, at which sizes. Nothing is built or run here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

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
"""The value of `--size` that stands for every bench size."""

MOST_BYTES, MOST_FLOPS = 256 << 20, 4 * 10**9
"""Compulsory bytes and operations up to which a bench size is one for the emulator.

It executes some 10**9 thread-instructions a second on a core, and a reference in float64 takes up to 13 times the
compulsory bytes: at these limits a pair takes about ten seconds and up to 3 GB.
"""


@dataclass(frozen=True)
class PairPlan:
    """One pair with the variants and sizes that a run takes of it, and the bench sizes that are too large for it."""

    loaded: LoadedPair
    sources: tuple[Source, ...]
    sizes: tuple[Size, ...]
    too_large: tuple[Size, ...] = ()
    knobs: Mapping[str, int] = field(default_factory=dict)
    """Those of the pair that `found` has turned."""
    one_at_a_time: bool = False
    """Whether each timed sample is waited for before the next one starts: the driver then reports whose fault it is."""
    oracle_asked: bool = True
    """Whether to ask which wrong results the pair's oracle would accept. Each round has the same answer."""

    def on(self, arch: str) -> PairPlan:
        """The job with the files that its variants have for `arch`."""
        return replace(self, sources=tuple(source.on(arch) for source in self.sources))


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
    """Fresh processes to measure in, where the backend has a clock."""
    timeout: float = 60.0
    """Seconds without progress, of a build or on the device, after which a worker is ended."""
    round_number: int = 0
    process: int = 0
    renewed: bool = False
    """Whether every timed block has data of its own and starts from modules that are loaded again."""
    mark: Callable[[str], None] = no_mark
    """Called before each use of the device with the name of the variant; "" for a kernel of ptxbench itself."""
    host_work: Callable[[], AbstractContextManager[None]] = nullcontext
    """Holds while the host makes data or judges outputs: `timeout` does not count then."""
    argv: tuple[str, ...] = ()
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """What is known of the device beforehand: the `calibration` of the run document."""
    begun: tuple[Cell, ...] = ()
    """Cells of an earlier run, with its first `first_round` rounds, that this one goes on with."""
    first_round: int = 0
    continues: str = ""
    """The id of that run."""
    model: str | None = None
    """The GPU whose floors each cell shall have, a name of specifications.MODELS; for the emulator alone."""
    sweep: Mapping[str, Any] = field(default_factory=dict)
    """What `ptxbench tune` says of its run; empty of any other."""


def plan_pairs(
    kernels: Path,
    pairs: Sequence[str] = (),
    variants: Sequence[str] = (),
    sizes: Sequence[str] = (),
    *,
    emulated: bool = True,
    device: DeviceShape = DeviceShape(),  # noqa: B008  it is frozen
) -> tuple[tuple[PairPlan, ...], tuple[str, ...]]:
    """The jobs for these names or globs, and the names of selected pairs that have no such variant or size.

    Without `variants`, all of a pair but those that it has `by_request`. `sizes` as `--size` has them. Without any,
    each pair's first bench size where it is `emulated`, else all of them. Of all that are `emulated` those are left out
    that are too large; the first never is, nor one that is given.
    Sizes that depend on the device are those of `device`.
    Raises UsageError for what matches nothing, and PairError for a pair that cannot be loaded.
    """
    loaded = [load(kernels, name, device) for name in choose_pairs(kernels, pairs)]
    libraries = {found.name: () if emulated else found.libraries for found in loaded}
    known = dict.fromkeys(source.variant for found in loaded for source in (*found.sources, *libraries[found.name]))
    chosen = set(select(tuple(known), variants, "variant"))
    given = [parse_size(text) for text in sizes if text != ALL]
    for size in given:
        if not any(complete(size, found) for found in loaded):
            raise UsageError(no_such_size(size, loaded))
    every = ALL in sizes or not (sizes or emulated)
    pair_plans, left_out = [], []
    for found in loaded:
        sources = found.default_sources if not variants else found.sources
        sources = tuple(source for source in (*sources, *libraries[found.name]) if source.variant in chosen)
        own = [whole for each in given if (whole := complete(each, found))]
        bench = found.pair.bench_sizes if every else () if sizes else found.pair.bench_sizes[:1]
        too_large = [size for size in bench[1:] if emulated and size not in own and is_too_large(found.pair, size)]
        wanted = [size for size in (*bench, *own) if size not in too_large]
        if sources and wanted:
            pair_plans.append(PairPlan(found, sources, without_repeats(wanted), without_repeats(too_large)))
        else:
            left_out.append(found.name)
    return tuple(pair_plans), tuple(left_out)


def is_too_large(pair: Pair, size: Size) -> bool:
    """Whether a bench size is one that the emulator takes only if it is asked for by name."""
    return pair.compulsory_bytes(size) > MOST_BYTES or pair.flops(**size) > MOST_FLOPS


def without_repeats(sizes: Sequence[Size]) -> tuple[Size, ...]:
    """Each once, in order; a size is a mapping, which no set takes."""
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


def complete(size: Size, found: LoadedPair) -> Size | None:
    """`size` in the order of the pair's dimensions, those not given as in its first bench size; None if it has others.

    Raises UsageError if the pair cannot have that size, or this machine.
    """
    first = found.pair.bench_sizes[0]
    if not size.keys() <= first.keys():
        return None
    whole = {name: size.get(name, value) for name, value in first.items()}
    for _, sentence, _ in size_problems(found.pair, whole):
        raise UsageError(f"'{found.name}' cannot have the size {size_words(whole)}: {sentence}")
    if why := memory.host_lacks(found.pair, whole):
        raise UsageError(f"'{found.name}' cannot have the size {size_words(whole)}: {why}")
    return whole


def no_such_size(size: Size, loaded: Sequence[LoadedPair]) -> str:
    """No pair has these dimensions: which they have."""
    dimensions = {found.name: ", ".join(found.pair.bench_sizes[0]) for found in loaded}
    known = "; ".join(f"'{name}' has {each}" for name, each in dimensions.items())
    return f"No selected pair has the size {size_words(size)}: {known}."
