"""Arguments are assigned to parameters by name, index or order, and refused if they do not fit."""

import numpy as np
import pytest

from ptxbench.arguments import bind, make, parse
from ptxbench.emulator import Pointer
from ptxbench.emulator.parse import parse as parse_ptx
from ptxbench.errors import UsageError
from ptxbench.toolchain.parameters import CudaParameter, CudaType


def function(name, *params):
    text = f".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry {name}({', '.join(params)})\n{{\nret;\n}}\n"
    return parse_ptx(text).entries[name]


SCALE = function("scale", ".param .u64 x", ".param .u64 y", ".param .f32 a", ".param .u32 n")
COMPILED = function("saxpy", ".param .u64 saxpy_param_0", ".param .f32 saxpy_param_1")
STRUCT = function("look", ".param .align 8 .b8 point[16]", ".param .u64 out")


FLOAT = CudaType("float", 4, "f32")
DECLARED = (
    COMPILED,
    (CudaParameter("x", CudaType("float*", 8, pointee=FLOAT)), CudaParameter("a", FLOAT)),
)


def bound(kernel, *texts):
    """The bound arguments of a function of PTX, or of one with its parameters in CUDA C."""
    kernel, declared = kernel if isinstance(kernel, tuple) else (kernel, None)
    return bind(kernel, [parse(text) for text in texts], declared)


def placed(kernel, *texts):
    """name -> argument, in the order of the parameters."""
    return {binding.name: binding.argument.text for binding in bound(kernel, *texts)}


def test_arguments_without_names_go_in_order():
    texts = ("f32[4]=random", "f32[4]=zeros", "f32=2", "u32=4")
    assert placed(SCALE, *texts) == dict(zip(("x", "y", "a", "n"), texts, strict=True))


def test_a_name_or_an_index_finds_its_parameter_and_the_others_go_in_order():
    assert placed(SCALE, "n:u32=4", "f32[4]=random", "2:f32=2", "f32[4]=zeros") == {
        "x": "f32[4]=random",
        "y": "f32[4]=zeros",
        "a": "2:f32=2",
        "n": "n:u32=4",
    }


def test_a_name_of_cuda_c_finds_its_parameter():
    assert placed(DECLARED, "a:f32=2", "x:f32[4]=random") == {"x": "x:f32[4]=random", "a": "a:f32=2"}
    assert placed(DECLARED, "1:f32=2", "saxpy_param_0:f32[4]=random").keys() == {"x", "a"}


def test_arguments_go_by_index_or_in_order_if_nvrtc_dropped_the_names():
    assert placed(COMPILED, "1:f32=2", "f32[4]=random") == {"#0": "f32[4]=random", "#1": "1:f32=2"}
    assert placed(COMPILED, "saxpy_param_1:f32=2", X) == {"#0": X, "#1": "saxpy_param_1:f32=2"}


def test_a_struct_takes_the_bytes_of_an_array():
    point, out = make(bound(STRUCT, "f64[2]=iota", "f32[1]=zeros"), 1).args
    assert point == np.void(np.array([0.0, 1.0]).tobytes())
    assert isinstance(out, Pointer)
    with pytest.raises(UsageError, match=r"'f32\[2\]=zeros' has 8 bytes; 'point' is a struct of 16, passed by value\."):
        make(bound(STRUCT, "f32[2]=zeros", "f32[1]=zeros"), 1)


def test_random_arrays_of_one_launch_differ():
    x, y = make(bound(SCALE, "f32[8]=random", "f32[8]=random", "f32=2", "u32=8"), 1).arrays
    assert x.array.tobytes() != y.array.tobytes()


X, Y, A, N = "f32[4]=random", "f32[4]=zeros", "f32=2", "u32=4"

