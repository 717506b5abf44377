"""What the stages report besides rejections: warnings, cases without a verdict, stages skipped without a tool."""

import dataclasses
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench.check.candidate_launcher import SAME_STORE_HINT, UPDATE_HINT, CandidateLauncher
from ptxbench.check.comparison import heavier, slower
from ptxbench.check.launching import LaunchOptions, launch
from ptxbench.check.locations import Locations
from ptxbench.check.reading import CandidateText
from ptxbench.check.residency import misfit
from ptxbench.check.source import inline_assembly
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.check.variations import aspects, fails_with, varied
from ptxbench.emulator.chain import run_steps
from ptxbench.emulator.findings import SanitizerFinding
from ptxbench.errors import Deadlock, EmulatorCrash
from ptxbench.launch import Launch
from ptxbench.result import BuildReport
from ptxbench.toolchain import trial
from tests.check.judging import KERNELS, judged, outcome, suite
from tests.folders import changed

HOSTILE = Path(__file__).with_name("hostile")
HONEST = (HOSTILE / "honest.ptx").read_text()
HONEST_CU = (HOSTILE / "honest.cu").read_text()


def codes(judgement):
    return [finding.code for finding in judgement.findings]


def honest(text, **settings):
    return judged(HOSTILE / "honest.ptx", "triad", text.encode(), **settings)


def test_ptx_that_ptxas_takes_and_the_emulator_cannot_read_is_left_without_a_verdict():
    judgement = honest(HONEST.replace("%tid.x", "%tid .x", 1))
    assert outcome(judgement) == "parses not-readable"
    assert judgement.verdict == "unjudged"
    assert judgement.decisive.line == 25


def test_operands_that_ptxas_takes_and_the_emulator_does_not_are_left_without_a_verdict():
    load = re.search(r"ld\.param\.u32\s+(%\w+), (\[\w+\]);", HONEST)
    wide = f".reg .u64 %wide; ld.param.u64 %wide, {load[2]}; cvt.u32.u64 {load[1]}, %wide;"
    judgement = honest(HONEST.replace(load[0], wide))
    assert (outcome(judgement), judgement.verdict) == ("results unsupported", "unjudged")
    assert [result.stage for result in judgement.stages][-2:] == ["assembles", "results"]
    assert judgement.decisive.line == HONEST[: load.start()].count("\n") + 1
    assert judgement.decisive.message.endswith(f"reads 8 bytes at byte 0 of '{load[2][1:-1]}', which has 4.")


LAST_STAGES = ("results", "assembles")
NOT_RUN = [
    # text, its last stages and code
    ("fma.rn.f32", "fma.rn.s16", ["assembles"], "refused"),  # the emulator cannot run it, and ptxas refuses it
    ("ld.param.u64", "ld.param.b128", ["assembles"], "refused"),
    (".version 6.3", ".version 6.2", ["results", "assembles"], "refused"),  # only ptxas knows which targets it has
    ("fma.rn.f32", "testp.number.f32", ["assembles"], "refused"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "last", "code"), NOT_RUN)
def test_ptxas_decides_on_a_text_that_the_emulator_cannot_run(old, new, last, code):
    judgement = honest(HONEST.replace(old, new, 1))
    assert outcome(judgement) == f"assembles {code}"
    assert [result.stage for result in judgement.stages if result.stage in LAST_STAGES] == last


def test_a_comparison_with_one_operand_is_left_to_ptxas():
    judgement = honest(re.sub(r"(setp\.\S+\s+%\w+, %\w+), [^;]+;", r"\1;", HONEST, count=1))
    assert outcome(judgement) == "assembles refused"
    assert "setp" in judgement.decisive.message


def test_inline_ptx_in_cuda_c_is_reported():
    text = HONEST_CU.replace("const unsigned i", 'asm volatile("nanosleep.u32 1;");\n        const unsigned i')
    judgement = judged(HOSTILE / "honest.cu", "triad", text.encode())
    assert judgement.verdict == "accepted"
    warning = next(finding for finding in judgement.findings if finding.code == "inline-asm")
    assert warning.line == 10


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("#include <cuda_fp16.h>\n", None),  # whose functions have inline PTX
        ('// asm\n/* asm */ const char* name = "asm";', None),
        ('void f() {\n    asm volatile("ret;"); }', 2),
        ('void f() { __asm__("ret;"); }', 1),
        ("\n#define PTX asm\n", 2),
        ("#define PTX as\\\nm\n", 1),
        ("#define PTX a##sm\n", 1),
        ("%:define PTX a%:%:sm\n", 1),
    ],
)
def test_only_inline_ptx_of_the_text_itself_counts(text, line):
    assert inline_assembly(text.encode()) == line


