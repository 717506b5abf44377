"""The limits of a device, and times below the minimum that it needs."""

from dataclasses import replace

import pytest

from ptxbench.metrics import BY_NAME
from ptxbench.result import BuildReport, Cell, LaunchReport, Round, VariantResult
from ptxbench.roofline import F32, TENSOR, Bound, arithmetic, bound, disproved, limits, no_share, tag
from ptxbench.run_info import Device
from ptxbench.specifications import H100_SXM, T4
from tests.fakes import DEVICE

H100 = replace(DEVICE, name="NVIDIA H100 80GB HBM3", sms=132, l2_bytes=50 << 20)
EMULATOR = Device("emulator", "emulator-sm_75", "sm_75")

CEILINGS = [
    ("by name",              H100,                       {},                           (3.35e12, 67e12, 1980)),
    ("its bandwidth measured", H100,                     {"copy_bytes_per_s": 3e12},   (3e12, 67e12, 1980)),
    ("by architecture",      EMULATOR,                   {},                           (320e9, 8.1e12, 1590)),
    ("SMs not told",         replace(H100, sms=None),    {},                           (3.35e12, 67e12, 1980)),
    ("other SMs",            replace(H100, sms=66),      {},                           None),
    ("unknown",              DEVICE,                     {},                           None),
    ("unknown but measured", DEVICE,                     {"copy_bytes_per_s": 1e12},   (1e12, None, None)),
    ("no such architecture", replace(EMULATOR, sm="sm_70"), {},                          None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "device", "calibration", "ceilings"), CEILINGS, ids=[row[0] for row in CEILINGS])
def test_the_limits_of_a_device_are_measured_where_they_were_and_published_otherwise(
    what, device, calibration, ceilings
):
    device_limits = limits(device, calibration)
    assert (device_limits and (device_limits.bytes_per_s, device_limits.f32, device_limits.boost_mhz)) == ceilings
    if device_limits:
        assert ("measured" in device_limits.source) == bool(calibration)
        assert ("a model" in device_limits.source) == (device is EMULATOR)


def variant(*opcodes):
    build = BuildReport("s", "p", opcodes=dict.fromkeys(opcodes, 1))
    return VariantResult("ptx", "verified", build=build)


UNITS = [
    (["HMMA.16816.F32", "FADD"],       "tensor"),
    (["HGMMA.64x64x16.F32.BF16"],      "tensor"),
    (["HMMA.1688.F32.TF32"],           None),         # half the rate
    (["HMMA.16816.F32", "IMMA.8816"],  None),
    (["QGMMA.64x64x32.F32.E4M3"],      None),
    (["DMMA.884"],                     None),
    (["FFMA2"],                        "f32"),
    (["FFMA", "HFMA2.MMA"],            "f32"),
    (["FMNMX", "FSETP.GT"],            None),
    (["FFMA", "DFMA"],                 None),
    ([],                               None),
]  # fmt: skip


@pytest.mark.parametrize(("opcodes", "unit"), UNITS)
def test_the_machine_code_shows_the_unit_that_does_the_flops(opcodes, unit):
    assert arithmetic(variant(*opcodes)) == unit


def cell(cuda_ns=100_000, ptx_ns=100_000, *, read=1 << 27, written=1 << 27, flops=0, clock_mhz=(), **changes):
    base = Cell(
        "copy",
        {"n": 1},
        "sm_90",
        LaunchReport((1, 1, 1), (1, 1, 1)),
        {"flops": flops, "bytes": read + written, "written": written},
        {"cuda": variant("FFMA"), "ptx": variant("FFMA")},
        rounds=[Round(0, 0, ("cuda", "ptx"), "A", [[cuda_ns, ptx_ns, ptx_ns, cuda_ns]], clock_mhz=clock_mhz)],
    )
    return replace(base, **changes)


