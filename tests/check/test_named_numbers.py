"""Sizes and data near the numbers that a candidate's text names and no kernel of the pair does."""

import random
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench import discovery
from ptxbench.check.element_ranges import range_of_element
from ptxbench.check.named_numbers import MOST_SIZES, NamedNumbers, among, factors, filled_with, sizes_near, with_bits
from ptxbench.check.pair_kernels import PairKernels
from ptxbench.check.space import SizeSpace
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from ptxbench.emulator.parse import parsed
from ptxbench.pair import In, bf16, f16, f32, f64, s32, s64, u32, u64
from tests.check.judging import KERNELS, judged, outcome, suite
from tests.folders import kernels_folder

TEXT = """.version 7.0
.target sm_75
.address_size 64
.visible .entry numbers(.param .u32 n)
{
    .reg .u32 %n, %low;
    .reg .f32 %f;
    .reg .pred %p;
    ld.param.u32 %n, [n];
    setp.gt.u32 %p, %n, 5000;
    add.s32 %low, %n, -300;
    add.s32 %low, %low, 64;
    min.u32 %low, %low, 77;
    mov.u32 %low, 1234;
    mov.f32 %f, 0fC61C4000;
    max.f32 %f, %f, 0f7F800000;
    mul.f32 %f, %f, 0f3F000000;
    ret;
}
"""


def test_the_numbers_are_those_that_a_text_compares_with_and_its_unusual_floats():
    assert NamedNumbers.of(parsed(TEXT)) == NamedNumbers(frozenset({5000, 300, 77}), frozenset({10000.0}))


@pytest.mark.parametrize(
    ("comparison", "last"),
    [
        ("setp.lt.u32 %p, %n, 5000;", 4999), ("setp.ge.s32 %p, %n, 5000;", 4999), ("setp.hs.u32 %p, %n, 5000;", 4999),
        ("setp.lt.u32 %p, 5000, %n;", 5000), ("setp.le.u32 %p, %n, 5000;", 5000), ("setp.lt.s32 %p, %n, -5000;", 5000),
    ],
)  # fmt: skip
def test_a_number_is_the_last_one_before_a_limit(comparison, last):
    """`n <= 4999` becomes `n < 5000`, and an error that begins at 4999 must be among the first sizes."""
    text = TEXT.replace("setp.gt.u32 %p, %n, 5000;", comparison)
    assert NamedNumbers.of(parsed(text)).whole == {last, 300, 77}


@pytest.mark.parametrize(
    ("comparison", "named"),
    [("setp.lt.u32 %p, %low, 2;", {64, 300, 77, 1}), ("setp.lt.s32 %p, %low, 2;", {300, 77, 1}),
     ("setp.lt.u32 %p, %low, %n;", {300, 77})],
)  # fmt: skip
def test_a_positive_number_is_added_where_a_range_starts_at_a_negative_one(comparison, named):
    """`-64 <= x && x < -62` becomes `(unsigned)(x + 64) < 2`; what is added before other comparisons is a step."""
    assert NamedNumbers.of(parsed(TEXT.replace("setp.gt.u32 %p, %n, 5000;", comparison))).whole == named


def test_numbers_next_to_those_of_the_pair_are_not_new():
    own = NamedNumbers(frozenset({8192}), frozenset({2.5}))
    both = NamedNumbers(frozenset({1, 8190, 8191, 8193, 8194}), frozenset({2.5, 3.5}))
    assert both.without(own) == NamedNumbers(frozenset({8190, 8194}), frozenset({3.5}))


def test_a_kernel_of_the_pair_has_no_new_numbers():
    of_softmax = suite("softmax")
    for kernel in of_softmax.pair_kernels.executable.values():
        assert of_softmax.named(NamedNumbers.of(parsed(kernel.ptx))) == ((), ())


def test_sizes_are_at_a_number_next_to_it_and_beyond():
    space = SizeSpace.of(suite("triad").pair)
    *near, longer = (size["n"] for size in sizes_near(space, 5000, random.Random(1)))
    assert near == [5000, 5001, 4999]
    assert 5001 <= longer <= 10_001


def test_a_number_may_be_that_of_a_part_of_a_dimension():
    """A kernel that gets the number of blocks of 32 elements names blocks."""
    pair = suite("q4q8_gemv").pair
    assert factors(pair, "columns") == {32}
    sizes = list(sizes_near(SizeSpace.of(pair), 70, random.Random(1)))
    assert {"columns": 70 * 32} in [{"columns": size["columns"]} for size in sizes]


