"""Rounds in real processes, with kernels that crash them, hang and lose the device: one cell each, and not the run."""

from dataclasses import replace
from statistics import median

import pytest

from ptxbench import stats
from ptxbench.measure import SamplingSettings
from ptxbench.result import BROKEN, SKIPPED, VERIFIED
from ptxbench.runner import CellDone, DeviceLost, ResultsSoFar, RunPlan, carry_out, noise, plan_pairs
from ptxbench.runner.control import CONTROL, is_biased
from ptxbench.runner.round_results import RoundResults
from ptxbench.runner.worker import WorkerCrashed
from tests.fakes import HostileBackend
from tests.folders import CUDA, PAIR, PTX, kernels_folder

pytestmark = pytest.mark.usefixtures("small_control")

QUICK = SamplingSettings(warm_up_seconds=0, stretch=1, looks=(8,), solo=0)
NS = {"cuda": 100_000, "cuda@fast": 100_000, "ptx": 90_000, "ptx.harm": 90_000}


def plan_of(kernels, deeds, **options):
    pair_plans, _ = plan_pairs(kernels, emulated=False)
    backend = HostileBackend(deeds, NS)
    return RunPlan(pair_plans, backend, "sm_90", kernels, **{"settings": QUICK, "rounds": 2} | options)


def carried_out(plan):
    """The finished cells by pair and size, the control's apart, and how the run ended."""
    events = list(carry_out(plan))
    cells = [event.cell for event in events if isinstance(event, CellDone)]
    lost = [event.reason for event in events if isinstance(event, DeviceLost)]
    return [cell for cell in cells if not cell.control], [cell for cell in cells if cell.control], lost


def test_every_round_is_a_process_and_its_samples_are_kept_apart(tmp_path):
    kernels = kernels_folder(tmp_path)
    cells, [control], lost = carried_out(plan_of(kernels, {}, rounds=3))
    assert lost == []
    assert [cell.size for cell in cells] == [{"n": 1024}, {"n": 4096}]  # in the order of the pair, not of the rounds
    for cell in cells:
        assert {result.status for result in cell.variants.values()} == {VERIFIED}
        ptx = [one for one in cell.rounds if one.contrast == ("cuda", "ptx")]
        assert [one.round for one in ptx] == [0, 1, 2]
        assert [one.process for one in ptx] == [0, 1, 2]
        assert stats.ratio(cell.rounds, "ptx").value == pytest.approx(0.9)
    assert len({one.start for cell in cells for one in cell.rounds}) == 2  # a letter a round, from the seed
    assert len(control.rounds) == 3


def test_a_variant_that_crashes_when_it_is_verified_is_broken_and_the_rest_is_measured(tmp_path):
    kernels = kernels_folder(tmp_path)
    cells, [control], lost = carried_out(plan_of(kernels, {"cuda@fast": "verify crash"}))
    assert lost == []
    for cell in cells:
        broken = cell.variants["cuda@fast"]
        assert broken.status == BROKEN
        assert broken.reason == "its process ended with SIGSEGV (verify, n=1)."
        assert cell.variants["ptx"].status == VERIFIED
        assert len([timed_round for timed_round in cell.rounds if timed_round.contrast == ("cuda", "ptx")]) == 2
        assert not [timed_round for timed_round in cell.rounds if "cuda@fast" in timed_round.contrast]
    assert len(control.rounds) == 2


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("crash", "its process ended with SIGSEGV"),
        pytest.param("exit", "its process ended with exit status 3", marks=pytest.mark.long),
        pytest.param("hang", "no progress for 4 s", marks=pytest.mark.long),
    ],
)
def test_a_worker_that_dies_while_measuring_is_blamed_on_the_sampled_kernel(tmp_path, deed, reason):
    """Not on the last one, which the step names; each cell detects it separately, and is measured without it."""
    kernels = kernels_folder(tmp_path)
    cells, _, lost = carried_out(plan_of(kernels, {"cuda@fast": f"measure {deed}"}, timeout=4, rounds=1))
    assert lost == []
    for cell in cells:
        assert cell.variants["cuda@fast"].status == BROKEN
        assert cell.variants["cuda@fast"].reason == f"{reason} (measure, n={cell.size['n']})."
        assert stats.ratio(cell.rounds, "ptx").value == pytest.approx(0.9)


