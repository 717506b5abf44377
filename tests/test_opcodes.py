"""The cost of executed opcodes: each class with spellings that belong to it and some that do not."""

import pytest

from ptxbench import opcodes
from ptxbench.metrics import EXECUTED
from ptxbench.opcodes import respelt, weight

COUNTS = {name: read for name, _, _, read in EXECUTED}

MEMBERS = [
    ("ptx_divisions", ["div.rn.f32", "div.rn.ftz.f32", "rcp.rn.f32", "sqrt.rz.f64", "div.u32", "rem.s64"],
     ["div.full.f32", "div.approx.ftz.f32", "rcp.approx.ftz.f32", "div.u32 7", "rem.u64 10", "sqrt.approx.f32"]),
    ("ptx_subnormal_approximations", ["ex2.approx.f32", "div.full.f32", "rsqrt.approx.f32"],
     ["ex2.approx.ftz.f32", "div.full.ftz.f32", "rsqrt.approx.f64", "tanh.approx.f32"]),
    ("ptx_float_conversions", ["cvt.rn.f32.s32", "cvt.f64.f32", "cvt.rzi.u32.f32", "cvt.rn.bf16.f32", "cvt.f32.f16",
                               "cvt.rn.satfinite.e4m3x2.f32"],
     ["cvt.u64.u32", "cvt.s32.s8", "cvta.to.global.u64"]),
    ("ptx_generic_accesses", ["ld.f32", "st.v4.f32", "atom.add.u32", "ld.volatile.u32"],
     ["ld.global.f32", "ld.param.u64", "st.shared::cta.f32", "mov.u32"]),
    ("ptx_strong_accesses", ["ld.volatile.global.f32", "ld.relaxed.gpu.global.u64", "st.release.sys.global.u64"],
     ["ld.global.f32", "ld.volatile.shared.f32", "atom.relaxed.gpu.global.add.u32"]),
    ("ptx_ordering_accesses", ["ld.acquire.gpu.global.u64", "atom.acq_rel.gpu.global.add.u32"],
     ["ld.relaxed.gpu.global.u64", "fence.acq_rel.gpu"]),
    ("ptx_sys_accesses", ["ld.acquire.sys.global.u64", "ld.volatile.global.f32", "red.relaxed.sys.global.add.u32"],
     ["ld.acquire.gpu.global.u64", "atom.global.add.u32", "ld.volatile.shared.f32", "fence.sc.sys"]),
    ("ptx_gpu_accesses", ["atom.global.add.u32", "ld.acquire.sys.global.u64"],
     ["ld.global.f32", "atom.relaxed.cta.global.add.u32", "atom.shared.add.u32"]),
    ("ptx_fences", ["membar.cta", "fence.acq_rel.gpu", "fence.proxy.async.shared::cta"], ["bar.sync"]),
    ("ptx_gpu_fences", ["membar.gl", "membar.sys", "fence.acq_rel.sys"], ["membar.cta", "fence.sc.cluster"]),
    ("ptx_sys_fences", ["membar.sys", "fence.sc.sys"], ["membar.gl", "ld.acquire.sys.global.u64"]),
    ("ptx_sequential_fences", ["membar.gl", "fence.sc.cta"], ["fence.acq_rel.gpu"]),
    ("ptx_full_waits", ["cp.async.wait_all", "cp.async.wait_group 0", "cp.async.bulk.wait_group.read 0"],
     ["cp.async.wait_group 1", "cp.async.commit_group", "mbarrier.try_wait.parity.shared::cta.b64",
      "nanosleep.u32 0"]),
    ("ptx_sleeps", ["nanosleep.u32", "nanosleep.u32 100"], []),
]  # fmt: skip


@pytest.mark.parametrize(("metric", "members", "others"), MEMBERS, ids=[case[0] for case in MEMBERS])
def test_a_class_has_its_members_and_no_others(metric, members, others):
    for opcode in members:
        assert COUNTS[metric]({opcode: 3}) == 3, opcode
    for opcode in others:
        assert COUNTS[metric]({opcode: 3}) == 0, opcode