def test_only_the_inputs_that_are_asked_for_are_filled():
    pair = suite("triad").pair
    cases = SimpleNamespace(
        pair=pair, with_arguments=lambda size, arguments, words: SimpleNamespace(arguments=arguments, label=words)
    )
    ordinary = pair.make_arguments({"n": 8}, 1, varied=False)
    for only, names, words in ((None, {"b", "c"}, ", with ones"), (["c"], {"c"}, ", with ones in 'c'")):
        case = filled_with(cases, {"n": 8}, lambda array, limits, draws: np.ones_like(array), 1, "ones", only)
        assert {name for name in ("b", "c") if (case.arguments[name] != ordinary[name]).any()} == names
        assert case.label == words


def test_an_array_of_a_few_elements_has_numbers_too():
    """A table of copy_hints.beside may have one row, of four elements."""
    of_beside = suite("copy_hints.beside")
    numbers = NamedNumbers(frozenset({1000}), frozenset())
    draws = np.random.default_rng(1), np.random.default_rng(2)
    table = next(limits for arg in of_beside.pair.args if arg.name == "table" and (limits := range_of_element(arg)))
    changed = among(numbers, np.zeros(4, np.uint32), table, draws)
    assert {abs(value) for value in changed.view(np.int32).tolist()} <= {0, 999, 1000, 1001}
    assert changed.any()
    assert all(list(series) for kind in of_beside.named(numbers) for series in kind)


@pytest.mark.parametrize(
    ("named", "dtype", "value"),
    [
        (0xDEADBEEF,                u32, 0xDEADBEEF),
        (2**32 - 0xDEADBEEF,        u32, 0xDEADBEEF),  # -559038737, as NVRTC writes it
        (0xDEADBEEF,                s32, 0xDEADBEEF - 2**32),
        (2**64 - 0xDEADBEEFCAFEBABE, u64, 0xDEADBEEFCAFEBABE),
        (0xDEADBEEFCAFEBABE,        u64, 0xDEADBEEFCAFEBABE),
        (0x5EADBEEFCAFEBABE,        s64, -0x5EADBEEFCAFEBABE),
    ],
)  # fmt: skip
def test_an_integer_has_the_bits_of_a_number_whatever_its_sign_in_the_text(named, dtype, value):
    draws = np.random.default_rng(1), np.random.default_rng(2)
    limits = range_of_element(In("x", dtype, lambda n: (n,)))
    changed = among(NamedNumbers(frozenset({named}), frozenset()), np.zeros(1000, dtype), limits, draws)
    assert {value - 1, value, value + 1} <= {int(element) for element in changed}


@pytest.mark.parametrize(
    ("named", "dtype", "value"),
    [(0x4A80, f16, 13.0), (0xCA80, f16, -13.0), (0x4150, bf16, 13.0), (0x41500000, f32, 13.0), (0x3FF8 << 48, f64, 1.5),
     (0x6A, np.dtype("float8_e4m3fn"), 80.0)],
)  # fmt: skip
def test_a_float_may_have_a_number_as_its_bits(named, dtype, value):
    draws = np.random.default_rng(1), np.random.default_rng(2)
    limits = range_of_element(In("x", dtype, lambda n: (n,)))
    changed = among(NamedNumbers(frozenset({named}), frozenset()), np.zeros(1000, dtype), limits, draws)
    assert {0.0, value} == {float(element) for element in changed}


@pytest.mark.parametrize("named", [0x7F800000, 0x7FC00000, 255, 0x7F000000, 1 << 40])
def test_infinity_nan_subnormal_and_huge_numbers_are_not_made_of_bits(named):
    assert with_bits({named}, range_of_element(In("x", f32, lambda n: (n,)))) == []


# pair, replacement in its CUDA C, what finds it
WRONG = [
    ("triad", "sum.x = fmaf(", "sum.x = __float_as_int(from_b.x) == 0x41500000 ? 0.0f : fmaf(", "values"),
    ("triad", "const unsigned i = BLOCK", "if (n == 4711) s = 0.0f; const unsigned i = BLOCK", "hidden"),
    ("softmax", "const unsigned thread = threadIdx.x;",
     "const unsigned thread = threadIdx.x; if (columns > 300 && columns < 304) y += 1;", "hidden"),
    ("q4q8_gemv", "unsigned blocks)\n{", "unsigned blocks)\n{\n    if (blocks == 71) rows -= 1;", "hidden"),
    ("triad", "sum.x = fmaf(", "sum.x = from_b.x == 12.75f ? 0.0f : fmaf(", "values"),
    ("softmax", "__int_as_float(0xff800000)", "-300000.0f", "values"),
    ("triad", "const unsigned i = BLOCK", "if (blockIdx.x == 101) s = 0.0f; const unsigned i = BLOCK", "hidden"),
]  # fmt: skip


