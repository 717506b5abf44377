"""Which cases count: those that the pair's own kernels pass, at which sizes, and with which data."""

import dataclasses
import math
import random
import re
from pathlib import Path

import numpy as np
import pytest

from ptxbench.check.case_series import CaseSeries
from ptxbench.check.cases import telling
from ptxbench.check.launching import CheckKernel, LaunchOptions, launch
from ptxbench.check.sizes import hidden_sizes, kinds
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import ZERO, CheckSuite
from ptxbench.pair import In, InOut, f32
from tests.check import test_questions
from tests.check.judging import KERNELS, outcome, suite


def test_a_case_that_a_kernel_of_the_pair_also_fails_does_not_count():
    softmax = suite("softmax")
    cases = {question.name: next(iter(question), None) for question in softmax.special}
    excused = {kind: softmax.beyond_contract(cases[kind]) for kind in ("NaN", "signed zeros", "huge values")}
    assert excused["NaN"] is None
    assert excused["signed zeros"] is None
    assert set(excused.values()) - {None} <= {source.variant for source in softmax.loaded.sources}
    assert all(softmax.beyond_contract(case) is None for case in softmax.check)


def test_a_fault_is_not_excused_by_a_kernel_that_is_only_wrong():
    softmax = suite("softmax")
    beyond = next(next(iter(question)) for question in softmax.special if question.name == "huge values")
    assert softmax.beyond_contract(beyond)
    assert softmax.beyond_contract(beyond, fault=True) is None


def test_the_kernels_of_the_pair_run_a_case_once(monkeypatch):
    triad = CheckSuite(suite("triad").loaded, "sm_90", 3)
    requested = []
    assert set(triad.pair_kernels.right) == {"cuda", "ptx"}
    monkeypatch.setattr(triad, "fails", lambda kernel, case, fault: requested.append(kernel) or True)
    case = triad.check[0]
    assert [triad.beyond_contract(case), triad.beyond_contract(case)] == ["cuda", "cuda"]
    assert len(requested) == 1


def test_a_new_case_is_tried_even_at_the_address_of_one_that_is_gone(monkeypatch):
    triad = CheckSuite(suite("triad").loaded, "sm_90", 3)
    assert set(triad.pair_kernels.right) == {"cuda", "ptx"}
    requested = []
    monkeypatch.setattr(triad, "fails", lambda kernel, case, fault: requested.append(kernel) or True)
    for _ in range(10):
        triad.beyond_contract(dataclasses.replace(triad.check[0]))
    assert len(requested) == 10


def test_nan_counts_only_if_the_pairs_kernels_handle_it_at_each_size(monkeypatch):
    """A kernel of the pair that passes NaN over passes some positions by chance."""
    softmax = CheckSuite(suite("softmax").loaded, "sm_90", 3)
    cases = [next(iter(series)) for series in softmax.special if series.name == "NaN"]
    for failing, handles in (((), True), (cases[-1:], False)):
        softmax.__dict__.pop("handles_nan", None)
        monkeypatch.setattr(
            softmax, "beyond_contract", lambda case, failing=failing: "cuda" if case in failing else None
        )
        assert softmax.handles_nan == handles


@pytest.mark.parametrize(("handles", "expected"), [(True, "values wrong-result"), (False, "accepted")])
def test_a_candidate_need_not_handle_nan_if_the_pairs_kernels_do_not(monkeypatch, handles, expected):
    triad = CheckSuite(suite("triad").loaded, "sm_90", 3)
    monkeypatch.setitem(triad.__dict__, "handles_nan", handles)
    monkeypatch.setitem(triad.__dict__, "special", [series for series in triad.special if series.name == "NaN"])
    candidate = Path(__file__).parent / "hostile" / "hides_nan.ptx"
    assert outcome(Checker(triad, candidate, CheckOptions()).judge(stages=("parses", "values", "repeats"))) == expected


def test_all_elements_are_below_zero_where_a_row_has_several_parts():
    """There a part may start from zero. Of a sum they show no more than other data."""
    for name, expected in (("softmax", True), ("triad", False)):
        own = suite(name)
        below = [next(iter(series)) for series in own.special if series.name == "all far below zero"]
        assert (own.largest.size in [case.size for case in below]) == expected