# 128 MiB read and as many written: 80.1 us at 3.35 TB/s, less 15.7 for 50 MiB that may stay in L2; 0.9 is 58.0
IMPOSSIBLE = [
    ("just possible",             cell(ptx_ns=58_100),                                   False),
    ("not possible",              cell(ptx_ns=57_900),                                   True),
    ("not quite cold",            cell(ptx_ns=57_900, labels=["L2-PARTIAL"]),            False),
    ("warm",                      cell(ptx_ns=57_900, cache="warm"),                     False),
    ("all of it may stay in L2",  cell(ptx_ns=36_500, written=50 << 20),                 False),
    ("what is read may not",      cell(ptx_ns=35_900, written=50 << 20),                 True),
    ("who wrote what is unknown", cell(ptx_ns=58_100, work={"flops": 0, "bytes": 1 << 28}), False),
    # 2 x 67 Tflop/s at 1980 MHz: 13.4 Gflop take 100 us, at half the clock 200
    ("flops of packed halves",    cell(ptx_ns=91_000, flops=134 * 10**8, clock_mhz=[1980]), False),
    ("more flops than that",      cell(ptx_ns=89_000, flops=134 * 10**8, clock_mhz=[1980]), True),
    ("at half the clock",         cell(ptx_ns=179_000, cuda_ns=200_000, flops=134 * 10**8, clock_mhz=[990]), True),
    ("at an unknown clock",       cell(ptx_ns=89_000, flops=134 * 10**8),                False),
]  # fmt: skip


@pytest.mark.parametrize(("what", "measured", "impossible"), IMPOSSIBLE, ids=[row[0] for row in IMPOSSIBLE])
def test_a_time_below_the_roofline_limit_breaks_its_variant(what, measured, impossible):
    corrected = disproved(measured, H100)
    assert corrected.variants["cuda"].status == "verified"
    if not impossible:
        assert corrected is measured
        return
    assert corrected.variants["ptx"].status == "broken"
    assert corrected.variants["ptx"].reason.startswith("impossible_time: it took ")
    assert corrected.rounds == []


def test_an_impossible_time_removes_only_its_own_samples():
    two = cell(ptx_ns=1_000)
    third = replace(two.rounds[0], contrast=("cuda", "ptx.v4"), ns=[[100_000] * 4])
    three = replace(two, variants={**two.variants, "ptx.v4": variant("FFMA")}, rounds=[*two.rounds, third])
    corrected = disproved(three, H100)
    assert [result.status for result in corrected.variants.values()] == ["verified", "broken", "verified"]
    assert corrected.rounds == [third]


@pytest.mark.parametrize(("status", "rounds"), [("wrong", cell(ptx_ns=1_000).rounds), ("verified", [])])
def test_only_the_time_of_a_verified_variant_is_judged(status, rounds):
    measured = cell(variants={"cuda": variant("FFMA"), "ptx": replace(variant("FFMA"), status=status)}, rounds=rounds)
    assert disproved(measured, H100) is measured


L2 = 50 << 20
SLOPES = [Round(0, 0, ("cuda", "ptx"), "A", [[100_000] * 4], timing="slope")]

# 256 MiB moved; 5 % of it is 12.8 MiB
SHARES = [
    ("little is written",        cell(written=12 << 20, read=244 << 20),               L2,   "memory", None),
    ("more",                     cell(written=13 << 20, read=243 << 20),               L2,   "memory", "may stay"),
    ("much, in a small cache",   cell(),                                               12 << 20, "memory", None),
    ("in a cache of unknown size", cell(),                                             None, "memory", "may stay"),
    ("an unknown part",          cell(work={"flops": 0, "bytes": 1 << 28}),            L2,   "memory", "may stay"),
    ("written back by the next", cell(rounds=SLOPES),                                  L2,   "memory", None),
    ("not in every round",       cell(rounds=[*SLOPES, *cell().rounds]),               L2,   "memory", "may stay"),
    ("too few copies for that",  cell(rounds=SLOPES, labels=["L2-PARTIAL"]),           L2,   "memory", "before"),
    ("warm",                     cell(cache="warm"),                                   L2,   None,     "before"),
    ("bound by flops",           cell(flops=10**10),                                   L2,   "f32",    None),
    ("bound by flops, warm",     cell(flops=10**10, cache="warm"),                     L2,   "f32",    None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "measured", "l2_bytes", "by", "reason"), SHARES, ids=[row[0] for row in SHARES])
