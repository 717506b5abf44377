"""NAME.sm_90a.ptx: which file is used for which target, in every command, with the real tools."""

import json
import re

import pytest

from ptxbench import toolchain
from ptxbench.discovery import load
from ptxbench.discovery.specialisation import best_target, split
from ptxbench.errors import PairError
from ptxbench.toolchain import locate, ptxas, trial
from tests.folders import PTX, changed, kernels_folder


def special(version, target):
    """The pair's PTX for that target; a barrier distinguishes it from the plain one."""
    text = changed(PTX, ".version 6.3\n.target sm_75", f".version {version}\n.target {target}")
    return changed(text, "DONE:\n", "DONE:\n    bar.sync 0;\n")


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = kernels_folder(tmp_path)
    (folder / "ptx" / "scale.sm_90a.ptx").write_text(special("8.0", "sm_90a"))
    (folder / "ptx" / "scale.sm_100f.ptx").write_text(special("8.8", "sm_100f"))
    (folder / "ptx" / "scale.fast.sm_90a.ptx").write_text(special("8.0", "sm_90a"))  # with no plain file
    return folder


# targets that have a file, target that asks, the one that it gets
CHOSEN = [
    ((),                       "sm_90a",  None),
    (("sm_90a",),              "sm_90a",  "sm_90a"),
    (("sm_90a",),              "sm_90",   None),       # a plain target gets the plain file
    (("sm_90a",),              "sm_100a", None),
    (("sm_100f",),             "sm_100",  None),
    (("sm_100f",),             "sm_100f", "sm_100f"),
    (("sm_100f",),             "sm_100a", "sm_100f"),
    (("sm_100f",),             "sm_103a", "sm_100f"),  # a later member of the family
    (("sm_103f",),             "sm_100a", None),       # an earlier one
    (("sm_100f",),             "sm_110a", None),       # of another family
    (("sm_100a", "sm_100f"),   "sm_100a", "sm_100a"),  # its own before its family's
    (("sm_100a", "sm_100f"),   "sm_100f", "sm_100f"),
    (("sm_100a", "sm_100f"),   "sm_103f", "sm_100f"),
    (("sm_100f", "sm_103f"),   "sm_103a", "sm_103f"),  # of two families the nearer
    (("sm_100f", "sm_103f"),   "sm_100a", "sm_100f"),
    (("sm_100f",),             "banana",  None),       # not its business to refuse
    (("sm_100f",),             "f",       None),
    (("sm_100f",),             "",        None),
]  # fmt: skip


@pytest.mark.parametrize(("targets", "arch", "chosen"), CHOSEN)
def test_a_target_gets_its_own_file_then_its_familys_then_the_plain_one(targets, arch, chosen):
    assert best_target(targets, arch) == best_target(targets[::-1], arch) == chosen


@pytest.mark.long
def test_ptxas_accepts_the_ptx_of_a_family_for_exactly_the_targets_that_get_it():
    tool = locate.program("ptxas")
    version = trial.newest_version(tool)
    forms = [target for target in trial.targets() if target[-1] in "af"]

    def takes(family, target):
        text = f".version {version}\n.target {family}\n.address_size 64\n.entry k() {{ ret; }}\n"
        try:
            ptxas.assemble(tool, text, target)
        except ptxas.RefusedError:
            return False
        return True

    for family in forms:
        assert {target for target in forms if takes(family, target)} == {
            target for target in forms if best_target((family,), target) == family
        }


def test_a_stem_may_end_in_a_target():
    assert [split(stem) for stem in ("a.sm_90a", "a.b.sm_100f", "a", "a.sm_partition", "sm_90a", "a.sm_90a.b")] == [
        ("a", "sm_90a"), ("a.b", "sm_100f"), ("a", ""), ("a.sm_partition", ""), ("sm_90a", ""), ("a.sm_90a.b", ""),
    ]  # fmt: skip


