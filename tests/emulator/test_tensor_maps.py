"""The bytes of a tensor map: each field where the hardware has it."""

import numpy as np
import pytest

from ptxbench.emulator import tensor_maps
from ptxbench.errors import LaunchError
from ptxbench.tensor_map import TiledMap

BASE = TiledMap("x", "f32", (48, 7, 5), (192, 1344), (16, 3, 2), (1, 2, 1), swizzle=64, l2_promotion=128, fill="nan")
ADDRESS = 0x7F0000001000


def field(content, first, width):
    return int.from_bytes(content, "little") >> first & (1 << width) - 1


# first bit, width, value of a field of BASE
FIELDS = [
    (0, 64, ADDRESS), (64, 4, 0), (68, 3, 2), (71, 4, 7), (75, 2, 0), (77, 2, 2), (79, 1, 1), (80, 1, 0), (81, 2, 2),
    (83, 2, 0), (96, 32, 12), (128, 32, 84), (160, 32, 0), (224, 16, 0), (256, 32, 47), (288, 32, 6), (320, 32, 4),
    (416, 3, 0), (419, 3, 1), (422, 3, 0), (440, 8, 15), (448, 8, 2), (456, 8, 1), (480, 544, 0),
]  # fmt: skip


@pytest.mark.parametrize(("first", "width", "value"), FIELDS)
def test_every_field_is_at_the_place_where_tensormap_replace_writes_it(first, width, value):
    assert field(tensor_maps.encode(BASE, ADDRESS), first, width) == value


def test_long_strides_have_their_upper_bits_apart():
    far = TiledMap("x", "u8", (16, 2, 2), (16, 0xA << 36 | 0x30), (16, 1, 1), (1, 1, 1))
    content = tensor_maps.encode(far, 0)
    assert (field(content, 128, 32), field(content, 224, 4), field(content, 228, 4)) == (3, 0, 0xA)


@pytest.mark.parametrize(
    ("element", "number", "rounds"), [("u8", 0, 0), ("s64", 5, 0), ("bf16", 10, 0), ("tf32", 7, 1), ("tf32.ftz", 8, 1)]
)
def test_element_types_have_the_numbers_of_tensormap_replace(element, number, rounds):
    content = tensor_maps.encode(TiledMap("x", element, (64,), (), (16,), (1,)), 0)
    assert (field(content, 71, 4), field(content, 80, 1)) == (number, rounds)


@pytest.mark.parametrize(("swizzle", "atom", "numbers"), [(0, 16, (0, 0)), (32, 16, (1, 0)), (128, 16, (3, 0)),
                                                          (128, 32, (3, 1)), (128, 64, (3, 3))])  # fmt: skip
def test_swizzles_and_their_atoms(swizzle, atom, numbers):
    content = tensor_maps.encode(TiledMap("x", "u8", (128,), (), (128,), (1,), swizzle=swizzle, atom=atom), 0)
    assert (field(content, 77, 2), field(content, 83, 2)) == numbers


@pytest.mark.parametrize(
    ("offset", "nbytes", "align", "wrong"),
    [
        (0,  256, 64,  None),
        (0,  256, 128, None),
        (16, 272, 64,  None),
        (16, 256, 64,  "The tensor map 'm': it covers 256 bytes; 'x' has 240."),
        (8,  272, 64,  "The tensor map 'm': it starts at byte 8 of its array; expected a multiple of 16."),
        (0,  256, 32,  "'m' has 128 bytes aligned to 32; a tensor map takes a parameter of 128 bytes aligned to 64: "),
    ],
)  # fmt: skip
def test_a_map_lies_in_its_array_at_a_multiple_of_16_bytes(offset, nbytes, align, wrong):
    of = tensor_maps.MapOf(np.zeros(nbytes, np.uint8), TiledMap("x", "f32", (64,), (), (4,), (1,)), offset)
    if wrong is None:
        of.check("m", 128, align)
        return
    with pytest.raises(LaunchError) as caught:
        of.check("m", 128, align)
    assert str(caught.value).startswith(wrong)
