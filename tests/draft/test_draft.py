"""A pair from a kernel: with its questions answered, both sides are verified on the emulator."""

import re
from pathlib import Path

import pytest

from ptxbench import kernel_names
from ptxbench.draft import draft, included, names, ptx_file
from ptxbench.draft.identity import same_kernel
from ptxbench.errors import UsageError
from ptxbench.exec_program import read_program
from ptxbench.toolchain import locate, ptxas
from ptxbench.toolchain.options import AS_IT_IS, SourceOptions
from tests.draft.kernels import CASES

SHIPPED = Path(__file__).parents[2] / "kernels" / "cuda"


def started(ptxbench, text, *options):
    """The pair `mine` from a kernel; its three texts."""
    Path("source.cu").write_text(text)
    ran = ptxbench("new", "mine", "--from", "source.cu", *options)
    assert (ran.status, ran.err) == (0, "")
    return [
        Path("kernels", *path).read_text() for path in (("pairs", "mine.py"), ("cuda", "mine.cu"), ("ptx", "mine.ptx"))
    ]


def is_open(line):
    return "..." in line.partition("#")[0]


def answered(answers):
    path = Path("kernels/pairs/mine.py")
    lines = path.read_text().splitlines()
    for answer in answers:
        at = next(at for at, line in enumerate(lines) if is_open(line))
        lines[at] = lines[at].replace("...", answer, 1)
    assert not any(map(is_open, lines))
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("name", CASES)
def test_both_sides_are_verified_once_the_questions_are_answered(ptxbench, name):
    case = CASES[name]
    _, _, ptx = started(ptxbench, case.cuda, *(["--entry", case.entry] if case.entry else []))
    assert "_ZZ" not in ptx  # variables of the kernel have the names of the CUDA C
    run = ["run", "mine", "--kernels", "kernels", "--backend", "emulator", "--no-save"]
    ran = ptxbench(*run)
    assert ran.status == 2
    assert re.match(r"Error: kernels/pairs/mine\.py:\d+: open question: ", ran.err)
    answered(case.answers)
    ran = ptxbench(*run)
    assert (ran.status, ran.err) == (0, ""), ran.out
    assert "2 variants: 2 verified." in ran.out


def test_host_code_is_left_out_and_its_launch_is_a_proposal(ptxbench):
    case = CASES["host"]
    pair, cuda, _ = started(ptxbench, case.cuda, "--entry", "saxpy")
    assert "// The kernel saxpy of source.cu, without run, main and fill." in cuda
    assert not re.search("vector|include|main\\(|fill\\(|namespace", cuda)
    assert "\nconstexpr int THREADS = 128;\n" in cuda
    assert (
        """
    # A proposal, from line 33 of the host code: saxpy<<<blocks, THREADS>>>(count, 2.0f, x, y)
    launch=lambda n: Launch(grid=ceil_div(n, 128), block=128),
"""
        in pair
    )


SAXPY = """\
// y = a x + y
const int THREADS = 256;

__global__ void saxpy(int n, float a, const float* x, float* y)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = a * x[i] + y[i];
}
"""


def test_the_written_files_and_the_next_steps_are_printed(ptxbench, tmp_path):
    Path("source.cu").write_text(SAXPY)
    assert (
        ptxbench("new", "mine", "--from", "source.cu").out
        == f"""\
kernels/pairs/mine.py  7 open questions: ... under each TODO
kernels/cuda/mine.cu   the kernel saxpy of source.cu
kernels/ptx/mine.ptx   the compiler's PTX of it, as a start, with names

1. Answer the questions in kernels/pairs/mine.py: each `...`, as the TODO above it says.
2. Run it. Both sides are verified; a question that is still open is named:
       ptxbench run mine --kernels kernels
3. Change the PTX step by step, and run it after each step. This shows how they differ:
       ptxbench show mine --diff cuda ptx --kernels kernels

To use this folder without --kernels, set:
       export PTXBENCH_KERNELS={tmp_path}/kernels
"""
    )


def test_a_kernel_with_a_grid_barrier_gets_a_cooperative_launch(ptxbench):
    barrier = "cooperative_groups::this_grid().sync();"
    pair, _, _ = started(ptxbench, "#include <cooperative_groups.h>\n" + SAXPY.replace("if (i < n)", barrier))
    assert (
        """\
    # TODO: the grid and the block, such as lambda n: Launch(grid=ceil_div(n, 256), block=256,
    # cooperative=True). It waits for the whole grid, which must fit the GPU at once.
    launch=...,
"""
        in pair
    )


