"""A run as plain data, written as one JSON file. Imports only data of ptxbench.

A Run is a list of Cells. A Cell is built, verified and measured together: one pair at one size for one architecture and
cache mode, with all its variants. Summaries (median, ratio, share of the roofline) are derived on reading, never
stored.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ptxbench.documents import build, display_value, json_text, parse_json, read_json
from ptxbench.errors import ResultError
from ptxbench.output_files import write
from ptxbench.run_info import COMPLETE as COMPLETE  # these three for modules that read results
from ptxbench.run_info import DEVICE_LOST as DEVICE_LOST
from ptxbench.run_info import INTERRUPTED as INTERRUPTED
from ptxbench.run_info import Device, HostInfo, RunInfo, SourceInfo, Toolchain, ToolInfo, info_document
from ptxbench.safe_text import file_name

SCHEMA = "ptxbench.run/3"
EARLIER = tuple(SCHEMA.removesuffix("3") + version for version in "12")
"""Schemas that are still read. Version 1 calls `executed` what is now `opcodes` and has no machine instructions; until
version 2 the labels UNSTABLE and INTERFERENCE were UNSETTLED and INTERACTION."""

VERIFIED, WRONG, BROKEN, UNSUPPORTED, SKIPPED = "verified", "wrong", "broken", "unsupported", "skipped"

MUST_FAIL = "wrong as expected"
"""The status of a variant that the pair lists in `must_fail`, and whose result is wrong."""

SEVERITY = (WRONG, BROKEN, UNSUPPORTED, SKIPPED, MUST_FAIL)
"""The statuses of variants that are not verified, the most severe first."""

COLD, WARM = "cold", "warm"
"""What a timed launch finds in L2: none of its data, or what a launch of the same kernel left there."""

LIBRARY = "library"
"""The language of a variant that is a vendor's library: timed with the others, but never judged as one of them."""

SINGLE, SLOPE = "single", "slope"
"""The kind of a sample: a launch, or the slope between two graphs of launches."""

UNSTABLE = "UNSTABLE"
"""Label: the warm-up never settled."""
THROTTLED = "THROTTLED"
"""Label: more than a fifth of the blocks ran at a lower clock; no verdict."""
INTERFERENCE = "INTERFERENCE"
"""Label: a kernel takes a different time alone than among the others."""
LAUNCH_BOUND = "LAUNCH-BOUND"
"""Label: the time is mostly that of a launch; no verdict."""
L2_PARTIAL = "L2-PARTIAL"
"""Label: too few sets of buffers for a graph whose launches should all find their data out of L2."""
FEW_BLOCKS = "FEW-BLOCKS"
"""Label: the round was abandoned before its first look; no verdict."""
BIASED = "BIASED"
"""Label: one kernel seems to differ from itself; no verdict in the whole run."""
ORACLE_WEAK = "ORACLE-WEAK"
"""Label: the pair's reference and tolerance accept a wrong result; no ratio and no verdict."""
UNJUDGED = frozenset({THROTTLED, LAUNCH_BOUND, FEW_BLOCKS, BIASED, ORACLE_WEAK})
"""Labels of a cell that prevent a verdict on every variant."""

MODELLED = "matrix sums modelled"
"""Label of a cell whose matrix instructions ran on the emulator, by a model of the architecture."""

BITS_DIFFER = "BITS-DIFFER "
"""Label of a cell, followed by a variant of an exact pair whose outputs are equal in value but not in every bit."""


@dataclass(frozen=True)
class BuildReport:
    """The toolchain's report on one variant; unknown values (no ptxas, driver assembler) are None."""

    source_sha256: str
    ptx_sha256: str
    sass_sha256: str | None = None
    """A hash of the kernel's machine code, constants, registers and shared size: equal means the same machine code."""
    registers: int | None = None
    spill_store_bytes: int | None = None
    spill_load_bytes: int | None = None
    stack_bytes: int | None = None
    shared_bytes: int | None = None
    """Static shared memory of a CTA, bytes."""
    occupancy: float | None = None
    """Theoretical occupancy of the cell's launch: resident warps divided by the most that an SM can hold."""
    sass: Mapping[str, int] = field(default_factory=dict)
    """SASS instructions: `total`, and by class, such as {"total": 32, "LDG.128": 2}."""
    opcodes: Mapping[str, int] = field(default_factory=dict)
    """The same by opcode with all its modifiers, such as {"LDG.E.128.CONSTANT": 2}."""
    log: str = ""
    """ptxas's and NVRTC's warnings, as they wrote them."""
    compiler: str = ""
    """What compiled the CUDA C if it was not NVRTC, or not all of it: with versions, and why."""


