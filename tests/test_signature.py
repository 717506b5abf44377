"""The parameters of an entry against the arguments of a pair."""

from typing import Any

import pytest

from ptxbench.errors import PtxSyntaxError, SignatureMismatch
from ptxbench.pair import In, InOut, Out, Scalar, Scratch, TensorMap, bf16, f32, f64, s32, u8, u32, u64
from ptxbench.signature import check_signature, read_headers, takes
from tests.folders import CUDA, PTX, changed

ARGS: list[Any] = [
    In("x", f32, lambda n: (n,)),
    Out("y", f32, lambda n: (n,)),
    Scalar("a", f32, 2),
    Scalar("n", u32, lambda n: n),
]


@pytest.fixture
def source(tmp_path):
    return tmp_path / "scale.ptx"


def test_the_entry_of_a_pair_agrees_with_its_arguments(source):
    check_signature(PTX, "scale", ARGS, source)


MISMATCHES = [
    (".entry scale(", ".entry scael(",
     "scale.ptx:7: expected an entry 'scale', the pair's name; found 'scael'. Rename it."),
    (".entry scale(", ".entry q(",
     "scale.ptx:7: expected an entry 'scale', the pair's name; found 'q'. Rename it."),
    (".visible .entry", ".visible .func",
     "scale.ptx: found no kernel in this file. Its pair needs 'scale'."),
    (",\n    .param .u32 n\n", "\n",
     "scale.ptx:7: 'scale' has 3 parameters, its pair has 4: x, y, a, n. They must agree, in order."),
    (".param .u32 n\n", ".param .u64 n\n",
     "scale.ptx:11: parameter 4 'n' of 'scale' is .u64, where its pair has Scalar('n', uint32). "
     "It must be .u32, .s32 or .b32."),
    (".param .f32 a", ".param .u32 a",
     "scale.ptx:10: parameter 3 'a' of 'scale' is .u32, where its pair has Scalar('a', float32). "
     "It must be .f32 or .b32."),
    (".param .u32 n\n", ".param .f32 n\n",
     "scale.ptx:11: parameter 4 'n' of 'scale' is .f32, where its pair has Scalar('n', uint32). "
     "It must be .u32, .s32 or .b32."),
    (".param .u64 y", ".param .u32 y",
     "scale.ptx:9: parameter 2 'y' of 'scale' is .u32, where its pair has Out('y', float32). "
     "It must be .u64 or .b64, a pointer."),
    (".param .u64 y", ".param .align 4 .b8 y[8]",
     "scale.ptx:9: parameter 2 'y' of 'scale' is .align 4 .b8 [8], where its pair has Out('y', float32). "
     "It must be .u64 or .b64, a pointer."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "param", "takes_it"),
    [
        (Scalar("a", bf16, 2),                 ".b16 a",               True),
        (Scalar("a", bf16, 2),                 ".align 2 .b8 a[2]",    True),      # as NVRTC passes an __nv_bfloat16
        (Scalar("a", bf16, 2),                 ".u16 a",               False),
        (Scalar("a", bf16, 2),                 ".b32 a",               False),
        (In("a", bf16, lambda n: (n,)),        ".u64 a",               True),
        (Scratch("a", u32, lambda n: (1,)),    ".u64 a",               True),
        (Scratch("a", u32, lambda n: (1,)),    ".u32 a",               False),
        (TensorMap("a", "x", (16,)),           ".align 64 .b8 a[128]", True),
        (TensorMap("a", "x", (16,)),           ".align 128 .b8 a[128]", True),
        (TensorMap("a", "x", (16,)),           ".align 8 .b8 a[128]",  False),     # the hardware wants 64
        (TensorMap("a", "x", (16,)),           ".align 64 .b8 a[64]",  False),
        (TensorMap("a", "x", (16,)),           ".u64 a",               False),     # no pointer to it
    ],
)  # fmt: skip
def test_bf16_and_scratch_are_parameters_like_others(source, kind, param, takes_it):
    args = [kind if arg.name == "a" else arg for arg in ARGS]
    text = changed(PTX, ".param .f32 a", f".param {param}")
    if takes_it:
        check_signature(text, "scale", args, source)
    else:
        with pytest.raises(
            SignatureMismatch, match=rf"is \{param.split()[0]}[^,]*, where its pair has {type(kind).__name__}"
        ):
            check_signature(text, "scale", args, source)


