"""The scoreboard: where hand-written PTX is the only way, wins, ties, loses or is wrong, and what says so.

Data from pairs and recorded runs, no sentences. A verdict is about time. So it is the pair's own prediction until a GPU
has measured the pair. Counts of a run on the emulator say only whether they point to the same verdict. The results of
kernels that have changed since the run are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ptxbench import architecture, rival
from ptxbench.discovery import LoadedPair, Source
from ptxbench.discovery.specialisation import order
from ptxbench.metrics import BY_NAME
from ptxbench.result import BROKEN, MUST_FAIL, VERIFIED, WARM, Cell, LaunchReport, RunDocument
from ptxbench.result import WRONG as WRONG_RESULT
from ptxbench.rival import EXECUTED as SASS
from ptxbench.rival import TIME, Rival
from ptxbench.runner import noise
from ptxbench.stats import Interval
from ptxbench.toolchain.source_hash import hash_of_source

ONLY_WAY, WINS, TIES, FLAG, LOSES = "only way", "wins", "ties", "a flag", "loses"
"""The words of ptxbench.pair.PREDICTIONS."""

WRONG = "wrong"

VERDICTS = {
    ONLY_WAY: "PTX is ahead, by something that no other row of the pair, in CUDA C or Tile C++, can express",
    WINS: "PTX is ahead of the best CUDA C",
    TIES: "no difference that matters",
    FLAG: "PTX is ahead of the usual CUDA C; with a compiler option, CUDA C is equally good",
    LOSES: "PTX is behind the best CUDA C",
    WRONG: "the results are wrong",
}
"""Every verdict with its meaning."""

EXPECTED, COUNTED, EXECUTED, MEASURED = "expected", "counted", "executed", "measured"

GROUNDS = {
    EXPECTED: "the prediction of the pair",
    COUNTED: "the memory traffic that the emulator counted points to the same verdict",
    EXECUTED: "the executed machine instructions point to the same verdict, or the emulator found the result wrong",
    MEASURED: "the times on a GPU",
}
"""What a verdict can rest on, with its meaning."""

HAND_WRITTEN = "ptx"
"""The variant that the verdict is about."""

DEFAULT_ARCH = "sm_90"
"""The architecture of a prediction that names none: that of the H100."""

NEGLIGIBLE = 0.02
"""The greatest difference of a count that points to a tie: the gate accepts as many more executed instructions."""

TRAFFIC = ("ptx_global_sectors", "ptx_shared_wavefronts", "ptx_atomics")
"""Counts that mostly survive ptxas, and that cost time."""

OTHER_LANGUAGES = ("tile", "triton")
"""Languages of rows that may say what CUDA C cannot: then PTX is not the only way."""


@dataclass(frozen=True)
class Standing:
    """The verdict on a pair's PTX, or on a variant that must be wrong, on one architecture.

    `verdict`: None if nothing is predicted or measured. `rests_on`: some of GROUNDS, the strongest last. `cell`: a
    recorded result that the verdict can be compared with; `against`: the row that it was compared with there. `device`:
    the GPU that measured it. `stale`: whether there is a recorded run, but of other kernels.
    """

    pair: str
    variant: str
    arch: str
    verdict: str | None
    rests_on: tuple[str, ...] = ()
    cell: Cell | None = None
    against: Rival | None = None
    device: str | None = None
    run: str | None = None
    """The id of the run that the cell is of."""
    stale: bool = False
    other_rows: tuple[str, ...] = ()
    """Rows in another language that may say what CUDA C cannot, if the pair predicts that PTX is the only way."""


@dataclass(frozen=True)
class RecordedCell:
    """A cell of a recorded run: the run's id, its GPU, and the ratio of its control to itself."""

    cell: Cell
    run: str
    device: str | None
    """None for the emulator."""
    noise: Interval | None


def records(runs: Iterable[RunDocument]) -> list[RecordedCell]:
    """The cells of the runs, later runs last; those of sweeps and with a warm L2 are left out."""
    return [
        RecordedCell(cell, run.run.id, run.device.name if run.device.kind == "gpu" else None, noise(run.cells))
        for run in sorted(runs, key=lambda run: run.run.started)
        if run.run.sweep is None
        for cell in run.cells
        if cell.cache != WARM and not cell.control and not cell.knobs and architecture.parse(cell.arch)
    ]