def test_every_class_is_tried():
    summed = {"ptx_weighted_instructions", "ptx_sleep_ns", "ptx_cluster_accesses", "ptx_cluster_fences"}
    assert {case[0] for case in MEMBERS} | summed == set(COUNTS)


def test_sleep_counts_its_time_where_that_is_constant():
    assert COUNTS["ptx_sleep_ns"]({"nanosleep.u32 100": 3, "nanosleep.u32": 5, "div.u32 7": 1}) == 300


@pytest.mark.parametrize("opcode", ["", " ", ".", "nanosleep.u32 x", "nanosleep.u32 " + "9" * 5_000, "div.u32 -1",
                                    "ld..", "\u0669.f32", "cp.async.wait_group \u0660"])  # fmt: skip
def test_unknown_opcodes_cause_no_error(opcode):
    """A run may come from a stranger."""
    assert all(isinstance(read({opcode: 2}), int) for read in COUNTS.values())
    assert isinstance(respelt({opcode: 2}, {}), str)


WEIGHTS = {
    "add.rn.f32": 1, "div.u16 7": 4, "rem.s32 7": 4, "div.u64 7": 10, "rem.u16": 8, "div.u32": 20, "div.s64": 70,
    "sqrt.rn.f64": 25, "div.f64": 25, "rcp.rn.f64": 15, "div.rn.f32": 12, "rcp.rn.ftz.f32": 12, "div.full.f32": 8,
    "div.full.ftz.f32": 5, "div.approx.f32": 5, "div.approx.ftz.f32": 2, "rcp.approx.f32": 7, "ex2.approx.f32": 4,
    "ex2.approx.ftz.f32": 1, "sin.approx.f32": 2, "mul.lo.s64": 4, "mul.hi.u64": 7, "mul.lo.u32": 1, "mad.lo.s64": 5,
    "max.s64": 4, "max.s32": 1, "add.u64": 2, "setp.lt.u64": 2, "add.f64": 1, "bfe.u32": 3,
}  # fmt: skip


def test_an_instruction_that_is_many_machine_instructions_weighs_more():
    assert {opcode: weight(opcode) for opcode in WEIGHTS} == WEIGHTS
    assert opcodes.weighted({"add.f32": 10, "div.rn.f32": 2}) == 34


CHANGES = [
    ({"ld.global.nc.L2::128B.f32": 4}, {"ld.global.nc.f32": 4}, "ld.global.nc.L2::128B.f32 -> ld.global.nc.f32"),
    ({"ld.global.cg.f32": 4, "ld.global.f32": 2}, {"ld.global.cg.f32": 2, "ld.global.f32": 4},
     "ld.global.cg.f32 -> ld.global.f32"),
    ({"prefetch.global.L2": 4, "ld.global.f32": 1}, {"ld.global.f32": 1}, "prefetch.global.L2 -> nothing"),
    ({"discard.global.L2": 4, "applypriority.global.L2::evict_normal": 2}, {"cp.async.bulk.prefetch.L2.global": 4},
     "applypriority.global.L2::evict_normal, discard.global.L2 -> cp.async.bulk.prefetch.L2.global"),
    ({"cp.async.bulk.prefetch.L2.global": 4}, {}, "cp.async.bulk.prefetch.L2.global -> nothing"),
    ({"ld.global.f32": 4}, {"ld.global.f32": 8}, ""),
    ({"ld.global.f32": 8}, {"ld.global.f32": 4}, ""),
    ({"ld.global.f32": 4, "ld.global.nc.f32": 2}, {"ld.global.f32": 4, "ld.global.nc.f32": 4}, ""),
    ({"ld.shared.f32": 4}, {"ld.volatile.shared.f32": 4}, ""),
    ({"add.f32": 4}, {"sub.f32": 4}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "message"), CHANGES)
def test_accesses_that_took_another_form_are_named(before, after, message):
    assert respelt(before, after) == message
