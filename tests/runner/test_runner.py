"""The story of a run, on the emulator and on a scripted GPU, with real builds."""

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from ptxbench import environment
from ptxbench.backends import BACKENDS, open_backend
from ptxbench.backends.base import LaunchOutcome
from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import load
from ptxbench.errors import DeviceError, LaunchUnavailable, PairError, ToolMissing, UsageError
from ptxbench.measure import SamplingSettings
from ptxbench.pair import In, relative
from ptxbench.result import BITS_DIFFER
from ptxbench.run_info import Device
from ptxbench.runner import CellDone, DeviceLost, RunFrame, RunPlan, Step, memory, plan, plan_pairs, run, session
from ptxbench.runner.plan import parse_size
from ptxbench.toolchain import locate
from ptxbench.verify import Expected
from tests.fakes import DEVICE, FakeBackend
from tests.folders import CUDA, PAIR, PTX, changed, kernels_folder

QUICK = SamplingSettings(warm_up_seconds=0, stretch=1, looks=(8,), solo=0)
"""A scripted clock needs no warm-up."""


def plan_of(kernels, backend=None, variants=(), sizes=(), **options):
    pair_plans, _ = plan_pairs(kernels, variants=variants, sizes=sizes)
    arch = options.pop("arch", "sm_90")
    return RunPlan(pair_plans, backend or open_backend("emulator"), arch, kernels, **{"settings": QUICK} | options)


def cells(plan):
    return [event.cell for event in run(plan) if isinstance(event, CellDone)]


def right(build, launch, arguments, outputs):
    return {"y": arguments["x"] * arguments["a"]}


# ---- what a run takes


def test_by_default_each_pair_runs_at_its_first_bench_size(kernels):
    (pair_plan,), left_out = plan_pairs(kernels)
    assert pair_plan.sizes == ({"n": 1024},)
    assert [source.variant for source in pair_plan.sources] == ["cuda", "cuda@fast", "ptx"]
    assert left_out == ()
    assert plan_pairs(kernels, emulated=False)[0][0].sizes == ({"n": 1024}, {"n": 4096})


@pytest.mark.parametrize(
    ("variants", "chosen"),
    [
        ([],                 ["cuda", "ptx"]),
        (["cuda@fast"],      ["cuda@fast"]),
        (["cuda*"],          ["cuda", "cuda@fast"]),
        (["*"],              ["cuda", "cuda@fast", "ptx"]),
    ],
)  # fmt: skip
def test_variants_by_request_run_if_they_are_named(kernels, variants, chosen):
    path = kernels / "pairs" / "scale.py"
    path.write_text(path.read_text().replace("    exact", '    by_request=["cuda@fast"],\n    exact'))
    (pair_plan,), _ = plan_pairs(kernels, variants=variants)
    assert [source.variant for source in pair_plan.sources] == chosen


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        (["all"],               [{"n": 1024}, {"n": 4096}]),
        (["n=7"],               [{"n": 7}]),
        (["n=7", "n=0x10"],     [{"n": 7}, {"n": 16}]),
        (["n=7", "n=7"],        [{"n": 7}]),
        (["n=1_024", "all"],    [{"n": 1024}, {"n": 4096}]),
    ],
)  # fmt: skip
def test_sizes_are_used_in_the_given_order_without_repeats(kernels, sizes, chosen):
    (pair_plan,), _ = plan_pairs(kernels, sizes=sizes)
    assert list(pair_plan.sizes) == chosen


