"""Variants with their own launch: they are launched so, labelled, and never judged as twins."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ptxbench.discovery import load
from ptxbench.errors import PairError
from ptxbench.floors import NO_CLAIM
from ptxbench.model.cell import model_verdict
from ptxbench.report.chips import chip, rival_chips
from ptxbench.result import LaunchReport, from_json
from ptxbench.rival import other_geometry, rival_of, verdict
from ptxbench.verdict.comparable import cell_differences
from ptxbench.wording.findings import finding
from tests.folders import PAIR, PTX, changed, kernels_folder
from tests.runs import Kernel, cell

WIDE = 'launches={"ptx.wide": lambda n: Launch(grid=ceil_div(n, 256), block=256)},\n'


def folder(at, launches=WIDE):
    pair = changed(PAIR, '    flags={"fast": ["--use_fast_math"]},\n', f"    {launches}")
    kernels = kernels_folder(at, pair=pair)
    text = changed(changed(PTX, ".maxntid 128", ".maxntid 256"), "%block, 128", "%block, 256")
    (kernels / "ptx" / "scale.wide.ptx").write_text(text)
    return kernels


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return folder(tmp_path)


@pytest.fixture
def run(kernels, ptxbench):
    def run(*more):
        return ptxbench("run", "scale", "--kernels", kernels, "--backend", "emulator", *more)

    return run


def test_a_variant_has_the_launch_of_its_function_and_is_labelled(run, ptxbench):
    ran = run()
    assert ran.status == 0
    assert "i ptx.wide: other geometry, grid 4, block 256." in ran.out
    assert ran.out.startswith("scale  n=1,024  sm_90, grid 8, block 128")
    assert "i ptx.wide: other geometry, grid 4, block 256." in ptxbench("view", "latest").out


def test_the_own_launch_is_in_the_document_and_read_back(run):
    text = run("--no-save", "--json").out
    variants = json.loads(text)["cells"][0]["variants"]
    assert "launch" not in variants["ptx"]
    assert variants["ptx.wide"]["launch"] == {"grid": [4, 1, 1], "block": [256, 1, 1], "shared_bytes": 0}
    (cell,) = from_json(text, "run").cells
    assert [cell.launch_of(name).block[0] for name in ("cuda", "ptx", "ptx.wide")] == [128, 128, 256]


def test_a_launch_that_does_not_fit_the_kernel_makes_only_that_variant_broken(tmp_path, ptxbench, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kernels = folder(tmp_path, WIDE.replace("block=256)", "block=512)"))
    ran = ptxbench("run", "scale", "--kernels", kernels, "--backend", "emulator", "--no-save", "--json")
    assert {name: variant["status"] for name, variant in json.loads(ran.out)["cells"][0]["variants"].items()} == {
        "cuda": "verified", "ptx": "verified", "ptx.wide": "broken",
    }  # fmt: skip


def test_the_other_commands_use_the_own_launch_too(kernels, ptxbench):
    shown = ptxbench("show", "scale", "--kernels", kernels, "--diff", "ptx", "ptx.wide", "--size", "n=1024", "--json")
    assert shown.status == 0
    listed = json.loads(ptxbench("list", "scale", "--kernels", kernels, "--json").out)[0]
    assert listed["own_launches"] == {"ptx.wide": "lambda n: Launch(grid=ceil_div(n, 256), block=256)"}
    audited = ptxbench(
        "gate", "audit", "--mutants", "--kernels", kernels, "--variant", "ptx.wide", "--edit", "an extra*"
    )
    assert audited.status == 0, audited.err


# the field as written, the message
MISTAKES = [
    ('launches={"ptx.wid": lambda n: Launch(1, 1)},\n',
     "launches names 'ptx.wid', which no file defines. Did you mean 'ptx.wide'?"),
    ('launches={"ptx.wide": Launch(1, 1)},\n', "launches is "),
    ('launches={"ptx.wide": lambda m: Launch(1, 1)},\n',
     r"the launch of 'ptx.wide' does not take n=1: missing a required argument: 'm'."),
    ('launches={"ptx.wide": lambda n: Launch(0, 1)},\n',
     r"the launch of 'ptx.wide' at n=1 is Launch\(grid=0, block=1, shared_bytes=0\). The grid must be a positive"),
]  # fmt: skip


@pytest.mark.parametrize(("launches", "message"), MISTAKES)
def test_a_mistake_in_the_field_is_reported_with_its_line(tmp_path, launches, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PairError, match=rf"^kernels/pairs/scale.py:\d+: {message}"):
        load(folder(tmp_path, launches), "scale")


OTHER = LaunchReport((4, 1, 1), (256, 1, 1))
MORE_SHARED = LaunchReport((1, 1, 1), (256, 1, 1), 4096)


def timed(**launches):
    """A cell in which ptx takes half the time of cuda, and cuda.wide a third of it; with these own launches."""
    kernels = {"cuda": Kernel(us=30.0), "cuda_wide": Kernel(us=10.0, code="B"), "ptx": Kernel(us=15.0, code="C")}
    plain = cell(np.random.default_rng(1), "scale", {"n": 1}, kernels)
    plain = replace(plain, launch=LaunchReport((1, 1, 1), (256, 1, 1)))
    variants = {name: replace(result, launch=launches.get(name)) for name, result in plain.variants.items()}
    return replace(plain, variants=variants)


# own launches, the rival of the PTX, and the verdict on it
VERDICTS = [
    ({},                                         "cuda_wide", "SLOWER"),
    ({"cuda_wide": MORE_SHARED},                 "cuda_wide", "SLOWER"),  # the same grid, block and cluster
    ({"cuda_wide": OTHER},                       "cuda",      "FASTER"),  # the twin, although another row is faster
    ({"cuda_wide": OTHER, "cuda": OTHER},        "cuda_wide", "other geometry, so no verdict"),
    ({"ptx": OTHER},                             "cuda_wide", "other geometry, so no verdict"),
]  # fmt: skip


@pytest.mark.parametrize(("launches", "rival", "judged"), VERDICTS)
def test_only_rows_of_one_geometry_get_the_verdict_of_twins(launches, rival, judged):
    outcome = timed(**launches)
    best = rival_of(outcome)
    assert best is not None
    assert (best.name, verdict(outcome, "ptx", best, None)) == (rival, judged)
    sentence = finding(outcome)
    for word in ("FASTER", "SLOWER"):
        assert (word in sentence) == (word == judged), sentence
    words = {rival.word for rival in rival_chips(outcome, None)}
    assert words == {judged if judged in ("FASTER", "SLOWER") else "other geometry"}
    against_cuda = chip(outcome, "ptx", None)
    assert against_cuda is not None
    same_geometry = outcome.launch_of("ptx").geometry == outcome.launch_of("cuda").geometry
    assert against_cuda.word == ("FASTER" if same_geometry else "other geometry")


def test_a_row_whose_compiler_chose_the_threads_is_not_a_twin_even_with_the_same_number():
    outcome = timed()
    assert not other_geometry(outcome, "ptx", "cuda_wide")
    tile = replace(outcome.variants["cuda_wide"], language="tile")
    outcome = replace(outcome, variants={**outcome.variants, "cuda_wide": tile})
    assert other_geometry(outcome, "ptx", "cuda_wide")
    assert other_geometry(outcome, "cuda_wide", "cuda")
    assert rival_of(outcome).name == "cuda"
    assert "cuda_wide" not in finding(outcome)


def test_the_model_claims_nothing_about_another_geometry():
    outcome = timed(cuda=OTHER)
    claim = model_verdict(outcome, "ptx", {}, {}, ctas_wanted=1)
    assert (claim.verdict, claim.reason) == (NO_CLAIM, "other geometry: the launches differ")


def test_a_change_of_an_own_launch_makes_times_not_comparable():
    before, after = timed(ptx=MORE_SHARED), timed(ptx=OTHER)
    assert [difference.name for difference in cell_differences(before, after, "ptx")] == ["grid", "dynamic shared"]
    assert cell_differences(before, after, "cuda") == []
