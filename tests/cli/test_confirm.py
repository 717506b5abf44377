"""`ptxbench gate --confirm`: red and inconclusive rows are measured again and judged together with the first run."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptxbench import backends
from ptxbench.measure import SamplingSettings, measure
from ptxbench.result import from_json, to_json
from ptxbench.runner import session
from tests.fakes import FakeBackend
from tests.folders import PAIR, PTX, changed

BARRIER = changed(PTX, "    ld.param.u32  %n, [n];\n", "    bar.sync 0;\n    ld.param.u32  %n, [n];\n")


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


def saved():
    """The runs below results, oldest first; those that confirm another last."""
    runs = [from_json(path.read_text(), str(path)) for path in Path("results").rglob("*.json")]
    return sorted(runs, key=lambda run: (run.run.confirms is not None, run.run.started))


@pytest.fixture
def worse(kernels, ptxbench):
    """A baseline of `scale`, and then an extra barrier in its PTX."""
    assert ptxbench("run", "--kernels", kernels, "--backend", "emulator").status == 0
    assert ptxbench("baseline", "set", "latest", "--reason", "first").status == 0
    for path in Path("results").rglob("*.json"):
        path.unlink()
    (kernels / "ptx" / "scale.ptx").write_text(BARRIER)
    return kernels


# ---- on the emulator: counts must be the same


def test_a_regression_is_counted_once_more_in_a_run_that_is_kept_and_named(ptxbench, worse):
    ran = ptxbench("gate", "--kernels", worse, "--confirm")
    head, confirming = saved()
    assert ran.status == 3
    assert confirming.run.confirms == head.run.id
    assert [cell.pair for cell in confirming.cells] == ["scale"]
    assert f"with  {confirming.run.id}  " in ran.out
    assert ": once more scale n=1024" in ran.out
    assert re.search(
        rf"Saved results/emulator-sm_90/[\w.]+-{confirming.run.id}\.confirms-{head.run.id}\.json\n", ran.err
    )


def test_a_second_call_gives_the_same_verdict_without_a_third_run(ptxbench, worse):
    first = ptxbench("gate", "--kernels", worse, "--confirm", "--json")
    second = ptxbench("gate", "latest", "--kernels", worse, "--confirm", "--json")  # latest: not the confirming run
    assert second == (3, first.out, "")
    assert len(saved()) == 2
    [confirmed] = json.loads(first.out)["confirmed_by"]
    assert confirmed["id"] == saved()[1].run.id
    assert ptxbench("compare", "latest", confirmed["id"]).status == 0  # it has a name like any run
    history = ptxbench("history", "scale", "--metric", "ptx_barriers", "--json")
    assert [len(series["points"]) for series in json.loads(history.out)["series"]] == [1, 1, 1]


def test_a_confirming_run_is_not_confirmed_again(ptxbench, worse):
    ptxbench("gate", "--kernels", worse, "--confirm")
    [path] = Path("results").rglob("*.confirms-*.json")
    ran = ptxbench("gate", path, "--kernels", worse, "--confirm")
    head, confirming = saved()
    message = f"Error: Run {confirming.run.id} is a confirmation of {head.run.id}. Gate that run.\n"
    assert ran == (2, "", message)


def test_if_all_rows_pass_nothing_runs(ptxbench, kernels):
    ptxbench("run", "--kernels", kernels, "--backend", "emulator")
    ran = ptxbench("gate", "latest", "--base", "latest", "--kernels", kernels, "--confirm")
    assert (ran.status, ran.err) == (0, "Nothing to confirm: no row fails by a number, is wrong or is undecided.\n")
    assert len(saved()) == 1


def test_counts_that_differ_between_two_runs_are_a_bug_and_no_verdict(ptxbench, worse):
    assert ptxbench("gate", "--kernels", worse).status == 3
    [path] = Path("results").rglob("*.json")
    text = path.read_text()
    path.write_text(changed(text, '"ptx_barriers": 32', '"ptx_barriers": 33'))
    ran = ptxbench("gate", "latest", "--kernels", worse, "--confirm", "--json")
    document = json.loads(ran.out)
    assert ran.status == document["exit_status"] == 5
    problems = [problem["text"] for problem in document["problems"]]
    assert problems == [
        "scale ptx n=1024: two runs of the same source with the same tools gave ptx_barriers 33, then 32."
    ]
    [row] = [row for row in document["rows"] if row["metric"] == "ptx_barriers" and row["variant"] == "ptx"]
    assert (row["verdict"], row["reason"]) == ("NOT-MEASURABLE", "not_deterministic")
    assert row["next"].startswith("Report it, with the files of both runs")
    assert "This is a bug in ptxbench" in ptxbench("gate", "latest", "--kernels", worse, "--confirm").out


def test_a_wrong_kernel_stays_wrong(ptxbench, worse):
    (worse / "ptx" / "scale.ptx").write_text(changed(PTX, "%value, %value, %a;", "%value, %value, %value;"))
    assert ptxbench("gate", "--kernels", worse, "--confirm").status == 4
    assert len(saved()) == 2


def test_a_kernel_that_was_wrong_once_is_wrong(ptxbench, worse):
    """Its file says wrong, and verifying again says right: this is reported and does not change the verdict."""
    ptxbench("gate", "--kernels", worse)
    [head] = saved()
    [cell] = head.cells
    wrong = replace(cell.variants["ptx"], status="wrong", reason="y[2] is 1.", counts=None)
    head = replace(head, cells=[replace(cell, variants={**cell.variants, "ptx": wrong})])
    Path("head.json").write_text(to_json(head))
    ran = ptxbench("gate", "head.json", "--kernels", worse, "--confirm")
    assert ran.status == 4
    assert "with the same tools gave wrong, then verified." in " ".join(ran.out.split())


OTHER = [
    ("ptx/scale.ptx", PTX, "kernels/ptx/scale.ptx has changed since the build. Restore the kernels of that run"),
    ("pairs/scale.py", changed(PAIR, "BLOCK = 128", "BLOCK = 256"), "scale has changed: grid 8 1 1 -> 4 1 1; "
     "block 128 1 1 -> 256 1 1."),
    ("ptx/scale.ptx", None, "Pair 'scale' lacks kernels/ptx/scale.ptx."),
    ("pairs/scale.py", "PAIR = 1", "kernels/pairs/scale.py"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "message"), OTHER)
def test_kernels_that_have_changed_confirm_nothing(ptxbench, worse, name, text, message):
    assert ptxbench("gate", "--kernels", worse).status == 3
    path = worse / name
    path.write_text(text) if text else path.unlink()
    ran = ptxbench("gate", "latest", "--kernels", worse, "--confirm")
    [head] = saved()
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"Error: Cannot confirm run {head.run.id}: ")
    assert message in ran.err


def test_a_changed_header_confirms_nothing(ptxbench, worse):
    kernel, header = worse / "cuda" / "scale.cu", worse / "one.cuh"
    kernel.write_text(f'#include "../one.cuh"\n{kernel.read_text()}')
    header.write_text("// one\n")
    assert ptxbench("gate", "--kernels", worse).status == 3
    header.write_text("// two\n")
    ran = ptxbench("gate", "latest", "--kernels", worse, "--confirm")
    assert ran.status == 2
    assert "kernels/cuda/scale.cu or a header that it includes has changed since the build." in ran.err


def test_a_missing_pair_or_an_unknown_variant_confirms_nothing(ptxbench, worse):
    (worse / "ptx" / "scale.slow.ptx").write_text(BARRIER)
    ptxbench("gate", "--kernels", worse)
    (worse / "ptx" / "scale.slow.ptx").unlink()
    ran = ptxbench("gate", "latest", "--kernels", worse, "--confirm")
    assert "scale has no variant 'ptx.slow' any more." in ran.err
    ran = ptxbench("gate", "latest", "--confirm")  # the shipped pairs
    assert (ran.status, "Unknown pair 'scale'." in ran.err) == (2, True)


@pytest.mark.parametrize("tool", ["ptxas", "emulator"])
def test_other_tools_confirm_nothing(ptxbench, worse, tool):
    ptxbench("gate", "--kernels", worse)
    [head] = saved()
    Path("head.json").write_text(to_json(replace(head, toolchain=replace(head.toolchain, **{tool: "12.0.1"}))))
    ran = ptxbench("gate", "head.json", "--kernels", worse, "--confirm")
    assert ran.status == 2
    assert f"Error: Cannot confirm run {head.run.id}: {tool} 12.0.1 " in ran.err
    assert "Confirm it on the machine that made it" in ran.err


def test_an_interrupted_confirmation_gives_no_verdict_and_leaves_nothing(ptxbench, worse, monkeypatch):
    ptxbench("gate", "--kernels", worse)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "verify", interrupt)
    ran = ptxbench("gate", "latest", "--kernels", worse, "--confirm")
    assert (ran.status, ran.out, len(saved())) == (130, "", 1)


# ---- on a GPU: rounds are pooled


QUICK = SamplingSettings(warm_up_seconds=0, stretch=1, looks=(9,), solo=0)


@pytest.fixture
def gpu(monkeypatch):
    """A scripted GPU; `times` are the times of its next samples in nanoseconds."""

    def right(build, launch, arguments, outputs):
        return {"y": arguments["x"] * arguments["a"]}

    times = {"cuda": [40_000], "cuda@fast": [40_000], "ptx": [30_000]}
    monkeypatch.setattr(session, "measure", lambda *args, **options: measure(*args, **options | {"settings": QUICK}))
    monkeypatch.setitem(backends.BACKENDS, "gpu", lambda arch: FakeBackend(times, right))
    return times


def rounds_of(ptxbench, kernels, name, scale, rounds):
    """A run of the scripted GPU with that many rounds; the PTX times are `scale` plus noise; saved as file `name`."""
    ran = ptxbench("run", "--kernels", kernels, "--size", "n=1024", "--no-save", "--json")
    run = from_json(ran.out, name)
    rng = np.random.default_rng(len(name))
    cells = []
    for cell in run.cells:
        measured = []
        for number in range(rounds):
            for timed_round in cell.rounds:
                by = scale * np.exp(rng.normal(0, 0.002))
                order = {"A": "ABBA", "B": "BAAB"}[timed_round.start]
                ns = [
                    [round(t * by) if letter == "B" and timed_round.contrast[1] == "ptx" else t
                     for letter, t in zip(order, block, strict=True)]
                    for block in timed_round.ns
                ]  # fmt: skip
                measured.append(replace(timed_round, round=number, process=number, ns=ns))
        cells.append(replace(cell, rounds=measured))
    Path(name).write_text(to_json(replace(run, cells=cells)))
    return name


HELD = 'version = 1\n[gate]\nmode = "ratio"\ninconclusive = "fail"'


def verdicts(ran):
    rows = {row["variant"]: row for row in json.loads(ran.out)["rows"] if row["metric"] == "ratio"}
    return rows["ptx"]["verdict"], len(rows["ptx"]["head_rounds"])


def test_rounds_of_both_runs_are_pooled(ptxbench, kernels, gpu):
    Path("ptxbench.toml").write_text(HELD)
    (kernels / "ptx" / "scale.ptx").write_text(PTX)
    base = rounds_of(ptxbench, kernels, "base.json", 1.0, 6)
    (kernels / "ptx" / "scale.ptx").write_text(BARRIER)
    head = rounds_of(ptxbench, kernels, "head.json", 1.0, 4)
    gate = ("gate", head, "--base", base, "--kernels", kernels, "--json")
    before = ptxbench(*gate)
    assert (before.status, verdicts(before)) == (5, ("INCONCLUSIVE", 4))
    after = ptxbench(*gate, "--confirm")
    assert (after.status, verdicts(after)) == (0, ("NO-REGRESSION", 5))
    [path] = Path("results").rglob("*.json")
    assert path.parent.name == "scripted-gpu"


def test_a_good_round_does_not_replace_bad_ones(ptxbench, kernels, gpu):
    Path("ptxbench.toml").write_text(HELD)
    base = rounds_of(ptxbench, kernels, "base.json", 1.0, 6)
    (kernels / "ptx" / "scale.ptx").write_text(BARRIER)
    head = rounds_of(ptxbench, kernels, "head.json", 1.2, 6)
    gate = ("gate", head, "--base", base, "--kernels", kernels, "--json")
    assert verdicts(ptxbench(*gate)) == ("REGRESSED", 6)
    confirmed = ptxbench(*gate, "--confirm")  # its one round is as fast as base's
    assert (confirmed.status, verdicts(confirmed)) == (3, ("REGRESSED", 7))
    assert verdicts(ptxbench(*gate, "--confirm")) == ("REGRESSED", 7)  # and makes no further run


def test_without_a_gpu_times_are_not_confirmed(ptxbench, kernels, gpu, monkeypatch):
    Path("ptxbench.toml").write_text(HELD)
    base = rounds_of(ptxbench, kernels, "base.json", 1.0, 6)
    (kernels / "ptx" / "scale.ptx").write_text(BARRIER)
    head = rounds_of(ptxbench, kernels, "head.json", 1.0, 4)
    monkeypatch.setitem(backends.BACKENDS, "gpu", lambda arch: FakeBackend({}, None, "No GPU: cudaErrorNoDevice."))
    ran = ptxbench("gate", head, "--base", base, "--kernels", kernels, "--confirm")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.endswith(": it was timed, and no GPU is available here (ptxbench doctor). Confirm it elsewhere.\n")


def test_a_gpu_of_another_model_confirms_nothing(ptxbench, kernels, gpu):
    Path("ptxbench.toml").write_text(HELD)
    head = rounds_of(ptxbench, kernels, "head.json", 1.0, 4)
    run = from_json(Path(head).read_text(), head)
    Path(head).write_text(to_json(replace(run, device=replace(run.device, name="NVIDIA H100"))))
    ran = ptxbench("gate", head, "--base", head, "--kernels", kernels, "--confirm")
    # the same file on both sides is the same machine code: no row needs confirming
    assert ran.status == 0
    other = replace(run, cells=[replace(cell, variants={
        name: replace(result, build=replace(result.build, sass_sha256="0")) for name, result in cell.variants.items()
    }) for cell in run.cells])  # fmt: skip
    Path("base.json").write_text(to_json(replace(other, device=replace(run.device, name="NVIDIA H100"))))
    ran = ptxbench("gate", head, "--base", "base.json", "--kernels", kernels, "--confirm")
    assert ran.status == 2
    assert "GPU model NVIDIA H100 -> Scripted GPU. Confirm it on the machine that made it" in ran.err
