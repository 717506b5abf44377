"""Two kernels compared: arrays element by element, names, tolerances, and the sentence on machine instructions."""

from pathlib import Path
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from ptxbench.arguments.elements import TYPES, ElementType
from ptxbench.cli._show_files import common_arch
from ptxbench.emulator.parse import parse
from ptxbench.errors import UsageError
from ptxbench.executed import Executed
from ptxbench.execution import Output
from ptxbench.kernel_comparison import (
    ArrayComparison,
    Closeness,
    Kernel,
    compare_arrays,
    names_of,
    unlike_signatures,
)
from ptxbench.wording.kernel_comparison import agreement, instructions, rounded_up, tolerances
from ptxbench.wording.machine import execution

NAN, INF = float("nan"), float("inf")
QUIET, PAYLOAD = np.uint32(0x7FC00000), np.uint32(0x7FC00001)


def output(type, values, changed=True):
    kind = TYPES[type]
    if type == "bf16":
        return Output(0, "y", kind, np.array(values, ml_dtypes.bfloat16).view(np.uint16), changed)
    return Output(0, "y", kind, np.array(values, kind.dtype), changed)


# type, A, B, --tolerance, elements with other bits, elements outside
ARRAYS = [
    ("f32", [1, 2], [1, 2], "0", 0, 0),
    ("f32", [1, 2], [1, 2.5], "0", 1, 1),
    ("f32", [1, 2], [1, 2.5], "0.25", 1, 0),
    ("f32", [1, 2], [1, 2.5], "0.24", 1, 1),
    ("f32", [1, 2], [1, 2.5], "0,0.5", 1, 0),
    ("f32", [0, 2], [1e-9, 2], "0.5", 1, 1),         # relative to 0, nothing is close
    ("f32", [0, 2], [1e-9, 2], "0.5,1e-8", 1, 0),
    ("f32", [0.0], [-0.0], "0", 1, 0),               # equal in value, not in bits
    ("f32", [1, 2], [1, NAN], "1e30,1e30", 1, 1),
    ("f32", [1, NAN], [1, 2], "1e30,1e30", 1, 1),
    ("f32", [NAN], [NAN], "0", 0, 0),
    ("f32", [INF], [INF], "0", 0, 0),
    ("f32", [INF], [-INF], "1e30,1e30", 1, 1),
    ("f32", [INF], [3e38], "1e30,1e30", 1, 1),
    ("f32", [3e38], [INF], "1e-5", 1, 1),
    ("f64", [1.0], [1.0 + 2**-52], "0", 1, 1),
    ("f64", [1.0], [1.0 + 2**-52], "3e-16", 1, 0),
    ("f16", [1.0], [1.001], "1e-4", 1, 1),
    ("f16", [1.0], [1.001], "1e-3", 1, 0),
    ("bf16", [1.0, 3], [1.0078125, 3], "1e-3", 1, 1),
    ("bf16", [1.0, 3], [1.0078125, 3], "1e-2", 1, 0),
    ("bf16", [1.0], [NAN], "1e30", 1, 1),
    ("u32", [1, 2], [1, 3], "1e9,1e9", 1, 1),        # whole numbers must be equal: they may be indices
    ("u64", [2**63], [2**63 + 1], "0", 1, 1),        # one number in float64
    ("s8", [[1, -1], [2, 3]], [[1, 1], [2, 3]], "0", 1, 1),
    ("b32", [0x3F800000], [0x3F800001], "1", 1, 1),
]  # fmt: skip


@pytest.mark.parametrize(("type", "a", "b", "tolerance", "unlike", "outside"), ARRAYS)
def test_arrays_are_compared_in_bits_and_within_the_tolerance(type, a, b, tolerance, unlike, outside):
    difference = compare_arrays(output(type, a), output(type, b), Closeness.read(tolerance))
    assert (difference.unlike, difference.outside) == (unlike, outside)
    assert (difference.worst is None) == (outside == 0)


@pytest.mark.parametrize("text", ["", "x", "-1", "1e-5,-1e-8", "nan", "inf", "1e-5,inf", "1e-5,1e-8,0", "1e-5,"])
def test_a_tolerance_is_one_or_two_numbers(text):
    with pytest.raises(UsageError, match=rf"^--tolerance is '{text}'; write the relative tolerance, or both"):
        Closeness.read(text)


def test_bits_of_nans_may_differ_and_are_counted():
    a, b = (Output(0, "y", TYPES["f32"], np.array([bits]).view(np.float32), True) for bits in (QUIET, PAYLOAD))
    difference = compare_arrays(a, b, Closeness.read("0"))
    assert (difference.unlike, difference.outside, difference.nan) == (1, 0, (1, 1))


