"""Portability matrices, printed whole and in words."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from ptxbench.discovery import Source
from ptxbench.exporters.portability import Survey, to_markdown
from ptxbench.portability.survey import Matrix, TargetResults
from ptxbench.terminal.portability_matrix import MatrixTable
from ptxbench.toolchain.trial import ASSEMBLES, REFUSED, UNTRIED, Requirement, TargetTrial
from ptxbench.wording.portability import (
    closing,
    compiled_line,
    compiler_lines,
    failure_words,
    forms,
    header,
    jit_lines,
    requirement_words,
    table,
    target_ranges,
    total,
    warnings,
)

TARGETS = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_90a", "sm_100", "sm_100f", "sm_100a")


def assembling(target, registers, *, version="7.0", of="sm_80", **fields):
    return TargetTrial(target, ASSEMBLES, version, of, registers, 0, 0, sass=40, code="A", **fields)


def need(line, instruction, requires=None, message="no"):
    return Requirement("tiles.ptx", line, instruction, requires, message)


def refused(target, *needs, version="7.0", of="sm_80", **fields):
    return TargetTrial(target, REFUSED, version, of, needs=needs, **fields)


def reach(variant, *trials, occupancy=None):
    language = variant[:4] if variant.startswith("cuda") else "ptx"
    source = Source(variant, language, Path(f"tiles.{'cu' if language == 'cuda' else 'ptx'}"), "tiles")
    return TargetResults(source, {trial.target: trial for trial in trials}, occupancy or {})


def matrix(*reaches, name="tiles"):
    return Matrix(name, tuple(reaches[0].trials), {result.source.variant: result for result in reaches})


COPY = need(21, "cp.async.cg.shared.global", "sm_80 or higher", "Feature 'cp.async' requires .target sm_80 or higher")
WGMMA = need(40, "wgmma.fence.sync.aligned", None, "Instruction 'wgmma.fence' not supported on .target 'sm_75'")

CUDA = reach(
    "cuda", *(assembling(target, 40 if target == "sm_75" else 32, version="9.5", of=target) for target in TARGETS)
)
PTX = reach(
    "ptx",
    refused("sm_75", COPY, need(22, "cp.async.cg.shared.global", "sm_80 or higher"), mismatch=True),
    *(assembling(target, 100 if "100" in target else 30) for target in TARGETS[1:]),
)
LOCKED = reach(
    "ptx.tensor_cores",
    *(
        assembling(target, 168, version="8.0", of="sm_90a")
        if target == "sm_90a"
        else refused(target, *([COPY] if target == "sm_75" else []), WGMMA, version="8.0", of="sm_90a")
        for target in TARGETS
    ),
)
FAMILY = reach(
    "ptx.family",
    *(
        assembling(
            target,
            50,
            version="8.8",
            of="sm_100f",
            log="ptxas info    : (C7508) Potential loss" * (target == "sm_100f"),
        )
        if "100" in target
        else refused(target, version="8.8", of="sm_100f", mismatch=True)
        for target in TARGETS
    ),
)
PAIR = matrix(CUDA, PTX, LOCKED, FAMILY)


def printed(*renderables, width=100, encoding="utf-8"):
    """As a terminal of that width and encoding shows it, trailing spaces cut."""
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, color_system=None, highlight=False, legacy_windows=False)
    for renderable in renderables:
        console.print(renderable)
    file.flush()
    text = file.buffer.getvalue().decode(encoding)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def test_a_matrix_with_refusals_and_a_warning():
    assert (
        printed(MatrixTable(PAIR))
        == """\
tiles

target              cuda  ptx  ptx.tensor_cores  ptx.family
───────────────────────────────────────────────────────────
sm_75                 40  ✘ 1               ✘ 2         ✘ 4
sm_80                 32   30               ✘ 3         ✘ 4
sm_86                 32   30               ✘ 3         ✘ 4
sm_90                 32   30               ✘ 3         ✘ 4
sm_90a                32   30               168         ✘ 4
sm_{100,100f,100a}    32  100               ✘ 3          50

1 ptx on sm_75: tiles.ptx:21: cp.async.cg.shared.global needs sm_80 or higher, and 1 more line
2 ptx.tensor_cores on sm_75: tiles.ptx:40: wgmma.fence.sync.aligned needs sm_90a, and 1 more line
3 ptx.tensor_cores on sm_80 to sm_90, sm_100 to sm_100a: tiles.ptx:40: wgmma.fence.sync.aligned
  needs sm_90a
