"""Which instructions make the result of a launch depend on the order of its CTAs, or on the schedule of its warps."""

import pytest

from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.translate import translate

KERNEL = """.version 8.7
.target sm_90a
.address_size 64
.extern .func (.param .b32 r) vprintf(.param .b64 format, .param .b64 arguments);
.extern .func (.param .b64 r) malloc(.param .b64 bytes);
.global .align 128 .b8 map[128];
.visible .entry k(.param .u64 x)
{
    .reg .u64 %x, %old;
    .reg .u32 %r, %n;
    .reg .b32 %b;
    .reg .b16 %h;
    .reg .f32 %f;
    .reg .pred %p;
    .shared .align 128 .b8 tile[256];
    .shared .align 8 .b64 bar;
    .local .align 8 .b8 own[8];
    ld.param.u64 %x, [x];
    mov.u32 %r, %tid.x;
    BODY
    ret;
}
"""


def translation(body):
    module = parse(KERNEL.replace("BODY", body))
    return translate(module, choose(module, "k"))


PRINT = """{ .param .b64 a; .param .b64 b; .param .b32 r;
    st.param.b64 [a], %x; st.param.b64 [b], %x; call (r), vprintf, (a, b); }"""
ALLOCATE = "{ .param .b64 a; .param .b64 r; st.param.b64 [a], 8; call (r), malloc, (a); }"

# What the kernel does, whether its CTAs must run in order, whether its results may depend on the schedule.
ROWS = [
    ("ld.global.u32 %n, [%x];",                                                             False, False),
    # loads that may wait for another CTA
    ("ld.volatile.global.u32 %n, [%x];",                                                    True,  False),
    ("ld.relaxed.gpu.global.u32 %n, [%x];",                                                 True,  False),
    ("ld.acquire.gpu.global.u32 %n, [%x];",                                                 True,  False),
    ("ld.mmio.relaxed.sys.global.u32 %n, [%x];",                                            True,  False),
    ("ld.volatile.u32 %n, [%x];",                                                           True,  False),
    ("ld.volatile.shared.u32 %n, [tile];",                                                  False, False),
    ("ld.acquire.cta.shared::cta.u32 %n, [tile];",                                          False, False),
    # old values that are used
    ("atom.global.add.u32 %n, [%x], 1; st.global.u32 [%x+4], %n;",                          True,  True),
    ("atom.global.add.u32 %n, [%x], 1;",                                                    False, False),
    ("atom.shared.add.u32 %n, [tile], 1; st.global.u32 [%x], %n;",                          False, True),
    ("atom.global.exch.b32 %n, [%x], %r;",                                                  True,  False),
    ("atom.global.cas.b32 %n, [%x], 0, %r;",                                                True,  False),
    # sums that depend on the order
    ("red.global.add.f32 [%x], %f;",                                                        True,  True),
    ("red.global.add.noftz.f16 [%x], %h;",                                                  True,  True),
    ("red.global.add.noftz.bf16x2 [%x], %b;",                                               True,  True),
    ("red.shared.add.f32 [tile], %f;",                                                      False, True),
    ("red.global.inc.u32 [%x], 7;",                                                         True,  False),
    # operations that commute with themselves, and not with others
    ("red.global.add.u32 [%x], 1; red.global.add.u32 [%x+4], 2;",                           False, False),
    ("red.global.add.u32 [%x], 1; red.global.add.s32 [%x], 2;",                             False, False),
    ("red.global.min.u32 [%x], 1; red.global.min.s32 [%x], 2;",                             True,  False),
    ("red.global.add.u32 [%x], 1; red.global.add.u64 [%x], 2;",                             True,  False),
    ("red.global.and.b32 [%x], 1; red.global.or.b32 [%x], 2;",                              True,  False),
    ("red.global.and.b32 [%x], 1; red.shared.or.b32 [tile], 2;",                            False, False),
    # bulk reductions
    ("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.u32 [%x], [tile], 16;",        True,  False),
    ("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.noftz.f16 [%x], [tile], 16;",  True,  True),
    ("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.noftz.bf16 [%x], [tile], 16;", True,  True),
    ("cp.reduce.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes.add.u32 [tile+128], [tile], 16, "
     "[bar];",                                                                              False, False),
    ("cp.reduce.async.bulk.tensor.1d.global.shared::cta.add.bulk_group [%x, {%r}], [tile];", True, True),
    ("cp.reduce.async.bulk.tensor.1d.global.shared::cta.min.bulk_group [%x, {%r}], [tile];", True, False),
    # tensor maps that a kernel changes
    ("tensormap.replace.tile.rank.global.b1024.b32 [map], 1;",                              True,  False),
    ("tensormap.replace.tile.rank.shared::cta.b1024.b32 [tile], 1;",                        False, False),
    # which lanes arrive together, and when
    ("activemask.b32 %n;",                                                                  False, True),
    ("vote.sync.any.pred %p, %p, -1;",                                                      False, False),
    ("shfl.sync.idx.b32 %n, %r, 0, 31, -1;",                                                False, False),
    ("mov.u32 %n, %clock;",                                                                 False, True),
    ("mov.u64 %old, %clock64;",                                                             False, True),
    ("mov.u64 %old, %globaltimer;",                                                         False, True),
    # calls
    (PRINT,                                                                                 True,  True),
    (ALLOCATE,                                                                              True,  True),
]  # fmt: skip


@pytest.mark.parametrize(("body", "in_order", "scheduled"), ROWS, ids=[body[:60] for body, *_ in ROWS])
def test_results_depend_on_the_order_of_ctas_or_on_the_schedule(body, in_order, scheduled):
    translated = translation(body)
    assert (translated.order_reason is not None, translated.schedule_obstacle is not None) == (in_order, scheduled)


@pytest.mark.parametrize("body", ["vote.any.pred %p, %p;", "shfl.idx.b32 %n, %r, 0, 31;"])
def test_old_votes_and_shuffles_depend_on_the_lanes_that_arrive(body):
    module = parse(KERNEL.replace("BODY", body).replace("8.7", "6.0").replace("sm_90a", "sm_60"))
    assert translate(module, choose(module, "k")).schedule_obstacle == f"line 20 uses {body.split()[0]}"