def test_a_specialisation_is_not_a_separate_variant(kernels):
    sources = {source.variant: source for source in load(kernels, "scale").sources}
    assert list(sources) == ["cuda", "cuda@fast", "ptx", "ptx.fast"]
    ptx_source = sources["ptx"]
    assert [target for target, _ in ptx_source.specialisations] == ["sm_90a", "sm_100f"]
    assert [ptx_source.on(arch).path.name for arch in ("sm_75", "sm_90", "sm_90a", "sm_103a", "sm_120a")] == [
        "scale.ptx", "scale.ptx", "scale.sm_90a.ptx", "scale.sm_100f.ptx", "scale.ptx",
    ]  # fmt: skip
    assert ptx_source.on("sm_90a").on("sm_75").path.name == "scale.sm_90a.ptx"  # chosen once for all
    assert [form.path.name for form in ptx_source.forms] == ["scale.ptx", "scale.sm_90a.ptx", "scale.sm_100f.ptx"]
    assert [form.path.name for form in sources["ptx.fast"].forms] == ["scale.fast.sm_90a.ptx"]
    assert not sources["cuda@fast"].specialisations


def test_a_build_is_of_the_file_for_its_target(kernels):
    source = next(source for source in load(kernels, "scale").sources if source.variant == "ptx")
    for arch, name, barriers in (("sm_90", "scale.ptx", 0), ("sm_90a", "scale.sm_90a.ptx", 1)):
        build = toolchain.build_source(source, arch)
        assert build.source.name == name
        assert sum(count for opcode, count in build.report.opcodes.items() if opcode.startswith("BAR")) == barriers


def test_a_run_uses_the_specialisation_for_its_target(kernels, ptxbench):
    def variants(*more):
        ran = ptxbench("run", "scale", "--kernels", kernels, "--backend", "emulator", "--no-save", "--json", *more)
        assert ran.status == 0
        return json.loads(ran.out)["cells"][0]["variants"]

    plain, locked = variants("--arch", "sm_90"), variants("--arch", "sm_90a")
    assert (plain["ptx"]["counts"]["ptx_barriers"], locked["ptx"]["counts"]["ptx_barriers"]) == (0, 32)
    assert plain["ptx"]["status"] == locked["ptx"]["status"] == locked["ptx.fast"]["status"] == "verified"
    assert plain["ptx.fast"]["status"] == "skipped"
    assert plain["ptx.fast"]["reason"].startswith("scale.fast.sm_90a.ptx:4: needs sm_90a;")


def test_a_wrong_specialisation_is_reported_with_its_own_file(kernels, ptxbench):
    path = kernels / "ptx" / "scale.sm_90a.ptx"
    path.write_text(changed(path.read_text(), "mul.rn.f32          %value, %value, %a", "add.f32 %value, %value, %a"))
    ran = ptxbench("run", "scale", "--kernels", kernels, "--backend", "emulator", "--no-save", "--arch", "sm_90a")
    assert ran.status == 4
    assert "scale.sm_90a.ptx, n=1" in ran.out
    assert ptxbench("run", "scale", "--kernels", kernels, "--backend", "emulator", "--no-save").status == 0


def test_show_uses_the_specialisation(kernels, ptxbench):
    ran = ptxbench("show", "scale", "--kernels", kernels, "--variant", "ptx", "--arch", "sm_103a")
    assert ran.out.startswith("ptx  scale.sm_100f.ptx  sm_103a, ")


