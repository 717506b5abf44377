"""What to do about a row of a gate: the command to repeat it, the line to look at, how to accept intended changes."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import pairwise

from ptxbench.cycles import CLOCK_DEPENDENT
from ptxbench.result import WARM, RunDocument, VariantResult
from ptxbench.verdict import BROKEN, BROKEN_BOTH, MISSING, NOT_COMPARABLE, REFERENCE_CHANGED, REGRESSED, Row
from ptxbench.verdict.baseline import baseline_path, folder_words, set_command
from ptxbench.verdict.config import GateConfig, toml
from ptxbench.verdict.gate import Gate, JudgedRow
from ptxbench.verdict.rules import RULES
from ptxbench.verdict.verdicts import CHANGED, NOT_DETERMINISTIC, NOT_MEASURABLE, OTHER_COUNTS, WAIVED

WAIVED_DAYS = 30
"""The duration of a proposed waiver."""

LIMIT = re.compile(r"(?:max|min)_(?=.)")

HASH = re.compile(r"[0-9a-f]{4,64}")


def next_step(judged: JudgedRow, gate: Gate) -> str:
    """What to do about a row, with a command if there is one."""
    row, verdict = judged.row, judged.row.verdict
    rerun = reproduce(row, gate)
    update = accept(row, gate)
    if verdict in (BROKEN, BROKEN_BOTH):
        return rerun
    if verdict == REGRESSED and judged.limit:
        return f"{rerun}. If intended: change the limit in {gate.config.file}, or waive it."
    if verdict == REGRESSED:
        return f"{repeat(row, gate)}. If intended: {update}. For a while: a {gate.config.heading('waive')}."
    if verdict == MISSING and row.reason == "not_measured" and judged.limit:
        return "Run where it can be measured, or remove the limit."
    if verdict == MISSING and row.reason == "not_measured":
        return f"ptxbench doctor shows which tool is missing. If intended: {update}."
    if verdict == MISSING:
        return f"Restore it. If intended: {update}. For a while: a {gate.config.heading('waive')}."
    if verdict == CHANGED:
        return f"Time both on a GPU if you can. If intended: {update}."
    if verdict == NOT_COMPARABLE:
        return f"Make the runs comparable. If intended: {update}."
    if row.reason == OTHER_COUNTS:
        return f"Run it again: {rerun}. If that gives the same counts as this run: {update}."
    if verdict == REFERENCE_CHANGED:
        return f"Look at {rerun}. Then: {update}."
    if row.reason == NOT_DETERMINISTIC:
        return "Report it, with the files of both runs: the tools and the emulator are deterministic."
    if verdict == NOT_MEASURABLE:
        return "Run again on a GPU that does nothing else; ptxbench doctor --calibrate checks whether it can measure."
    if verdict == WAIVED:
        return "Fix it before its waiver ends."
    if row.reason == CLOCK_DEPENDENT:
        return f"Lock the clock (nvidia-smi -lgc MHZ){'' if judged.limit else ' for both sides'}, then {rerun}"
    if row.rounds_needed:
        sides = "" if judged.limit else " both sides"
        return f"Measure{sides} in {row.rounds_needed} rounds: {rerun} --rounds {row.rounds_needed}"
    if row.reason == "wide_interval":
        return "The change is close to the budget, so more rounds help little: give it a budget of its own, or fix it."
    return f"Run it again: {rerun}"


# ---- commands


def reproduce(row: Row, gate: Gate) -> str:
    """The command that runs only a row's variant."""
    size = shlex.quote(",".join(f"{name}={value}" for name, value in row.size.items()))
    variants = f" --variant {shlex.quote(row.variant)}"
    if row.metric not in RULES and row.variant != "cuda":
        variants = f" --variant cuda{variants}" if gate.head.device.is_gpu else variants
    cache = f" --cache {WARM}" if row.cache == WARM else ""
    emulated = f" --backend emulator --arch {shlex.quote(row.arch)}" if is_emulated(gate.head) else ""
    return f"ptxbench run {shlex.quote(row.pair)}{variants} --size {size}{cache}{emulated}{kernels_words(gate.head)}"


