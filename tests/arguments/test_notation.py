"""The notation of --arg: the meaning of each form, and the message for each mistake."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptxbench.arguments.elements import TYPES, ElementType
from ptxbench.arguments.notation import parse
from ptxbench.errors import UsageError

SEED = (1, 0)
INF, NAN = math.inf, math.nan

# text, dtype, value
SCALARS = [
    ("u32=1024",              "uint32",  1024),
    ("n:u32=1024",            "uint32",  1024),
    ("3:u32=1024",            "uint32",  1024),
    ("%n:u32=1_024",          "uint32",  1024),
    ("u32=0xff",              "uint32",  255),
    ("s8=-128",               "int8",    -128),
    ("b64=0xffffffffffffffff", "uint64", 2**64 - 1),
    ("f32=2.5",               "float32", 2.5),
    ("f32=-inf",              "float32", -INF),
    ("f32=0f3f800000",        "float32", 1.0),
    ("f64=0d3ff0000000000000", "float64", 1.0),
    ("f64=1e-3",              "float64", 1e-3),
    ("f32=1.00000005960464477539062500001", "float32", 1 + 2**-23),  # rounded once: it is a tie as float64
    ("f32=-1.00000005960464477539062500001", "float32", -1 - 2**-23),
    ("f32=1.00000017881393432617187499999", "float32", 1 + 2**-23),
    ("f32=1.000000178813934326171875", "float32", 1 + 2**-22),  # a tie goes to even
    ("f32=3.40282356779733661637539395458142568447e38", "float32", 2.0**128 - 2.0**104),
    ("f64=0.1000000000000000055511151231257828", "float64", 0.1),
    ("f16=65504",             "float16", 65504.0),
    ("bf16=1.0",              "uint16",  0x3F80),     # held in bits
    ("bf16=1.00390625",       "uint16",  0x3F80),     # a tie goes to even
    ("bf16=1.01171875",       "uint16",  0x3F82),
    ("bf16=1.003906250000001", "uint16", 0x3F81),     # rounded once: it is a tie as float32
    ("bf16=1.0117187499999",  "uint16",  0x3F81),
    ("bf16=nan",              "uint16",  0x7FFF),
    ("bf16=3.39e38",          "uint16",  0x7F7F),     # rounded to the greatest
    ("bf16=Infinity",         "uint16",  0x7F80),
    ("f32=0fff800000",        "float32", -INF),
    ("f16=0d7ff0000000000000", "float16", INF),
]  # fmt: skip


@pytest.mark.parametrize(("text", "dtype", "value"), SCALARS)
def test_a_number_is_passed_by_value_in_its_type(text, dtype, value):
    number = parse(text).value(SEED)
    assert (number.dtype, number.shape) == (np.dtype(dtype), ())
    assert number == value


ARRAYS = [
    ("u8[4]=zeros",             [0, 0, 0, 0]),
    ("f32[4]=iota",             [0, 1, 2, 3]),
    ("s32[2,3]=iota",           [[0, 1, 2], [3, 4, 5]]),
    ("f64[3]=2.5",              [2.5, 2.5, 2.5]),
    ("s16[2]=-3",               [-3, -3]),
    ("bf16[3]=iota",            [0, 0x3F80, 0x4000]),
    ("f32[1]=inf",              [INF]),
    ("u32[1]=0xffffffff",       [2**32 - 1]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "values"), ARRAYS)
def test_an_array_is_filled(text, values):
    array = parse(text).value(SEED)
    assert array.dtype == parse(text).type.dtype
    assert array.tolist() == values


def test_iota_wraps_in_a_small_type():
    assert parse("u8[258]=iota").value(SEED)[-2:].tolist() == [0, 1]


def test_random_floats_lie_around_zero_and_integers_use_their_whole_range():
    floats = parse("f32[4096]=random").value(SEED)
    assert -1 <= floats.min() < -0.9 < 0.9 < floats.max() < 1
    integers = parse("s8[4096]=random").value(SEED)
    assert (integers.min(), integers.max()) == (-128, 127)
    assert set(parse("u32[256]=random(3,5)").value(SEED).tolist()) == {3, 4, 5}
    assert (
        10 <= parse("f64[64]=random(10,11)").value(SEED).min() < parse("f64[64]=random(10,11)").value(SEED).max() < 11
    )


def test_random_data_depends_on_the_seed_alone():
    one, again, other = (parse("f32[64]=random").value(seed) for seed in ((1, 0), (1, 0), (1, 1)))
    assert one.tobytes() == again.tobytes() != other.tobytes()


def test_null_is_a_null_pointer():
    argument = parse("out:null")
    assert (argument.name, argument.null, argument.value(SEED)) == ("out", True, None)


def test_a_file_gives_its_array_as_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.arange(6, dtype=">f4").reshape(2, 3).T)
    for text in ("x.npy", "a:x.npy", "f32[3,2]=x.npy", str(tmp_path / "x.npy")):
        array = parse(text).value(SEED)
        assert array.dtype == np.dtype(np.float32)
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.tolist() == [[0, 3], [1, 4], [2, 5]]


# text, the whole sentence after the quoted argument
SLIPS = [
    ("1024",            "is not an argument. Write it as [NAME:]TYPE=NUMBER, '[NAME:]TYPE[SHAPE]=FILL', "
                        "[NAME:]FILE.npy or [NAME:]null. A number needs its type: u32=1024."),
    ("2.5",             "A number needs its type: f32=2.5."),
    ("f32[8]",          "An array needs its values: 'f32[8]=random'."),
    ("",                "is not an argument. Write it as"),
    ("=3",              "has no type before '='. Write u32, f32 and so on."),
    ("i32=3",           ": unknown type 'i32'. Did you mean 's32'?"),  # not u32, which is as near
    ("double=3",        ": unknown type 'double'. Did you mean 'f64'?"),
    ("f32:32=random",   ": the shape of an array is in brackets. Did you mean 'f32[32]=random'?"),
    ("f32:4x8=zeros",    ": the shape of an array is in brackets. Did you mean 'f32[4,8]=zeros'?"),
    ("uint8_t[3]=0",    ": unknown type 'uint8_t'. Did you mean 'u8'?"),
    ("out=u32[32]",     ": a colon follows the name of a parameter. Did you mean 'out:u32[32]=random'?"),
    ("x=f32[4]=zeros",  ": a colon follows the name of a parameter. Did you mean 'x:f32[4]=zeros'?"),
    ("p={f32=1,u32=2}", ": a colon follows the name of a parameter. Did you mean 'p:{f32=1,u32=2}'?"),
    ("n=u32",           ": a colon follows the name of a parameter. Did you mean 'n:u32=NUMBER'?"),
    ("n=3",             " f64, bf16. After the name of a parameter there is a colon, as in n:u32=1024."),
    ("f 32=3",          ": 'f 32' is not a type. Write u32, or for an array f32[1024]."),
    ("f32[8=3",         ": 'f32[8' is not a type. Write u32, or for an array f32[1024]."),
    ("u32=2.5",         ": '2.5' is not a whole number."),
    ("u32=",            ": '' is not a whole number."),
    ("f32=x",           ": 'x' is not a number."),
    ("f32=0f3f",        ": '0f3f' is not a number."),
    ("f32=1e39",        ": '1e39' is beyond the greatest f32."),
    ("f64=-1e400",      ": '-1e400' is beyond the greatest f64."),
    ("f16[4]=65520",    ": '65520' is beyond the greatest f16."),
    ("bf16=3.4e38",     ": '3.4e38' is beyond the greatest bf16."),
    ("f32=0d7fe0000000000000", ": '0d7fe0000000000000' is beyond the greatest f32."),
    ("f32=random",      ": 'random' is not a number. An array needs its shape: 'f32[1024]=random'."),
    ("u32=-1",          ": expected a u32 from 0 to 4294967295."),
    ("s8=128",          ": expected a s8 from -128 to 127."),
    ("f32[]=zeros",     ": '' is not a shape. Write whole numbers of at least 1, such as [1024] or [32,64]."),
    ("f32[0]=zeros",    ": '0' is not a shape. Write whole numbers of at least 1, such as [1024] or [32,64]."),
    ("f32[4,0]=zeros",  ": '4,0' is not a shape. Write whole numbers of at least 1, such as [1024] or [32,64]."),
    ("f32[n]=zeros",    ": 'n' is not a shape. Write whole numbers of at least 1, such as [1024] or [32,64]."),
    ("f32[-4]=zeros",   ": '-4' is not a shape. Write whole numbers of at least 1, such as [1024] or [32,64]."),
    ("f32[4]=ones",     ": 'ones' is not a fill. Write zeros, iota, random, random(LOW,HIGH), a number or FILE.npy."),
    ("f32[4]=",         ": '' is not a fill. Write zeros, iota, random, random(LOW,HIGH), a number or FILE.npy."),
    ("f32[4]=random(1)", ": 'random(1)' is not a fill. Write zeros, iota, random, random(LOW,HIGH), a number or "
                        "FILE.npy."),
    ("f32[4]=random(2,1)", ": expected random(LOW,HIGH), with LOW below HIGH."),
    ("f32[4]=random(0,inf)", ": expected random(LOW,HIGH), with LOW below HIGH."),
    ("f64[4]=random(-1e308,1e308)", ": expected random(LOW,HIGH), with LOW below HIGH."),  # their difference is inf
    ("u8[4]=random(0,256)", ": expected a u8 from 0 to 255."),
    ("u8[4]=1.5",       ": '1.5' is not a whole number."),
    ("f64[1000000000]=zeros", "takes 8.0 GB; an array may have 4.3 GB."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), SLIPS)
def test_a_mistake_is_reported_in_a_sentence(text, sentence):
    with pytest.raises(UsageError) as raised:
        parse(text)
    assert str(raised.value).startswith(f"'{text}'")
    assert sentence in str(raised.value)


DAMAGED_HEADERS = {
    "byte.npy": b"{'descr': '<f4', \0}\n",
    "unhashable.npy": b"{[]: 1}\n",
    "unclosed.npy": b"{'descr': '''\n",
    "long.npy": b"{'descr': '<f4', 'fortran_order': False, 'shape': (3L,), }\n",
    "huge.npy": b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999999999,), }\n",
}
"""Files of NumPy by their first header alone. NumPy evaluates it as Python, in which each is another error."""


def test_a_file_without_an_array_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros(3))
    np.save("empty.npy", np.zeros(0))
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("hello")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-1])
    (tmp_path / "nothing.npy").write_bytes(b"")
    for name, header in DAMAGED_HEADERS.items():
        (tmp_path / name).write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    (tmp_path / "archive.npy").write_bytes(b"PK\x03\x04")
    with open("several.npy", "wb") as file:  # noqa: PTH123  savez would add a suffix to a name
        np.savez(file, np.zeros(3), np.zeros(3))
    sentences = {
        "absent.npy": "cannot read absent.npy: No such file or directory.",
        "empty.npy": "empty.npy holds float64[0], which has no element.",
        "objects.npy": "objects.npy is damaged, or not an array of numbers that numpy.save wrote.",
        "text.npy": "text.npy is damaged, or not an array of numbers that numpy.save wrote.",
        "cut.npy": "cut.npy is damaged, or not an array of numbers that numpy.save wrote.",
        "nothing.npy": "nothing.npy is damaged, or not an array of numbers that numpy.save wrote.",
        "archive.npy": "archive.npy is damaged, or not an array of numbers that numpy.save wrote.",
        **{name: f"{name} is damaged, or not an array of numbers that numpy.save wrote." for name in DAMAGED_HEADERS},
        "several.npy": "several.npy holds several arrays. Save one of them with numpy.save.",
        "f32[3]=x.npy": "x.npy holds float64[3]. Write the file's name alone to take it as it is.",
        "f64[4]=x.npy": "x.npy holds float64[3]. Write the file's name alone to take it as it is.",
    }
    for text, sentence in sentences.items():
        with pytest.raises(UsageError) as raised:
            parse(text).value(SEED)
        assert str(raised.value).startswith(f"'{text}': {sentence}")


NAMES = st.one_of(st.none(), st.from_regex(r"[A-Za-z_$%][A-Za-z0-9_$]{0,8}|[0-9]{1,3}", fullmatch=True))
INTEGERS = [element for element in TYPES.values() if not element.floating]
FLOATS = [TYPES[name] for name in ("f16", "f32", "f64")]


def labelled(name, text):
    return text if name is None else f"{name}:{text}"


@given(NAMES, st.sampled_from(INTEGERS), st.data(), st.sampled_from([str, hex]))
def test_every_integer_keeps_its_value(name, type, data, write):
    value = data.draw(st.integers(int(np.iinfo(type.dtype).min), int(np.iinfo(type.dtype).max)))
    argument = parse(labelled(name, f"{type.name}={write(value)}"))
    assert argument.name == name
    assert argument.value(SEED) == value


@given(NAMES, st.sampled_from(FLOATS), st.data())
def test_every_float_keeps_all_its_bits(name, type, data):
    bits = type.dtype.itemsize * 8
    value = data.draw(st.floats(width=bits, allow_nan=False))
    number = parse(labelled(name, f"{type.name}={value!r}")).value(SEED)
    assert number.tobytes() == type.dtype.type(value).tobytes()


@given(st.integers(0, 2**32 - 1))
def test_bits_give_a_float(bits):
    number = parse(f"f32=0f{bits:08x}").value(SEED)
    expected = np.array([bits], np.uint32).view(np.float32)[0]
    assert number == expected or (np.isnan(number) and np.isnan(expected))


@given(NAMES, st.sampled_from(list(TYPES.values())), st.lists(st.integers(1, 9), min_size=1, max_size=3),
       st.sampled_from(["zeros", "iota", "random", "1"]))  # fmt: skip
def test_every_array_has_its_shape_and_type(name, type, shape, fill):
    array = parse(labelled(name, f"{type.name}[{','.join(map(str, shape))}]={fill}")).value(SEED)
    assert (array.dtype, array.shape) == (type.dtype, tuple(shape))
    assert array.flags.c_contiguous


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_bf16_rounds_to_nearest_even(value):
    bf16 = ElementType("bf16", np.dtype(np.uint16))
    encoded = bf16.hold(np.array([value], np.float64))
    shown = float(bf16.show(encoded)[0])
    low = (int(np.float32(value).view(np.uint32)) >> 16) << 16
    neighbours = [float(np.array([bits], np.uint32).view(np.float32)[0]) for bits in (low, low + 0x10000)]
    if all(map(math.isfinite, neighbours)):
        distances = [abs(other - value) for other in neighbours]
        expected = neighbours[distances.index(min(distances))]
        if distances[0] == distances[1] and low >> 16 & 1:
            expected = neighbours[1]
        assert shown == expected


def sentence_or_argument(text):
    """The result of parsing `text`: an argument, or the error message."""
    try:
        return parse(text)
    except UsageError as error:
        return str(error)


@given(st.text(max_size=30))
def test_any_text_is_an_argument_or_a_usage_error(text):
    outcome = sentence_or_argument(text)
    assert outcome.endswith((".", "?")) if isinstance(outcome, str) else outcome.text == text


PIECES = st.sampled_from(["x", ":", "=", "[", "]", ",", "u32", "f32", "bf16", "1024", "-1", "0x", "random", "(", ")",
                          "iota", ".npy", "null", "nan", "inf", " ", "_", "0f", "%", "1e400"])  # fmt: skip


@given(st.lists(PIECES, max_size=8).map("".join))
def test_an_accepted_argument_has_a_value(text):
    outcome = sentence_or_argument(text)
    if not isinstance(outcome, str) and not outcome.fill.endswith(".npy") and math.prod(outcome.shape or ()) < 2**20:
        assert (outcome.value(SEED) is None) == outcome.null
