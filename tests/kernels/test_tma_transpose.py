"""The pair tma_transpose."""

import dataclasses
import functools
import re

import pytest

from ptxbench import emulator
from ptxbench.backends.emulator import EmulatorBackend
from tests.kernels.harness import PAIRS, build, code, count, reports


def tma_transpose(x, rows, columns):
    return {"y": [[x[r][c] for r in range(rows)] for c in range(columns)]}


REFERENCE = (tma_transpose, {"rows": 8, "columns": 12})
REGISTERS = 48  # of .diagonal.ptx on sm_120; 32 of the others

EACH = [
    ("{%second_column, %first_row}",                 "{%first_column, %first_row}"),
    ("[%map_y, {%first_row, %first_column}]",        "[%map_y, {%first_column, %first_row}]"),
    ("shl.b32 %first_row, %block_y, 6",              "shl.b32 %first_row, %block_x, 6"),
    ("%arrived, [full], 0;",                         "%arrived, [full], 1;"),  # of the phase before
    ("bar.sync 0;\n @%is_other bra DONE;",           "@%is_other bra DONE;"),
    ("cp.async.bulk.wait_group.read 0;",             ""),
]  # fmt: skip
MUTANTS = [
    *((f"tma_transpose{end}.ptx", *edit) for end in ("", ".noswizzle", ".diagonal") for edit in EACH),
    ("tma_transpose.ptx", "and.b32 %from_0, %row, 7;",           "and.b32 %from_0, %row, 3;"),
    ("tma_transpose.ptx", "xor.b32 %from_0, %from_0, %chunk",    "add.u32 %from_0, %from_0, %chunk"),
    ("tma_transpose.ptx", "xor.b32 %from_2, %from_0, 32",        "add.u32 %from_2, %from_0, 32"),
    ("tma_transpose.ptx", "mov.u64 %map_x, swizzled_x;",         "mov.u64 %map_x, plain_x;"),
    ("tma_transpose.noswizzle.ptx", "mov.u64 %map_x, plain_x;",  "mov.u64 %map_x, swizzled_x;"),
    ("tma_transpose.noswizzle.ptx", "[%to + 2816], %v2_w",       "[%to + 2816], %v2_z"),
    ("tma_transpose.diagonal.ptx", "xor.b32 %column_block, %low, %turn", "add.u32 %column_block, %low, %turn"),
    ("tma_transpose.diagonal.ptx", "{%v0_z, %v1_z, %v2_z, %v3_z}", "{%v0_z, %v2_z, %v1_z, %v3_z}"),
    ("tma_transpose.diagonal.ptx", "bfe.u32 %row_block, %thread, 6, 1", "bfe.u32 %row_block, %thread, 5, 1"),
]  # fmt: skip

PAIR = PAIRS["tma_transpose"].pair
SIDES = {source.variant: source for source in PAIRS["tma_transpose"].sources}
RAGGED = PAIR.check_sizes[-1]


@functools.cache
def counts(variant):
    """What a launch with one whole tile counts."""
    size = {"rows": 64, "columns": 64}
    built = build(SIDES[variant], "sm_90")
    return EmulatorBackend("sm_90").run(built, PAIR.launch(**size), PAIR.make_arguments(size, 1), PAIR.outputs).counts


def findings(text):
    """What the sanitizer finds at a size that no tile divides."""
    values, launch = PAIR.make_arguments(RAGGED, seed=1), PAIR.launch(**RAGGED)
    extent = {"grid": launch.grid_xyz, "block": launch.block_xyz}
    return emulator.run(text, args=[*values.values()], names=[*values], sanitize=True, **extent).findings


# ---- what the headers and the page say of the machine code

OPCODES = ("UTMALDG.2D", "UTMASTG.2D", "UBLKCP", "LDG.128", "STG.128", "STG", "STS", "STS.128", "LDS.128")
INSTRUCTIONS = {
    "cuda":          [0, 0, 0, 4, 4,  4,  4, 4, 4],
    "cuda.lib":      [0, 0, 1, 0, 0, 16,  0, 0, 4],
    "ptx":           [2, 1, 0, 0, 0,  0, 16, 0, 4],
    "ptx.noswizzle": [2, 1, 0, 0, 0,  0, 16, 0, 4],
    "ptx.diagonal":  [2, 1, 0, 0, 0,  0,  4, 4, 4],
}  # fmt: skip


