"""Host code in a CUDA C file is left out, and nothing else; what cannot be left out goes to nvcc or is refused."""

import re

import pytest

from ptxbench import kernel_names, toolchain
from ptxbench.discovery import default_kernels
from ptxbench.errors import CompileError, UsageError
from ptxbench.toolchain import cuda_c, locate, nvcc
from ptxbench.toolchain.compiler_errors import CompilerError
from ptxbench.toolchain.host_code import SourceText

KERNEL = '\nextern "C" __global__ void k(float* x) { x[0] = 1; }\n'


# a text before the kernel, the lines that are left out
LEFT_OUT = [
    ("int main() { return 0; }",                                                      "1"),
    ("int f(int a)\n{\n    return a;\n}\n__device__ int g();",                        "1-4"),
    ("#include <vector>\nstruct S {\n    std::vector<int> v;\n};\nvoid f(S s) {}",    "2-5"),
    ("#include <string>\nusing T = std::string;\nT name;\nstatic T other() { return name; }", "3-4"),
    ("struct S {\n    S() : a(0) {}\n    int a;\n};\n__device__ S s;",                "2"),
    ("#include <string>\nstruct S {\n    S(std::string s) : a{1}, b{2} { puts(\"\"); }\n    int a, b;\n};\n"
     "__device__ S* s;",                                                              "3"),
    ("struct S {\n    S() noexcept { puts(\"\"); }\n    int a;\n};\n__device__ S* s;",   "2"),
    ("template <class T> void f(T a) {}\ntemplate void f<int>(int);",                 "1-2"),
    ('extern "C" {\nvoid f() {}\n__device__ int g;\n}\nnamespace a { namespace b {\nvoid f() {}\n} }', "2, 6"),
    ("#ifdef X\nvoid f() {\n#pragma unroll\n}\n#endif\n#ifndef X\nvoid f() { puts(R\"(})\"); /* } */ }\n#endif", "7"),
    ("void f() { auto g = [] __device__ (int a) { return a; }; }",                    "1"),
    ("constexpr int f(int a) { return a; }\n__device__ int g[f(3)];\nint n = 0;",     "3"),
    ("void f() {\n    auto g = [](auto n) {\n        constexpr int m = n.value;\n        h(m);\n    };\n}",  "1-6"),
    ("template <int N> void f() { if constexpr (N > 1) puts(\"\"); }\nvoid g() { f<2>(); }", "1-2"),
    ("struct S {\n    bool operator==(S o) { return 1; }\n    int operator()(int a);\n};\n__device__ S s;", "2-3"),
    ("template <class T> struct S { T a; };\ntemplate <> struct S<int> {\n    int operator()() { return 1; }\n};", "3"),
    ("#include <pthread.h>\nstruct S {\n    FILE* f;\n    pthread_t id;\n};\nvoid f(S*);\nS* g() { return 0; }", "2-7"),
    ("#include <gtest/gtest.h>\nstd::vector<int> v;\nclass Sums : public testing::Test { void SetUp() override {} };\n"
     "TEST_F(Sums, One) { EXPECT_EQ(1, 1) << 2; }\nint main(int c, char** v) { return RUN_ALL_TESTS(); }", "2-5"),
    ("#include <gmock/gmock.h>\nclass Ints : public testing::TestWithParam<int> {};\nTEST_P(Ints, One) {}\n"
     "INSTANTIATE_TEST_SUITE_P(\n    Few, Ints, testing::Values(1));", "2-3"),
    ("#include <string>\nclass A { std::string name; void f() {} };\nclass B : public A {};\nstruct C : B {};", "2-4"),
    ("#include <gflags/gflags.h>\nDEFINE_int32(n, 5, \"how many\");\nint n() { return FLAGS_n; }", "3"),
    ("#include <opencv2/opencv.hpp>\ncv::Mat load(const std::string& name) { return cv::imread(name); }", "2"),
    ("#include <mpi.h>\nvoid f(MPI_Status* s, int n);\nvoid g(const MPI_Comm* c, int n);", "2-3"),
    ("#include <vector>\ntemplate <class T> void f(std::vector<T> a) {}\ntemplate void f(std::vector<int> a);", "2-3"),
    ("#include <thrust/tuple.h>\n#include <cstddef>\n#include <vector>\nstd::tuple<std::vector<int>> f() { return {}; }"
     "\n__device__ std::size_t n;", "4"),
    ("template <class T> const char* f();\ntemplate <> const char* f<int>() { return 0; }",  "1-2"),
    ("template <class T> T f(T a) { return puts(a); }\ntemplate <>\ninline int f(int a) { return a; }", "1-3"),
    ("#include <string>\ntemplate <class T> struct S { std::string f(); };\n"
     "template <> std::string S<int>::f() { return 0; }",                              "2-3"),
    ("namespace a { void f() { puts(\"\"); } }\nusing a::f;",                           "1-2"),
    ("#include <string>\nstruct S {\n    __device__ int f() { return 1; }\n    std::string name;\n};", "2-5"),
    ("#include <dirent.h>\n#include <sys/wait.h>\nDIR* f() { return 0; }\nint g(DIR* d);", "3-4"),
    ("#include <glob.h>\n#include <print>\nvoid f(glob_t g) { std::print(\"{}\", g.gl_pathc); }", "3"),
    ("#include <thrust/random.h>\n#include <nvrtc.h>\nvoid f() { thrust::minstd_rand e; nvrtcProgram p; }", "3"),
    ("#include <cub/device/device_scan.cuh>\nvoid f(int* a) { cub::DeviceScan::Sum(a); }", "2"),
    ("#include <sys/time.h>\ntypedef struct { struct timeval start; } Timer;\ntime_t f(Timer*);\n"
     "void g(Timer* t) { gettimeofday(&t->start, 0); }",                              "2-4"),
    ("#include <string>\nclass A {\n    std::string name;\n    template <class T> T f() const;\n};\n"
     "template <> inline bool A::f<bool>() const { return true; }",                   "2-6"),
    ("#include <vector>\ntemplate <class T> T f(std::vector<T> a) { return a[0]; }\n"
     "template <> float f(std::vector<float> a) { return std::min(a[0], 1.0f); }",     "2-3"),
    ("#include <ATen/ATen.h>\nvoid f(at::Tensor a) { TORCH_CHECK(a.is_cuda(), \"no\"); }\nvoid g() { AT_ERROR(); }",
     "2-3"),
    ("#include <cuda.h>\nvoid f(CUtensorMapDataType t) { cuTensorMapEncodeTiled(t, CU_TENSOR_MAP_SWIZZLE_NONE); }\n"
     "void g(CUdeviceptr x, int n);\nCUresult h();",                                  "2-4"),
    ("#include <cuda.h>\n__host__ inline void f(CUmemGenericAllocationHandle* a, int b) { g(a); }", "2"),
    ("struct S {\n    __host__ S(int) : a(f()) {}\n    __device__ S() {}\n    int a;\n};\n__device__ S s;", "2"),
    ("#define CALL(name) __device__ int name() { return 1; }\nCALL(a)\nint main() { return a(); }\nCALL(b)", "3"),
]  # fmt: skip


