"""The pair fp8_mma_sync."""

import ml_dtypes
import numpy as np
import pytest

from ptxbench import emulator
from tests.kernels.harness import PAIRS, build, count
from tests.quick import every


def fp8_mma_sync(a, b, m, n, k):
    return {"d": [[sum(a[row][s] * b[column][s] for s in range(k)) for column in range(n)] for row in range(m)]}


REFERENCE = (fp8_mma_sync, {"m": 3, "n": 4, "k": 32})
REGISTERS = 255  # 128 sums and the operands: two CTAs of 128 threads fit an SM
SAME_BITS = False  # on sm_90 an mma.sync of e4m3 starts at 0 and is added to the sum in f32; one of halves is not

EACH = [
    ("bar.sync 0;",                      ""),
    ("cp.async.wait_group 1;",           "cp.async.wait_group 2;"),             # not arrived yet
    ("[%a_from_2], 16, %size_2",         "[%a_from_2], 16"),                    # past the last row
    ("selp.u32 %size_7, 16, 0, %has_7",  "selp.u32 %size_7, 16, 0, %has_6"),
    ("add.u32 %slabs, %k, 63",           "add.u32 %slabs, %k, 15"),
    ("xor.b32 %b_read, %b_slab, %other", "add.u32 %b_read, %b_slab, %other"),
    ("%b_piece, %lane, 3",               "%b_piece, %lane, 4"),
    ("[%d_at + 160], {%d25z, %d25w}",    "[%d_at + 160], {%d25w, %d25z}"),
]  # fmt: skip
MUTANTS = [
    *((f"fp8_mma_sync.{name}", *edit) for name in ("ptx", "halves.ptx") for edit in EACH),
    ("fp8_mma_sync.ptx", "{%a2x, %a2y, %a2z, %a2w}, {%b5x, %b5y}", "{%a2x, %a2z, %a2y, %a2w}, {%b5x, %b5y}"),
    ("fp8_mma_sync.halves.ptx", "%a3w1}, {%b7x1, %b7y1}", "%a3w1}, {%b7x0, %b7y0}"),  # other columns than those of a
    ("fp8_mma_sync.halves.ptx", "cvt.rn.f16x2.e4m3x2 %b2y1", "cvt.rn.f16x2.e5m2x2 %b2y1"),
]

PAIR = PAIRS["fp8_mma_sync"].pair
SIDES = {source.variant: source for source in PAIRS["fp8_mma_sync"].sources}
WITH_QMMA = ("sm_89", "sm_120")
WITHOUT = ("sm_90", "sm_100")
WHOLE_TILE = {"m": 128, "n": 128, "k": 256}  # four slabs, for a ring of three stages


def launched(variant, arguments, text=None, arch="sm_90", **options):
    """(d as float64, the execution) of a variant, or of `text` in its place."""
    launch = PAIR.launch(**{name: int(arguments[name]) for name in "mnk"})
    execution = emulator.run(
        text or build(SIDES[variant], arch).ptx,
        grid=launch.grid_xyz, block=launch.block_xyz, dynamic_shared_bytes=launch.shared_bytes, arch=arch,
        args=[*arguments.values()], names=[*arguments], **options,
    )  # fmt: skip
    return arguments["d"].astype(np.float64), execution


def with_numbers(size, low, high):
    """(arguments, d in float64): numbers of a and b are uniform from low to high."""
    arguments = PAIR.make_arguments(size, seed=1)
    rng = np.random.default_rng(3)
    for name in "ab":
        arguments[name] = rng.uniform(low, high, arguments[name].shape).astype(ml_dtypes.float8_e4m3fn)
    return arguments, arguments["a"].astype(np.float64) @ arguments["b"].astype(np.float64).T


# ---- the machine code

OPCODES = ("QMMA.16832.F32.E4M3.E4M3", "HMMA.16816.F32", "F2FP.F16.E4M3.UNPACK_B", "FADD")