def test_the_pair_file_has_the_arguments_and_questions_for_the_rest(ptxbench):
    pair, _, _ = started(ptxbench, SAXPY)
    assert (
        pair.partition("    args=[")[2]
        == """  # in the order of both signatures
        Scalar("n", s32, lambda n: n),  # int n. A proposal: a dimension of the size
        # TODO: the value of a, such as 0.7, or a function of the size.
        Scalar("a", f32, ...),  # float a
        # TODO: the shape of x, such as lambda n: (n,).
        In("x", f32, ...),  # const float* x
        # TODO: the shape of y, such as lambda n: (n,). The kernel loads and stores it. An InOut starts with
        # the same values in each launch; write Out if each element is stored before it is loaded, Scratch if
        # its content does not matter after a launch.
        InOut("y", f32, ...),  # float* y
    ],
    # TODO: the grid and the block, such as lambda n: Launch(grid=ceil_div(n, 256), block=256).
    launch=...,
    # TODO: the expected outputs from the inputs, in NumPy, such as lambda n, a, x, y: {"y": ...}. Floats
    # arrive as float64, integers as int64, and an output has the shape of its argument.
    reference=...,
    # TODO: the allowed error: EXACT for copies and integers, close(rtol=1e-5, atol=1e-6) as numpy.allclose
    # has it, or ulps(...) or relative(...), which say why.
    tolerance=...,
    # A proposal: around the size of a block, where an index that is off by one shows.
    check_sizes=[{"n": n} for n in (1, 255, 256, 257, 1000)],
    # A proposal. The emulator runs the first one.
    bench_sizes=[{"n": 1 << k} for k in (16, 22, 25)],
    # TODO: the floating-point operations of a launch, such as lambda n: 2 * n; 0 if it has none.
    flops=...,
)
"""
    )


def test_the_kernel_is_renamed_and_otherwise_unchanged(ptxbench):
    _, cuda, _ = started(ptxbench, SAXPY)
    assert (
        cuda
        == """\
// mine: replace this by one sentence on what the kernel computes.
// Paired with ../ptx/mine.ptx; arguments, shapes and launch are in ../pairs/mine.py.
// The kernel saxpy of source.cu.

"""
        + SAXPY.replace("__global__ void saxpy(", 'extern "C" __global__ void mine(')
    )


def test_the_ptx_names_registers_by_purpose_and_quotes_the_cuda_c(ptxbench):
    _, _, ptx = started(ptxbench, SAXPY)
    assert ptx.startswith("// mine: a start, not hand-written: the PTX that NVRTC ")
    assert max(map(len, ptx.splitlines())) <= 120
    assert ptx.isascii()
    assert not re.search(r"\.loc|\.file|_param_|\$L|\t", ptx)
    assert "\n.version 6.3\n.target sm_75\n" in ptx
    for line in (
        "    // ---- const int i = blockIdx.x * blockDim.x + threadIdx.x;",
        "    mov.u32             %thread, %tid.x;",
        "    mad.lo.s32          %i, %block, %block_size, %thread;",
        "    .param .u32 n,",
        "    @%p1 bra            DONE;",
        "    cvta.to.global.u64  %y, %y;",
        "    // ---- y[i] = a * x[i] + y[i];",
        "    add.s64        %x_at, %x, %offset;",
        "    ld.global.f32  %x_i, [%x_at];",
        "    st.global.f32  [%y_at], %y_i_2;",
        "DONE:",
    ):
        assert line in ptx.splitlines(), line


def test_each_target_is_known_to_ptx_from_its_version_on():
    tool = locate.program("ptxas")
    for target, version in ptx_file.TARGETS.items():
        text = f".version {{}}\n.target {target}\n.address_size 64\n.visible .entry k() {{{{ ret; }}}}\n"
        assert ptxas.accept(tool, text.format(version), target) is not None
        if version != ptx_file.VERSIONS[0]:
            before = ptx_file.VERSIONS[ptx_file.VERSIONS.index(version) - 1]
            with pytest.raises(ptxas.RefusedError, match=f"{before} does not support .target {target}"):
                ptxas.accept(tool, text.format(before), target)


