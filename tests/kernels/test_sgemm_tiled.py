"""The pair sgemm_tiled."""

import dataclasses
import math

import numpy as np
import pytest

from ptxbench import verify
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.pair import Sample
from tests.kernels.harness import PAIRS, build


def sgemm_tiled(a, b, m, n, k):
    return {"c": [[math.fsum(a[i][s] * b[s][j] for s in range(k)) for j in range(n)] for i in range(m)]}


REFERENCE = (sgemm_tiled, {"m": 3, "n": 4, "k": 5})
REGISTERS = 128  # with more, two CTAs no longer fit an SM

MUTANTS = [
    ("sgemm_tiled.ptx", "%a_3, %b_4, %c_34",                 "%a_3, %b_3, %c_34"),
    ("sgemm_tiled.ptx", "[%a_read + 3232]",                  "[%a_read + 3168]"),    # row 6's last four are its first
    ("sgemm_tiled.ptx", "bar.sync 0;",                       ""),
    ("sgemm_tiled.ptx", "sub.u32 %buffer, 4224, %buffer",    "sub.u32 %buffer, 4096, %buffer"),
    ("sgemm_tiled.ptx", "sub.s32 %a_left, %a_left, 8",       "sub.s32 %a_left, %a_left, 4"),
    ("sgemm_tiled.ptx", "add.u32 %slabs, %k, 7",             "add.u32 %slabs, %k, 6"),
    ("sgemm_tiled.ptx", "mul.wide.u32 %skip_bytes, %n, 52",  "mul.wide.u32 %skip_bytes, %n, 4"),
    ("sgemm_tiled.ptx", "selp.s32 %a_left, %a_left, 0, %in_rows", "mov.s32 %a_left, %a_left"),  # reads past a
]  # fmt: skip

PAIR = PAIRS["sgemm_tiled"].pair
SIDES = {source.path.name: source for source in PAIRS["sgemm_tiled"].sources if "." not in source.variant}
(INTERLEAVED,) = (source for source in PAIRS["sgemm_tiled"].sources if source.variant == "cuda.interleaved")
ARCHS = ["sm_75", "sm_80", "sm_90", "sm_100", "sm_120"]


def execution(source, size):
    arguments = PAIR.make_arguments(size, seed=1)
    return EmulatorBackend("sm_90").run(build(source, "sm_90"), PAIR.launch(**size), arguments, PAIR.outputs)


# ---- the machine code: what the pair teaches


@pytest.mark.parametrize("arch", ARCHS)
def test_both_sides_have_the_same_instructions_where_the_time_is_spent(arch):
    """512 multiply-adds and the 32 loads that feed them are eight steps written out; all else is once a slab."""
    cuda, ptx = (build(source, arch, "toolkit").report for source in SIDES.values())
    mixes = [
        {kind: report.sass.get(kind, 0) for kind in ("FFMA", "LDS.128", "STS", "STS.128", "LDG.128", "LDG", "BAR")}
        for report in (cuda, ptx)
    ]
    assert mixes[0] == mixes[1]
    assert mixes[0]["FFMA"] == 8 * 64
    assert mixes[0]["LDS.128"] == 8 * 4
    assert mixes[0]["BAR"] == 1
    assert ptx.sass["total"] <= cuda.sass["total"] < 2 * 512  # half of all instructions are multiply-adds
    assert cuda.registers <= REGISTERS >= ptx.registers


def test_another_order_of_the_lanes_is_the_same_instructions():
    """Eight more instructions compute the order, and some outside the loop differ; FFMA and loads are the same."""
    cuda, interleaved = (build(source, "sm_90", "toolkit").report for source in (SIDES["sgemm_tiled.cu"], INTERLEAVED))
    for kind in ("FFMA", "LDS.128", "STS", "STS.128", "LDG.128", "BAR"):
        assert cuda.sass[kind] == interleaved.sass[kind]
    assert interleaved.sass["total"] < 1.02 * cuda.sass["total"]


# ---- what the emulator counts


