"""`ptxbench new --from` of kernels whose parameters are structs."""

from pathlib import Path

import pytest

from ptxbench.draft import draft
from ptxbench.draft.structs import struct_of
from ptxbench.structs import layout
from ptxbench.toolchain.options import AS_IT_IS
from ptxbench.toolchain.parameters import of_source

KERNEL = """\
struct Rows { const float* data; int step[2]; };
struct Params { bool first; float4 scale; Rows in; float* out; double bias; };

template <int BLOCK>
__global__ void affine(const __grid_constant__ Params p, uint2 seed, int n)
{
    const int i = blockIdx.x * BLOCK + threadIdx.x;
    if (i < n)
        p.out[i] = p.scale.x * p.in.data[i * p.in.step[1]] + p.bias + seed.y + p.first;
}
int main() { affine<128><<<8, 128>>>(Params{}, uint2{}, 1000); }
"""

SIZE = "p_in_step_0, p_in_step_1, seed_x, seed_y, n"

ARGUMENTS = f"""\
        Struct("p", [  # const Params p
            # TODO: the value of p_first, such as 0 or 1, or a function of the size.
            Scalar("p_first", u8, ...),  # bool p_first
            Struct("p_scale", [
                # TODO: the value of p_scale_x, such as 0.7, or a function of the size.
                Scalar("p_scale_x", f32, ...),  # float p_scale_x
                # TODO: the value of p_scale_y, such as 0.7, or a function of the size.
                Scalar("p_scale_y", f32, ...),  # float p_scale_y
                # TODO: the value of p_scale_z, such as 0.7, or a function of the size.
                Scalar("p_scale_z", f32, ...),  # float p_scale_z
                # TODO: the value of p_scale_w, such as 0.7, or a function of the size.
                Scalar("p_scale_w", f32, ...),  # float p_scale_w
            ], align=16),
            Struct("p_in", [
                # TODO: the shape of p_in_data, such as lambda {SIZE}:
                # ({SIZE}).
                In("p_in_data", f32, ...),  # const float* p_in_data
                Scalar("p_in_step_0", s32, lambda {SIZE}: p_in_step_0),  # int p_in_step_0. A proposal: a dimension of the size
                Scalar("p_in_step_1", s32, lambda {SIZE}: p_in_step_1),  # int p_in_step_1. A proposal: a dimension of the size
            ]),
            # TODO: the shape of p_out, such as lambda {SIZE}: ({SIZE}).
            # What the kernel does with it could not be read: is it an In, an Out, an InOut or a Scratch?
            InOut("p_out", f32, ...),  # float* p_out
            # TODO: the value of p_bias, such as 0.7, or a function of the size.
            Scalar("p_bias", f64, ...),  # double p_bias
        ]),
        Struct("seed", [  # uint2 seed
            Scalar("seed_x", u32, lambda {SIZE}: seed_x),  # unsigned int seed_x. A proposal: a dimension of the size
            Scalar("seed_y", u32, lambda {SIZE}: seed_y),  # unsigned int seed_y. A proposal: a dimension of the size
        ], align=8),
        Scalar("n", s32, lambda {SIZE}: n),  # int n. A proposal: a dimension of the size
"""  # noqa: E501


def words(text):
    """Without the places where comments are wrapped."""
    return " ".join(text.replace("#", " ").split())


def test_a_struct_is_drafted_with_its_members_and_their_questions(tmp_path):
    path = tmp_path / "source.cu"
    path.write_text(KERNEL)
    pair = draft(path, "mine", "mine", "sm_90", AS_IT_IS, tmp_path).pair
    drafted = pair.partition("signatures\n")[2].partition("    ],\n    # A proposal, from line")[0]
    assert words(drafted) == words(ARGUMENTS)


