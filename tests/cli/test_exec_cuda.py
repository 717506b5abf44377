"""`ptxbench exec` of CUDA C: arguments by the names of the source, and lines of the source in messages and tables."""

import json
import re
import shlex

import pytest

from ptxbench.errors import ToolMissing
from ptxbench.exec_program import read_program
from ptxbench.toolchain import nvcc
from ptxbench.toolchain.options import SourceOptions
from tests.folders import CUDA, PTX

KERNELS = r"""#define PARAMETER(type, name) type name

struct View { float* data; int n; };

__device__ float element(const float* p, int i)
{
    return p[i];
}

template <class T> __global__ void scaled(const T* __restrict__ in, PARAMETER(T*, out), T factor, int)
{
    out[threadIdx.x] = factor * element(in, threadIdx.x);
}
template __global__ void scaled<float>(const float*, float*, float, int);

__global__ void shuffled(View view, float* out)
{
    __shared__ float tile[64];
    tile[threadIdx.x] = view.data[threadIdx.x];
    float sum = tile[threadIdx.x ^ 32];
    out[threadIdx.x] = sum + __shfl_down_sync(0xffffffffu, sum, 1);
}

__global__ void __launch_bounds__(64) checked(unsigned* at)
{
    if (threadIdx.x == 7)
        __trap();
}
"""
SCALED = ("kernels.cu", "--entry", "scaled", "--arg", "in:f32[32]=iota")
SHUFFLED = ("kernels.cu", "--entry", "shuffled", "--block", "64", "--arg", "view:{data:f32[64]=iota, n:s32=64}")


def line_of(text):
    """The line of the source that contains `text`."""
    return next(number for number, line in enumerate(KERNELS.splitlines(), 1) if text in line)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kernels.cu").write_text(KERNELS)
    (tmp_path / "scale.cu").write_text(CUDA)
    return tmp_path


@pytest.fixture
def document(ptxbench):
    """Runs `ptxbench exec ... --json`: the one kernel of its document."""

    def document(*arguments):
        ran = ptxbench("exec", *arguments, "--json")
        assert ran.err == ""
        [kernel] = json.loads(ran.out)["kernels"]
        return kernel

    return document


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_arguments_go_to_the_parameters_of_their_names_in_any_order(document, order):
    texts = ("in:f32[32]=iota", "out:f32[32]=zeros", "factor:f32=3", "3:s32=0")
    arguments = [word for index in order for word in ("--arg", texts[index])]
    kernel = document("kernels.cu", "--entry", "scaled", *arguments)
    assert [(argument["name"], argument["type"]) for argument in kernel["arguments"]] == [
        ("in", "const float*"),
        ("out", "float*"),
        ("factor", "float"),
        ("#3", "int"),
    ]
    assert [(array["name"], array["changed"]) for array in kernel["arrays"]] == [("in", False), ("out", True)]
    assert kernel["arrays"][1]["max"] == 93


@pytest.mark.parametrize("name", ["output", "x", "in_", "kernels", "_Z6scaledIfEvPKT_PS0_S0_i_param_9"])
def test_a_name_that_no_parameter_has_is_refused(ptxbench, name):
    ran = ptxbench("exec", *SCALED, "--arg", f"{name}:f32[32]=zeros", "--arg", "f32=2", "--arg", "s32=1")
    assert (ran.status, ran.out) == (2, "")
    assert re.match(
        rf"Error: '{name}:f32\[32\]=zeros': 'scaled<float>' has no parameter '{name}'\. (Did you mean|It has) ", ran.err
    )


def test_ptx_of_nvrtc_takes_no_names_because_it_has_none(ptxbench, folder):
    (folder / "made.ptx").write_text(read_program(folder / "scale.cu", None).ptx)
    arguments = ("--arg", "f32[32]=iota", "--arg", "f32[32]=zeros", "--arg", "f32=2", "--arg")
    ran = ptxbench("exec", "made.ptx", *arguments, "n:u32=32")
    assert (ran.status, ran.out) == (2, "")
    assert "'n' cannot be checked. Write the parameter's index, from 0, in place of the name, or no name" in ran.err
    assert ptxbench("exec", "made.ptx", *arguments, "3:u32=32").status == 0