def test_the_lowest_version_is_found_from_the_usual_one_on_with_few_tries():
    def search(begin, least):
        tried = []

        def works(number):
            tried.append(number)
            return number >= least

        return ptx_file.first_true(works, begin, 12), tried

    for begin in range(12):
        for least in range(13):
            found, tried = search(begin, least)
            assert found == max(begin, least)
            assert tried[0] == begin
            assert len(tried) <= 5


def test_show_lists_the_kernels_of_a_pair_with_open_questions(ptxbench):
    started(ptxbench, SAXPY)
    ran = ptxbench("show", "mine", "--kernels", "kernels", "--sass")
    assert ran.status == 0
    assert "FFMA" in ran.out
    assert "\nNothing was counted: kernels/pairs/mine.py:19: open question: the value of a" in ran.out
    assert ptxbench("show", "mine", "--kernels", "kernels", "--counts").status == 2


# ---- the names change nothing

FAST = ("histogram256", "reduce_sum", "sgemm_tiled", "transpose", "w4a16_dequant")
WITH_MAPS = {path.stem for path in SHIPPED.glob("*.cu") if "__grid_constant__" in path.read_text()}
"""Tensor maps are structures to CUDA C; `new --from` takes them from PTX alone."""
OF_A_PAIR = {stem.partition(".")[0]: stem for stem in sorted({path.stem for path in SHIPPED.glob("*.cu")} - WITH_MAPS)}
"""The last variant of each kernel: they have much in common."""
SLOW = [stem for stem in OF_A_PAIR.values() if stem.partition(".")[0] not in FAST]


@pytest.mark.parametrize("stem", [*FAST, *(pytest.param(stem, marks=pytest.mark.long) for stem in SLOW)])
def test_names_and_layout_keep_the_machine_code_of_the_shipped_kernels(stem):
    """`draft` compares too: here that it never has to leave the names out, and that it compares what it returns."""
    path = SHIPPED / f"{stem}.cu"
    result = draft(path, "mine", "mine", "sm_90", AS_IT_IS, Path("kernels/cuda"))
    program = read_program(path, "sm_90")
    (entry,) = program.module.entries
    assert same_kernel(program.ptx, entry, result.ptx, "mine", "sm_90")
    assert result.holds[2].endswith("with names")


def test_names_that_would_change_the_machine_code_are_left_out(ptxbench, monkeypatch):
    whole = names.Naming.all

    def wrong(self, *, merge):
        all_names = whole(self, merge=merge)
        registers = {old: "%n" if new == "%i" else new for old, new in all_names.registers.items()}
        return names.Names(registers, all_names.labels)

    monkeypatch.setattr(names.Naming, "all", wrong)
    Path("source.cu").write_text(SAXPY)
    ran = ptxbench("new", "mine", "--from", "source.cu")
    assert ran.status == 0
    assert "The registers keep the compiler's names" in ran.out
    text = Path("kernels/ptx/mine.ptx").read_text()
    assert "%rd1" in text
    assert "%thread" not in text


FOREIGN = Path(__file__).parents[1] / "foreign_cuda"
IMPOSSIBLE = {
    "torch_types.cu place_in_a_sequence": "is a structure of 32 bytes",  # with unions
    "unbalanced_host.cu increment": "has no definition of 'increment' in its text",
}


@pytest.mark.long
@pytest.mark.parametrize("path", sorted(FOREIGN.glob("*.cu")), ids=lambda path: path.name)
def test_every_kernel_of_the_foreign_files_is_drafted_or_refused_with_a_reason(path):
    # The others as they are compiled in tests/foreign_cuda, so that what NVRTC answered there is in the cache.
    folders = (FOREIGN / "include",) if path.name == "softmax_rows.cu" else ()
    for entry in read_program(path, None, SourceOptions(None, folders)).module.entries:
        name = kernel_names.unqualified(kernel_names.without_arguments(kernel_names.short(entry)))
        options = SourceOptions(entry, folders)
        if why := IMPOSSIBLE.get(f"{path.name} {name}"):
            with pytest.raises(UsageError, match=why):
                draft(path, "mine", "mine", None, options, Path("kernels/cuda"))
        else:
            result = draft(path, "mine", "mine", None, options, Path("kernels/cuda"))
            assert result.holds[2].endswith("with names")