@pytest.mark.parametrize(
    ("most_bytes", "most_flops", "sizes", "chosen", "too_large"),
    [
        (8192,   4096,   ["all"],             [1024],       [4096]),
        (32768,  1024,   ["all"],             [1024],       [4096]),      # operations count too
        (32768,  4096,   ["all"],             [1024, 4096], []),
        (1,      1,      ["all"],             [1024],       [4096]),      # the first is the emulator's, whatever it is
        (1,      1,      ["all", "n=4096"],   [1024, 4096], []),          # asked for
        (1,      1,      ["n=4096"],          [4096],       []),
        (1,      1,      [],                  [1024],       []),
    ],
)  # fmt: skip
def test_of_all_sizes_the_emulator_runs_those_that_are_not_too_large(
    kernels, monkeypatch, most_bytes, most_flops, sizes, chosen, too_large
):
    monkeypatch.setattr(plan, "MOST_BYTES", most_bytes)
    monkeypatch.setattr(plan, "MOST_FLOPS", most_flops)
    (pair_plan,), _ = plan_pairs(kernels, sizes=sizes)
    assert [size["n"] for size in pair_plan.sizes] == chosen
    assert [size["n"] for size in pair_plan.too_large] == too_large
    (timed,), _ = plan_pairs(kernels, sizes=["all"], emulated=False)
    assert [size["n"] for size in timed.sizes] == [1024, 4096]


def test_a_size_that_does_not_fit_into_memory_is_refused_before_anything_runs(kernels, monkeypatch):
    # times n: 4 bytes of x, 4 of y, 8 of x as float64, 8 of a temporary, 8 of the expected y
    monkeypatch.setattr(environment, "memory_bytes", lambda: 32_000)
    assert plan_pairs(kernels, sizes=["n=1000"])[0]
    wanted = (
        r"^'scale' cannot have the size n=1001: The arrays at n=1001 and their reference take 32,032 B, and this "
        r"machine has 32,000 B of memory\.$"
    )
    with pytest.raises(UsageError, match=wanted):
        plan_pairs(kernels, sizes=["n=1001"])
    monkeypatch.setattr(environment, "memory_bytes", lambda: None)
    assert plan_pairs(kernels, sizes=["n=1001"])[0]


def test_memory_that_runs_out_in_a_launch_is_reported(kernels):
    def greedy(build, launch, arguments, outputs):
        raise MemoryError

    message = r"^'scale' at n=1 does not fit in memory\. Choose a smaller check size in kernels/pairs/scale\.py\.$"
    with pytest.raises(UsageError, match=message):
        cells(plan_of(kernels, FakeBackend({}, greedy)))


def test_dimensions_that_are_not_given_are_those_of_the_first_bench_size(kernels):
    text = PAIR.replace("lambda n:", "lambda n, k=0:").replace("dict(n=1 << k) for k", "dict(n=1 << k, k=5) for k")
    (kernels / "pairs" / "scale.py").write_text(text)
    (pair_plan,), _ = plan_pairs(kernels, sizes=["n=3"])
    assert pair_plan.sizes == ({"n": 3, "k": 5},)


@pytest.mark.parametrize("text", ["7", "n", "n=", "n=x", "n=1,", "n=1.5", ""])
def test_an_invalid_size_is_refused(text):
    with pytest.raises(UsageError, match=r"is not a size\. Write it as n=65536, or rows=3,columns=257, or all\."):
        parse_size(text)


def test_a_size_that_no_pair_has_is_refused_and_the_existing_ones_are_named(kernels):
    with pytest.raises(UsageError, match=r"^No selected pair has the size m=3: 'scale' has n\.$"):
        plan_pairs(kernels, sizes=["m=3"])
    with pytest.raises(UsageError, match=r"^'scale' cannot have the size n=0: launch at n=0 is Launch\(grid=0"):
        plan_pairs(kernels, sizes=["n=0"])


def test_variants_are_chosen_by_name_or_glob_and_pairs_without_them_left_out(tmp_path, kernels):
    kernels_folder(tmp_path, name="other", pair=changed(PAIR, 'flags={"fast": ["--use_fast_math"]},', ""))
    pair_plans, left_out = plan_pairs(kernels, variants=["*@fast"])
    assert [[source.variant for source in pair_plan.sources] for pair_plan in pair_plans] == [["cuda@fast"]]
    assert left_out == ("other",)
    with pytest.raises(UsageError, match=r"^Unknown variant 'ptxx'\. Did you mean 'ptx'\?$"):
        plan_pairs(kernels, variants=["ptxx"])


