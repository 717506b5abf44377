"""The pair tma_reduce; tma_reduce.bf16 shares these tests."""

import dataclasses
import functools
import re

import pytest

from ptxbench import emulator, verify
from ptxbench.backends.emulator import EmulatorBackend
from tests.kernels.harness import PAIRS, build, code, count, reports


def tma_reduce(x, out, vectors):
    return {"out": [value + sum(float(row[i]) for row in x) for i, value in enumerate(out)]}


REFERENCE = (tma_reduce, {"n": 16, "slices": 3})
REGISTERS = 48  # on sm_120; 32 on sm_90

REDUCTION = [
    ("setp.lt.u32 %is_ragged, %left, 1024",          "setp.lt.u32 %is_ragged, %left, 1020"),
    ("mul.wide.u32 %from, %slice, %vectors",         "mul.wide.u32 %from, %slice, 1024"),
    ("ld.global.nc.v4.f32 {%v5_x, %v5_y, %v5_z, %v5_w}", "ld.global.nc.v4.f32 {%v5_x, %v5_z, %v5_y, %v5_w}"),
    ("add.u64 %x_at, %x_at, 2048",                   "add.u64 %x_at, %x_at, 1024"),
]  # fmt: skip
MUTANTS = [
    *((file, *edit) for file in ("tma_reduce.ptx", "tma_reduce.red.ptx") for edit in REDUCTION),
    ("tma_reduce.ptx", "bar.sync 0;",                       ""),
    ("tma_reduce.ptx", "@!%leads bra DONE;",                ""),  # 32 times
    ("tma_reduce.ptx", "min.u32 %left, %left, 1024",        "min.u32 %left, %left, 1023"),
    ("tma_reduce.ptx", "bulk_group.add.f32",                "bulk_group.add.u32"),
    ("tma_reduce.ptx", "cp.async.bulk.wait_group.read 0;",  ""),
    ("tma_reduce.ptx", "[%value_at + 6144], {%v3_x",        "[%value_at + 4096], {%v3_x"),
    ("tma_reduce.red.ptx", "red.global.add.v4.f32",         "st.global.v4.f32"),
    ("tma_reduce.red.ptx", "[%out_at + 14336], {%v7_x",     "[%out_at + 12288], {%v7_x"),
    ("tma_reduce.red.ptx", "add.u64 %out_at, %out_at, 2048", "add.u64 %out_at, %out_at, 4096"),
    ("tma_reduce.copied.ptx", "min.u32 %left, %left, 1024", "min.u32 %left, %left, 512"),
    ("tma_reduce.copied.ptx", "%arrived, [full], 0;",       "%arrived, [full], 1;"),  # of the phase before
    ("tma_reduce.copied.ptx", "bulk_group.add.f32",         "bulk_group.add.s32"),
    ("tma_reduce.copied.ptx", "cp.async.bulk.wait_group.read 0;", ""),
    ("tma_reduce.copied.ptx", "add.u64 %from, %from, %first_wide;", ""),
]  # fmt: skip

TYPES = ("tma_reduce", "tma_reduce.bf16")
SIDES = {(name, source.variant): source for name in TYPES for source in PAIRS[name].sources}
WHOLE = {"tma_reduce": {"n": 4096, "slices": 2}, "tma_reduce.bf16": {"n": 8192, "slices": 2}}


@functools.cache
def counts(name, variant):
    """What a launch of two slices of one whole tile counts."""
    pair, size = PAIRS[name].pair, WHOLE[name]
    built = build(SIDES[name, variant], "sm_90")
    return EmulatorBackend("sm_90").run(built, pair.launch(**size), pair.make_arguments(size, 1), pair.outputs).counts


def findings(name, text):
    """What the sanitizer finds at the last check size, whose last tile is ragged."""
    pair = PAIRS[name].pair
    size = pair.check_sizes[-1]
    launch, arguments = pair.launch(**size), pair.make_arguments(size, seed=1)
    extent = {"grid": launch.grid_xyz, "block": launch.block_xyz}
    return emulator.run(text, args=[*arguments.values()], sanitize=True, **extent).findings


# ---- the values


@pytest.mark.parametrize("name", TYPES)
def test_a_lost_slice_is_found_at_every_check_size(name):
    pair = PAIRS[name].pair
    for size in pair.check_sizes:
        arguments = pair.make_arguments(size, seed=1)
        expected = verify.expect(pair, arguments)
        out = expected.outputs["out"] - arguments["x"][-1].astype(float)
        assert verify.verify({"out": out.astype(arguments["out"].dtype)}, expected, name).worst, size