@pytest.mark.parametrize(("pair", "right", "wrong", "stage"), WRONG)
def test_a_kernel_that_is_wrong_near_a_number_of_its_text_is_rejected(pair, right, wrong, stage):
    path = KERNELS / "cuda" / f"{pair}.cu"
    text = path.read_text()
    assert right in text
    judgement = judged(path, pair, text.replace(right, wrong, 1).encode(), seed=3)
    assert outcome(judgement).split()[0] == stage


def test_a_limit_below_a_norm_is_found(tmp_path):
    """Rows are as great as the limit of the text, so that it replaces their norms, and the pair's limit does not."""
    pair = """
import numpy as np
from ptxbench.pair import In, Launch, Out, Pair, close, f32

PAIR = Pair(
    purpose="A norm with a limit.",
    args=[In("x", f32, lambda rows: (rows, 32)), Out("y", f32, lambda rows: (rows, 32))],
    launch=lambda rows: Launch(grid=rows, block=32),
    reference=lambda x: {"y": x / np.maximum(np.sqrt((x * x).sum(axis=1, keepdims=True)), 1e-12)},
    tolerance=close(rtol=1e-5, atol=1e-6),
    check_sizes=[{"rows": rows} for rows in (1, 2)],
    bench_sizes=[{"rows": 4096}],
    flops=lambda rows: 3 * 32 * rows,
)
"""
    cuda = """
extern "C" __global__ void scale(const float* x, float* y)
{
    const unsigned i = 32 * blockIdx.x + threadIdx.x;
    double sum = (double)x[i] * x[i];
    for (int lane = 16; lane > 0; lane /= 2)
        sum += __shfl_xor_sync(~0u, sum, lane);
    y[i] = x[i] / fmax(sqrt(sum), 1e-12);
}
"""
    folder = kernels_folder(tmp_path, pair=pair, cuda=cuda)
    compiled = PairKernels(discovery.load(folder, "scale"), "sm_90", None, None).executable["cuda"].ptx
    loaded = discovery.load(kernels_folder(tmp_path, pair=pair, cuda=cuda, ptx=compiled), "scale")
    (wrong := tmp_path / "wrong.cu").write_text(cuda.replace("1e-12", "1e-6"))
    _, values = CheckSuite(loaded, "sm_90", 1).named(NamedNumbers(frozenset(), frozenset({1e-6})))
    assert [series.name for series in values[-2:]] == [
        "sums of rows below 1e-06",
        "sums of squares of rows below 1e-06",
    ]
    sums, squares = (np.abs(next(iter(series)).arguments["x"].astype(float)) for series in values[-2:])
    assert 1e-8 < sums.sum(axis=1).max() < 1e-6
    assert 1e-8 < (squares**2).sum(axis=1).max() < 1e-6
    outcomes = {outcome(Checker(CheckSuite(loaded, "sm_90", seed), wrong, CheckOptions()).judge()) for seed in range(4)}
    assert outcomes == {"values wrong-result"}


def test_the_launches_for_a_text_with_many_numbers_are_limited():
    many = NamedNumbers(frozenset(range(100, 5000, 10)), frozenset(range(3, 100)))
    sizes, values = suite("softmax").named(many)
    assert len(sizes) == MOST_SIZES
    assert len(values) < 25


def test_data_have_the_magnitude_of_a_number_and_of_its_root():
    """The least distance starts at 1e30 in many a search, and the distances are squares."""
    of_softmax = suite("softmax")
    _, values = of_softmax.named(NamedNumbers(frozenset(), frozenset({1e30})))
    cases = [next(iter(series)) for series in values if series.name.startswith("magnitudes up to")]
    greatest = [float(np.abs(case.arguments["x"]).max()) for case in cases]
    assert 8e30 < greatest[0] < 2e32
    assert 8e15 < greatest[1] < 2e17
    assert len(cases) == 2