# ---- on the emulator


def test_a_pair_is_verified_at_every_check_size_and_counted_at_its_own(kernels):
    (cell,) = cells(plan_of(kernels))
    assert (cell.pair, cell.size, cell.arch) == ("scale", {"n": 1024}, "sm_90")
    assert (cell.launch.grid, cell.launch.block) == ((8, 1, 1), (128, 1, 1))
    assert cell.work == {"flops": 1024, "bytes": 8192, "written": 4096}
    assert list(cell.variants) == ["cuda", "cuda@fast", "ptx"]
    assert not cell.rounds
    for result in cell.variants.values():
        assert (result.status, result.reason) == ("verified", None)
        assert [size["n"] for size in result.check.sizes] == [1, 127, 128, 129, 1024]
        assert result.check.max_error == 0.0
        assert result.counts["ptx_global_load_sectors"] == 1024 * 4 / 32
        assert result.build.registers > 0
        assert result.build.occupancy == 1.0


def test_a_launch_that_the_emulator_lacks_is_skipped_with_the_reason(kernels):
    text = changed(PAIR, "block=BLOCK)", 'block=BLOCK, chain=Chain(2, "n", dependent=True))')
    (kernels / "pairs" / "scale.py").write_text(text.replace("import ", "import Chain, ", 1))
    (cell,) = cells(plan_of(kernels, open_backend("emulator", "sm_80"), arch="sm_80"))
    assert {result.status for result in cell.variants.values()} == {"skipped"}
    words = "its launches are dependent, which need sm_90 or later, not sm_80."
    assert cell.variants["ptx"].reason == f"scale.ptx: {words}"
    with pytest.raises(UsageError, match=f"'scale' cannot be checked: {words}"):
        CheckSuite(load(kernels, "scale"), "sm_80", 1)


@pytest.mark.parametrize("cluster", ["1", "8"])
def test_a_pair_is_launched_in_its_clusters(kernels, cluster):
    text = changed(PAIR, "block=BLOCK)", f"block=BLOCK, cluster={cluster})")
    (kernels / "pairs" / "scale.py").write_text(text.replace("grid=ceil_div(n, BLOCK)", "grid=8"))
    (cell,) = cells(plan_of(kernels))
    assert cell.launch.cluster == (int(cluster), 1, 1)
    assert {result.status for result in cell.variants.values()} == {"verified"}


class SmallDevice(FakeBackend):
    """Has room for a grid of 8 CTAs."""

    def require(self, build, launch):
        if launch.grid > 8:
            raise LaunchUnavailable("8 CTAs are the most.")


def test_a_launch_that_does_not_fit_the_device_is_skipped_before_any_data_is_made(kernels):
    text = changed(PAIR, '{"y": a * x}', '{"y": a * x if n <= 1024 else None}')  # no reference at the larger size
    (kernels / "pairs" / "scale.py").write_text(text)
    backend = SmallDevice({"cuda": [1000], "ptx": [1000]}, right)
    fits, too_large = cells(plan_of(kernels, backend, variants=["cuda", "ptx"], sizes=["all"]))
    assert {result.status for result in fits.variants.values()} == {"verified"}
    assert {(variant.status, variant.reason) for variant in too_large.variants.values()} == {
        ("skipped", "8 CTAs are the most.")
    }
    assert fits.rounds
    assert not too_large.rounds