4 ptx.family on sm_75 to sm_90a: its .target, sm_100f, is too high, but no instruction needs it
! ptx.family on sm_100f: (C7508) Potential loss
i JIT of ptx: GPUs from sm_80 on, by driver 445 (CUDA 11.0) or newer
i JIT of ptx.tensor_cores: GPUs of sm_90 alone, as sm_90a says, by driver 525 (CUDA 12.0) or newer
i JIT of ptx.family: GPUs of sm_100f's family alone, sm_100, by driver 575 (CUDA 12.9) or newer
PTX runs on 7 of 8 targets, CUDA C on 8, ptx.tensor_cores on 1, ptx.family on 3.

"""
    )


def test_a_narrow_terminal_folds_names_and_a_narrower_one_splits_the_table():
    few = matrix(
        *(reach(name, assembling("sm_80", 32), assembling("sm_90", 30)) for name in ("ptx", "cuda", "cuda.exp2@fast"))
    )
    assert (
        printed(MatrixTable(few), width=32)
        == """\
tiles

                   cuda.exp2
target  ptx  cuda      @fast
────────────────────────────
sm_80    32    32         32
sm_90    30    30         30

i JIT of ptx: GPUs from sm_80
  on, by driver 445 (CUDA 11.0)
  or newer
PTX runs on 2 of 2 targets, CUDA
C on 2.

"""
    )
    assert (
        printed(MatrixTable(few), width=24)
        == """\
tiles

target  ptx  cuda
─────────────────
sm_80    32    32
sm_90    30    30

target  cuda.exp2@fast
──────────────────────
sm_80               32
sm_90               30

i JIT of ptx: GPUs from
  sm_80 on, by driver
  445 (CUDA 11.0) or
  newer
PTX runs on 2 of 2
targets, CUDA C on 2.

"""
    )


def test_a_terminal_without_unicode_gets_ascii():
    text = printed(MatrixTable(PAIR), encoding="ascii")
    assert "sm_75              |  40 |x 1 |             x 2 |       x 4\n" in text


def test_the_widest_pair_fits_80_and_100_columns():
    names = ["cuda", "ptx", *(f"cuda.a_long_name_{i}@fast" for i in range(5)), "ptx.another_long_name"]
    wide = matrix(*(reach(name, *(assembling(target, 255) for target in TARGETS)) for name in names))
    for width in (80, 100):
        lines = printed(MatrixTable(wide), width=width).splitlines()
        assert max(map(len, lines)) <= width
        for name in ("a_long_name_4", "another_long_name"):
            assert any(name in line for line in lines)


def test_untried_targets_are_shown_apart_from_refused_ones():
    untried = reach("cuda", *(TargetTrial(target, UNTRIED, reason="No NVRTC.") for target in ("sm_80", "sm_90")))
    both = matrix(untried, reach("ptx", assembling("sm_80", 8), assembling("sm_90", 8)))
    assert (
        printed(MatrixTable(both))
        == """\
tiles

target  cuda  ptx
─────────────────
sm_80    - 1    8
sm_90    - 1    8

1 cuda on every target: No NVRTC.
i JIT of ptx: GPUs from sm_80 on, by driver 445 (CUDA 11.0) or newer
PTX runs on 2 of 2 targets, CUDA C was not tried.