def test_a_fault_in_cuda_c_has_its_line_and_the_name_of_the_pairs_argument():
    judgement = judged(HOSTILE / "honest.cu", "triad", changed(HONEST_CU, "if (i < n)", "if (i <= n)").encode())
    assert outcome(judgement) == "results memory-fault"
    assert "fmaf(s, c[i], b[i])" in HONEST_CU.splitlines()[judgement.decisive.line - 1]
    assert re.search(r" reads byte \d+ of '[bc]', which has ", judgement.decisive.message)


@pytest.mark.parametrize(
    ("new", "place"),
    [("add.u64 %at, %offset, 0;", "address 0x0, which is in no buffer."), ("sub.u64 %at, %b, 4;", "byte -4 of 'b',")],
)
def test_the_hint_of_an_access_before_an_array_or_in_none_is_its_address(new, place):
    judgement = honest(changed(HONEST, "add.u64             %at, %b, %offset;", new), stages=("parses", "results"))
    assert outcome(judgement) == "results memory-fault"
    assert place in judgement.decisive.message
    assert judgement.decisive.hint == "Check how that line computes its address, and its guard."


def test_a_fault_in_dynamic_shared_memory_says_how_much_the_launch_gives():
    text = HONEST_CU.replace("if (i < n)", "kept[threadIdx.x] = own[threadIdx.x % 8] = 1;\n    if (i < n)")
    text = changed(text, 'extern "C"', 'extern __shared__ float kept[];\n__shared__ float own[8];\nextern "C"')
    judgement = judged(HOSTILE / "honest.cu", "triad", text.encode(), stages=("parses", "results"))
    assert outcome(judgement) == "results memory-fault"
    assert judgement.decisive.hint.startswith("The pair's launch gives a CTA 0 bytes of dynamic shared memory")


def test_an_unwritten_output_is_reported_with_the_launch():
    text = changed(HONEST_CU, "if (i < n)", "if (i < n && threadIdx.x < 64)")
    judgement = judged(HOSTILE / "honest.cu", "triad", text.encode(), stages=("parses", "results"))
    assert outcome(judgement) == "results output-unwritten"
    assert judgement.decisive.hint.endswith("The pair's launch is Launch(grid=1, block=256) there.")


COPY = """extern "C" __global__ void copy_hints(const uint4* x, uint4* y, unsigned vectors)
{
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < vectors; i += gridDim.x * blockDim.x)
        STORE
}
"""


@pytest.mark.parametrize(
    ("store", "code"),
    [
        ("if (i % 4) y[i] = x[i];", "output-unwritten"),
        ("y[i] = i % 4 ? x[i] : make_uint4(~0u, ~0u, ~0u, ~0u);", "wrong-result"),
    ],
)
def test_minus_one_is_not_taken_for_an_unwritten_element(store, code):
    text = COPY.replace("STORE", store)
    judgement = judged(Path("copy_hints.cu"), "copy_hints", text.encode(), stages=("parses", "results"))
    assert outcome(judgement) == f"results {code}"


def test_a_result_that_depends_on_which_lanes_are_active_is_reported_at_the_line_of_the_mask():
    text = changed(HONEST_CU, "if (i < n)", "const unsigned lanes = __activemask();\n    if (i < n && lanes == ~0u)")
    judgement = judged(HOSTILE / "honest.cu", "triad", text.encode(), stages=("parses", "repeats"))
    assert outcome(judgement) == "repeats schedule"
    assert "__activemask" in text.splitlines()[judgement.decisive.line - 1]
    assert judgement.decisive.hint.startswith("activemask (in CUDA C __activemask()) gives the lanes that run")


