"""The pair hgemm_wgmma."""

import dataclasses
import functools
import math
import re

import pytest

from ptxbench import emulator, verify
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.emulator import MapOf
from ptxbench.tensor_map import TiledMap
from tests.folders import changed
from tests.kernels.harness import PAIRS, build, code, count


def hgemm_wgmma(a, b, m, n, k, **maps):
    return {"c": [[math.fsum(a[i][s] * b[s][j] for s in range(k)) for j in range(n)] for i in range(m)]}


REFERENCE = (hgemm_wgmma, {"m": 3, "n": 8, "k": 16})
REGISTERS = 168  # what 384 threads start with

PTX = {name: f"hgemm_wgmma{name}.sm_90a.ptx" for name in ("", ".noswizzle", ".nosplit", ".n256", ".multicast")}
PROGRAMS = [
    ("",           "mov.u32 %parity, 1;",                           "mov.u32 %parity, 0;"),     # waits for ever
    ("",           "@%wraps xor.b32 %parity, %parity, 1;",          ""),                        # the second round
    ("",           "wgmma.wait_group.sync.aligned 1;",              ""),                        # freed too early
    ("",           "[%filled_at], 32768;",                          "[%filled_at], 24576;"),
    ("",           "0x4000004002000000",                            "0x4000004001000000"),      # b's right half
    ("",           "%b_tile, %adds, 1, 1, 0, 1;",                   "%b_tile, %adds, 1, 1, 0, 0;"),
    ("",           "[%used + 16], 8;",                              "[%used + 16], 16;"),
    ("",           "mul.wide.u32 %c_below, %n, 32",                 "mul.wide.u32 %c_below, %n, 16"),
    ("",           "%far, %columns_left, 64, %has_below",           "%far, %columns_left, 64, %has_row"),
    (".noswizzle", "0x0000000800800000",                            "0x0000008000080000"),      # a's offsets exchanged
    (".noswizzle", "add.u64 %b_tile, %b_tile, 16;",                 "add.u64 %b_tile, %b_tile, 128;"),
    (".noswizzle", "{0, %slab_k, %first_piece}",                    "{0, %slab_k, %slab_piece}"),
    (".nosplit",   "mov.u32 %parity, 0;",                           "mov.u32 %parity, 1;"),     # not filled yet
    (".nosplit",   "setp.lt.u32 %early, %step, 2;",                 "setp.lt.u32 %early, %step, 3;"),
    (".nosplit",   "add.u32 %steps, %slabs, 2;",                    "add.u32 %steps, %slabs, 1;"),
    (".n256",      "[%filled_at], 49152;",                          "[%filled_at], 40960;"),
    (".n256",      "add.u32 %column_3, %first_column, 192;",        "add.u32 %column_3, %first_column, 128;"),
    (".n256",      "{%c126, %c127}",                                "{%c124, %c125}"),
    (".multicast", "mov.u16 %both, 3;",                             "mov.u16 %both, 1;"),
    (".multicast", "setp.lt.u32 %leads, %lane, 2;",                 "setp.lt.u32 %leads, %lane, 1;"),
    (".multicast", "%start, 0x3ffff;\n shr.u32 %start, %start, 4;\n cvt.u64.u32 %b_first",
                   "%start, -1;\n shr.u32 %start, %start, 4;\n cvt.u64.u32 %b_first"),          # the rank in an offset
]  # fmt: skip
MUTANTS = [(PTX[variant], right, wrong) for variant, right, wrong in PROGRAMS]

PAIR = PAIRS["hgemm_wgmma"].pair
SIDES = {source.path.name: source for source in PAIRS["hgemm_wgmma"].sources}
SIZE = {"m": 256, "n": 256, "k": 512}
SLABS, TILES = 512 // 64, 2 * 2


@functools.cache
def counts(variant):
    """The counts of the emulator for a launch; its results must be correct."""
    source = next(source for source in SIDES.values() if source.variant == variant)
    arguments, launch = PAIR.make_arguments(SIZE, seed=1), PAIR.launch_of(variant)(**SIZE)
    ran = EmulatorBackend("sm_90a").run(build(source, "sm_90a"), launch, arguments, PAIR.outputs)
    assert verify.verify(ran.outputs, verify.expect(PAIR, arguments), variant).worst is None
    return ran.counts


def report(name):
    return build(SIDES[name], "sm_90a", "toolkit").report


# ---- the machine code


@pytest.mark.parametrize(
    ("variant", "product", "copies"),
    [
        ("", "HGMMA.64x128x16", {"UTMALDG.2D": 3}),
        (".noswizzle", "HGMMA.64x128x16", {"UTMALDG.3D": 2}),
        (".nosplit", "HGMMA.64x128x16", {"UTMALDG.2D": 3}),
        (".n256", "HGMMA.64x256x16", {"UTMALDG.2D": 5}),
        (".multicast", "HGMMA.64x128x16", {"UTMALDG.2D": 3, "UTMALDG.2D.MULTICAST": 1}),
    ],
)
def test_a_slab_is_four_hgmma_and_a_copy_for_each_box(variant, product, copies):
    built = report(PTX[variant])
    assert count(built, product) == [built.sass["HGMMA"]] == [4]
    assert count(built, *copies) == [*copies.values()]
    assert count(built, "UTMALDG") == [max(copies.values())]
    assert count(built, "USETMAXREG") == [0 if variant == ".nosplit" else 2]


