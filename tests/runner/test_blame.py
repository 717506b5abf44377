"""Which variant is excluded from a run after a failure, and when the run ends instead; without processes."""

import threading
import time
from multiprocessing import get_context

import pytest

from ptxbench.backends.base import LaunchOutcome
from ptxbench.device_shape import DeviceShape
from ptxbench.errors import DeviceError, IncompletePair, MachineError, PairError
from ptxbench.measure import SamplingSettings, take_block
from ptxbench.result import BROKEN, SKIPPED, VERIFIED
from ptxbench.runner import DeviceLost, RunPlan, Step, plan_pairs, run
from ptxbench.runner.candidate import VariantRun
from ptxbench.runner.control import CONTROL, control_plan
from ptxbench.runner.events import CellDone
from ptxbench.runner.round_results import RoundResults
from ptxbench.runner.timed import ClockError, PendingSamples, TimedClock
from ptxbench.runner.worker import (
    Worker,
    WorkerCrashed,
    WorkerDied,
    WorkerSigns,
    WorkItem,
    pair_plan_of,
    rebuilt,
)
from tests.fakes import FakeBackend, HostileBackend, ScriptedClock
from tests.folders import PAIR, kernels_folder


@pytest.fixture
def plan(tmp_path):
    kernels = kernels_folder(tmp_path)
    pair_plans, _ = plan_pairs(kernels, emulated=False)
    return RunPlan(pair_plans, HostileBackend({}, {}), "sm_90", kernels)


def at(phase, variant, size, pair="scale"):
    return Step(0, 1, pair, variant, phase, size)


def results_at(plan, step):
    results = RoundResults.of(plan)
    results.last = step
    return results


SMALL, LARGE, CHECK = {"n": 1024}, {"n": 4096}, {"n": 129}


def excluded_variants(results):
    """Size of the cell, variant, status and reason of each excluded variant."""
    return [
        (dict(size)["n"], variant, loss.status, loss.reason)
        for (_, size), losses in results.excluded.items()
        for variant, loss in losses.items()
    ]


# ---- a worker that ends


def test_a_death_excludes_the_current_variant_of_the_worker_from_its_cell(plan):
    results = results_at(plan, at("verify", "ptx", SMALL))
    assert results.attribute_failure(WorkerDied("no progress for 60 s", phase="measure", variant="cuda@fast")) is None
    assert excluded_variants(results) == [(1024, "cuda@fast", BROKEN, "no progress for 60 s (measure, n=1024).")]


def test_a_death_at_a_check_size_excludes_the_variant_everywhere(plan):
    results = results_at(plan, at("verify", "ptx", CHECK))
    assert results.attribute_failure(WorkerDied("its process ended with SIGSEGV")) is None
    reason = "its process ended with SIGSEGV (verify, n=129)."
    assert excluded_variants(results) == [(1024, "ptx", BROKEN, reason), (4096, "ptx", BROKEN, reason)]


def test_a_worker_that_another_process_ended_breaks_no_kernel(plan):
    results = results_at(plan, at("verify", "ptx", SMALL))
    assert results.attribute_failure(WorkerDied("its process ended with SIGKILL", from_outside=True)) is None
    assert [status for _, _, status, _ in excluded_variants(results)] == [SKIPPED]


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (None, "no progress for 60 s (when a worker started)."),
        (
            at("verify", "cuda", {"n": 1 << 24}, CONTROL),
            "The A/A control, a kernel of ptxbench itself, failed: no progress for 60 s (verify, n=16777216).",
        ),
    ],
)
def test_a_death_after_which_nothing_can_be_excluded_ends_the_run(plan, step, reason):
    assert results_at(plan, step).attribute_failure(WorkerDied("no progress for 60 s")) == DeviceLost(reason)


def test_a_hang_of_a_kernel_of_our_own_ends_the_run(plan):
    results = results_at(plan, at("verify", "ptx", SMALL))
    lost = results.attribute_failure(WorkerDied("no progress for 60 s", phase="measure"))
    assert lost.reason.startswith("no progress for 60 s, in a kernel of ptxbench itself")
    assert (lost.suspects, excluded_variants(results)) == ((), [])


def test_a_second_death_after_the_exclusion_ends_the_run(plan):
    results = results_at(plan, at("verify", "ptx", SMALL))
    death = WorkerDied("its process ended with SIGSEGV")
    assert results.attribute_failure(death) is None
    assert results.attribute_failure(death) == DeviceLost("its process ended with SIGSEGV (verify, n=1024).", ("ptx",))


# ---- a device that is lost


def test_a_lost_device_excludes_the_only_variant_that_may_have_caused_it(plan):
    results = results_at(plan, at("measure", "ptx", LARGE))
    assert results.attribute_loss(DeviceLost("scale.cu: illegal address.", ("cuda@fast",))) is None
    assert excluded_variants(results) == [(4096, "cuda@fast", BROKEN, "scale.cu: illegal address.")]