def code_key(variant: str, build: BuildReport | None) -> str:
    """A key that variants with the same machine code share; a key of its own for a variant whose code is unknown."""
    return (build.sass_sha256 if build else None) or f"variant {variant}"


@dataclass(frozen=True)
class CheckReport:
    """How the outputs compare with the float64 reference, over every check size and the cell's own."""

    reference: str
    tolerance: str
    sizes: Sequence[Mapping[str, int]]
    max_error: float | None = None
    """Greatest |error| over all elements."""
    worst: str | None = None
    """For a wrong result: size, element, value found and value expected."""
    deterministic: bool | None = None
    """Whether launches on the same data left the same bits; None if they were not compared."""


@dataclass(frozen=True)
class ExecutedReport:
    """Machine instructions that warps executed: at least `least`, at most `most`, most likely `fit`.

    All are None if there is no number. `reason`: why there is none, or why the interval is wide. `whole`: whether the
    likeliest counts of all blocks are whole numbers; `anchors_off`: how many lines of PTX disagree with them.
    """

    least: int | None = None
    most: int | None = None
    fit: int | None = None
    whole: bool = False
    anchors_off: int = 0
    reason: str | None = None


@dataclass(frozen=True)
class VariantResult:
    """One variant of a cell."""

    language: str
    status: str
    """verified, wrong, broken, unsupported, skipped or wrong as expected."""
    reason: str | None = None
    build: BuildReport | None = None
    check: CheckReport | None = None
    counts: Mapping[str, float] | None = None
    """The emulator's counters; None on a GPU."""
    observed: Mapping[str, float] | None = None
    """What the pair's `observe` read from a launch's arrays at the cell's own size; None for a pair without it."""
    opcodes: Mapping[str, int] | None = None
    """How often warps executed each opcode of the PTX, by the emulator; None on a GPU."""
    executed: ExecutedReport | None = None
    """The machine instructions that warps executed, derived from the emulator's counts; None on a GPU."""
    hot_lines: Mapping[str, int] | None = None
    """The line of `file` that has most of each count."""
    file: str | None = None
    """The variant's file, as a path below the folder in which the run was started; None for a file elsewhere."""
    launch: LaunchReport | None = None
    """Its own launch, if it is not that of the cell. A file has this key only then."""


@dataclass(frozen=True)
class LaunchReport:
    """How a kernel was launched: CTAs of the grid, threads of a CTA, and bytes of dynamic shared memory."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int = 0
    cluster: tuple[int, int, int] | None = None
    """CTAs of a cluster; None without clusters. A file has this key only if there are clusters."""
    cooperative: bool = False
    """A file has this key only if it is true."""
    launches: int = 1
    """Launches of a chain, which count as one. A file has this key only if it is one."""
    dependent: bool = False
    """Whether a launch of the chain may start before the one before has ended. A file has this key only then."""

    @property
    def geometry(self) -> tuple[tuple[int, ...], ...]:
        """What divides the work: grid, block, cluster and the launches of a chain."""
        return tuple(self.grid), tuple(self.block), tuple(self.cluster or (1, 1, 1)), (self.launches,)


@dataclass(frozen=True)
class Round:
    """Samples of one contrast in one process; `ns[i]` is block i, four times in launch order.

    The letters of a block follow from `start`: A B B A or B A A B, A being `contrast[0]`.
    """

    round: int
    process: int
    contrast: tuple[str, str]
    start: str
    ns: Sequence[Sequence[int]]
    timing: str = SINGLE
    """single: a sample is a launch. slope: graphs of `k` and 2 `k` launches, a sample is their difference over `k`."""
    k: int | None = None
    copies: int = 1
    """Sets of buffers that the launches of a graph rotate over."""
    clock_mhz: Sequence[float | None] = ()
    """SM clock after each block, None if it was unknown; empty if it always was."""
    dropped: Mapping[str, str] = field(default_factory=dict)
    """Blocks that do not count, by their index in `ns`, with the reason: clock, thermal, power, ..."""
    stop: str | None = None
    """width or limit: why the round ended."""
    solo_ns: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Nanoseconds of samples of each letter alone."""
    solo_mhz: Mapping[str, float] = field(default_factory=dict)
    """The mean SM clock after the samples of each letter alone; empty if it was unknown."""
    floor_ns: int | None = None
    """Nanoseconds of an empty kernel with the same launch, or with one launch of the chain."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Which timed outputs were verified: `blocks`, and their `max_error`."""
    observed: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """What the pair's `observe` read from the last timed launch of each variant."""


