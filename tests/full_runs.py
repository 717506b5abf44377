"""Run documents that have every field: timed, counted and swept. They show how readers and printers handle each."""

import json
from dataclasses import replace

import numpy as np

from ptxbench.result import CheckReport, RooflineLimits, to_json
from tests.runs import Kernel, Sampling, cell, run_of, timed_run

COUNTS = {"ptx_warp_instructions": 15360, "ptx_global_load_sectors": 16384, "ptx_barriers": 64}
LIMITS = RooflineLimits("H100 SXM", "published: a datasheet", 3.35e12, 67e12, 989e12, 1980.0)
FAILED_CHECK = CheckReport("float64", "1 ulp", [{"n": 3}], None, "n=3: y[0] is 1, expected 2.", False)


def full_variant(name, result):
    build = replace(result.build, log=f"warning of {name}\nin two lines", sass={"total": 40, "LDG.128": 2})
    build = replace(build, opcodes={"LDG.E.128": 2, "FFMA": 4})
    check = result.check and replace(result.check, worst="n=3", sizes=[{"n": 3}], deterministic=True)
    return replace(result, build=build, check=check or FAILED_CHECK, observed={"bandwidth": 3.0})


def full_round(timed_round):
    evidence = {"blocks": [1, 2], "max_error": 0.5}
    observed = {"ptx": {"bandwidth": 1.5}}
    return replace(
        timed_round, dropped={"3": "clock"}, solo_ns={"A": [5, 6]}, floor_ns=3, evidence=evidence, observed=observed
    )


def full(run):
    """The run with something in every field."""
    cells = [
        replace(
            plain,
            variants={name: full_variant(name, result) for name, result in plain.variants.items()},
            rounds=[full_round(timed_round) for timed_round in plain.rounds],
            labels=["UNSTABLE", "BITS-DIFFER ptx"],
            oracle=["zero is accepted"] if i else None,
            limits=LIMITS,
        )
        for i, plain in enumerate(run.cells)
    ]
    return replace(
        run,
        cells=cells,
        run=replace(run.run, argv=["run", "--kernels", "k", "triad"]),
        calibration={"timer_step_ns": 32.0, "note": "idle"},
        processes=[{"process": 0, "round": 0, "start": "2026-01-31T12:00:00Z", "end": "complete", "power": 300}],
    )


def timed(id, ptx, **frame):
    kernels = {
        ("triad", 64): {"cuda": Kernel(50), "ptx": ptx, "ptx.v4": Kernel(40, "C", status="wrong", reason="y[2] is 1.")},
        ("scan", 65): {"cuda": Kernel(20), "ptx": Kernel(25, "B")},
    }
    return full(timed_run(1, kernels, Sampling(rounds=5, blocks=8), id=id, **frame))


def counted(id, ptx, *, broken=True):
    rng = np.random.default_rng(0)
    same = Kernel(counts=COUNTS)
    kernels = {"cuda": same, "ptx": ptx}
    if broken:
        kernels["ptx.v4"] = Kernel(status="broken", reason="ptxas says no.")
    cells = [cell(rng, "triad", {"n": 64}, kernels),
             cell(rng, "scan", {"rows": 3, "columns": 5}, {"cuda": same, "ptx": same})]  # fmt: skip
    return full(run_of(cells, id=id))


def swept(id):
    """A sweep of the pair of `tests.tune.folders`."""
    cells = [
        cell(np.random.default_rng(0), "scale", {"n": 1024},
             {"cuda": Kernel(counts=COUNTS), "ptx": Kernel(counts={**COUNTS, "ptx_barriers": block})},
             knobs={"BLOCK": block})
        for block in (32, 64)
    ]  # fmt: skip
    sweep = {"pair": "scale", "values": {"BLOCK": [32, 64]}, "size": {"n": 1024}, "variants": ["cuda", "ptx"],
             "files_sha256": "0a"}  # fmt: skip
    return full(run_of(cells, id=id, run={"sweep": sweep}))


WORSE = Kernel(counts={**COUNTS, "ptx_barriers": 96}, code="B", registers=40)
PAIRS = {
    "timed": (timed("ba5e01", Kernel(45)), timed("4ead01", Kernel(60, "B"), device={"driver": "590.10"})),
    "counted": (counted("ba5e02", Kernel(counts=COUNTS)), counted("4ead02", WORSE)),
    "sound": (counted("ba5e03", Kernel(counts=COUNTS), broken=False), counted("4ead03", WORSE, broken=False)),
    "swept": (swept("ba5e04"), swept("4ead04")),
}
"""A base and a head of each kind."""

NOTE = {"reason": "the first", "since": "2026-01-31", "run_sha256": "0a"}
"""The description in a baseline."""

DOCUMENTS = {
    kind: tuple({**json.loads(to_json(run)), "baseline": NOTE} for run in runs) for kind, runs in PAIRS.items()
}