THROUGH_SHARED = """extern "C" __global__ void copy_hints(const uint4* x, uint4* y, unsigned vectors)
{
    __shared__ uint4 kept[256];
    for (unsigned first = blockIdx.x * blockDim.x; first < vectors; first += gridDim.x * blockDim.x) {
        const unsigned i = first + threadIdx.x, other = first + (threadIdx.x ^ 32);
        kept[threadIdx.x ^ 32] = other < vectors ? x[other] : make_uint4(1, 1, 1, 1);
        __syncthreads();
        if (i < vectors) y[i] = kept[threadIdx.x];
        __syncthreads();
    }
}
"""


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("1, 1);\n        __syncthreads();", "1, 1);\n\n", "The sanitizer finds race in line 6: st.shared"),
        ("kept[threadIdx.x];", "kept[threadIdx.x ^ 1];", "The largest check size shows more"),
    ],
)
def test_the_hint_of_a_wrong_result_is_a_missing_barrier_if_there_is_one(old, new, hint):
    text = changed(THROUGH_SHARED, old, new).encode()
    judgement = judged(Path("copy_hints.cu"), "copy_hints", text, stages=("parses", "results"))
    assert outcome(judgement) == "results wrong-result"
    assert judgement.decisive.hint.startswith(hint)


BINS = """extern "C" __global__ void histogram256(const unsigned char* x, unsigned* bins, unsigned n)
{
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&bins[x[i]], 1);
}
"""


@pytest.mark.parametrize(
    ("add", "hint"),
    [
        ("bins[x[i]]++", "The sanitizer finds race in line 4: "),
        ("atomicAdd(&bins[x[i]], 2)", "The largest check size shows more"),
    ],
)
def test_the_hint_of_a_wrong_sum_is_a_missing_atomic_if_there_is_none(add, hint):
    text = changed(BINS, "atomicAdd(&bins[x[i]], 1)", add)
    judgement = judged(Path("histogram256.cu"), "histogram256", text.encode(), stages=("parses", "results"))
    assert outcome(judgement) == "results wrong-result"
    assert judgement.decisive.hint.startswith(hint)
    assert judgement.decisive.hint.endswith(UPDATE_HINT) == ("race" in hint)


@pytest.mark.parametrize(
    ("store", "hint"),
    [
        ("a[i % 512] = ", SAME_STORE_HINT),
        ("a[i] = a[i % 512] + ", None),
        ("atomicAdd(a, c[i]); a[i] = ", None),
    ],
)
def test_the_hint_about_two_ctas_that_store_to_one_element_asks_which_of_them_should(store, hint):
    text = changed(HONEST_CU, "a[i] = ", store)
    judgement = judged(HOSTILE / "honest.cu", "triad", text.encode(), stages=("parses", "sanitizer"))
    assert (judgement.decisive.hint == SAME_STORE_HINT) == (hint is not None), judgement.decisive


def test_the_hint_of_a_wrong_result_is_a_shuffle_from_a_thread_that_has_exited():
    text = (KERNELS / "cuda" / "softmax.warp.cu").read_text()
    early = changed(text, "if (row >= rows)", "if (row >= rows || threadIdx.x % 32 > 29)").encode()
    judgement = judged(Path("softmax.warp.cu"), "softmax.warp", early, stages=("parses", "results"))
    assert outcome(judgement) == "results wrong-result"
    assert judgement.decisive.hint.startswith("The sanitizer finds member-mask in line 18: shfl.sync.bfly.b32")


def test_a_wrong_result_of_a_matrix_instruction_by_a_part_of_a_warp_has_that_as_its_hint():
    transposed = (
        "unsigned ones = 0x3c003c00u;\n    if (threadIdx.x % 32 < 16)\n"
        '        asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %0;" : "+r"(ones));\n'
        "    if (ones != 0x3c003c00u)\n        s += 1;\n    if (i < n)"
    )
    judgement = judged(HOSTILE / "honest.cu", "triad", changed(HONEST_CU, "if (i < n)", transposed).encode())
    assert outcome(judgement) == "results wrong-result"
    assert judgement.decisive.hint.startswith("The sanitizer finds partial-warp in line ")


@pytest.mark.parametrize(
    ("old", "new", "end", "hint"),
    [
        ("ld.param.u64        %a, [a];", "", "memory-fault", "reads '%a' before it was written."),
        ("ld.global.nc.f32       %y, [%at];", "", "wrong-result", "reads '%y' before it was written."),
        ("mov.u32             %block, %ctaid.x;", "", "output-unwritten", "reads '%block' before it was written."),
        ("%i, %n;", "%i, %step;", "output-unwritten", "reads '%step' before it was written."),
        # a register that only some threads write, and only they read
        ("mov.u32             %block, %ctaid.x;", "setp.lt.u32 %more, %thread, 8; @%more mov.u32 %step, 9;"
         "mov.u32 %block, 0; @%more add.u32 %block, %step, 0;", "output-unwritten", "block=256) there."),
    ],
)  # fmt: skip
def test_the_hint_of_a_wrong_result_is_a_register_that_was_never_written_if_there_is_one(old, new, end, hint):
    judgement = honest(changed(HONEST, old, new), stages=("parses", "results"))
    assert outcome(judgement) == f"results {end}"
    assert judgement.decisive.hint.endswith(hint)