@pytest.mark.parametrize("arch", [*WITH_QMMA, *WITHOUT])
def test_one_mma_sync_of_e4m3_is_one_qmma_or_two_hmma_and_four_fadd(arch):
    """Of 32 columns: 4 x 8 products, two conversions of each of 4 x 4 + 8 x 2 registers. C has a slab of 64."""

    def counted(variant):
        return count(build(SIDES[variant], arch, "toolkit").report, *OPCODES)

    assert counted("ptx") == ([32, 0, 0, 0] if arch in WITH_QMMA else [0, 2 * 32, 2 * 32, 4 * 32])
    assert counted("ptx.halves") == [0, 2 * 32, 2 * 32, 0]
    assert counted("cuda") == [0, 2 * 2 * 32, 64, 0]


def test_the_sums_that_start_at_zero_take_all_registers_of_a_thread():
    registers = {variant: build(source, "sm_90", "toolkit").report.registers for variant, source in SIDES.items()}
    assert registers["ptx"] == 255 > registers["ptx.halves"] + 40


# ---- the sums

LOST = {512: 0.0054, 1024: 0.0137, 4096: 0.0663}
"""Of positive numbers, the share of d that sm_89 loses on average: the table of the page."""


@pytest.mark.parametrize("k", every(3, LOST))
def test_only_sm_89_loses_bits_of_a_sum(k):
    for arch in ("sm_89", "sm_90", "sm_100", "sm_120"):
        arguments, expected = with_numbers({"m": 16, "n": 64, "k": k}, 0, 1)
        lost = 1 - launched("ptx", arguments, arch=arch)[0] / expected
        if arch == "sm_89":
            assert np.mean(lost) == pytest.approx(LOST[k], abs=1e-4)
        else:
            assert np.max(abs(lost)) < 2e-6, arch
    arguments, expected = with_numbers({"m": 16, "n": 64, "k": k}, 0, 1)
    assert np.max(abs(1 - launched("ptx.halves", arguments, arch="sm_89")[0] / expected)) < 2e-6


@pytest.mark.parametrize("arch", every(4, ["sm_89", "sm_90", "sm_100", "sm_120"]))
def test_numbers_of_both_signs_are_inside_the_tolerance_on_every_target(arch):
    """With a factor of three, up to the longest of the bench sizes."""
    for k in (16, 256, max(size["k"] for size in PAIR.bench_sizes)):
        arguments, expected = with_numbers({"m": 64, "n": 64, "k": k}, -1, 1)
        error = abs(launched("ptx", arguments, arch=arch)[0] - expected)
        assert 3 * np.max(error) < PAIR.tolerance.bound(expected, {"k": k})


def test_whole_numbers_are_exact_on_every_target():
    """The check sizes are short enough: no sum passes 2^14, even if all products are 64."""
    assert all(64 * size["k"] <= 2**14 for size in PAIR.check_sizes)
    for arch in ("sm_89", "sm_90", "sm_120"):
        arguments = PAIR.make_arguments(WHOLE_TILE, seed=1)
        for name in "ab":
            arguments[name][:] = 8
        assert np.all(launched("ptx", arguments, arch=arch)[0] == 2**14)


# ---- what the emulator counts, and what the sanitizer finds


def test_ptx_reads_and_writes_shared_memory_without_a_bank_conflict():
    for variant in ("ptx", "ptx.halves"):
        counters = launched(variant, PAIR.make_arguments(WHOLE_TILE, seed=1))[1].counters
        assert counters["ptx_shared_load_conflicts"] == counters["ptx_shared_store_conflicts"] == 0


@pytest.mark.parametrize("missing", ["    cp.async.wait_group  1;\n", "    bar.sync             0;\n"])
def test_the_sanitizer_names_a_missing_wait_or_barrier(missing):
    text = SIDES["ptx"].path.read_text()
    assert missing in text
    findings = [
        launched("ptx", PAIR.make_arguments(WHOLE_TILE, seed=1), version, sanitize=True)[1].findings
        for version in (text, text.replace(missing, ""))
    ]
    assert findings[0] == ()
    assert findings[1]