def test_the_worst_element_has_its_index_and_both_values():
    difference = compare_arrays(
        output("f32", [[1, 2], [3, 4]]), output("f32", [[1, 2.5], [13, 4]]), Closeness.read("0")
    )
    assert (difference.worst, difference.values) == ((1, 0), ("3", "13"))
    assert (difference.greatest, difference.relative, difference.scale) == (10, 10 / 3, 4)


def test_the_scale_of_an_array_is_its_greatest_finite_magnitude():
    small = compare_arrays(output("f64", [2.0**-20, -(2.0**-18), INF]), output("f64", [2.0**-19, 0, INF]), Closeness())
    assert (small.greatest, small.relative, small.scale) == (2.0**-18, 1, 2.0**-18)


def test_differences_from_zero_or_nan_have_no_greatest_relative_value():
    zero = compare_arrays(output("f32", [0, 4]), output("f32", [1, 4]), Closeness.read("0"))
    assert (zero.greatest, zero.relative) == (1, None)
    nan = compare_arrays(output("f32", [1]), output("f32", [NAN]), Closeness.read("0"))
    assert (nan.greatest, nan.relative) == (None, None)


def test_elements_that_are_not_numbers_are_compared_by_their_bytes():
    kind = ElementType("complex64", np.dtype(np.complex64))
    a, b = (Output(0, "z", kind, np.array([1 + 2j, value], np.complex64), True) for value in (3, 4))
    assert compare_arrays(a, a, Closeness.read("1")).outside == 0
    assert compare_arrays(a, b, Closeness.read("1")).outside > 0


SIGNATURES = [
    (".u32 n",         ".s32 n",              True),
    (".b32 n",         ".f32 n",              True),     # bits may be a float
    (".f64 n",         ".b64 n",              True),
    (".u32 n",         ".f32 n",              False),
    (".u32 n",         ".u64 n",              False),
    (".b64 n",         ".align 8 .b8 n[8]",   False),    # a structure is no number
    (".u32 n",         ".u32 n, .param .u32 m", False),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "alike"), SIGNATURES)
def test_parameters_differ_in_number_size_and_kind(left, right, alike):
    text = ".version 7.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param {}) {{ ret; }}\n"
    program = SimpleNamespace(declared=lambda function: None)
    a, b = (Kernel(side, program, parse(text.format(side)).entries["k"]) for side in (left, right))
    for one, other in ((a, b), (b, a)):
        sentence = unlike_signatures(one, other)
        assert (sentence is None) == alike
        assert alike or sentence.startswith("The parameters differ: ")


def test_an_array_without_elements_is_equal():
    assert compare_arrays(output("f32", []), output("f32", []), Closeness.read("0")).outside == 0


NAMES = [
    (("a.cu", "b.ptx"), ("k", "k"), ("a.cu", "b.ptx")),
    (("old/k.ptx", "new/k.ptx"), ("k", "k"), ("old/k.ptx", "new/k.ptx")),
    (("x/old/k.ptx", "y/old/k.ptx"), ("k", "k"), ("x/old/k.ptx", "y/old/k.ptx")),
    (("k.ptx", "deep/k.ptx"), ("k", "k"), ("here/k.ptx", "deep/k.ptx")),
    (("k.ptx", "k.ptx"), ("one", "two"), ("k.ptx:one", "k.ptx:two")),
    (("k.ptx", "k.ptx"), ("one", "one"), ("k.ptx", "k.ptx (2)")),
]


@pytest.mark.parametrize(("paths", "entries", "names"), NAMES)
def test_names_distinguish_two_kernels(tmp_path, monkeypatch, paths, entries, names):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert names_of([Path(path) for path in paths], entries) == names


ARCHS = [
    ([], "sm_90"),
    (["sm_75", "sm_80"], "sm_90"),
    (["sm_90a"], "sm_90a"),
    (["sm_75", "sm_120"], "sm_120"),
    (["sm_100", "sm_100f"], "sm_100f"),
]


@pytest.mark.parametrize(("targets", "arch"), ARCHS)
def test_two_files_are_built_for_an_architecture_that_both_can_have(targets, arch):
    assert common_arch(targets) == arch


def executed(least, most=None):
    return Executed(least=least, fit=least, most=most or least)


