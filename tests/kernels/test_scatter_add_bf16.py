"""The pair scatter_add_bf16; its other types share these tests."""

import dataclasses
import re
from itertools import pairwise

import numpy as np
import pytest

from ptxbench import verify
from ptxbench.backends.emulator import EmulatorBackend
from tests.kernels.harness import PAIRS, build, code, count


def scatter_add(x, idx, out, vectors):
    for targets in idx:
        for row, values in zip(targets, x, strict=True):
            out[row] = [total + value for total, value in zip(out[row], values, strict=True)]
    return {"out": out}


REFERENCE = (scatter_add, {"tokens": 5, "targets": 2, "columns": 16, "rows": 4})
REGISTERS = 24  # of .bulk.ptx on sm_120; 18 of the others

MUTANTS = [
    ("scatter_add_bf16.ptx", "setp.ge.u32 %past_end, %column",         "setp.gt.u32 %past_end, %column"),
    ("scatter_add_bf16.ptx", "mul.wide.u32 %to, %row",                 "mul.wide.u32 %to, %token"),
    ("scatter_add_bf16.ptx", "{%v_01, %v_23, %v_45, %v_67};",          "{%v_01, %v_23, %v_67, %v_45};"),
    ("scatter_add_bf16.ptx", "red.global.add.noftz.v4.bf16x2",         "st.global.v4.b32"),
    ("scatter_add_bf16.ptx", "red.global.add.noftz",                   "red.global.max.noftz"),
    ("scatter_add_bf16.ptx", "mad.lo.u32 %entry, %target, %tokens",    "mad.lo.u32 %entry, %target, 0"),
    ("scatter_add_bf16.bulk.ptx", "min.u32 %left, %left, 256",         "min.u32 %left, %left, 128"),
    ("scatter_add_bf16.bulk.ptx", "mul.wide.u32 %to, %row",            "mul.wide.u32 %to, %token"),
    ("scatter_add_bf16.bulk.ptx", "add.noftz.bf16 [%out_at]",          "add.noftz.f16 [%out_at]"),
    ("scatter_add_bf16.bulk.ptx", "cp.async.bulk.wait_group 0;",       ""),
    ("scatter_add_bf16.narrow.ptx", "[%out_at + 2048], %v_2",          "[%out_at + 1024], %v_2"),
    ("scatter_add_bf16.narrow.ptx", "[%out_at + 3072], %v_3",          "[%out_at + 3072], %v_2"),
    ("scatter_add_bf16.narrow.ptx", "add.noftz.bf16x2 [%out_at]",      "add.noftz.f16x2 [%out_at]"),  # the other format
    ("scatter_add_bf16.narrow.ptx", "setp.lt.u32 %whole",              "setp.le.u32 %whole"),
    ("scatter_add_bf16.narrow.ptx", "mad.lo.u32 %first, %block, 1024", "mad.lo.u32 %first, %block, 1023"),
    ("scatter_add_bf16.narrow.ptx", "add.u32 %first, %first, 256",     "add.u32 %first, %first, 512"),
]  # fmt: skip

TYPES = ("scatter_add_bf16", "scatter_add_bf16.f16", "scatter_add_bf16.f32")


def fallback(additions):
    """The extra instructions if an address may be in shared memory: per addition, a test and a loop."""
    return {"QSPC": additions, "ATOMS": additions}


def side(name, variant):
    return next(source for source in PAIRS[name].sources if source.variant == variant)


def additions(source, arch):
    """How many machine instructions add in memory or test the space of an address, by class."""
    classes = build(source, arch, "toolkit").report.sass
    return {name: count for name, count in classes.items() if re.match("ATOM|RED|QSPC", name)}


# ---- the values


@pytest.mark.parametrize("name", TYPES)
def test_a_row_gets_at_most_eight_tokens_and_some_row_gets_none(name):
    """The bound depends on the first; for the second, out must not change."""
    pair = PAIRS[name].pair
    adds = [
        np.bincount(pair.make_arguments(size, seed=1, integers=integers)["idx"].ravel(), minlength=size["rows"])
        for size in (*pair.check_sizes, {"tokens": 32, "targets": 2, "columns": 8, "rows": 64})
        for integers in (False, True)
    ]
    assert max(add.max() for add in adds) <= 8
    assert min(add.min() for add in adds) == 0


@pytest.mark.parametrize("name", TYPES)
def test_a_tolerance_rejects_an_addition_that_was_lost(name):
    pair = PAIRS[name].pair
    arguments = pair.make_arguments(pair.check_sizes[-1], seed=1)
    expected = verify.expect(pair, arguments)
    out = expected.outputs["out"].copy()
    out[arguments["idx"][-1, -1]] -= arguments["x"][-1].astype(np.float64)
    assert verify.verify({"out": out.astype(arguments["out"].dtype)}, expected, name).worst


# ---- what the headers and the page say of the machine code