"""
    )


def test_cells_show_the_chosen_value_or_a_dash():
    shares = {"sm_75": None, "sm_80": 0.5}
    one = matrix(reach("ptx", assembling("sm_75", 40), assembling("sm_80", 32), occupancy=shares))
    values = {
        name: [cells[0].value for _, cells in table(one, name)[0]]
        for name in ("registers", "spills", "sass", "occupancy")
    }
    assert values == {
        "registers": ["40", "32"],
        "spills": ["0", "0"],
        "sass": ["40", "40"],
        "occupancy": ["-", "50"],
    }


CLOSINGS = [
    ([CUDA, PTX], "PTX runs on 7 of 8 targets, CUDA C on 8."),
    ([PTX], "PTX runs on 7 of 8 targets."),
    ([FAMILY], "ptx.family runs on 3 of 8 targets."),
    ([FAMILY, LOCKED], "ptx.family runs on 3 of 8 targets, ptx.tensor_cores on 1."),
    ([reach("a", *FAMILY.trials.values()), reach("b", *FAMILY.trials.values())], "a and b run on 3 of 8 targets."),
    ([PTX, reach("ptx.same", *PTX.trials.values())], "PTX runs on 7 of 8 targets."),  # nothing to add
    ([reach("ptx", assembling("sm_80", 8))], "PTX runs on 1 of 1 target."),
    ([reach("cuda", TargetTrial("sm_80", UNTRIED))], "CUDA C was not tried."),
]  # fmt: skip


@pytest.mark.parametrize(("reaches", "words"), CLOSINGS)
def test_the_closing_sentence_counts_the_targets_of_each_side(reaches, words):
    assert closing(matrix(*reaches)) == words


SPANS = [
    ([],                                     ""),
    (["sm_80"],                              "sm_80"),
    (["sm_80", "sm_86"],                     "sm_80, sm_86"),
    (["sm_80", "sm_86", "sm_90"],            "sm_80 to sm_90"),
    (["sm_75", "sm_86", "sm_90", "sm_90a"],  "sm_75, sm_86 to sm_90a"),
    (TARGETS,                                "every target"),
]  # fmt: skip


@pytest.mark.parametrize(("chosen", "words"), SPANS)
def test_neighbouring_targets_are_shown_as_a_range(chosen, words):
    assert target_ranges(chosen, TARGETS) == words


def test_forms_of_one_architecture_are_written_as_the_manual_does():
    assert (forms(["sm_90"]), forms(["sm_100", "sm_100f"])) == ("sm_90", "sm_{100,100f}")


SETMAXNREG = need(
    16, "setmaxnreg.inc.sync.aligned.u32", None, "Instruction 'setmaxnreg' not supported on .target 'sm_90'"
)

REASONS = [
    # the line that asks for most, not the first
    (refused("sm_75", need(7, "red.add", "sm_80 or higher"), need(9, "red.v4", "sm_90 or higher")),
     "tiles.ptx:9: red.v4 needs sm_90 or higher, and 1 more line"),
    (refused("sm_75", need(9, "red.v4", "sm_90 or higher"), *(need(n, "red.add", "sm_80 or higher") for n in (7, 8))),
     "tiles.ptx:9: red.v4 needs sm_90 or higher, and 2 more lines"),
    # an architecture is more than a version of PTX, and what no later target promises is more than an architecture
    (refused("sm_75", need(9, "red.v4", "PTX 8.6 or later"), need(7, "red.add", "sm_80 or higher")),
     "tiles.ptx:7: red.add needs sm_80 or higher, and 1 more line"),
    (refused("sm_75", need(7, "red.add", "sm_120 or higher"), WGMMA),
     "tiles.ptx:40: wgmma.fence.sync.aligned needs another target, and 1 more line"),
    # two needs of one line are one line
    (refused("sm_75", need(7, "red.add", "sm_80 or higher"), need(7, "red.add", "sm_90 or higher")),
     "tiles.ptx:7: red.add needs sm_90 or higher"),
    (refused("sm_75", need(7, "red.add", "PTX 8.6 or later")), "tiles.ptx:7: red.add needs PTX 8.6 or later"),
    # nowhere at all, as far as was tried
    (refused("sm_75", WGMMA), "tiles.ptx:40: wgmma.fence.sync.aligned needs another target"),
    (refused("sm_75", need(3, "", None, "Unexpected end")), "tiles.ptx:3: Unexpected end"),
    (refused("sm_75", need(None, "", None, "uses too much shared data")), "tiles.ptx: uses too much shared data"),
    (refused("sm_75", mismatch=True), "its .target, sm_80, is too high, but no instruction needs it"),
    (refused("sm_75", reason="a.cu:7: no. NVRTC 13.5.37 cannot compile this for sm_75; correct the CUDA C there."),
     "a.cu:7: no"),
    (refused("sm_75", reason="a.ptx:7: no. ptxas 13.5.37 cannot assemble this for sm_75."), "a.ptx:7: no"),
    (refused("sm_75", reason="a.ptx has no kernel 'a'."), "a.ptx has no kernel 'a'."),
]  # fmt: skip


@pytest.mark.parametrize(("trial", "words"), REASONS)
def test_a_refusal_names_the_line_with_the_highest_requirement(trial, words):
    assert failure_words(trial, reach("ptx", trial)) == words


def test_an_instruction_needs_the_targets_that_have_it_even_if_they_refuse_the_file():
    """ptxas says only that plain sm_90 lacks it; sm_100a takes the line, and refuses the .target of the file."""
    trials = [
        refused("sm_90", SETMAXNREG, mismatch=True),
        assembling("sm_90a", 8),
        refused("sm_100", SETMAXNREG, mismatch=True),
        refused("sm_100a", mismatch=True),
    ]
    assert (
        requirement_words(SETMAXNREG, reach("ptx", *trials)) == "setmaxnreg.inc.sync.aligned.u32 needs sm_90a, sm_100a"
    )


def test_a_variant_that_no_target_takes_has_no_jit_line():
    lost = reach("ptx.lost", *(refused(target, COPY) for target in TARGETS))
    assert list(jit_lines(matrix(lost))) == []
    assert [line.split(":")[0] for line in jit_lines(matrix(lost, LOCKED))] == ["JIT of ptx.tensor_cores"]


LOGS = [
    ("ptxas info    : (C7508) lost", "(C7508) lost"),
    ("ptxas tiles.ptx:7; warning : old", "tiles.ptx:7: old"),
    ("something else", "something else"),
]  # fmt: skip


@pytest.mark.parametrize(("log", "words"), LOGS)
def test_warnings_are_reported_once_with_their_targets(log, words):
    warned = reach(
        "ptx", assembling("sm_80", 8, log=log), assembling("sm_86", 8, log=f"{log}\n{log}"), assembling("sm_90", 8)
    )
    assert list(warnings(matrix(warned))) == [f"ptx on sm_80, sm_86: {words}"]


def test_the_compiler_of_cuda_c_is_unusual_and_that_of_another_language_is_expected():
    log = "compiled by nvcc 13.2"
    both = matrix(reach("cuda", assembling("sm_80", 8, log=log)), reach("ptx", assembling("sm_80", 8, log=log)))
    assert list(warnings(both)) == [f"cuda on sm_80: {log}"]
    assert list(compiler_lines(both)) == [f"ptx on sm_80: {log}"]


def test_the_header_names_the_tools_and_the_last_line_the_builds():
    versions = {"ptxas": "13.5.37", "nvrtc": None}
    assert header(versions, ["sm_90"], "sass") == (
        "SASS instructions, by ptxas 13.5.37 without NVRTC, for 1 target. Nothing is run."
    )
    assert total([PAIR, matrix(CUDA)]) == "27 of 40 builds assemble: 5 variants of 2 pairs or files."


def test_markdown_holds_the_same_table_and_notes():
    survey = Survey({"ptxas": "13.5.37", "nvrtc": "13.5.37"}, TARGETS, [matrix(CUDA, PTX)], "registers")
    assert (
        to_markdown(survey)
        == """\
