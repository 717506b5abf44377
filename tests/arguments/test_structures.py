"""Structs and addresses as arguments: the value of each notation, and the message for each mistake."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptxbench.arguments import bind, find, make, names, parse
from ptxbench.emulator import Pointer
from ptxbench.emulator.parse import parse as parse_ptx
from ptxbench.errors import UsageError


def function(*params):
    text = f".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k({', '.join(params)})\n{{\nret;\n}}\n"
    return parse_ptx(text).entries["k"]


VIEW = function(".param .align 8 .b8 view[16]", ".param .u64 x", ".param .u32 n")
ONE = function(".param .align 8 .b8 x[8]")
POINTERS = function(".param .u64 x", ".param .u64 y")


def values(kernel, *texts):
    bound = bind(kernel, [parse(text) for text in texts])
    argument_values = make(bound, 1)
    assert sorted(names(bound)) == sorted(array.name for array in argument_values.arrays)
    return argument_values


def test_the_members_of_a_struct_lie_as_in_c():
    view, _, _ = values(VIEW, "{f32[4]=iota, u8=1, f32=2.5}", "null", "u32=1").args
    assert isinstance(view, np.void)
    assert [view.dtype.fields[name][1] for name in view.dtype.names] == [0, 8, 12]
    assert view["0"].array.tolist() == [0, 1, 2, 3]
    assert (view["1"], view["2"]) == (1, 2.5)


def test_a_struct_may_hold_a_struct_and_the_address_of_one():
    view, x, _ = values(VIEW, "{{u8=1, u16=2}, p:&{s64=3, &x}}", "x:f32[8]=iota", "u32=1").args
    assert view["0"].item() == (1, 2)
    inner = view["p"].array
    assert inner["0"] == 3
    assert inner["1"][()].array is x.array


def test_a_struct_of_arrays_in_global_memory_is_an_array_of_pointers():
    table = values(POINTERS, "&{f32[2]=iota, null, &0.0[1]}", "null").args[0].array
    assert table.dtype.itemsize == 24
    first, nothing, middle = table[()]
    assert first.array is middle.array
    assert (first.offset, nothing, middle.offset) == (0, None, 4)


# arguments of POINTERS, the array that y points to, the byte offset
ADDRESSES = [
    (("x:f32[8]=iota", "&x"),                   "x",    0),
    (("x:f32[8]=iota", "&x[7]"),                "x",   28),
    (("x:f32[8]=iota", "y:&0[2]"),              "x",    8),
    (("x:f64[2,2]=iota", "&x[3]"),              "x",   24),
    (("&{a:f32[8]=iota, u32=1}", "&x.a[1]"),    "x.a",  4),
    (("&{a:f32[8]=iota, u32=1}", "&a[1]"),      "x.a",  4),
    (("&{f32[8]=iota, u32=1}", "&x.0[1]"),      "x.0",  4),
]  # fmt: skip


@pytest.mark.parametrize(("texts", "name", "offset"), ADDRESSES)
def test_an_address_points_to_an_element_of_another_argument(texts, name, offset):
    argument_values = values(POINTERS, *texts)
    pointer = argument_values.args[1]
    assert pointer.array is next(array.array for array in argument_values.arrays if array.name == name)
    assert pointer.offset == offset


def test_a_struct_may_be_pointed_to_by_its_own_member():
    ring = values(POINTERS, "&{next:&x, s64=1}", "&x").args
    assert ring[0].array is ring[1].array is ring[0].array["next"][()].array


def test_a_number_of_a_struct_in_memory_is_an_array_of_one_element_that_changes_with_it():
    argument_values = values(POINTERS, "&{count:u32=7, f32[2]=zeros}", "null")
    assert [(array.name, array.type.name, array.array.tolist()) for array in argument_values.arrays] == [
        ("x.count", "u32", [7]),
        ("x.1", "f32", [0.0, 0.0]),
    ]
    argument_values.args[0].array["count"] = 9
    assert argument_values.arrays[0].array.tolist() == [9]


def test_random_members_differ_and_repeat():
    texts = ("&{f32[64]=random, f32[64]=random}", "f32[64]=random")
    first, again = (values(POINTERS, *texts).arrays for _ in range(2))
    assert len({arg.array.tobytes() for arg in first}) == 3
    assert [arg.array.tobytes() for arg in first] == [arg.array.tobytes() for arg in again]


@pytest.mark.parametrize("text", ["f32[4]=iota", "u8[1]=zeros", "null", "{u32[2]=iota}", "{u32=0, u32=1}", "&{u32=1}"])
def test_eight_bytes_take_an_address_or_a_struct(text):
    [x] = values(ONE, text).args
    if text == "null":
        assert x is None
    elif text.startswith("{"):
        assert (x.dtype.itemsize, x.dtype.hasobject) == (8, "[" in text)
    else:
        assert isinstance(x, Pointer)


def test_numbers_in_memory_are_arrays_of_their_parameter_also_in_inner_structs():
    made = values(POINTERS, "null", "&{n:u32=5, inner:{m:u16=6, p:f32[2]=iota}}")
    assert [(array.index, array.name, array.array.tolist()) for array in made.arrays] == [
        (1, "y.n", [5]), (1, "y.inner.m", [6]), (1, "y.inner.p", [0, 1]),
    ]  # fmt: skip


def test_a_file_is_an_array_by_its_address_in_a_struct(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", np.arange(3, dtype=np.int16))
    argument_values = values(VIEW, "{a.npy, u32=3, u32=0}", "null", "u32=1")
    assert argument_values.args[0]["0"].array.tolist() == [0, 1, 2]
    assert argument_values.arrays[0].type.name == "s16"


ARRAY_NAMES = ("x", "view.x", "view.y", "other.z", "other.deep.z")

# name, what it finds
NAMES = [("x", "x"), ("view.x", "view.x"), ("y", "view.y"), ("z", None), ("deep.z", "other.deep.z"), ("w", None)]


@pytest.mark.parametrize(("name", "full_name"), NAMES)
def test_a_name_is_a_full_name_or_the_end_of_exactly_one(name, full_name):
    assert find(name, ARRAY_NAMES, ()) == full_name


DEEP = "{" * 17 + "u32=1" + "}" * 17

# kernel, arguments, the sentence
SLIPS = [
    (VIEW, ("{f32[4]=iota}", "null", "u32=1"), "'{f32[4]=iota}': expected 16 bytes for 'view', found 8: 0 at 0."),
    (VIEW, ("{a:u8=1, b:f32[4]=0, u64=1}", "null", "u32=1"),
     "'{a:u8=1, b:f32[4]=0, u64=1}': expected 16 bytes for 'view', found 24: a at 0, b at 8, 2 at 16."),
    (VIEW, ("{f32[4]=iota, u32=1", "null", "u32=1"),
     "'{f32[4]=iota, u32=1': expected '}' at the end of the structure."),
    (VIEW, ("{u32=1} x", "null", "u32=1"), "'{u32=1} x': expected the end after '}', found 'x'."),
    (VIEW, ("{}", "null", "u32=1"), "'{}': expected a member, such as u32=1024, found nothing."),
    (VIEW, ("{u32=1,}", "null", "u32=1"), "'{u32=1,}': expected a member, such as u32=1024, found nothing."),
    (VIEW, ("{a:u64=1, a:u64=2}", "null", "u32=1"), "'{a:u64=1, a:u64=2}': duplicate member name 'a'."),
    (VIEW, ("{1:u64=1, u64=2}", "null", "u32=1"),
     "'{1:u64=1, u64=2}': members are given in order; '1:' is not a name. Leave it out."),
    (VIEW, (DEEP, "null", "u32=1"), "'{u32=1}': structures may be nested at most 16 deep."),
    (VIEW, ("null", "null", "u32=1"),
     "'null': parameter 'view' is .b8[16], a struct passed by value. Give its 16 bytes as its members, such as "
     "'{f32[1024]=random, u32=1024}', as an array, such as 'b8[16]=zeros', or as FILE.npy."),
    (VIEW, ("{u64=1, u64=2}", "{u64=1}", "u32=1"),
     "'{u64=1}': parameter 'x' is .u64, not a struct. Write '&{u64=1}' to pass the address of one."),
    (VIEW, ("{u64=1, u64=2}", "null", "{u32=1}"), "'{u32=1}': parameter 'n' is .u32, not a struct."),
    (VIEW, ("{u64=1, u64=2}", "null", "&x"), "'&x': parameter 'n' is .u32, passed by value. Write u32=1024."),
    (ONE, ("u64=1",), "'u64=1': parameter 'x' is .b8[8], a struct passed by value. Write '{u64=1}'."),
    (ONE, ("u32[2]=iota",),
     "'u32[2]=iota' has 8 bytes, the same as the struct 'x'. Write '{u32[2]=iota}' to pass the address of the "
     "array, or the members, such as '{u32=1, u32=2}', to pass them by value."),
    (POINTERS, ("f32[8]=iota", "&z"), "'&z': expected the name of one array, found 'z'."),
    (POINTERS, ("f32[8]=iota", "&x[8]"), "'&x[8]': 'x' has 8 elements; the last is 7."),
    (POINTERS, ("&{a:{p:f32[1]=0}, b:{p:f32[1]=0}}", "&p"),
     "'&p': expected the name of one array, found 'p'. It may be x.a.p or x.b.p."),
    (POINTERS, ("f32[8]=iota", "&x+1"),
     "'&x+1': expected '&NAME' or '&NAME[INDEX]', the address of another argument's array or of its element, or "
     "'&{...}', that of a structure."),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "texts", "sentence"), SLIPS, ids=[row[2][:40] for row in SLIPS])
def test_a_mistake_is_reported_in_a_sentence(kernel, texts, sentence):
    with pytest.raises(UsageError) as raised:
        values(kernel, *texts)
    assert str(raised.value) == sentence


PIECES = st.sampled_from(
    ["{", "}", "&", "&{", "x", "x:", ",", "u32=1", "f32[4]=iota", "[", "]", "(", ")", "null", "random(0,1)", "=", "[9]",
     "u8[", "9" * 5000, "f64", ".npy", " ", "0:", "-", "é", "\0", "2000000000", "f32[2000000000]=zeros", "s64="]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_text_is_parsed_or_a_usage_error(text):
    with contextlib.suppress(UsageError):
        parse(text)
