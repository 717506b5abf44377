"""The Python API for notebooks and programs: run pairs, read recorded runs, and get their numbers.

`ptxbench.run`, `ptxbench.load_run` and `ptxbench.Run` are these names.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from ptxbench import architecture, keywords, result
from ptxbench.exit_status import ExitStatus
from ptxbench.result import RunDocument as RunDocument

__all__ = ["Run", "load_run", "run"]

Progress = Callable[[int, int, str], None]
"""Is called before each step with the number of finished steps, of all steps, and what the step does."""


@dataclass(frozen=True)
class Run:
    """A run: the results of pairs, one cell per pair and size, one row per variant of a cell.

    `document`: all that was recorded. `path`: the file that it is saved in, None if it is not saved. A notebook shows
    a run as the tables that `ptxbench run` prints.
    """

    document: RunDocument
    path: Path | None = None

    @property
    def status(self) -> str:
        """complete, interrupted or device-lost."""
        return self.document.run.status

    @property
    def verified(self) -> bool:
        """Whether the run is complete and every kernel in it is verified: the exit status 0 of `ptxbench run`."""
        from ptxbench.runner import RunOutcome

        return RunOutcome(list(self.document.cells), self.status).exit_status == ExitStatus.GOOD

    @property
    def pairs(self) -> tuple[str, ...]:
        """The names of its pairs, in order."""
        return tuple(dict.fromkeys(cell.pair for cell in self.document.cells if not cell.control))

    @property
    def sentences(self) -> list[str]:
        """The result of each pair in words, as `ptxbench run` prints it below the tables."""
        from ptxbench.runner import noise
        from ptxbench.wording.findings import closing

        pair_cells = [cell for cell in self.document.cells if not cell.control]
        floor = noise(self.document.cells)
        return [
            line for pair in self.pairs for line in closing([cell for cell in pair_cells if cell.pair == pair], floor)
        ]

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary per variant of a cell: what it is, its status, and every metric of `ptxbench run --columns`.

        Numbers are in base units: seconds, bytes, flops. A value that does not exist is None. The keys are the same in
        every row. `size.NAME` has the value of a dimension; None for a pair without it.
        """
        from ptxbench.exporters.records import records

        cells = [cell for cell in self.document.cells if not cell.control]
        names = list(dict.fromkeys(name for cell in cells for name in cell.point))
        sizes = [{f"size.{name}": cell.point.get(name) for name in names} for cell in cells for _ in cell.variants]
        of_cells = records(dataclasses.replace(self.document, cells=cells))
        return [{**record, **size} for record, size in zip(of_cells, sizes, strict=True)]

    def to_pandas(self) -> Any:
        """`rows` as a pandas.DataFrame. Raises ModuleNotFoundError if pandas is not installed."""
        return import_module("pandas").DataFrame(self.rows())

    def to_polars(self) -> Any:
        """`rows` as a polars.DataFrame. Raises ModuleNotFoundError if polars is not installed."""
        return import_module("polars").DataFrame(self.rows(), infer_schema_length=None)

    def to_json(self) -> str:
        """The run document, as `ptxbench run` saves it; `ptxbench schema run` prints its schema."""
        return result.to_json(self.document)

    def to_markdown(self) -> str:
        """The tables as Markdown."""
        from ptxbench.exporters.to_markdown import export

        return export(self.document)

    def save(self, folder: str | Path) -> Run:
        """Save it in this folder under a name of its own, and return the run with its path. Raises ResultError."""
        return dataclasses.replace(self, path=result.save(self.document, Path(folder)))

    def _repr_html_(self) -> str:
        from ptxbench.exporters.fragment import export

        return export(self.document)

    def __repr__(self) -> str:
        where = f"{', '.join(self.pairs) or 'no pair'} on {self.document.device.name}"
        outcome = "verified" if self.verified else self.status if self.status != result.COMPLETE else "not verified"
        return f"<Run {self.document.run.id}: {where}, {outcome}>"