@pytest.mark.parametrize("arch", ["sm_90", "sm_100", "sm_120"])
def test_one_instruction_adds_eight_values_where_cuda_c_needs_four_and_a_way_around_each(arch):
    """Four additions in a full stretch; the fifth is in the loop at the end of a row."""
    pair = "scatter_add_bf16"
    assert additions(side(pair, "ptx"), arch) == {"REDG.BF16x8": 1}
    assert additions(side(pair, "ptx.narrow"), arch) == {"REDG.BF16x2": 5}
    assert count(build(side(pair, "ptx.bulk"), arch, "toolkit").report, "UBLKCP", "UBLKRED") == [1, 1]
    assert additions(side(pair, "cuda"), arch) == {"ATOM.BF16x2": 5, **fallback(5)}
    assert additions(side(pair, "cuda.strided"), arch) == {"ATOM.BF16x2": 4, **fallback(4)}


LANE_MAPS = [
    # variant       load sectors, requests and sectors of atomics, of eight warps with 512 bytes each
    ("cuda",         128, 32, 128),
    ("cuda.strided", 128, 32, 512),
    ("ptx",          128,  8, 128),
    ("ptx.narrow",   128, 32, 128),
    ("ptx.bulk",     128,  1, 128),
]  # fmt: skip


def test_additions_of_consecutive_pairs_touch_a_quarter_of_the_sectors_of_strided_ones():
    """Up to here `cuda` had the lane map of `cuda.strided`, and lost by it, not by its language."""
    pair, size = PAIRS["scatter_add_bf16"].pair, {"tokens": 1, "targets": 1, "columns": 2048, "rows": 1}
    names = ("ptx_global_load_sectors", "ptx_atomic_global_requests", "ptx_atomic_global_sectors")
    for variant, *expected in LANE_MAPS:
        built = build(side("scatter_add_bf16", variant), "sm_90")
        run = EmulatorBackend("sm_90").run(built, pair.launch(**size), pair.make_arguments(size, 1), pair.outputs)
        row_loads = 1 if variant == "ptx.bulk" else 8  # one sector a warp, of the number of the row
        assert [run.counts[name] for name in names] == [expected[0] + row_loads, *expected[1:]], variant


def test_a_thread_of_cuda_c_waits_for_each_addition_before_it_makes_the_next():
    """ATOM returns whether the address was global, and a branch uses that. REDG returns nothing."""
    for variant, waits in (("cuda", True), ("ptx.narrow", False)):
        instructions = code(build(side("scatter_add_bf16", variant), "sm_90", "toolkit"))
        at = [i for i, text in enumerate(instructions) if text.startswith(("ATOM.", "REDG."))]
        assert len(at) == 5
        for first, second in pairwise(at):
            between = instructions[first + 1 : second]
            assert any(text.startswith("BRA") for text in between) or not waits
            assert instructions[first].split()[1].startswith("P") == waits


def changed(source, old, new, folder):
    """The variant with `new` in place of every `old`."""
    text = source.path.read_text()
    assert old in text
    path = folder / source.path.name
    path.write_text(text.replace(old, new))
    return dataclasses.replace(source, path=path)


def test_the_way_around_is_the_price_of_an_address_without_a_space(tmp_path):
    """The same PTX without `.global` is as long as the CUDA C."""
    narrow, cuda = side("scatter_add_bf16", "ptx.narrow"), side("scatter_add_bf16", "cuda")
    generic = changed(narrow, "red.global.", "red.", tmp_path)
    assert additions(generic, "sm_90") == additions(cuda, "sm_90")
    totals = [build(variant, "sm_90", "toolkit").report.sass["total"] for variant in (narrow, generic, cuda)]
    assert 2 * totals[0] < totals[1]
    assert abs(totals[1] - totals[2]) <= 8


def test_a_vector_needs_no_way_around_but_its_old_values_come_back(tmp_path):
    wide = changed(side("scatter_add_bf16", "ptx"), "red.global.", "red.", tmp_path)
    assert additions(wide, "sm_90") == {"ATOM.BF16x8": 1}


def test_an_atom_with_an_unused_old_value_becomes_a_red(tmp_path):
    narrow = changed(side("scatter_add_bf16", "ptx.narrow"), ".reg .b32 ", ".reg .b32 %old, ", tmp_path)
    atom = changed(narrow, "red.global.add.noftz.bf16x2  [", "atom.global.add.noftz.bf16x2  %old, [", tmp_path)
    assert additions(atom, "sm_90") == {"REDG.BF16x2": 5}


PROMISES = (
    "__builtin_assume(__isGlobal(out));",
    "out = static_cast<__nv_bfloat162*>(__cvta_global_to_generic(__cvta_generic_to_global(out)));",
)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise[:20])
def test_to_promise_that_an_address_is_global_does_not_spare_cuda_c_the_way_around(promise, tmp_path):
    before = "    if (first + 768 < pairs) {"
    cuda = changed(side("scatter_add_bf16", "cuda"), before, f"    {promise}\n{before}", tmp_path)
    assert additions(cuda, "sm_90") == {"ATOM.BF16x2": 5, **fallback(5)}
