"""The pair hgemm_mma."""

import math

import numpy as np
import pytest

from ptxbench import emulator, verify
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.pair import Sample
from tests.kernels.harness import KERNELS, PAIRS, build


def hgemm_mma(a, b, m, n, k):
    return {"c": [[math.fsum(a[i][s] * b[s][j] for s in range(k)) for j in range(n)] for i in range(m)]}


REFERENCE = (hgemm_mma, {"m": 3, "n": 8, "k": 16})
REGISTERS = 255  # even so, two CTAs of 128 threads fit an SM

BOTH = [
    ("{%a2x, %a2y, %a2z, %a2w}, {%b5x, %b5y}",             "{%a2x, %a2z, %a2y, %a2w}, {%b5x, %b5y}"),
    ("bar.sync 0;",                                        ""),
    ("cp.async.wait_group 0;",                             ""),              # reads what has not arrived
    ("cp.async.wait_group 0;",                             "cp.async.wait_group 1;"),
    ("[%a_out + 4096], [%a_from_2], 16, %a_size_2",        "[%a_out + 4096], [%a_from_2], 16, %a_bytes_2"),
    ("[%b_write + 6144], [%b_from_3], 16, %b_size_3",      "[%b_write + 6144], [%b_from_3], 16, %b_size_2"),
    ("add.u64 %b_from_2, %b_from_2, %b_slab",              "add.u64 %b_from_2, %b_from_2, %b_skip"),
    ("add.u32 %slabs, %k, 31",                             "add.u32 %slabs, %k, 7"),
    ("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16",     "ldmatrix.sync.aligned.m8n8.x4.shared.b16"),
    ("{%c21z, %c21w};\n",                                  "{%c21x, %c21y};\n"),
]  # fmt: skip
MUTANTS = [
    *(("hgemm_mma.ptx", right, wrong) for right, wrong in BOTH),
    *(("hgemm_mma.noswizzle.ptx", right, wrong) for right, wrong in BOTH),
    ("hgemm_mma.ptx", "xor.b32 %b_read_3, %b_read_0, 96",  "add.u32 %b_read_3, %b_read_0, 96"),
    ("hgemm_mma.ptx", "shr.u32 %a_turn, %lane, 1",         "shr.u32 %a_turn, %lane, 2"),       # not the copy's
    ("hgemm_mma.noswizzle.ptx", "[%b_read + 4192]",        "[%b_read + 4160]"),
]  # fmt: skip

PAIR = PAIRS["hgemm_mma"].pair
SIDES = {source.path.name: source for source in PAIRS["hgemm_mma"].sources}
ARCHS = ["sm_80", "sm_90", "sm_100", "sm_120"]
TWO_SLABS = {"m": 128, "n": 128, "k": 64}


def counts(source, size=TWO_SLABS):
    arguments = PAIR.make_arguments(size, seed=1)
    return EmulatorBackend("sm_90").run(build(source, "sm_90"), PAIR.launch(**size), arguments, PAIR.outputs).counts


# ---- the machine code


@pytest.mark.parametrize("arch", ARCHS)
def test_wmma_and_mma_sync_are_the_same_machine_instructions(arch):
    """Of a slab: 64 HMMA, 16 LDSM. PTX copies a piece by one LDGSTS, C by one of two, with zeros or without."""
    mixes = {name: build(source, arch, "toolkit").report.sass for name, source in SIDES.items()}
    assert {mix["HMMA"] for mix in mixes.values()} == {2 * 4 * 8}
    assert {mix["LDSM"] for mix in mixes.values()} == {2 * (4 + 4)}
    copies = {name: mix["LDGSTS.128"] for name, mix in mixes.items()}
    pieces = 2 * (4 + 4)  # of the first slab, and of the next
    assert copies == {"hgemm_mma.cu": 2 * pieces, "hgemm_mma.ptx": pieces, "hgemm_mma.noswizzle.ptx": pieces}
    assert mixes["hgemm_mma.ptx"]["total"] < 0.6 * mixes["hgemm_mma.cu"]["total"]  # most of it at the edges of c


@pytest.mark.parametrize("arch", ARCHS)
def test_the_swizzle_costs_a_few_instructions_and_less_shared_memory_than_padding(arch):
    reports = {name: build(source, arch, "toolkit").report for name, source in SIDES.items()}
    swizzled, plain = (reports[name].sass["total"] for name in ("hgemm_mma.ptx", "hgemm_mma.noswizzle.ptx"))
    assert plain < swizzled < 1.05 * plain
    assert reports["hgemm_mma.ptx"].shared_bytes == 32768 < reports["hgemm_mma.cu"].shared_bytes == 37888