@dataclass(frozen=True)
class RooflineLimits:
    """The limits of the cell's device, or on the emulator those of a GPU that represents the architecture."""

    device: str
    source: str
    """The source of the figures: whose specification, and what was measured."""
    bytes_per_s: float
    f32: float | None = None
    """flop/s of single precision, at the boost clock."""
    tensor: float | None = None
    """flop/s of f16 and bf16 matrices, at the boost clock."""
    boost_mhz: float | None = None
    l2_bytes: int | None = None
    """Bytes of the device's L2 cache; None if unknown, and for the emulator."""


@dataclass(frozen=True)
class Model:
    """The result of `run --model` for a cell: the least seconds that resources of a GPU need, which are not times."""

    gpu: str
    """A name of `specifications.MODELS`."""
    floors: Mapping[str, Mapping[str, float]]
    """By variant and resource."""
    verdict: str
    """The claim on the pair's own PTX against the reference: lower, higher, or no claim."""
    reason: str | None
    """Why there is no claim."""
    claims: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    """`verdict` and `reason` of every variant except the reference."""
    widths: Mapping[str, float] = field(default_factory=dict)
    """By variant, the width of the interval of its executed machine instructions, as a share of the least."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """By variant, what its floors lack, or why it has none."""


@dataclass(frozen=True)
class Cell:
    """One pair at one size, for one architecture and cache mode: the results of all variants, and their samples."""

    pair: str
    size: Mapping[str, int]
    arch: str
    launch: LaunchReport
    work: Mapping[str, int]
    """`flops`, compulsory `bytes`, and how many of these are `written`."""
    variants: Mapping[str, VariantResult]
    cache: str = COLD
    """COLD, or WARM: what a timed launch finds in L2."""
    control: bool = False
    labels: Sequence[str] = ()
    rounds: Sequence[Round] = ()
    oracle: Sequence[str] | None = None
    """Wrong results that the pair's reference and tolerance accept, in words; None if it was not checked."""
    limits: RooflineLimits | None = None
    knobs: Mapping[str, int] = field(default_factory=dict)
    """The values of the pair's knobs; empty except in a sweep of `ptxbench tune`."""
    model: Model | None = None
    """None without `--model`; the document then lacks the key."""

    def launch_of(self, variant: str) -> LaunchReport:
        """The launch of a variant: its own, or that of the cell."""
        result = self.variants.get(variant)
        return (result and result.launch) or self.launch

    @property
    def point(self) -> Mapping[str, int]:
        """What distinguishes the cells of a pair: its dimensions, and the knobs that were set."""
        return {**self.size, **self.knobs}


@dataclass(frozen=True)
class RunDocument:
    """One run: its cells, and the metadata of run_info."""

    run: RunInfo
    tool: ToolInfo
    source: SourceInfo
    host: HostInfo
    device: Device
    toolchain: Toolchain
    settings: Mapping[str, Any]
    """How samples were taken: the seed, and measure.SamplingSettings as a mapping.

    Not typed, because settings change with the protocol and are only printed and compared. Empty on the emulator.
    """
    calibration: Mapping[str, Any]
    """Facts about the device from before the run: calibration.assessment.Calibration as a mapping.

    Not typed, because each check adds its own figures. Empty without a calibration.
    """
    cells: Sequence[Cell]
    processes: Sequence[Mapping[str, Any]] = ()
    """The workers of a GPU run: process, round, start, how each ended, temperature and power."""


