"""Every shipped pair would notice a wrong result, and pairs that would not are caught."""

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptxbench import wrong_outputs
from ptxbench.discovery import load
from ptxbench.oracle import accepted, weaknesses
from ptxbench.pair import (
    EXACT,
    In,
    InOut,
    Launch,
    Out,
    Pair,
    Sample,
    Scalar,
    Scratch,
    Tolerance,
    bf16,
    f16,
    f32,
    f64,
    relative,
    s8,
    s32,
    u8,
    u64,
    ulps,
)
from ptxbench.runner.memory import host_lacks
from ptxbench.verify import expect, verify
from ptxbench.wrong_outputs import shifted

KERNELS = Path(__file__).parents[1] / "kernels"


@pytest.mark.parametrize("name", sorted(path.stem for path in (KERNELS / "pairs").glob("*.py")))
def test_the_oracle_of_every_shipped_pair_rejects_every_wrong_output(name):
    assert weaknesses(load(KERNELS, name).pair, seed=1) == ()


SCALE = Pair(
    purpose="",
    args=[In("x", f32, lambda n: (n,)), Out("y", f32, lambda n: (n,)), Scalar("n", s32, lambda n: n)],
    launch=lambda n: Launch(1, n),
    reference=lambda x, n: {"y": 2 * x},
    tolerance=ulps(1),
    check_sizes=[{"n": n} for n in (1, 1000)],
    bench_sizes=[{"n": 1000}],
    flops=lambda n: n,
)
ZERO, TAIL, STALE, WARP, BEFORE, FEW, END, MIDDLE = ALL = (
    "'y' all zero",
    "the last tenth of 'y' zero",
    "the last tenth of 'y' never written",
    "'y' zero where one warp writes",
    "'y' from its middle on too small by an earlier element",
    "one element in 1000 of 'y' off by 10 tolerances",
    "the last tenth of 'x' read as zero",
    "a tenth in the middle of 'x' read as zero",
)
LARGE = tuple(variant for variant in ALL if variant not in (FEW, STALE))
"""Those that a tolerance accepts that is larger than the results: not ten of itself, and not NaN, as it was before."""


def without_its_end(x, n):
    return {"y": np.where(np.arange(x.size) < 0.9 * x.size, 2 * x, 0.0)}


def some_of(at, x):
    return {"y": Sample(np.array(at), 2 * x[at])}