ANSWERS = {
    'Scalar("p_first", u8, ...)': 'Scalar("p_first", u8, 1)',
    **{f'Scalar("p_scale_{axis}", f32, ...)': f'Scalar("p_scale_{axis}", f32, 3)' for axis in "xyzw"},
    'In("p_in_data", f32, ...)': f'In("p_in_data", f32, lambda {SIZE}: (n * p_in_step_1,))',
    'InOut("p_out", f32, ...)': f'Out("p_out", f32, lambda {SIZE}: (n,))',
    'Scalar("p_bias", f64, ...)': 'Scalar("p_bias", f64, 0.5)',
    "reference=...": "reference=lambda p_first, p_scale_x, p_in_data, p_bias, seed_y, p_in_step_1, **others: "
                     '{"p_out": p_scale_x * p_in_data[::int(p_in_step_1)] + p_bias + seed_y + p_first}',
    "tolerance=...": "tolerance=close(rtol=1e-6, atol=1e-6)",
    "flops=...": f"flops=lambda {SIZE}: 4 * n",
}  # fmt: skip


@pytest.mark.long
def test_the_pair_runs_once_its_questions_are_answered(ptxbench, tmp_path):
    (tmp_path / "source.cu").write_text(KERNEL)
    assert ptxbench("new", "mine", "--from", str(tmp_path / "source.cu"), "--kernels", str(tmp_path)).status == 0
    path = tmp_path / "pairs" / "mine.py"
    text = path.read_text()
    for question, answer in ANSWERS.items():
        assert text.count(question) == 1
        text = text.replace(question, answer)
    path.write_text(text.replace("Launch(grid=8, block=128)", "Launch(grid=ceil_div(n, 128), block=128)"))
    size = "p_in_step_0=1,p_in_step_1=2,seed_x=3,seed_y=4,n=1000"
    ran = ptxbench("run", "mine", "--kernels", str(tmp_path), "--backend", "emulator", "--size", size)
    assert ran.status == 0
    assert "2 verified" in ran.out


ALIGNED = """\
struct __align__(16) Four { float x, y, z, w; };
typedef float4 Vector;
template <typename T> struct View { T* data; int n; };
struct Myfloat4 { float a, b, c, d; };
struct Inner { int n; Four v; };
struct Alias { int n; Vector v; int m; };
struct Template { View<float4> view; int n; };
struct Wide { int n; double4_32a v; };
struct Named { int n; Myfloat4 v; };
struct Several { char c; Four v; Four w[2]; char d; };
"""

LAYOUTS = [
    # type           align  offsets
    ("Four",            4,  [0, 4, 8, 12]),           # its size needs no more, and its place is not known
    ("View<float4>",    8,  [0, 8]),                  # not of float4
    ("Myfloat4",        4,  [0, 4, 8, 12]),
    ("const float4",   16,  [0, 4, 8, 12]),
    ("double4_16a",    16,  [0, 8, 16, 24]),
    ("double4_32a",    32,  [0, 8, 16, 24]),
    ("Inner",          16,  [0, 16, 20, 24, 28]),
    ("Alias",          16,  [0, 16, 20, 24, 28, 32]),
    ("Template",        8,  [0, 8, 16]),
    ("Wide",           32,  [0, 32, 40, 48, 56]),
    ("Named",           4,  [0, 4, 8, 12, 16]),
    ("Several",        16,  [0, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64]),
]  # fmt: skip


def test_a_struct_is_laid_out_as_the_compiler_does_whatever_aligns_its_members():
    declared = ", ".join(f"{text} p{number}" for number, (text, _, _) in enumerate(LAYOUTS))
    source = f"{ALIGNED}__global__ void kernel({declared}) {{}}"
    [parameters] = of_source(source.encode(), Path("aligned.cu"), "sm_90").values()
    for (text, align, offsets), parameter in zip(LAYOUTS, parameters, strict=True):
        placed = layout(struct_of(parameter, parameter.name), lambda member: member.declared.type.bytes)
        assert (placed.align, [*placed.offsets.values()]) == (align, offsets), text
