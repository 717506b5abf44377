"""Instructions within a warp that sm_80 lacks: matches, reductions, narrow floats; and the votes of the oldest PTX."""

import itertools

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.variation import Variation
from tests.emulator.modules import OLD, Modules

module = Modules()


def test_ptxas_accepts_these_kernels():
    module.assemble()


MATCH = module("""
.visible .entry matches(.param .u64 x, .param .u64 z, .param .u32 mask)
{
    .reg .u64 %x, %z, %wide;
    .reg .u32 %lane, %v, %m, %a, %b, %c, %d, %e, %f;
    .reg .pred %in, %p, %q, %lead;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %z, [z];
    ld.param.u32 %m, [mask];
    mad.wide.u32 %x, %lane, 8, %x;
    mad.wide.u32 %z, %lane, 32, %z;
    mov.u32 %v, %lanemask_eq;
    and.b32 %v, %v, %m;
    setp.eq.u32 %in, %v, 0;
    @%in exit;
    ld.global.u64 %wide, [%x];
    cvt.u32.u64 %v, %wide;
    match.any.sync.b32 %a, %v, %m;
    match.any.sync.b64 %b, %wide, %m;
    match.all.sync.b32 %c|%p, %v, %m;
    match.all.sync.b64 %d|%q, %wide, %m;
    selp.u32 %e, 1, 0, %p;
    elect.sync %f|%lead, %m;
    st.global.v4.u32 [%z], {%a, %b, %c, %d};
    st.global.v2.u32 [%z+16], {%e, %f};
    selp.u32 %e, 1, 0, %lead;
    selp.u32 %f, 1, 0, %q;
    st.global.v2.u32 [%z+24], {%e, %f};
    ret;
}
""")


@pytest.mark.parametrize("mask", [0xFFFFFFFF, 0x0000FF00, 0x80000001, 0x12345678])
@pytest.mark.parametrize("values", ["same", "low halves", "few", "different"])
def test_lanes_find_those_that_hold_their_value(mask, values):
    lanes = np.arange(32, dtype=np.uint64)
    x = {"same": lanes * 0 + 9, "low halves": (lanes % 2 << 32) + 9, "few": lanes % 3, "different": lanes}[values]
    z = np.full((32, 8), 77, np.uint32)
    emulator.run(MATCH, grid=1, block=32, args=[x.astype(np.uint64), z, np.uint32(mask)])
    members = [lane for lane in range(32) if mask >> lane & 1]

    def holders(value, bits):
        return sum(1 << lane for lane in members if int(x[lane]) % 2**bits == int(value) % 2**bits)

    for lane in members:
        any32, any64 = holders(x[lane], 32), holders(x[lane], 64)
        all32, all64 = any32 == mask, any64 == mask
        expected = [any32, any64, mask * all32, mask * all64, all32, members[0], lane == members[0], all64]
        assert z[lane].tolist() == list(map(int, expected))
    assert all((z[lane] == 77).all() for lane in range(32) if lane not in members)


@pytest.mark.parametrize(("seed", "elected"), [(None, 4), (0, 28), (1, 28)])
def test_a_variation_elects_another_lane_and_always_the_same(seed, elected):
    """PTX does not say which lane is elected: a kernel that relies on the lowest is wrong."""
    mask = np.uint32(0x12345670)
    for _ in range(2):
        z = np.full((32, 8), 77, np.uint32)
        variation = Variation(registers=seed)
        emulator.run(MATCH, grid=1, block=32, args=[np.zeros(32, np.uint64), z, mask], variation=variation)
        members = [lane for lane in range(32) if int(mask) >> lane & 1]
        assert {int(z[lane, 5]) for lane in members} == {elected}
        assert [lane for lane in members if z[lane, 6]] == [elected]


REDUX = module("""
.visible .entry redux_f32(.param .u64 x, .param .u64 z, .param .u32 mask)
{
    .reg .u64 %x, %z;
    .reg .u32 %lane, %v, %m;
    .reg .f32 %a, %r<8>;
    .reg .pred %in;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %z, [z];
    ld.param.u32 %m, [mask];
    mad.wide.u32 %x, %lane, 4, %x;
    mad.wide.u32 %z, %lane, 32, %z;
    mov.u32 %v, %lanemask_eq;
    and.b32 %v, %v, %m;
    setp.eq.u32 %in, %v, 0;
    @%in exit;
    ld.global.f32 %a, [%x];
    redux.sync.min.f32 %r0, %a, %m;
    redux.sync.max.f32 %r1, %a, %m;
    redux.sync.min.abs.f32 %r2, %a, %m;
    redux.sync.max.abs.f32 %r3, %a, %m;
    redux.sync.min.NaN.f32 %r4, %a, %m;
    redux.sync.max.NaN.f32 %r5, %a, %m;
    redux.sync.min.abs.NaN.f32 %r6, %a, %m;
    redux.sync.max.abs.NaN.f32 %r7, %a, %m;
    st.global.v4.f32 [%z], {%r0, %r1, %r2, %r3};
    st.global.v4.f32 [%z+16], {%r4, %r5, %r6, %r7};
    ret;
}
""")