def repeat(row: Row, gate: Gate) -> str:
    """The command that repeats the verdict on a checkout; for times, the one that measures again."""
    words = option_words(gate.head)
    if not is_emulated(gate.head) or row.metric not in RULES or {"--size", "--variant"} & set(words):
        return reproduce(row, gate)
    commit = str(gate.head.source.commit or "")
    clean = HASH.fullmatch(commit) and not gate.head.source.dirty
    checkout = f"git checkout {commit[:12]} && " if clean else ""
    committed = gate.base is None or gate.base.run.argv is None  # a baseline has no command line
    other = "" if committed or gate.base is None else f" --base {shlex.quote(gate.base.run.id)}"
    base = other or folder_words(gate.config.baselines)
    options = f"--pair {shlex.quote(row.pair)} --mode counters --arch {shlex.quote(row.arch)}"
    return f"{checkout}ptxbench gate {options}{base}{kernels_words(gate.head)}"


def accept(row: Row, gate: Gate) -> str:
    """How to make this run the baseline, and what must be committed before and after."""
    head = gate.head
    folder = gate.config.baselines
    path = baseline_path(head, folder)
    if not head.source.dirty:
        return f"{set_command(head.run.id, folder)}, and commit {path}"
    result = result_of(row, head) if row.verdict in (REGRESSED, CHANGED) else None
    kernel = result.file if result and result.file else "the kernels"
    backend = " --backend emulator" if is_emulated(head) else ""
    return (
        f"commit {kernel}, then ptxbench run{backend}{kernels_words(head)}, then {set_command('latest', folder)}, and "
        f"commit {path}"
    )


def is_emulated(run: RunDocument) -> bool:
    return run.device.is_emulator


def option_words(run: RunDocument) -> list[str]:
    """The words of a run's command line; of `--size=n=64` only `--size`."""
    argv = run.run.argv
    return [str(word).partition("=")[0] for word in argv] if isinstance(argv, list) else []


def kernels_words(run: RunDocument) -> str:
    """The folder from which a run took its kernels, as an option: another folder may have a pair of that name too."""
    argv = run.run.argv
    words = [str(part) for part in argv] if isinstance(argv, list) else []
    for word, following in pairwise([*words, ""]):
        if word == "--kernels":
            return f" --kernels {shlex.quote(following)}"
        if word.startswith("--kernels="):
            return f" {shlex.quote(word)}"
    return ""


# ---- where to look


def result_of(row: Row, run: RunDocument) -> VariantResult | None:
    """The result that a row is about."""
    cell_key = row.pair, row.size, row.arch, row.cache
    cells = (cell for cell in run.cells if (cell.pair, cell.point, cell.arch, cell.cache) == cell_key)
    return next((cell.variants[row.variant] for cell in cells if row.variant in cell.variants), None)


def location(row: Row, run: RunDocument) -> tuple[str, int] | None:
    """The kernel's file and the line with most of what is counted; for a broken kernel the line that failed.

    None if the run does not know the file, because it was outside the folder in which the run was started.
    """
    result = result_of(row, run)
    if result is None or result.file is None:
        return None
    name = re.escape(result.file.rpartition("/")[2])
    if failed := re.search(rf"(?<![\w.]){name}:(\d{{1,7}})\b", result.reason or ""):
        return result.file, int(failed[1])
    lines = result.hot_lines or {}
    metric = LIMIT.sub("", row.metric) if row.metric not in RULES else row.metric
    return result.file, lines.get(metric) or lines.get("ptx_warp_instructions") or 1


# ---- waivers


def waivers(judged: Sequence[JudgedRow], config: GateConfig, today: date | None = None) -> Iterator[str]:
    """An entry of the config's file for each row that fails and may be waived, complete except for its reason."""
    today = today or date.today()
    for judged_row in judged:
        row = judged_row.row
        if judged_row.exit_status and row.verdict in (REGRESSED, MISSING):
            entries: dict[str, object] = {"pair": row.pair, "variant": row.variant, "metric": row.metric}
            if row.change:
                entries["max"] = math.ceil(abs(row.change.value - 1) * 100 + 1e-9) / 100
            lines = [f"{key} = {toml(value)}" for key, value in entries.items()]
            until = today + timedelta(days=WAIVED_DAYS)
            yield "\n".join([config.heading("waive"), *lines, f"until = {until.isoformat()}", 'reason = "TEXT"'])
