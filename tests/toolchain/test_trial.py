"""One source for one target, with the available tools: the result, or the reason for no result.

Availability is not monotone: what sm_90a has, neither sm_90 nor any later target has.
"""

import dataclasses
import random
import re

import pytest

from ptxbench import architecture, cache, toolchain
from ptxbench.architecture import accepts
from ptxbench.errors import PairError, ToolMissing
from ptxbench.toolchain import cubin, locate, nvrtc, ptxas
from ptxbench.toolchain.trial import (
    ASSEMBLES,
    REFUSED,
    UNTRIED,
    Requirement,
    attempt,
    directive,
    needs,
    newest_version,
    targets,
)
from tests.emulator.spelled import module, refusals
from tests.emulator.test_spellings import shuffled as spellings
from tests.folders import changed

from .conftest import CUDA, PTX

FENCES = changed(
    PTX.replace("6.3", "8.0").replace("sm_75", "sm_90a"), "    bar.sync             0;\n",
    "    bar.sync             0;\n    wgmma.fence.sync.aligned;\n",
)  # fmt: skip
REDUX = changed(
    PTX.replace("6.3", "8.8").replace("sm_75", "sm_100f"), "    bar.sync             0;\n",
    "    bar.sync             0;\n    redux.sync.max.f32   %value, %value, -1;\n",
)  # fmt: skip
COPIES = changed(PTX.replace("6.3", "7.8").replace("sm_75", "sm_90"), "bar.sync             0;", "cp.async.wait_all;")


@pytest.fixture
def attempts(tmp_path):
    """Tries a text as a file named after its entry."""

    def attempts(text, target, entry="twice", *, language="ptx", **options):
        path = tmp_path / f"{entry}{'.cu' if language == 'cuda' else '.ptx'}"
        path.write_text(text, encoding="utf-8")
        return attempt(path, language=language, entry=entry, target=target, **options)

    return attempts


def test_the_targets_are_the_ptxas_targets_from_sm_75_on_in_order():
    all_targets = targets()
    assert all_targets[:3] == ("sm_75", "sm_80", "sm_86")
    assert all_targets.index("sm_90") + 1 == all_targets.index("sm_90a")
    assert all_targets.index("sm_120") + 1 == all_targets.index("sm_120f") == all_targets.index("sm_120a") - 1
    assert list(map(architecture.number, all_targets)) == sorted(map(architecture.number, all_targets))


def test_without_ptxas_there_are_no_targets(no_wheels):
    with pytest.raises(
        ToolMissing, match=r"^ptxas, which alone knows what a target supports, is not installed: pip install"
    ):
        targets()


RUNS = [
    #  text    target     runs
    (PTX,     "sm_75",    True),
    (PTX,     "sm_120a",  True),   # plain PTX goes to every later target, with a suffix or without
    (FENCES,  "sm_90",    False),  # lower than its locked target
    (FENCES,  "sm_90a",   True),
    (FENCES,  "sm_100",   False),  # later, and without it
    (FENCES,  "sm_100a",  False),
    (REDUX,   "sm_90a",   False),
    (REDUX,   "sm_100",   True),   # the plain target accepts its own family's PTX
    (REDUX,   "sm_103a",  True),
    (REDUX,   "sm_110f",  False),  # another family
    (REDUX,   "sm_120",   False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "target", "runs"), RUNS)
def test_the_targets_that_take_a_text_match_ptxas(attempts, text, target, runs):
    tried = attempts(text, target)
    assert tried.status == (ASSEMBLES if runs else REFUSED)
    assert (tried.registers is not None) == (tried.sass is not None) == (tried.code is not None) == runs


def need(line, instruction, requires, message):
    return Requirement("twice.ptx", line, instruction, requires, message)