@pytest.mark.parametrize("source", [*SIDES.values(), INTERLEAVED], ids=lambda source: source.path.name)
def test_no_access_to_a_slab_conflicts_and_passes_take_as_long_as_multiply_adds(source):
    """Four passes for each of 32 loads by each of 8 warps: 1024 cycles a slab. 512 FFMA of each, on four schedulers."""
    counters = execution(source, {"m": 128, "n": 128, "k": 16}).counts
    assert counters["ptx_shared_load_wavefronts"] == 2 * (32 * 8 * 4) == 2 * (512 * 8 // 4)
    assert counters["ptx_shared_load_conflicts"] == 0
    assert counters["ptx_shared_store_conflicts"] == 0


def test_rows_of_128_floats_would_conflict(tmp_path):
    """The padding does something: without it, the two halves of a warp's rows of a meet in 16 banks."""
    source = SIDES["sgemm_tiled.cu"]
    path = tmp_path / source.path.name
    path.write_text(source.path.read_text().replace("[132]", "[128]"))
    counters = execution(dataclasses.replace(source, path=path), {"m": 128, "n": 128, "k": 16}).counts
    assert counters["ptx_shared_store_conflicts"] > 0


@pytest.mark.parametrize("source", SIDES.values(), ids=SIDES)
def test_whole_tiles_load_each_sector_once_a_cta(source):
    """16-byte accesses of all lanes: no sector is loaded in parts, so none is loaded twice."""
    counters = execution(source, {"m": 256, "n": 128, "k": 16}).counts
    assert counters["ptx_global_load_sectors"] == 2 * (128 * 16 + 16 * 128) * 4 / 32
    assert counters["ptx_global_store_sectors"] == 256 * 128 * 4 / 32


def test_interleaved_lanes_read_the_same_as_a_neighbour():
    """Lanes that read the same: of a, l and l ^ 1; of b, l and l ^ 2. In the plain order, no neighbours do for b."""

    def rows_and_columns(interleaved):
        lane = np.arange(32)
        if interleaved:
            return lane // 2 % 2 + 2 * (lane // 16), lane % 2 + 2 * (lane // 4 % 4)
        return lane // 8, lane % 8

    row, column = rows_and_columns(interleaved=True)
    assert len(set(zip(row, column, strict=True))) == 32
    assert (row == row[np.arange(32) ^ 1]).all()
    assert (column == column[np.arange(32) ^ 2]).all()
    row, column = rows_and_columns(interleaved=False)
    assert not any((column == column[np.arange(32) ^ bit]).any() for bit in (1, 2))


# ---- the reference and its tolerance


def test_the_reference_of_a_large_product_is_some_of_it(monkeypatch):
    size = {"m": 300, "n": 5, "k": 4}
    inputs = verify.widen(PAIR, PAIR.make_arguments(size, seed=1))
    whole = PAIR.reference(**inputs)["c"]
    monkeypatch.setitem(PAIR.reference.__globals__, "WHOLE", 0)
    sample = PAIR.reference(**inputs)["c"]
    assert isinstance(sample, Sample)
    assert sample.values == pytest.approx(whole.reshape(-1)[sample.at], rel=1e-14)
    assert {int(at) // 5 // 128 for at in sample.at} == {0, 1, 2}  # every tile's rows
    assert sample.at.size >= whole.size // 32


def product(size, steps):
    """c of `size` in f32 after `steps` of its k steps, in order, each product rounded separately: worse than fma."""
    arguments = PAIR.make_arguments(size, seed=1)
    a, b = arguments["a"], arguments["b"]
    c = np.zeros((size["m"], size["n"]), np.float32)
    for step in range(steps):
        c += a[:, step, np.newaxis] * b[step]
    return verify.verify({"c": c}, verify.expect(PAIR, arguments), "sgemm_tiled").worst


@pytest.mark.parametrize("k", [9, 512, 8192])
def test_the_tolerance_accepts_honest_single_precision_and_misses_no_step(k):
    size = {"m": 40, "n": 50, "k": k}
    assert product(size, k) is None
    assert product(size, k - 1)
