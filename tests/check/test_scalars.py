"""Scalars with values that are rarely drawn: a kernel that is wrong only with one of them is rejected."""

import math
import random
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench import discovery
from ptxbench.arrays import f16, f32, s32, u8, u32, u64
from ptxbench.check.cases import Cases
from ptxbench.check.pair_kernels import PairKernels
from ptxbench.check.scalars import (
    GREAT_POWERS,
    MOST_NAMED,
    MOST_NAMED_WHOLE,
    ends_of_ranges,
    free_scalars,
    high_bits,
    signed_numbers,
    special_values,
    whole_numbers,
)
from ptxbench.check.stages import Checker
from ptxbench.check.suite import NAN_SCALAR, CheckSuite
from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, draw_scalar
from tests.check.judging import KERNELS, judged, outcome, suite
from tests.folders import CUDA, PAIR, PTX, changed, kernels_folder

# what comes first in the CUDA C of triad, a[i] = b[i] + s * c[i], and what finds it
WRONG = [
    # limits of the scalar, made of bits, so that the text does not name them
    ("s = fminf(s, __uint_as_float(0x7149u << 16 | n >> 31));", "values wrong-result"),
    ("s = fmaxf(s, __uint_as_float(0xf149u << 16 | n >> 31));", "values wrong-result"),
    ("if (s != s) s = 0;", "values wrong-result"),
    ("if (__float_as_uint(s) == 0x80000000u) return;", "values output-unwritten"),
    ("if (fabsf(s) > 4.0f) s = -s;", "values wrong-result"),
    ("if (s == -3.25f) return;", "values output-unwritten"),
    ("if ((__float_as_uint(s) & 0x7fffffu) == 0 && fabsf(s) > 1) s = 0;", "values wrong-result"),
    ("if ((__float_as_uint(s) & 0x7fffffu) == 0 && fabsf(s) < 1) s = 0;", "values wrong-result"),
]
FIRST = "const unsigned i = BLOCK"


@pytest.mark.parametrize(("statement", "expected"), WRONG)
def test_a_kernel_that_is_wrong_with_some_scalars_is_rejected(statement, expected):
    path = KERNELS / "cuda" / "triad.cu"
    text = path.read_text()
    assert FIRST in text
    stages = ("parses", "signature", "results", "hidden", "values")
    judgement = judged(path, "triad", text.replace(FIRST, f"{statement} {FIRST}").encode(), stages=stages)
    assert outcome(judgement) == expected


def test_the_pair_is_right_with_each_special_scalar():
    of_triad = suite("triad")
    special = {series.name: next(iter(series)) for series in of_triad.scalars({"n": 9}, random.Random(1))}
    assert {"s=0", "s=-0", "s=inf", "s=-inf", "s=0.5", NAN_SCALAR, "s=-0, infinities"} <= special.keys()
    assert all(of_triad.beyond_contract(case) is None for case in special.values())
    assert [np.signbit(special[name].arguments["s"]) for name in ("s=0", "s=-0")] == [False, True]


def test_special_scalars_are_tried_at_a_size_that_is_no_power_of_two(tmp_path):
    """Where it is, an index that wraps at 2^32 is right after a division by the size."""
    pair = changed(PAIR, "(1, 127, 128, 129)", "(1, 127, 128, 512, 1024)")
    own = CheckSuite(discovery.load(kernels_folder(tmp_path, pair=pair), "scale"), "sm_90", 1)
    (series,) = (series for series in own.special if series.name == "a=-1")
    assert next(iter(series)).size == {"n": 127}


def test_only_scalars_without_a_restriction_have_any_value():
    scalars = [
        Scalar("s", f32, 0.7), Scalar("k", u32, 7), Scalar("bound", f32, lambda n: n),
        Scalar("eps", f32, 1e-6, values=(1e-6, 1e-3)), Scalar("fixed", u32, 4, values=(4, 4)),
    ]  # fmt: skip
    assert free_scalars(SimpleNamespace(args=scalars)) == {"s": f32, "k": u32}
    assert ends_of_ranges(SimpleNamespace(args=scalars)) == {"eps": (1e-6, 1e-3)}


