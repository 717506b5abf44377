"""The names and types of kernel parameters, as the compiler's debugging information describes them."""

import pytest

from ptxbench.exec_program import read_program
from ptxbench.toolchain import dwarf, parameters
from ptxbench.toolchain.dwarf import UnreadableError
from ptxbench.toolchain.options import SourceOptions

SOURCE = r"""
#include <cuda_fp16.h>
#include <cuda_bf16.h>
#define COUNT(name) const unsigned name
struct Node { Node* next; float v; };
struct Base { int id; };
template <class T> struct Grid : Base { T data[2][3]; T* p; static const int sides = 4; };
namespace c10 { struct Half { unsigned short x; }; }
enum Mode { FAST, EXACT };
using real = double;

extern "C" __global__ void plain(
    const float* __restrict__ x, float* y, /* the factor, a */ float alpha, COUNT(n), bool on, Mode mode, real* r,
    int) {}
extern "C" __global__ void structs(Grid<float> grid, float4 q, Node* list, const Base& base, __half h, half2 hh)
{
    list->next->v = 1.0f;
}
extern "C" __global__ void pointers(
    float** rows, const float* const* columns, float (*tile)[4], void* any, volatile int* flag, double a[3],
    const __nv_bfloat16* b, c10::Half* c) {}

namespace ns {
template <class T, int N> __global__ void scale(const T* in, T* out) { out[threadIdx.x] = in[threadIdx.x] * N; }
template __global__ void scale<float, 4>(const float*, float*);
template <class... T> __global__ void pack(float* out, T... terms) { out[0] = (0.0f + ... + terms); }
template __global__ void pack<int, float>(float*, int, float);
}
"""

# kernel, its parameters as CUDA C declares them
DECLARED = [
    ("plain", ["const float* x", "float* y", "float alpha", "const unsigned int n", "bool on", "Mode mode", "real* r",
               "int"]),
    ("structs", ["Grid<float> grid", "float4 q", "Node* list", "const Base& base", "__half h", "half2 hh"]),
    ("pointers", ["float** rows", "const float* const* columns", "float (*tile)[4]", "void* any",
                  "volatile int* flag", "double* a", "const __nv_bfloat16* b", "Half* c"]),
    ("_ZN2ns5scaleIfLi4EEEvPKT_PS1_", ["const float* in", "float* out"]),
    ("_ZN2ns4packIJifEEEvPfDpT_", ["float* out", "int", "float"]),  # no parameter of a pack has a name of its own
]  # fmt: skip


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    path = tmp_path_factory.mktemp("parameters") / "kernels.cu"
    path.write_text(SOURCE)
    return parameters.of_source(path.read_bytes(), path, "sm_90")


@pytest.mark.parametrize(("kernel", "declared"), DECLARED)
def test_parameters_are_declared_as_in_the_source(read, kernel, declared):
    assert [parameter.declaration for parameter in read[kernel]] == declared


def test_a_parameter_without_a_name_has_none(read):
    assert [parameter.name for parameter in read["plain"]] == ["x", "y", "alpha", "n", "on", "mode", "r", None]


def test_numbers_have_the_names_of_ptx(read):
    assert [parameter.type.number for parameter in read["plain"]] == [
        None,
        None,
        "f32",
        "u32",
        "u8",
        "s32",
        None,
        "s32",
    ]
    assert [pointer.type.pointee.number for pointer in read["pointers"][3:]] == [None, "s32", "f64", "bf16", "f16"]
    assert [struct.type.number for struct in read["structs"]] == [None, None, None, None, "f16", None]


def test_a_pointer_is_to_const_or_not(read):
    assert [parameter.type.pointee.const for parameter in read["plain"][:2]] == [True, False]
    assert [pointer.type.pointee.const for pointer in read["pointers"]] == [
        False,
        True,
        False,
        False,
        False,
        False,
        True,
        False,
    ]


def test_parameters_are_known_without_the_bodies_of_kernels(tmp_path, read):
    path = tmp_path / "kernels.cu"
    path.write_text(
        SOURCE + "template <class T> __device__ T none(T t) { return t.none(); }\n"
        "__global__ void other(const int* x, float y) { none(x[0]); }\n"
    )
    assert parameters.of_source(path.read_bytes(), path, "sm_90") == {}
    known = parameters.of_source(path.read_bytes(), path, "sm_90", signatures=True)
    assert {name: [parameter.declaration for parameter in known[name]] for name in read} == {
        name: [parameter.declaration for parameter in read[name]] for name in read
    }
    assert [parameter.name for parameter in known["_Z5otherPKif"]] == ["x", "y"]