# ---- arguments

PARAMETERS = [
    # parameter P, what the kernel does with it, the line of the pair file
    ("const double* P",         "out[0] += P[1]",                 'In("P", f64, ...),  # const double* P'),
    ("float* P",                "out[0] += P[1]",                 'In("P", f32, ...),  # float* P'),
    ("float* P",                "P[1] = 2",                       'Out("P", f32, ...),  # float* P'),
    ("float* P",                "P[1] += 2",                      'InOut("P", f32, ...),  # float* P'),
    ("unsigned* P",             "atomicAdd(P, 1u)",               'InOut("P", u32, ...),  # unsigned int* P'),
    ("float4* P",               "P[1] = make_float4(1, 2, 3, 4)", 'Out("P", f32, ...),  # float4* P'),
    ("const signed char* P",    "out[0] += P[1]",                 'In("P", s8, ...),  # const signed char* P'),
    ("const long long* P",      "out[0] += P[1]",                 'In("P", s64, ...),  # const long long* P'),
    ("const Point* P",          "out[0] += P[1].weight",          'In("P", ..., ...),  # const Point* P'),
    ("void* P",                 "*(float*)P = 2 * out[1]",        'Out("P", f32, ...),  # void* P'),
    ("void* P",                 "*(int*)P = 1",                   'Out("P", ..., ...),  # void* P'),
    ("const half* P",           "out[0] += __half2float(P[0])",   'In("P", f16, ...),  # const half* P'),
    ("double P",                "out[0] += P",                    'Scalar("P", f64, ...),  # double P'),
    ("bool P",                  "out[0] += P",                    'Scalar("P", u8, ...),  # bool P'),
    ("INPUT(float) P",          "out[0] += *P",                   'In("P", f32, ...),  # const float* P'),
    ("const Vector<float> P",   "out[0] += P[0]",                 'In("P", f32, ...),  # Vector<float> const P'),
    ("int (*P)[4]",             "P[1][2] = 3",                    'Out("P", s32, ...),  # int (*P)[4]'),
]  # fmt: skip


def kernel_of(parameters, bodies):
    lines = ";\n    ".join(bodies)
    return f"""\
#include <cuda_fp16.h>
#define INPUT(T) const T* __restrict__
struct Point {{ float weight; int count; }};
template <typename T> using Vector = const T*;
__global__ void kernel(float* out, {", ".join(parameters)} /* a, comment) */)
{{
    {lines};
    out[2] = 1;
}}
"""


NUMBERED = [tuple(re.sub(r"\bP\b", f"p{number}", text) for text in row) for number, row in enumerate(PARAMETERS)]


@pytest.fixture(scope="module")
def drafted(tmp_path_factory):
    """The arguments of a kernel with all of PARAMETERS, and a few more."""
    path = tmp_path_factory.mktemp("parameters") / "source.cu"
    more = ["unsigned short width", "float lambda", "float"]
    path.write_text(
        kernel_of([row[0] for row in NUMBERED] + more, [row[1] for row in NUMBERED] + ["out[0] += lambda + width"])
    )
    pair = draft(path, "mine", "mine", "sm_90", AS_IT_IS, path.parent).pair
    return pair.partition("args=[")[2].partition("\n    ],")[0].splitlines()


@pytest.mark.parametrize(("parameter", "body", "line"), NUMBERED)
def test_an_argument_follows_from_its_parameter_and_the_kernel(drafted, parameter, body, line):
    assert f"        {line}" in drafted


SHAPE = "such as lambda width: (width,)."
QUESTIONS = [
    # parameter P of PARAMETERS, what its TODO asks
    ("const double* P",  f"the shape of P, {SHAPE}"),
    ("unsigned* P",      f"the shape of P, {SHAPE} The kernel updates it with atomics. An InOut starts with the same "
     "values in each launch; write Out if each element is stored before it is loaded, Scratch if its content does not "
     "matter after a launch."),
    ("float4* P",        "the shape of P in f32, 4 for each float4, such as lambda width: (width, 4)."),
    ("const Point* P",   "the dtype and the shape of P, whose elements are Point of 8 bytes: one type of number, such "
     "as u32, and lambda width: (width,)."),
    ("bool P",           "the value of P, such as 0 or 1, or a function of the size."),
]  # fmt: skip
VOID = "the dtype and the shape of P, whose elements are void: one type of number, such as u32, and"


