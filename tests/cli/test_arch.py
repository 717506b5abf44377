"""`ptxbench arch` with the tools at hand: its output, its files and its exit status."""

import json
import re

import pytest
from rich.cells import cell_len

from ptxbench.errors import ToolMissing
from ptxbench.toolchain import locate, nvrtc
from ptxbench.toolchain.trial import targets
from tests.folders import CUDA, PTX, changed

LOCKED = changed(
    PTX.replace("6.3", "8.0").replace("sm_75", "sm_90a"), "    ret;\n", "    wgmma.fence.sync.aligned;\n    ret;\n"
)
FAMILY = changed(
    PTX.replace("6.3", "8.8").replace("sm_75", "sm_100f"),
    "DONE:\n",
    "    redux.sync.max.f32  %value, %value, -1;\nDONE:\n",
)
SOME = [f"--target={target}" for target in ("sm_75", "sm_90", "sm_90a", "sm_100", "sm_100f", "sm_100a", "sm_120")]


def without_figures(text):
    """The printed text with R for every number that ptxas chose, and without its version."""
    text = re.sub(r"(?<=  )\d+(?=$|  )", lambda match: "R".rjust(len(match[0])), text, flags=re.M)
    return "\n".join(line.rstrip() for line in re.sub(r"\d+\.\d+\.\d+", "V", text).splitlines()) + "\n"


def test_a_pair_with_a_locked_variant_and_a_family_variant_is_printed_whole(ptxbench, kernels):
    (kernels / "ptx" / "scale.fence.ptx").write_text(LOCKED)
    (kernels / "ptx" / "scale.redux.ptx").write_text(FAMILY)
    ran = ptxbench("arch", "scale", "--kernels", kernels, *SOME)
    newest = re.search(r"\.version (\d+\.\d+)", ran.out)[1]
    assert (ran.status, ran.err) == (0, "")
    assert (
        without_figures(ran.out.replace(newest, "N").split("JIT of CUDA C")[0])
        == """\
Registers of a thread, by ptxas V and NVRTC V, for 7 targets. Nothing is run.

scale

target              cuda  ptx  cuda@fast  ptx.fence  ptx.redux
──────────────────────────────────────────────────────────────
sm_75                  R    R          R        ✘ 1        ✘ 2
sm_90                  R    R          R        ✘ 1        ✘ 2
sm_90a                 R    R          R          R        ✘ 2
sm_{100,100f,100a}     R    R          R        ✘ 1          R
sm_120                 R    R          R        ✘ 1        ✘ 2

1 ptx.fence on sm_75, sm_90, sm_100 to sm_120: scale.fence.ptx:39: wgmma.fence.sync.aligned needs
  sm_90a
2 ptx.redux on sm_75 to sm_90a, sm_120: scale.redux.ptx:38: redux.sync.max.f32 needs sm_100 to
  sm_100a by .target sm_100f
i JIT of ptx: GPUs from sm_75 on, by driver 400 (CUDA 10.0) or newer
i JIT of ptx.fence: GPUs of sm_90 alone, as sm_90a says, by driver 525 (CUDA 12.0) or newer
i JIT of ptx.redux: GPUs of sm_100f's family alone, sm_100, by driver 575 (CUDA 12.9) or newer
PTX runs on 7 of 7 targets, CUDA C on 7, ptx.fence on 1, ptx.redux on 3.

"""
    )


@pytest.fixture
def file(tmp_path, kernels):
    """Writes a file next to the kernels folder, in the current folder."""

    def file(name, text):
        (tmp_path / name).write_text(text)
        return name

    return file


def test_json_has_every_figure_refusal_and_driver_and_nothing_else_is_on_stdout(ptxbench, file):
    ran = ptxbench("arch", file("fence.ptx", LOCKED), "--json", "--target=sm_90*", "--columns=sass")
    document = json.loads(ran.out)
    assert (ran.status, ran.err, document["schema"], document["targets"]) == (
        0, "", "ptxbench.arch/1", ["sm_90", "sm_90a"],
    )  # fmt: skip
    (pair,) = document["pairs"]
    kernel = pair["variants"]["scale"]
    assert (pair["name"], pair["closing"]) == ("fence.ptx", "scale runs on 1 of 2 targets.")
    assert kernel["jit"] == {
        "ptx_version": "8.0", "ptx_target": "sm_90a", "cuda": "12.0", "driver": 525, "gpus": ["sm_90"],
    }  # fmt: skip
    refused, assembled = kernel["targets"]["sm_90"], kernel["targets"]["sm_90a"]
    assert (refused["status"], refused["registers"], refused["occupancy"]) == ("refused", None, None)
    assert refused["needs"] == [
        {
            "file": "fence.ptx",
            "line": 39,
            "instruction": "wgmma.fence.sync.aligned",
            "requires": None,
            "message": "Instruction 'wgmma.fence' not supported on .target 'sm_90'",
        }
    ]
    assert (assembled["status"], assembled["spill_bytes"], assembled["occupancy"]) == ("assembles", 0, 1.0)
    assert assembled["sass"] > 10


