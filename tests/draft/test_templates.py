"""Pairs of an instantiation of a template: as a plain kernel, or called by one."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ptxbench.draft import draft
from ptxbench.exec_program import read_to_build
from ptxbench.toolchain.options import AS_IT_IS
from tests.draft.test_draft import started

TEMPLATES = [
    # the template's parameters, text before it, a statement of the kernel, the arguments of --entry, lines of the file
    ("int BLOCK",                         "", "x[i] += BLOCK; x[i + BLOCK] = 1;", "256",
     ["constexpr int BLOCK = 256;"]),
    ("typename T, const unsigned N = 4",  "", "T a = x[i]; x[i] = a * N;", "double",
     ["using T = double;", "constexpr unsigned N = 4u;"]),
    ("bool A, class = void, int = 2",     "", "if constexpr (A) x[i] += 1; else x[i] -= 1;", "true",
     ["constexpr bool A = true;"]),
    ("Mode M",                            "enum class Mode { kAdd, kDouble };", "x[i] += M == Mode::kAdd ? 1 : x[i];",
     "Mode::kDouble", ["constexpr Mode M = Mode::kDouble;"]),
    ("class Op",                          "struct Twice { __device__ float operator()(float a) { return 2 * a; } };",
     "x[i] = Op()(x[i]);", "Twice", ["using Op = Twice;"]),
    ("float (*F)(float)",                 "__device__ float twice(float a) { return 2 * a; }", "x[i] = F(x[i]);",
     "twice", ["constexpr float (*F)(float) = twice;"]),
    ("class T, int N = Of<T>::n",
     "template <class T> struct Of { static constexpr int n = 3; using Sum = T; };",
     "typename Of<T>::Sum a = x[i]; x[i] = a * N;", "float", ["using T = float;", "constexpr int N = 3;"]),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "before", "statement", "arguments", "lines"), TEMPLATES)
def test_the_parameters_of_a_template_become_names(ptxbench, parameters, before, statement, arguments, lines):
    text = (
        f"{before}\nnamespace ns {{\n  template <{parameters}>\n  static __global__ void k(float* x)\n"
        f"  {{ int i = threadIdx.x; {statement} }}\n}}\n"
    )
    _, cuda, _ = started(ptxbench, text, "--entry", f"k<{arguments}>")
    new = "".join(f"  {line}\n" for line in [*lines, 'extern "C" __global__ void mine(float* x)'])
    assert f"namespace ns {{\n{new}" in cuda
    assert "template <" not in cuda.replace(before, "")


def test_a_parameter_of_a_template_may_have_a_type_of_its_namespace(ptxbench):
    text = (
        "namespace ns {\nusing index = long long;\ntemplate <class T> __global__ void k(T* x, index n) "
        "{ if (threadIdx.x < n) x[threadIdx.x] = 1; }\n}\n"
    )
    pair, _, _ = started(ptxbench, text, "--entry", "ns::k<float>")
    assert 'Scalar("n", s64, lambda n: n)' in pair


@pytest.mark.parametrize("compiler", ["NVRTC 13.5", "nvcc 13.5"])
def test_the_original_of_a_template_is_compiled_by_nvrtc(monkeypatch, compiler):
    """nvcc may have other headers than NVRTC."""
    path = Path("source.cu")
    path.write_text("template <int N> __global__ void k(int* x) { x[0] = N; }\nvoid f() { k<4><<<1, 1>>>(nullptr); }\n")
    programs = []

    def read(source, arch, options):
        program = read_to_build(source, arch, replace(options, entry="k<4>"))
        programs.append(options.entry)
        return replace(program, compiler=compiler)

    monkeypatch.setattr("ptxbench.draft.read_to_build", read)
    assert draft(path, "mine", "mine", "sm_90", AS_IT_IS, Path("kernels/cuda")).complete
    assert programs == [None, "k<4>"][: 1 + (compiler[:4] == "nvcc")]


def test_a_kernel_that_is_not_a_template_may_have_the_name_of_one(ptxbench):
    text = (
        "template <class T> __global__ void fill(T* x, T a) { x[threadIdx.x] = a; }\n"
        "__global__ void fill(int* x) { x[threadIdx.x] = 3; }\n"
        "int main() { fill<<<1, 1>>>((float*)nullptr, 1.0f); fill<<<1, 1>>>(nullptr); }\n"
    )
    _, cuda, _ = started(ptxbench, text, "--entry", "fill<float>")
    assert 'using T = float;\nextern "C" __global__ void mine(T* x, T a)' in cuda
    assert "fill" not in cuda.partition("\n\n")[2]


CALLED = [
    # what cannot be a name: a branch that does not compile, a template as parameter
    ("class T", "if constexpr (sizeof(T) == 1) x[i].none(); else x[i] += 1;", "float", "k<float>(x);"),
    ("template <class> class Op, class T", "x[i] = Op<T>()(x[i]);", "Minus, float", "k<Minus, float>(x);"),
]


@pytest.mark.parametrize(("parameters", "statement", "arguments", "call"), CALLED)
def test_another_template_is_called_by_a_kernel(ptxbench, parameters, statement, arguments, call):
    text = (
        "template <class T> struct Minus { __device__ T operator()(T a) { return -a; } };\n"
        f"template <{parameters}> __global__ void k(T* x) {{ int i = threadIdx.x; {statement} }}\n"
    )
    _, cuda, _ = started(ptxbench, text, "--entry", f"k<{arguments}>")
    assert cuda.endswith(f'extern "C" __global__ void\nmine(float* x)\n{{\n    {call}\n}}\n')


def test_a_kernel_that_calls_a_template_may_have_types_of_its_namespace(ptxbench):
    text = (
        "namespace ns {\nstruct Pair { float a, b; };\n"
        "template <class T> __global__ void k(T* x, const Pair* p)\n"
        "{ if constexpr (sizeof(T) == 1) x[0].none(); else x[0] = p[0].a + p[0].b; }\n}\n"
    )
    _, cuda, _ = started(ptxbench, text, "--entry", "k<float>")
    assert cuda.endswith(
        '\n\nextern "C" __global__ void\nmine(float* x, const Pair* p)\n{\n    ns::k<float>(x, p);\n}\n}\n'
    )


def test_a_parameter_of_a_called_template_loses_grid_constant(ptxbench):
    text = (
        "struct Pair { float a, b; };\ntemplate <class T> __global__ void k(T* x, const __grid_constant__ Pair p)\n"
        "{ if constexpr (sizeof(T) == 1) x[0].none(); else x[threadIdx.x] = p.a + p.b; }\n"
    )
    _, cuda, _ = started(ptxbench, text, "--entry", "k<float>")
    assert "k(T* x, const Pair p)" in cuda
    assert cuda.endswith("\nmine(float* x, const Pair p)\n{\n    k<float>(x, p);\n}\n")


def test_a_using_declaration_goes_with_its_function_of_the_host(ptxbench):
    text = (
        "namespace ns {\n__device__ float twice(float a) { return 2 * a; }\n"
        "template <class T> __global__ void k(T* x) { x[threadIdx.x] = twice(x[threadIdx.x]); }\n"
        "void launch() { k<float><<<1, 32>>>(nullptr); }\n}\nusing ns::launch;\nusing ns::twice;\n"
    )
    _, cuda, _ = started(ptxbench, text, "--entry", "ns::k<float>")
    code = cuda.partition("\n\n")[2]
    assert "launch" not in code
    assert "using ns::twice;" in code


def test_a_template_that_no_kernel_can_call_is_refused_without_lines_of_another_text(ptxbench):
    text = (
        "template <class T, class... Rest> struct First { using type = T; };\n"
        "template <class... Ts> __global__ void k(typename First<Ts...>::type* x, Ts... a) { x[0] = (a + ...); }\n"
    )
    Path("source.cu").write_text(text)
    ran = ptxbench("new", "mine", "--from", "source.cu", "--entry", "k<float, int>")
    assert (ran.status, ran.out) == (2, "")
    assert "void mine, it does not compile: " in ran.err
    assert ran.err.endswith(" Write it as a kernel that is not a template in a file of its own, and take that.\n")
    assert not re.search(r"\.cu:\d", ran.err)