def standings(loaded: LoadedPair, recorded: Sequence[RecordedCell]) -> list[Standing]:
    """The verdicts on a pair, by architecture, then those on its variants that must be wrong."""
    records_of_pair = [
        record for record in recorded if record.cell.pair == loaded.name and HAND_WRITTEN in record.cell.variants
    ]
    source = next((source for source in loaded.sources if source.variant == HAND_WRITTEN), None)
    if source is None:
        return []
    predicted = predictions(loaded)
    architectures = {
        **dict.fromkeys(predicted),
        **{record.cell.arch: None for record in records_of_pair if has_result(record.cell, HAND_WRITTEN)},
    }
    result = []
    for arch in sorted(one_per_number(architectures), key=order):
        on_arch = [record for record in records_of_pair if same_number(record.cell.arch, arch)]
        word = next((word for predicted_arch, word in predicted.items() if same_number(predicted_arch, arch)), None)
        result += [*standings_on(loaded, source, arch, word, on_arch)]
        result += [must_fail(loaded, variant, arch, on_arch) for variant in loaded.pair.must_fail]
    return result


def predictions(loaded: LoadedPair) -> Mapping[str, str]:
    """The words that the pair predicts, by architecture."""
    prediction = loaded.pair.prediction
    if not prediction:
        return {}
    if isinstance(prediction, Mapping):
        return prediction
    lowest = loaded.targets.get(HAND_WRITTEN)
    default = loaded.arch(DEFAULT_ARCH, any_gpu=True)
    return {lowest if lowest and order(lowest) > order(default) else default: prediction}


def one_per_number(architectures: Iterable[str]) -> list[str]:
    """One name for each architecture: sm_90a if sm_90 is also there."""
    return [*{architecture.number(arch): arch for arch in sorted(architectures, key=order)}.values()]


def same_number(one: str, other: str) -> bool:
    return architecture.number(one) == architecture.number(other)


def has_result(cell: Cell, variant: str) -> bool:
    """Whether there is a result of the variant, right or wrong."""
    return variant in cell.variants and cell.variants[variant].status in (VERIFIED, WRONG_RESULT, BROKEN, MUST_FAIL)


def is_verified(cell: Cell) -> bool:
    """Whether the pair's PTX, of which the cell has a result, is right."""
    return cell.variants[HAND_WRITTEN].status == VERIFIED


def other_language_rows(loaded: LoadedPair) -> tuple[str, ...]:
    """Rows in other languages, because of which PTX is not the only way; empty if there are none."""
    return tuple(source.variant for source in loaded.sources if source.language in OTHER_LANGUAGES)


def standings_on(
    loaded: LoadedPair, source: Source, arch: str, word: str | None, on_arch: Sequence[RecordedCell]
) -> Iterator[Standing]:
    """The verdicts on the pair's PTX on one architecture: by each GPU that measured it, else by its prediction."""
    others = other_language_rows(loaded) if word == ONLY_WAY else ()
    expected = Standing(loaded.name, HAND_WRITTEN, arch, WINS if others else word, other_rows=others)
    expected = replace(expected, rests_on=(EXPECTED,) if word else ())
    sources = {source.variant: source for source in loaded.sources}
    usable = [record for record in on_arch if has_result(record.cell, HAND_WRITTEN)]
    fresh = [record for record in usable if unchanged(record.cell, sources) and has_same_launch(loaded, record.cell)]
    on_gpus = [record for record in fresh if record.device and (record.cell.rounds or not is_verified(record.cell))]
    devices = dict.fromkeys(record.device for record in on_gpus)
    for device in devices:
        timed = latest([record for record in on_gpus if record.device == device])
        verdict = measured(timed)
        shown = next((record for record in timed if not is_verified(record.cell)), timed[-1])
        against = rival.rival_of(shown.cell)
        standing = replace(expected, cell=shown.cell, against=against, device=device, run=shown.run)
        yield replace(standing, verdict=verdict, rests_on=(MEASURED,)) if verdict else standing
    if devices:
        return
    counted = latest([record for record in fresh if not record.device])
    if not counted:
        yield replace(expected, stale=bool(usable))
        return
    if wrong := next((record for record in counted if not is_verified(record.cell)), None):
        yield replace(expected, verdict=WRONG, rests_on=(EXECUTED,), cell=wrong.cell, run=wrong.run)
        return
    cell, run = counted[0].cell, counted[0].run
    against = rival.rival_of(cell)
    grounds = expected.rests_on
    if against and expected.verdict not in (None, ONLY_WAY):
        grounds += tuple(ground for ground, points in COUNTS.items() if points(cell, against.name, expected.verdict))
    yield replace(expected, rests_on=grounds, cell=cell, against=against, run=run)


def must_fail(loaded: LoadedPair, variant: str, arch: str, on_arch: Sequence[RecordedCell]) -> Standing:
    """The verdict on a variant that must be wrong: the pair says so, and a run shows it."""
    sources = {source.variant: source for source in loaded.sources}
    usable = [record for record in on_arch if has_result(record.cell, variant)]
    standing = Standing(loaded.name, variant, arch, WRONG, (EXPECTED,), stale=bool(usable))
    for record in reversed(usable):
        if record.cell.variants[variant].status == MUST_FAIL and same_source(record.cell, variant, sources[variant]):
            return replace(standing, rests_on=(EXPECTED, EXECUTED), cell=record.cell, run=record.run, stale=False)
    return standing


