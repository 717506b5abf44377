"""`ptxbench show` of two files that belong to no pair: their machine code, and their launches on the same data."""

import json
import re

import pytest
from rich.cells import cell_len

from ptxbench import toolchain
from ptxbench.exporters.kernel_comparison import OUTCOME_KEYS
from ptxbench.toolchain import cubin
from tests.documents import FOLDER
from tests.folders import changed

CUDA = """\
extern "C" __global__ void saxpy(const float* x, float* y, float a, unsigned n)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = a * x[i] + y[i];
}
"""

PTX = """\
.version 6.3
.target sm_75
.address_size 64

.visible .entry saxpy(
    .param .u64 x,
    .param .u64 y,
    .param .f32 a,
    .param .u32 n
)
{
    .reg .u32   %thread, %block, %threads, %i, %n;
    .reg .u64   %x, %y, %at, %offset;
    .reg .f32   %a, %x_i, %y_i;
    .reg .pred  %past;

    mov.u32     %thread, %tid.x;
    mov.u32     %block, %ctaid.x;
    mov.u32     %threads, %ntid.x;
    mad.lo.u32  %i, %block, %threads, %thread;
    ld.param.u32  %n, [n];
    setp.ge.u32   %past, %i, %n;
    @%past bra    DONE;

    ld.param.u64        %x, [x];
    ld.param.u64        %y, [y];
    ld.param.f32        %a, [a];
    cvta.to.global.u64  %x, %x;
    cvta.to.global.u64  %y, %y;
    mul.wide.u32        %offset, %i, 4;
    add.u64             %at, %x, %offset;
    ld.global.f32       %x_i, [%at];
    add.u64             %at, %y, %offset;
    ld.global.f32       %y_i, [%at];
    fma.rn.f32          %y_i, %x_i, %a, %y_i;
    st.global.f32       [%at], %y_i;
DONE:
    ret;
}
"""

FMA = "fma.rn.f32          %y_i, %x_i, %a, %y_i;"
PARAMS = PTX[PTX.index("(") : PTX.index(")") + 1]
OTHER_ENTRY = PTX[PTX.index(".visible") :].replace("saxpy", "other")

FILES = {
    "saxpy.cu": CUDA,
    "saxpy.ptx": PTX,
    "twice.ptx": changed(PTX, FMA, "mul.rn.f32 %x_i, %x_i, %a;\n add.rn.f32 %y_i, %y_i, %x_i;"),
    "wrong.ptx": changed(PTX, FMA, "fma.rn.f32 %y_i, %x_i, %a, %a;"),
    "nan.ptx": changed(PTX, FMA, f"{FMA}\n setp.eq.u32 %past, %i, 7;\n @%past mov.f32 %y_i, 0f7fc00000;"),
    "fault.ptx": changed(PTX, "[%at], %y_i", "[%at + 1073741824], %y_i"),
    "into_x.ptx": changed(PTX, "st.global.f32       [%at]", "add.u64 %at, %x, %offset;\n st.global.f32 [%at]"),
    "order.ptx": changed(PTX, PARAMS, "(.param .u32 n, .param .f32 a, .param .u64 y, .param .u64 x)"),
    "three.ptx": changed(changed(PTX, ",\n    .param .u32 n", ""), "ld.param.u32  %n, [n]", "mov.u32 %n, 1000"),
    "several.ptx": PTX + OTHER_ENTRY,
    "mine.ptx": PTX.replace("saxpy", "mine"),
    "lacking.ptx": changed(
        changed(PTX, ".version 6.3\n.target sm_75", ".version 8.1\n.target sm_90"),
        "DONE:",
        "DONE:\n    multimem.red.relaxed.sys.global.add.u32 [%at], %n;",  # of many GPUs: one is modelled
    ),
    "late.ptx": changed(PTX, ".version 6.3\n.target sm_75", ".version 8.6\n.target sm_100"),
    "unset.ptx": changed(
        changed(PTX, "    .reg .pred", "    .shared .f32 unset;\n    .reg .pred"),
        FMA,
        f"{FMA}\n ld.shared.f32 %x_i, [unset];\n setp.eq.f32 %past, %x_i, 0f3f800001;\n @%past mov.f32 %y_i, %x_i;",
    ),
    "broken.cu": changed(CUDA, "a * x[i]", "a * x[i"),
    "refused.ptx": changed(PTX, FMA, "fma.rn.f32 %y_i, %x_i, %a;"),
    "old/kernel.ptx": PTX,
    "new/kernel.ptx": PTX,
    "plus.cu": """\
template <typename T> __device__ T twice(T x) { return x + x; }
namespace mine { __global__ void plus(float* x) { x[threadIdx.x] = twice(x[threadIdx.x]); } }
""",
    "axpy.cu": """\
namespace ns {
template <typename T, int N> __global__ void axpy(const T* x, T* y, T a, unsigned n)
{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    for (int k = 0; k < N; k++, i += gridDim.x * blockDim.x)
        if (i < n)
            y[i] = a * x[i] + y[i];
}
}
""",
    "host.cu": "#include <cstdio>\n" + CUDA + 'int main() { saxpy<<<1, 1>>>(0, 0, 0, 0); printf("done\\n"); }\n',
    "one.cu": '__global__ void one(int* x) { *x = 7; printf("one\\n"); }\n',
    "two.cu": '__global__ void two(int* x) { *x = 7; printf("two\\n"); }\n',
    "whole.cu": "__global__ void whole(int* x) { x[threadIdx.x] *= 2; }\n",
    "times.cu": """\
namespace mine { __global__ void times(float* x) { x[threadIdx.x] = 2 * x[threadIdx.x]; } }
""",
}