# a host function for which NVRTC dies if it has libcu++'s headers, and what a kernel uses of them
DEADLY = [
    ("std::tuple<std::vector<int>, std::string> f() { auto t = g(); return t; }",     "x[0] = 1;"),
    ("std::pair<std::vector<int>, int> f() { return std::make_pair(g(), 1); }",       "x[0] = std::min(1, 2);"),
    ("std::optional<std::string> f() { std::optional<std::string> s = g(); return s; }", "x[0] = std::get<0>(T(1));"),
    ("using namespace std;\npair<string, int> f() { return {g(), 1}; }",              "x[0] = min(1, 2);"),
]  # fmt: skip


@pytest.mark.parametrize(("host", "kernel"), DEADLY)
def test_host_code_that_crashes_nvrtc_is_left_out_before_nvrtc_reads_it(compiled, without_nvcc, host, kernel):
    headers = "".join(f"#include <{name}>\n" for name in ("algorithm", "optional", "string", "tuple", "vector"))
    types = "typedef std::tuple<int> T;\n" if "T(" in kernel else ""
    output = compiled(f'{headers}{host}\n{types}extern "C" __global__ void k(int* x) {{ {kernel} }}\n')
    assert ".entry k(" in output.ptx


def test_a_class_of_the_host_may_have_many_functions(compiled, without_nvcc):
    layers = "".join(f"Blob<float> *Net::layer{i}(Blob<float> *x) {{ return x->next(name); }}\n" for i in range(20))
    text = f"""\
#include <string>
#include <vector>
template <typename T> class Blob {{ std::vector<T> values; Blob<T> *next(const std::string &name); }};
class Net {{
    std::string name;
{"".join(f"    Blob<float> *layer{i}(Blob<float> *x);" for i in range(20))}
}};
{layers}
struct Tile {{ int x; __device__ int area(); }};
__device__ int Tile::area() {{ return x * x; }}
extern "C" __global__ void k(int *p) {{ Tile tile{{3}}; *p = tile.area(); }}
"""
    assert compiled(text).how.endswith(", without host code (lines 3-27)")


