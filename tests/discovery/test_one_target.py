"""A pair whose only PTX is NAME.sm_90a.ptx: where each command builds it, and what it says elsewhere."""

import json

import pytest

from ptxbench import notebook
from ptxbench.discovery import load
from ptxbench.discovery.specialisation import other_architecture
from tests.folders import PTX, changed, kernels_folder


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = kernels_folder(tmp_path, ptx="")
    text = changed(PTX, ".version 6.3\n.target sm_75", ".version 8.0\n.target sm_90a")
    (folder / "ptx" / "scale.sm_90a.ptx").write_text(text)
    return folder


# targets that have a file, the architecture without --arch, on a GPU, on the emulator
INSTEAD = [
    (("sm_90a",),            "sm_90",  "sm_90a",  "sm_90a"),
    (("sm_90a",),            "sm_90a", "sm_90a",  "sm_90a"),
    (("sm_90a",),            "sm_80",  "sm_80",   "sm_90a"),   # a GPU runs nothing that is made for another
    (("sm_120a", "sm_100a"), "sm_90",  "sm_90",   "sm_100a"),  # the lowest
    (("sm_100f",),           "sm_103", "sm_103a", "sm_100f"),  # a file of its family
    (("sm_100f",),           "sm_110", "sm_110",  "sm_100f"),
]  # fmt: skip


@pytest.mark.parametrize(("targets", "usual", "gpu", "emulator"), INSTEAD)
def test_the_chosen_architecture_is_one_with_ptx(targets, usual, gpu, emulator):
    assert other_architecture(targets, usual, any_gpu=False) == gpu
    assert other_architecture(targets, usual, any_gpu=True) == (gpu if gpu != usual else emulator)


def cell_of(ptxbench, kernels, *more):
    ran = ptxbench("run", "scale", "--kernels", kernels, "--backend", "emulator", "--no-save", "--json", *more)
    (cell,) = json.loads(ran.out)["cells"]
    return ran.status, cell["arch"], {name: variant["status"] for name, variant in cell["variants"].items()}


def test_the_emulator_verifies_it_on_its_own_target_and_skips_it_elsewhere(kernels, ptxbench):
    loaded = load(kernels, "scale")
    assert [source.variant for source in loaded.sources] == ["cuda", "cuda@fast", "ptx"]
    verified = dict.fromkeys(("cuda", "cuda@fast", "ptx"), "verified")
    assert cell_of(ptxbench, kernels) == (0, "sm_90a", verified)
    assert cell_of(ptxbench, kernels, "--arch", "sm_90a") == (0, "sm_90a", verified)
    for elsewhere in ("sm_90", "sm_100a"):
        assert cell_of(ptxbench, kernels, "--arch", elsewhere) == (0, elsewhere, verified | {"ptx": "skipped"})
    assert cell_of(ptxbench, kernels, "--model", "H100")[1] == "sm_90a"
    assert [cell.arch for cell in notebook.run("scale", kernels=kernels, backend="emulator").document.cells] == [
        "sm_90a"
    ]


def test_a_pair_with_a_plain_file_keeps_the_usual_architecture(kernels, ptxbench):
    (kernels / "ptx" / "scale.ptx").write_text(PTX)
    assert cell_of(ptxbench, kernels)[1] == "sm_90"


def test_every_command_uses_its_target(kernels, ptxbench):
    ran = ptxbench("show", "scale", "--kernels", kernels, "--variant", "ptx")
    assert ran.out.startswith("ptx  scale.sm_90a.ptx  sm_90a, ")
    assert ptxbench("list", "--kernels", kernels).out.count("sm_90a") == 2
    asked = ("arch", "scale", "--kernels", kernels, "--target", "sm_90*", "--json")
    targets = json.loads(ptxbench(*asked).out)["pairs"][0]["variants"]["ptx"]["targets"]
    assert [target for target, result in targets.items() if result["status"] == "assembles"] == ["sm_90a"]
    (kernels.parent / "empty.ptx").write_text("")  # rejected by the first stage
    judged = ptxbench("check", "empty.ptx", "--pair", "scale", "--kernels", kernels, "--json")
    assert (judged.status, json.loads(judged.out)["arch"]) == (4, "sm_90a")


def test_a_gate_runs_it_on_its_own_target(kernels, ptxbench):
    assert ptxbench("run", "scale", "--kernels", kernels, "--backend", "emulator").status == 0
    judged = ptxbench("gate", "--kernels", kernels, "--base", "latest", "--mode", "counters", "--json")
    assert judged.status == 0
    assert {row["arch"] for row in json.loads(judged.out)["rows"]} == {"sm_90a"}


def test_a_pair_without_any_ptx_is_reported_as_before(kernels, ptxbench):
    (kernels / "ptx" / "scale.sm_90a.ptx").unlink()
    ran = ptxbench("run", "scale", "--kernels", kernels, "--no-save")
    assert ran.status == 2
    assert ran.err.startswith("Error: Pair 'scale' lacks kernels/ptx/scale.ptx.")
