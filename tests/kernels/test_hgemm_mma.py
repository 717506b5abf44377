"""The pair hgemm_mma."""

import dataclasses
import functools
import math

import numpy as np
import pytest

from ptxbench import emulator, verify
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.discovery.knobs import with_knobs
from ptxbench.executed import Counted, of_build
from ptxbench.pair import Sample
from tests.kernels.harness import KERNELS, PAIRS, build, count


def hgemm_mma(a, b, m, n, k):
    return {"c": [[math.fsum(a[i][s] * b[s][j] for s in range(k)) for j in range(n)] for i in range(m)]}


REFERENCE = (hgemm_mma, {"m": 3, "n": 8, "k": 16})
REGISTERS = 168  # with more, three CTAs of 128 threads no longer fit an SM

EACH = [
    ("{%a2x, %a2y, %a2z, %a2w}, {%b5x, %b5y}",         "{%a2x, %a2z, %a2y, %a2w}, {%b5x, %b5y}"),
    ("bar.sync 0;",                                    ""),
    ("cp.async.wait_group 1 /*= STAGES - 2 */;",       "cp.async.wait_group 2;"),               # not arrived yet
]  # fmt: skip
OF_THE_PAIR = [
    ("cp.async.commit_group;",                         ""),
    ("[%a_from_2], 16, %a_size_2",                     "[%a_from_2], 16"),
    ("[%b_from_3], 16, %b_size_3",                     "[%b_from_3], 16, %b_size_2"),
    ("mad.wide.u32 %b_from_0, %n, 64, %b_from_0",      "mad.wide.u32 %b_from_0, %n, 16, %b_from_0"),
    ("add.u32 %slabs, %k, 31",                         "add.u32 %slabs, %k, 7"),
    ("add.u32 %steps, %slabs, 2 /*= STAGES - 1 */",    "add.u32 %steps, %slabs, 1"),
    ("setp.eq.and.u32 %whole, %k_odd, 0, %whole;",     ""),                                     # past the end of k
    ("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16", "ldmatrix.sync.aligned.m8n8.x4.shared.b16"),
    ("{%c21z, %c21w};\n",                              "{%c21x, %c21y};\n"),
    ("xor.b32 %b_in_3, %b_in_0, 96",                   "add.u32 %b_in_3, %b_in_0, 96"),
    ("shr.u32 %a_turn, %lane, 1",                      "shr.u32 %a_turn, %lane, 2"),            # not the copy's
]  # fmt: skip
MUTANTS = [
    *((file, *edit) for file in ("hgemm_mma.ptx", "hgemm_mma.noswizzle.ptx") for edit in EACH),
    *(("hgemm_mma.ptx", *edit) for edit in OF_THE_PAIR),
]

PAIR = PAIRS["hgemm_mma"].pair
SIDES = {source.path.name: source for source in PAIRS["hgemm_mma"].sources}
ARCHS = ["sm_90", "sm_100"]  # NVRTC has a compiler of each
WHOLE_TILE = {"m": 128, "n": 128, "k": 128}  # four slabs, for a ring of three stages


def counts(source, size=WHOLE_TILE, pair=PAIR):
    """The counts of the emulator for a launch; its results must be correct."""
    arguments = pair.make_arguments(size, seed=1)
    ran = EmulatorBackend("sm_90").run(build(source, "sm_90"), pair.launch(**size), arguments, pair.outputs)
    assert verify.verify(ran.outputs, verify.expect(pair, arguments), source.path.name).worst is None
    return ran.counts


@functools.cache
def shipped(name):
    return counts(SIDES[name])