def test_a_text_that_crashes_nvrtc_is_refused_with_a_message(compiled, without_nvcc):
    text = "#include <vector>\n#include <utility>\nstruct S { std::pair<std::vector<int>, int> a; };\n__device__ S s;\n"
    kernel = "__global__ void k(int* x) { x[0] = std::pair<std::vector<int>, int>().second; }"
    with pytest.raises(
        CompileError, match=r"^k\.cu: NVRTC ended with SIGSEGV while it compiled this file\. nvcc might"
    ):
        compiled(text + kernel)


# code of a kernel that nvcc compiles and NVRTC refuses
OF_NVCC = [
    "static_assert(__builtin_popcountll(7ull << 40) + __builtin_clz(256) + __builtin_ffs(8) == 30); x[0] = 1;",
    "x[0] = __builtin_popcount(x[1]) + __builtin_fmaf(__builtin_fabsf(x[2]), 2, __builtin_inff());",
    "int bits; __builtin_memcpy(&bits, x, 4); x[0] = __builtin_clz(bits) + __builtin_huge_val();",
    "auto f = [] __device__ (int n) { return n + 1; }; x[0] = [=] __host__ __device__ { return f(1); }();",
    "register __const__ int n = 1; __extension__ __signed__ char c = n; x[0] = c + __alignof__(int) + u_int32_t(1);",
    "x[0] = std::numeric_limits<std::enable_if_t<sizeof(x) == 8, int>>::max(); std::swap(x[0], x[1]);",
]


@pytest.mark.parametrize("code", OF_NVCC)
def test_what_only_nvcc_accepts_in_kernels_is_compiled_by_nvrtc(compiled, without_nvcc, code):
    assert ".entry k(" in compiled(f'extern "C" __global__ void k(float* x) {{ {code} }}').ptx


@pytest.mark.parametrize("header", ["cublas_v2.h", "cublasLt.h", "cusolverDn.h", "nccl.h"])
def test_the_headers_of_libraries_bring_the_types_that_they_include(compiled, header):
    output = compiled(f"#include <{header}>\nstruct S {{ __half a; __nv_bfloat16 b; }};\n__device__ S s;{KERNEL}")
    assert ".entry k(" in output.ptx


@pytest.mark.parametrize("header", ["cublas.h", "cublas_v2.h", "cufft.h", "cufftXt.h", "cusparse.h", "cusolverDn.h"])
def test_the_headers_of_libraries_have_complex_numbers(compiled, header):
    more = "__device__ cufftComplex c;" if "fft" in header else ""
    output = compiled(f"#include <{header}>\n__device__ cuDoubleComplex z; {more}{KERNEL}")
    assert ".entry k(" in output.ptx


@pytest.mark.parametrize(("text", "lines"), LEFT_OUT)
def test_host_code_is_left_out_and_its_lines_are_named(compiled, text, lines):
    output = compiled(text + KERNEL)
    assert re.fullmatch(rf"NVRTC \d+\.\d+\.\d+, without host code \(lines? {lines}\)", output.how)
    assert ".entry k(" in output.ptx


@pytest.mark.parametrize("header", ["cmath", "vector"])
def test_a_function_of_cuda_and_std_is_one_function_after_using_namespace_std(compiled, without_nvcc, header):
    text = f"""\
#include <{header}>
#include <limits>
using namespace std;
extern "C" __global__ void k(double* x, float* y) {{
    x[0] = exp(x[1]) + pow(x[2], 2.0) + numeric_limits<double>::max();
    y[0] = sqrt(y[1]) + max(fabs(y[2]), 1.0f);
    x[3] = x[4]>exp(x[5]);
}}
"""
    assert compiled(text).ptx.count("sqrt.rn.f32") == 1  # not that of double


def test_members_of_a_class_for_kernels_that_only_the_host_calls_stay(compiled, without_nvcc):
    """They decide how it is copied."""
    text = """\
#include <string>
class Pool {
    int* first;
public:
    Pool() {}
    ~Pool() {}
    Pool& operator=(const Pool& other) { first = other.first; return *this; }
    std::string name() { return ""; }
    __device__ int* get() { return first; }
};
extern "C" __global__ void k(Pool pool) { *pool.get() = 1; }
"""
    output = compiled(text)
    assert output.how.endswith(", without host code (lines 5, 8)")
    assert ".param .align 8 .b8 k_param_0[8]" in output.ptx