def test_what_a_parameter_leaves_open_is_asked(drafted):
    rows = " ".join(row.strip().removeprefix("# ") for row in drafted)
    number_of = {parameter: number for number, (parameter, *_) in enumerate(PARAMETERS)}
    for parameter, question in (*QUESTIONS, ("void* P", VOID)):  # of several, the last one
        assert "TODO: " + re.sub(r"\bP\b", f"p{number_of[parameter]}", question) in rows


def test_a_number_is_a_dimension_or_a_question_and_every_argument_has_a_name_for_python(drafted):
    number = len(NUMBERED)
    assert drafted[-5:] == [
        '        Scalar("width", u16, lambda width: width),  '
        "# unsigned short width. A proposal: a dimension of the size",
        "        # TODO: the value of lambda_, such as 0.7, or a function of the size.",
        '        Scalar("lambda_", f32, ...),  # float lambda',
        f"        # TODO: the value of argument_{number + 2 + 1}, such as 0.7, or a function of the size.",
        f'        Scalar("argument_{number + 2 + 1}", f32, ...),  # float',
    ]


# ---- refusals

REFUSED = [
    ("union U { int a; float b; };\n__global__ void k(U u, int* x) { x[0] = u.a; }", [], 2,
     "Parameter 1, 'U u', is a structure of 4 bytes. A pair passes structures of numbers, arrays and structures, up to "
     "64. Pass what the kernel needs of it as parameters."),
    ("struct Op { __device__ float operator()(float x) const { return 2 * x; } };\n"
     "__global__ void k(Op op, float* x) { x[0] = op(x[0]); }", [], 2,
     "Parameter 1, 'Op op', is a structure of 1 byte. It has no members: leave it out, and make the object in the "
     "kernel."),
    ("struct B { int a : 4, b : 28; };\n__global__ void k(B s, int* x) { x[0] = s.b; }", [], 2,
     "Parameter 1, 'B s', is a structure of 4 bytes."),
    ("struct C { int a : 8; int b; };\n__global__ void k(C s, int* x) { x[0] = s.a + s.b; }", [], 2,
     "Parameter 1, 'C s', is a structure of 8 bytes."),
    ("struct L { float w[65]; };\n__global__ void k(L s, float* x) { x[0] = s.w[64]; }", [], 2,
     "Parameter 1, 'L s', is a structure of 260 bytes."),
    ("struct R { float** rows; };\n__global__ void k(R s, float* x) { x[0] = s.rows[0][0]; }", [], 2,
     "Parameter 1, 'R s', is a structure of 8 bytes."),
    ("template <class F> __global__ void k(float* x, F f) { f(0); }\n"
     "int main() { float* x; k<<<1, 1>>>(x, [=] __device__(int i) { x[i] = 1; }); }", [], 2,
     "Parameter 2, 'main::{lambda(int)#1} f', is a structure of 8 bytes. A pair passes structures of numbers, "
     "arrays and structures. Write a kernel with the body of the lambda."),
    (kernel_of(["float** p"], ["p[0][0] = 1"]), [], 2,
     "Parameter 2, 'float** p', is a pointer to pointers."),
    ("__global__ void k(const float* x) { if (x[0] > 1) __trap(); }", [], 2,
     "'k' of source.cu stores to none of its arrays, so a pair has nothing to verify."),
    (SAXPY + SAXPY.replace("saxpy", "other").replace("const int THREADS = 256;", ""), [], 2,
     "source.cu has 2 kernels: saxpy, other. Name one with --entry."),
    (SAXPY, ["--entry", "sakspy"], 2,
     "source.cu has no kernel 'sakspy'. Did you mean 'saxpy'?"),
    ("#define K(name) __global__ void name(float* x) { x[0] = 1; }\nK(k)", [], 2,
     "source.cu has no definition of 'k' in its text and its headers; a macro may make it."),
    (SAXPY, ["--flag", "--use_fast_math"], 2,
     "--flag --use_fast_math cannot be kept"),
    (SAXPY.replace("y[i];", "z[i];"), [], 4,
     'source.cu:8: identifier "z" is undefined.'),
    ("__device__ int nothing;", [], 2,
     "source.cu has no kernel"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "options", "status", "message"), REFUSED)
