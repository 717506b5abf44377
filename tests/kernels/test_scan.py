"""The pair scan, and how scan and scan.s32 let CTAs wait for each other."""

import re
from itertools import accumulate
from unittest import mock

import numpy as np
import pytest

from ptxbench import emulator, toolchain, verify
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.errors import FuelExhausted
from ptxbench.pair import Launch
from tests.kernels.harness import BROKEN_FUEL, PAIRS, build


def scan(x, n):
    return {"y": list(accumulate(x))}


REFERENCE = (scan, {"n": 2051})
REGISTERS = 50  # up to 40 where 2,048 threads fill an SM; ptxas takes 49 on sm_75, where 1,024 do

MUTANTS = [
    ("scan.ptx", "mul.lo.u32 %first, %tile, 2048",       "mul.lo.u32 %first, %tile, 1024"),
    ("scan.ptx", "%scan, 16, 0, 0xffffffff",             "%scan, 8, 0, 0xffffffff"),     # a distance twice
    ("scan.ptx", "add.rn.f32 %scan, %scan, %t_xyzw",     "add.rn.f32 %scan, %scan, %t_xy"),
    ("scan.ptx", "%more, %round, 4",                     "%more, %round, 3"),            # twelve totals of sixteen
    ("scan.ptx", "mov.u32 %below, %lanemask_lt",         "mov.u32 %below, %lanemask_le"),  # adds nothing at all
    ("scan.acquire.ptx", "@%has_left add.rn.f32 %base",  "@!%has_left add.rn.f32 %base"),
    ("scan.acquire.ptx", "bar.sync 0;\n\n // ---- if (warp", "// ---- if (warp"),       # totals not there yet
    ("scan.acquire.ptx", "%own, %warp, 144, %lane",      "%own, %warp, 36, %lane"),      # over another warp's
    ("scan.hot.ptx", "mov.u32 %flag, 2",                 "mov.u32 %flag, 1"),            # the second: none is a prefix
    ("scan.hot.ptx", "%exclusive, %scan;",               "%exclusive, %exclusive;"),
    ("scan.hot.ptx", "mov.b64 %word, 0x200000000",       "mov.b64 %word, 0x23f800000"),  # 1 before the first tile
]  # fmt: skip

TILE = 2048
AGGREGATE, PREFIX = 1, 2
SOURCES = [
    pytest.param(name, source, id=source.path.name) for name in ("scan", "scan.s32") for source in PAIRS[name].sources
]


def state(flag, value, dtype):
    """A tile's state: the flag above the value's bits."""
    return np.uint64(flag << 32 | int(np.array(value, dtype).view(np.uint32)))


def alone(name, source, states, tile):
    """(y of `tile`, its state) after the CTA of that tile alone has run on `states`; all inputs are 1."""
    dtype = PAIRS[name].pair.args[0].dtype
    n = (tile + 1) * TILE
    arguments = {
        "x": np.ones(n, dtype),
        "y": np.zeros(n, dtype),
        "ticket": np.array([tile], np.uint32),
        "states": np.array([*states, 0], np.uint64),
        "n": np.uint32(n),
    }
    outcome = EmulatorBackend("sm_90").run(build(source, "sm_90"), Launch(1, 128), arguments, ("y", "ticket", "states"))
    return outcome.outputs["y"][-TILE:], outcome.outputs["states"][tile]


@pytest.mark.parametrize(("name", "source"), SOURCES)
def test_a_tile_looks_back_over_aggregates_to_the_nearest_prefix_and_no_further(name, source):
    """CTAs of the emulator run by rank, so in a plain launch each tile finds a prefix at once."""
    dtype = PAIRS[name].pair.args[0].dtype
    tile = 71
    for nearest in (70, 69, 40, 39, 38, 7, 0):  # lanes 0, 1, 30 and 31; then windows 2 and 3
        older = [state(PREFIX, 1_000_000, dtype)] * nearest
        newer = [state(AGGREGATE, k, dtype) for k in range(nearest + 1, tile)]
        y, left = alone(name, source, [*older, state(PREFIX, 1000, dtype), *newer], tile)
        before = 1000 + sum(range(nearest + 1, tile))
        assert y.tolist() == [before + k + 1 for k in range(TILE)], nearest
        assert left == state(PREFIX, before + TILE, dtype)


@pytest.mark.parametrize("empty", [4, 0])  # the neighbour; one beyond a prefix, which was there before it
@pytest.mark.parametrize(("name", "source"), SOURCES)
def test_a_tile_waits_for_a_state_that_is_empty(name, source, empty):
    dtype = PAIRS[name].pair.args[0].dtype
    states = [state(PREFIX, k, dtype) for k in range(5)]
    states[empty] = np.uint64(0)
    with mock.patch("ptxbench.emulator.launch.FUEL", BROKEN_FUEL), pytest.raises(FuelExhausted):
        alone(name, source, states, 5)