@pytest.mark.parametrize(
    ("device", "host", "reason"),
    [
        ({"memory_bytes": 20_000, "l2_bytes": 100}, None,
         "The arrays at n=4096 take 32,968 B with the buffer that empties L2, and Scripted GPU has 20,000 B of memory. "
         "Choose a smaller --size."),
        ({}, 100_000,
         "The arrays at n=4096 and their reference take 131.1 kB, and this machine has 100.0 kB of memory. "
         "Choose a smaller --size."),
    ],
)  # fmt: skip
def test_a_size_that_does_not_fit_in_memory_is_skipped_before_any_data_is_made(
    kernels, monkeypatch, device, host, reason
):
    monkeypatch.setattr(environment, "memory_bytes", lambda: host)
    text = changed(PAIR, '{"y": a * x}', '{"y": a * x if n <= 1024 else None}')  # no reference at the larger size
    (kernels / "pairs" / "scale.py").write_text(text)
    backend = FakeBackend({"cuda": [1000], "ptx": [1000]}, right)
    backend.device = lambda: replace(DEVICE, **device)
    fits, too_large = cells(plan_of(kernels, backend, variants=["cuda", "ptx"], sizes=["all"]))
    assert {result.status for result in fits.variants.values()} == {"verified"}
    assert fits.rounds
    assert {(variant.status, variant.reason) for variant in too_large.variants.values()} == {("skipped", reason)}
    assert not too_large.rounds


@pytest.mark.parametrize(
    ("changes", "bytes_of_n"),
    [
        ({},                                       32),  # arrays 8, expected 8, x as float64 and a temporary 16
        ({"tolerance": relative(1, of=abs)},       40),  # and a bound of each element
        ({"by_rows": ["x"]},                       28),  # x in pieces: outputs of three launches 12
        ({"args": False},                          20),  # samples alone: arrays 8, outputs of three launches 12
    ],
)  # fmt: skip
def test_the_host_memory_of_a_size_follows_the_inputs_of_the_reference(kernels, changes, bytes_of_n):
    pair = load(kernels, "scale").pair
    if "args" in changes:
        changes = {"args": [replace(arg, widened=False) if isinstance(arg, In) else arg for arg in pair.args]}
    assert memory.host_bytes(replace(pair, **changes), {"n": 1000}) == 1000 * bytes_of_n


def test_two_runs_give_the_same_cells(kernels):
    assert cells(plan_of(kernels)) == cells(plan_of(kernels))


def test_progress_counts_up_to_its_total(kernels):
    steps = [event for event in run(plan_of(kernels)) if isinstance(event, Step)]
    assert [step.done for step in steps] == list(range(steps[0].total))
    assert {step.phase for step in steps} == {"build", "verify"}


def test_a_broken_variant_does_not_affect_others(kernels):
    (kernels / "ptx" / "scale.ptx").write_text(changed(PTX, "mul.rn.f32", "mul.rn.f23"))
    (kernels / "ptx" / "scale.good.ptx").write_text(PTX)
    (cell,) = cells(plan_of(kernels))
    assert {name: result.status for name, result in cell.variants.items()} == {
        "cuda": "verified", "cuda@fast": "verified", "ptx": "broken", "ptx.good": "verified"
    }  # fmt: skip
    assert cell.variants["ptx"].check is None


def test_a_wrong_variant_stops_at_the_first_size_that_shows_it(kernels):
    (kernels / "ptx" / "scale.ptx").write_text(
        changed(PTX, "mul.rn.f32          %value, %value, %a", "add.rn.f32 %value, %value, %a")
    )
    (cell,) = cells(plan_of(kernels))
    wrong = cell.variants["ptx"]
    assert wrong.status == "wrong"
    assert wrong.reason == wrong.check.worst
    assert wrong.reason.startswith("scale.ptx, n=1: y[0] is ")
    assert [size["n"] for size in wrong.check.sizes] == [1]
    assert wrong.counts is None


def test_a_variant_that_fails_only_at_the_size_of_its_cell_has_no_other_counts(kernels):
    edge = "    setp.eq.u32 %past, %i, 1000;\n    @%past st.global.f32 [%at], %a;\nDONE:"
    (kernels / "ptx" / "scale.ptx").write_text(changed(PTX, "DONE:", edge))
    (cell,) = cells(plan_of(kernels))
    wrong = cell.variants["ptx"]
    assert (wrong.status, wrong.counts) == ("wrong", None)
    assert wrong.reason.startswith("scale.ptx, n=1024: y[1000] is 2, expected ")