def test_the_ends_of_a_range_are_tried(tmp_path):
    """A mask of 1 << k, for k up to 32, is wrong only at its end."""
    pair = changed(PAIR, 'Scalar("a", f32, 2),', 'Scalar("a", f32, 2, values=(1, 4)),')
    for end in ("0x3f800000", "0x40800000"):
        wrong = changed(CUDA, "y[i] = a * x[i];", f"y[i] = __float_as_uint(a) == {end} ? 0 : a * x[i];")
        (candidate := tmp_path / "scale.cu").write_text(wrong)
        own = CheckSuite(discovery.load(kernels_folder(tmp_path, pair=pair), "scale"), "sm_90", 1)
        judgement = Checker(own, candidate).judge()
        assert outcome(judgement) == "values wrong-result", end


@pytest.mark.parametrize("dtype", [f32, f16])
def test_a_floating_point_scalar_has_values_of_each_kind(dtype):
    values = special_values(dtype, random.Random(1))
    assert {0.0, 1.0, -1.0, math.inf, -math.inf} <= set(values)
    great = max(abs(value) for value in values if math.isfinite(value))
    assert 2.0 ** GREAT_POWERS[0] <= great <= 2.0 ** GREAT_POWERS[1]
    assert any(math.isnan(value) for value in values)


@pytest.mark.parametrize(("dtype", "values"), [(u32, {0, 1}), (s32, {0, 1, -1})])
def test_an_integer_scalar_is_also_0_and_1_and_a_signed_one_negative(dtype, values):
    assert set(special_values(dtype, random.Random(1))) == values


def test_an_infinite_scalar_may_give_nan_where_the_order_of_factors_decides():
    """inf times each of two terms of different signs is inf - inf; inf times their sum is inf."""
    triad = suite("triad")
    (case,) = triad.cases.filled({"n": 4}, {"s": math.inf}, 1)
    for value, explained in ((np.nan, True), (-np.inf, True), (1.0, False)):
        result = SimpleNamespace(outputs={"a": np.full(4, value, np.float32)})
        assert triad.is_explained(result, case, "values") == explained
    (finite,) = triad.cases.filled({"n": 4}, {"s": 1.0}, 1)
    nans = SimpleNamespace(outputs={"a": np.full(4, np.nan, np.float32)})
    assert not triad.is_explained(nans, finite, "values")


def test_few_of_the_numbers_of_a_text_become_scalars():
    values = signed_numbers({float(number) for number in range(3, 100)}, random.Random(1))
    assert len(values) == 2 * MOST_NAMED
    assert sum(values) == 0


def test_whole_numbers_of_a_text_become_scalars_that_their_type_can_hold():
    assert sorted(whole_numbers({8, 255, 256}, u8, random.Random(1))) == [8, 9, 255]
    assert len(whole_numbers(set(range(100)), u32, random.Random(1))) == 2 * MOST_NAMED_WHOLE
    assert whole_numbers({8}, f32, random.Random(1)) == ()


def test_a_message_names_a_scalar_that_differs_in_its_sign_alone():
    own = Pair(
        purpose="A scalar.",
        args=[In("x", f32, lambda n: (n,)), Out("y", f32, lambda n: (n,)), Scalar("beta", f32, 0.0)],
        launch=lambda n: Launch(grid=1, block=32),
        reference=lambda x, beta: {"y": x + beta},
        tolerance=EXACT,
        check_sizes=[{"n": 4}],
        bench_sizes=[{"n": 4}],
        flops=lambda n: n,
    )
    cases = Cases(SimpleNamespace(pair=own))
    labels = [next(cases.filled({"n": 4}, {"beta": value}, 1)).label for value in (0.0, -0.0)]
    assert labels == ["n=4", "n=4 beta=-0"]


ZERO = """
    ld.param.u32   %n, [steps];
    setp.ne.u32    %past, %n, 0;
    @%past bra     DONE;
    st.global.f32  [%at], 0f00000000;
"""


