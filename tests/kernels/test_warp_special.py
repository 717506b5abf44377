"""The pair warp_special."""

import dataclasses
import functools
import re
from pathlib import Path

import pytest

from ptxbench import emulator, toolchain, verify
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.errors import KernelError
from tests.kernels.harness import PAIRS, build, code, count


def warp_special(x, c, vectors, k):
    return {"y": [sum(c[j] * element**j for j in range(k)) for element in x]}


REFERENCE = (warp_special, {"n": 8, "k": 4, "ctas": 1})
REGISTERS = 168  # of 384 threads; setmaxnreg moves them

FILES = [f"warp_special.{end}.ptx" for end in ("sm_90a", "noreg", "barrier", "cpasync")]
EACH = [
    ("setp.lt.u32 %is_ragged, %left, 6144",  "setp.lt.u32 %is_ragged, %left, 6143"),  # a vector too few for a tile
    ("min.u32 %left, %left, 6144",           "min.u32 %left, %left, 6143"),
    ("fma.rn.f32 %y7, %y7, %x7,",            "fma.rn.f32 %y7, %y6, %x7,"),
]  # fmt: skip
MUTANTS = [
    *((file, *edit) for file in FILES for edit in EACH),
    ("warp_special.sm_90a.ptx", "setmaxnreg.inc.sync.aligned.u32 240", "setmaxnreg.inc.sync.aligned.u32 248"),
    ("warp_special.sm_90a.ptx", "setmaxnreg.dec.sync.aligned.u32 24;", ""),
    ("warp_special.sm_90a.ptx", "[mbarriers + 24], 256",   "[mbarriers + 24], 257"),
    ("warp_special.sm_90a.ptx", "mov.u32 %parity, 0",      "mov.u32 %parity, 1"),
    ("warp_special.sm_90a.ptx", "%stage, 98304, %stages",  "%stage, 98288, %stages"),
    ("warp_special.noreg.ptx", "add.u32 %slot_at, %slot_at, 49152", "add.u32 %slot_at, %slot_at, 49136"),
    ("warp_special.noreg.ptx", "@%is_second mbarrier.arrive", "mbarrier.arrive"),  # in the first half too
    ("warp_special.barrier.ptx", "@%is_refilled bar.arrive %barrier, 288;", ""),
    ("warp_special.barrier.ptx", "add.u32 %barrier, %stage, 1", "add.u32 %barrier, %stage, 2"),
    ("warp_special.cpasync.ptx", "arrive.noinc.",          "arrive."),
    ("warp_special.cpasync.ptx", "add.u32 %to, %to, 2048", "add.u32 %to, %to, 1024"),
]  # fmt: skip

PAIR = PAIRS["warp_special"].pair
SIDES = {source.variant: source for source in PAIRS["warp_special"].sources}
RINGS = [variant for variant in SIDES if variant != "cuda.plain"]
TILES = {"n": 4 * 24576, "k": 5, "ctas": 2}  # two whole tiles for each CTA
REUSE = {"n": 5 * 24576 + 4, "k": 3, "ctas": 1}  # the ring turns twice, and the last tile is ragged


def run(variant, text, size, **options):
    launch = PAIR.launch_of(variant)(**size)
    arguments = PAIR.make_arguments(size, seed=1)
    extent = {"grid": launch.grid_xyz, "block": launch.block_xyz, "dynamic_shared_bytes": launch.shared_bytes}
    return emulator.run(text, args=[*arguments.values()], **extent, **options)


@functools.cache
def counts(variant):
    """The counts of the emulator for a launch; its results must be correct."""
    arguments = PAIR.make_arguments(TILES, seed=1)
    built = build(SIDES[variant], "sm_90a")
    ran = EmulatorBackend("sm_90a").run(built, PAIR.launch_of(variant)(**TILES), arguments, PAIR.outputs)
    assert verify.verify(ran.outputs, verify.expect(PAIR, arguments), variant).worst is None
    return ran.counts


def single_spaces(variant):
    return re.sub(" +", " ", SIDES[variant].path.read_text())


# ---- the machine code