def test_ptx_with_debugging_information_has_the_names(ptxbench, folder, document):
    (folder / "debug.ptx").write_text(read_program(folder / "scale.cu", None, SourceOptions(flags=("-G",))).ptx)
    arguments = ("--arg", "n:u32=32", "--arg", "x:f32[32]=iota", "--arg", "y:f32[32]=zeros", "--arg", "a:f32=2")
    assert document("debug.ptx", *arguments)["arrays"][1]["max"] == 62


def test_a_fault_names_the_line_of_cuda_c_and_the_parameter(ptxbench, document):
    arguments = (*SCALED, "--block", "64", "--arg", "out:f32[64]=zeros", "--arg", "f32=2", "--arg", "s32=1")
    line = line_of("return p[i]")  # in the function that is inlined, not where it is called
    kernel = document(*arguments)
    assert kernel["status"] == "fault"
    message = rf"kernels\.cu:{line} \(PTX line (\d+)\): ld\.global\S* by thread 32 of CTA 0 reads byte 128 of 'in'"
    fault = re.match(message, kernel["error"]["message"])
    assert (kernel["error"]["line"], kernel["error"]["cuda_line"]) == (int(fault[1]), line)
    out = ptxbench("exec", *arguments).out
    assert re.search(message, " ".join(out.split()))
    assert re.search(rf"^> +{line} \|     return p\[i\];$", out, re.M), "the source is shown, with a mark"
    assert re.search(rf"^PTX {fault[1]} \| ld\.global\.\S+ %\w+, \[%\w+\];$", out, re.M)


def test_a_finding_names_only_lines_of_cuda_c_and_both_lines_of_a_race(ptxbench, document):
    arguments = (*SHUFFLED, "--arg", "out:f32[64]=zeros", "--sanitize")
    stored, loaded = line_of("tile[threadIdx.x] ="), line_of("tile[threadIdx.x ^ 32]")
    kernel = document(*arguments)
    races = [finding for finding in kernel["findings"] if finding["kind"] == "race"]
    assert {race["cuda_line"] for race in races} == {stored, loaded}
    assert all(
        race["message"].startswith(f"kernels.cu:{race['cuda_line']} (PTX line {race['line']}): ") for race in races
    )
    assert any(re.search(rf" at kernels\.cu:{loaded} \(PTX line \d+\) read, ", race["message"]) for race in races)
    out = ptxbench("exec", *arguments).out
    assert f"> {stored} |     tile[threadIdx.x] = view.data[threadIdx.x];" in out


def test_findings_at_the_same_lines_of_cuda_c_are_shown_once(ptxbench, document, folder):
    (folder / "unrolled.cu").write_text(
        "__global__ void unrolled(float* x)\n{\n    __shared__ float s[256];\n    const int t = threadIdx.x;\n"
        "    #pragma unroll\n    for (int i = 0; i < 4; i++)\n        s[64 * i + t] = x[t] + i;\n"
        "    #pragma unroll\n    for (int i = 0; i < 4; i++)\n        x[64 * i + t] = s[64 * i + (t ^ 32)];\n}\n"
    )
    arguments = ("unrolled.cu", "--grid", "1", "--block", "64", "--arg", "x:f32[256]=iota", "--sanitize")
    races = [finding for finding in document(*arguments)["findings"] if finding["kind"] == "race"]
    lines = [race["line"] for race in races if race["cuda_line"] == 10]
    assert len(lines) == 4
    out = ptxbench("exec", *arguments).out
    assert out.count("✘ race: unrolled.cu:10 ") == 1
    assert f"  The same at PTX lines {lines[1]}, {lines[2]} and {lines[3]}.\n" in out


