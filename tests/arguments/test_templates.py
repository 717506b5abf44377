"""The arguments that are proposed for a kernel: they can be parsed, fit its parameters, and agree with the source."""

import pytest

from ptxbench.arguments import bind, make, parse, templates
from ptxbench.emulator.parse import parse as parse_ptx
from ptxbench.exec_program import read_program

SOURCE = r"""
#include <cuda_fp16.h>
#include <cuda_bf16.h>
struct View { float* x; int n; double factor; };
struct Packed { char tag; int at[2]; short rest; };
struct Large { float table[100]; };
struct Base { int id; };
struct Derived : Base { float v; };
struct alignas(16) Wide { float v; };
union Either { int a; float b; };

extern "C" __global__ void k(
    const float* x, double* y, const int* index, unsigned char* bytes, float a, unsigned n, bool on, long long big,
    const __half* h, __nv_bfloat16 b, View view, Packed packed, Large large, Derived derived, Wide wide, Either either,
    float4* quads, const View& first, View* views, float** rows, int (&three)[3], void* any, int)
{
    first.x[0] = views->n + quads->x;
}
"""

# parameter, its argument
PROPOSED = [
    ("const float* x",         "x:f32[1024]=random"),
    ("double* y",              "y:f64[1024]=zeros"),              # written, so nothing is drawn for it
    ("const int* index",       "index:s32[1024]=iota"),           # random integers are no indices
    ("unsigned char* bytes",   "bytes:u8[1024]=zeros"),
    ("float a",                "a:f32=2.5"),
    ("unsigned int n",         "n:u32=1024"),
    ("bool on",                "on:u8=1"),
    ("long long big",          "big:s64=1024"),
    ("const __half* h",        "h:f16[1024]=random"),
    ("__nv_bfloat16 b",        "b:{bf16=2.5}"),                   # a struct in PTX
    ("View view",              "view:{x:f32[1024]=zeros, n:s32=1024, factor:f64=2.5}"),
    ("Packed packed",          "packed:{tag:s8=1, at:{s32=1024, s32=1024}, rest:s16=1024}"),
    ("Large large",            "large:b8[400]=zeros"),            # too many members to write
    ("Derived derived",        "derived:{{id:s32=1024}, v:f32=2.5}"),
    ("Wide wide",              "wide:b8[16]=zeros"),              # the notation would make it 4 bytes
    ("Either either",          "either:b8[4]=zeros"),
    ("float4* quads",          "quads:f32[4096]=zeros"),
    ("const View& first",      "first:&{x:f32[1024]=zeros, n:s32=1024, factor:f64=2.5}"),
    ("View* views",            "views:&{x:f32[1024]=zeros, n:s32=1024, factor:f64=2.5}"),
    ("float** rows",           "rows:&{f32[1024]=zeros, f32[1024]=zeros}"),
    ("int (&three)[3]",        "three:s32[3072]=zeros"),
    ("void* any",              "any:b8[1024]=zeros"),
    ("int",                    "s32=1024"),                       # it has no name
]  # fmt: skip


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("templates") / "k.cu"
    path.write_text(SOURCE)
    return read_program(path, None)


@pytest.fixture(scope="module")
def kernel(program):
    return program.choose(None)


@pytest.mark.parametrize(("index", "declaration", "argument"), [(i, *row) for i, row in enumerate(PROPOSED)])
def test_an_argument_is_proposed_by_the_type_and_name_of_its_parameter(program, kernel, index, declaration, argument):
    declared = program.declared(kernel)
    assert declared[index].declaration == declaration
    assert templates(kernel, declared)[index] == argument


def test_all_proposed_arguments_can_be_passed(program, kernel):
    arguments = [parse(text) for text in templates(kernel, program.declared(kernel))]
    assert len(make(program.bind(kernel, arguments), 1).args) == len(PROPOSED)


def test_of_ptx_the_names_and_sizes_are_known():
    text = ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k(.param .u64 x, .param .u32 k_param_1, "
    function = parse_ptx(f"{text}.param .align 8 .b8 s[16], .param .f64 d)\n{{\nret;\n}}\n").entries["k"]
    proposed = templates(function, None)
    assert proposed == ["x:f32[1024]=random", "u32=1024", "s:b8[16]=zeros", "d:f64=2.5"]
    assert len(make(bind(function, [parse(value) for value in proposed]), 1).args) == 4


MAPPED = """.version 8.0
.target sm_90
.address_size 64
.visible .entry k(.param .align 64 .b8 map_x[128], .param .u64 x, .param .align 8 .b8 other[128])
{{
    .reg .b64 %m;
    .reg .b32 %c;
    {copies}
    ret;
}}
"""
COPY = "cp.async.bulk.prefetch.tensor.{0}d.L2.global [%m, {{{1}}}];\n    "


@pytest.mark.parametrize(
    ("dimensions", "proposed"),
    [
        ([1], "map_x:map(f32[1024]=random, box=256)"),
        ([2], "map_x:map(f32[64,64]=random, box=64x8)"),
        ([3, 3], "map_x:map(f32[8,64,64]=random, box=64x8x2)"),
        ([5], "map_x:map(f32[2,2,8,64,64]=random, box=64x8x2x1x1)"),
        ([2, 3], "map_x:map(f32[64,64]=random, box=64x8)"),     # which of the two it is for is not known
        ([], "map_x:map(f32[64,64]=random, box=64x8)"),
    ],
)  # fmt: skip
def test_a_tensor_map_is_proposed_with_the_dimensions_of_the_copies(dimensions, proposed):
    copies = "".join(COPY.format(count, ", ".join(["%c"] * count)) for count in dimensions)
    function = parse_ptx(MAPPED.format(copies=copies)).entries["k"]
    templates_of = templates(function, None)
    assert templates_of == [proposed, "x:f32[1024]=random", "other:b8[128]=zeros"]
    assert len(make(bind(function, [parse(template) for template in templates_of]), 1).args) == 3


def test_a_tensor_map_of_cuda_c_is_proposed(tmp_path):
    path = tmp_path / "k.cu"
    path.write_text("""#include <cuda.h>
extern "C" __global__ void k(const __grid_constant__ CUtensorMap map, float* y) { y[0] = *(const float*)&map; }
""")
    program = read_program(path, None)
    kernel = program.choose(None)
    proposed = templates(kernel, program.declared(kernel))
    assert proposed == ["map:map(f32[64,64]=random, box=64x8)", "y:f32[1024]=zeros"]
