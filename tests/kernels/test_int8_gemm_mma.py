"""The pair int8_gemm_mma."""

import functools

import pytest

from ptxbench import emulator, verify
from ptxbench.backends.emulator import EmulatorBackend
from tests.kernels.harness import KERNELS, PAIRS, build, count


def int8_gemm_mma(a, b, a_scale, b_scale, m, n, k):
    def element(row, column):
        return sum(a[row][s] * b[column][s] for s in range(k)) * a_scale[row] * b_scale[column]

    return {"d": [[element(row, column) for column in range(n)] for row in range(m)]}


REFERENCE = (int8_gemm_mma, {"m": 3, "n": 4, "k": 32})
REGISTERS = 255  # 128 sums, four tiles of a and eight of b: two CTAs of 128 threads fit an SM

EACH = [
    ("bar.sync 0;",                                   ""),
    ("cp.async.wait_group 1;",                        "cp.async.wait_group 2;"),                 # not arrived yet
    ("[%a_from_2], 16, %size_2",                      "[%a_from_2], 16"),                        # past the last row
    ("setp.gt.s32 %in_slab, %columns_left, 0",        "setp.gt.s32 %in_slab, %columns_left, 16"),
    ("selp.u32 %size_7, 16, 0, %has_7",               "selp.u32 %size_7, 16, 0, %has_6"),
    ("add.u32 %slabs, %k, 63",                        "add.u32 %slabs, %k, 15"),
]  # fmt: skip
MUTANTS = [
    *((file, *edit) for file in ("int8_gemm_mma.ptx", "int8_gemm_mma.dp4a.ptx") for edit in EACH),
    ("int8_gemm_mma.ptx", "{%a2x, %a2y, %a2z, %a2w}, {%b5x, %b5y}", "{%a2x, %a2z, %a2y, %a2w}, {%b5x, %b5y}"),
    ("int8_gemm_mma.ptx", "shr.u32 %a_turn, %lane, 1",        "shr.u32 %a_turn, %lane, 2"),      # not the copy's
    ("int8_gemm_mma.ptx", "xor.b32 %b_in_1, %b_in_0, 32",     "add.u32 %b_in_1, %b_in_0, 32"),
    ("int8_gemm_mma.ptx", "%b_piece, %lane, 3",               "%b_piece, %lane, 4"),
    ("int8_gemm_mma.ptx", "mul.rn.f32 %factor_y, %row_scale, %scale_5y", "mul.rn.f32 %factor_y, %row_scale, %scale_5x"),
    ("int8_gemm_mma.ptx", "cvt.rn.f32.s32 %value_y, %d21w",   "cvt.rn.f32.s32 %value_y, %d21z"),
    ("int8_gemm_mma.dp4a.ptx", "dp4a.s32.s32 %d3_7, %a3, %b7", "dp4a.u32.s32 %d3_7, %a3, %b7"),
    ("int8_gemm_mma.dp4a.ptx", "shl.b32 %b_turn, %x, 3",      "shl.b32 %b_turn, %x, 4"),
    ("int8_gemm_mma.dp4a.ptx", "setp.lt.u32 %more, %word, 64", "setp.lt.u32 %more, %word, 60"),
]  # fmt: skip

PAIR = PAIRS["int8_gemm_mma"].pair
SIDES = {source.path.name: source for source in PAIRS["int8_gemm_mma"].sources}
WHOLE_TILE = {"m": 128, "n": 128, "k": 256}  # four slabs, for a ring of three stages


@functools.cache
def counts(name):
    """The counts of the emulator for a launch; its results must be correct."""
    arguments = PAIR.make_arguments(WHOLE_TILE, seed=1)
    ran = EmulatorBackend("sm_90").run(build(SIDES[name], "sm_90"), PAIR.launch(**WHOLE_TILE), arguments, PAIR.outputs)
    assert verify.verify(ran.outputs, verify.expect(PAIR, arguments), name).worst is None
    return ran.counts


# ---- the machine code


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_wmma_has_twice_the_tensor_instructions_of_mma_sync(arch):
    """IMMA.16816 of 16 columns against IMMA.16832 of 32, for the same slab."""
    c, ptx = (build(SIDES[f"int8_gemm_mma.{end}"], arch, "toolkit").report for end in ("cu", "ptx"))
    assert count(c, "IMMA.16816") == [c.sass["IMMA"]] == [4 * 4 * 4 * 2]
    assert count(ptx, "IMMA.16832") == [ptx.sass["IMMA"]] == [4 * 8 * 2]
    assert c.sass["LDSM"] == 2 * ptx.sass["LDSM"] == 32


@pytest.mark.parametrize("end", ["dp4a.cu", "dp4a.ptx"])
def test_dp4a_is_one_idp_for_four_products(end):
    sass = build(SIDES[f"int8_gemm_mma.{end}"], "sm_90", "toolkit").report.sass
    assert sass["IDP"] == 8 * 16
    assert "IMMA" not in sass


# ---- what the emulator counts


def test_no_tile_is_read_with_a_bank_conflict():
    for name in SIDES:
        assert counts(name)["ptx_shared_load_conflicts"] == 0, name


def test_the_sums_of_c_go_through_shared_memory_and_those_of_ptx_do_not():
    c, ptx = (counts(f"int8_gemm_mma.{end}") for end in ("cu", "ptx"))
    copies = 2 * 128 * 256 // 128  # wavefronts of 128 bytes that the copies of both tiles write
    assert ptx["ptx_shared_store_wavefronts"] == copies
    assert c["ptx_shared_store_wavefronts"] > copies
    for counter in ("ptx_async_bytes", "ptx_global_store_sectors"):
        assert c[counter] == ptx[counter]


# ---- what the sanitizer finds


@pytest.mark.parametrize("missing", ["    cp.async.wait_group  1;\n", "    bar.sync             0;\n"])
def test_the_sanitizer_names_a_missing_wait_or_barrier(missing):
    text = (KERNELS / "ptx" / "int8_gemm_mma.ptx").read_text()
    launch = PAIR.launch(**WHOLE_TILE)

    def findings(text):
        arguments = [*PAIR.make_arguments(WHOLE_TILE, seed=1).values()]
        extent = {"grid": launch.grid_xyz, "block": launch.block_xyz, "dynamic_shared_bytes": launch.shared_bytes}
        return emulator.run(text, args=arguments, sanitize=True, **extent).findings

    assert missing in text
    assert findings(text) == ()
    assert findings(text.replace(missing, ""))