def test_an_illegal_access_is_blamed_on_the_kernel_and_its_worker_continues(tmp_path):
    """Here the device survives; otherwise the backend reports it by `lost`."""
    cells, _, lost = carried_out(plan_of(kernels_folder(tmp_path), {"ptx": "measure lose"}, rounds=1))
    assert lost == []
    for cell in cells:
        assert cell.variants["ptx"].status == BROKEN
        assert "CUDA_ERROR_ILLEGAL_ADDRESS" in cell.variants["ptx"].reason
        assert [timed_round.contrast for timed_round in cell.rounds] == [("cuda", "cuda@fast")]


def test_a_device_that_no_worker_can_open_ends_the_run(tmp_path):
    cells, controls, lost = carried_out(plan_of(kernels_folder(tmp_path), {"device": "gone"}))
    assert (cells, controls) == ([], [])
    assert lost == ["cudaErrorDevicesUnavailable: all CUDA-capable devices are busy"]


def test_a_worker_that_dies_in_the_control_ends_the_run(tmp_path):
    """It was restarted for ever: the control is not a variant that can be excluded."""
    _, _, lost = carried_out(plan_of(kernels_folder(tmp_path), {"control": "measure exit"}))
    reason = "its process ended with exit status 3 (measure, n=4096)."
    assert lost == [f"The A/A control, a kernel of ptxbench itself, failed: {reason}"]


def test_a_worker_that_the_system_ends_breaks_no_kernel(tmp_path):
    cells, _, lost = carried_out(plan_of(kernels_folder(tmp_path), {"cuda@fast": "verify kill"}, rounds=1))
    assert lost == []
    for cell in cells:
        assert cell.variants["cuda@fast"].status == SKIPPED
        assert cell.variants["cuda@fast"].reason == (
            "its process ended with SIGKILL, sent by another process, perhaps because the host ran out of memory "
            "(verify, n=1)."
        )
        assert [timed_round.contrast for timed_round in cell.rounds] == [("cuda", "ptx")]


@pytest.mark.long
def test_of_kernels_in_flight_together_the_faulty_one_is_found_one_sample_at_a_time(tmp_path):
    plan = plan_of(kernels_folder(tmp_path), {"ptx": "measure fault"}, rounds=1)
    pair_plans = tuple(replace(pair_plan, sizes=pair_plan.sizes[:1]) for pair_plan in plan.pair_plans)
    [cell], _, lost = carried_out(replace(plan, pair_plans=pair_plans))
    assert lost == []
    assert {name: result.status for name, result in cell.variants.items()} == {
        "cuda": VERIFIED, "cuda@fast": VERIFIED, "ptx": BROKEN
    }  # fmt: skip
    assert cell.variants["ptx"].reason == "ptx: CUDA_ERROR_ILLEGAL_ADDRESS."
    assert [timed_round.contrast for timed_round in cell.rounds] == [("cuda", "cuda@fast")]


def test_a_bug_in_a_worker_is_shown_and_no_kernel_blamed(tmp_path):
    with pytest.raises(WorkerCrashed, match=r"(?s)Traceback.*fakes\.py.*TypeError: nobody expects this"):
        carried_out(plan_of(kernels_folder(tmp_path), {"ptx": "verify bug"}))


def test_a_pair_that_crashes_does_not_affect_others(tmp_path):
    kernels = kernels_folder(tmp_path)
    other = {text: text.replace("scale", "other") for text in (PAIR, CUDA, PTX)}
    kernels_folder(tmp_path, pair=other[PAIR], cuda=other[CUDA], ptx=other[PTX], name="other")
    (kernels / "ptx" / "other.harm.ptx").write_text(other[PTX])
    pair_plans, _ = plan_pairs(kernels, emulated=False)
    plan = RunPlan(
        pair_plans, HostileBackend({"ptx.harm": "verify crash"}, NS), "sm_90", kernels, settings=QUICK, rounds=2
    )
    cells, _, _ = carried_out(plan)
    by_pair = {cell.pair: cell for cell in cells}
    assert by_pair["other"].variants["ptx.harm"].status == BROKEN
    assert {result.status for result in by_pair["scale"].variants.values()} == {VERIFIED}
    assert all(
        len([timed_round for timed_round in cell.rounds if timed_round.contrast == ("cuda", "ptx")]) == 2
        for cell in cells
    )