@pytest.mark.parametrize(("name", "source"), SOURCES)
def test_tiles_that_run_ahead_wait_for_those_before_them(name, source):
    """The ticket starts at 5 and wraps, so that 34 CTAs wait for the five tiles that come last."""
    pair = PAIRS[name].pair
    size = {"n": 39 * TILE - 7}
    arguments = pair.make_arguments(size, seed=1)
    arguments["ticket"][0] = 5
    ptx, replaced = re.subn(
        r"atom\.global\.add\.u32(\s+%\w+, \[%\w+\]), 1;", r"atom.global.inc.u32\1, 38;", build(source, "sm_90").ptx
    )
    assert replaced == 1
    expected = verify.expect(pair, arguments)
    emulator.run(ptx, source.entry, grid=39, block=128, args=list(arguments.values()), arch="sm_90")
    assert verify.verify({"y": arguments["y"]}, expected, name).worst is None


# ---- machine code


def sass(source, arch):
    return build(source, arch, "toolkit").report.sass


def variants(name, *names):
    """The sources of these variants of a pair."""
    by_variant = {source.variant: source for source in PAIRS[name].sources}
    return [by_variant[name] for name in names]


@pytest.mark.parametrize("arch", ["sm_80", pytest.param("sm_120", marks=pytest.mark.long)])
def test_a_warp_number_from_a_shuffle_is_known_to_be_uniform(arch):
    """A vote would also work. WARPSYNC and more shuffles are for lanes that might come later, but never do."""
    cuda, split, ptx = (sass(source, arch) for source in variants("scan", "cuda", "cuda.split", "ptx"))
    assert "WARPSYNC" in split
    assert split["SHFL"] > cuda["SHFL"] == ptx["SHFL"]
    assert split["total"] > cuda["total"] > ptx["total"]
    assert not {"WARPSYNC"} & (cuda.keys() | ptx.keys())


def test_the_integers_have_no_warpsync_either_and_one_redux():
    for source in variants("scan.s32", "cuda", "ptx"):
        counted = sass(source, "sm_90")
        assert "WARPSYNC" not in counted
        assert counted["REDUX"] == 1


@pytest.mark.parametrize("side", ["cuda", "ptx"])
def test_order_and_pause_are_one_difference_each(side):
    """Acquire and release are fences, and L1 is dropped; a loop without a pause lacks one NANOSLEEP."""
    names = (side, f"{side}.acquire", f"{side}.hot")
    relaxed, ordered, hot = (sass(source, "sm_90") for source in variants("scan", *names))
    fences = {"MEMBAR", "ERRBAR", "CGAERRBAR", "CCTL"}
    assert ordered["MEMBAR"] == 2
    assert ordered["CCTL"] == 1
    assert not fences & (relaxed.keys() | hot.keys())
    assert (relaxed["NANOSLEEP"], ordered["NANOSLEEP"], hot.get("NANOSLEEP", 0)) == (1, 1, 0)
    alike = ("LDG", "STG", "LDS", "STS", "SHFL", "BAR")
    assert [relaxed.get(name) for name in alike] == [ordered.get(name) for name in alike]


WARP_C = """
extern "C" __global__ void warp(const float* x, float* y)
{
    const unsigned lane = threadIdx.x % 32;
    float v = x[threadIdx.x];
    for (unsigned distance = 1; distance < 32; distance *= 2) {
        const float left = __shfl_up_sync(0xffffffff, v, distance);
        if (lane >= distance)
            v += left;
    }
    y[threadIdx.x] = v;
}
"""

WARP_PTX = """
.version 6.3
.target sm_75
.address_size 64

.visible .entry warp(.param .u64 x, .param .u64 y)
{
    .reg .u32  %thread;
    .reg .u64  %x, %y, %offset;
    .reg .f32  %v, %left;
    .reg .pred %has_left;

    ld.param.u64        %x, [x];
    ld.param.u64        %y, [y];
    cvta.to.global.u64  %x, %x;
    cvta.to.global.u64  %y, %y;
    mov.u32             %thread, %tid.x;
    mul.wide.u32        %offset, %thread, 4;
    add.u64             %x, %x, %offset;
    add.u64             %y, %y, %offset;
    ld.global.f32       %v, [%x];
    STEPS
    st.global.f32       [%y], %v;
    ret;
}
"""

STEP = "shfl.sync.up.b32 %left|%has_left, %v, {}, 0, 0xffffffff;\n    @%has_left add.rn.f32 %v, %v, %left;\n    "


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"])
def test_a_warp_scan_alone_is_spared_its_compares_and_nothing_else(arch, tmp_path):
    """At NVRTC and ptxas 13.5, 25 instructions of C are 20 of PTX on sm_90."""
    (tmp_path / "warp.cu").write_text(WARP_C)
    (tmp_path / "warp.ptx").write_text(WARP_PTX.replace("STEPS\n    ", "".join(STEP.format(1 << k) for k in range(5))))
    cuda, ptx = (
        toolchain.build(tmp_path / f"warp.{suffix}", language=language, variant="", entry="warp", arch=arch).report.sass
        for language, suffix in (("cuda", "cu"), ("ptx", "ptx"))
    )
    assert cuda["SHFL"] == ptx["SHFL"] == cuda["FADD"] == ptx["FADD"] == 5
    assert cuda["ISETP"] >= 4
    assert "ISETP" not in ptx
    assert 4 <= cuda["total"] - ptx["total"] <= 7