# ---- what the headers and the page say of the machine code

INSTRUCTIONS = [
    # pair, variant,                    UBLKRED, UBLKCP, REDG and ATOM, QSPC: with the loop of a ragged tile
    ("tma_reduce",      "cuda",         0, 0,  9,  0),
    ("tma_reduce",      "cuda.scalar",  0, 0, 33,  0),
    ("tma_reduce",      "ptx",          1, 0,  0,  0),
    ("tma_reduce",      "ptx.copied",   1, 1,  0,  0),
    ("tma_reduce",      "ptx.red",      0, 0,  9,  0),
    ("tma_reduce.bf16", "cuda",         0, 0,  9,  9),
    ("tma_reduce.bf16", "ptx",          1, 0,  0,  0),
    ("tma_reduce.bf16", "ptx.red",      0, 0,  9,  0),
]  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_90", "sm_100", "sm_120"])
def test_one_instruction_of_one_thread_adds_a_tile(arch):
    for name in TYPES:
        sides = reports(name, arch)
        for variant, reduces, copies, adds, tests in (row[1:] for row in INSTRUCTIONS if row[0] == name):
            counted = count(sides[variant], "UBLKRED", "UBLKCP", "QSPC")
            assert counted == [reduces, copies, tests], (arch, name, variant)
            assert sum(count(sides[variant], "REDG", "ATOM")) == adds, (arch, name, variant)


@pytest.mark.parametrize("arch", ["sm_90", "sm_100", "sm_120"])
def test_four_floats_are_the_same_instruction_in_c_and_ptx(arch):
    sides = reports("tma_reduce", arch, "cuda", "ptx.red")
    assert {count(report, "REDG.F32x4", "LDG.128") == [9, 9] for report in sides.values()} == {True}
    assert abs(sides["cuda"].sass["total"] - sides["ptx.red"].sass["total"]) <= 1


def test_a_reduction_behind_a_test_for_thread_0_gets_a_loop_and_behind_elect_none(tmp_path):
    source = SIDES["tma_reduce", "ptx"]
    text = re.sub(" +", " ", source.path.read_text())
    elected = "elect.sync _|%leads, 0xffffffff;"
    assert elected in text
    path = tmp_path / source.path.name
    path.write_text(text.replace(elected, "setp.eq.u32 %leads, %thread, 0;"))
    loops = [
        sum(line.startswith("BRA.U.ANY") for line in code(build(version, "sm_90", "toolkit")))
        for version in (source, dataclasses.replace(source, path=path))
    ]
    assert loops == [0, 1]


# ---- what the emulator counts

COUNTS = [
    # pair, variant,                    requests, sectors, and wavefronts of shared memory, of two tiles
    ("tma_reduce",      "cuda",          64, 1024,   0),
    ("tma_reduce",      "cuda.scalar",  256, 1024,   0),
    ("tma_reduce",      "ptx",            2, 1024, 512),
    ("tma_reduce",      "ptx.copied",     2, 1024, 512),
    ("tma_reduce",      "ptx.red",       64, 1024,   0),
    ("tma_reduce.bf16", "cuda",         256, 1024,   0),
    ("tma_reduce.bf16", "ptx",            2, 1024, 512),
    ("tma_reduce.bf16", "ptx.red",       64, 1024,   0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "variant", "requests", "sectors", "wavefronts"), COUNTS)
def test_every_variant_adds_the_same_sectors_by_its_own_number_of_requests(
    name, variant, requests, sectors, wavefronts
):
    counters = counts(name, variant)
    assert [counters[f"ptx_atomic_global_{kind}"] for kind in ("requests", "sectors")] == [requests, sectors]
    assert [counters[f"ptx_shared_{access}_wavefronts"] for access in ("store", "load")] == [wavefronts / 2] * 2


# ---- what the sanitizer finds


MISSING = [
    ("fence.proxy.async.shared::cta;", "missing-proxy-fence"),
    ("bar.sync 0;",                    "race"),
]  # fmt: skip


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize(("line", "kind"), MISSING)
def test_the_sanitizer_names_a_missing_fence_or_barrier(name, line, kind):
    text = re.sub(" +", " ", SIDES[name, "ptx"].path.read_text())
    assert line in text
    assert kind in {finding.kind for finding in findings(name, text.replace(line, "", 1))}