def test_a_bad_access_that_keeps_a_loop_going_does_not_take_the_sanitizer_long(monkeypatch):
    fuels = []
    launch = CandidateLauncher.launch
    monkeypatch.setattr(
        CandidateLauncher, "launch", lambda self, *given: fuels.append(self.fuel) or launch(self, *given)
    )
    text = changed(HONEST, "@%outside bra       DONE;", "").replace("%i, %i, 256;", "%i, %i, %step;")
    judgement = honest(text, stages=("parses", "results"), fuel=1 << 20)
    assert outcome(judgement) == "results memory-fault"
    assert fuels == [1 << 20, 1 << 12]
    assert judgement.decisive.hint.endswith("reads '%step' before it was written.")  # found before the fuel ran out


@pytest.mark.parametrize(
    ("name", "old", "new", "end", "words"),
    [
        # lanes wait with other masks, in two copies of the loop: not what the emulator lacks
        ("softmax.warp", "(ALL, largest,", "(largest, ALL,", "member-mask", "is not in the member mask"),
        ("reduce_sum.s32", "(0xffffffff, sum)", "(sum, 0xffffffff)", "deadlock", "finds member-mask in line 24: redux"),
    ],
)
def test_lanes_that_wait_outside_of_their_masks_are_the_cause(name, old, new, end, words):
    text = changed((KERNELS / "cuda" / f"{name}.cu").read_text(), old, new).encode()
    judgement = judged(Path(f"{name}.cu"), name, text, stages=("parses", "results"))
    assert outcome(judgement) == f"results {end}"
    assert words in judgement.decisive.message + judgement.decisive.hint
    assert old.split("(")[1][:3] in text.decode().splitlines()[judgement.decisive.line - 1]


@pytest.mark.parametrize(("early", "launches"), [(True, 2), (False, 3)])
def test_a_wrong_kernel_is_launched_again_to_explain_it_only_if_it_has_accessed_anything(early, launches, tmp_path):
    text = (KERNELS / "ptx" / "reduce_sum.ptx").read_text()
    # The last launch is at the largest check size: what do its wrong elements have in common?
    wrong = changed(text, ".shared .f32 warp_sums[8];", ".shared .f32 warp_sums[8];\n    ret;") if early else changed(
        text, "%sum, 16, 31", "%sum, 15, 31"
    )  # fmt: skip
    path = tmp_path / "reduce_sum.ptx"
    path.write_text(wrong)
    checker = Checker(suite("reduce_sum"), path)
    assert [found.code for found in checker.results().findings] == ["wrong-result"]
    assert checker.launcher.launches == launches


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (
            "%s, %y, %x;\n    add.rn.f32 %result, %result, %result;",
            r"The largest .* Each is 2 times the expected value\.",
        ),
        ("%s, %x, %y;", "See the element and the size in the message; .*"),
    ],
)
def test_the_hint_of_a_wrong_result_is_what_the_wrong_elements_of_the_largest_size_have_in_common(wrong, hint):
    judgement = honest(changed(HONEST, "%s, %y, %x;", wrong), stages=("parses", "results"))
    assert outcome(judgement) == "results wrong-result"
    assert re.fullmatch(hint, judgement.decisive.hint)


def test_a_kernel_that_executes_more_than_any_variant_is_reported():
    judgement = honest(HONEST)
    assert "slower-counts" in codes(judgement)
    assert judgement.ratios["ptx"]["instructions"] > 1.5
    assert judgement.ratios["ptx"]["sass_executed"][0] > 1.5
    assert list(slower({"cuda": {"sass_executed": 2.0}, "ptx": {"sass_executed": 0.9}}, "n=1")) == []
    assert list(slower({"cuda": {"sass_executed": 2.0}, "ptx": {}}, "n=1")) == []  # ptx was not counted
    assert list(slower({}, "n=1")) == []


def test_a_message_about_a_line_of_the_ptx_alone_has_the_other_lines_of_the_cuda_c():
    program = SimpleNamespace(language="cuda", cuda_lines={459: 25})
    found = Locations(b"", program).at("sanitizer", "race", "ld reads what st at line 459 wrote.", 485)
    assert (found.line, found.message) == (
        None, "ld reads what st at line 25 wrote (line 485 of the PTX that NVRTC makes).",
    )  # fmt: skip