# kernel, arguments, the sentence
MISFITS = [
    (SCALE, (X, Y), "'scale' has 4 parameters, and 2 --arg were given: x .u64, y .u64, a .f32, n .u32. Give the rest "
                    "too, such as --arg a:f32=2.5 --arg n:u32=1024."),
    (SCALE, (f"n:{N}", X, A), "'scale' has 4 parameters, and 3 --arg were given: x .u64, y .u64, a .f32, n .u32. Give "
                              "the rest too, such as --arg a:f32=2.5."),
    (DECLARED, (f"a:{A}",), "'saxpy' has 2 parameters, and 1 --arg was given: float* x, float a. Give the rest too, "
                            "such as --arg 'x:f32[1024]=zeros'."),
    (SCALE, (), "'scale' has 4 parameters, and no --arg was given: x .u64, y .u64, a .f32, n .u32. Give one for each, "
                "such as --arg 'x:f32[1024]=random' --arg 'y:f32[1024]=random' --arg a:f32=2.5 --arg n:u32=1024."),
    (function("none"), (X,), "'none' has no parameters; leave out --arg."),
    (STRUCT, (), "'look' has 2 parameters, and no --arg was given: point .b8[16], out .u64. Give one for each, such as "
                 "--arg 'point:b8[16]=zeros' --arg 'out:f32[1024]=random'."),
    (COMPILED, (X,), "'saxpy' has 2 parameters, and 1 --arg was given: 0 .u64, 1 .f32. Give the rest too, such as "
                     "--arg f32=2.5."),
    (SCALE, (X, Y, A, f"m:{N}"), "'m:u32=4': 'scale' has no parameter 'm'. It has x .u64, y .u64, a .f32, n .u32."),
    (SCALE, (X, Y, A, f"4:{N}"), "'4:u32=4': 'scale' has 4 parameters; the first is 0."),
    (function("one", ".param .u32 n"), (f"1:{N}",), "'1:u32=4': 'one' has 1 parameter; the first is 0."),
    (SCALE, (X, Y, f"n:{N}", f"3:{N}"), "'n:u32=4' and '3:u32=4' set the same parameter of 'scale'."),
    (COMPILED, (f"x:{X}", A), f"'x:{X}': the PTX does not have the names of the parameters, only saxpy_param_0 and so "
                              f"on, so 'x' cannot be checked. Write the parameter's index, from 0, in place of the "
                              "name, or no name and all in order."),
    (DECLARED, (f"x:{X}", f"b:{A}"), "'b:f32=2': 'saxpy' has no parameter 'b'. It has float* x, float a."),
    (DECLARED, (f"xs:{X}", A), f"'xs:{X}': 'saxpy' has no parameter 'xs'. Did you mean 'x'?"),
    (DECLARED, (f"x:{X}", f"x:{A}"), f"'x:{X}' and 'x:{A}' set the same parameter of 'saxpy'."),
    (DECLARED, (X, X), f"'{X}': parameter 'a' is 'float', passed by value. Write f32=2.5."),
    (SCALE, (X, Y, N, A), "'u32=4': parameter 'a' is .f32. Write f32=2.5."),
    (SCALE, (X, Y, "f64=2", N), "'f64=2': parameter 'a' is .f32. Write f32=2.5."),
    (SCALE, (X, Y, A, A), "'f32=2': parameter 'n' is .u32. Write u32=1024."),
    (SCALE, (X, Y, A, X), "'f32[4]=random': parameter 'n' is .u32, passed by value. Write u32=1024."),
    (SCALE, (N, Y, A, N), "'u32=4': parameter 'x' is .u64. Write u64=1024, or for an address 'u32[1024]=random'."),
    (SCALE, (X, Y, "null", N), "'null': parameter 'a' is .f32, passed by value. Write f32=2.5."),
    (STRUCT, ("u64=3", X), "'u64=3': parameter 'point' is .b8[16], a struct passed by value. Give its 16 bytes as its "
                           "members, such as '{f32[1024]=random, u32=1024}', as an array, such as 'b8[16]=zeros', "
                           "or as FILE.npy."),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "texts", "sentence"), MISFITS)
def test_an_argument_that_does_not_fit_is_refused_in_one_sentence(kernel, texts, sentence):
    with pytest.raises(UsageError) as raised:
        bound(kernel, *texts)
    assert str(raised.value) == sentence


def test_bits_and_numbers_fit_parameters_of_the_same_width():
    kernel = function("bits", ".param .b32 a", ".param .f32 b", ".param .u64 p")
    assert placed(kernel, "f32=2", "b32=0x40000000", "u64=0").keys() == {"a", "b", "p"}
    assert placed(kernel, "s32=-1", "f32=2", "null").keys() == {"a", "b", "p"}


# argument, the type of its elements if it is not what 'float* x' declares
ELEMENTS = [
    ("f32[4]=zeros", None),
    ("b32[4]=zeros", None),      # bits
    ("b8[16]=zeros", None),
    ("f64[4]=zeros", "f64"),
    ("u32[4]=zeros", "u32"),
    ("f16[4]=zeros", "f16"),
    ("null", None),
]  # fmt: skip


@pytest.mark.parametrize(("text", "other_type"), ELEMENTS)
def test_elements_of_another_type_than_the_source_declares_are_noticed(text, other_type):
    assert bound(DECLARED, text, "f32=2")[0].other_elements == other_type
    assert bound(COMPILED, text, "f32=2")[0].other_elements is None