@pytest.mark.parametrize("mask", [0xFFFFFFFF, 0x00FF0000])
@pytest.mark.parametrize("values", ["numbers", "zeros", "one nan", "all nan", "infinities"])
def test_f32_reductions_of_a_warp(mask, values):
    x = np.random.default_rng(7).normal(size=32).astype(np.float32)
    if values == "zeros":
        x = np.where(np.arange(32) % 2, -0.0, 0.0).astype(np.float32)
    elif values == "one nan":
        x[20] = np.nan
    elif values == "all nan":
        x[:] = np.nan
    elif values == "infinities":
        x[17], x[18] = np.inf, -np.inf
    z = np.zeros((32, 8), np.uint32)
    emulator.run(REDUX, grid=1, block=32, args=[x, z, np.uint32(mask)])
    members = [lane for lane in range(32) if mask >> lane & 1]
    taken = x[members]

    def best(pick, numbers, spread):
        numbers = numbers if spread else numbers[~np.isnan(numbers)]
        if numbers.size == 0 or np.isnan(numbers).any():
            return 0x7FFFFFFF
        keyed = pick(numbers, key=lambda v: (v, not np.signbit(v)))
        return int(np.float32(keyed).view(np.uint32))

    expected = [
        best(pick, size(taken), nan) for nan in (False, True) for size in (np.positive, np.abs) for pick in (min, max)
    ]
    for lane in members:
        assert z[lane].tolist() == expected


ANCIENT = module("""
.visible .entry without_sync(.param .u64 z)
{
    .reg .u64 %z;
    .reg .u32 %lane, %a, %b, %c, %d, %bit;
    .reg .pred %p, %q, %odd, %low;
    mov.u32 %lane, %tid.x;
    ld.param.u64 %z, [z];
    mad.wide.u32 %z, %lane, 16, %z;
    setp.ge.u32 %low, %lane, 24;
    @%low exit;                               // 24 lanes are left
    and.b32 %bit, %lane, 1;
    setp.ne.u32 %odd, %bit, 0;
    shfl.bfly.b32 %a|%p, %lane, 1, 31;
    shfl.up.b32 %b, %lane, 2, 0;
    vote.ballot.b32 %c, %odd;
    vote.any.pred %p, %odd;
    vote.all.pred %q, %odd;
    selp.u32 %d, 1, 0, %p;
    @%q add.u32 %d, %d, 2;
    vote.uni.pred %q, %odd;
    @%q add.u32 %d, %d, 4;
    st.global.v4.u32 [%z], {%a, %b, %c, %d};
    ret;
}
""", OLD)  # fmt: skip


def test_shuffles_and_votes_without_sync_use_the_active_lanes():
    z = np.zeros((32, 4), np.uint32)
    emulator.run(ANCIENT, grid=1, block=32, args=[z])
    for lane in range(24):
        assert z[lane].tolist() == [lane ^ 1, max(lane - 2, 0) if lane >= 2 else lane, 0xAAAAAA, 1]


NARROW = ("e4m3x2", "e5m2x2", "e2m3x2", "e3m2x2", "e2m1x2")


def narrowed():
    """A kernel that makes each narrow format of pairs of halves, straight and by way of f32."""
    body = []
    for kind, finite in itertools.product(NARROW, ("satfinite", "satfinite.relu")):
        result = "%c" if kind == "e2m1x2" else "%h"
        for source, upper, lower in (("f16x2", "%f0", "%f1"), ("bf16x2", "%g0", "%g1")):
            for sources in ("%pair", f"{upper}, {lower}"):
                origin = source if sources == "%pair" else "f32"
                body.append(f"cvt.rn.{finite}.{kind}.{origin} {result}, {sources};")
                body.append(f"st.global.{'b8' if result == '%c' else 'b16'} [%z], {result};")
                body.append("add.u64 %z, %z, 2;")
    for name, to in (("f16", "bf16"), ("bf16", "f16")):
        for rounding in ("", ".rn"):
            body.append(f"cvt{rounding}.{to}.{name} %h, %low;")
            body.append("st.global.b16 [%z], %h;")
            body.append("add.u64 %z, %z, 2;")
    text = "\n    ".join(body)
    return len(body) // 3, module(f"""
.visible .entry narrowed(.param .u64 x, .param .u64 z)
{{
    .reg .u64 %x, %z;
    .reg .b32 %thread, %pair;
    .reg .b16 %h, %low, %high;
    .reg .b8 %c;
    .reg .f32 %f<2>, %g<2>;
    mov.u32 %thread, %tid.x;
    ld.param.u64 %x, [x];
    ld.param.u64 %z, [z];
    mad.wide.u32 %x, %thread, 4, %x;
    mad.wide.u32 %z, %thread, {2 * len(body) // 3}, %z;
    ld.global.b32 %pair, [%x];
    mov.b32 {{%low, %high}}, %pair;
    cvt.f32.f16 %f0, %high;
    cvt.f32.f16 %f1, %low;
    cvt.f32.bf16 %g0, %high;
    cvt.f32.bf16 %g1, %low;
    {text}
    ret;
}}
""")


COLUMNS, NARROWED = narrowed()


def test_conversions_to_narrow_floats_agree_for_f16_and_f32_sources():
    x = np.random.default_rng(2).permutation(1 << 16).astype(np.uint16).reshape(-1, 2)[:1024]
    x[:8] = [[0, 0x8000], [0x7C00, 0xFC00], [0x7E00, 0x7FC0], [0xFFFF, 1], [0x7F80, 0xFF80], [0x3C00, 0x3F80],
             [0x5F00, 0x43E0], [0x8001, 0x0400]]  # fmt: skip
    z = np.zeros((1024, COLUMNS), np.uint16)
    emulator.run(NARROWED, grid=1, block=1024, args=[x, z])
    assert (z[:, ::2] == z[:, 1::2]).all()
    assert len(np.unique(z)) > 1000