def test_c_reaches_the_tensor_cores_by_mma_sync_and_has_no_tma():
    built = report("hgemm_wgmma.cu")
    assert count(built, "HGMMA", "UTMALDG", "USETMAXREG") == [0, 0, 0]
    assert count(built, "HMMA.16816", "LDGSTS.128") == [4 * 64, 64]


def test_without_setmaxnreg_a_thread_of_two_warpgroups_needs_few_registers():
    assert report(PTX[".nosplit"]).registers < 100 < report("hgemm_wgmma.cu").registers
    assert report(PTX[""]).registers == REGISTERS


def test_ptxas_ignores_setmaxnreg_if_it_does_not_know_the_registers_at_the_start(tmp_path):
    source = SIDES[PTX[""]]
    path = tmp_path / source.path.name
    text = source.path.read_text()
    start = text.index(".maxntid")
    path.write_text(text[:start] + text[text.index("{\n", start) :])
    built = build(dataclasses.replace(source, path=path, specialisations=()), "sm_90a", "toolkit")
    assert count(built.report, "USETMAXREG") == [0]
    assert "C7508" in built.report.log


def test_a_shared_address_has_the_rank_of_its_cta_in_bit_24():
    """Of a cluster of one too: there the rank is 0."""
    for variant in ("", ".multicast"):
        instructions = code(build(SIDES[PTX[variant]], "sm_90a", "toolkit"))
        (rank,) = {instruction.split()[1] for instruction in instructions if instruction.endswith("SR_CgaCtaId")}
        assert any(re.match(rf"ULEA \w+, {rank.rstrip(',')}, \w+, 0x18$", instruction) for instruction in instructions)


# ---- what the emulator counts


@pytest.mark.parametrize(
    ("variant", "share"),
    [("cuda", 1), ("ptx", 1), ("ptx.nosplit", 1), ("ptx.noswizzle", 2), ("ptx.n256", 0.75), ("ptx.multicast", 0.75)],
)
def test_pieces_of_16_bytes_double_the_sectors_and_a_wider_tile_or_a_cluster_save_a_quarter(variant, share):
    """A slab has 16 KiB of a and as many of b."""
    assert counts(variant)["ptx_global_load_sectors"] == share * 2 * 16384 // 32 * SLABS * TILES
    assert counts(variant)["ptx_global_store_sectors"] == 4 * 256 * 256 // 32


def test_a_product_of_256_columns_reads_fewer_bytes_of_shared_memory_for_its_flops():
    """64 x 16 of a, and 16 x 128 or 16 x 256 of b."""
    for variant, columns in (("ptx", 128), ("ptx.multicast", 128), ("ptx.n256", 256)):
        counted = counts(variant)
        products = 2 * TILES * 4 * SLABS * 128 // columns
        assert counted["ptx_wgmma_operations"] == products
        assert counted["ptx_wgmma_shared_bytes"] == products * 2 * 16 * (64 + columns)
        assert counted["ptx_mma_flops_f16"] == PAIR.flops(**SIZE)
        assert counted["ptx_shared_load_wavefronts"] == 0  # no thread loads an operand


def test_one_warpgroup_that_copies_needs_no_barrier_in_the_loop():
    """The first barrier is for the mbarriers; without such a warpgroup there is one for each step."""
    assert counts("ptx")["ptx_barrier_phases"] == TILES
    assert counts("ptx.nosplit")["ptx_barrier_phases"] == TILES * (1 + SLABS + 2)


# ---- what the sanitizer finds


def sanitized(variant, text, size=PAIR.check_sizes[0]):
    arguments, launch = PAIR.make_arguments(size, seed=1), PAIR.launch_of(variant)(**size)
    values = [
        MapOf(arguments[argument.of], argument) if isinstance(argument, TiledMap) else argument
        for argument in arguments.values()
    ]
    extent = {"grid": launch.grid_xyz, "block": launch.block_xyz, "cluster": launch.cluster_xyz}
    return emulator.run(
        text, args=values, dynamic_shared_bytes=launch.shared_bytes, sanitize=True, arch="sm_90a", **extent
    ).findings


@pytest.mark.parametrize(
    ("variant", "missing"),
    [
        ("ptx", "    fence.mbarrier_init.release.cluster;\n"),
        ("ptx.nosplit", "    wgmma.wait_group.sync.aligned  0;\n"),
        ("ptx.n256", "    wgmma.fence.sync.aligned;\n"),
        ("ptx.noswizzle", "    wgmma.wait_group.sync.aligned  1;\n"),
    ],
)
def test_the_sanitizer_names_what_is_missing(variant, missing):
    text = SIDES[PTX[variant.removeprefix("ptx")]].path.read_text()
    assert sanitized(variant, text) == ()
    assert sanitized(variant, changed(text, missing, ""))