@pytest.mark.parametrize("place", ["", "lib/"])
def test_a_kernel_in_a_header_has_the_lines_of_the_header(ptxbench, folder, place):
    (folder / "kernel.cuh").write_text("// not the kernel" + "\n" * 30)
    (folder / place).mkdir(exist_ok=True)
    (folder / place / "kernel.cuh").write_text("// the kernel\n" + CUDA)
    (folder / "main.cu").write_text(f'#include "{place}kernel.cuh"\n\n\n\n\n\n\n\n\n\n\n')
    ran = ptxbench("exec", "main.cu", "--grid", "8", "--block", "128", "--arg", "x:f32[1000]=iota", "--arg",
                   "y:f32[999]=zeros", "--arg", "a:f32=2", "--arg", "n:u32=1000")  # fmt: skip
    line = next(number for number, row in enumerate(CUDA.splitlines(), 2) if "y[i] =" in row)
    assert re.search(rf"MemoryFault: kernel\.cuh:{line} \(PTX line \d+\): st\.global", ran.out)
    assert f"> {line} |         y[i] = a * x[i];" in ran.out
    right = ("--arg", "x:f32[32]=iota", "--arg", "y:f32[32]=zeros", "--arg", "a:f32=2", "--arg", "n:u32=32")
    assert re.search(
        rf"^kernel\.cuh:{line} +\d+ +100 %  y\[i\] = a \* x\[i\];", ptxbench("exec", "main.cu", *right).out, re.M
    )


def test_an_array_in_a_struct_has_the_names_of_both(document):
    kernel = document(*SHUFFLED, "--arg", "out:f32[63]=zeros")
    assert kernel["error"]["message"].endswith("of 'out', which has 252. Check its guard.")
    kernel = document(*SHUFFLED[:-1], "view:{data:f32[63]=iota, n:s32=64}", "--arg", "out:f32[64]=zeros")
    assert "'view" in kernel["error"]["message"]


def test_a_trap_names_its_line(document):
    kernel = document("kernels.cu", "--entry", "checked", "--arg", "null")
    assert re.match(rf"kernels\.cu:{line_of('__trap')} \(PTX line \d+\): ", kernel["error"]["message"])


def test_the_hottest_lines_are_those_of_cuda_c(ptxbench, document):
    arguments = (*SHUFFLED, "--arg", "out:f32[64]=zeros")
    rows = document(*arguments)["lines"]
    by_line = {}
    for row in rows:
        count = row["counters"]["ptx_warp_instructions"]
        by_line[row["cuda_line"]] = by_line.get(row["cuda_line"], 0) + count
    out = ptxbench("exec", *arguments, "--lines", "all").out
    table = out[out.index("line  PTX executed") :]
    shown = {int(row[1]): int(row[2]) for row in re.finditer(r"^ *(\d+) +(\d+)  100 %", table, re.M)}
    assert shown == by_line, "each line has the sum of its PTX lines"
    assert "out[threadIdx.x] = sum + __shfl_down_sync(0xffff" in table
    assert list(shown) == sorted(shown, key=lambda line: (-shown[line], line))


def test_elements_of_another_type_than_declared_are_noted(document):
    arguments = (*SCALED[:-1], "in:f64[32]=iota", "--arg", "out:f32[32]=zeros", "--arg", "f32=2", "--arg", "s32=1")
    assert "'in' is 'const float*', and its argument has elements f64" in document(*arguments)["notes"]


# ---- without arguments

LAUNCHES = [
    ((), "--grid 4 --block 256"),
    (("--grid", "2"), "--grid 2"),
    (("--block", "64", "--sanitize"), "--block 64 --sanitize"),
    (("--flag", "--use_fast_math", "--arch", "sm_80"), "--flag --use_fast_math --arch sm_80 --grid 4 --block 256"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "launch"), LAUNCHES)
def test_without_arguments_the_message_is_the_whole_command_and_it_works(ptxbench, options, launch):
    ran = ptxbench("exec", "scale.cu", *options)
    assert (ran.status, ran.out) == (2, "")
    sentence, _, command = ran.err.partition("\n\n")
    assert sentence == (
        "Error: 'scale' has 4 parameters, and no --arg was given: const float* x, float* y, float a, unsigned int n. "
        "Change the sizes and values, and run:"
    )
    assert command.strip() == (
        f"ptxbench exec scale.cu {launch} \\\n"
        "    --arg 'x:f32[1024]=random' \\\n"
        "    --arg 'y:f32[1024]=zeros' \\\n"
        "    --arg a:f32=2.5 \\\n"
        "    --arg n:u32=1024"
    )
    copied = shlex.split(command.replace("\\\n", " "))
    assert copied[0] == "ptxbench"
    assert ptxbench(*copied[1:]).status == 0