def test_a_fault_at_the_size_of_its_cell_alone_leaves_no_counts_either(kernels):
    edge = "    setp.eq.u32 %past, %i, 1000;\n    @%past st.global.f32 [%at+1000000], %a;\nDONE:"
    (kernels / "ptx" / "scale.ptx").write_text(changed(PTX, "DONE:", edge))
    small, large = cells(plan_of(kernels, sizes=["n=500", "n=1024"]))
    assert small.variants["ptx"].status == "verified"
    broken = large.variants["ptx"]
    assert (broken.status, broken.counts) == ("broken", None)


def test_each_cell_has_the_sizes_of_its_own_verification(kernels):
    both = cells(plan_of(kernels, sizes=["n=500", "n=1024"]))
    assert [[size["n"] for size in cell.variants["ptx"].check.sizes] for cell in both] == [
        [1, 127, 128, 129, 500],
        [1, 127, 128, 129, 1024],
    ]


def test_skipped_steps_of_a_broken_variant_count_as_done(tmp_path, kernels):
    kernels_folder(tmp_path, name="broken", ptx="nonsense\n", cuda="nonsense\n")
    first = next(event for event in run(plan_of(kernels)) if isinstance(event, Step) and event.pair == "scale")
    assert first.done == first.total // 2


def test_integer_data_find_errors_that_a_tolerance_hides(kernels):
    loose = changed(PAIR, "tolerance=EXACT", "tolerance=ulps(1e6)").replace("import EXACT", "import ulps")
    (kernels / "pairs" / "scale.py").write_text(loose)
    (kernels / "ptx" / "scale.ptx").write_text(
        changed(PTX, "mul.rn.f32          %value, %value, %a", "fma.rn.f32 %value, %value, %a, 0f33800000")
    )
    (cell,) = cells(plan_of(kernels))
    assert "(whole numbers): y[" in cell.variants["ptx"].reason


def test_ptx_for_another_target_is_skipped(kernels):
    (kernels / "ptx" / "scale.family.ptx").write_text(
        changed(PTX, ".version 6.3", ".version 8.6").replace("sm_75", "sm_100a")
    )
    (cell,) = cells(plan_of(kernels))
    assert cell.variants["ptx.family"].status == "skipped"
    assert cell.variants["ptx"].status == "verified"


REFUSED = changed(CUDA, "    if (i < n)", '    asm volatile("frobnicate;");\n    if (i < n)')


@pytest.mark.parametrize("text", ["this is no CUDA C\n", REFUSED])  # by NVRTC, and by ptxas
def test_cuda_c_that_cannot_compile_where_the_ptx_needs_another_target_is_skipped_too(kernels, text):
    (kernels / "cuda" / "scale.cu").write_text(text)
    (cell,) = cells(plan_of(kernels))
    assert cell.variants["cuda"].status == "broken"
    (kernels / "ptx" / "scale.ptx").write_text(changed(PTX, ".version 6.3", ".version 8.6").replace("sm_75", "sm_100a"))
    (cell,) = cells(plan_of(kernels))
    assert cell.variants["cuda"].status == "skipped"
    assert "scale.cu: not for this target, as scale.ptx:" in cell.variants["cuda"].reason
    assert "needs sm_100a" in cell.variants["cuda"].reason


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ('{"y": a * x}',   '{"y": a * x / len(x[1:])}',     r"scale\.py:16: at n=1: .*(divide by zero|ZeroDivision)"),
        ('{"y": a * x}',   '{"z": a * x}',                  r"scale\.py:16: at n=1, reference returns 'z', but not"),
    ],
)  # fmt: skip
def test_an_exception_in_a_function_of_the_pair_has_file_and_line(kernels, right, wrong, message):
    (kernels / "pairs" / "scale.py").write_text(changed(PAIR, right, wrong))
    with pytest.raises(PairError, match=message):
        cells(plan_of(kernels))


# ---- on a scripted GPU


