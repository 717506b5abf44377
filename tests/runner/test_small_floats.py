"""Arrays of floats of 8 and 4 bits: values, data, whole runs with real builds on the emulator, and reports."""

import json

import numpy as np
import pytest

from ptxbench.arrays import is_float, poison, wide
from ptxbench.check.launching import with_nans
from ptxbench.check.values import data_kinds
from ptxbench.discovery import load
from ptxbench.pair import In, Out, e4m3, e5m2, f32, pack_e2m1, ue8m0, ulps, unpack_e2m1
from ptxbench.pair import draw as drawn
from tests.folders import PAIR, PTX, changed, kernels_folder


def pair_of(dtype):
    """The pair `scale` with x and y of that type, and a scalar of f32."""
    text = changed(PAIR, "f32, u32", f"{dtype}, f32, u32").replace('In("x", f32', f'In("x", {dtype}')
    text = changed(text, 'Out("y", f32', f'Out("y", {dtype}')
    return changed(text, '    flags={"fast": ["--use_fast_math"]},\n', "")


def cuda_of(dtype):
    return f"""\
#include <cuda_fp8.h>

extern "C" __global__ void scale(const __nv_fp8_{dtype}* x, __nv_fp8_{dtype}* y, float a, unsigned n)
{{
    const unsigned i = 128 * blockIdx.x + threadIdx.x;
    if (i < n)
        y[i] = __nv_fp8_{dtype}(a * float(x[i]));
}}
"""


def ptx_of(dtype):
    return (
        PTX.replace(".version 6.3", ".version 8.1")
        .replace("sm_75", "sm_89")
        .replace(
            ".reg .f32   %a,", ".reg .b8 %byte; .reg .b16 %pair, %low, %high; .reg .b32 %halves;\n.reg .f32 %zero, %a,"
        )
        .replace("mul.wide.u32        %offset, %i, 4;", "cvt.u64.u32 %offset, %i;")
        .replace(
            "ld.global.f32       %value, [%at];",
            f"ld.global.u8 %pair, [%at]; cvt.rn.f16x2.{dtype}x2 %halves, %pair; mov.b32 {{%low, %high}}, %halves;"
            "cvt.f32.f16 %value, %low;",
        )
        .replace(
            "st.global.f32       [%at], %value;",
            f"mov.f32 %zero, 0f00000000; cvt.rn.satfinite.{dtype}x2.f32 %pair, %zero, %value;"
            "st.global.u8 [%at], %pair;",
        )
    )


@pytest.fixture
def run(tmp_path, monkeypatch, ptxbench):
    monkeypatch.chdir(tmp_path)

    def run(pair, cuda, ptx, *more):
        kernels = kernels_folder(tmp_path, pair=pair, cuda=cuda, ptx=ptx)
        ran = ptxbench("run", "scale", "--kernels", kernels, "--backend", "emulator", "--no-save", "--json", *more)
        (cell,) = json.loads(ran.out)["cells"]
        return {name: variant["reason"] or variant["status"] for name, variant in cell["variants"].items()}

    return run


def test_floats_of_8_bits_are_verified_on_both_sides(run):
    assert run(pair_of("e4m3"), cuda_of("e4m3"), ptx_of("e4m3")) == {"cuda": "verified", "ptx": "verified"}


@pytest.mark.parametrize("dtype", ["e4m3", "e5m2"])
def test_wrong_and_unwritten_elements_are_found(run, dtype):
    pair, cuda, ptx = pair_of(dtype), cuda_of(dtype), ptx_of(dtype)
    alone = ("--variant", "ptx")
    assert run(pair, cuda, ptx, *alone) == {"ptx": "verified"}
    swapped = run(pair, cuda, changed(ptx, "%pair, %zero, %value", "%pair, %value, %zero"), *alone)
    assert swapped["ptx"].startswith("scale.ptx, n=1: y[0] is 0, expected ")
    unwritten = run(pair, cuda, changed(ptx, "st.global.u8 [%at], %pair;", ""), *alone)
    assert "y[0] is nan (0xFF bytes, as if never written), expected " in unwritten["ptx"]