@pytest.mark.parametrize("arch", ["sm_90", "sm_120"])
def test_ptx_reaches_memory_by_three_tensor_copies_alone(arch):
    for variant, report in reports("tma_transpose", arch).items():
        assert count(report, *OPCODES) == INSTRUCTIONS[variant], (arch, variant)


def test_blocks_that_are_turned_in_registers_need_moves_where_single_values_need_stores():
    """A vector access needs four neighbouring registers, so .diagonal is no shorter than .ptx."""
    sides = reports("tma_transpose", "sm_90", "ptx", "ptx.diagonal")
    assert abs(sides["ptx"].sass["total"] - sides["ptx.diagonal"].sass["total"]) <= 2
    assert sides["ptx.diagonal"].registers >= sides["ptx"].registers + 12


@pytest.mark.parametrize("arch", ["sm_90", "sm_100"])
def test_a_tensor_copy_behind_a_test_for_thread_0_gets_a_loop_and_behind_elect_none(arch, tmp_path):
    source = SIDES["ptx"]
    text = re.sub(" +", " ", source.path.read_text())
    elected = "elect.sync _|%leads, 0xffffffff;"
    assert text.count(elected) == 2
    path = tmp_path / source.path.name
    path.write_text(text.replace(elected, "setp.eq.u32 %leads, %thread, 0;"))
    loops = [
        sum(line.startswith("BRA.U.ANY") for line in code(build(version, arch, "toolkit")))
        for version in (source, dataclasses.replace(source, path=path))
    ]
    assert loops == [0, 2]


def test_sm_120_tests_whose_memory_a_cluster_address_is_and_keeps_a_stack_for_it(tmp_path):
    source = SIDES["ptx"]
    path = tmp_path / source.path.name
    path.write_text(source.path.read_text().replace("2d.shared::cta.global", "2d.shared::cluster.global"))
    own, cluster = (
        build(version, "sm_120", "toolkit").report for version in (source, dataclasses.replace(source, path=path))
    )
    assert count(own, "CALL", "STL") == [0, 0]
    assert count(cluster, "CALL", "STL") == [2, 2]
    assert cluster.sass["total"] >= own.sass["total"] + 60


# ---- what the emulator counts

SHARED = [
    # variant,         wavefronts of loads and of stores of a tile of 16 KiB, with those of tensor copies
    ("cuda",            128, 128),
    ("cuda.lib",        128, 128),
    ("ptx",             256, 256),
    ("ptx.noswizzle",  1152, 256),  # eight times 128, and the copy
    ("ptx.diagonal",    256, 256),
]  # fmt: skip


@pytest.mark.parametrize(("variant", "loads", "stores"), SHARED)
def test_the_swizzle_and_the_diagonal_have_no_bank_conflicts(variant, loads, stores):
    counters = counts(variant)
    assert [counters[f"ptx_shared_{access}_wavefronts"] for access in ("load", "store")] == [loads, stores]
    assert [counters[f"ptx_global_{access}_sectors"] for access in ("load", "store")] == [512, 512]


# ---- what the sanitizer finds


MISSING = [
    ("fence.proxy.async.shared::cta;",         "",                     "missing-proxy-fence"),
    ("bar.sync 0;\n @%is_other bra DONE;",     "@%is_other bra DONE;", "race"),
    ("bar.sync 0;\nARRIVING:",                 "ARRIVING:",            "race"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "kind"), MISSING)
def test_the_sanitizer_names_a_missing_fence_or_barrier(right, wrong, kind):
    text = re.sub(" +", " ", SIDES["ptx"].path.read_text())
    assert right in text
    assert kind in {finding.kind for finding in findings(text.replace(right, wrong, 1))}