def test_a_specialisation_keeps_the_members_that_decide_how_it_is_copied(compiled, without_nvcc):
    text = """\
template <class T> struct Number {};
template <> struct Number<float> {
    float value;
    Number& operator=(const Number& other) { value = other.value; return *this; }
    ~Number() { value = 0; }
    float twice() { return 2 * value; }
};
"""
    assert compiled(text + KERNEL).how.endswith(", without host code (line 6)")


def test_a_macro_may_stand_for_constexpr(compiled, without_nvcc):
    """Kernels can call the functions, as they can those with the word itself."""
    text = """\
#define CONSTANT inline constexpr  // of C++14
#define NUMBER CONSTANT
template <class T> struct Number {};
template <> struct Number<float> {
    float value;
    CONSTANT Number(float number) : value(number) {}
    CONSTANT Number& operator=(const Number& other) { value = other.value; return *this; }
};
NUMBER float three() { return 3; }
int host() { return three(); }
"""
    output = compiled(text + KERNEL.replace("= 1", "= (Number<float>(2) = Number<float>(1)).value + three()"))
    assert output.how.endswith(", without host code (line 10)")
    assert "0f40800000" in output.ptx.lower() or "1082130432" in output.ptx  # 4.0


def test_a_variable_may_have_the_mark_of_a_host_function(compiled, without_nvcc):
    """nvcc only warns of it."""
    text = """\
#define BOTH __host__ __device__
__host__ __device__ constexpr float two = 2;
template <class T> BOTH static constexpr T three = T(3);
"""
    output = compiled(text + KERNEL.replace("= 1", "= *&two * three<float>"))
    assert output.how.endswith(", without host code")
    assert "0f40c00000" in output.ptx.lower() or "1086324736" in output.ptx  # 6.0


FAILS = """\
void fail(const char* file, int line, const char* format, ...);
template <class... T> constexpr int most(int a, int b, T... more) {
    if (a == 0) fail(__FILE__, __LINE__, "%d", b);
    return a > b ? a : b;
}
"""


def test_a_constant_may_come_from_a_function_that_calls_the_host_in_another_case(compiled, without_nvcc):
    constant = 'extern "C" __global__ void k(int* x) { constexpr int n = most(3, 4, 5); x[0] = n; }'
    assert compiled(FAILS + constant).how.endswith(", without host code (line 1)")
    called = compiled(f'{FAILS}extern "C" __global__ void k(int* x) {{ x[0] = most(x[1], x[2]); }}')
    assert re.search(r"\.extern \.func +\w*fail", called.ptx)


def test_what_nvrtc_refuses_or_dies_of_is_compiled_by_nvcc(compiled):
    statement = compiled('extern "C" __global__ void k(int* x) { x[0] = ({ int n = x[1]; n + 1; }); }')
    assert re.fullmatch(r"nvcc .*; NVRTC refuses k\.cu:1: expected an expression", statement.how)
    deadly = "#include <vector>\n#include <utility>\nstruct S { std::pair<std::vector<int>, int> a; };\n"
    output = compiled(f"{deadly}__device__ S* s;\n__global__ void k(int* x) {{ x[0] = sizeof(s->a); }}")
    assert output.how.endswith("; NVRTC died of it")


@pytest.mark.parametrize("kernel", ["static __global__ void k(int* x)", "namespace { __global__ void k(int* x)"])
def test_a_kernel_that_is_not_visible_needs_no_nvcc(compiled, kernel):
    end = "} }" if kernel[0] == "n" else "}"
    output = compiled(f"{kernel} {{ x[0] = 1; {end}\nint main() {{ k<<<1, 1>>>(nullptr); }}\n")
    assert output.how.startswith("NVRTC ")
    assert ".entry" in output.ptx


def test_an_instantiation_by_nvcc_adds_no_kernel_also_in_an_unnamed_namespace(compiled):
    text = "namespace { namespace ns { template <int N> static __global__ void k(int* x) { x[0] = ({ N; }); } } }\n"
    output = compiled(text, "--name-expression=ns::k<4>")
    assert re.findall(r"\.entry (\w+)", output.ptx) == [output.instantiated]
    assert kernel_names.short(output.instantiated) == "(anonymous namespace)::ns::k<4>"


