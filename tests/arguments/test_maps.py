"""Tensor maps as arguments: the value of the notation, and the message for each mistake."""

import numpy as np
import pytest

from ptxbench.arguments import bind, make, names, parse
from ptxbench.emulator import MapOf
from ptxbench.emulator.parse import parse as parse_ptx
from ptxbench.errors import UsageError


def function(*params):
    text = f".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k({', '.join(params)})\n{{\nret;\n}}\n"
    return parse_ptx(text).entries["k"]


KERNEL = function(".param .align 64 .b8 map_x[128]", ".param .u64 x")


def test_a_map_may_be_of_the_array_of_another_argument():
    bound = bind(KERNEL, [parse("map(&x[16], box=16x2, swizzle=32, shape=32x3, strides=64, steps=1x2, fill=nan)"),
                          parse("x:f16[4,64]=iota")])  # fmt: skip
    argument_values = make(bound, 1)
    mapped, x = argument_values.args
    assert isinstance(mapped, MapOf)
    assert (mapped.array is x.array, mapped.offset) == (True, 32)
    tiled = mapped.tiled
    assert (tiled.element, tiled.shape, tiled.strides, tiled.box) == ("f16", (32, 3), (64,), (16, 2))
    assert (tiled.element_strides, tiled.swizzle, tiled.fill) == ((1, 2), 32, "nan")
    assert names(bound) == ["x"]


def test_a_map_may_have_an_array_of_its_own():
    bound = bind(KERNEL, [parse("map(f32[8,32]=random(0,9), box=32x8, element=f32)"), parse("null")])
    argument_values = make(bound, 1)
    assert argument_values.args[0].array is argument_values.arrays[0].array
    assert names(bound) == [array.name for array in argument_values.arrays] == ["map_x"]
    assert argument_values.args[0].tiled.shape == (32, 8)
    assert np.array_equal(make(bound, 1).arrays[0].array, argument_values.arrays[0].array)


LAYOUTS = [
    ("{u32=1, map(null, box=4), u32=2}", [0, 64, 192], 256),
    ("{map(null, box=4), map(null, box=4)}", [0, 128], 256),
    ("{u32=1, {u8=2, {map(null, box=4)}}, u8=3}", [0, 64, 256], 320),
    ("{u32=1, &{map(null, box=4)}}", [0, 8], 16),
    ("{u8=1, f64=2, {u8=1, u16=2}, u8=3}", [0, 8, 16, 20], 24),
]


@pytest.mark.parametrize(("text", "offsets", "size"), LAYOUTS)
def test_a_structure_with_a_map_is_laid_out_as_in_c(text, offsets, size):
    dtype = parse(text.replace("null", "f32[4]=zeros")).dtype
    assert ([field[1] for field in dtype.fields.values()], dtype.itemsize) == (offsets, size)


@pytest.mark.parametrize(("align", "offsets", "size"), [(64, [0, 64, 192], 256), (128, [0, 128, 256], 384)])
def test_maps_in_a_structure_are_aligned_as_in_the_headers_with_which_the_kernel_was_compiled(align, offsets, size):
    kernel = function(f".param .align {align} .b8 p[{size}]")
    (bound,) = bind(kernel, [parse("{u32=1, {map(f32[4]=zeros, box=4)}, u32=2}")])
    fields = bound.argument.dtype.fields
    assert [field[1] for field in fields.values()] == offsets


def test_a_map_in_a_structure_is_its_words_after_the_address_of_its_array():
    with_map = function(".param .align 64 .b8 p[192]", ".param .u64 x")
    structure = parse("p:{map(&x[16], box=16x2, shape=32x3, strides=64), u32=7}")
    bound = bind(with_map, [structure, parse("x:f16[4,64]=iota")])
    value, x = make(bound, 1).args
    address, *words = value["0"].tolist()
    assert (address.array is x.array, address.offset, value["1"]) == (True, 32, 7)
    mapped = MapOf(x.array, structure.members[0].map)
    assert np.array(words, np.uint64).tobytes() == mapped.encoded(0)[8:]


def test_a_map_in_a_structure_that_the_driver_would_refuse_is_refused():
    with_map = function(".param .align 64 .b8 p[128]", ".param .u64 x")
    with pytest.raises(UsageError, match=r"The tensor map 'p\.0': "):
        make(bind(with_map, [parse("p:{map(&x, box=3x4)}"), parse("x:f32[4,64]=iota")]), 1)


# the argument, the message
MISTAKES = [
    ("map(&x)", "a tensor map needs a box. Write it as 'map(f16[20,64]=iota, box=64x8, swizzle=128)'"),
    ("map(u32=4, box=4)", "'u32=4' is not an array."),
    ("map(&x, box=4by8)", "box is '4by8'; expected whole numbers with x between them, as 64x8."),
    ("map(&x, box=4, tile=8)", "unknown option 'tile=8' of a map; it has box, shape, strides, steps, swizzle"),
    ("map(&x, box=4", "expected ')' at the end of the tensor map."),
    (
        "x:map(&map_x, box=4)",
        "parameter 'x' is .u64, and a tensor map has 128 bytes, passed by value. Declare it "
        "const __grid_constant__ CUtensorMap. One in a struct is written as '{map(...), u32=1}', and one in global "
        "memory as '&{map(...)}'.",
    ),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_reported_in_one_sentence(text, message):
    with pytest.raises(UsageError) as caught:
        bind(KERNEL, [parse(text), parse("b8[128]=zeros")])
    assert message in str(caught.value)


def test_a_map_in_a_structure_has_the_same_random_data_for_a_kernel_with_another_order():
    arguments = [parse("n:u32=4"), parse("p:{map(f32[4]=random, box=4), u32=1}")]
    n, p = ".param .u32 n", ".param .align 128 .b8 p[256]"
    first, second = bind(function(n, p), arguments), bind(function(p, n), arguments)
    expected, other = make(first, 1), make(second, 1, like=first)
    assert np.array_equal(other.arrays[0].array, expected.arrays[0].array)
    assert not np.array_equal(make(second, 1).arrays[0].array, expected.arrays[0].array)