# ---- what the emulator counts: the banks


def test_swizzled_tiles_conflict_nowhere():
    found = counts(SIDES["hgemm_mma.ptx"])
    assert found["ptx_shared_load_conflicts"] == found["ptx_shared_store_conflicts"] == 0


def test_plain_tiles_are_read_in_six_times_as_many_passes():
    """Four for eight pieces of a, eight for eight of b. Written they are row by row, without a conflict."""
    swizzled, plain = (counts(SIDES[name]) for name in ("hgemm_mma.ptx", "hgemm_mma.noswizzle.ptx"))
    assert plain["ptx_shared_load_wavefronts"] == (4 + 8) / 2 * swizzled["ptx_shared_load_wavefronts"]
    assert plain["ptx_shared_load_conflicts"] == 5 * swizzled["ptx_shared_load_wavefronts"]
    assert plain["ptx_shared_store_conflicts"] == 0


def test_padded_tiles_are_read_without_conflicts_but_not_written():
    """Two rows of a, of 64 bytes each and 80 apart, that eight lanes copy at once, cover some banks twice."""
    found = counts(SIDES["hgemm_mma.cu"])
    assert found["ptx_shared_load_conflicts"] == 0
    assert found["ptx_shared_store_conflicts"] == 128 * 64 * 2 / 128  # of 64 columns of a, one each 128 bytes


def test_all_variants_multiply_and_copy_as_much():
    found = [counts(source) for source in SIDES.values()]
    for counter in ("ptx_mma_flops_f16", "ptx_async_bytes", "ptx_global_load_sectors", "ptx_global_store_sectors"):
        assert len({each[counter] for each in found}) == 1, counter
    assert found[0]["ptx_mma_flops_f16"] == PAIR.flops(**TWO_SLABS)


# ---- what the sanitiser finds


@pytest.mark.parametrize("name", ["hgemm_mma.ptx", "hgemm_mma.noswizzle.ptx"])
@pytest.mark.parametrize("missing", ["    cp.async.wait_group  0;\n", "    bar.sync             0;\n"])
def test_the_sanitiser_names_a_missing_wait_or_barrier(name, missing):
    text = (KERNELS / "ptx" / name).read_text()
    launch = PAIR.launch(**TWO_SLABS)

    def findings(text):
        arguments = [*PAIR.make_arguments(TWO_SLABS, seed=1).values()]
        return emulator.run(text, grid=launch.grid_xyz, block=launch.block_xyz, args=arguments, sanitize=True).findings

    assert missing in text
    assert findings(text) == ()
    assert findings(text.replace(missing, ""))


# ---- the reference and its tolerance


def test_the_reference_of_a_large_product_is_some_rows_of_it(monkeypatch):
    inputs = verify.widen(PAIR, PAIR.make_arguments({"m": 300, "n": 8, "k": 8}, seed=1))
    whole = PAIR.reference(**inputs)["c"]
    monkeypatch.setitem(PAIR.reference.__globals__, "WHOLE", 0)
    sample = PAIR.reference(**inputs)["c"]
    assert isinstance(sample, Sample)
    assert sample.values == pytest.approx(whole.reshape(-1)[sample.at], rel=1e-14)
    assert {int(at) // 8 // 128 for at in sample.at} == {0, 1, 2}  # every tile's rows
    assert (sample.at[0], sample.at[-1]) == (0, whole.size - 1)


def truncated(size, steps, keep):
    """c of `size` after `steps` steps of 16 of k, each sum cut toward zero to `keep` bits: by tensor cores, 24."""
    arguments = PAIR.make_arguments(size, seed=1)
    a, b = (arguments[name].astype(np.float64) for name in "ab")
    c = np.zeros((size["m"], size["n"]))
    for step in range(0, 16 * steps, 16):
        mantissa, exponent = np.frexp(c + a[:, step : step + 16] @ b[step : step + 16])
        c = np.ldexp(np.trunc(np.ldexp(mantissa, keep)), exponent - keep)
    return verify.verify({"c": c.astype(np.float32)}, verify.expect(PAIR, arguments), "hgemm_mma").worst


@pytest.mark.parametrize("k", [32, 512, 8192])
def test_the_tolerance_accepts_sums_cut_to_f32_and_neither_a_lost_step_nor_f16(k):
    size = {"m": 40, "n": 48, "k": k}
    assert truncated(size, k // 16, 24) is None
    assert truncated(size, k // 16 - 1, 24)
    assert truncated(size, k // 16, 11)