def test_the_matrix_shows_which_file_each_target_gets(kernels, ptxbench):
    arguments = ("arch", "scale", "--kernels", kernels, "--target", "sm_90*", "--target", "sm_10[03]*")
    ran = ptxbench(*arguments)
    printed = " ".join(ran.out.split())
    assert "i ptx on sm_90a is scale.sm_90a.ptx" in printed
    assert "i ptx on sm_100f, sm_100a, sm_103f, sm_103a is scale.sm_100f.ptx" in printed
    assert "JIT of ptx: GPUs from sm_75 on," in printed
    assert "JIT of scale.sm_90a.ptx, ptx.fast: GPUs of sm_90 alone, as sm_90a says," in printed
    assert "JIT of scale.sm_100f.ptx: GPUs of sm_100f's family alone, sm_100, sm_103, by driver 575" in printed
    assert "PTX runs on 8 of 8 targets, CUDA C on 8, ptx.fast on 1." in printed
    targets = json.loads(ptxbench(*arguments, "--json").out)["pairs"][0]["variants"]["ptx"]["targets"]
    assert {target: result["file"] for target, result in targets.items()} == {
        "sm_90": "scale.ptx", "sm_90a": "scale.sm_90a.ptx",
        "sm_100": "scale.ptx", "sm_100f": "scale.sm_100f.ptx", "sm_100a": "scale.sm_100f.ptx",
        "sm_103": "scale.ptx", "sm_103f": "scale.sm_100f.ptx", "sm_103a": "scale.sm_100f.ptx",
    }  # fmt: skip
    page = kernels.parent / "matrix.md"
    ptxbench(*arguments, "-o", page)
    assert "- ptx on sm_90a is scale.sm_90a.ptx\n" in page.read_text()


def test_a_report_has_the_targets_of_the_files_and_of_the_run_and_shows_their_files(kernels, ptxbench):
    page = kernels.parent / "page.html"
    assert ptxbench("run", "scale", "--kernels", kernels, "--backend", "emulator", "--arch", "sm_103a").status == 0
    assert ptxbench("report", "--kernels", kernels, "-o", page).status == 0
    text = page.read_text()
    assert "ptx on sm_90a is scale.sm_90a.ptx" in text
    assert "ptx on sm_100f, sm_103a is scale.sm_100f.ptx" in text
    assert "<th>sm_{103,103a}<" in text
    assert "sm_120a" not in text


def test_the_list_shows_which_targets_have_a_specialisation(kernels, ptxbench):
    ran = ptxbench("list", "--kernels", kernels)
    assert re.search(r"^  ptx +ptx \(sm_75; sm_90a, sm_100f by own files\)  ptx\.fast \(sm_90a\)$", ran.out, re.M)
    variants = {
        variant["name"]: variant
        for variant in json.loads(ptxbench("list", "--kernels", kernels, "--json").out)[0]["variants"]
    }
    files = variants["ptx"]["specialisations"]
    assert [(target, file.rpartition("/")[2]) for target, file in files.items()] == [
        ("sm_90a", "scale.sm_90a.ptx"), ("sm_100f", "scale.sm_100f.ptx"),
    ]  # fmt: skip
    assert variants["cuda"]["specialisations"] == {}


# file, its text, the message
BAD = [
    ("scale.sm_90a.ptx", PTX,
     "kernels/ptx/scale.sm_90a.ptx: its .target is sm_75, and its name says sm_90a. Write .target sm_90a, or rename"),
    ("scale.sm_90a.ptx", "",
     "kernels/ptx/scale.sm_90a.ptx has no .target. Write .target sm_90a, as its name says."),
    ("scale.sm_90.ptx", PTX,
     "kernels/ptx/scale.sm_90.ptx: sm_90 is not a target to specialise for. PTX that every later GPU accepts"),
    ("scale.fast.sm_80b.ptx", PTX, "kernels/ptx/scale.fast.sm_80b.ptx: sm_80b is not a target to specialise for"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "text", "message"), BAD)
def test_a_specialisation_for_another_target_than_in_its_name_is_an_error(kernels, ptxbench, file, text, message):
    (kernels / "ptx" / file).write_text(text)
    with pytest.raises(PairError, match=re.escape(message)):
        load(kernels, "scale")
    ran = ptxbench("run", "scale", "--kernels", "kernels", "--no-save")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"Error: {message}")