def test_a_device_that_the_machine_lost_ends_the_run(plan):
    results = results_at(plan, at("measure", "ptx", LARGE))
    lost = DeviceLost("scale.ptx: cudaErrorECCUncorrectable: uncorrectable ECC error.")
    assert results.attribute_loss(lost) == lost
    assert excluded_variants(results) == []


def test_if_one_of_several_variants_lost_the_device_they_are_measured_one_sample_at_a_time(plan):
    results = results_at(plan, at("measure", "ptx", LARGE))
    lost = DeviceLost("scale.ptx: illegal address.", ("cuda", "ptx"))
    assert results.attribute_loss(lost) is None
    assert excluded_variants(results) == []
    pieces = results.items([key for key in results.keys if key[0][0] == "scale"])
    assert [(piece.sizes, piece.one_at_a_time) for piece in pieces] == [((SMALL,), False), ((LARGE,), True)]
    last = results.attribute_loss(lost)  # even so: then nothing can be said
    assert last.reason == "scale.ptx: illegal address. The kernels in flight were cuda and ptx."
    assert last.suspects == ("cuda", "ptx")


def test_a_loss_that_does_not_repeat_one_sample_at_a_time_ends_the_run(plan):
    results = results_at(plan, at("measure", "ptx", LARGE))
    results.attribute_loss(DeviceLost("scale.ptx: illegal address.", ("cuda", "ptx")))
    cells = {key[1]: results.empty_cell(key) for key in results.keys if key[0][0] == "scale"}
    assert results.cleared(cells[(("n", 1024),)]) is None
    assert results.cleared(cells[(("n", 4096),)]).reason == (
        "scale.ptx: illegal address. The kernels in flight were cuda and ptx; "
        "it did not happen again when measured one sample at a time."
    )


def test_a_lost_device_in_the_control_ends_the_run(plan):
    for suspects in (("cuda",), ("cuda", "ptx")):
        results = results_at(plan, at("measure", "ptx", {"n": 1 << 24}, CONTROL))
        assert results.attribute_loss(DeviceLost("control.ptx: illegal address.", suspects)) is not None


def test_a_variant_excluded_from_the_control_is_not_run_in_it(plan):
    """The worker would run it again, and die again."""
    pair_plan = pair_plan_of(plan, WorkItem(CONTROL, ("ptx",), control_plan().sizes), DeviceShape())
    assert [source.variant for source in pair_plan.sources] == ["ptx"]


# ---- kernels in flight


def timed(names, pending, fails_at=None):
    """A clock for each name; the call with that number, counted over all clocks, reports an error."""
    calls = 0

    class Failing(ScriptedClock):
        def enqueue(self):
            self.call()
            wait = super().enqueue()
            return lambda: (self.call(), wait())[1]

        def call(self):
            nonlocal calls
            calls += 1
            if calls == fails_at:
                raise DeviceError("illegal address")

    (source,) = control_plan().sources[:1]
    candidates = {name: VariantRun(type(source)(name, "ptx", source.path, "control")) for name in names}
    return [TimedClock(name, Failing([1], name), lambda variant: None, candidates[name], pending) for name in names]


# the call that reports, and who may have done it, of: enqueue a, enqueue b, enqueue a, wait a, wait b, wait a
@pytest.mark.parametrize(("call", "suspects"), [(1, "a"), (2, "ab"), (3, "ab"), (4, "ab"), (5, "ba"), (6, "a")])
def test_each_kernel_that_was_in_flight_may_have_caused_an_error(call, suspects):
    a, b = timed("ab", PendingSamples(), call)
    with pytest.raises(ClockError) as error:
        take_block([clock.enqueue for clock in (a, b, a)])
    assert error.value.suspects == tuple(suspects)


def test_one_sample_at_a_time_there_is_one_suspect():
    for call in range(1, 7):
        a, b = timed("ab", PendingSamples(one_at_a_time=True), call)
        with pytest.raises(ClockError) as error:
            take_block([clock.enqueue for clock in (a, b, a)])
        assert error.value.suspects == (error.value.candidate.source.variant,)


def test_a_completed_wait_also_completes_all_earlier_samples():
    pending = PendingSamples()
    a, b = timed("ab", pending)
    a.enqueue()  # nothing waits for it: an error ended its block
    b.enqueue()()
    assert pending.samples == []


# ---- what a worker sends, and when it is given up


@pytest.mark.parametrize(
    "error",
    [PairError("x.py:3: no"), IncompletePair("scale", []), MachineError("out of memory"), MemoryError("no room")],
)
def test_an_error_of_a_worker_arrives_as_its_class_and_text(error):
    """Not as an object, which may need more arguments than a text, or may not be picklable."""
    received = rebuilt(type(error).__name__, str(error))
    assert type(received) is type(error)
    assert str(received) == ("" if isinstance(error, MemoryError) else str(error))


def test_an_error_that_is_not_ours_arrives_with_its_traceback():
    received = rebuilt("", "Traceback ...\nTypeError: no")
    assert isinstance(received, WorkerCrashed)
    assert str(received).endswith("TypeError: no")