def test_a_kernel_that_no_pair_can_have_is_refused_and_nothing_is_written(ptxbench, text, options, status, message):
    Path("source.cu").write_text(text)
    ran = ptxbench("new", "mine", "--from", "source.cu", *options)
    assert (ran.status, ran.out) == (status, "")
    assert message in ran.err
    assert not Path("kernels").exists()


def test_other_files_and_options_without_a_file_are_refused(ptxbench):
    for arguments, message in [
        (["--from", "absent"], "There is no file absent."),
        (["--from", "absent.cu"], "There is no file absent.cu."),
        (["--entry", "k"], "--entry is for the file of --from. Add --from FILE, or leave it out."),
        (["--arch", "sm_80"], "--arch is for the file of --from."),
    ]:
        ran = ptxbench("new", "mine", *arguments)
        assert (ran.status, ran.out) == (2, "")
        assert message in ran.err


@pytest.mark.parametrize("between", ['#include "kernels.cuh"', '#include "all.h"'])
def test_a_kernel_of_a_header_is_found(ptxbench, between):
    Path("all.h").write_text('#pragma once\n#include "kernels.cuh"\n')
    Path("kernels.cuh").write_text(
        "#pragma once\n#include <cuda_fp16.h>\n#define HALF __half\n"
        "template <class T> __global__ void twice(T* x, int n) {\n"
        "    int i = blockIdx.x * blockDim.x + threadIdx.x;\n    if (i < n) x[i] = x[i] + x[i];\n}\n"
        "__global__ void other(float* x) { x[0] = 1; }\n"
    )
    Path("reference.h").write_text("#include <vector>\nvoid check(std::vector<float> x);\n")
    text = f'{between}\n#include "reference.h"\nint main() {{ twice<HALF><<<n / 64, 64>>>(x, n); }}\n'
    pair, cuda, _ = started(ptxbench, text, "--entry", "twice<__half>")
    assert "A proposal, from line 3 of the host code" in pair
    assert 'using T = __half;\nextern "C" __global__ void mine(T* x, int n)' in cuda
    assert not re.search('once|void other|reference|#include "', cuda)


def test_each_header_is_searched_once_for_a_kernel():
    """Each of 40 headers includes all that follow: there are 2**39 ways from the first to the last."""
    names = [f"{number}.h" for number in range(40)]
    headers = {
        name: "".join(f'#include "{other}"\n' for other in names[number:]) for number, name in enumerate(names, 1)
    }
    assert included.inlined('#include "0.h"\n', dict(headers), "k") is None
    headers["39.h"] = "#pragma once\n__global__ void k() {}\n"
    assert "__global__ void k() {}" in included.inlined('#include "0.h"\n', dict(headers), "k")


def test_a_kernel_of_a_header_that_needs_the_file_is_found(ptxbench):
    Path("kernels.h").write_text("__global__ void fill(float* x) { x[threadIdx.x] = VALUE; }\n")
    _, cuda, _ = started(ptxbench, '#define VALUE 3.0f\n#include "kernels.h"\nint main() {}\n')
    assert cuda.endswith('#define VALUE 3.0f\nextern "C" __global__ void mine(float* x) { x[threadIdx.x] = VALUE; }\n')


def test_headers_and_macros_of_the_command_line_are_kept(ptxbench):
    Path("own").mkdir()
    Path("own/scale.cuh").write_text("__device__ inline float scaled(float x) { return FACTOR * x; }\n")
    Path("next.h").write_text("#define FIRST 0\n")
    text = '#include "next.h"\n#include <scale.cuh>\n__global__ void k(float* x) { x[FIRST] = scaled(x[FIRST]); }\n'
    _, cuda, _ = started(ptxbench, text, "-I", "own", "-D", "FACTOR=3")
    assert '#define FACTOR 3\n#include "../../next.h"\n#include "../../own/scale.cuh"\n' in cuda
    assert ptxbench("arch", "mine", "--kernels", "kernels", "--target", "sm_90").status == 0


