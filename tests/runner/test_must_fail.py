"""Variants that must be wrong: what a run, a gate, a check and the lists make of them, right and wrong."""

import json

import pytest

from ptxbench.discovery import load
from ptxbench.errors import PairError
from ptxbench.result import MUST_FAIL, VariantResult, from_json
from ptxbench.runner import CellDone, RunPlan, carry_out, plan_pairs
from ptxbench.runner.round_results import merge_results
from tests.fakes import HostileBackend
from tests.folders import PAIR, PTX, changed, kernels_folder
from tests.runner.test_rounds import QUICK

SUM = changed(PTX, "mul.rn.f32          %value, %value, %a", "add.rn.f32          %value, %value, %a")
SUM_FROM_129 = changed(  # right but for the last check size
    PTX,
    "mul.rn.f32          %value, %value, %a;",
    "setp.gt.u32 %past, %n, 128;  @!%past mul.rn.f32 %value, %value, %a;  @%past add.rn.f32 %value, %value, %a;",
)
FAULT = changed(PTX, "setp.ge.u32   %past, %i, %n;", "setp.ge.u32   %past, %i, 128;")
UNASSEMBLED = changed(PTX, "mul.rn.f32 ", "mul.rn.f33 ")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def folder(slip, must_fail='"ptx.slip"'):
        pair = changed(PAIR, '    flags={"fast": ["--use_fast_math"]},\n', f"    must_fail=[{must_fail}],\n")
        kernels = kernels_folder(tmp_path, pair=pair)
        (kernels / "ptx" / "scale.slip.ptx").write_text(slip)
        return kernels

    return folder


@pytest.fixture
def run(ptxbench):
    def run(kernels, *more):
        return ptxbench("run", "scale", "--kernels", kernels, "--backend", "emulator", *more)

    return run


# text of the variant, its status, what its reason has, the exit status of the run
CASES = [
    (SUM,          MUST_FAIL, "scale.slip.ptx, n=1: y[0] is ",                         0),
    (SUM_FROM_129, MUST_FAIL, "scale.slip.ptx, n=129: y[",                             0),
    (PTX,          "broken",  "its results are right at all check sizes, but the pair", 4),
    # a fault is not a wrong result
    (FAULT,        "broken",  "reads byte 4 of 'x', which has 4",                       4),
    (UNASSEMBLED,  "broken",  "scale.slip.ptx:35: ",                                    4),
]  # fmt: skip


@pytest.mark.parametrize(("text", "status", "reason", "exit_status"), CASES)
def test_only_a_wrong_result_counts_as_expected(folder, run, text, status, reason, exit_status):
    ran = run(folder(text), "--no-save", "--json")
    variants = json.loads(ran.out)["cells"][0]["variants"]
    assert ran.status == exit_status
    assert (variants["ptx.slip"]["status"], variants["ptx"]["status"]) == (status, "verified")
    assert reason in variants["ptx.slip"]["reason"]
    assert variants["ptx.slip"]["counts"] is None


def test_a_wrong_variant_that_the_pair_does_not_list_fails_the_run(folder, run):
    assert run(folder(SUM, must_fail=""), "--no-save").status == 4


def test_the_table_the_lines_and_the_summary_show_a_variant_that_must_fail(folder, run, ptxbench):
    kernels = folder(SUM)
    ran = run(kernels)
    assert "✔ must fail" in ran.out
    assert "✔ ptx.slip is wrong as expected: scale.slip.ptx, n=1: y[0] is " in ran.out
    assert "1 cell, 3 variants: 2 verified, 1 wrong as expected." in ran.out
    replayed = ptxbench("view", "latest")
    assert replayed.status == 0
    assert "✔ must fail" in replayed.out
    assert run(folder(SUM), "--no-save", "-o", "run.md").status == 0
    assert "wrong as expected" in (kernels.parent / "run.md").read_text()
    assert ptxbench("report", "-o", "page.html", "--kernels", "kernels").status == 0