# what must stay, because a kernel could mean something else without it; the text is valid for nvcc alone, or not at all
STAYS = [
    ("static_assert(sizeof(long) == 3);\nint main() {}",                              "static assertion failed"),
    ("#include <vector>\nstatic_assert(sizeof(std::vector<int>) == 3);",              "incomplete type"),
    ("#include <vector>\ntemplate <class T> struct S { int a; };\n"
     "template <class T> struct S<T*> { std::vector<int> a; };",                      "incomplete type"),
    ("#define F __device__\n#define G F inline\nG int f(float) { return std::nothing(); }\n"
     "F int f(double) { return 1; }",
     "std"),
    ("no kernel",                                                                     'identifier "no" is undefined'),
    ("int main() {}\n/* nothing else",                                                "comment"),
    ("#include <vector>\ntemplate <class T> struct S { int a; };\n"
     "template <> struct S<int> { std::vector<int> a; };",                            r"incomplete type"),
    ("float twice(float a) { return 2 * a; }\n__global__ void g(float* x) { x[0] = twice(1); }",
     '"twice" is host code, and a kernel uses it'),
    ("#include <string>\nstruct S { std::string name; };\n__global__ void g(S s) {}", '"S" is host code'),
    ("#include <string>\nstruct S { std::string a; __device__ int f() { return 1; } };\n"
     "__global__ void g(S* s, int* x) { x[0] = s->f(); }",                             '"S" is host code'),
    ("struct V {\n    float a;\n    V& operator=(const V& o) { a = o.a + 1; return *this; }\n};\n"
     "__global__ void g(V* v) { v[0] = v[1]; }",                                     '"V" is host code'),
    ("#define F __device__\nF int f(float) { undefined(); }\nF int f(double) { return 1; }\nint main() {}",
     '"undefined" is undefined'),
    ("void f() {\n#ifdef X\n}\nvoid g() {\n#else\n}\n",                               r"expected a|host code"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), STAYS)
def test_code_that_could_change_a_kernel_stays_and_is_an_error(compiled, without_nvcc, text, message):
    with pytest.raises(CompileError, match=message):
        compiled(text + KERNEL)


def test_a_specialisation_that_uses_the_host_is_not_replaced_by_the_general_template(compiled, without_nvcc):
    template = "#include <vector>\ntemplate <class T> __host__ __device__ int f(T) { return 1; }\n"
    template += "template <> int f<int>(int) { return std::vector<int>().size(); }"
    assert ".extern .func" not in compiled(template + KERNEL.replace("= 1", "= f(1.0f)")).ptx
    called = compiled(template + KERNEL.replace("= 1", "= f(1)"))
    assert re.search(r"\.extern \.func .*\w*_Z1fIiEiT_\b", called.ptx)  # which ptxas refuses


@pytest.fixture
def rounds(monkeypatch, tmp_path):
    """The texts of the source that NVRTC reads, in order, with an empty cache."""
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    read = []
    by_nvrtc = cuda_c.Job.by_nvrtc

    def recorded(self, text, *others, **options):
        read.append(text.decode())
        return by_nvrtc(self, text, *others, **options)

    monkeypatch.setattr(cuda_c.Job, "by_nvrtc", recorded)
    return read


def test_host_code_is_found_without_the_bodies_of_kernels_in_a_large_library(
    compiled, without_nvcc, tmp_path, monkeypatch, rounds
):
    """NVRTC would instantiate what they call in each round, which takes a minute for an attention kernel."""
    monkeypatch.setattr(cuda_c, "LARGE", 100)
    source = (
        "#define KERNEL(name, ...) __global__ void name(__VA_ARGS__)\n#include <vector>\nstd::vector<int> f() { g(); }"
    )
    source += "\nint f(int) { return 1; }\nKERNEL(k, int* x) { x[0] = 4711; }" + KERNEL
    output = compiled(source)
    assert "4711" in output.ptx
    assert "lines 3-4" in output.how
    assert ["4711" in text for text in rounds] == [False] * (len(rounds) - 1) + [True]


def test_a_translation_without_host_code_is_made_once(compiled, without_nvcc, rounds):
    source = "int main() { return 1; }" + KERNEL
    output = compiled(source)
    made = len(rounds)
    assert compiled(source) == output
    assert len(rounds) == made
    assert compiled(source, "-DX") == output
    assert len(rounds) > made


