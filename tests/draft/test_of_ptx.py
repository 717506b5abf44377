"""A pair from a kernel in PTX: its types, its name, and the CUDA C that is left to write."""

from pathlib import Path

import pytest

from ptxbench.draft.of_ptx import read_parameters
from ptxbench.emulator.parse import parse
from tests.check.hopper import TILE_PTX
from tests.draft.test_draft import answered
from tests.folders import CUDA, PTX, changed

RUN = ("run", "mine", "--kernels", "kernels", "--backend", "emulator", "--no-save")


def test_the_pair_is_verified_when_the_kernel_is_written_and_the_questions_are_answered(
    ptxbench, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("own.ptx").write_text(PTX)
    ran = ptxbench("new", "mine", "--from", "own.ptx")
    assert (ran.status, ran.err) == (0, "")
    assert "1. Write the kernel in kernels/cuda/mine.cu, and answer the questions in" in ran.out
    assert Path("kernels/ptx/mine.ptx").read_text() == (
        "// mine: the kernel scale of own.ptx. Shapes and launch are in ../pairs/mine.py.\n\n"
        + PTX.replace(".entry scale(", ".entry mine(")
    )
    cuda = Path("kernels/cuda/mine.cu")
    signature = (
        'extern "C" __global__ void __launch_bounds__(128)\nmine(const float* x, float* y, float a, unsigned n)\n{'
    )
    assert signature in cuda.read_text()
    assert ptxbench("show", "mine", "--kernels", "kernels", "--variant", "ptx").status == 0
    answered(["lambda n: (n,)", "lambda n: (n,)", "2", "lambda n: Launch(grid=ceil_div(n, 128), block=128)",
              'lambda x, a, n: {"y": a * x}', "EXACT", "lambda n: n"])  # fmt: skip
    ran = ptxbench(*RUN)
    assert ran.status == 4
    assert "mine.cu:7: #error directive: TODO: write this kernel" in " ".join(ran.out.split())
    cuda.write_text(signature + CUDA.partition("{")[2])
    ran = ptxbench(*RUN)
    assert (ran.status, ran.err) == (0, "")
    assert "2 variants: 2 verified." in ran.out


def read(loads):
    """The parameters of `scale` with other instructions after the addition that makes the address."""
    text = changed(PTX, "    ld.global.f32       %value, [%at];\n", f"    {loads}\n")
    parameters, accesses = read_parameters(parse(text).entries["scale"])
    return [parameter.declaration for parameter in parameters], [access is not None for access in accesses]


SEEN = [
    ("ld.global.f32 %value, [%at];",                              "const float* x"),
    ("ld.global.v4.s32 {%n, %n, %n, %n}, [%at];",                 "const int* x"),
    ("ld.global.b32 %n, [%at];",                                  "const void* x"),     # bits of any type
    ("ld.global.f32 %value, [%at]; ld.global.u8 %n, [%at];",      "const void* x"),     # two types
    ("atom.global.add.u32 %n, [%at], 1;",                         "unsigned* x"),
    ("st.global.u64 [%at], %offset;",                             "unsigned long long* x"),
    ("mov.u64 %at, %at;",                                         "unsigned long long x"),   # no access: a number
    ("@%past mov.u64 %at, 0; st.global.f32 [%at], %a;",       "float* x"),         # perhaps still its address
    ("@%past ret; st.global.f32 [%at], %a;",                  "float* x"),         # for some threads
    ("@%past bra A; mov.u64 %at, 0; A: st.global.f32 [%at], %a;", "float* x"),     # on one of two paths
    ("mov.u64 %at, 0; st.global.f32 [%at], %a;",                  "unsigned long long x"),   # never
    ("bra A; st.global.f32 [%at], %a; A: ld.global.f32 %a, [%at];", "const float* x"),       # not reached
]  # fmt: skip


@pytest.mark.parametrize(("instructions", "declaration"), SEEN)
def test_a_parameter_has_the_type_of_its_accesses(instructions, declaration):
    declarations, _ = read(instructions)
    assert declarations == [declaration, "float* y", "float a", "unsigned n"]


def test_a_64_bit_number_that_is_multiplied_into_an_address_is_not_a_pointer():
    text = changed(PTX, "    .param .u32 n\n", "    .param .u32 n,\n    .param .u64 stride\n")
    multiplied = "ld.param.u64 %offset, [stride]; cvt.u64.u32 %at, %i; mul.lo.u64 %offset, %offset, %at;"
    text = changed(text, "mul.wide.u32        %offset, %i, 4;", multiplied)
    parameters, accesses = read_parameters(parse(text).entries["scale"])
    assert [parameter.declaration for parameter in parameters][-1] == "unsigned long long stride"
    assert accesses[-1] is None


@pytest.mark.parametrize("target", ["sm_35", "sm_70"])
def test_ptx_for_a_target_that_ptxas_has_dropped_is_built_for_the_next_one(ptxbench, tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    Path("old.ptx").write_text(changed(PTX, "sm_75", target))
    assert ptxbench("new", "mine", "--from", "old.ptx").status == 0
    assert f".target {target}" in Path("kernels/ptx/mine.ptx").read_text()
    shown = ptxbench("show", "old.ptx")
    assert (shown.status, shown.err) == (0, "")
    assert "ptx  old.ptx  sm_75, " in shown.out
    refused = ptxbench("show", "old.ptx", "--arch", target)
    assert (refused.status, f"does not know the architecture '{target}'" in refused.err) == (2, True)


def test_a_tensor_map_is_a_question_of_the_pair_and_a_parameter_of_the_signature(ptxbench, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.ptx").write_text(TILE_PTX)
    assert ptxbench("new", "mine", "--from", "own.ptx").status == 0
    pair, cuda = Path("kernels/pairs/mine.py").read_text(), Path("kernels/cuda/mine.cu").read_text()
    assert 'TensorMap("map_x", of=..., box=...),  # const __grid_constant__ CUtensorMap map_x' in pair
    assert "# TODO: the array that map_x describes, by its name, and the box of a copy" in pair
    assert "#include <cuda.h>\n" in cuda
    assert "const __grid_constant__ CUtensorMap map_x" in cuda
    ran = ptxbench(*RUN)
    assert ran.status == 2
    assert "open question" in ran.err or "TODO" in ran.err