ARGS = ("--arg", "x:f32[1000]=random", "--arg", "y:f32[1000]=random", "--arg", "a:f32=2.1", "--arg", "n:u32=1000")
LAUNCH = ("--grid", "8", "--block", "128", *ARGS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The files, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def document(ran, status=0):
    assert (ran.status, ran.err) == (status, "")
    return json.loads(ran.out)


def words(text):
    """The text in one line."""
    return " ".join(text.split())


# ---- without a launch


@pytest.mark.parametrize(
    "files", [("saxpy.cu", "saxpy.ptx"), ("saxpy.ptx", "twice.ptx"), ("plus.cu", "times.cu"), ("saxpy.ptx", "mine.ptx")]
)
def test_two_files_are_listed_explained_and_not_launched(ptxbench, folder, files):
    a, b = files
    ran = ptxbench("show", *files)
    assert (ran.status, ran.err) == (0, "")
    assert re.search(rf"^{a}  \S+  sm_90, \d+ SASS instructions, \d+ registers$", ran.out, re.M)
    assert re.search(rf"^{b}  \S+  sm_90, ", ran.out, re.M)
    assert f"\n{b} against {a}\n- " in ran.out
    assert re.search(r"^registers +\d+ +\d+ +\d\.\d{3}$", ran.out, re.M)
    assert ran.out.endswith(
        "Nothing was executed: --grid, --block and --arg launch both kernels, as in `ptxbench exec`.\n"
        f"For which GPUs each can be built: ptxbench arch {a} {b}\n"
    )
    shown = document(ptxbench("show", *files, "--json"))
    assert [variant["variant"] for variant in shown["variants"]] == [a, b]
    assert (shown["launch"], shown["diff"], shown["parameters_differ"]) == (None, None, None)


def test_the_difference_of_two_files_is_shown_wherever_the_option_is(ptxbench, folder):
    outputs = {
        ptxbench("show", *order).out
        for order in (
            ("saxpy.cu", "twice.ptx", "--diff"),
            ("saxpy.cu", "--diff", "twice.ptx"),
            ("--diff", "saxpy.cu", "twice.ptx"),
        )
    }
    assert len(outputs) == 1
    assert re.search(r"^Similarity \d\d\.\d %: .* in saxpy.cu alone, \d+ in twice.ptx alone\.$", outputs.pop(), re.M)
    diff = document(ptxbench("show", "saxpy.cu", "twice.ptx", "--diff", "--json"))["diff"]
    assert diff["variants"] == ["saxpy.cu", "twice.ptx"]
    assert diff["opcodes"]["FFMA"] == [1, 0]


def test_files_with_equal_names_are_distinguished_by_their_folders(ptxbench, folder):
    ran = ptxbench("show", "old/kernel.ptx", "new/kernel.ptx", "--diff")
    assert ran.status == 0
    assert "\nnew/kernel.ptx against old/kernel.ptx\n" in ran.out
    assert "\nSame machine code, to the bit.\n" in ran.out


def test_both_are_built_for_one_architecture(ptxbench, folder):
    def archs(*command):
        return [variant["arch"] for variant in document(ptxbench("show", *command, "--json"))["variants"]]

    assert archs("saxpy.cu", "late.ptx") == ["sm_100", "sm_100"]
    assert archs("saxpy.ptx", "saxpy.cu", "--arch", "sm_80") == ["sm_80", "sm_80"]


def test_different_parameters_are_reported(ptxbench, folder):
    sentence = (
        "The parameters differ: saxpy.ptx has 4 (x .u64, y .u64, a .f32, n .u32), three.ptx has 3 (x .u64, y .u64, a "
        ".f32)."
    )
    assert sentence in words(ptxbench("show", "saxpy.ptx", "three.ptx").out)
    assert document(ptxbench("show", "saxpy.ptx", "three.ptx", "--json"))["parameters_differ"] == sentence
    pointees = words(ptxbench("show", "times.cu", "whole.cu").out)
    assert "The parameters differ: times.cu has 1 (float* x), whole.cu has 1 (int* x)." in pointees
    ran = ptxbench("show", "saxpy.ptx", "three.ptx", *LAUNCH)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "Error: three.ptx: 'n:u32=1000': 'saxpy' has no parameter 'n'. It has x .u64, y .u64, a .f32.\n"


def test_of_several_kernels_the_one_with_the_same_name_or_the_named_one_is_used(ptxbench, folder):
    def entries(*command):
        return [variant["entry"] for variant in document(ptxbench("show", *command, "--json"))["variants"]]

    assert entries("saxpy.cu", "several.ptx") == ["saxpy", "saxpy"]
    assert entries("several.ptx", "saxpy.cu") == ["saxpy", "saxpy"]
    assert entries("saxpy.cu", "several.ptx", "--entry", "saxpy", "--entry", "other") == ["saxpy", "other"]
    assert entries("several.ptx", "several.ptx", "--entry", "other", "--entry", "saxpy") == ["other", "saxpy"]
    assert entries("several.ptx", "several.ptx", "--entry", "other") == ["other", "other"]
    once = ptxbench("show", "several.ptx", "mine.ptx", "--entry", "other")
    assert (once.status, once.out) == (2, "")
    assert once.err == (
        "Error: mine.ptx has no kernel 'other'. It has mine. Give --entry twice if the names differ: first for the "
        "first file.\n"
    )
    one = ptxbench("show", "several.ptx", "mine.ptx")
    assert (one.status, one.err) == (2, "Error: several.ptx has 2 kernels: saxpy, other. Name one with --entry.\n")


# ---- with a launch

# the second file, further arguments, the exit status, what is said at the end
LAUNCHED = [
    ("saxpy.ptx", (), 0, "Same outputs, bit by bit: y (1,000 elements). "),
    ("order.ptx", (), 0, "Same outputs, bit by bit: y (1,000 elements). "),
    ("twice.ptx", (), 4, "elements are not equal. The greatest difference is "),
    ("twice.ptx", ("--tolerance", "0,3e-7"), 0, "The outputs agree within rtol 0, atol 3e-07: y (1,000 elements). "),
    ("twice.ptx", ("--tolerance", "1e-9"), 4, " elements are not within rtol 1e-09. "),
    ("wrong.ptx", ("--tolerance", "1e-5,1e-8"), 4, " elements are not within rtol 1e-05, atol 1e-08."),
    ("nan.ptx", ("--tolerance", "1e30,1e30"), 4, " and nan in nan.ptx; 1 of 1,000 elements is not within rtol 1e+30, "),
    ("nan.ptx", (), 4, "'y' has NaNs: 0 from saxpy.cu, 1 from nan.ptx."),
    ("into_x.ptx", (), 4, "into_x.ptx does not change 'y'."),
    ("fault.ptx", (), 4, "No outputs were compared: fault.ptx failed."),
    ("lacking.ptx", (), 5, "lacking.ptx has an instruction that the emulator does not support."),
    ("unset.ptx", ("--sanitize",), 4, "The sanitizer reports 1 error of unset.ptx."),
    ("unset.ptx", (), 0, "Same outputs, bit by bit: y (1,000 elements). "),
]


@pytest.mark.parametrize(("file", "more", "status", "message"), LAUNCHED)
def test_both_are_launched_on_the_same_data_and_their_outputs_compared(ptxbench, folder, file, more, status, message):
    ran = ptxbench("show", "saxpy.cu", file, "--diff", *LAUNCH, *more)
    assert (ran.status, ran.err) == (status, "")
    assert message in words(ran.out)
    launch = document(ptxbench("show", "saxpy.cu", file, "--json", *LAUNCH, *more), status)["launch"]
    assert launch["status"] == {0: "same", 5: "unsupported"}.get(
        status, "fault" if "failed" in message else "finding" if "sanitizer" in message else "different"
    )


OUTPUTS = [
    # file, the row of the output below the headings, the mark of the sentence
    ("twice.ptx",  "y f32[1000] 312 312 2.38e-07 0.000157 0", "✘ The outputs differ: "),
    ("nan.ptx",    "y f32[1000] 1 1 - - 0/1",                 "✘ The outputs differ: "),
    ("saxpy.cu",   "y f32[1000] 0 0 0 0 0",                   "✔ Same outputs, "),
]  # fmt: skip


@pytest.mark.parametrize(("file", "row", "sentence"), OUTPUTS)
def test_each_output_has_a_row_of_its_differences(ptxbench, folder, file, row, sentence):
    lines = [words(line) for line in ptxbench("show", "saxpy.cu", file, "--diff", *LAUNCH).out.splitlines()]
    assert lines[lines.index("output holds other bits outside max |B-A| relative NaN A/B") + 2] == row
    assert any(line.startswith(sentence) for line in lines)


def test_a_fault_has_priority_over_an_instruction_that_the_emulator_lacks(ptxbench, folder):
    ran = ptxbench("show", "lacking.ptx", "fault.ptx", "--diff", *LAUNCH)
    assert ran.status == 4
    assert "fault.ptx failed." in words(ran.out)


def test_texts_that_differ_are_reported(ptxbench, folder):
    launch = ("--block", "1", "--arg", "s32[1]=0")
    ran = ptxbench("show", "one.cu", "two.cu", "--diff", *launch)
    assert (ran.status, ran.err) == (0, "")
    assert "Same outputs, bit by bit: x (1 element). The kernels print different texts." in words(ran.out)
    assert re.search(r"^printed\ntwo$", ran.out, re.M)
    assert "print different" not in words(ptxbench("show", "one.cu", "one.cu", "--diff", *launch).out)


def test_nan_in_both_does_not_count_as_agreement(ptxbench, folder):
    launch = [word.replace("f32=2.1", "f32=nan") for word in LAUNCH]
    ran = ptxbench("show", "saxpy.cu", "saxpy.ptx", *launch)
    assert ran.status == 4
    assert "'y' is NaN in both at 1,000 of 1,000 elements, which shows nothing." in words(ran.out)
    assert "Same outputs" not in ran.out
    assert document(ptxbench("show", "saxpy.cu", "saxpy.ptx", *launch, "--json"), 4)["launch"]["status"] == "nan"


def test_nothing_is_the_same_if_neither_kernel_changed_an_array(ptxbench, folder):
    ran = ptxbench("show", "saxpy.cu", "saxpy.ptx", *LAUNCH[:-1], "n:u32=0")
    assert ran.status == 5
    assert "Nothing was compared: neither kernel changes an array." in words(ran.out)


def test_a_proposed_tolerance_is_enough(ptxbench, folder):
    printed = words(ptxbench("show", "saxpy.cu", "twice.ptx", *LAUNCH).out)
    relative, absolute = re.search(r"--tolerance (\S+) \(relative\) or (\S+) \(absolute\)\.", printed).groups()
    for tolerance in (relative, absolute):
        assert ptxbench("show", "saxpy.cu", "twice.ptx", *LAUNCH, "--tolerance", tolerance).status == 0


def test_the_sentence_says_which_kernel_executes_fewer_instructions(ptxbench, folder):
    more = ("--tolerance", "0,3e-7")
    launch = document(ptxbench("show", "saxpy.cu", "twice.ptx", *LAUNCH, *more, "--json"))["launch"]
    a, b = (kernel["executed"]["least"] for kernel in launch["kernels"])
    assert 0 < a < b
    share = f"{100 * (1 - a / b):.2g} %"
    printed = words(ptxbench("show", "saxpy.cu", "twice.ptx", *LAUNCH, *more).out)
    assert f"saxpy.cu executes {share} fewer machine instructions than twice.ptx: {a:,} against {b:,}." in printed
    assert re.search(rf"executed machine instr\. {a:,} {b:,} {b / a:.3f} ", printed)


def test_launches_that_differ_are_given_by_an_option_twice(ptxbench, folder):
    two = ("saxpy.ptx", "saxpy.ptx", *ARGS)
    same_launch = ptxbench("show", *two, "--grid", "8", "--grid", "16", "--block", "128", "--block", "64")
    assert same_launch.status == 0
    assert re.search(r"^A  saxpy\.ptx      kernel saxpy, sm_90, grid 8, block 128$", same_launch.out, re.M)
    assert re.search(r"^B  saxpy\.ptx \(2\)  kernel saxpy, sm_90, grid 16, block 64$", same_launch.out, re.M)
    assert "would be noise" not in words(same_launch.out)  # the same code in another launch
    fewer = ptxbench("show", *two, "--grid", "8", "--grid", "4", "--block", "128")
    assert fewer.status == 4
    assert "488 of 1,000 elements, all in y[512:], are not equal." in words(fewer.out)


def test_counts_are_shown_at_the_lines_of_two_launched_files(ptxbench, folder):
    shown = ptxbench("show", "saxpy.cu", "saxpy.ptx", *LAUNCH, "--counts").out
    assert len(re.findall("^Warps execute 608 machine instructions.$", shown, re.M)) == 2
    listed = document(ptxbench("show", "saxpy.cu", "saxpy.ptx", *LAUNCH, "--json"))["variants"]
    assert [max(line["executed"].values()) for line in listed] == [32, 32]


def test_a_template_is_compared_by_its_instantiation(ptxbench, folder):
    chosen = ("--entry", "ns::axpy<float, 2>", "--entry", "saxpy")
    in_order = [word.rpartition(":")[2] for word in LAUNCH]
    ran = ptxbench("show", "axpy.cu", "saxpy.ptx", *chosen, "--diff", *in_order)
    assert (ran.status, ran.err) == (0, "")
    assert re.search(r"^A  axpy\.cu    kernel ns::axpy<float, 2>, sm_90, grid 8, block 128$", ran.out, re.M)
    both = ("axpy.cu", "axpy.cu", "--entry", "ns::axpy<float, 2>", "--entry", "ns::axpy<float, 4>")
    assert "\naxpy.cu:ns::axpy<float, 4> against axpy.cu:ns::axpy<float, 2>\n" in ptxbench("show", *both).out
    other = words(ptxbench("show", "saxpy.cu", "axpy.cu", "--entry", "saxpy", "--entry", "ns::axpy<int, 1>").out)
    assert "axpy.cu has 4 (const int* x, int* y, int a, unsigned int n)." in other


def test_the_command_that_is_proposed_has_the_options_of_cuda_c(ptxbench, folder):
    (folder / "factor.cu").write_text("__global__ void saxpy(float* x) { x[0] = FACTOR; }\n")
    options = ("-D", "FACTOR=2", "-I", ".")
    for entries, expected in ((("--entry", "saxpy"), "--entry saxpy "), (("--entry", "saxpy") * 2, "")):
        ran = ptxbench("show", "factor.cu", "saxpy.ptx", *options, *entries)
        assert ran.out.endswith(
            f"For which GPUs each can be built: ptxbench arch factor.cu saxpy.ptx {expected}-I . -D FACTOR=2\n"
        )
        assert ptxbench("arch", *ran.out.splitlines()[-1].split()[9:], "--target", "sm_90").status == 0
    ran = ptxbench("show", "factor.cu", *options, "--counts")
    assert "`ptxbench exec factor.cu -I . -D FACTOR=2` launches it" in ran.err


def test_the_lines_of_the_compiler_are_indented(ptxbench, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    ran = ptxbench("show", "host.cu", "saxpy.ptx", "--diff")
    head = ran.out[ran.out.index("A  host.cu") : ran.out.index("B  saxpy.ptx")].splitlines()
    assert len(head) > 2
    assert all(line.startswith("   ") for line in head[1:])


def test_a_kernel_of_a_header_is_shown_with_the_lines_of_the_header(ptxbench, folder):
    (folder / "own").mkdir()
    (folder / "own" / "kernel.cuh").write_text(
        '#include "twice.cuh"\n__global__ void k(float* x)\n{\n    x[threadIdx.x] = twice(1.5f);\n}\n'
    )
    (folder / "own" / "twice.cuh").write_text("__device__ float twice(float x) { return 2 * x; }\n")
    (folder / "main.cu").write_text("#include <kernel.cuh>\nint main() { k<<<1, 32>>>(0); }\n")
    ran = ptxbench("show", "main.cu", "-I", "own")
    assert ran.status == 0
    assert ran.out.startswith("cuda  kernel.cuh  sm_90, ")
    assert re.search(r"^4      x\[threadIdx\.x\] = twice\(1\.5f\); +[0-9a-f]{4}  [A-Z]", ran.out, re.M)
    [listed] = document(ptxbench("show", "main.cu", "-I", "own", "--json"))["variants"]
    assert listed["file"] == "kernel.cuh"
    assert 4 in {instruction["source_line"] for instruction in listed["sass"]}
    two = ptxbench("show", "main.cu", "host.cu", "-I", "own", "--entry", "k", "--entry", "saxpy", "--ptx")
    assert re.search(r"^4      x\[threadIdx\.x\]", two.out, re.M)


def test_a_file_with_host_code_is_compared_and_its_compiler_is_named(ptxbench, folder):
    ran = ptxbench("show", "host.cu", "saxpy.ptx", "--diff", *LAUNCH)
    assert (ran.status, ran.err) == (0, "")
    assert re.search(r"^A  host\.cu  .*\n   compiled by (NVRTC|nvcc) ", ran.out, re.M)


def test_a_fault_is_shown_with_its_line(ptxbench, folder):
    printed = ptxbench("show", "saxpy.ptx", "fault.ptx", "--diff", *LAUNCH).out
    assert re.search(r"^B\n. MemoryFault: fault\.ptx:\d+: ", printed, re.M)
    assert re.search(r"^> \d+ \| +st\.global\.f32 +\[%at \+ 1073741824\], %y_i;", printed, re.M)


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
@pytest.mark.parametrize("more", [("--diff",), ()])
def test_no_line_is_wider_than_the_terminal_and_no_sentence_is_cut(ptxbench, folder, monkeypatch, columns, more):
    monkeypatch.setenv("COLUMNS", str(columns))
    for b, tail in (("twice.ptx", "(absolute)."), ("saxpy.ptx", "608 machine instructions.")):
        ran = ptxbench("show", "saxpy.cu", b, *LAUNCH, *more)
        assert max(map(cell_len, ran.out.splitlines())) <= columns
        report = ran.out[ran.out.index("\nA  ") :]
        assert "…" not in report
        assert tail in words(report)


# the arguments, the message
REFUSED = [
    (("saxpy.cu", "no.ptx"), "There is no file no.ptx."),
    (("saxpy.cu", "saxpy.ptx", "mine.ptx"),
     "Expected one PAIR, or one or two FILEs (.cu, .ptx); found 'saxpy.cu', 'saxpy.ptx', 'mine.ptx'."),
    (("triad", "saxpy.ptx"),
     "Expected one PAIR, or one or two FILEs (.cu, .ptx); found 'triad', 'saxpy.ptx'. `ptxbench check saxpy.ptx --pair "
     "triad` compares a file with a pair."),
    (("saxpy.cu", "saxpy.ptx", "--variant", "cuda"), "--variant is for the variants of a pair, and a file has none."),
    (("saxpy.cu", "saxpy.ptx", "--size", "n=3"),
     "--size needs a pair. To count files, describe the launch with --grid, --block and --arg."),
    (("saxpy.cu", "saxpy.ptx", "--counts"),
     "--counts needs a launch. Describe it with --grid, --block and --arg, as for `ptxbench exec`."),
    (("saxpy.cu", "saxpy.ptx", "--tolerance", "1e-5"),
     "--tolerance needs a launch. Describe it with --grid, --block and --arg, as for `ptxbench exec`."),
    (("saxpy.cu", "saxpy.ptx", "--diff", "--sass"), "--diff and --sass are two views. Choose one."),
    (("saxpy.ptx", "mine.ptx", "--flag", "-G"), "saxpy.ptx is PTX, and --flag is for CUDA C. Leave it out."),
    (("saxpy.cu", "saxpy.ptx", *["--grid", "1"] * 3),
     "--grid is given 3 times. Give it once, or 2 times, one value for each kernel."),
    (("saxpy.cu", "saxpy.ptx", *["--entry", "saxpy"] * 3),
     "--entry is given 3 times. Give it once, or twice, a name for each file."),
    *((("saxpy.cu", "saxpy.ptx", *LAUNCH, "--tolerance", text),
       f"--tolerance is '{text}'; write the relative tolerance, or both: RTOL,ATOL, such as 1e-5 or 1e-5,1e-8.")
      for text in ("nan", "inf", "-1", "1,2,3", "few", "1e-5,")),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_files_that_cannot_be_compared_are_refused_in_one_sentence(ptxbench, folder, arguments, message):
    ran = ptxbench("show", *arguments)
    assert (ran.status, ran.out, ran.err) == (2, "", f"Error: {message}\n")


@pytest.mark.parametrize(("file", "line"), [("broken.cu", r"broken\.cu:5: "), ("refused.ptx", r"refused\.ptx:35: ")])
def test_a_file_that_cannot_be_built_is_an_error_with_its_line(ptxbench, folder, file, line):
    ran = ptxbench("show", "saxpy.ptx", file, *LAUNCH)
    assert (ran.status, ran.out) == (4, "")
    assert re.search(line, ran.err)


def test_a_kernel_is_described_as_by_exec():
    def kernels(schema):
        return schema["properties"]["kernels"]["items"]["properties"]

    show, execution = (json.loads((FOLDER / f"{name}.json").read_text()) for name in ("show", "exec"))
    shared = kernels(show["properties"]["launch"]["anyOf"][0])
    assert list(shared) == ["name", *OUTCOME_KEYS]
    assert {name: shared[name] for name in OUTCOME_KEYS} == {name: kernels(execution)[name] for name in OUTCOME_KEYS}


# ---- --emit


def test_the_stages_of_a_file_are_printed_or_saved(ptxbench, folder):
    ptx = ptxbench("show", "saxpy.cu", "--emit", "ptx")
    assert (ptx.status, ptx.err) == (0, "")
    assert ".visible .entry saxpy(" in ptx.out
    assert ptxbench("show", "saxpy.cu", "--emit", "ptx", "-o", "made.ptx").err == "Wrote made.ptx\n"
    assert (folder / "made.ptx").read_text() == ptx.out
    in_order = [word.rpartition(":")[2] for word in LAUNCH]  # PTX from NVRTC has no names of parameters
    assert ptxbench("show", "saxpy.cu", "made.ptx", *in_order).status == 0
    (folder / "made.cubin").write_text("replaced")
    assert ptxbench("show", "saxpy.cu", "--emit", "cubin", "-o", "made.cubin").status == 0
    built = toolchain.build(folder / "saxpy.cu", language="cuda", variant="cuda", entry="saxpy", arch="sm_90")
    assert (folder / "made.cubin").read_bytes() == built.cubin
    assert cubin.read(built.cubin).entries
    sass = ptxbench("show", "saxpy.cu", "--emit", "sass").out
    assert sass.startswith("// saxpy.cu, kernel saxpy, sm_90\n        /*0000*/  ")
    assert len(re.findall(r"/\*[0-9a-f]{4}\*/", sass)) == sum(built.report.opcodes.values())


def test_a_file_with_several_kernels_is_saved_whole(ptxbench, folder):
    assert ptxbench("show", "several.ptx", "--emit", "ptx").out == FILES["several.ptx"]
    assert ptxbench("show", "several.ptx", "--emit", "cubin", "-o", "several.cubin").status == 0
    assert set(cubin.read((folder / "several.cubin").read_bytes()).entries) == {"saxpy", "other"}
    ran = ptxbench("show", "several.ptx", "--emit", "sass")
    assert (ran.status, ran.err) == (2, "Error: several.ptx has 2 kernels: saxpy, other. Name one with --entry.\n")
    assert "kernel other" in ptxbench("show", "several.ptx", "--emit", "sass", "--entry", "other").out


def test_a_variant_of_a_pair_is_saved(ptxbench, kernels):
    def emitted(*more):
        return ptxbench("show", "scale", "--kernels", kernels, *more)

    assert emitted("--variant", "ptx", "--emit", "ptx").out == (kernels / "ptx" / "scale.ptx").read_text()
    assert "use_fast_math" not in emitted("--variant", "cuda@fast", "--emit", "sass").out
    several = emitted("--emit", "sass")
    assert (several.status, several.out) == (2, "")
    assert several.err == (
        "Error: --emit saves one variant, and 'scale' has cuda, cuda@fast, ptx. Name one with --variant.\n"
    )


EMIT_REFUSED = [
    (("saxpy.cu", "--emit", "cubin"), "--emit cubin needs -o FILE, because a cubin is not text."),
    (("saxpy.cu", "-o", "x.ptx"),
     "-o is the file for --emit. Say what to save: --emit ptx, --emit cubin or --emit sass."),
    (("saxpy.cu", "saxpy.ptx", "--emit", "ptx"), "--emit saves one kernel. Name one FILE, or one PAIR with --variant."),
    (("saxpy.ptx", "--emit", "ptx", "-o", "old/../saxpy.ptx"),
     "-o old/../saxpy.ptx is the source itself, which would be lost. Name another file."),
    (("saxpy.cu", "--emit", "ptx", "--json"), "--emit and --json are two outputs. Choose one."),
    (("saxpy.cu", "--emit", "ptx", "-o", "saxpy.ptx/x"),
     "Cannot write to saxpy.ptx/x: saxpy.ptx is a file. Name another file with -o."),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), EMIT_REFUSED)
def test_what_cannot_be_saved_is_refused_in_one_sentence(ptxbench, folder, arguments, message):
    ran = ptxbench("show", *arguments)
    assert (ran.status, ran.out, ran.err) == (2, "", f"Error: {message}\n")


def test_ptx_that_lost_its_names_takes_the_arguments_as_the_other_kernel_names_them(ptxbench, folder):
    """What --emit writes has no names; the order of the labels is not that of the parameters."""
    assert ptxbench("show", "saxpy.cu", "--emit", "ptx", "-o", "emitted.ptx").status == 0
    labelled = [word for one in reversed(ARGS[1::2]) for word in ("--arg", one)]
    for files in (["saxpy.cu", "emitted.ptx"], ["emitted.ptx", "saxpy.cu"]):
        ran = ptxbench("show", *files, "--grid", "8", "--block", "128", *labelled)
        assert (ran.status, "Same outputs, bit by bit: " in words(ran.out)) == (0, True), ran.err
    ran = ptxbench("show", "emitted.ptx", "emitted.ptx", "--grid", "8", "--block", "128", *labelled)
    assert (ran.status, "emitted.ptx" in ran.err) == (2, True), ran.out  # no kernel has names