@pytest.mark.parametrize(("right", "wrong", "message"), MISMATCHES)
def test_a_mismatch_is_reported_with_its_line(source, right, wrong, message):
    with pytest.raises(SignatureMismatch) as caught:
        check_signature(changed(PTX, right, wrong), "scale", ARGS, source)
    assert str(caught.value) == message


def test_compiled_cuda_c_is_reported_with_the_line_of_its_kernel(tmp_path):
    source = tmp_path / "scale.cu"
    source.write_text(CUDA)
    with pytest.raises(SignatureMismatch, match=r"^scale\.cu:3: parameter 4 of 'scale' is \.u64, where its pair has"):
        check_signature(changed(PTX, ".param .u32 n\n", ".param .u64 scale_param_3\n"), "scale", ARGS, source)


MANGLED = [
    # the name in PTX, what is found
    ("_Z5scalePKfPffj",        "'scale'. Write extern \"C\" before it."),
    ("_ZN2ns5scaleEPKfPffj",   "'ns::scale'. Write extern \"C\" before it."),
    ("_Z6doublePKfPffj",       "'double'. Rename it, and write extern \"C\" before it."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "found"), MANGLED)
def test_a_mangled_name_asks_for_extern_c(tmp_path, name, found):
    with pytest.raises(SignatureMismatch) as caught:
        check_signature(changed(PTX, ".entry scale(", f".entry {name}("), "scale", ARGS, tmp_path / "scale.cu")
    assert str(caught.value) == f"scale.cu: expected an entry 'scale', the pair's name; found the C++ function {found}"


@pytest.mark.parametrize("name", ["_Z5scalePKfPffj", "scale_kernel"])
def test_another_name_in_ptx_asks_for_the_right_one(source, name):
    with pytest.raises(SignatureMismatch, match=r"^scale\.ptx:\d+: expected an entry 'scale', .*'\. Rename it\.$"):
        check_signature(changed(PTX, ".entry scale(", f".entry {name}("), "scale", ARGS, source)


def test_a_template_is_named(tmp_path):
    (source := tmp_path / "scale.cu").write_text("template <int N> __global__ void scale(float* x) { x[N] = 1; }\n")
    with pytest.raises(SignatureMismatch, match=r"found only templates: 'scale'\. Make one a __device__"):
        check_signature(PTX[: PTX.index(".visible")], "scale", ARGS, source)


def test_a_body_that_the_emulator_cannot_read_does_not_hide_the_header(source):
    check_signature(changed(PTX, "ret;", "novel.instruction {%a} <- ;"), "scale", ARGS, source)


def test_text_other_than_ptx_is_reported_with_its_line():
    with pytest.raises(PtxSyntaxError, match=r"line 3: "):
        read_headers(changed(PTX, ".version", "\u00e4 .version"))


ARRAY = InOut("x", f32, lambda n: (n,))
TYPES = [
    # parameter              argument                  agrees
    (".u64 p",               ARRAY,                    True),
    (".b64 p",               ARRAY,                    True),
    (".u64 .ptr .global .align 16 p", ARRAY,           True),
    (".f64 p",               ARRAY,                    False),
    (".b32 p",               Scalar("a", f32, 0),      True),   # bits agree with anything of their size
    (".b32 p",               Scalar("a", u32, 0),      True),
    (".s32 p",               Scalar("a", u32, 0),      True),   # NVRTC writes .u32 for int as well
    (".u32 p",               Scalar("a", s32, 0),      True),
    (".u8 p",                Scalar("a", u8, 0),       True),
    (".f64 p",               Scalar("a", f64, 0),      True),
    (".f32 p",               Scalar("a", f64, 0),      False),
    (".u64 p",               Scalar("a", u64, 0),      True),
    (".align 8 .b8 p[8]",    Scalar("a", f64, 0),      True),   # a struct of one
    (".align 8 .b8 p[16]",   Scalar("a", f64, 0),      False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "arg", "agrees"), TYPES)
def test_sizes_and_kinds_must_agree(text, arg, agrees):
    header = read_headers(f".version 6.3 .target sm_75 .entry k(.param {text}) {{ ret; }}")[0]
    assert takes(header.params[0], arg) is agrees