OPCODES = ("USETMAXREG", "ELECT", "UBLKCP", "LDGSTS", "BAR.ARV")
INSTRUCTIONS = [
    ("cuda",        0, 1, 1, 0, 0),
    ("cuda.plain",  0, 0, 0, 0, 0),
    ("ptx",         2, 1, 1, 0, 0),
    ("ptx.noreg",   0, 1, 1, 0, 0),
    ("ptx.barrier", 0, 1, 1, 0, 1),
    ("ptx.cpasync", 0, 0, 0, 1, 0),
]  # fmt: skip


@functools.cache
def report(variant):
    return build(SIDES[variant], "sm_90a", "toolkit").report


@pytest.mark.parametrize(("variant", "expected"), [(variant, numbers) for variant, *numbers in INSTRUCTIONS])
def test_each_variant_has_its_pieces(variant, expected):
    assert count(report(variant), *OPCODES) == expected


def test_only_setmaxnreg_exceeds_what_384_threads_leave():
    assert report("ptx").registers == 65536 // 384 // 8 * 8 == 168
    assert max(report(variant).registers for variant in SIDES if variant != "ptx") < 128
    text = single_spaces("ptx")
    left, taken = (int(re.search(rf"setmaxnreg\.{way}\S+ (\d+)", text)[1]) for way in ("dec", "inc"))
    assert 128 * left + 256 * taken == 384 * 168


def loops_over_lanes(built):
    return sum("BRA.U.ANY" in text for text in code(built))


def test_ptxas_puts_a_loop_over_lanes_around_a_copy_unless_elect_chose_the_thread(tmp_path):
    assert loops_over_lanes(build(SIDES["cuda"], "sm_90a", "toolkit")) == 1
    assert loops_over_lanes(build(SIDES["ptx"], "sm_90a", "toolkit")) == 0
    text = single_spaces("ptx").replace("elect.sync _|%leads, 0xffffffff;", "setp.eq.u32 %leads, %thread, 0;")
    assert "elect.sync _" not in text
    path = tmp_path / "warp_special.ptx"
    path.write_text(text)
    other = dataclasses.replace(SIDES["ptx"], path=path, specialisations=())
    assert loops_over_lanes(build(other, "sm_90a", "toolkit")) == 1


def test_cuda_c_can_wait_at_a_named_barrier_of_some_threads():
    text = b'extern "C" __global__ void k() { if (threadIdx.x < 64) __barrier_sync_count(1, 64); }'
    assert re.search(r"barrier\.sync\s+1, 64;", toolchain.compiled(text, Path("k.cu"), "sm_90", ()).ptx)


# ---- what the emulator counts


def test_a_tile_is_one_request_or_one_for_each_warp_and_piece():
    assert counts("ptx")["ptx_async_requests"] == counts("ptx.noreg")["ptx_async_requests"] == 4
    assert counts("ptx.cpasync")["ptx_async_requests"] == 4 * 6144 // 32
    assert len({counts(variant)["ptx_async_bytes"] for variant in RINGS}) == 1


def test_setmaxnreg_halves_the_loads_of_coefficients():
    loads = {name: counts(name)["ptx_global_load_requests"] - counts(name)["ptx_async_requests"] for name in RINGS}
    assert loads["ptx"] == 4 * 8 * 5  # tiles, warps, coefficients
    assert {loads[variant] for variant in RINGS if variant != "ptx"} == {2 * loads["ptx"]}


def test_no_variant_has_a_bank_conflict():
    assert {counts(variant)["ptx_shared_load_conflicts"] for variant in SIDES} == {0}


# ---- what the sanitizer finds


MISSING = [
    ("ptx",         "@!%arrived bra EMPTY;"),                     # a stage is filled while it is read
    ("ptx",         "@!%arrived bra FULL;"),                      # a stage is read while it is filled
    ("ptx.barrier", "bar.sync %barrier, 288;"),
    ("ptx.cpasync", "@!%arrived bra FULL;"),
]  # fmt: skip


@pytest.mark.parametrize(("variant", "line"), MISSING)
def test_the_sanitizer_finds_a_missing_wait(variant, line):
    text = single_spaces(variant)
    assert line in text
    try:
        problem = run(variant, text.replace(line, ""), REUSE, sanitize=True).findings
    except KernelError as error:
        problem = str(error)
    assert problem