def to_json(run: RunDocument, **derived: Any) -> str:
    """The run document, at most one line per field of a variant, ready for a file or for stdout.

    `derived`: further keys with derived values. They are for readers of stdout, and in no saved file.
    """
    document = {"schema": SCHEMA, **dataclasses.asdict(run), **info_documents(run), **derived}
    for cell in document["cells"]:
        cell["launch"] = launch_document(cell["launch"])
        for variant in cell["variants"].values():
            own_launch = variant.pop("launch")
            variant |= {"launch": launch_document(own_launch)} if own_launch else {}
        if cell["model"] is None:
            del cell["model"]
    return json_text(document)


def info_documents(run: RunDocument) -> dict[str, dict[str, Any]]:
    """The metadata around the cells, as in a file."""
    return {
        "run": info_document(run.run),
        "tool": info_document(run.tool),
        "source": info_document(run.source),
        "host": info_document(run.host),
        "device": info_document(run.device),
        "toolchain": info_document(run.toolchain),
    }


def launch_document(launch: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a LaunchReport as in a file: rare ones only if they are not the default."""
    usual = {"cluster": None, "cooperative": False, "launches": 1, "dependent": False}
    return {name: value for name, value in launch.items() if name not in usual or value != usual[name]}


def from_json(text: str, name: str) -> RunDocument:
    """Read a run document. Unknown keys are ignored; a newer major schema is refused.

    Raises ResultError naming `name` and what is wrong.
    """
    return from_document(parse_json(text, name), name)


def from_document(document: Any, name: str) -> RunDocument:
    """The run in a document that was read from JSON. Raises ResultError as `from_json` does."""
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, str) or not schema.startswith("ptxbench.run/"):
        found = "it has no 'schema'" if schema is None else f"its 'schema' is {display_value(schema)}"
        raise ResultError(f"{name} is not a ptxbench run: {found}{meaning(schema)}, expected '{SCHEMA}'.")
    if schema not in (SCHEMA, *EARLIER):
        raise ResultError(
            f"{name} has schema {display_value(schema)}; this ptxbench reads '{SCHEMA}'. Upgrade ptxbench."
        )
    if schema in EARLIER:
        document = renamed(document)
    run: RunDocument = build(RunDocument, document, name)
    require_sound(run, name)
    return run


def meaning(schema: Any) -> str:
    """In parentheses, which document of ptxbench has this schema, such as what a command prints; else empty."""
    match = re.fullmatch(r"ptxbench\.([a-z-]+)/\d+", schema) if isinstance(schema, str) else None
    file = Path(__file__).parent / "schemas" / f"{match[1]}.json" if match else None
    if file is None or not file.is_file():
        return ""
    title = str(read_json(file)["title"])
    return f" ({title[0].lower()}{title[1:]})"


def renamed(document: dict[str, Any]) -> dict[str, Any]:
    """A document of an earlier schema, with the names of the current one."""
    labels = {"UNSETTLED": UNSTABLE, "INTERACTION": INTERFERENCE}

    def variant(result: Any) -> Any:
        if document["schema"] != EARLIER[0] or not isinstance(result, dict) or "executed" not in result:
            return result
        remaining = {key: value for key, value in result.items() if key != "executed"}
        return {**remaining, "opcodes": result["executed"]}

    def cell(raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        changed = dict(raw)
        if isinstance(raw.get("variants"), dict):
            changed["variants"] = {name: variant(result) for name, result in raw["variants"].items()}
        if isinstance(raw.get("labels"), list):
            changed["labels"] = [labels.get(name, name) if isinstance(name, str) else name for name in raw["labels"]]
        return changed

    cells = document.get("cells")
    return {**document, "cells": [cell(raw) for raw in cells]} if isinstance(cells, list) else document


AMOUNTS = "from 1e-9 to 1e24"
"""The range of a nonzero count or rate: no device exceeds it, and charts could not draw it."""

LONGEST_NS = 2**63
"""Every time is less: arrays of integers hold no more."""

LONGEST_S = 1e9
"""Every floor of a model is less: thirty years."""

STATUSES = (VERIFIED, WRONG, BROKEN, UNSUPPORTED, SKIPPED, MUST_FAIL)


def require_sound(run: RunDocument, name: str) -> None:
    """Raise ResultError for values of the right type that no run can have, and that readers rely on."""
    step = run.calibration.get("timer_step_ns")
    require(step is None or isinstance(step, int | float), f"{name}: calibration: timer_step_ns", "a number", step)
    for i, cell in enumerate(run.cells):
        where = f"{name}: cells[{i}]"
        require(cell.cache in (COLD, WARM), f"{where}: cache", f"{COLD} or {WARM}", cell.cache)
        for key in ("flops", "bytes"):
            require(key in cell.work, f"{where}: work", f"'{key}' among its keys", dict(cell.work))
        for key, amount in cell.work.items():
            require(is_amount(amount), f"{where}: work: {key}", f"0, or {AMOUNTS}", amount)
        for key, most in dataclasses.asdict(cell.limits).items() if cell.limits else ():
            is_valid = isinstance(most, str | None) or (is_amount(most) and most)
            require(bool(is_valid), f"{where}: limits: {key}", f"a number over 0, {AMOUNTS}", most)
        for variant, seconds in cell.model.floors.items() if cell.model else ():
            for resource, least in seconds.items():
                require(0 <= least <= LONGEST_S, f"{where}: model: floors: {variant}: {resource}", "seconds", least)
        require_sound_launch(cell.launch, f"{where}: launch")
        for variant, result in cell.variants.items():
            if result.launch:
                require_sound_launch(result.launch, f"{where}: variants: {variant}: launch")
            require(
                result.status in STATUSES, f"{where}: variants: {variant}: status", " or ".join(STATUSES), result.status
            )
            for counter, count in (result.counts or {}).items():
                require(is_amount(count), f"{where}: variants: {variant}: counts: {counter}", f"0, or {AMOUNTS}", count)
        for j, timed_round in enumerate(cell.rounds):
            require_sound_round(timed_round, f"{where}: rounds[{j}]")
    require_distinct(run.cells, name)


def require_sound_launch(launch: LaunchReport, where: str) -> None:
    extents = {"grid": launch.grid, "block": launch.block, "cluster": launch.cluster or (1, 1, 1)}
    for extent, threads in extents.items():
        is_valid = len(threads) == 3 and all(type(count) is int for count in threads)
        require(is_valid, f"{where}: {extent}", "three whole numbers", list(threads))
    counted = type(launch.launches) is int and launch.launches > 0
    require(counted, f"{where}: launches", "a whole number over 0", launch.launches)


def require_distinct(cells: Sequence[Cell], name: str) -> None:
    """Raise ResultError for two cells with the same key, which no comparison could distinguish."""
    first: dict[tuple[object, ...], int] = {}
    for i, cell in enumerate(cells):
        size = ",".join(f"{key}={value}" for key, value in sorted(cell.point.items()))
        cell_key = (cell.pair, size, cell.arch, cell.cache, cell.control)
        if (before := first.setdefault(cell_key, i)) != i:
            words = f"{cell.pair}, {size}, {cell.arch}, {cell.cache}"
            raise ResultError(f"{name}: cells[{i}] repeats cells[{before}]: {words}. Expected each cell once.")


def require_sound_round(timed_round: Round, where: str) -> None:
    names = len(timed_round.contrast) == 2 and all(isinstance(name, str) for name in timed_round.contrast)
    require(names, f"{where}: contrast", "two names of variants", list(timed_round.contrast))
    require(timed_round.start in ("A", "B"), f"{where}: start", "A or B", timed_round.start)
    for i, block in enumerate(timed_round.ns):
        four = len(block) == 4 and min(block) > 0 and max(block) < LONGEST_NS
        require(four, f"{where}: ns[{i}]", "four times over 0 and below 2^63", list(block))


def is_amount(value: float) -> bool:
    return value == 0 or 1e-9 <= value <= 1e24


def require(holds: bool, where: str, wanted: str, actual: Any) -> None:
    if not holds:
        raise ResultError(f"{where}: expected {wanted}, found {display_value(actual)}.")


def save(run: RunDocument, folder: Path) -> Path:
    """Write the run under `folder` as YYYYMMDDTHHMMSSZ-ID.json, atomically; never replaces a file.

    A sweep is called ID.sweep.json, and a confirming run ID.confirms-THAT.json: neither is a run of the pairs, so
    `latest` ignores them. Raises ResultError if the folder cannot be written.
    """
    kind = f".confirms-{run.run.confirms}" if run.run.confirms is not None else ""
    if run.run.sweep is not None:
        kind = ".sweep"
    name = f"{run.run.started.replace('-', '').replace(':', '')}-{run.run.id}{kind}"
    path = folder / f"{file_name(name)}.json"
    write(to_json(run), path)
    return path