SENTENCES = [
    (executed(100), executed(100), "Both execute 100 machine instructions."),
    (executed(1000), executed(1100), "a executes 9.1 % fewer machine instructions than b: 1,000 against 1,100."),
    (executed(1100), executed(1000), "b executes 9.1 % fewer machine instructions than a: 1,000 against 1,100."),
    (executed(100, 110), executed(200, 220),
     "a executes 45 % to 55 % fewer machine instructions than b: 100 to 110 against 200 to 220."),
    (executed(100, 110), executed(105, 120),
     "Which kernel executes fewer machine instructions is not known: the ranges overlap, 100 to 110 of a and 105 to "
     "120 of b."),
    (executed(100, 110), executed(110),
     "Which kernel executes fewer machine instructions is not known: the ranges overlap, 100 to 110 of a and 110 of "
     "b."),
    (executed(100, 110), executed(100, 110),
     "Which kernel executes fewer machine instructions is not known: the ranges overlap, 100 to 110 of a and 100 to "
     "110 of b."),
    (executed(100), Executed(reason="ptxas is not installed"),
     "Which kernel executes fewer machine instructions is not known: b: ptxas is not installed."),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "sentence"), SENTENCES)
def test_the_sentence_names_a_kernel_only_if_ranges_do_not_overlap(left, right, sentence):
    assert instructions(("a", "b"), (left, right)) == sentence


@pytest.mark.parametrize("value", [1.2345e-7, 9.99e-5, 1e-3, 0.5, 12.0])
def test_a_proposed_number_is_a_little_above(value):
    assert value < float(rounded_up(value)) < 1.15 * value


# greatest difference, relative difference, scale, proposals of --tolerance
PROPOSALS = [
    (2.4e-7, 1.2345e-7, 2.0,    ["1.3e-07 (relative)", "0,2.5e-07 (absolute)"]),
    (2e-6,   None,      1.0,    ["0,2.1e-06 (absolute)"]),    # the smaller element is 0
    (2.0,    0.5,       1000.0, ["0,2.1 (absolute)"]),
    (0.005,  0.004,     0.1,    ["0.0042 (relative)"]),       # a twentieth of the greatest element
    (0.005,  0.5,       0.1,    []),
    (None,   None,      1.0,    []),
]  # fmt: skip


@pytest.mark.parametrize(("greatest", "relative", "scale", "proposals"), PROPOSALS)
def test_a_tolerance_is_proposed_only_for_what_rounding_may_explain(greatest, relative, scale, proposals):
    floats, integers = (
        ArrayComparison("y", TYPES[kind], (4,), (True, True), 1, 1, greatest, relative, scale, (0, 0))
        for kind in ("f32", "s32")
    )
    assert [*tolerances(floats)] == proposals
    assert [*tolerances(integers)] == []


EQUAL = "Equal outputs: y (4 elements), z (4 elements)."
WITHIN = "The outputs agree within rtol 1e-05: y (4 elements), z (4 elements)."

# --tolerance, elements with other bits and greatest difference of each of two arrays, the sentence
AGREEMENTS = [
    ("0",    [(0, 0.0), (0, 0.0)],   "Same outputs, bit by bit: y (4 elements), z (4 elements)."),
    ("0",    [(1, 0.0), (0, 0.0)],   f"{EQUAL} 1 element differs in the sign of a zero or in the bits of a NaN."),
    ("1e-5", [(2, 0.0), (1, None)],  f"{EQUAL} 3 elements differ in the sign of a zero or in the bits of a NaN."),
    ("1e-5", [(2, 3e-6), (1, 1e-6)], f"{WITHIN} The bits of 3 elements differ; the greatest difference is 3e-06."),
    ("1e-5", [(0, 0.0), (1, 1e-6)],  f"{WITHIN} The bits of 1 element differ; the greatest difference is 1e-06."),
]  # fmt: skip


@pytest.mark.parametrize(("tolerance", "arrays", "sentence"), AGREEMENTS)
def test_the_agreement_is_of_all_arrays(tolerance, arrays, sentence):
    outputs = [
        ArrayComparison(name, TYPES["f32"], (4,), (True, True), unlike, 0, greatest, 0.0, 1.0, (0, 0))
        for name, (unlike, greatest) in zip("yz", arrays, strict=True)
    ]
    comparison = SimpleNamespace(outputs=outputs, closeness=Closeness.read(tolerance))
    assert agreement(comparison) == sentence


@pytest.mark.parametrize(
    ("count", "settled", "text"),
    [(1024.0, True, "1,024"), (1023.6, True, "~1,024"), (1024.4, True, "~1,024"), (7.0, False, "~7"), (None, True, "")],
)
def test_a_count_that_is_not_whole_or_not_determined_is_marked(count, settled, text):
    assert execution(count, settled) == text
