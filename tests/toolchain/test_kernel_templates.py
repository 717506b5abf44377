"""The templates of kernels in a text, and the example of their arguments that messages propose."""

import pytest

from ptxbench.toolchain.kernel_templates import templates_in

GEMM = "template <int M, int N, typename T> __global__ void gemm(T* x) { x[0] = M; }\n"
TRAITS = """namespace io { struct Half { using Type = int; }; struct Full { using Type = float; using Sum = double; }; }
template <typename Traits_> __global__ void sum(void* x) { using Traits = Traits_; typename Traits::Type a; BODY }
"""

FUNCTORS = """struct Halve { float by; __device__ float apply(float x) { return x / by; } };
struct Square { __device__ float operator()(float x) const { return x * x; } };
template <class F> __global__ void map(float* x, const F& f) { F g(2); BODY; }
"""

# the kernel, what the host code has, the example
EXAMPLES = [
    (GEMM, "",                                                                     "gemm<4, 4, float>"),
    (GEMM, "void f() { gemm<8, 16, int><<<1, 1>>>(x); }",                          "gemm<8, 16, int>"),
    (GEMM, "template <class U> void f() { gemm<8, 16, U><<<1, 1>>>(x); }",         "gemm<8, 16, float>"),
    (GEMM, "template <class U> void f() { gemm<8, 16, U><<<1, 1>>>(x); gemm<8, 16, char><<<1, 1>>>(x); }",
     "gemm<8, 16, char>"),                                                         # nothing is unknown in the second
    (GEMM, "void f() { constexpr int A = 8, B = 2 * A; gemm<A, 16, int><<<1, 1>>>(x); }", "gemm<8, 16, int>"),
    (GEMM, "void f() { const int A = 8; const int B = 2 * A; gemm<A, B, int><<<1, 1>>>(x); }",
     "gemm<8, (2 * 8), int>"),
    (GEMM, "void f() { using U = unsigned char; gemm<8, 16, U><<<1, 1>>>(x); }",   "gemm<8, 16, unsigned char>"),
    (GEMM, "void f() { auto k = gemm<8, 16, int>; k<<<1, 1>>>(x); }",              "gemm<8, 16, int>"),
    (GEMM, "void f() { g((void*)gemm<8, sizeof(int), int>, 3); }",                 "gemm<8, sizeof(int), int>"),
    (GEMM, "#define RUN(A) \\\n  gemm<A, \\\n  16, int><<<1, 1>>>(x);",            "gemm<4, 16, int>"),
    (GEMM, "void f() { int A = g(); gemm<A, 16, int><<<1, 1>>>(x); }",             "gemm<4, 16, int>"),
    (GEMM, "void f() { const int A = A; gemm<A, 16, int><<<1, 1>>>(x); }",         "gemm<4, 16, int>"),
    (GEMM, "void f() { gemm<8, 16, scalar_t><<<1, 1>>>(x); }",                     "gemm<8, 16, float>"),
    (GEMM, "void f() { SWITCH(x.type(), kind_t, [&] { gemm<8, 16, kind_t><<<1, 1>>>(x); }); }", "gemm<8, 16, float>"),
    (TRAITS, "",                                                                   "sum<io::Half>"),
    (TRAITS.replace("BODY", "typename Traits_::Sum b;"), "",                       "sum<io::Full>"),
    (TRAITS.replace("BODY", "typename Traits::Missing b;"), "",                    "sum<Traits_>"),
    (FUNCTORS, "",                                                                 "map<float>"),
    (FUNCTORS.replace("BODY", "x[0] = f(x[0])"), "",                               "map<Square>"),
    (FUNCTORS.replace("BODY", "x[0] = F{}(x[0])"), "",                             "map<Square>"),
    (FUNCTORS.replace("BODY", "x[0] = g.apply(f.by)"), "",                         "map<Halve>"),
    (FUNCTORS.replace("BODY", "x[0] = g.w"), "",                                   "map<float>"),
    ("template <class T, T (*F)(T, T), int N> __global__ void map(T* x) {}", "",   "map<float, F, 4>"),
    ("template <class T, T (*F)(T, T), int N> __global__ void map(T* x) {}",
     "float host(float a, float b) { return a; }\n__device__ float one(float a) { return a; }\n"
     "__device__ float add(float a, float b) { return a + b; }",                    "map<float, add, 4>"),
    ("template <typename T, T (*F)(const T&)> __global__ void map(T* x) {}",
     "namespace a { template <typename T, int N> __device__ T more(const T& x) { return N * x; }\n"
     "template <class U> __device__ inline U twice(const U& x) { return 2 * x; } }", "map<float, a::twice<float>>"),
    ("namespace a { enum class Mode : char { SUM = 1, MAX }; template <Mode M> __global__ void k(int* x) {} }", "",
     "a::k<a::Mode::SUM>"),
    ("template <a::Mode M> __global__ void k(int* x) {}", "namespace a { enum Mode { SUM }; }", "k<a::Mode::SUM>"),
    ("template <Mode M> __global__ void k(int* x) {}", "enum Other { SUM };",      "k<M>"),
    ("template <int N> __global__ std::enable_if_t<(N > 0) && is_big(N)> k(int* x) {}", "", "k<4>"),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "host", "example"), EXAMPLES)
def test_the_example_of_a_template_has_arguments_that_the_text_uses(kernel, host, example):
    (template,) = templates_in([kernel.encode("utf-8-sig"), host.encode()])
    assert template.example == example


def test_a_macro_may_make_a_function_a_kernel():
    header = b"#define LIBRARY_GLOBAL __global__ static\n#define OTHER static\n"
    source = b"template <int N> LIBRARY_GLOBAL void k(int* x) { x[0] = N; }\ntemplate <int N> OTHER void f() {}\n"
    assert [template.name for template in templates_in([source, header])] == ["k"]