def test_the_driver_does_not_replace_a_missing_ptxas(kernels, monkeypatch):
    find_program = locate.program
    monkeypatch.setattr(locate, "program", lambda name: None if name == "ptxas" else find_program(name))
    (cell,) = cells(plan_of(kernels, FakeBackend({"cuda": [2000], "ptx": [1000]}, right)))
    assert {result.status for result in cell.variants.values()} == {"skipped"}
    assert cell.variants["ptx"].reason.startswith("ptxas is not installed: pip install")


def test_verified_variants_are_timed_against_cuda(kernels):
    (cell,) = cells(plan_of(kernels, FakeBackend({"cuda": [2000], "cuda@fast": [1500], "ptx": [1000]}, right)))
    assert [timed_round.contrast for timed_round in cell.rounds] == [("cuda", "cuda@fast"), ("cuda", "ptx")]
    assert {tuple(sorted(block)) for block in cell.rounds[1].ns} == {(1000, 1000, 2000, 2000)}
    assert all(result.counts is None for result in cell.variants.values())


def test_a_variant_that_is_not_verified_is_not_timed(kernels):
    def wrong_ptx(build, launch, arguments, outputs):
        y = arguments["x"] * arguments["a"]
        return {"y": y + (build.variant == "ptx")}

    backend = FakeBackend({"cuda": [2000], "cuda@fast": [1500], "ptx": [1000]}, wrong_ptx)
    (cell,) = cells(plan_of(kernels, backend))
    assert [timed_round.contrast for timed_round in cell.rounds] == [("cuda", "cuda@fast")]
    assert cell.variants["ptx"].status == "wrong"


def test_without_a_verified_cuda_row_nothing_is_timed(kernels):
    backend = FakeBackend({"cuda": [2000], "cuda@fast": [1500], "ptx": [1000]}, right)
    (cell,) = cells(plan_of(kernels, backend, variants=["ptx"]))
    assert not cell.rounds


def test_exact_outputs_of_equal_value_and_other_bits_are_labelled(kernels):
    def signed_zeros(build, launch, arguments, outputs):
        y = arguments["x"] * arguments["a"]
        return {"y": np.where(y == 0, np.copysign(np.float32(0), 1 if build.variant == "ptx" else -1), y)}

    backend = FakeBackend({}, signed_zeros)
    (cell,) = cells(plan_of(kernels, backend, sizes=["n=128"]))
    assert cell.labels == [BITS_DIFFER + "ptx"]


class Losing(FakeBackend):
    """Loses its device in the first launch of one variant."""

    lost: str | None = None

    def run(self, build, launch, arguments, outputs) -> LaunchOutcome:
        if build.variant == "cuda@fast":
            self.lost = "scale.cu (cuda@fast): illegal address."
            raise DeviceError(self.lost)
        return super().run(build, launch, arguments, outputs)


def test_a_lost_device_ends_the_run_and_blames_one_variant(kernels):
    events = list(run(plan_of(kernels, Losing({}, right))))
    assert isinstance(events[-1], DeviceLost)
    (cell,) = [event.cell for event in events if isinstance(event, CellDone)]
    assert {name: result.status for name, result in cell.variants.items()} == {
        "cuda": "skipped", "cuda@fast": "broken", "ptx": "skipped"
    }  # fmt: skip
    assert cell.variants["ptx"].reason.startswith("The device was lost before this variant was tried")


# ---- backends and the frame


def test_a_backend_that_cannot_run_gives_the_reason(monkeypatch):
    reason = "No GPU: cudaErrorNoDevice. Run with --backend emulator to verify without timing."
    monkeypatch.setitem(BACKENDS, "gpu", lambda arch: FakeBackend({}, right, reason))
    with pytest.raises(ToolMissing, match="No GPU: cudaErrorNoDevice"):
        open_backend("gpu")
    assert open_backend("auto").name == "emulator"
    assert open_backend("auto", "sm_80").device().sm == "sm_80"