def heard(does, timeout):
    """The events of a worker; the thread `does` replaces the worker and has its signs and its pipe."""
    context = get_context("spawn")
    worker = Worker.__new__(Worker)
    worker.signs = WorkerSigns(context)
    worker.events_in, out = context.Pipe(duplex=False)
    thread = threading.Thread(target=does, args=(worker.signs, out))
    thread.start()
    try:
        return list(worker.events(timeout))
    finally:
        thread.join()


def test_long_work_of_the_host_is_not_treated_as_a_hang():
    def works(signs, out):
        with signs.working():
            time.sleep(1)
        out.send(("done", None))

    assert heard(works, timeout=0.3) == []


def test_a_silent_device_is_abandoned_and_the_phase_and_the_variant_are_named():
    def hangs(signs, out):
        signs.mark("ptx")
        time.sleep(1)

    with pytest.raises(WorkerDied, match=r"no progress for 0\.3 s") as death:
        heard(hangs, timeout=0.3)
    assert (death.value.phase, death.value.variant) == ("measure", "ptx")


# ---- the host's work, and what a failure leaves


def test_the_time_limit_does_not_count_while_the_host_makes_and_judges_data(tmp_path):
    """The pair itself says when it is asked, the backend when the device works."""
    noted = PAIR.replace('{"y": a * x}', '__import__("tests.runner.host", fromlist=["x"]).noted({"y": a * x})')
    assert noted != PAIR
    from tests.runner import host

    def right(build, launch, arguments, outputs):
        host.device.append(host.state.at_work)
        return {"y": arguments["x"] * arguments["a"]}

    pair_plans, _ = plan_pairs(kernels_folder(tmp_path, pair=noted), emulated=False)
    times = {"cuda": [100_000], "ptx": [100_000]}
    plan = RunPlan(pair_plans, FakeBackend(times, right), "sm_90", tmp_path, host_work=host.state.working, renewed=True)
    host.reference.clear()
    host.device.clear()
    cells = [event.cell for event in run(plan) if isinstance(event, CellDone)]
    assert len(cells) == 2
    assert set(host.reference) == {True}
    assert set(host.device) == {False}


def test_a_failed_launch_releases_its_memory(tmp_path):
    """Its buffers would stay on the device as long as the error, which the candidate keeps."""
    held = []

    class Launching(FakeBackend):
        def run(self, build, launch, arguments, outputs) -> LaunchOutcome:
            import weakref

            memory = type("Memory", (), {})()
            held.append(weakref.ref(memory))
            try:
                raise KeyError("the driver")
            except KeyError as error:
                raise DeviceError("illegal address") from error

    pair_plans, _ = plan_pairs(kernels_folder(tmp_path), emulated=False)
    events = run(RunPlan(pair_plans, Launching({}, dict), "sm_90", tmp_path))
    for event in events:
        if isinstance(event, CellDone):
            assert [memory() for memory in held] == [None] * len(held)
            break
    assert len(held) == 3


class Machine(FakeBackend):
    """The machine fails: in a launch of one variant, or in the empty kernel."""

    def __init__(self, where):
        super().__init__({"cuda": [100_000], "cuda@fast": [100_000], "ptx": [100_000]}, right)
        self.where = where
        self.released = 0

    def run(self, build, launch, arguments, outputs) -> LaunchOutcome:
        if build.variant == self.where:
            raise MachineError(f"scale.{build.language}: out of memory.")
        return super().run(build, launch, arguments, outputs)

    def floor(self, launch, arguments):
        if self.where == "floor":
            raise MachineError("the empty kernel: no JIT compiler.")

    def release(self) -> None:
        self.released += 1
        raise MachineError("the memory of the cell before: a failure that costs nothing.")


def right(build, launch, arguments, outputs):
    return {"y": arguments["x"] * arguments["a"]}


@pytest.mark.parametrize(
    ("where", "skipped"), [("ptx", {"ptx"}), ("cuda", {"cuda"}), ("floor", {"cuda", "cuda@fast", "ptx"})]
)
def test_an_error_of_the_machine_skips_a_variant_with_the_reason(tmp_path, where, skipped):
    pair_plans, _ = plan_pairs(kernels_folder(tmp_path), emulated=False)
    backend = Machine(where)
    quick = SamplingSettings(warm_up_seconds=0, stretch=1, looks=(8,), solo=0)
    cells = [
        event.cell
        for event in run(RunPlan(pair_plans, backend, "sm_90", tmp_path, settings=quick))
        if isinstance(event, CellDone)
    ]
    assert len(cells) == 2
    assert backend.released == 3  # before the pair's check sizes, and before each cell
    for cell in cells:
        assert {name for name, result in cell.variants.items() if result.status == SKIPPED} == skipped
        assert {result.status for name, result in cell.variants.items() if name not in skipped} <= {VERIFIED}
        assert all("scale." in cell.variants[name].reason or where == "floor" for name in skipped)
        assert len(cell.rounds) == (1 if where == "ptx" else 0)