Registers of a thread, by ptxas 13.5.37 and NVRTC 13.5.37, for 8 targets. Nothing is run.

### tiles

| target | `cuda` | `ptx` |
|:--|--:|--:|
| `sm_75` | 40 | **x** (1) |
| `sm_80` | 32 | 30 |
| `sm_86` | 32 | 30 |
| `sm_{90,90a}` | 32 | 30 |
| `sm_{100,100f,100a}` | 32 | 100 |

- (1) ptx on sm_75: tiles.ptx:21: cp.async.cg.shared.global needs sm_80 or higher, and 1 more line
- JIT of ptx: GPUs from sm_80 on, by driver 445 (CUDA 11.0) or newer

PTX runs on 7 of 8 targets, CUDA C on 8.

JIT of CUDA C (the PTX of NVRTC has .version 9.5): by drivers that read .version 9.5; ptxbench does not know the first \
one.

15 of 16 builds assemble: 2 variants of 1 pair or file.
"""
    )
    assert compiled_line([matrix(PTX)]) is None


def test_a_variant_that_was_tried_for_some_targets_counts():
    untried = TargetTrial("sm_60", UNTRIED, reason="NVRTC 13.5 is too new for sm_60.")
    some = matrix(reach("cuda", untried, assembling("sm_90", 32)), reach("ptx", untried, assembling("sm_90", 30)))
    assert closing(some) == "PTX runs on 1 of 2 targets, CUDA C on 1."


def test_a_file_of_a_family_is_for_the_gpus_of_its_own_targets():
    trials = [
        assembling("sm_90", 30, version="8.0", of="sm_90"),
        *(assembling(target, 30, version="8.0", of="sm_90") for target in ("sm_100", "sm_120")),
        assembling("sm_100f", 30, version="8.8", of="sm_100f"),
    ]
    source = Source("ptx", "ptx", Path("t.ptx"), "t", specialisations=(("sm_100f", Path("t.sm_100f.ptx")),))
    results = TargetResults(source, {trial.target: trial for trial in trials})
    assert [*jit_lines(matrix(results))] == [
        "JIT of ptx: GPUs from sm_90 on, by driver 525 (CUDA 12.0) or newer",
        "JIT of t.sm_100f.ptx: GPUs of sm_100f's family alone, sm_100, by driver 575 (CUDA 12.9) or newer",
    ]