def test_the_matrix_is_written_in_the_form_of_the_suffix(ptxbench, kernels, tmp_path):
    outputs = [tmp_path / "arch.md", tmp_path / "arch.json"]
    ran = ptxbench(
        "arch", "scale", "--kernels", kernels, "--target=sm_90", *(f"--output={output}" for output in outputs)
    )
    assert ran.status == 0
    assert "| target | `cuda` | `ptx` | `cuda@fast` |\n" in outputs[0].read_text()
    assert json.loads(outputs[1].read_text())["pairs"][0]["name"] == "scale"


def test_by_default_every_target_and_every_pair_is_tried(ptxbench, kernels):
    document = json.loads(ptxbench("arch", "--kernels", kernels, "--json").out)
    assert [pair["name"] for pair in document["pairs"]] == ["scale"]
    assert document["targets"] == list(targets())
    count = len(targets())
    assert document["pairs"][0]["closing"] == f"PTX runs on {count} of {count} targets, CUDA C on {count}."


def test_a_column_shows_the_chosen_value(ptxbench, file):
    ran = ptxbench("arch", file("a.ptx", PTX), "--target=sm_90", "--columns=occupancy")
    assert ran.out.startswith("Theoretical occupancy in %, by ptxas ")
    assert "\nsm_90     100\n" in ran.out


def test_files_and_pairs_can_be_given_together(ptxbench, kernels, file):
    path = file("other.cu", CUDA)
    ran = ptxbench("arch", path, "scale", "--kernels", kernels, "--target=sm_90")
    total = r"4 of 4 builds assemble: 4 variants of 2 pairs or files\."
    assert re.search(rf"^other\.cu\n.*^scale\n.*^{total}$", ran.out, re.M | re.S)


ENDS = [
    # arguments                          status  words of stderr
    (["nothing"],                             2, "Unknown pair 'nothing' in 'kernels'."),
    (["scale", "--target=sm_91"],             2, "Unknown target 'sm_91'. Did you mean 'sm_90'?"),
    (["scale", "--target=compute_90"],        2, "Unknown target 'compute_90'. Did you mean 'sm_90'?"),
    (["scale", "--target=sm_70"],             2, "Unknown target 'sm_70'. Known are sm_75 to sm_1"),
    (["scale", "--target=nothing"],           2, "Unknown target 'nothing'. Known are sm_75, "),
    (["scale", "--target=9.0"],               2, "Unknown target '9.0'. Did you mean 'sm_90'?"),
    (["gone.ptx"],                            2, "There is no file gone.ptx."),
    (["scale", "-o", "arch.csv"],             2, "Unknown suffix of 'arch.csv'. Name a file"),
    (["scale", "-o", "no/arch.md"],           0, ""),
    (["scale", "--columns=time"],             2, "Invalid value for '--columns'"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "status", "words"), ENDS)
def test_each_mistake_is_reported_with_advice(ptxbench, kernels, arguments, status, words):
    ran = ptxbench("arch", "--kernels", "kernels", *arguments)
    assert ran.status == status
    assert words in ran.err
    assert "Traceback" not in ran.err


ENCODINGS = [
    # what an editor on Windows writes
    ("bom.ptx",   PTX,   "utf-8-sig",  4, "bom.ptx:1: the text begins with a UTF-8 byte-order mark."),
    ("bom.cu",    CUDA,  "utf-8-sig",  0, ""),
    ("wide.ptx",  PTX,   "utf-16",     4, "wide.ptx:1: the text begins with a UTF-16 byte-order mark."),
    ("wide.cu",   CUDA,  "utf-16-le",  4, "wide.cu:1: every other byte is 0x00, as in UTF-16."),
    ("cr.ptx",    PTX.replace("\n", "\r"), "ascii", 4, "cr.ptx:1: its lines end with carriage returns alone"),
    ("cr.cu",     CUDA.replace("\n", "\r") + "//", "ascii", 4, "cr.cu:1: its lines end with carriage returns alone"),
    ("lines.ptx", PTX.replace("\n", "\r\n"), "ascii", 0, ""),
    ("lines.cu",  CUDA.replace("\n", "\r\n"), "ascii", 0, ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "encoding", "status", "words"), ENCODINGS)