HOST_CODE = [
    # host code, the launch of the command
    ("constexpr int THREADS = 64;\nvoid f() { k<<<9, THREADS, THREADS * sizeof(float)>>>(nullptr); }",
     "--grid 16 --block 64 --shared 256"),
    ("void f() { dim3 block(32, 8); k<<<dim3(4, 4), block>>>(nullptr); }",   "--grid 4 --block 32,8 --shared 4096"),
    ("void f(int n) { k<<<9, n, n>>>(nullptr); }",                           "--grid 4 --block 256 --shared 4096"),
    ("void f() { k<<<1, 32>>>(nullptr); k<<<1, 64>>>(nullptr); }",           "--grid 4 --block 256 --shared 4096"),
    ("void f() { k<<<1, 2048>>>(nullptr); }",                                "--grid 4 --block 256 --shared 4096"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "launch"), HOST_CODE)
def test_the_command_has_the_block_and_the_shared_memory_of_the_host_code(ptxbench, folder, host, launch):
    kernel = "extern __shared__ float s[];\n__global__ void k(float* x) { s[threadIdx.x] = 1; x[0] = s[0]; }\n"
    (folder / "host.cu").write_text(f"{kernel}{host}\n")
    assert f"\n  ptxbench exec host.cu {launch} \\\n" in ptxbench("exec", "host.cu").err


def test_the_command_for_ptx_has_the_names_of_the_ptx(ptxbench, folder):
    (folder / "scale.ptx").write_text(PTX)
    command = ptxbench("exec", "scale.ptx").err.partition("\n\n")[2]
    assert shlex.split(command.replace("\\\n", " "))[1:] == [
        *("exec", "scale.ptx", "--grid", "8", "--block", "128", "--arg", "x:f32[1024]=random"),
        *("--arg", "y:f32[1024]=random", "--arg", "a:f32=2.5", "--arg", "n:u32=1024"),
    ]


@pytest.mark.parametrize(("threads", "host", "launch"), [
    (64, "", "--grid 16 --block 64 "), (384, "", "--grid 3 --block 384 "), (1024, "", "--grid 1 --block 1024 "),
    (384, "void f() { k<<<1, 128>>>(nullptr); }", "--grid 8 --block 128 "),
    (384, "void f() { k<<<1, 512>>>(nullptr); }", "--grid 3 --block 384 "),
])  # fmt: skip
def test_the_block_of_the_command_is_that_of_the_launch_bounds(ptxbench, folder, threads, host, launch):
    (folder / "k.cu").write_text(f"__global__ void __launch_bounds__({threads}) k(float* x) {{ x[0] = 1; }}\n{host}\n")
    assert f"\n  ptxbench exec k.cu {launch}" in ptxbench("exec", "k.cu").err


# options, the message
WRONG_OPTIONS = [
    (("-I", "missing"),     "-I missing: no such folder."),
    (("-I", "scale.cu"),    "-I scale.cu: this is not a folder."),
    (("-D", "1x"),          "-D '1x': expected NAME or NAME=VALUE, such as BLOCK=256."),
    (("--std", "c++99"),    "--std: unknown standard 'c++99'. Expected c++17, c++20, c++23."),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), WRONG_OPTIONS)
def test_an_option_that_no_compiler_can_take_is_wrong_usage(ptxbench, options, message):
    assert ptxbench("exec", "scale.cu", *options) == (2, "", f"Error: {message}\n")


def test_a_kernel_of_cpp_has_its_cpp_name_in_messages(ptxbench):
    assert ptxbench("exec", *SCALED[:3]).err.startswith("Error: 'scaled<float>' has 4 parameters, and no --arg was ")
    assert ptxbench("exec", *SCALED).err.startswith("Error: 'scaled<float>' has 4 parameters, and 1 --arg was given: ")
    ran = ptxbench("exec", "kernels.cu", "--entry", "checked", "--block", "65", "--arg", "null")
    assert ran.err == "Error: 'checked' allows at most 64 threads in a block (.maxntid); this one has 65.\n"