NEEDS = [
    # its .target is too high, and so are its instructions
    (COPIES, "sm_75", True, [need(25, "cp.async.wait_all", "sm_80 or higher",
                                  "Feature 'cp.async.wait_all' requires .target sm_80 or higher")]),
    # its .target alone
    (COPIES, "sm_80", True, []),
    # locked to another target; ptxas does not say to which
    (FENCES, "sm_90", True, [need(26, "wgmma.fence.sync.aligned", None,
                                  "Instruction 'wgmma.fence' not supported on .target 'sm_90'")]),
    (REDUX, "sm_120", True, [need(26, "redux.sync.max.f32", None,
                                  "Instruction 'redux.f32' not supported on .target 'sm_120'")]),
    # ptxas names a line of its own macro before the line of the text
    (REDUX, "sm_80", True, [need(26, "redux.sync.max.f32", None,
                                 "Instruction 'redux.f32' not supported on .target 'sm_80'")]),
    # its .target fits, but it uses a missing feature
    (COPIES.replace("sm_90", "sm_75"), "sm_90", False, [
        need(25, "cp.async.wait_all", "sm_80 or higher",
             "Feature 'cp.async.wait_all' requires .target sm_80 or higher"),
    ]),
    # its .version is too low
    (COPIES.replace("7.8", "6.5").replace("sm_90", "sm_75"), "sm_90", False, [
        need(25, "cp.async.wait_all", "PTX 7.0 or later",
             "Feature 'cp.async.wait_all' requires PTX ISA .version 7.0 or later"),
        need(25, "cp.async.wait_all", "sm_80 or higher",
             "Feature 'cp.async.wait_all' requires .target sm_80 or higher"),
    ]),
    # the name of the file, not of the copy that ptxas reads
    ("hello\n", "sm_90", False, [
        need(1, "hello", None, "Missing .version directive at start of file 'twice.ptx'"),
    ]),
    # no line, because ptxas gives none
    (PTX.replace("values[64]", "values[64000]"), "sm_90", False, [
        need(None, "", None, "Entry function 'twice' uses too much shared data (0x3e800 bytes, 0xc000 max)"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "target", "mismatch", "requirements"), NEEDS)
def test_a_refusal_names_the_instruction_its_line_and_what_it_needs(attempts, text, target, mismatch, requirements):
    tried = attempts(text, target)
    assert (tried.status, tried.mismatch, sorted(tried.needs, key=str)) == (
        REFUSED,
        mismatch,
        sorted(requirements, key=str),
    )


def test_a_text_with_a_version_too_old_for_the_target_is_tried_with_the_newest(attempts):
    """.version 8.0 does not know sm_120, but the question is which features of the text sm_120 lacks."""
    tried = attempts(changed(FENCES, "wgmma.fence.sync.aligned", "setmaxnreg.inc.sync.aligned.u32 64"), "sm_120")
    assert [(need.line, need.instruction) for need in tried.needs] == [(26, "setmaxnreg.inc.sync.aligned.u32")]
    assert "version" not in tried.needs[0].message
    version = newest_version(locate.program("ptxas"))
    assert float(version) >= 8.8


GUARDED = [
    ("@%past bra DONE;",              "bra"),
    ("@!%past st.global.f32 [%a], 1", "st.global.f32"),
    ("TOP: add.u32 %a, %a, 1;",       "add.u32"),
    ("{ mov.b32 %a, 1; }",            "mov.b32"),
    ("    ld.global.nc.L1::no_allocate.u32 %a, [%x];", "ld.global.nc.L1::no_allocate.u32"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "instruction"), GUARDED)
def test_the_instruction_of_a_line_is_found_behind_guard_label_and_brace(tmp_path, line, instruction):
    requirements = needs("ptxas kernel.ptx, line 2; error   : No", f"// first\n{line}\n", tmp_path / "x.ptx", "ptx")
    assert [(need.file, need.line, need.instruction) for need in requirements] == [("x.ptx", 2, instruction)]


BLAMED = [
    ("Rounding modifier required for instruction 'fma'", "fma.f32"),
    ("Feature 'ld.v8.b32' requires .target sm_100 or higher", "ld.v8.b32"),
    (" No more registers..", "mov.u32"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "instruction"), BLAMED)
def test_of_several_instructions_on_a_line_the_one_that_the_message_names_is_blamed(tmp_path, message, instruction):
    text = "{ mov.u32 %a, 1; @%p ld.v8.b32 {%a}, [%x]; fma.f32 %f, %f, %f, %f; }\n"
    (need,) = needs(f"ptxas kernel.ptx, line 1; error   : {message}", text, tmp_path / "x.ptx", "ptx")
    assert (need.instruction, need.message) == (instruction, message.strip(" ."))


WITH_ASM = changed(CUDA, "y[i] = a * x[i];", 'asm("redux.sync.max.f32 %0, %1, -1;" : "=f"(y[i]) : "f"(x[i]));')


def test_asm_in_cuda_c_is_refused_by_its_cuda_c_line(attempts):
    tried = attempts(WITH_ASM, "sm_120a", "scale", language="cuda")
    assert (tried.status, tried.ptx_target, tried.mismatch) == (REFUSED, "sm_120a", False)
    assert [(need.file, need.line, need.instruction) for need in tried.needs] == [("scale.cu", 7, "redux.sync.max.f32")]
    assert attempts(WITH_ASM, "sm_100a", "scale", language="cuda").status == ASSEMBLES
    assert attempts(WITH_ASM, "sm_100", "scale", language="cuda").status == REFUSED  # plain PTX cannot say it


def test_cuda_c_that_nvrtc_refuses_is_a_refusal_with_its_line(attempts):
    guarded = CUDA + "#if __CUDA_ARCH__ < 800\n#error too old\n#endif\n"
    tried = attempts(guarded, "sm_75", "scale", language="cuda")
    assert tried.status == REFUSED
    assert tried.reason.startswith("scale.cu:10: ")
    assert attempts(guarded, "sm_80", "scale", language="cuda").status == ASSEMBLES


def test_version_and_target_are_read_from_the_text(attempts):
    assert (attempts(REDUX, "sm_100").ptx_version, attempts(REDUX, "sm_100").ptx_target) == ("8.8", "sm_100f")
    compiled = attempts(CUDA, "sm_86", "scale", language="cuda")
    assert (compiled.ptx_version, compiled.ptx_target) == (newest_version(locate.program("ptxas")), "sm_86")
    assert directive("// no .version here\n", "version") is None


def test_figures_match_a_build(attempts, build):
    for target in ("sm_75", "sm_90a", "sm_120"):
        report = build(PTX, "twice", arch=target).report
        tried = attempts(PTX, target)
        assert (tried.registers, tried.spill_bytes, tried.shared_bytes, tried.sass, tried.code) == (
            report.registers, 0, 256, report.sass["total"], report.sass_sha256,
        )  # fmt: skip


def test_code_that_is_not_there_has_no_instructions(build):
    code = cubin.read(build(PTX, "twice").cubin)
    assert cubin.instructions(code, "thrice") is None
    assert cubin.instructions(code, "twice") > 10


def test_a_file_without_the_kernel_that_it_is_named_after_is_refused(attempts):
    tried = attempts(PTX, "sm_90", "thrice")
    assert (tried.status, tried.reason) == (
        REFUSED, "thrice.ptx has no kernel 'thrice'; it has twice. Name it 'thrice'.",
    )  # fmt: skip


def test_text_that_is_not_ascii_is_refused(attempts):
    assert "not ASCII" in attempts(PTX.replace("// twice", "twïce"), "sm_90").reason


def test_cuda_c_is_not_tried_without_nvrtc(attempts, monkeypatch):
    def find():
        raise ToolMissing("No NVRTC, which compiles CUDA C.")

    monkeypatch.setattr(nvrtc, "find", find)
    tried = attempts(CUDA, "sm_90", "scale", language="cuda")
    assert (tried.status, tried.reason) == (UNTRIED, "No NVRTC, which compiles CUDA C.")


def test_cuda_c_is_not_tried_if_ptxas_is_older_than_nvrtc(attempts, monkeypatch):
    def assembled(*_, **__):
        raise ptxas.RefusedError(
            "ptxas kernel.ptx, line 9; fatal   : Unsupported .version 9.5; current version is '9.0'"
        )

    monkeypatch.setattr(toolchain, "assembled", assembled)
    tried = attempts(CUDA + "__device__ int other;\n", "sm_90", "scale", language="cuda")
    assert (tried.status, tried.reason.partition(" ptxas")[0]) == (UNTRIED, "NVRTC is newer than")


def test_a_target_that_nvrtc_does_not_know_counts_as_untried(attempts):
    tried = attempts(CUDA, "sm_60", "scale", language="cuda")
    assert tried.status == UNTRIED
    assert re.search(r"cannot compile for 'sm_60'", tried.reason)


def test_an_unknown_option_is_an_error_of_the_pair(attempts):
    with pytest.raises(PairError, match="--fast_maths"):
        attempts(CUDA, "sm_90", "scale", language="cuda", flags=["--fast_maths"])


@pytest.mark.parametrize(("text", "target"), [(PTX, "sm_90"), (COPIES, "sm_75")])
def test_an_attempt_is_cached_even_if_it_was_refused(attempts, monkeypatch, text, target):
    first = attempts(text, target)

    def assemble(*_):
        raise AssertionError("assembled again")

    monkeypatch.setattr(ptxas, "assemble", assemble)
    assert attempts(text, target) == first
    with pytest.raises(AssertionError, match="assembled again"):
        attempts(text + "// changed\n", target)


def test_a_record_of_other_code_is_not_read(attempts, monkeypatch):
    """After an update, the cache may hold records of the version before."""
    first = attempts(PTX, "sm_86")
    monkeypatch.setattr(cache, "code_version", lambda *_: "another")
    monkeypatch.setattr(cubin, "instructions", lambda *_: 7)
    assert attempts(PTX, "sm_86") == dataclasses.replace(first, sass=7)


# text, target: what ptxas says of them, with and without machine code
READ = [
    (PTX, "sm_75", ASSEMBLES),
    (PTX, "sm_120", ASSEMBLES),
    (FENCES, "sm_90a", ASSEMBLES),
    (FENCES, "sm_90", REFUSED),
    (FENCES, "sm_100", REFUSED),
    (REDUX, "sm_80", REFUSED),
    (COPIES, "sm_80", REFUSED),
    (changed(PTX, "bar.sync             0;", "bar.sink             0;"), "sm_90", REFUSED),
]


@pytest.mark.parametrize(("text", "target", "status"), READ)
def test_a_text_is_read_for_a_target_without_its_code_with_the_same_answer(text, target, status, attempts, monkeypatch):
    trials = attempts(text, target)
    monkeypatch.setattr(cache, "known", lambda key: None)
    read = attempts(text, target, code=False)
    answers = [(outcome.status, outcome.mismatch, outcome.needs, outcome.reason) for outcome in (trials, read)]
    assert answers[0] == answers[1]
    assert read.status == status
    assert (read.registers, read.code) == (None, None)


def test_what_only_the_code_shows_is_not_found_without_it(attempts):
    large = changed(PTX, "values[64]", "values[64000]")
    assert attempts(large, "sm_90").status == REFUSED
    assert attempts(large, "sm_90", code=False).status == ASSEMBLES


RULE = [
    # a text that ptxas accepts for `target`
    ("sm_90a", FENCES),
    ("sm_75",  "every instruction"),
    ("sm_90",  "every instruction"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "text"), RULE)
def test_ptxas_reads_a_text_for_exactly_the_targets_of_its_rule(target, text):
    if text == "every instruction":
        lines = list(spellings(random.Random(1)))
        text = module(
            [line for line, refusal in zip(lines, refusals(lines, target), strict=True) if not refusal], target
        )
    tool = locate.program("ptxas")

    def reads(other):
        try:
            ptxas.accept(tool, text, other)
        except ptxas.RefusedError:
            return False
        return True

    assert reads(target)
    some = targets()[::4]
    assert {other: reads(other) for other in some} == {other: accepts(other, target) for other in some}