@pytest.mark.parametrize("name", ["softmax", "softmax.warp", "triad"])
def test_each_kind_of_data_is_tried(name):
    """A tolerance that is NaN on some data would leave it out without a word."""
    assert [series.name for series in suite(name).special if next(iter(series), None) is None] == []


def test_starts_are_drawn_for_a_check_size_or_for_its_whole_numbers():
    args = In("x", f32, lambda n: (n,)), InOut("t", f32, lambda n: (4,))
    pair = test_questions.pair_of(*args, reference=lambda x, t, n: {"y": x, "t": t})
    loaded = dataclasses.replace(suite("triad").loaded, pair=dataclasses.replace(pair, exact_on_integers=True))
    drawn = [bool(next(iter(series)).arguments["t"].any()) for series in CheckSuite(loaded, "sm_90", 5).results]
    assert drawn in ([True, False, False, True, True, False], [False, True, True, False, False, True])


def test_at_each_size_mixed_data_come_before_the_pairs_own():
    cases, sizes = suite("triad").cases, [{"n": 1000}, {"n": 33}]
    tried = list(cases.at(iter(sizes), 7, varied=False))
    assert [case.size for case in tried] == [sizes[0], sizes[0], sizes[1], sizes[1]]
    ordinary = [cases.pair.make_arguments(case.size, 7) for case in tried]
    same = [(case.arguments["b"] == own["b"]).mean() for case, own in zip(tried, ordinary, strict=True)]
    assert (same[1], same[3]) == (1, 1)
    assert 0.7 < same[0] < 1
    assert 0.7 < same[2] < 1


def test_data_of_a_kind_are_in_the_inputs_that_are_asked_for_and_the_case_names_them():
    cases = suite("triad").cases
    [alone], [everywhere] = (cases.edged({"n": 1000}, ZERO, 7, varied=False, only=only) for only in (["b"], ()))
    assert (alone.arguments["b"].any(), alone.arguments["c"].any()) == (False, True)
    assert alone.label.endswith(", with zero throughout in 'b'")
    assert (everywhere.arguments["b"].any(), everywhere.arguments["c"].any()) == (False, False)
    assert everywhere.label.endswith(", with zero throughout")


def test_cases_on_which_zeros_would_do_are_left_out_unless_there_are_no_others():
    triad = suite("triad").check[-1]
    wide = {name: np.full_like(bound, 1e30) for name, bound in triad.expected.bounds.items()}
    vague, other = (
        dataclasses.replace(triad, expected=dataclasses.replace(triad.expected, bounds=wide)) for _ in range(2)
    )
    assert [case is triad for case in telling([vague, triad, other])] == [True]
    assert [case is vague for case in telling([vague, other])] == [True, False]


def test_data_on_which_the_pair_itself_fails_is_named_in_a_note():
    loaded = suite("triad").loaded
    tolerance = dataclasses.replace(
        loaded.pair.tolerance, bound=lambda expected, inputs: np.where(abs(expected) < 1e30, 1e-3, np.nan)
    )
    pair = dataclasses.replace(loaded.pair, tolerance=tolerance)
    own = CheckSuite(dataclasses.replace(loaded, pair=pair), "sm_90", 3)
    own.special = tuple(series for series in own.special if series.name in ("huge values", "small magnitudes"))
    judgement = Checker(own, KERNELS / "ptx" / "triad.ptx", CheckOptions()).judge(stages=("parses", "values"))
    notes = [note for note in judgement.notes if note.startswith("values: ")]
    assert len(notes) == 1
    assert notes[0].startswith("values: nothing with huge values, on which the pair fails: PairError: the tolerance of")


def with_values(values):
    """A suite of scan.s32 whose data `values` draws."""
    loaded = suite("scan.s32").loaded
    args = [
        dataclasses.replace(arg, values=values, legal=None) if isinstance(arg, In) else arg for arg in loaded.pair.args
    ]
    return CheckSuite(dataclasses.replace(loaded, pair=dataclasses.replace(loaded.pair, args=args)), "sm_90", 3)


