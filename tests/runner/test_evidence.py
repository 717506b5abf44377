"""The things that a run checks itself: the oracle, the next launch, a timed launch, a time."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ptxbench.errors import WrongResult
from ptxbench.result import ORACLE_WEAK, BuildReport, CheckReport, Round, VariantResult, to_json
from ptxbench.runner import RunFrame, document
from ptxbench.runner.control import CONTROL
from ptxbench.runner.round_results import RoundResults, merge_results
from ptxbench.runner.snapshots import OutputSnapshot, OutputSnapshots, with_verified_outputs
from ptxbench.verify import Verdict
from tests.fakes import DEVICE, FakeBackend, ScriptedClock
from tests.folders import PAIR, changed, kernels_folder
from tests.runner.test_runner import cells, plan_of, right

TIMES = {"cuda": [100_000], "cuda@fast": [90_000], "ptx": [80_000]}


def statuses(cell):
    return {name: result.status for name, result in cell.variants.items()}


def off_by(error, *variants):
    """Correct, except for these variants: every element is off by `error`."""

    def compute(build, launch, arguments, outputs):
        y = right(build, launch, arguments, outputs)["y"]
        return {"y": y + np.float32(error) if build.variant in variants else y}

    return compute


# ---- the oracle

WEAK = PAIR.replace("EXACT", "Tolerance").replace(
    "tolerance=Tolerance", 'tolerance=Tolerance("5", lambda expected, inputs: 5.0)'
)


@pytest.mark.parametrize(
    ("pair", "accepts"),
    [
        (PAIR, ()),
        (WEAK, ("'y' all zero", "the last tenth of 'x' read as zero")),
    ],
)
def test_an_oracle_that_accepts_a_wrong_result_is_labelled_with_that_result(tmp_path, pair, accepts):
    plan = plan_of(kernels_folder(tmp_path, pair=pair), sizes=["n=500", "n=1024"])
    for cell, n in zip(cells(plan), ("500", "1024"), strict=True):
        assert {f"{accept} at every check size" for accept in accepts} <= set(cell.oracle)
        assert {f"{accept} at n={n}" for accept in accepts} <= set(cell.oracle)
        assert (ORACLE_WEAK in cell.labels) == bool(cell.oracle) == bool(accepts)
        assert set(statuses(cell).values()) == {"verified"}  # a right kernel is right all the same
    written = json.loads(to_json(document(RunFrame(plan, DEVICE), cells(plan), "complete")))
    assert written["cells"][0]["oracle"] == list(cells(plan)[0].oracle)


FROM_1024 = PAIR.replace("EXACT", "Tolerance").replace(
    "tolerance=Tolerance", 'tolerance=Tolerance("0 or 5", lambda expected, inputs: 5.0 * (expected.size >= 1024))'
)


def test_only_the_size_of_a_cell_that_accepts_a_wrong_result_is_labelled(tmp_path):
    small, large = cells(plan_of(kernels_folder(tmp_path, pair=FROM_1024), sizes=["n=500", "n=1024"]))
    assert (small.oracle, ORACLE_WEAK in small.labels) == ((), False)
    assert {check.partition(" at ")[2] for check in large.oracle} == {"n=1024"}
    assert "'y' all zero at n=1024" in large.oracle
    assert ORACLE_WEAK in large.labels


def test_one_round_checks_the_oracle_for_all_rounds(kernels):
    plan = plan_of(kernels, sizes=["n=500", "n=1024"])
    results = RoundResults.of(plan)
    todo = [key for key in results.keys if key[0][0] != CONTROL]
    assert [piece.oracle_asked for piece in results.items(todo)] == [True]
    verified, failed = cells(plan)
    results.add(replace(verified, oracle=("a",), labels=[ORACLE_WEAK]))
    results.add(replace(failed, oracle=None))  # no kernel was right there, and another may be
    assert [(piece.sizes, piece.oracle_asked) for piece in results.items(todo)] == [
        (({"n": 500},), False), (({"n": 1024},), True)
    ]  # fmt: skip
    pair_plan = replace(plan.pair_plans[0], oracle_asked=False)
    assert [cell.oracle for cell in cells(replace(plan, pair_plans=(pair_plan,)))] == [None, None]
    results.add(replace(verified, oracle=None))
    assert results.merge_rounds(todo[0]).oracle == ("a",)


def test_without_verified_variants_the_oracle_does_not_run(kernels):
    (cell,) = cells(plan_of(kernels, FakeBackend({}, off_by(1, "cuda", "cuda@fast", "ptx"))))
    assert cell.oracle is None
    assert ORACLE_WEAK not in cell.labels


# ---- another launch

LOOSE = changed(PAIR, "tolerance=EXACT", "tolerance=ulps(4)").replace("import EXACT", "import ulps").replace(
    "exact_on_integers=True", "exact_on_integers=False"
)  # fmt: skip


def last_bit(build, launch, arguments, outputs):
    y = right(build, launch, arguments, outputs)["y"]
    return {"y": np.nextafter(y, np.float32(9)) if build.variant == "ptx" else y}


@pytest.mark.parametrize(
    ("repeats", "deterministic", "status"),
    [
        ([right],                       True,  "verified"),
        ([right] * 18 + [last_bit],     False, "verified"),     # within the tolerance: reported, not failed
        ([right, off_by(1, "ptx")],     False, "wrong"),
    ],
)  # fmt: skip
def test_launches_on_the_same_data_are_compared_bit_by_bit(tmp_path, repeats, deterministic, status):
    backend = FakeBackend(TIMES, right, repeats=repeats)
    (cell,) = cells(plan_of(kernels_folder(tmp_path, pair=LOOSE), backend))
    assert cell.variants["cuda"].check.deterministic is True
    ptx = cell.variants["ptx"]
    assert (ptx.check.deterministic, ptx.status) == (deterministic, status)
    if status == "wrong":
        assert ptx.reason.startswith("scale.ptx, n=129, in another launch: y[")


def test_only_the_largest_check_size_is_repeated(kernels):
    sizes = []

    def note(build, launch, arguments, outputs):
        sizes.append((build.variant, int(arguments["n"])))
        return right(build, launch, arguments, outputs)

    cells(plan_of(kernels, FakeBackend({}, right, repeats=[note]), sizes=["n=129", "n=1024"]))
    assert sizes == [("cuda", 129), ("cuda@fast", 129), ("ptx", 129)]


def test_the_emulator_is_deterministic_with_any_number_of_threads(kernels):
    (cell,) = cells(plan_of(kernels))
    assert all(result.check.deterministic is True for result in cell.variants.values())


@pytest.mark.parametrize(
    ("verdicts", "combined"),
    [([True, None], True), ([None, False, True], False), ([None, None], None)],
)
def test_one_differing_round_of_several_is_enough(verdicts, combined):
    checks = [CheckReport("", "", [], deterministic=deterministic) for deterministic in verdicts]
    assert (
        merge_results([VariantResult("ptx", "verified", check=check) for check in checks]).check.deterministic
        is combined
    )


@pytest.mark.parametrize(("errors", "greatest"), [([1e-7, 3e-7, 2e-7], 3e-7), ([1e-7, None], None)])
def test_the_greatest_error_of_all_rounds_is_unknown_if_one_is(errors, greatest):
    results = [VariantResult("ptx", "verified", check=CheckReport("", "", [], error)) for error in errors]
    assert merge_results(results).check.max_error == greatest


def test_the_build_of_all_rounds_is_that_of_the_worst_result_if_it_has_one():
    first, wrong = (VariantResult("ptx", status, build=BuildReport(status, "p")) for status in ("verified", "wrong"))
    ended = VariantResult("ptx", "broken", "its process ended with SIGSEGV (build).")
    assert merge_results([first, wrong]).build == wrong.build
    assert merge_results([first, ended]) == replace(ended, build=first.build)


# ---- a timed launch


def test_the_outputs_of_timed_launches_are_verified_and_recorded(kernels):
    (cell,) = cells(plan_of(kernels, FakeBackend(TIMES, right)))
    for timed_round in cell.rounds:
        first, last = timed_round.evidence["blocks"]
        assert 0 <= first <= last == len(timed_round.ns) - 1
        assert timed_round.evidence["max_error"] == 0.0


@pytest.mark.parametrize(("errors", "greatest"), [((1e-7, 3e-7), 3e-7), ((1e-7, None), None), ((), None)])
def test_the_greatest_error_of_timed_launches_is_unknown_if_one_is(errors, greatest):
    rounds = [Round(0, 0, ("cuda", variant), "A", []) for variant in ("ptx", "other")]
    verdicts = [(OutputSnapshot("ptx", "ptx", 7 - i, {}, None), Verdict(error)) for i, error in enumerate(errors)]
    wrong = OutputSnapshot("other", "other", 1, {}, None), Verdict(9.0, "worst")
    (kept,) = with_verified_outputs(rounds, [*verdicts, wrong])
    assert kept.contrast == ("cuda", "ptx")
    assert kept.evidence == {"blocks": sorted(range(7, 7 - len(errors), -1)), "max_error": greatest}


def test_outputs_with_the_same_bits_are_kept_once_for_each_variant():
    zeros = {name: {"y": np.zeros(4, np.float32)} for name in ("cuda", "ptx")}
    clocks = {name: ScriptedClock([1], left=lambda name=name: {"y": zeros[name]["y"].copy()}) for name in zeros}
    seen = OutputSnapshots(clocks, lambda: None)
    for block in range(2):
        for variant in zeros:
            seen("ptx", variant, block)
    first, other, again, again_other = (snapshot.outputs for snapshot in seen.snapshots)
    assert first is again
    assert other is again_other
    assert first is not other


@pytest.mark.parametrize(
    ("liar", "left"),
    [
        ("ptx",       [("cuda", "cuda@fast")]),
        ("cuda@fast", [("cuda", "ptx")]),
        ("cuda",      []),
    ],
)  # fmt: skip
def test_a_kernel_that_is_right_when_verified_and_wrong_when_timed_is_wrong_and_has_no_time(kernels, liar, left):
    (cell,) = cells(plan_of(kernels, FakeBackend(TIMES, right, timed=off_by(1, liar))))
    assert statuses(cell) == {**dict.fromkeys(TIMES, "verified"), liar: "wrong"}
    assert ", n=1024, timed, block " in cell.variants[liar].reason
    assert cell.variants[liar].check.worst == cell.variants[liar].reason
    assert [timed_round.contrast for timed_round in cell.rounds] == left


def test_a_write_past_the_end_in_a_timed_launch_is_found_and_the_others_are_measured(kernels):
    def past_the_end(build, launch, arguments, outputs):
        if build.variant == "ptx":
            raise WrongResult("scale.ptx writes outside its outputs: byte 4096 of 'y', which has 4096.")
        return right(build, launch, arguments, outputs)

    (cell,) = cells(plan_of(kernels, FakeBackend(TIMES, right, timed=past_the_end)))
    assert statuses(cell) == {"cuda": "verified", "cuda@fast": "verified", "ptx": "wrong"}
    assert cell.variants["ptx"].reason.startswith("scale.ptx writes outside its outputs")
    assert [timed_round.contrast for timed_round in cell.rounds] == [("cuda", "cuda@fast")]


def test_a_wrong_result_in_one_block_is_enough(kernels):
    class Sometimes:
        """Wrong in the third checked output of timed launches."""

        looked = 0

        def __call__(self, build, launch, arguments, outputs):
            self.looked += 1
            return (off_by(1, "ptx", "cuda", "cuda@fast") if self.looked == 3 else right)(
                build, launch, arguments, outputs
            )

    (cell,) = cells(plan_of(kernels, FakeBackend(TIMES, right, timed=Sometimes())))
    assert sorted(statuses(cell).values()) == ["verified", "verified", "wrong"]


def test_an_error_within_the_tolerance_counts_for_the_variant(tmp_path):
    (cell,) = cells(plan_of(kernels_folder(tmp_path, pair=LOOSE), FakeBackend(TIMES, right, timed=last_bit)))
    assert cell.variants["cuda"].check.max_error == 0.0
    assert cell.variants["ptx"].status == "verified"
    assert cell.variants["ptx"].check.max_error > 0
    assert [timed_round.evidence["max_error"] > 0 for timed_round in cell.rounds] == [False, True]


# ---- data and modules of a block


class Memo:
    """A kernel that, when timed, returns the results of its first data for all data."""

    def __init__(self):
        self.known = None

    def __call__(self, build, launch, arguments, outputs):
        if build.variant != "ptx":
            return right(build, launch, arguments, outputs)
        if self.known is None:
            self.known = right(build, launch, arguments, outputs)
        return self.known


@pytest.mark.parametrize(("renewed", "status"), [(True, "wrong"), (False, "verified")])
def test_a_kernel_that_keeps_its_results_is_found_by_new_data_in_every_block(kernels, renewed, status):
    (cell,) = cells(plan_of(kernels, FakeBackend(TIMES, right, timed=Memo()), renewed=renewed))
    assert statuses(cell) == {"cuda": "verified", "cuda@fast": "verified", "ptx": status}
    if renewed:
        assert ", n=1024, timed, block " in cell.variants["ptx"].reason


def test_the_outputs_of_timed_launches_are_checked_with_the_data_of_their_block(kernels):
    seen = []

    def noted(build, launch, arguments, outputs):
        seen.append((build.variant, arguments["x"][:4].tobytes()))
        return right(build, launch, arguments, outputs)

    plan = plan_of(kernels, FakeBackend(TIMES, right, timed=noted), renewed=True)
    (cell,) = cells(plan)
    assert set(statuses(cell).values()) == {"verified"}
    assert len({data for _, data in seen}) == 2  # the block drawn by chance and the last; all kernels have the same
    before = seen.copy()
    seen.clear()
    cells(plan)
    assert seen == before  # the seed decides which
    seen.clear()
    cells(plan_of(kernels, FakeBackend(TIMES, right, timed=noted), renewed=True, round_number=1))
    assert not set(before) & set(seen)


# ---- whole numbers, where a tolerance would allow too much


TIMED_ON_INTEGERS = WEAK.replace("exact_on_integers", "timed_on_integers=True, exact_on_integers")


def test_a_cell_on_whole_numbers_is_exact_and_its_check_sizes_are_also_on_floats(tmp_path):
    """`ptx` is off by 1 at the size of the cell: within the tolerance, and wrong."""
    seen = []

    def noted(build, launch, arguments, outputs):
        y, x = right(build, launch, arguments, outputs)["y"], arguments["x"]
        seen.append((x.size, bool((x == np.rint(x)).all())))
        return {"y": y + np.float32(build.variant == "ptx" and x.size == 1024)}

    kernels = kernels_folder(tmp_path, pair=TIMED_ON_INTEGERS)
    (cell,) = cells(plan_of(kernels, FakeBackend(TIMES, noted, timed=noted), renewed=True))
    assert statuses(cell) == {"cuda": "verified", "cuda@fast": "verified", "ptx": "wrong"}
    assert cell.variants["cuda"].check.tolerance == "5; exact at its own size"
    assert cell.variants["ptx"].reason.startswith("scale.ptx, n=1024 (whole numbers): y[")
    assert {whole for size, whole in seen if size == 1024} == {True}  # timed blocks too, each with its own data
    assert {whole for size, whole in seen if size == 129} == {True, False}
    assert {check.partition(" at ")[2] for check in cell.oracle} == {"every check size"}


# ---- a time


class Published(FakeBackend):
    """A GPU with published figures."""

    def device(self):
        return replace(DEVICE, name="Tesla T4", sms=40, l2_bytes=4096)


def test_a_time_that_no_such_gpu_can_reach_breaks_its_variant(kernels):
    """8 KiB; 4 may stay in L2, the other 4 take 12.8 ns at 320 GB/s."""
    times = {"cuda": [13], "cuda@fast": [12], "ptx": [11]}
    (cell,) = cells(plan_of(kernels, Published(times, right)))
    assert statuses(cell) == {"cuda": "verified", "cuda@fast": "verified", "ptx": "broken"}
    assert cell.variants["ptx"].reason.startswith("impossible_time: it took 11.00 ns, and T4 needs 12.80 ns")
    assert [timed_round.contrast for timed_round in cell.rounds] == [("cuda", "cuda@fast")]
    assert cell.limits.device == "T4"


def test_a_run_on_the_emulator_is_compared_with_the_limits_of_the_gpu_of_its_architecture(kernels):
    (cell,) = cells(plan_of(kernels))
    assert cell.limits.device == "H100 SXM"
    assert cell.limits.source.startswith("a model, published: ")