@pytest.mark.parametrize("command", [("arch", "--target=sm_90"), ("show", "--arch=sm_90"),
                                     ("exec", "--grid=1", "--block=1", "--arg=y:f32[1]=0", "--arg=x:f32[1]=0",
                                      "--arg=a:f32=0", "--arg=n:u32=0")])  # fmt: skip
def test_the_encoding_of_a_file(ptxbench, tmp_path, monkeypatch, name, text, encoding, status, words, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(text.encode(encoding))
    ran = ptxbench(command[0], name, *command[1:])
    assert (ran.status, words in ran.err) == (status, True), ran


def test_a_kernel_that_no_target_accepts_ends_with_4(ptxbench, file):
    ran = ptxbench("arch", file("bad.ptx", changed(PTX, "mul.rn.f32", "mul.no.f32")))
    assert ran.status == 4
    assert "1 scale on every target: bad.ptx:35: " in ran.out
    assert "scale runs on 0 of " in ran.out


def test_a_kernel_that_could_not_be_tried_does_not_count_as_refused_everywhere(ptxbench, kernels, monkeypatch):
    def find():
        raise ToolMissing("No NVRTC.")

    monkeypatch.setattr(nvrtc, "find", find)
    ran = ptxbench("arch", "scale", "--kernels", kernels)
    assert ran.status == 0
    assert "CUDA C was not tried" in ran.out


STATUSES = [
    # the kernel works on sm_90a alone
    (["--target=sm_75"],                                       4),
    (["--target=sm_90"],                                       4),
    (["--target=sm_90a"],                                      0),
    (["--target=sm_75", "--target=sm_90a"],                    0),
    (["--target=sm_75", "--target=sm_90a", "--require-all"],   4),
    (["--target=sm_90a", "--require-all"],                     0),
    (["--target=sm_75", "--target=sm_80", "--json"],           4),
]  # fmt: skip


@pytest.mark.parametrize(("options", "status"), STATUSES)
def test_a_kernel_must_work_on_one_target_of_those_chosen_or_on_all(ptxbench, file, options, status):
    assert ptxbench("arch", file("fence.ptx", LOCKED), *options).status == status


def test_a_variant_must_work_on_one_target_too(ptxbench, kernels):
    (kernels / "ptx" / "scale.fence.ptx").write_text(LOCKED)
    command = ("arch", "scale", "--kernels", kernels)
    assert ptxbench(*command, "--target=sm_75").status == 4
    assert ptxbench(*command, "--target=sm_75", "--target=sm_90a").status == 0


def test_targets_that_could_not_be_tried_are_not_counted_as_all(ptxbench, kernels, monkeypatch):
    def find():
        raise ToolMissing("No NVRTC.")

    monkeypatch.setattr(nvrtc, "find", find)
    assert ptxbench("arch", "scale", "--kernels", kernels, "--target=sm_75", "--require-all").status == 5


def test_without_ptxas_there_is_one_message(ptxbench, kernels, monkeypatch):
    program = locate.program
    monkeypatch.setattr(locate, "program", lambda name: None if name == "ptxas" else program(name))
    ran = ptxbench("arch", "scale", "--kernels", kernels)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Error: ptxas, which alone knows what a target supports, is not installed: pip install")


@pytest.mark.parametrize("columns", [80, 100, 160])
def test_no_line_is_wider_than_the_terminal_with_colours_or_without(ptxbench, kernels, monkeypatch, columns):
    for name in ("evict_first", "interleaved", "no_allocate", "sm_90a"):
        text = changed(PTX, ".version 6.3\n.target sm_75", ".version 8.0\n.target sm_90a")
        (kernels / "ptx" / f"scale.{name}.ptx").write_text(text)
    monkeypatch.setenv("COLUMNS", str(columns))
    arguments = ("arch", "scale", "--kernels", kernels, "--target", "sm_75", "--target", "sm_90*", "--target", "sm_12*")
    plain = ptxbench(*arguments)
    assert max(map(cell_len, plain.out.splitlines())) <= columns
    assert "\x1b" not in plain.out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = ptxbench(*arguments).out
    assert "\x1b[31m" in coloured  # a refusal is red
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain.out
