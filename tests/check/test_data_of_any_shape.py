"""Unusual data of arrays of every type and shape, also of none and of one element, and errors of ptxbench in it."""

import dataclasses

import numpy as np
import pytest

from ptxbench.check.cases import attempt, silence
from ptxbench.check.common_elements import with_common_elements
from ptxbench.check.element_ranges import ElementRange
from ptxbench.check.row_fills import with_peaks
from ptxbench.check.values import data_kinds, edged, mixed
from ptxbench.errors import PairError
from ptxbench.pair import (
    EXACT,
    In,
    InOut,
    Launch,
    Out,
    Pair,
    Scalar,
    bf16,
    e4m3,
    e5m2,
    f16,
    f32,
    f64,
    s8,
    s16,
    s32,
    s64,
    u8,
    u16,
    u32,
    u64,
    ue8m0,
)  # fmt: skip

TYPES = (s8, s16, s32, s64, u8, u16, u32, u64, e4m3, e5m2, ue8m0, f16, bf16, f32, f64)
SHAPES = [lambda n: (n - 1,), lambda n: (3, n - 1), lambda n: (n - 1, 3), lambda n: (), lambda n: (1, 2, n)]


def pair_of(dtype, shape, legal=None):
    return Pair(
        purpose="Data.",
        args=[
            In("x", dtype, shape, legal=legal),
            In("z", dtype, lambda n: (n,), legal=legal),
            Out("y", f32, lambda n: (n,)),
            Scalar("n", u32, lambda n: n),
        ],
        launch=lambda n: Launch(grid=1, block=32),
        reference=lambda x, z, n: {"y": np.zeros(n)},
        tolerance=EXACT,
        check_sizes=[{"n": 1}],
        bench_sizes=[{"n": 70}],
        flops=lambda n: 0,
    )


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("legal", [None, (0, 0), (0, 3)])
def test_data_of_each_kind_have_the_type_and_the_shape_of_the_array(dtype, legal):
    if legal and dtype.kind not in "iu":
        return
    for shape in SHAPES:
        pair = pair_of(dtype, shape, legal)
        for n in (1, 2, 70):
            arguments = pair.make_arguments({"n": n}, 3)
            made = [mixed(pair, arguments, 4), with_common_elements(pair, arguments, ["x", "z"], 5) or arguments]
            with silence():
                for kind in data_kinds(pair):
                    made += edged(pair, {"n": n}, kind, 6)
            for changed in made:
                for name in ("x", "z"):
                    ordinary = arguments[name]
                    assert (changed[name].shape, changed[name].dtype) == (ordinary.shape, ordinary.dtype)


def test_mixed_integers_have_the_ends_of_their_range():
    for dtype in (u64, s64):
        pair = pair_of(dtype, lambda n: (n,))
        values = {int(value) for value in mixed(pair, pair.make_arguments({"n": 100_000}, 3), 4)["x"]}
        limits = np.iinfo(dtype)
        assert {limits.min, limits.max, 1 << 62, (1 << 62) - 1} <= values


@pytest.mark.parametrize("dtype", [s8, u32, s64, u64], ids=str)
def test_the_peaks_of_integers_are_the_ends_of_their_range(dtype):
    limits = np.iinfo(dtype)
    element = ElementRange(dtype, (int(limits.min), int(limits.max)))
    changed = with_peaks(np.full(9, 7, dtype), element, high=2, low=5)
    assert (int(changed[2]), int(changed[5]), int(changed[0])) == (limits.max, limits.min, 7)


def ends(dtype):
    limits = np.iinfo(dtype)
    return int(limits.min), int(limits.max), int(limits.max) // 2 + 1, int(limits.max) - 3


@pytest.mark.parametrize("dtype", [dtype for dtype in TYPES if dtype.kind in "iu"], ids=str)
def test_other_scalars_and_starts_are_drawn_around_the_ends_of_a_type(dtype):
    """The start of a least number is the greatest one, and the one before is as good a start."""
    for value in ends(dtype):
        limits = ends(dtype)[:2]
        scalars = [Scalar("a", dtype, value), Scalar("b", dtype, value, values=limits)]
        start = InOut("x", dtype, lambda n: (n,), start=value)
        pair = dataclasses.replace(pair_of(f32, lambda n: (n,)), args=[*scalars, start])
        for seed in range(5):
            drawn = pair.make_arguments({"n": 40}, seed, varied=True)
            assert {drawn[name].dtype for name in ("a", "b", "x")} == {dtype}
            apart = {int(element) - value for element in drawn["x"]}
            assert apart <= ({*range(1, 9)} if value <= limits[1] - 8 else {*range(-8, 0)})


def in_module(name, source, **names):
    """A function of a module of this name."""
    module = {"__name__": name, **names}
    exec(compile(source, name, "exec"), module)
    return module["function"]


def failing(modules):
    """A function of the first module that calls one of the next, and so on; that of the last one fails."""
    function = in_module(modules[-1], "def function(): return [][0]")
    for name in reversed(modules[:-1]):
        function = in_module(name, "def function(): return inner()", inner=function)
    return function


@pytest.mark.parametrize(
    ("modules", "own"),
    [
        (["ptxbench.check.values"],                         True),
        (["ptxbench.check.values", "numpy.random"],         True),
        (["ptxbench.check.cases", "ptxbench.arrays"],       False),  # a value of the pair is converted
        (["ptxbench.check.cases", "ptxbench.pairs.triad"],  False),
        (["ptxbench.check.cases", "ptxbench.verify", "ptxbench.pairs.triad", "numpy.linalg"], False),
        (["ptxbench.check.cases", "scipy.special"],         False),  # only a pair calls it
    ],
)  # fmt: skip
def test_an_error_of_ptxbench_is_not_taken_for_one_of_a_pair(modules, own):
    if own:
        with pytest.raises(IndexError):
            attempt(failing(modules))
    else:
        assert attempt(failing(modules)) is None


@pytest.mark.parametrize("error", [PairError("meant"), MemoryError()])
def test_an_error_that_is_meant_is_one_of_the_pair(error):
    function = in_module("ptxbench.check.values", "def function(): raise error", error=error)
    assert attempt(function) is None