def test_results_are_sent_after_each_cell_and_after_each_round(tmp_path):
    results = [event for event in carry_out(plan_of(kernels_folder(tmp_path), {})) if isinstance(event, ResultsSoFar)]
    after_rounds = [[len(cell.rounds) for cell in event.cells] for event in results if event.whole]
    assert after_rounds == [[1, 2, 2], [2, 4, 4]]
    assert [sum(len(cell.rounds) for cell in event.cells) for event in results if not event.whole][2::3] == [5, 10]
    assert len(results) == 8


def test_the_order_of_cells_differs_by_round_and_follows_from_the_seed(tmp_path):
    results = RoundResults.of(plan_of(kernels_folder(tmp_path), {}))
    orders = [results.shuffled(number) for number in range(20)]
    assert orders == [results.shuffled(number) for number in range(20)]
    assert len({tuple(order) for order in orders}) > 2
    assert all(sorted(order) == sorted(results.keys) for order in orders)


def test_one_kernel_that_seems_to_differ_from_itself_makes_the_run_biased(tmp_path):
    _, [control], _ = carried_out(plan_of(kernels_folder(tmp_path), {}, rounds=1))
    assert control.pair == CONTROL
    assert not is_biased(noise([control]), 0.0025)

    def skewed(by):
        def block(one, ns):
            return [t + by * (letter == "B") for letter, t in zip(stats.letters(one.start), ns, strict=True)]

        rounds = [replace(one, ns=[block(one, ns) for ns in one.ns]) for one in control.rounds]
        return noise([replace(control, rounds=rounds)])

    assert median(control.rounds[0].ns[0]) == 100_000
    assert is_biased(skewed(300), 0.0025)
    assert not is_biased(skewed(200), 0.0025)


ENDLESS = """
template <int A, int B, int C> struct Paths
{
    static constexpr unsigned value = Paths<A - 1, B, C>::value + Paths<A, B - 1, C>::value + Paths<A, B, C - 1>::value;
};
template <int B, int C> struct Paths<0, B, C> { static constexpr unsigned value = 1; };
template <int A, int C> struct Paths<A, 0, C> { static constexpr unsigned value = A > 0; };
template <int A, int B> struct Paths<A, B, 0> { static constexpr unsigned value = A > 0 && B > 0; };
template <int C> struct Paths<0, 0, C> { static constexpr unsigned value = 1; };
template <int B> struct Paths<0, B, 0> { static constexpr unsigned value = 1; };
template <int A> struct Paths<A, 0, 0> { static constexpr unsigned value = A > 0; };
template <> struct Paths<0, 0, 0> { static constexpr unsigned value = 1; };
extern "C" __global__ void scale(const float* x, float* y, float a, unsigned n)
{
    y[threadIdx.x] = Paths<65, 65, 65>::value;    // a quarter of a million types: NVRTC needs minutes
}
"""


@pytest.mark.long
def test_a_compilation_that_never_ends_excludes_its_variant(tmp_path):
    kernels = kernels_folder(tmp_path)
    (kernels / "cuda" / "scale.endless.cu").write_text(ENDLESS)
    cells, _, lost = carried_out(plan_of(kernels, {}, rounds=1, timeout=4))
    assert lost == []
    for cell in cells:
        for name in ("cuda.endless", "cuda.endless@fast"):
            assert cell.variants[name].status == BROKEN
            assert cell.variants[name].reason == "no progress for 4 s (build)."
        assert [timed_round.contrast for timed_round in cell.rounds] == [("cuda", "cuda@fast"), ("cuda", "ptx")]