# ---- whether a recorded run is of the kernels that are there now


def unchanged(cell: Cell, sources: Mapping[str, Source]) -> bool:
    """Whether the PTX and all CUDA C of the cell have the text that their files have now."""
    names = [name for name in cell.variants if name == HAND_WRITTEN or cell.variants[name].language == "cuda"]
    return all(name in sources and same_source(cell, name, sources[name]) for name in names)


def has_same_launch(loaded: LoadedPair, cell: Cell) -> bool:
    """Whether the pair launches its PTX at this size as the cell has it; True for a size that the pair does not list,
    such as one of another device."""
    if dict(cell.size) not in [dict(size) for size in loaded.pair.bench_sizes]:
        return True
    launch = loaded.pair.launch_of(HAND_WRITTEN)(**cell.size)
    return LaunchReport(**launch.recorded).geometry == cell.launch_of(HAND_WRITTEN).geometry


def same_source(cell: Cell, variant: str, source: Source) -> bool:
    build = cell.variants[variant].build
    return build is None or build.source_sha256 == hash_of_source(source.on(cell.arch))


# ---- what counts point to


def executed_points(cell: Cell, against: str, verdict: str) -> bool:
    """Whether the executed machine instructions point to the verdict. Only numbers that are certain count."""
    if rival.code_of(cell, HAND_WRITTEN) == rival.code_of(cell, against) is not None:
        return verdict == TIES
    certain = [rival.has_number(cell, name, SASS) for name in (HAND_WRITTEN, against)]
    if not all(certain):
        return False
    (least, most), (fewest, greatest) = (rival.bounds(cell, name, SASS) for name in (HAND_WRITTEN, against))
    if verdict == TIES:
        return least >= greatest * (1 - NEGLIGIBLE) and most <= fewest * (1 + NEGLIGIBLE)
    ahead, behind = most < fewest * (1 - NEGLIGIBLE), least > greatest * (1 + NEGLIGIBLE)
    return {WINS: ahead, LOSES: behind}.get(verdict, False)


def traffic_points(cell: Cell, against: str, verdict: str) -> bool:
    """Whether the memory traffic points to the verdict: all counts about equal, or some less and none more."""
    if rival.other_geometry(cell, HAND_WRITTEN, against):
        return False
    pairs = [(BY_NAME[name].of(cell, HAND_WRITTEN), BY_NAME[name].of(cell, against)) for name in TRAFFIC]
    known_pairs = [
        (value, other_value) for value, other_value in pairs if value is not None and other_value is not None
    ]
    less = any(value < other_value * (1 - NEGLIGIBLE) for value, other_value in known_pairs)
    more = any(value > other_value * (1 + NEGLIGIBLE) for value, other_value in known_pairs)
    if not known_pairs:
        return False
    return {TIES: not less and not more, WINS: less and not more, LOSES: more and not less}.get(verdict, False)


COUNTS: Mapping[str, Callable[[Cell, str, str], bool]] = {COUNTED: traffic_points, EXECUTED: executed_points}
"""The grounds that a run on the emulator can add to a prediction."""


# ---- what times say


def latest(recorded: Sequence[RecordedCell]) -> list[RecordedCell]:
    """The last record of each size."""
    return [*{tuple(sorted(record.cell.size.items())): record for record in recorded}.values()]


def measured(recorded: Sequence[RecordedCell]) -> str | None:
    """The verdict of the times on one GPU at all sizes; None if they do not decide, or differ by size."""
    if not all(is_verified(record.cell) for record in recorded):
        return WRONG
    words = {size_verdict(record) for record in recorded}
    if words == {"SAME"}:
        return FLAG if all(beaten_only_with_flags(record) for record in recorded) else TIES
    return {"FASTER": WINS, "SLOWER": LOSES}.get(next(iter(words - {"SAME"}))) if len(words - {"SAME"}) == 1 else None


def size_verdict(record: RecordedCell) -> str:
    against = rival.rival_of(record.cell)
    return rival.verdict(record.cell, HAND_WRITTEN, against, record.noise) if against else "nothing to compare with"


def beaten_only_with_flags(record: RecordedCell) -> bool:
    """Whether PTX is faster than every CUDA C without an option, and the fastest has one."""
    cell = record.cell
    leader = rival.leader_of(cell, rival.verified_rows(cell, "cuda"))
    plain = [name for name in rival.verified_rows(cell, "cuda") if "@" not in name]
    if "@" not in leader.name or leader.metric != TIME or not plain:
        return False
    return rival.verdict(cell, HAND_WRITTEN, Rival(rival.leader_of(cell, plain)), record.noise) == "FASTER"