def test_a_finding_has_the_line_and_the_hint_that_its_message_needs():
    text = CandidateText(HOSTILE / "honest.ptx", HONEST.encode(), "sm_90")
    chained = SanitizerFinding("race", 9, "reads 'y', which the previous launch stores, and nothing orders it.", True)
    assert "griddepcontrol.wait" in CandidateLauncher(None, text, 1).sanitizer_finding(chained).hint
    for line, other, atomics in ((9, 8, False), (9, 9, True)):
        race = SanitizerFinding("race", line, f"ld reads byte 0 of 'a', which st at line {other} wrote.", False)
        assert ("atomics" in CandidateLauncher(None, text, 1).sanitizer_finding(race).hint) == atomics
    race = SanitizerFinding("race", 9, "ld reads byte 0 of 'a', which atom at line 8 updated, and nothing ...", False)
    assert "atomics" in CandidateLauncher(None, text, 1).sanitizer_finding(race).hint
    for message in ("lanes: line 33: ld by thread 0 reads ...", "lanes, CTA 0 is deadlocked: warp 0 waits at line 33."):
        failed = SanitizerFinding("schedule", 0, f"with another schedule of the warps' {message}")
        assert CandidateLauncher(None, text, 1).sanitizer_finding(failed).line == 33
    sixteen = Deadlock("line 9: bar.sync names barrier 16; a CTA has 0 to 15.")
    case = suite("triad").check[0]
    assert (
        CandidateLauncher(None, text, 1).fault("results", sixteen, case).hint == "Correct the line as the message says."
    )
    (nowhere,) = text.refusals("ptxas fatal   : Checked Data was Invalid", "assembles", "refused")
    assert (nowhere.line, nowhere.hint) == (None, "This is what ptxas says; it names no line.")


def test_targets_that_only_the_pairs_ptx_reaches_are_reported():
    judgement = honest(HONEST.replace("sm_75", "sm_90").replace("6.3", "7.8"), targets=("sm_75", "sm_90"))
    assert judgement.targets == {"sm_75": False, "sm_90": True}
    warning = next(finding for finding in judgement.findings if finding.code == "fewer-targets")
    assert warning.message == "sm_75: its .target, sm_90, is too high, but no instruction needs it."
    assert warning.hint == "Use .target sm_75."
    assert judgement.verdict == "accepted"


ELSEWHERE = [
    # .target, what is declared after it, targets, whether ptxas is asked
    ("sm_75", "",                       {"sm_75": True, "sm_90": True, "sm_100a": True},   False),
    ("sm_90", "",                       {"sm_100": True, "sm_120": True},                  False),
    ("sm_90", "",                       {"sm_80": False, "sm_120": True},                  True),
    ("sm_75", ", texmode_independent", {"sm_75": True, "sm_100": True},                   True),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "more", "targets", "asked"), ELSEWHERE)
def test_ptxas_is_not_asked_for_targets_that_follow_from_the_code_for_one(
    declared, more, targets, asked, tmp_path, monkeypatch
):
    attempted = []

    def attempt(source, *, target, **options):
        attempted.append(target)
        return trial.attempt(source, target=target, **options)

    monkeypatch.setattr("ptxbench.portability.survey.attempt", attempt)
    own = suite("triad")
    own.pair_kernels.assembling(tuple(targets))
    attempted.clear()
    (path := tmp_path / "candidate.ptx").write_text(
        changed(HONEST.replace("6.3", "7.8"), ".target sm_75", f".target {declared}{more}")
    )
    checker = Checker(own, path, CheckOptions(targets=tuple(targets)))
    outcome = checker.portability()
    assert (outcome.words, checker.tried) == (f"{sum(targets.values())} of {len(targets)} targets", targets)
    assert bool(attempted) == asked


def test_a_launch_that_lacks_memory_is_not_explained_by_what_varies_in_it(monkeypatch, tmp_path):
    def lacks_memory(*launched):
        raise EmulatorCrash("The emulator has not enough memory.")

    own = suite("triad")
    (path := tmp_path / "candidate.ptx").write_text(HONEST)
    checker = Checker(own, path, CheckOptions())
    monkeypatch.setattr("ptxbench.check.candidate_launcher.launch", lacks_memory)
    (finding,) = varied(checker.launcher, own.check[0], None, aspects(own.drawn("variations")))
    assert finding.code == "memory-limit"