def test_a_bad_access_with_a_scalar_with_which_the_pair_is_wrong_does_not_count(tmp_path):
    """The pair never said that `steps` may be 0."""
    pair = changed(PAIR, 'Scalar("a", f32, 2),', 'Scalar("a", f32, 2),\n        Scalar("steps", u32, 1),')
    pair = changed(pair, "lambda x, a, n:", "lambda x, a, steps, n:")
    cuda = changed(changed(CUDA, "float a,", "float a, unsigned steps,"), "a * x[i]", "steps ? a * x[i] : 0")
    ptx = changed(changed(PTX, ".param .f32 a,", ".param .f32 a,\n    .param .u32 steps,"), "DONE:\n", f"{ZERO}DONE:\n")
    kernels = kernels_folder(tmp_path, pair=pair, cuda=cuda, ptx=ptx)
    (candidate := tmp_path / "scale.cu").write_text(changed(cuda, "steps ? a * x[i] : 0", "a * x[i - (steps == 0)]"))
    judgement = Checker(CheckSuite(discovery.load(kernels, "scale"), "sm_90", 1), candidate).judge()
    assert outcome(judgement) == "accepted"


HASH = "y[i] = x[i] + ((seed >> 32) % 7 + seed % 5);"
STEPS = "for (unsigned step = 0; step < seed; step++) y[i] += 1;"


@pytest.mark.parametrize(
    ("right", "wrong", "reference", "expected"),
    [
        (HASH, "y[i] = x[i] + unsigned(seed) % 5;", "x + (seed >> 32) % 7 + seed % 5", "values wrong-result"),
        # the value is a number of steps, so none with high bits is tried
        (f"y[i] = x[i]; {STEPS}", f"y[i] = x[i]; seed = unsigned(seed); {STEPS}", "x + seed", "accepted"),
        # but one that 8 bits do not hold
        (f"y[i] = x[i]; {STEPS}", f"y[i] = x[i]; seed &= 255; {STEPS}", "x + seed", "values wrong-result"),
        # and those that the text names
        (f"y[i] = x[i]; {STEPS}", f"y[i] = x[i]; if (seed == 64) seed = 3; {STEPS}", "x + seed", "values wrong-result"),
        (
            f"y[i] = x[i]; {STEPS}",
            f"y[i] = x[i]; seed = min(seed, 300ull); {STEPS}",
            "x + seed",
            "values wrong-result",
        ),
    ],
)
def test_a_kernel_that_ignores_the_high_bits_of_an_integer_is_rejected(tmp_path, right, wrong, reference, expected):
    pair = changed(PAIR, 'Scalar("a", f32, 2),', 'Scalar("seed", u64, 3),')
    pair = changed(changed(pair, "f32, u32", "f32, s32, u32, u64"), 'In("x", f32', 'In("x", s32')
    pair = changed(changed(pair, 'Out("y", f32', 'Out("y", s32'), 'lambda x, a, n: {"y": a * x}',
                   f'lambda x, seed, n: {{"y": {reference.replace("seed", "int(seed)")}}}')  # fmt: skip
    pair = changed(pair, 'In("x", s32, lambda n: (n,))', 'In("x", s32, lambda n: (n,), legal=(-9, 9))')
    cuda = changed(changed(CUDA, "float a,", "unsigned long long seed,"), "y[i] = a * x[i];", f"{{ {right} }}")
    cuda = cuda.replace("float*", "int*")
    kernels = kernels_folder(tmp_path, pair=pair, cuda=cuda)
    ptx = PairKernels(discovery.load(kernels, "scale"), "sm_90", None, None).executable["cuda"].ptx
    kernels = kernels_folder(tmp_path, pair=pair, cuda=cuda, ptx=ptx)
    (candidate := tmp_path / "scale.cu").write_text(changed(cuda, right, wrong))
    judgement = Checker(CheckSuite(discovery.load(kernels, "scale"), "sm_90", 1), candidate).judge()
    assert outcome(judgement) == expected, judgement.decisive


@pytest.mark.parametrize(("dtype", "bits"), [(u32, 32), (s32, 31), (u64, 64)])
def test_an_integer_with_high_bits_is_in_the_range_of_its_type(dtype, bits):
    values = [high_bits(dtype, random.Random(seed)) for seed in range(20)]
    assert all(abs(value).bit_length() == bits for value in values)
    assert len(set(values)) == 20
    assert (min(values) < 0) == (dtype == s32)
    assert high_bits(f32, random.Random(1)) is None


def test_a_scalar_of_1_is_not_drawn_as_0():
    rng = np.random.default_rng(1)
    assert {draw_scalar(Scalar("steps", u32, 1), rng, {}) for _ in range(40)} == {1, 2}
