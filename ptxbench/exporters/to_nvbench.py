"""The JSON and binary files of NVBench, one set per variant, which NVIDIA's own tools read and compare.

All files have equal names of devices, benchmarks and states, so that `nvbench-compare-robust cuda.json ptx.json`
compares the two variants: a variant is a file, not an axis. Next to NAME.json are NAME.json-bin/I.bin, the samples of
state I in seconds, and NAME.json-freqs-bin/I.bin, the SM clock of each in Hz, as little-endian float32. The format is
that of file version 1.0.0 (NVBench, nvbench/json_printer.cu), checked against cuda-bench 0.3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import __version__, stats
from ptxbench.documents import json_text
from ptxbench.errors import UsageError
from ptxbench.result import VERIFIED, Cell, RunDocument
from ptxbench.safe_text import code_text, file_name

VERSION = {"major": 1, "minor": 0, "patch": 0, "string": "1.0.0"}
DEVICE = 0
"""The id of the only device."""

Array = NDArray[np.float32]
Json = dict[str, Any]


def export(run: RunDocument) -> dict[str, bytes]:
    """The files by their path below one folder. Raises UsageError for a run without times."""
    if not any(cell.rounds for cell in run.cells):
        raise UsageError(f"Run {run.run.id} has no times, and NVBench's files hold nothing else. Export it as csv.")
    cells = [cell for cell in run.cells if not cell.control]
    variants = dict.fromkeys(name for cell in cells for name in cell.variants)
    return {path: content for variant in variants for path, content in files(run, cells, variant)}


def files(run: RunDocument, cells: Sequence[Cell], variant: str) -> Iterator[tuple[str, bytes]]:
    """The files of one variant, with all cells of each pair that has it: tools refuse a state that only one file
    has."""
    benchmarks: list[Json] = []
    file = file_name(variant)
    number = 0
    for pair, group in groupby(sorted(cells, key=lambda cell: cell.pair), key=lambda cell: cell.pair):
        cells_of_pair = list(group)
        if not any(variant in cell.variants for cell in cells_of_pair):
            continue
        states = []
        for cell in cells_of_pair:
            seconds, clocks = samples(cell, variant)
            sidecars = []
            if len(seconds):
                sidecars.append(("bin", "sample_times", f"{file}.json-bin/{number}.bin", seconds))
            if len(clocks):
                sidecars.append(("freqs-bin", "sample_freqs", f"{file}.json-freqs-bin/{number}.bin", clocks))
            yield from ((path, array.astype("<f4").tobytes()) for _, _, path, array in sidecars)
            numbers = [*summaries(seconds, clocks), *(sidecar(*parts) for parts in sidecars)] if len(seconds) else None
            states.append(state(cell, variant, numbers))
            number += 1
        identity = {"name": code_text(pair), "index": len(benchmarks), "devices": [DEVICE]}
        benchmarks.append({**identity, "axes": axes(cells_of_pair), "states": states})
    argv = [code_text(word) for word in run.run.argv or ()]
    meta = {"argv": ["ptxbench", *argv], "version": {"json": VERSION, "ptxbench": __version__}}
    document = {"meta": meta, "devices": [device(run)], "benchmarks": benchmarks}
    yield f"{file}.json", json_text(document).encode()


def device(run: RunDocument) -> Json:
    """The known facts of the device, the same in every file."""
    sm = "".join(filter(str.isdigit, run.device.sm))
    facts = {
        "sm_version": 10 * int(sm) if sm else None,
        "number_of_sms": run.device.sms,
        "global_memory_size": run.device.memory_bytes,
        "l2_cache_size": run.device.l2_bytes,
        "ecc_state": run.device.ecc,
    }
    identity = {"id": DEVICE, "name": code_text(run.device.name)}
    return identity | {name: value for name, value in facts.items() if value is not None}


def axis_values(cell: Cell) -> dict[str, int | str]:
    """What distinguishes the states of a pair, by axis."""
    words = {"arch": code_text(cell.arch), "cache": code_text(cell.cache)}
    return {code_text(name): value for name, value in cell.point.items()} | words


def axes(cells: Sequence[Cell]) -> list[Json]:
    """The axes of a pair, each with the values in its cells: whole numbers for the size, words for the rest."""
    jsons = []
    for axis in dict.fromkeys(name for cell in cells for name in axis_values(cell)):
        values = dict.fromkeys(axis_values(cell)[axis] for cell in cells if axis in axis_values(cell))
        are_numbers = all(isinstance(value, int) for value in values)
        jsons.append(
            {
                "name": axis,
                "type": "int64" if are_numbers else "string",
                **({"flags": ""} if are_numbers else {}),
                "values": [
                    {"input_string": str(value), "description": "", "value": value if are_numbers else str(value)}
                    for value in values
                ],
            }
        )
    return jsons


def state(cell: Cell, variant: str, jsons: Sequence[Json] | None) -> Json:
    """One cell; one without summaries is marked as skipped by NVBench."""
    result = cell.variants.get(variant)
    status = result.status if result else "absent"
    reason = (result and result.reason) or (status if status != VERIFIED else "not timed")
    return {
        "name": " ".join([f"Device={DEVICE}", *(f"{name}={value}" for name, value in axis_values(cell).items())]),
        "device": DEVICE,
        "type_config_index": 0,
        "axis_values": [
            {"name": name, "type": "int64" if isinstance(value, int) else "string", "value": str(value)}
            for name, value in axis_values(cell).items()
        ],
        "summaries": jsons,
        "is_skipped": jsons is None,
        "skip_reason": None if jsons else code_text(reason),
    }


def samples(cell: Cell, variant: str) -> tuple[Array, Array]:
    """Seconds of each sample that counts, in the order taken, and the SM clock of its block, Hz, if all are known."""
    result = cell.variants.get(variant)
    seconds: list[float] = []
    clocks: list[float] = []
    for timed_round in cell.rounds if result and result.status == VERIFIED else ():
        times = stats.samples([timed_round], variant)
        seconds += [ns / 1e9 for ns in times]
        if times and len(timed_round.clock_mhz) == len(timed_round.ns):
            counted_clocks = [
                mhz for index, mhz in enumerate(timed_round.clock_mhz) if str(index) not in timed_round.dropped
            ]
            clocks += [
                1e6 * mhz for mhz in counted_clocks if mhz is not None for _ in range(len(times) // len(counted_clocks))
            ]
    return np.array(seconds, np.float32), np.array(clocks if len(clocks) == len(seconds) else [], np.float32)


def summaries(seconds: Array, clocks: Array) -> Iterator[Json]:
    """The numbers that NVBench derives from a state's samples, under its tags."""
    q1, median, q3 = (float(quantile) for quantile in np.quantile(seconds, (0.25, 0.5, 0.75)))
    mean, deviation = float(np.mean(seconds)), float(np.std(seconds, ddof=1))
    yield summary("sample_size", "Samples", "sample_size", len(seconds))
    for tag, name, value in (
        ("min", "Min GPU Time", float(np.min(seconds))),
        ("max", "Max GPU Time", float(np.max(seconds))),
        ("mean", "GPU Time", mean),
        ("median", "Median GPU Time", median),
        ("q1", "Q1 GPU Time", q1),
        ("q3", "Q3 GPU Time", q3),
        ("stdev/absolute", "Abs Noise", deviation),
        ("iqr/absolute", "Abs IQR", q3 - q1),
    ):
        yield summary(f"time/gpu/{tag}", name, "duration", value)
    yield summary("time/gpu/stdev/relative", "Noise", "percentage", deviation / mean)
    yield summary("time/gpu/iqr/relative", "Rel IQR", "percentage", (q3 - q1) / median)
    if len(clocks):
        yield summary("sm_clock_rate/mean", "Clock Rate", "frequency", float(np.mean(clocks)))


def summary(tag: str, name: str, hint: str, value: float) -> Json:
    kind = "int64" if isinstance(value, int) else "float64"
    data = [{"name": "value", "type": kind, "value": str(value)}]
    return {"tag": f"nv/cold/{tag}", "name": name, "hint": hint, "data": data}


def sidecar(kind: str, name: str, path: str, array: Array) -> Json:
    """The path of a state's samples."""
    data = [
        {"name": "filename", "type": "string", "value": path},
        {"name": "size", "type": "int64", "value": str(len(array))},
    ]
    return {
        "tag": f"nv/json/{kind}:nv/cold/{name}",
        "name": name.replace("_", " "),
        "hint": f"file/{name}",
        "data": data,
    }