TEMPLATE = """#define BLOCK 64
#define BOUNDS(threads) __launch_bounds__(threads)
namespace tiles {
template <const int BM, const int BN>
__global__ void __launch_bounds__((BM * BN) * (32), 1) fill(float* x) { x[threadIdx.x] = BM; }
template <int N> __global__ void BOUNDS(32) other(float* x) { x[0] = N; }
}
"""
LAUNCHES_OF_IT = [
    ("",                                                                              "fill<4, 4>"),
    ("void f() { const int BM = 8; tiles::fill<BM, 2><<<1, 8>>>(nullptr); }",         "fill<8, 2>"),
    ("template <int BM> void f() { tiles::fill<BM, 2><<<1, 8>>>(nullptr); }",         "fill<4, 2>"),
    ("void f() { tiles::fill<8, 2><<<1, 8>>>(nullptr); }",                            "fill<8, 2>"),
    ("void f() { tiles::fill<BLOCK, 2><<<1, 8>>>(nullptr); }",                        "fill<BLOCK, 2>"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "example"), LAUNCHES_OF_IT)
@pytest.mark.parametrize("command", ["exec", "arch"])
def test_templates_in_a_header_are_named_with_an_example_that_works(
    ptxbench, folder, monkeypatch, command, host, example
):
    monkeypatch.setattr(nvcc, "find", lambda: (_ for _ in ()).throw(ToolMissing("nvcc is not installed")))
    (folder / "tiles.cuh").write_text(TEMPLATE)
    (folder / "use.cu").write_text(f'#include "tiles.cuh"\n{host}\n')
    message = ptxbench(command, "use.cu").err
    assert (
        f"it has the templates tiles::fill, tiles::other. Name an instantiation, such as --entry 'tiles::{example}'"
        in (message)
    )
    assert ptxbench("exec", "use.cu", "--entry", f"tiles::{example}", "--arg", "f32[32]=zeros").status == 0
    assert ptxbench("exec", "use.cu", "--entry", example, "--arg", "f32[32]=zeros").status == 0


MEMORIES = """__constant__ float weights[4];
__constant__ float known[2] = {1, 2};
__constant__ int unused;
extern __shared__ float tile[];
__device__ float weight(int i) { return weights[i]; }
__global__ void filter(const float* x, float* y)
{
    tile[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = weight(threadIdx.x % 4) * tile[threadIdx.x ^ 1] + known[threadIdx.x % 2];
}
__global__ void plain(float* y) { y[0] = known[blockIdx.x]; }
"""


def test_constants_that_only_host_code_would_set_are_noted(ptxbench, folder, document):
    (folder / "filter.cu").write_text(MEMORIES)
    arguments = ("--arg", "x:f32[32]=iota", "--arg", "y:f32[32]=zeros", "--shared", "128")
    kernel = document("filter.cu", "--entry", "filter", *arguments)
    assert kernel["notes"] == [
        "'weights' in constant memory holds zeros: the file gives no value, and host code that would set it is not "
        "executed"
    ]
    assert document("filter.cu", "--entry", "plain", "--arg", "f32[1]=zeros")["notes"] == []


def test_a_kernel_with_dynamic_shared_memory_needs_the_option_and_the_command_has_it(ptxbench, folder):
    (folder / "filter.cu").write_text(MEMORIES)
    command = ptxbench("exec", "filter.cu", "--entry", "filter").err.partition("\n\n")[2]
    words = shlex.split(command.replace("\\\n", " "))[1:]
    assert words[:10] == ["exec", "filter.cu", "--entry", "filter", "--grid", "4", "--block", "256", "--shared", "4096"]
    assert ptxbench(*words).status == 0
    without = ptxbench(*(word for word in words if word not in ("--shared", "4096")))
    assert without.status == 4
    assert "of shared memory, which has 0: the launch gives no dynamic shared memory." in " ".join(without.out.split())
    assert "--shared" not in ptxbench("exec", "filter.cu", "--entry", "plain").err


STRUCTS = """struct Point { float x, y; };
struct Line { Point from, to; int n; };
__global__ void length(Line line, float* out) { out[0] = line.to.x - line.from.y + line.n; }
"""
# the argument `line`, the message; None if it is accepted
MEMBERS = [
    ("{from:{x:f32=1, y:f32=2}, to:{x:f32=3, y:f32=4}, n:s32=5}", None),
    ("{{f32=1, y:f32=2}, to:{f32=3, f32=4}, s32=5}",              None),
    ("{to:{x:f32=1, y:f32=2}, from:{x:f32=3, y:f32=4}, n:s32=5}",
     "expected member 'from' of 'line' there, found 'to'. Members are given in the order of the struct: from, to, n."),
    ("{from:{x:f32=1, y:f32=2}, to:{y:f32=3, x:f32=4}, n:s32=5}",
     "'y:f32=3': expected member 'x' of 'line.to' there, found 'y'."),
    ("{from:{x:f32=1, y:f32=2}, to:{x:f32=3, y:f32=4}, m:s32=5}",
     "'m:s32=5': expected member 'n' of 'line' there, found 'm'."),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), MEMBERS)