def run(
    *pairs: str,
    variants: Iterable[str] = (),
    sizes: Iterable[str | Mapping[str, int]] = (),
    kernels: str | Path | None = None,
    backend: Literal["auto", "gpu", "emulator"] = "auto",
    arch: str | None = None,
    assembler: Literal["toolkit", "driver"] = "toolkit",
    cache: Literal["cold", "warm"] = "cold",
    rounds: int = 5,
    timeout: float = 60.0,
    seed: int = 1,
    results: str | Path | None = None,
    progress: Progress | None = None,
) -> Run:
    """Build, verify and measure pairs, as `ptxbench run` does; the arguments are its options.

    `pairs`, `variants`: names or globs; all by default. `sizes`: such as {"n": 65536} or "n=65536" or "all". `kernels`:
    the folder of the pairs, by default that of PTXBENCH_KERNELS, else the pairs of ptxbench. Its pair files are
    executed. `results`: the run is saved below this folder, also if it is interrupted; by default it is not saved.

    Raises UsageError, PairError, ToolMissing and, for `results`, ResultError before anything runs. A wrong or
    broken kernel raises nothing: see `Run.verified`.
    """
    from ptxbench.backends import open_backend
    from ptxbench.calibration.record import calibrated
    from ptxbench.device_shape import DeviceShape
    from ptxbench.discovery import chosen_kernels
    from ptxbench.output_files import require_writable
    from ptxbench.runner import RunFrame, RunOutcome, RunPlan, Step, carry_out, document, plan_pairs

    variants, size_texts = keywords.texts("variants", variants), keywords.sizes("sizes", sizes)
    for pair in pairs:
        keywords.text("pair", pair, "the name of a pair")
    rounds, seed = keywords.whole("rounds", rounds, 1), keywords.whole("seed", seed, 0)
    timeout = keywords.number("timeout", timeout, 0)
    keywords.choice("assembler", assembler, ("toolkit", "driver"))
    keywords.choice("cache", cache, ("cold", "warm"))
    if arch is not None:
        architecture.require(str(arch))
    opened_backend = open_backend(backend, arch)
    device = opened_backend.device()
    emulated = opened_backend.name == "emulator"
    folder = chosen_kernels(kernels)
    pair_plans, _ = plan_pairs(folder, pairs, [*variants], size_texts, emulated=emulated, device=DeviceShape.of(device))
    if arch is None:
        pair_plans = tuple(pair_plan.for_architecture(device.sm, any_gpu=emulated) for pair_plan in pair_plans)
    plan = RunPlan(
        pair_plans, opened_backend, arch or device.sm, folder, assembler=assembler, cache="cold" if emulated else cache,
        seed=seed, rounds=rounds, timeout=timeout, argv=("run", *pairs),
    )  # fmt: skip
    frame = RunFrame(plan, device)
    if results is not None:
        require_writable(Path(results) / frame.folder, "Name another folder.")
        frame = dataclasses.replace(frame, plan=calibrated(plan, Path(results) / frame.folder))
    outcome = RunOutcome()
    try:
        for event in carry_out(frame.plan):
            outcome.add(event)
            if progress and isinstance(event, Step):
                progress(event.done, event.total, event.words)
    except BaseException as error:
        outcome.interrupt(error)
        raise
    finally:
        outcome.finish()
        finished = Run(document(frame, outcome.cells, outcome.status))
        if results is not None and outcome.cells:
            finished = finished.save(Path(results) / frame.folder)
    return finished


def load_run(run: str | Path, results: str | Path = "results") -> Run:
    """A recorded run: a file, the start of a file's name or of an id, `latest` or `latest~1`, below `results`.

    Raises UsageError if there is none or more than one, ResultError if the file cannot be read.
    """
    from ptxbench.saved_runs import find_run, read_run

    path = find_run(str(run), Path(results))
    return Run(read_run(path), path)