def test_a_crash_of_the_emulator_on_a_kernel_of_the_pair_excuses_no_candidate(monkeypatch):
    def crash(*launched):
        raise EmulatorCrash("The emulator's process ended with SIGKILL.")

    own = CheckSuite(suite("triad").loaded, "sm_90", 1)
    assert own.pair_kernels.right
    monkeypatch.setattr("ptxbench.check.suite.launch", crash)
    with pytest.raises(EmulatorCrash):
        own.beyond_contract(own.check[0])
    monkeypatch.setattr("ptxbench.check.variations.launch", crash)
    with pytest.raises(EmulatorCrash):
        fails_with(CandidateLauncher(own, None, 1), own.pair_kernels.executable["ptx"], own.check[0], LaunchOptions())


def test_inputs_that_share_memory_on_the_host_are_two_arrays_of_the_launch(monkeypatch):
    passed = []

    def heard(*kernel, steps, **options):
        passed.append(steps[0])
        return run_steps(*kernel, steps=steps, **options)

    monkeypatch.setattr("ptxbench.check.launching.run_steps", heard)
    own = suite("triad")
    case = next(case for case in own.check if case.size["n"] == 1023)
    both = np.arange(2046, dtype=np.float32)
    for b, c in (
        (both[:1023], both[1023:]),
        (both[:1023], both[:1023]),
        (both[:1023], np.zeros(2046, np.float32)[::2]),
    ):
        arguments = {**case.arguments, "b": b, "c": c}
        kernel = own.pair_kernels.executable["ptx"]
        launch(kernel, own.pair, dataclasses.replace(case, arguments=arguments), LaunchOptions())
        _, first, second, *_ = passed.pop()
        assert not np.shares_memory(first, second)
        assert second.flags.c_contiguous
        assert (first.tobytes(), second.tobytes()) == (b.tobytes(), c.tobytes())
        assert not first.flags.writeable  # not copied


BUILT = BuildReport("0", "1", "same", 32, 0, 0, 0, 1024, 1.0, {"total": 9})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({},                                                 ["same-code"]),
        ({"sass_sha256": "other"},                           []),
        ({"sass_sha256": None},                              []),                  # no nvdisasm
        ({"sass_sha256": "other", "spill_load_bytes": 4},    ["spills"]),
        ({"sass_sha256": "other", "occupancy": 0.5},         ["more-registers"]),
        ({"sass_sha256": "other", "occupancy": None},        []),                  # an architecture of unknown limits
    ],
)  # fmt: skip
def test_the_figures_of_the_tools_are_compared_with_the_pairs_variants(changes, expected):
    own = dataclasses.replace(BUILT, **changes)
    assert [finding.code for finding in heavier(own, {"cuda": BUILT, "ptx": BUILT})] == expected


@pytest.mark.parametrize(
    ("special", "registers", "shared_bytes", "expected"),
    [
        ({},                    32,   0,         None),
        ({},                    255,  0,         None),
        ({},                    256,  0,         "n=1: 256 registers per thread and 1 byte of shared memory do not"),
        ({},                    32,   100 << 10, "n=131072: 32 registers per thread and 233,472 bytes of shared"),
        ({},                    None, 300000,    None),  # built without ptxas
        ({"cooperative": True}, 64,   0,         None),
        ({"cooperative": True}, 65,   0,         "n=1: all 528 CTAs must run at once; with 65 registers per thread"),
        ({"resident": True},    65,   0,         "n=1: all 528 CTAs must run at once"),
    ],
)  # fmt: skip
def test_a_candidate_that_cannot_be_launched_at_a_size_of_the_pair_is_found(special, registers, shared_bytes, expected):
    triad = suite("triad")
    pair = dataclasses.replace(
        triad.pair,
        launch=lambda n: Launch(grid=528, block=256, shared_bytes=n, **special),
        check_sizes=[{"n": 1}],
        bench_sizes=[{"n": 10}, *([] if special else [{"n": 128 << 10}])],
    )
    usual = dataclasses.replace(triad.pair_kernels.builds["ptx"], report=BUILT)
    report = dataclasses.replace(BUILT, registers=registers, shared_bytes=shared_bytes)
    own = dataclasses.replace(usual, report=report)
    found = misfit(pair, own, [usual])
    assert found is None if expected is None else found.startswith(expected)
    assert misfit(pair, own, [own]) is None  # the pair's own kernels cannot be launched either
