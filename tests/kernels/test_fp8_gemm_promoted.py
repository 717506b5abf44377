"""The pair fp8_gemm_promoted."""

import functools
import math
import re

import ml_dtypes
import numpy as np
import pytest

from ptxbench import emulator, toolchain, verify
from ptxbench.pair import Sample
from ptxbench.toolchain import locate, ptxas
from tests.kernels.harness import PAIRS, build, code, count
from tests.quick import every


def fp8_gemm_promoted(a, b, a_scale, b_scale, m, n, k):
    def element(row, column):
        slabs = (
            a_scale[slab][row]
            * b_scale[column // 128][slab]
            * math.fsum(a[row][s] * b[column][s] for s in range(128 * slab, 128 * slab + 128))
            for slab in range(k // 128)
        )
        return math.fsum(slabs)

    return {"d": [[element(row, column) for column in range(n)] for row in range(m)]}


REFERENCE = (fp8_gemm_promoted, {"m": 4, "n": 136, "k": 256})
REGISTERS = 168  # 384 threads of 168 fill an SM. setmaxnreg deals them out again: 40 to copy, 232 to multiply
SAME_BITS = False  # the C adds products of halves in f32, the PTX cuts sums to 13 bits

EACH = [
    ("%a_first, %a_first, 0x4000004000010000", "%a_first, %a_first, 0x8000004000010000"),  # another swizzle
    ("xor.b32 %d_at_1, %d_at_0, 32", "add.u32 %d_at_1, %d_at_0, 32"),
    ("fma.rn.f32 %d42, %scale_8, %c42, %d42", "fma.rn.f32 %d42, %scale, %c42, %d42"),
]
MUTANTS = [
    *((f"fp8_gemm_promoted.{name}", *edit) for name in ("sm_90a.ptx", "overlap.sm_90a.ptx") for edit in EACH),
    ("fp8_gemm_promoted.sm_90a.ptx", "mul.wide.u32 %wide, %block_x, %slabs", "mul.wide.u32 %wide, %block_y, %slabs"),
    ("fp8_gemm_promoted.sm_90a.ptx", "%a_part, %b_part, 0, 1, 1", "%a_part, %b_part, 1, 1, 1"),  # sums go on
    ("fp8_gemm_promoted.sm_90a.ptx", "mov.u32 %parity, 0", "mov.u32 %parity, 1"),
    (
        "fp8_gemm_promoted.sm_90a.ptx",
        "fma.rn.f32 %d59, %scale_8, %c59, %d59;",
        "fma.rn.f32 %d59, %scale_8, %c59, %d59; and.b32 %d59, %d59, 0xffffe000;",
    ),  # as tf32: whole numbers show it
    ("fp8_gemm_promoted.overlap.sm_90a.ptx", "and.b32 %slabs, %slabs, -2;", ""),  # waits for a slab that nobody copies
    ("fp8_gemm_promoted.overlap.sm_90a.ptx", "[%scales_at+512]", "[%scales_at]"),
]

PAIR = PAIRS["fp8_gemm_promoted"].pair
SIDES = {source.variant: source for source in PAIRS["fp8_gemm_promoted"].sources}
HAND_WRITTEN = ("ptx", "ptx.overlap", "ptx.chain")


@functools.cache
def report(variant):
    return build(SIDES[variant], "sm_90a", "toolkit").report


def launched(variant, arguments, text=None, **options):
    """(d as float64, the execution) of a variant, or of `text` in its place."""
    size = {name: int(arguments[name]) for name in "mnk"}
    launch = PAIR.launch_of(variant)(**size)
    execution = emulator.run(
        text or build(SIDES[variant], "sm_90a").ptx,
        grid=launch.grid_xyz, block=launch.block_xyz, dynamic_shared_bytes=launch.shared_bytes, arch="sm_90a",
        args=[*arguments.values()], names=[*arguments], **options,
    )  # fmt: skip
    return arguments["d"].astype(np.float64), execution


def with_numbers(size, draw, *, scaled=False):
    """Arguments whose a and b are `draw(shape)`; scales are powers of two, or all 1."""
    arguments = PAIR.make_arguments(size, seed=1)
    exponents = np.random.default_rng(2)
    for name in ("a", "b"):
        arguments[name] = draw(arguments[name].shape).astype(ml_dtypes.float8_e4m3fn)
    for name in ("a_scale", "b_scale"):
        shape = arguments[name].shape
        arguments[name] = np.exp2(exponents.integers(-2, 3, shape) * scaled).astype(np.float32)
    return arguments


def exact(arguments):
    """d in float64."""
    names = ("a", "b", "a_scale", "b_scale", "m", "n", "k")
    wide = {name: np.asarray(arguments[name]).astype(np.float64) for name in names}
    return PAIR.reference(**wide)["d"]


# ---- the machine code


def test_the_tensor_cores_of_c_multiply_halves_and_those_of_ptx_e4m3():
    """For a slab of 128: 8 steps of 16 with 2 x 4 tiles of two HMMA, and 4 steps of 32 with one QGMMA."""
    assert count(report("cuda"), "HMMA.16816", "QGMMA") == [8 * 8 * 2, 0]
    for variant in HAND_WRITTEN:
        bodies = 2 if variant == "ptx.overlap" else 1
        assert count(report(variant), "HMMA", "LDSM", "QGMMA.64x128x32.F32.E4M3.E4M3") == [0, 0, 4 * bodies]
        assert count(report(variant), "FFMA") == [0 if variant == "ptx.chain" else 64 * bodies]
        assert count(report(variant), "UTMALDG.2D", "UTMASTG.2D", "USETMAXREG", "STSM") == [3, 2, 2, 8]


def test_only_overlap_promotes_while_the_tensor_cores_multiply():
    """Its first 64 FFMA are between two waits: one for all but the newest products, and one for these."""

    def waits_and_promotions(variant):
        sequence = " ".join(
            "wait " + text[-1] if "DEPBAR" in text else "FFMA"
            for text in code(build(SIDES[variant], "sm_90a"))
            if re.match("WARPGROUP.DEPBAR|FFMA", text)
        )
        return re.sub("(FFMA ?){64}", "promote ", sequence).split(" ", 5)

    assert waits_and_promotions("ptx") == ["wait", "0", "promote", ""]
    assert waits_and_promotions("ptx.overlap") == ["wait", "1", "promote", "wait", "0", "promote "]


def test_ptxas_adds_waits_if_products_are_on_the_way_into_the_next_turn_of_the_loop():
    """The sections of overlap in another order: the products of the next even slab begin before those of e are read."""
    path = SIDES["ptx.overlap"].path
    text = path.read_text()
    before, even, odd, promoted, last, after = re.split(
        "(?m)^PAIR:\n|(?=^    // ---- (?:those of|all but|then e|the next two))", text
    )
    again = even.replace("FILLED", "FILLED_AGAIN")
    last = last.replace("wait_group.sync.aligned  0", "wait_group.sync.aligned  1")
    rotated = "".join([before, even, "PAIR:\n", odd, promoted, again, last, after])
    for ptx_text, warned in ((text, False), (rotated, True)):
        _, messages = toolchain.assembled(locate.program("ptxas"), ptx_text, "sm_90a")
        assert (
            bool(re.search("wgmma.* (serialized|injected)", ptxas.notable(messages, ptx_text, path, "ptx"))) == warned
        )


# ---- what is right, and what is wrong


def whole(shape):
    return np.random.default_rng(shape[0]).integers(-8, 9, shape)


def positive(shape):
    return np.random.default_rng(shape[0]).uniform(0, 1, shape)


@pytest.mark.parametrize("variant", ["cuda", "ptx", "ptx.overlap"])
def test_sums_of_whole_numbers_are_exact_up_to_the_rounding_to_bf16(variant):
    arguments = with_numbers({"m": 72, "n": 136, "k": 384}, whole, scaled=True)
    d, _ = launched(variant, arguments)
    assert np.array_equal(d, exact(arguments).astype(ml_dtypes.bfloat16))


EDITS = [
    ("", ""),
    ("[%map_b, {%column, %first_column}]", "[%map_b, {%column, %first_row}]"),
    ("setp.ne.u32   %adds, %slab, 0", "setp.ne.u32   %adds, %slab, 1"),
    ("mul.rn.f32  %d42, %scale_8,", "mul.rn.f32  %d42, %scale,"),
]


@pytest.mark.parametrize(("right", "wrong"), EDITS)
def test_chain_is_right_on_whole_numbers_and_wrong_after_an_edit(right, wrong):
    """So it is wrong for one reason: all of its sums have few bits."""
    text = SIDES["ptx.chain"].path.read_text()
    assert right in text
    arguments = with_numbers({"m": 72, "n": 136, "k": 384}, whole)
    arguments["a_scale"][:] = np.exp2(np.arange(72) % 3)  # the same in all slabs
    d, _ = launched("ptx.chain", arguments, text.replace(right, wrong))
    assert np.array_equal(d, exact(arguments).astype(ml_dtypes.bfloat16)) == (right == wrong)


LOST = {512: 0.005, 1024: 0.013, 2048: 0.031, 4096: 0.066, 7168: 0.123}
"""Of positive numbers, the share of d that one chain of sums loses on average: the table of the page."""


@pytest.mark.parametrize("k", every(3, LOST))
def test_one_chain_loses_more_with_each_slab_and_promoted_sums_do_not(k):
    arguments = with_numbers({"m": 64, "n": 128, "k": k}, positive)
    expected = exact(arguments)
    lost = {variant: np.mean(1 - launched(variant, arguments)[0] / expected) for variant in ("ptx", "ptx.chain")}
    assert lost["ptx.chain"] == pytest.approx(LOST[k], abs=5e-4)
    assert lost["ptx"] == pytest.approx(5e-4, abs=5e-5)


@pytest.mark.long
def test_the_losses_of_one_chain_cancel_where_numbers_have_both_signs():
    """All are inside the tolerance of the pair, which positive numbers of a quarter of this k leave."""
    arguments = with_numbers({"m": 64, "n": 128, "k": 4096}, lambda shape: 2 * positive(shape) - 1)
    expected = exact(arguments)
    bound = PAIR.tolerance.bound(expected, verify.widen(PAIR, arguments))
    assert np.all(abs(launched("ptx.chain", arguments)[0] - expected) <= bound)


# ---- what the emulator counts, and what the sanitizer finds

RAGGED = {"m": 72, "n": 8, "k": 640}  # one CTA, five slabs for a ring of four stages


def sanitized(missing=""):
    text = SIDES["ptx"].path.read_text()
    assert missing in text
    return launched("ptx", PAIR.make_arguments(RAGGED, seed=1), text.replace(missing, ""), sanitize=True)[1].findings


@pytest.mark.parametrize(
    "missing",
    [
        "fence.proxy.async.shared::cta;",
        "fence.mbarrier_init.release.cluster;",
        "wgmma.wait_group.sync.aligned  0;",
        "bar.warp.sync   0xffffffff;",
    ],
)
def test_the_sanitizer_finds_a_missing_fence_or_wait(missing):
    assert sanitized() == ()
    assert sanitized(missing)


def test_ptx_has_no_bank_conflict_and_moves_as_many_sectors_as_c():
    counts = {}
    for variant in ("cuda", "ptx", "ptx.overlap"):
        counts[variant] = launched(variant, PAIR.make_arguments({"m": 128, "n": 128, "k": 512}, seed=1))[1].counters
    for variant in ("ptx", "ptx.overlap"):
        assert counts[variant]["ptx_shared_load_conflicts"] == counts[variant]["ptx_shared_store_conflicts"] == 0
    assert len({counters["ptx_global_store_sectors"] for counters in counts.values()}) == 1


# ---- the reference and its tolerance


def test_the_reference_and_the_bound_of_a_large_product_are_some_of_it(monkeypatch):
    inputs = verify.widen(PAIR, PAIR.make_arguments({"m": 132, "n": 136, "k": 256}, seed=1))
    whole_d = PAIR.reference(**inputs)["d"].reshape(-1)
    whole_bound = PAIR.tolerance.bound(whole_d.reshape(132, 136), inputs).reshape(-1)
    monkeypatch.setitem(PAIR.reference.__globals__, "WHOLE", 0)
    sample = PAIR.reference(**inputs)["d"]
    assert isinstance(sample, Sample)
    assert sample.at.size >= whole_d.size // 32
    assert sample.values == pytest.approx(whole_d[sample.at], rel=1e-12, abs=1e-12)
    assert PAIR.tolerance.bound(sample.values, inputs) == pytest.approx(whole_bound[sample.at], rel=1e-12)