def test_the_members_of_a_struct_have_their_offsets_and_a_base_class_is_the_first(read):
    grid = read["structs"][0].type
    assert grid.bytes == 40
    assert [(member.name, member.type.text, member.offset) for member in grid.members] == [
        ("", "Base", 0),
        ("data", "float[2][3]", 4),
        ("p", "float*", 32),
    ]
    assert [member.name for member in read["structs"][1].type.members] == ["x", "y", "z", "w"]


def test_a_struct_that_points_to_itself_is_described_once(read):
    following = read["structs"][2].type.pointee.members[0]
    assert (following.name, following.type.text, following.type.pointee.members) == ("next", "Node*", ())


@pytest.mark.parametrize("flag", ["-G", "--device-debug", "-dopt=on", "--dopt=on", "--use_fast_math", "-DCOUNT=4"])
def test_other_options_of_the_compiler_make_no_difference(tmp_path, flag):
    path = tmp_path / "k.cu"
    path.write_text('extern "C" __global__ void k(float* x, int n) { x[n] = 1; }\n')
    read = parameters.of_source(path.read_bytes(), path, "sm_90", [flag])
    assert [parameter.declaration for parameter in read["k"]] == ["float* x", "int n"]


def test_ptx_without_debugging_information_has_no_parameters():
    assert (
        parameters.of_ptx(".version 8.0\n.target sm_90\n.visible .entry k(.param .u64 k_param_0)\n{\nret;\n}\n") == {}
    )


def test_code_that_the_older_back_end_refuses_with_g_has_parameters(tmp_path):
    path = tmp_path / "dot.cu"
    path.write_text("__global__ void dot(const int* x, int* y) { *y = __dp4a(x[0], x[1], x[2]); }")
    ((_, read),) = parameters.of_source(path.read_bytes(), path, "sm_90").items()
    assert [parameter.declaration for parameter in read] == ["const int* x", "int* y"]


def test_a_source_that_cannot_be_compiled_for_debugging_has_no_parameters(tmp_path):
    path = tmp_path / "k.cu"
    path.write_text("#ifdef __CUDACC_DEBUG__\n#error release only\n#endif\n"
                    'extern "C" __global__ void k(int n) {}\n')  # fmt: skip
    assert parameters.of_source(path.read_bytes(), path, "sm_90") == {}


DAMAGED = [
    (".section .debug_info\n{\n.b32 7\n.b8 5\n.b8 0\n.b32 0\n.b8 8\n}", "DWARF version 5"),
    (".section .debug_info\n{\n.b32 99\n.b8 2\n.b8 0\n.b32 0\n.b8 8\n}", "DWARF version 2"),
    (".section .debug_info\n{\n.b32 8\n.b8 2\n.b8 0\n.b32 0\n.b8 8\n.b8 1\n}", "ends too early"),
    (".section .debug_info\n{\n.b8 1\n}", "ends too early"),
    (".section .debug_info\n{\n.b128 1\n}", "unknown directive .b128"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "reason"), DAMAGED)
def test_damaged_debugging_information_is_refused_and_gives_no_parameters(text, reason):
    with pytest.raises(UnreadableError, match=reason):
        dwarf.entries(text)
    assert parameters.of_ptx(text) == {}


def test_a_kernel_in_an_unnamed_namespace_is_the_same_with_debugging_information(tmp_path):
    path = tmp_path / "kernels.cu"
    path.write_text(
        "namespace { __global__ void k(float* x, int n) { x[n] = 1; } }\nint main() { k<<<1, 1>>>(0, 0); }\n"
    )
    program = read_program(path, None)
    (entry,) = program.module.entries.values()
    assert [parameter.declaration for parameter in program.declared(entry)] == ["float* x", "int n"]


def test_a_template_in_an_unnamed_namespace_is_the_same_with_debugging_information(tmp_path):
    path = tmp_path / "kernels.cu"
    path.write_text(
        "namespace { namespace ns { struct S {}; template <class T, int N> __global__ void k(int* x) { x[0] = N; } } }"
    )
    program = read_program(path, None, SourceOptions("k<ns::S, 4>"))
    (entry,) = program.module.entries.values()
    assert [parameter.declaration for parameter in program.declared(entry)] == ["int* x"]


def test_the_key_of_a_name_has_no_name_of_an_unnamed_namespace():
    for name in ("_ZN33_GLOBAL__N__0741cd80_5_u1_cu_main1kIfEEvPT_i", "_ZN12_GLOBAL__N_11kIfEEvPT_i"):
        assert parameters.key(name) == "_ZN_GLOBAL__N_1kIfEEvPT_i"
    assert parameters.key("_Z1kIN12_GLOBAL__N_11SENS0_1TEEvv") == "_Z1kIN_GLOBAL__N_1SENS0_1TEEvv"
    assert parameters.key("_Z1kPf") == "_Z1kPf"