def executed(source, k):
    """Machine instructions that the warps of one whole tile execute."""
    size = {**WHOLE_TILE, "k": k}
    arguments, launch, built = PAIR.make_arguments(size, seed=1), PAIR.launch(**size), build(source, "sm_90", "toolkit")
    ran = EmulatorBackend("sm_90").run(built, launch, arguments, PAIR.outputs)
    return of_build(built, Counted(ran.by_line, math.prod(launch.block_xyz) // 32, ran.loops)).fit


def changed(name, folder, *edits):
    """A variant with other text, such as a rejected experiment."""
    text = SIDES[name].path.read_text()
    for right, wrong in edits:
        assert text.count(right) == 1, right
        text = text.replace(right, wrong)
    path = folder / name
    path.write_text(text)
    return dataclasses.replace(SIDES[name], path=path)


# ---- the machine code


@pytest.mark.parametrize("arch", ARCHS)
def test_a_slab_is_the_same_hmma_and_ldsm_on_both_sides(arch):
    """64 HMMA and 16 LDSM. C writes the loop out for each of its three stages, and keeps a second one for edges."""
    reports = {name: build(source, arch, "toolkit").report for name, source in SIDES.items()}
    bodies = {name: 1 if name.endswith(".ptx") else 3 + 1 for name in SIDES}
    for name, report in reports.items():
        assert report.sass["HMMA"] == bodies[name] * 2 * 4 * 8
        assert report.sass["LDSM"] == bodies[name] * 2 * (4 + 4)
    assert reports["hgemm_mma.ptx"].registers <= REGISTERS < 200 < reports["hgemm_mma.cu"].registers
    assert reports["hgemm_mma.noswizzle.ptx"].sass["total"] < 1.05 * reports["hgemm_mma.ptx"].sass["total"]


def test_a_prefetch_size_is_a_modifier_of_the_same_copies(tmp_path):
    """L2::128B, which C cannot express, changes no other instruction and no register count."""
    copy = "cp.async.cg.shared.global  ["
    text = SIDES["hgemm_mma.ptx"].path.read_text().replace(".version 7.0", ".version 7.4")
    path = tmp_path / "hgemm_mma.ptx"
    path.write_text(text.replace(copy, copy.replace("  [", ".L2::128B  [")))
    hinted = build(dataclasses.replace(SIDES["hgemm_mma.ptx"], path=path), "sm_90", "toolkit").report
    plain = build(SIDES["hgemm_mma.ptx"], "sm_90", "toolkit").report
    assert (hinted.sass, hinted.registers) == (plain.sass, plain.registers)
    assert count(hinted, "LDGSTS.LTC128B") == [2 * (4 + 4)]
    assert count(plain, "LDGSTS.LTC128B") == [0]


# ---- what the emulator counts: executed instructions and the banks


def test_only_the_tile_without_a_swizzle_has_bank_conflicts_and_takes_six_times_the_passes():
    """Four for eight pieces of a, eight for eight of b. Written they are row by row, without a conflict."""
    by_file = {name: shipped(name) for name in SIDES}
    plain = by_file.pop("hgemm_mma.noswizzle.ptx")
    for counters in by_file.values():
        assert counters["ptx_shared_load_conflicts"] == counters["ptx_shared_store_conflicts"] == 0
        assert counters["ptx_shared_load_wavefronts"] == plain["ptx_shared_load_wavefronts"] / ((4 + 8) / 2)
        assert counters["ptx_shared_store_wavefronts"] == plain["ptx_shared_store_wavefronts"]
    assert plain["ptx_shared_load_conflicts"] == 5 / 6 * plain["ptx_shared_load_wavefronts"]
    assert plain["ptx_shared_store_conflicts"] == 0


def test_all_variants_multiply_and_copy_as_much():
    counts_of = [shipped(name) for name in SIDES]
    for counter in ("ptx_mma_flops_f16", "ptx_async_bytes", "ptx_global_load_sectors", "ptx_global_store_sectors"):
        assert len({counters[counter] for counters in counts_of}) == 1, counter
    assert counts_of[0]["ptx_mma_flops_f16"] == PAIR.flops(**WHOLE_TILE)


def test_of_a_slab_c_executes_some_instructions_more_than_ptx():
    """64 of them are HMMA. C works out the address of each fragment."""
    slabs = {name: (executed(SIDES[name], 512) - executed(SIDES[name], 128)) / (12 * 4)
             for name in ("hgemm_mma.cu", "hgemm_mma.ptx")}  # fmt: skip
    assert 64 < slabs["hgemm_mma.ptx"] < slabs["hgemm_mma.cu"] < 1.1 * slabs["hgemm_mma.ptx"]


def test_the_conflicts_of_c_came_from_a_thread_map_and_a_fast_path_saves_its_guards(tmp_path):
    """Four lanes to a row of a, as PTX has it: two rows that eight lanes copy at once cover some banks twice."""
    old = changed(
        "hgemm_mma.cu",
        tmp_path,
        ("a_row = thread % 8 + 8 * (thread / 32), a_column = 8 * (thread / 8 % 4);",
         "a_row = thread / 4, a_column = 8 * (thread % 4);"),
        ("        multiply<true>(", "        multiply<false>("),
    )  # fmt: skip
    old_counts, kept = counts(old), shipped("hgemm_mma.cu")
    assert old_counts["ptx_global_load_sectors"] == kept["ptx_global_load_sectors"]
    assert old_counts["ptx_shared_load_conflicts"] == 0
    assert old_counts["ptx_shared_store_conflicts"] == 64 * WHOLE_TILE["k"] // 32
    assert executed(old, 512) > 1.2 * executed(SIDES["hgemm_mma.cu"], 512)


@pytest.mark.parametrize("stages", [2, 4])
def test_a_ring_of_two_or_four_stages_is_right_too(stages):
    """Whole and partial tiles, with more slabs than stages."""
    turned = with_knobs(PAIRS["hgemm_mma"], {"STAGES": stages})
    for source in turned.sources:
        if source.variant == "ptx" or (source.variant, stages) == ("cuda", 2):  # NVRTC takes seconds
            counts(source, {"m": 136, "n": 128, "k": 160}, turned.pair)


# ---- what the sanitiser finds


@pytest.mark.parametrize(
    "missing", ["    cp.async.wait_group  1 /*= STAGES - 2 */;\n", "    bar.sync             0;\n"]
)
def test_the_sanitiser_names_a_missing_wait_or_barrier(missing):
    text = (KERNELS / "ptx" / "hgemm_mma.ptx").read_text()
    launch = PAIR.launch(**WHOLE_TILE)

    def findings(text):
        arguments = [*PAIR.make_arguments(WHOLE_TILE, seed=1).values()]
        extent = {"grid": launch.grid_xyz, "block": launch.block_xyz, "dynamic_shared_bytes": launch.shared_bytes}
        return emulator.run(text, args=arguments, sanitize=True, **extent).findings

    assert missing in text
    assert findings(text) == ()
    assert findings(text.replace(missing, ""))


# ---- the reference and its tolerance


def test_the_reference_of_a_large_product_is_some_of_it(monkeypatch):
    inputs = verify.widen(PAIR, PAIR.make_arguments({"m": 300, "n": 8, "k": 8}, seed=1))
    whole = PAIR.reference(**inputs)["c"]
    monkeypatch.setitem(PAIR.reference.__globals__, "WHOLE", 0)
    sample = PAIR.reference(**inputs)["c"]
    assert isinstance(sample, Sample)
    assert sample.values == pytest.approx(whole.reshape(-1)[sample.at], rel=1e-14)
    assert {int(at) // 8 // 128 for at in sample.at} == {0, 1, 2}  # every tile's rows
    assert sample.at.size >= whole.size // 32


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