@pytest.mark.parametrize(("most", "stages"), [(1 << 30, set()), (0, {"results", "hidden"}), (5000, {"hidden"})])
def test_a_note_says_that_zeros_are_right_results_of_the_data_that_the_pair_draws(most, stages):
    def values(rng, shape, **size):
        return rng.integers(-1000, 1000, shape) * (math.prod(shape) <= most)

    own = with_values(values)
    judgement = Checker(own, KERNELS / "ptx" / "scan.s32.ptx").judge(stages=("parses", "results", "hidden"))
    assert {note.partition(":")[0] for note in judgement.notes} == stages
    for note in judgement.notes:
        assert re.search(
            r"^results: the pair's reference and tolerance would accept '\w+' all zero at every check size$"
            r"|^hidden: at \d+ of \d+ sizes, such as .*, zeros are right results, because",
            note,
        )


def test_the_first_case_that_the_pair_passes_counts():
    triad = CheckSuite(suite("triad").loaded, "sm_90", 3)
    cases = []
    question = CaseSeries("", (cases.append(case) or case for case in triad.check))
    assert triad.counted_case(question) is triad.check[0]
    triad.reference_failures[triad.check[0], False] = "ptx"
    assert triad.counted_case(question) is triad.check[1]
    assert len(cases) == 2
    assert triad.repeated[0].size not in triad.pair.check_sizes


def test_the_poison_of_outputs_and_the_addresses_of_arrays_can_be_chosen():
    triad = suite("triad")
    case = triad.check[0]
    kernel = triad.pair_kernels.executable["ptx"]
    nothing = CheckKernel(kernel.ptx.replace("{\n", "{\n    ret;\n", 1), "triad", "sm_90")
    result = launch(nothing, triad.pair, case, LaunchOptions(poison=0x5A, placement=3))
    assert set(result.outputs["a"].tobytes()) == {0x5A}
    assert triad.unwritten(result, case, 0x5A) == "a"
    assert triad.unwritten(result, case, 0xFF) is None


def test_infinities_are_tried_at_the_cheapest_check_sizes_whatever_the_seed():
    """Where k is below 8, rows of b behind the last are not to be multiplied by zero."""
    for seed in (1, 2):
        cases = [case for series in suite("sgemm_tiled", seed).special for case in series.cases or series]
        assert any(case.size["k"] < 8 and "infinities" in case.label for case in cases)


def test_nan_is_tried_on_the_paths_for_whole_tiles_if_launches_are_cheap():
    for name, least in (("transpose", 6), ("hgemm_mma", 3)):
        cases = [series.name for series in suite(name).special]
        assert least <= cases.count("NaN") <= least + 4
        assert cases.count("infinities") > least


@pytest.mark.parametrize(("name", "expected"), [("scan", True), ("reduce_sum", False)])
def test_where_ctas_exchange_sums_zeros_are_tried_at_the_largest_check_size(name, expected):
    """There a sum of 0 is not the same as no sum yet."""
    own = suite(name)
    zeros = [case for series in own.special if series.name == "zero throughout" for case in series]
    assert (own.largest.size in [case.size for case in zeros]) == expected


def test_each_factor_is_zero_once_where_the_other_is_infinite():
    """A kernel that leaves out products with zero then has no NaN."""
    own = suite("sgemm_tiled").special
    cases = {series.name: next(iter(series)).arguments for series in own if "=0" in series.name}
    assert {name: (arguments["a"].any(), arguments["b"].any()) for name, arguments in cases.items()} == {
        "a=0, infinities": (False, True), "b=0, infinities": (True, False),
    }  # fmt: skip
    assert np.isinf(cases["a=0, infinities"]["b"]).any()


def test_a_sum_of_whole_numbers_in_f32_is_rounded_at_some_long_size():
    """Random numbers have too small sums for that, and so have equal ones: they are multiples of a power of two."""
    great = [series for series in suite("scan.s32").special if series.name == "all far above zero"]
    inputs = [next(iter(series)).arguments["x"] for series in great]
    rounded = [x for x in inputs if np.cumsum(x, dtype=np.float32)[-1] != x.sum(dtype=np.int64)]
    assert len({x.sum(dtype=np.int64) for x in rounded}) == 2  # the roundings of several sums may cancel once


def test_the_greatest_number_of_steps_is_tried_with_ctas_that_compute():
    """The CTAs of the smallest size only copy, so steps cost nothing there."""
    pair = suite("sm_partition").pair
    draw = kinds(pair, random.Random(1))["steps=256"]
    drawn = [next(hidden_sizes(pair, draw, random.Random(seed))) for seed in range(8)]
    assert all(size["steps"] == 256 for size in drawn)
    assert any(size["roles"] & 2 for size in drawn)