CASES = [
    ("one ulp",                          {},                                                          ()),
    ("exact",                            {"tolerance": EXACT},                                        ()),
    ("a tolerance above every value",    {"tolerance": Tolerance("10", lambda e, i: 10.0)},           LARGE),
    ("a tolerance beyond all numbers",   {"tolerance": Tolerance("inf", lambda e, i: np.inf)},        ()),
    ("relative to what is far greater",  {"tolerance": relative(1e-3, of=lambda x, n: 1e5 + x)},      LARGE),
    ("ignores its last tenth",           {"reference": without_its_end},                              (END,)),
    ("ignores all of it",                {"reference": lambda x, n: {"y": np.ones(n)}},               (END,)),
    ("is zero",                          {"reference": lambda x, n: {"y": np.zeros(n)}},              (ZERO, END)),
    ("a sample of every element",        {"reference": lambda x, n: some_of(range(n), x)},            ()),
    ("a sample of all, in no order",     {"reference": lambda x, n: some_of([*range(1, n), 0], x)},   ()),
    ("a sample of two elements",         {"reference": lambda x, n: some_of([0, n - 1], x),
                                          "check_sizes": [{"n": 1000}]},                             (WARP, FEW)),
    ("a sample without the last tenth",  {"reference": lambda x, n: some_of(range(n * 9 // 10), x),
                                          "check_sizes": [{"n": 1000}]},                            (TAIL, STALE, END)),
    ("a tenth that one size does not see", {"reference": lambda x, n: without_its_end(x, n) if n > 1 else {"y": 2 * x},
                                            "check_sizes": [{"n": 10}, {"n": 100}]},                (END,)),
    ("a greatest that is seen at a size", {"reference": lambda x, n: {"y": np.full(n, x.max())},
                                           "check_sizes": [{"n": n} for n in range(2, 60)]},         ()),
    ("a type that cannot hold the move", {"args": [In("x", u8, lambda n: (n,)), Out("y", u8, lambda n: (n,)),
                                                   SCALE.args[2]],
                                          "reference": lambda x, n: {"y": x},
                                          "tolerance": Tolerance("200", lambda e, i: 200.0)},         (FEW,)),
    ("one that refuses zeros",           {"reference": lambda x, n: {"y": 2 * x if x.all() else 1 // 0}},  ()),
    ("one that warns of zeros",          {"reference": lambda x, n: {"y": 1 / x}},                    ()),
]  # fmt: skip


@pytest.mark.parametrize(("what", "changes", "accepted"), CASES, ids=[what for what, _, _ in CASES])
def test_a_wrong_output_that_the_oracle_accepts_is_named(what, changes, accepted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(weaknesses(replace(SCALE, **changes), seed=1)) == set(accepted)


def test_outputs_and_inputs_are_each_changed_separately():
    def reference(x, w, sum_, n):
        return {"y": x * 1.0, "sum_": np.array([x.sum()])}

    args = [*SCALE.args, In("w", f32, lambda n: (n,)), InOut("sum_", f32, lambda n: (1,)),
            Scratch("flags", s32, lambda n: (n,))]  # fmt: skip
    loose = Tolerance("loose", lambda e, i: 0.0 if e.size > 1 else 1e9)
    weak = weaknesses(replace(SCALE, args=args, reference=reference, tolerance=loose), seed=1)
    assert weak == ("'sum_' all zero", "the last tenth of 'w' read as zero")


def test_bounds_include_the_errors_of_approximate_instructions():
    assert weaknesses(SCALE, seed=1, errors={"ex2.approx.f32": lambda exact: np.full(exact.shape, 10.0)}) == LARGE


@pytest.mark.parametrize("dtype", [f16, bf16, f32, f64, s8, u8, s32, u64], ids=str)
def test_an_element_is_moved_by_the_least_step_where_nothing_is_tolerated(dtype):
    ends = () if dtype in (f16, bf16, f32, f64) else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = np.array([0, 1, 2, 3, 100, *ends], dtype)
    moved = shifted(values, np.zeros(values.size))
    assert moved.dtype == dtype
    assert (moved != values).all()
    apart_by = np.abs(moved.astype(np.float64) - values.astype(np.float64))
    if not ends:
        assert (apart_by <= np.abs(np.spacing(values)).astype(np.float64)).all()
    elif dtype != u64:  # float64 does not resolve their last steps
        assert (apart_by == 1).all()


def test_the_wrong_outputs_differ_from_the_reference():
    """Half an ulp allows nothing but the right result: were the rounding wrong, a weak pair would seem strong."""
    weak = replace(SCALE, tolerance=ulps(0.5), reference=without_its_end)
    assert weaknesses(weak, seed=1) == (END,)


# ---- at the size of a cell, where each size must reject by itself


def asked(pair, size, integers):
    arguments = pair.make_arguments(size, 1, integers=integers)
    before = {
        name: argument.tobytes()
        for name, argument in arguments.items()
        if getattr(argument, "nbytes", 1 << 20) < 1 << 20
    }
    wrong_outputs_accepted = accepted(pair, size, arguments, expect(pair, arguments, integers=integers), 1)
    assert {name: arguments[name].tobytes() for name in before} == before
    return wrong_outputs_accepted


def bench_sizes():
    """Each with its pair, and whether it is fast: the first of a pair, and small ones."""
    for path in sorted((KERNELS / "pairs").glob("*.py")):
        pair = load(KERNELS, path.stem).pair
        for number, size in enumerate(pair.bench_sizes):
            small = pair.compulsory_bytes(size) < 15 << 20 and pair.flops(**size) < 5 * 10**8
            yield path.stem, pair, size, number == 0 or small


@pytest.mark.long
def test_every_shipped_pair_rejects_every_wrong_output_at_small_bench_sizes():
    for name, pair, size, quick in bench_sizes():
        if quick:
            assert asked(pair, size, pair.timed_on_integers) == (), (name, size)


@pytest.mark.long
def test_every_shipped_pair_rejects_every_wrong_output_at_large_bench_sizes():
    """Up to 33 MiB; all that this machine can hold with PTXBENCH_ALL_SIZES=1, which takes minutes and 15 GB."""
    everything = os.environ.get("PTXBENCH_ALL_SIZES")
    for name, pair, size, quick in bench_sizes():
        small = pair.compulsory_bytes(size) <= 33 << 20 and pair.flops(**size) < 10**9
        if not quick and (small or everything) and host_lacks(pair, size) is None:
            assert asked(pair, size, pair.timed_on_integers) == (), (name, size)


@pytest.mark.parametrize(("n", "some"), [(1 << 22, "'total' all zero"), (1 << 24, MIDDLE)])
def test_a_sum_of_random_signs_accepts_errors_that_integer_data_reject(n, some):
    """The tolerance for that many roundings is larger than the sum, or than a tenth of the terms."""
    pair = load(KERNELS, "reduce_sum").pair
    size = {**pair.bench_sizes[0], "n": n}
    assert some in asked(pair, size, False)
    assert asked(pair, size, True) == ()


@pytest.mark.long
@pytest.mark.parametrize("integers", [False, True])
def test_a_scan_without_its_look_back_is_found_only_with_whole_numbers(integers):
    """At 2**24 elements, from tile 4096 of 8192 on: with random signs it is verified, and so are zeros."""
    pair, first = load(KERNELS, "scan").pair, 4096
    size = {**pair.bench_sizes[0], "n": 1 << 24}
    arguments = pair.make_arguments(size, 1, integers=integers)
    expected = expect(pair, arguments, integers=integers)
    tiles = arguments["x"].astype(np.float64).reshape(-1, 2048)
    right = np.cumsum(tiles).reshape(tiles.shape)
    alone, zero = right.copy(), right.copy()
    alone[first:], zero[first:] = np.cumsum(tiles[first:], axis=1), 0
    verified = [verify({"y": y.astype(f32).reshape(-1)}, expected, "").worst is None for y in (right, alone, zero)]
    assert verified == [True, not integers, not integers]
    accepts = {TAIL, WARP, BEFORE, END, MIDDLE}
    assert accepts & set(accepted(pair, size, arguments, expected, 1)) == (set() if integers else accepts)


AT_SIZE = [
    ("one ulp",                            {},                                                             ()),
    ("a tolerance above every value",      {"tolerance": Tolerance("10", lambda e, i: 10.0)},              LARGE),
    ("a tolerance above some values",      {"tolerance": Tolerance("y", lambda e, i: 1.01 * abs(e))},
     tuple(variant for variant in LARGE if variant != BEFORE)),
    ("a tolerance above what was there",   {"args": [SCALE.args[0], InOut("y", f32, lambda n: (n,), 1), SCALE.args[2]],
                                            "reference": lambda x, y, n: {"y": y + 2 * x},
                                            "tolerance": Tolerance("2", lambda e, i: 2.0)},      (STALE, END, MIDDLE)),
    ("a reference that gives what it got", {"args": [replace(SCALE.args[0], widened=False, dtype=s32),
                                                     Out("y", s32, lambda n: (n,)), SCALE.args[2]],
                                            "reference": lambda x, n: {"y": x},
                                            "tolerance": Tolerance("2**32", lambda e, i: 2.0**32)},         ALL),
    ("a sample of few elements",           {"reference": lambda x, n: some_of(range(0, n, 90), x)},        (WARP, FEW)),
    ("data that do not show it: zeros",    {"reference": lambda x, n: {"y": np.zeros(n)}},                 ()),
    ("data that do not show it: greatest", {"reference": lambda x, n: {"y": np.full(n, x.max())}},         ()),
    ("one that refuses zeros",             {"reference": lambda x, n: {"y": 2 * x if x.all() else 1 // 0}}, ()),
]  # fmt: skip


@pytest.mark.parametrize(("what", "changes", "wrong_outputs_accepted"), AT_SIZE, ids=[what for what, _, _ in AT_SIZE])
@pytest.mark.parametrize("by_rows", [[], ["x"]], ids=["whole", "by rows"])
def test_a_size_is_weak_if_wrong_results_are_accepted(monkeypatch, what, changes, wrong_outputs_accepted, by_rows):
    monkeypatch.setattr(wrong_outputs, "PIECE", 64)  # so that there are many
    assert set(asked(replace(SCALE, **changes, by_rows=by_rows), {"n": 1000}, False)) == set(wrong_outputs_accepted)