def test_headers_that_other_headers_find_only_by_an_option_are_named(ptxbench):
    for folder, name, text in (
        ("own", "scale.cuh", '#include "factor.h"\n__device__ inline float scaled(float x) { return FACTOR * x; }\n'),
        ("more", "factor.h", "#define FACTOR 3\n"),
    ):
        Path(folder).mkdir()
        Path(folder, name).write_text(text)
    Path("k.cu").write_text("#include <scale.cuh>\n__global__ void k(float* x) { x[0] = scaled(x[0]); }\n")
    ran = ptxbench("new", "mine", "--from", "k.cu", "-I", "own", "-I", "more", "--kernels", "kernels")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        "Error: The headers of this kernel include factor.h, which only -I finds, and a pair compiles its .cu file "
        "without -I. Copy the kernel, with what it needs of these headers, to a file of its own, and take that.\n"
    )
    assert not Path("kernels/cuda/mine.cu").exists()


def test_an_array_that_a_device_function_declares_too_stays_one_array(ptxbench):
    text = """\
__device__ float total(int n) {
    extern __shared__ float s[];
    float a = 0;
    for (int i = 0; i < n; ++i) a += s[i];
    return a;
}
static __global__ void __launch_bounds__(64)
k(float* x, /* all */ int n)
{
    extern __shared__ float s[];
    float sum = 0;
    for (int tile = 0; tile < n; tile += 64) {
        s[threadIdx.x] = x[tile + threadIdx.x];
        __syncthreads();
        sum += total(blockDim.x);
        __syncthreads();
    }
    x[threadIdx.x] = sum;
}
"""
    _, cuda, ptx = started(ptxbench, text)
    head = "__global__ void __launch_bounds__(64)"
    assert f'extern "C" {head} mine(float* x, int n);\n{head}\nmine(float* x, /* all */ int n)\n' in cuda
    assert ptx.count(".extern .shared") == 1


@pytest.mark.parametrize("template", ["", "template <class T> "])
def test_a_kernel_in_an_unnamed_namespace_needs_no_launch(ptxbench, template):
    kind, call = ("T", "k<float>") if template else ("float", "k")
    text = (
        f"namespace {{\n{template}__global__ void k({kind}* x) {{ x[threadIdx.x] += 1; }}\n}}\n"
        f"int main() {{ {call}<<<1, 32>>>(nullptr); }}\n"
    )
    _, cuda, _ = started(ptxbench, text)
    assert "inline namespace unnamed {" in cuda
    assert "main" not in cuda.partition("\n\n")[2]


def test_a_macro_with_brackets_before_its_name_is_not_the_name_of_a_kernel(ptxbench):
    text = (
        "#define BOUNDS(n) __launch_bounds__(n)\n__global__ void BOUNDS(64) twice(float* x) { x[threadIdx.x] *= 2; }\n"
    )
    _, cuda, _ = started(ptxbench, text)
    assert "void BOUNDS(64) mine(float* x)" in cuda


def test_a_function_whose_mark_is_a_macro_is_kept(ptxbench):
    Path("marks.h").write_text("#define BOTH __host__ __device__ inline\n")
    text = (
        '#include "marks.h"\n#include <torch/extension.h>\nBOTH float f(float a) { return 2 * a; }\n'
        'C10_HOST_DEVICE float g(float a) { return a + 1; }\nvoid h(at::Tensor a) { puts(""); }\n'
        "__global__ void twice(float* x) { x[threadIdx.x] = g(f(x[threadIdx.x])); }\n"
    )
    _, cuda, _ = started(ptxbench, text)
    assert "BOTH float f(float a)" in cuda
    assert "C10_HOST_DEVICE float g(float a)" in cuda
    assert "Tensor" not in cuda


def test_without_ptxas_the_instructions_are_compared(ptxbench, monkeypatch):
    find_program = locate.program
    monkeypatch.setattr(locate, "program", lambda name: None if name == "ptxas" else find_program(name))
    _, _, ptx = started(ptxbench, SAXPY)
    assert "%thread" in ptx
    assert "\n.target sm_90\n" in ptx  # which lower one works is not known
    other = ptx.replace("fma.rn.f32", "add.rn.f32").replace(", %a, %y_i", ", %y_i")
    assert other != ptx
    assert not same_kernel(ptx, "mine", other, "mine", "sm_90")
    assert same_kernel(ptx, "mine", ptx, "mine", "sm_90")