def test_lists_mark_a_variant_that_must_fail(folder, ptxbench):
    kernels = folder(SUM)
    shown = ptxbench("list", "--kernels", kernels).out
    assert "ptx.slip! (sm_75)" in shown
    assert shown.endswith("! must be wrong: a run fails if it is right\n")
    listed = json.loads(ptxbench("list", "--kernels", kernels, "--json").out)[0]["variants"]
    assert {variant["name"]: variant["must_fail"] for variant in listed} == {
        "cuda": False,
        "ptx": False,
        "ptx.slip": True,
    }


def test_a_gate_judges_a_variant_that_must_fail(folder, run, ptxbench, tmp_path):
    names = {"expected": (SUM, '"ptx.slip"'), "right": (PTX, '"ptx.slip"'), "verified": (PTX, ""), "wrong": (SUM, "")}
    files = {}
    for name, (text, must_fail) in names.items():
        files[name] = tmp_path / f"{name}.json"
        run(folder(text, must_fail), "--no-save", "-o", files[name])

    def judged(base, head):
        judged = ptxbench("gate", files[head], "--base", files[base], "--mode", "counters", "--json")
        rows = json.loads(judged.out)["rows"]
        verdicts = [row["verdict"] for row in rows if row["variant"] == "ptx.slip" and row["metric"] == "verified"]
        return judged.status, *verdicts

    assert judged("expected", "expected") == (0, "NO-REGRESSION")
    assert judged("expected", "right") == (4, "BROKEN")
    assert judged("expected", "wrong") == (4, "BROKEN")
    assert judged("verified", "expected") == (5, "MISSING")  # no kernel becomes wrong in silence
    assert judged("expected", "verified") == (0, "NEW")
    assert judged("right", "expected") == (0, "FIXED")
    recorded = from_json(files["expected"].read_text(), "expected").cells[0].variants["ptx.slip"]
    assert recorded.status == MUST_FAIL


NS = {"cuda": 100_000, "ptx": 90_000, "ptx.slip": 50_000}


@pytest.mark.parametrize(("deed", "status"), [("wrong", MUST_FAIL), ("", "broken")])
def test_on_a_gpu_a_variant_that_must_fail_has_no_time_and_the_others_have(folder, small_control, deed, status):
    kernels = folder(PTX)
    pair_plans, _ = plan_pairs(kernels, sizes=["n=1024"], emulated=False)
    plan = RunPlan(pair_plans, HostileBackend({"ptx.slip": deed}, NS), "sm_90", kernels, settings=QUICK, rounds=1)
    (cell,) = [event.cell for event in carry_out(plan) if isinstance(event, CellDone) and not event.cell.control]
    assert {name: variant.status for name, variant in cell.variants.items()} == {
        "cuda": "verified", "ptx": "verified", "ptx.slip": status,
    }  # fmt: skip
    assert [timed_round.contrast for timed_round in cell.rounds] == [("cuda", "ptx")]


def test_one_round_with_a_right_result_is_enough_to_fail():
    wrong, right = (
        VariantResult("ptx", MUST_FAIL, "y[0] is"),
        VariantResult("ptx", "broken", "right at all check sizes"),
    )
    assert merge_results([wrong, wrong]).status == MUST_FAIL
    assert merge_results([wrong, right]).reason == merge_results([right, wrong]).reason == "right at all check sizes"


def test_a_candidate_is_not_compared_with_a_variant_that_must_fail(folder):
    loaded = load(folder(SUM), "scale")
    assert [source.variant for source in loaded.default_sources] == ["cuda", "ptx", "ptx.slip"]
    assert [source.variant for source in loaded.right_sources] == ["cuda", "ptx"]


# the field as written, the message
MISTAKES = [
    ('"ptx.slips"', "must_fail names 'ptx.slips', which no file defines. Did you mean 'ptx.slip'?"),
    ('"ptx"',       "must_fail names 'ptx'. The variants 'cuda' and 'ptx' must be right; name others."),
    ("3",           r"must_fail is \[3\]. It must list names of variants, such as 'cuda.strided'."),
]  # fmt: skip


@pytest.mark.parametrize(("must_fail", "message"), MISTAKES)
def test_a_mistake_in_the_field_is_reported_with_its_line(folder, must_fail, message):
    with pytest.raises(PairError, match=rf"^kernels/pairs/scale.py:2\d: {message}"):
        load(folder(SUM, must_fail), "scale")