@pytest.mark.parametrize("header", ["", "#include <math.h>", "#include <cmath>", "#include <cuda/std/cmath>"])
def test_the_kinds_of_floating_point_numbers_are_known(compiled, without_nvcc, header):
    own = "namespace own {\nenum { FP_NAN =\n#define FP_NAN 0\n  FP_NAN, FP_ZERO =\n#define FP_ZERO 2\n  FP_ZERO };}\n"
    function = "int f() { return 0; }\n__device__ int kind() { return 10 * FP_NORMAL + FP_SUBNORMAL + FP_NAN; }\n"
    output = compiled(f"{header}\n{function}{KERNEL.replace('= 1', '= kind()')}")
    assert "0f422c0000" in output.ptx.lower() or "1110179840" in output.ptx  # 43.0
    if "cmath" not in header:
        assert compiled(f"{header}\n{function}{own}{KERNEL.replace('= 1', '= kind() + FP_ZERO')}").ptx


def test_a_class_keeps_its_name_without_a_constructor_of_the_host():
    text = SourceText("struct S { S(int) {} __device__ S() {} }; struct T { S s; };")
    (edit,) = text.edits([CompilerError("k.cu", 1, 11, "S is considered a host function")])
    assert text.edited([edit]).names_left_out == set()


FENCED = [
    ("Here is it:\n\n```cuda{kernel}```\n",                                             3),
    ("{kernel}```\n\nIt's fast.",                                                        3),
    ("/* as in\n```\n*/\nint f() {{ return g; }}\n#include <vector>\n\n  ```{kernel}",  7),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line"), FENCED)
def test_a_fence_of_markdown_is_named(compiled, without_nvcc, text, line):
    with pytest.raises(CompileError, match=rf"^k\.cu:{line}: this is a fence of Markdown; keep only the text between"):
        compiled(text.format(kernel=KERNEL))


def test_integers_of_128_bits_need_no_option(compiled, without_nvcc):
    output = compiled(KERNEL.replace("= 1", "= ((unsigned __int128)blockIdx.x << 64) * threadIdx.x >> 70"))
    assert (output.how, ".entry k(" in output.ptx) == ("", True)


PASTED = [
    ("__device__ int f() {{ return 3\u00a0; }}",             "U+00A0 (NO-BREAK SPACE)"),
    ("__device__ int f() {{ return 3;\u200b }}",             "U+200B (ZERO WIDTH SPACE)"),
    ("__device__ int f() {{ return 3 \u2212 2; }}",          "'\u2212' (U+2212, MINUS SIGN)"),
    ("#include \u201cf.h\u201d",                 "'\u201c' (U+201C, LEFT DOUBLE QUOTATION MARK)"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "character"), PASTED)
def test_a_character_that_is_not_part_of_cplusplus_is_named(compiled, without_nvcc, line, character):
    with pytest.raises(CompileError, match=rf"^k\.cu:3: {re.escape(character)} is not part of C\+\+; replace it\.$"):
        compiled("// \u201ctext\u201d\n\n" + line.format() + KERNEL)


def test_a_letter_that_is_not_ascii_is_named(compiled, without_nvcc):
    what = r"'\u03b1' \(U\+03B1, GREEK SMALL LETTER ALPHA\) is not a letter that NVRTC accepts in a name; replace it"
    with pytest.raises(CompileError, match=rf"^k\.cu:1: {what}\.$"):
        compiled("__device__ float \u03b1;" + KERNEL)


def test_a_character_in_a_comment_or_a_string_is_not_named(compiled, without_nvcc):
    with pytest.raises(CompileError, match=r"^k\.cu:1: identifier \"h\" is undefined"):
        compiled('__device__ int f() { return h; /* \u201c */ } __device__ char s[] = "\u2212"; // \u200b' + KERNEL)


@pytest.mark.parametrize("length", [40, 47, 51])
def test_a_text_that_is_cut_off_is_named(compiled, without_nvcc, length):
    text = "__device__ int zero;\n" + KERNEL.strip()[:length]
    with pytest.raises(
        CompileError, match=r"^k\.cu:2: the text ends inside a block or a declaration: is it cut off\?$"
    ):
        compiled(text)


OTHER_LANGUAGES = [
    ("import triton\n\n@triton.jit\ndef k(x):\n    pass\n", 1, "this is Python"),
    (
        "// fast\n.version 8.0\n.target sm_90\n.visible .entry k() { ret; }\n",
        2,
        "this is PTX, where CUDA C is expected",
    ),
    ("__kernel void k(__global float* x) {}\n", 1, "this is OpenCL or Metal"),
]


@pytest.mark.parametrize(("text", "line", "advice"), OTHER_LANGUAGES)
def test_another_language_is_named(compiled, without_nvcc, text, line, advice):
    with pytest.raises(CompileError, match=rf"^k\.cu:{line}: {advice}"):
        compiled(text)


def test_a_fence_in_a_comment_is_part_of_the_comment(compiled):
    assert ".entry k(" in compiled(f"/*\n```\n*/ int main() {{}}{KERNEL}").ptx


def test_a_part_whose_brackets_depend_on_macros_stays():
    text = SourceText("#ifdef X\nvoid f(int a) {\n#else\nvoid f() {\n#endif\n}\nint a;\n")
    assert [text.fixed(declaration) for declaration in text.declarations] == [True]
    assert not any(SourceText("void f() {\n}\nint a;\n").fixed(declaration) for declaration in text.declarations[:0])


@pytest.mark.parametrize("path", sorted((default_kernels() / "cuda").glob("s*.cu")), ids=lambda path: path.name)
def test_a_shipped_kernel_is_compiled_unchanged(path):
    assert toolchain.compiled(path.read_bytes(), path, "sm_90", ()).how == ""


# the body of a kernel, the end of the message
REFUSED = [
    ("k<<<1, 1>>>(x);", "which ptxbench does not have."),
    ("cudaDeviceSynchronize();", "cudaDeviceSynchronize is a function of CUDA's runtime, which a kernel can only call"),
    ("cudaMemsetAsync(x, 0, 4);", "cudaMemsetAsync is a function of CUDA's runtime, which a kernel can only call"),
    ("cudaCheck(x[0] = 1);", '1: identifier "cudaCheck" is undefined. NVRTC '),
    ("f(1, 2.0f);",     '1: more than one instance of overloaded function "f" matches the argument list. NVRTC '),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_a_refusal_says_what_is_wrong_in_a_sentence(compiled, without_nvcc, body, message):
    overloads = "__device__ void f(int, int); __device__ void f(float, float); "
    with pytest.raises(CompileError, match=re.escape(message)):
        compiled(f"{overloads}__global__ void k(int* x) {{ {body} }}")


def test_the_byte_order_mark_of_utf_8_is_not_part_of_cuda_c(compiled, tmp_path):
    (tmp_path / "own.h").write_text("#define VALUE 4711\n", encoding="utf-8-sig")
    text = '\ufeff#include "own.h"\nextern "C" __global__ void k(int* x) { x[0] = VALUE; }\n'
    assert "4711" in compiled(text, f"-I{tmp_path}").ptx


def test_a_host_compiler_that_is_missing_is_named(compiled, monkeypatch):
    monkeypatch.setattr(nvcc, "host_compiler", lambda: None)
    with pytest.raises(CompileError, match=r"nvcc might compile it: nvcc needs a host compiler, .*install g\+\+\.$"):
        compiled(f"#include <cstdio>\n#include <not_installed.h>{KERNEL}")


def test_the_stand_ins_have_the_values_of_the_host_compiler(compiled):
    """The same machine independent code from NVRTC with stand-ins and from nvcc with the host's headers."""
    values = ("M_PI", "M_E", "M_LN2", "M_SQRT1_2", "INFINITY", "HUGE_VAL", "-NAN * 0", "FLT_MAX", "DBL_MIN", "INT_MIN",
              "double(ULLONG_MAX)", "CHAR_BIT", "UINT16_MAX", "sizeof(size_t)", "FLT_EPSILON", "LONG_MAX")  # fmt: skip
    body = " ".join(f"x[{at}] = {value};" for at, value in enumerate(values))
    includes = "".join(f"#include <{name}>\n" for name in ("cmath", "cfloat", "climits", "cstdint"))
    text = f'{includes}extern "C" __global__ void k(double* x) {{ {body} }}\n'
    stored = []
    for more in ("int main() {}\n", "void f() {\n#ifdef X\n}\nvoid g() {\n#else\n}\n#endif\n"):
        output = compiled(more + text)
        stored.append(
            (output.how.split()[0], re.findall(r"0[dD][0-9A-Fa-f]{16}|-?\b\d{6,}\b", output.ptx.partition(".entry")[2]))
        )
    assert [compiler for compiler, _ in stored] == ["NVRTC", "nvcc"]
    assert stored[0][1] == stored[1][1]
    assert len(stored[0][1]) >= 13


def test_the_installed_header_of_curand_is_used(compiled, tmp_path, monkeypatch, without_nvcc):
    folder = tmp_path / "installed"
    folder.mkdir()
    (folder / "curand.h").write_text("typedef int curandDistribution_t;\n")
    (folder / "curand_kernel.h").write_text('#include "curand.h"\n__device__ curandDistribution_t d;\n')
    headers = (*locate.headers(), folder)
    monkeypatch.setattr(locate, "headers", lambda: headers)
    assert ".entry k(" in compiled(f"#include <vector>\n#include <curand_kernel.h>\nint main() {{}}{KERNEL}").ptx


# what nvcc knows, by its host compiler: an #include, an expression of a kernel
KNOWN = [
    ("iostream",  "uint32_t(2) + std::int64_t(3)"),
    ("ctime",     "clock() / CLOCKS_PER_SEC"),
    ("torch/all.h", "clock() / CLOCKS_PER_SEC"),
    ("memory.h",  "uint32_t(2)"),
    ("vector",    '[] { __asm__ __volatile__("membar.gl;"); return 1; }()'),
    ("iostream",  "std::min(2, 3) + std::max(4, 5)"),
    pytest.param("type_traits", "sizeof(std::aligned_storage<8, 8>::type)", marks=pytest.mark.long),
]  # fmt: skip


@pytest.mark.parametrize(("header", "expression"), KNOWN)
def test_what_only_the_host_compiler_brings_is_known(compiled, without_nvcc, header, expression):
    output = compiled(f"#include <{header}>\n__global__ void k(float* x) {{ x[0] = {expression}; }}\n")
    assert ".entry _Z1kPf(" in output.ptx


def test_types_of_the_host_that_nvcc_always_has_are_known(compiled):
    text = "typedef unsigned int uint;\n__global__ void k(uint* x, ssize_t n, int64_t z, u_char c) {}\n"
    assert re.findall(r"\.param \.(\w+)", compiled(text).ptx) == ["u64", "u64", "u64", "u8"]


def test_functions_of_dependent_launches_are_known_without_an_include(compiled, without_nvcc):
    text = (
        "__global__ void k(float* x) { cudaGridDependencySynchronize(); cudaTriggerProgrammaticLaunchCompletion(); }\n"
    )
    assert re.findall(r"griddepcontrol\.\w+", compiled(text).ptx) == [
        "griddepcontrol.wait", "griddepcontrol.launch_dependents"
    ]  # fmt: skip


def test_an_instantiation_by_nvcc_is_found_by_its_expression(compiled):
    text = (
        "#include <cstdio>\nvoid f() {\n#ifdef X\n}\nvoid g() {\n#else\n}\n#endif\n"
        "namespace a { template <class T, int N> __global__ void k(T* x, const int4* y, int4* z) { *x = N; } }\n"
    )
    output = compiled(text, "--name-expression=a::k<float, 4 - 1>")
    assert output.how.startswith("nvcc ")
    assert output.instantiated == "_ZN1a1kIfLi3EEEvPT_PK4int4PS3_"
    assert "ptxbench" not in output.ptx


def test_an_instantiation_that_is_impossible_is_a_usage_error_with_the_templates(compiled):
    text = (
        "template <class T> __global__ void other(T* x) { x[0] = 1; }\n"
        "namespace a { template <class T, int N = 2> __global__ void k(T* x) { x[0] = N; } }\n"
        "void f() { a::k<flat><<<1, 1>>>(x); }\n"
    )
    for wanted, example in (("flot", "; an example is 'a::k<flat>'"), ("flat", "")):
        with pytest.raises(UsageError) as caught:
            compiled(text, f"--name-expression=a::k<{wanted}>")
        assert f"cannot instantiate 'a::k<{wanted}>': identifier \"{wanted}\" is undefined" in str(caught.value)
        assert str(caught.value).endswith(f". The file has a::k<class T, int N = 2>{example}.")


def test_the_first_arguments_are_enough_for_an_instantiation_that_the_file_has(compiled):
    text = (
        "template <class T, unsigned N, bool B> __global__ void k(T* x) { x[0] = N + B; }\n"
        "template __global__ void k<float, 64, true>(float* x);\n"
        "template __global__ void k<float, 32, true>(float* x);\n"
    )
    assert compiled(text, "--name-expression=k<float, 64>").instantiated == "_Z1kIfLj64ELb1EEvPT_"
    with pytest.raises(UsageError, match="cannot instantiate 'k<float>'"):
        compiled(text, "--name-expression=k<float>")


def test_untrusted_text_is_never_given_to_nvcc(tmp_path, monkeypatch):
    monkeypatch.setattr(nvcc, "find", lambda: pytest.fail("started"))
    text = b"#include <vector>\nstruct S { std::vector<int> v; };\n__global__ void k(S s) {}\nint main() {}\n"
    with pytest.raises(CompileError, match="nvcc is not used for untrusted text"):
        cuda_c.translate(text, tmp_path / "k.cu", "sm_90", (), contained=True)