def test_a_member_has_the_name_that_the_struct_gives_it(ptxbench, folder, line, message):
    (folder / "line.cu").write_text(STRUCTS)
    ran = ptxbench("exec", "line.cu", "--arg", f"line:{line}", "--arg", "out:f32[1]=zeros")
    assert (ran.status, ran.err) == (0, "") if message is None else (ran.status == 2 and message in ran.err)


def test_the_order_of_members_names_the_base_of_a_struct(ptxbench, folder):
    source = "struct A { int a; };\nstruct B : A { int b; };\n__global__ void k(B s, int* y) { y[0] = s.a + s.b; }\n"
    (folder / "base.cu").write_text(source)
    ran = ptxbench("exec", "base.cu", "--arg", "s:{{s32=1}, c:s32=2}", "--arg", "y:s32[1]=zeros")
    assert "expected member 'b' of 's' there, found 'c'." in ran.err
    assert ran.err.endswith("in the order of the struct: the base A, b.\n")


def test_the_type_that_a_message_proposes_is_that_of_the_source(ptxbench, folder):
    (folder / "typed.cu").write_text("typedef double real;\n__global__ void k(real c, int n) {}\n")
    ran = ptxbench("exec", "typed.cu", "--arg", "c:f32=1", "--arg", "n:s32=1")
    assert ran.err == "Error: 'c:f32=1': parameter 'c' is 'real'. Write f64=2.5.\n"
    ran = ptxbench("exec", "typed.cu", "--arg", "c:f64=1", "--arg", "n:f32=1")
    assert ran.err == "Error: 'n:f32=1': parameter 'n' is 'int'. Write s32=1024.\n"


def test_a_kernel_with_a_grid_barrier_is_launched_and_a_note_says_how_to_launch_it(ptxbench, tmp_path):
    path = tmp_path / "count.cu"
    path.write_text(
        """\
#include <cooperative_groups.h>
__global__ void count(unsigned* arrived, unsigned* seen)
{
    atomicAdd(arrived, 1);
    cooperative_groups::this_grid().sync();
    seen[blockIdx.x] = *arrived;
}
"""
    )
    ran = ptxbench("exec", path, "--grid", "3", "--arg", "u32[1]=zeros", "--arg", "u32[3]=zeros", "--json")
    (launch,) = json.loads(ran.out)["kernels"]
    assert [array["first"] for array in launch["arrays"]] == [[96], [96, 96, 96]]
    assert launch["notes"] == [
        "the kernel waits for the whole grid: launch it with cudaLaunchCooperativeKernel, as here; in any other launch "
        "the barrier traps"
    ]


def test_a_macro_that_defines_templates_of_kernels_is_named(ptxbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "define.h").write_text(
        "#define DEFINE(NAME, ...) \\\n"
        "template <class T, __VA_ARGS__> \\\n"
        "__global__ void NAME(T* x)\n"
        "namespace ns {\nDEFINE(fill, int N) { x[threadIdx.x] = N; }\n}\n"
    )
    (tmp_path / "main.cu").write_text('#include "define.h"\n__device__ int unused() { return 1; }\n')
    message = (
        "the macro DEFINE defines kernels, and none is instantiated. If they are templates, name an instantiation, "
        "such as --entry 'NAMESPACE::NAME<float, 4>'."
    )
    ran = ptxbench("exec", "main.cu")
    assert (ran.status, ran.err) == (2, f"Error: main.cu has no kernel: no .visible .entry; {message}\n")
    ran = ptxbench("arch", "main.cu", "--target", "sm_90")
    assert (ran.status, ran.err) == (2, f"Error: main.cu has no kernel: {message}\n")
    assert ptxbench("arch", "main.cu", "--entry", "ns::fill<float, 4>", "--target", "sm_90").status == 0
    (tmp_path / "define.h").write_text("")
    assert ptxbench("exec", "main.cu").err.endswith("no .visible .entry; it defines no __global__ function.\n")