def test_small_floats_are_treated_as_floats_everywhere():
    for dtype in (e4m3, e5m2, ue8m0):
        assert is_float(dtype)
        assert np.isnan(poison((3,), dtype).astype(np.float64)).all()
        assert wide(np.ones(2, dtype)).dtype == np.float64
    # 448 is the greatest e4m3: there is no next one to take the distance to
    assert ulps(1, e4m3).bound(np.array([1.0, 448.0, -448.0]), {}).tolist() == [0.125, 32.0, 32.0]
    # a reference beyond the greatest number has a bound too
    assert ulps(1, e4m3).bound(np.array([1000.0]), {}).tolist() == [32.0]
    assert ulps(2).bound(np.array([1e39, -1e39, np.inf]), {}).tolist() == [2.0**105] * 3


# dtype, whether the data are whole numbers, the least and the greatest magnitude, whether there are negative ones
DRAWN = [
    (e4m3,  False, 0, 1, True),
    (e5m2,  False, 0, 1, True),
    (e4m3,  True,  0, 8, True),
    (ue8m0, False, 0.125, 8, False),
    (ue8m0, True,  1, 8, False),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "integers", "least", "most", "negative"), DRAWN)
def test_random_data_are_numbers_of_the_type(dtype, integers, least, most, negative):
    values = wide(drawn(In("x", dtype, lambda: (4096,)), np.random.default_rng(1), {}, integers=integers))
    assert (abs(values).min(), abs(values).max()) == pytest.approx((least, most), abs=2e-3 if least == 0 else 0)
    assert (values < 0).any() == negative
    assert not integers or (values == np.round(values)).all()


def test_a_scale_gets_no_data_that_it_cannot_hold():
    class OfOne:
        args = (In("s", ue8m0, lambda: (4,)), Out("y", f32, lambda: (4,)))

    assert data_kinds(OfOne) == ["NaN among the scales"]


@pytest.mark.parametrize("dtype", [e4m3, e5m2, ue8m0])
def test_other_nans_are_still_nans(dtype):
    nans = poison((64,), dtype)
    other = with_nans(nans, 1)
    assert np.isnan(other.astype(np.float64)).all()
    assert (other.tobytes() != nans.tobytes()) == (dtype == e5m2)  # the others have one payload


def test_a_list_names_the_types_as_the_pair_file_does(tmp_path, ptxbench):
    kernels = kernels_folder(tmp_path, pair=pair_of("e4m3"), cuda=cuda_of("e4m3"), ptx=ptx_of("e4m3"))
    (listed,) = json.loads(ptxbench("list", "scale", "--kernels", kernels, "--json").out)
    assert [argument["dtype"] for argument in listed["arguments"]] == ["e4m3", "e4m3", "f32", "u32"]


# ---- e2m1: two in a byte

ALL = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]


def test_each_four_bits_are_the_number_that_the_format_says():
    packed = np.arange(256, dtype=np.uint8)
    assert unpack_e2m1(packed).reshape(256, 2).tolist() == [[ALL[i & 15], ALL[i >> 4]] for i in range(256)]
    assert (pack_e2m1(unpack_e2m1(packed)) == packed).all()
    assert unpack_e2m1(packed.reshape(4, 8, 8)).shape == (4, 8, 16)
    assert unpack_e2m1(wide(packed)).tolist() == unpack_e2m1(packed).tolist()  # as a reference gets them


# a number, the nearest one of the format
ROUNDED = [(0.24, 0), (0.25, 0), (0.26, 0.5), (0.75, 1), (2.5, 2), (3.5, 4), (5, 4), (5.1, 6), (100, 6), (-100, -6)]


@pytest.mark.parametrize(("value", "nearest"), ROUNDED)
def test_numbers_are_rounded_to_the_nearest_and_ties_to_even(value, nearest):
    assert unpack_e2m1(pack_e2m1(np.array([value, 0], np.float32)))[0] == nearest


@pytest.mark.parametrize(
    ("values", "message"), [([np.nan, 0], "no NaN"), ([1, 2, 3], "odd last axis"), (1.0, "odd last axis")]
)
def test_what_cannot_be_packed_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        pack_e2m1(np.array(values, np.float32))


def test_a_pair_file_may_use_all_of_them(tmp_path):
    text = changed(pair_of("e4m3"), "import EXACT", "import pack_e2m1, unpack_e2m1, e5m2, ue8m0, EXACT")
    assert load(kernels_folder(tmp_path, pair=text), "scale").pair.args[0].dtype == e4m3