def test_a_share_of_the_bandwidth_is_given_only_if_the_bytes_must_move(what, measured, l2_bytes, by, reason):
    measured = replace(measured, limits=limits(replace(H100, l2_bytes=l2_bytes), {}))
    ptx = measured.variants["ptx"]
    assert tag(measured, ptx) == by
    assert (BY_NAME["share"].of(measured, "ptx") is None) == bool(reason)
    if reason:
        assert reason in no_share(measured)


def test_a_launch_that_takes_as_long_as_an_empty_one_is_bound_by_nothing_else():
    measured = cell(labels=["LAUNCH-BOUND"])
    assert tag(measured, measured.variants["ptx"]) == "launch"


FMNMX = {"cuda": variant("FMNMX"), "ptx": variant("FMNMX")}

# 335 MB take 100 us at 3.35 TB/s; 13.4 Gflop take 200 us at 67 Tflop/s, which are those of 1980 MHz
BOUNDS = [
    ("memory",                        {},                                                  (100e-6, "memory")),
    ("flops that take less",          {"flops": 4 * 10**9},                                (100e-6, "memory")),
    ("flops that take more",          {"flops": 134 * 10**8},                              (200e-6, "f32")),
    ("at half the clock",             {"flops": 134 * 10**8, "clock_mhz": [990]},          (400e-6, "f32")),
    ("a clock that was not read",     {"flops": 134 * 10**8, "clock_mhz": [None, 990]},    (400e-6, "f32")),
    ("few flops of an unknown unit",  {"flops": 4 * 10**9, "variants": FMNMX},             (100e-6, "memory")),
    ("many of them",                  {"flops": 134 * 10**8, "variants": FMNMX},           None),
    ("warm",                          {"cache": "warm"},                                   None),
]  # fmt: skip


@pytest.mark.parametrize(("what", "changes", "expected"), BOUNDS, ids=[row[0] for row in BOUNDS])
def test_a_launch_takes_as_long_as_its_bytes_or_its_flops(what, changes, expected):
    measured = cell(read=335 * 10**6, written=0, limits=limits(H100, {}), **changes)
    lower = bound(measured, measured.variants["ptx"])
    assert lower == (expected and Bound(pytest.approx(expected[0]), expected[1]))
    without_rate = replace(measured, limits=replace(measured.limits, f32=None))
    if measured.work["flops"]:
        assert bound(without_rate, measured.variants["ptx"]) is None


@pytest.mark.parametrize("device", [DEVICE, replace(H100, sms=16), replace(H100, l2_bytes=None)])
def test_without_published_figures_no_time_is_impossible(device):
    assert disproved(cell(ptx_ns=40_100), device).variants["ptx"].status == "verified"


def test_the_reason_gives_both_times():
    assert disproved(cell(ptx_ns=10_000), H100).variants["ptx"].reason == (
        "impossible_time: it took 10.00 µs, and H100 SXM needs 64.48 µs for its memory work by the published figures. "
        "Either it leaves work out, or the flush of L2 does not work."
    )


def test_the_table_of_units_is_used_for_the_figures_of_each_gpu():
    assert limits(replace(DEVICE, name="Tesla T4", sms=40), {}).tensor == T4.tensor != H100_SXM.tensor


# counts of a variant that was not assembled, the unit that does its flops
COUNTED = [
    ({"ptx_wgmma_operations": 4, "ptx_mma_flops_f16": 8, "ptx_warp_instructions_f32": 1}, TENSOR),
    ({"ptx_wgmma_operations": 4, "ptx_mma_flops_e4m3": 8, "ptx_warp_instructions_f32": 1}, None),  # another rate
    ({"ptx_mma_operations": 4, "ptx_mma_flops_bf16": 8}, TENSOR),
    ({"ptx_warp_instructions_f32": 1}, F32),
    ({"ptx_warp_instructions_f32": 1, "ptx_warp_instructions_f64": 1}, None),
]  # fmt: skip


@pytest.mark.parametrize(("counts", "unit"), COUNTED)
def test_products_of_warpgroups_are_work_of_the_tensor_cores(counts, unit):
    assert arithmetic(VariantResult("ptx", "verified", counts=counts)) == unit