@pytest.mark.parametrize(
    ("device", "folder"),
    [
        (Device("emulator", "emulator"),               "emulator-sm_90"),
        (Device("gpu", "NVIDIA H100 80GB HBM3"),       "nvidia-h100-80gb-hbm3"),
        (Device("gpu", "../../Tesla (R) T4"),          "tesla-r-t4"),
    ],
)  # fmt: skip
def test_a_run_is_saved_in_the_folder_of_its_device(kernels, device, folder):
    assert RunFrame(plan_of(kernels), device).folder == folder


def test_two_simultaneous_runs_have_different_names(kernels):
    plan = plan_of(kernels)
    frames = [RunFrame(plan, Device("emulator")) for _ in range(20)]
    assert len({frame.id for frame in frames}) == 20
    assert frames[0].started.endswith("Z")


# ---- approximate instructions

EXPONENTIAL = (
    ("EXACT, In", "In"),
    ("ceil_div, f32, u32", "ceil_div, f32, u32, ulps"),
    ("tolerance=EXACT", "tolerance=ulps(0.5)"),
    ('y": a * x', 'y": np.exp2(x)'),
    ("exact_on_integers=True", "exact_on_integers=False"),
    ("\nfrom ptxbench", "\nimport numpy as np\n\nfrom ptxbench"),
)
EX2 = PTX.replace(
    "mul.rn.f32          %value, %value, %a;", "ex2.approx.ftz.f32  %value, %value;  // not sin.approx.f32"
)


def exponential(tmp_path, ptx):
    text = PAIR
    for before, after in EXPONENTIAL:
        text = text.replace(before, after)
    return kernels_folder(tmp_path, pair=text, ptx=ptx)


def off_by(steps):
    """2^x on a GPU that is off by some units in the last place."""

    def compute(build, launch, arguments, outputs):
        right = np.exp2(arguments["x"].astype(np.float64)).astype(np.float32)
        for _ in range(steps):
            right = np.nextafter(right, np.float32(np.inf))
        return {"y": right}

    return compute


@pytest.mark.parametrize(("steps", "status"), [(0, "verified"), (2, "verified"), (4, "wrong")])
def test_a_result_may_have_the_errors_of_the_approximate_instructions_of_its_ptx(tmp_path, steps, status):
    plan = plan_of(exponential(tmp_path, EX2), FakeBackend({}, off_by(steps)), variants=["ptx"])
    for result in (cell.variants["ptx"] for cell in cells(plan)):
        assert result.status == status
        assert result.check.tolerance == "0.5 ulp, plus the error of ex2.approx.ftz.f32"


@pytest.mark.parametrize(("result", "widened", "right"), [(1.0, 0, True), (1 + 2.0**-22, 1, True), (1.5, 1, False)])
def test_bounds_are_widened_only_for_results_that_need_it(result, widened, right):
    outputs = {"y": np.array([1.0])}
    expected = Expected(outputs, {"y": np.array([2.0**-24])}, "0.5 ulp")
    outcome = LaunchOutcome({"y": np.array([result], np.float32)}, approximate=["ex2.approx.ftz.f32"])
    with mock.patch.object(Expected, "widened", autospec=True, side_effect=Expected.widened) as widen:
        assert (session.verdict_on(outcome, expected, "here").worst is None) == right
    assert widen.call_count == widened


def test_a_kernel_without_approximate_instructions_may_have_no_such_errors(tmp_path):
    plan = plan_of(exponential(tmp_path, PTX), FakeBackend({}, off_by(2)), variants=["ptx"])
    assert [cell.variants["ptx"].status for cell in cells(plan)] == ["wrong"]


def test_on_the_emulator_the_instructions_that_ran_count(tmp_path):
    (cell,) = cells(plan_of(exponential(tmp_path, EX2), variants=["ptx"]))
    assert cell.variants["ptx"].status == "verified"
    assert cell.variants["ptx"].check.tolerance == "0.5 ulp, plus the error of ex2.approx.ftz.f32"
