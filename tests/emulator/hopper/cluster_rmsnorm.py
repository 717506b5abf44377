"""cluster_rmsnorm: a row for each cluster of eight CTAs, which exchange their sums by st.async, and mistakes in it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptxbench import emulator
from tests.emulator.hopper.mistakes import Mistake

CLUSTER, EPSILON = 8, np.float32(1e-5)


def summed(distances: tuple[int, ...], mask: str) -> str:
    """%sum becomes the sum over lanes that are those distances apart."""
    return "\n    ".join(
        f"shfl.sync.bfly.b32  %other, %sum, {distance}, 31, {mask};\n    add.rn.f32      %sum, %sum, %other;"
        for distance in distances
    )


PTX = f"""\
// cluster_rmsnorm: y = x * w / sqrt(mean(x^2) + epsilon), for each row of n f32. n: a multiple of 32.
// Each CTA of a cluster keeps an eighth of the row in shared memory, so x is read once. It sends the sum of its squares
// to all eight by st.async: the value, and its bytes at an mbarrier of the target, in one instruction.
//
// grid (8 * rows, 1, 1)   block (256, 1, 1)   cluster (8, 1, 1)   shared n / 2 bytes, dynamic

.version 8.1
.target sm_90
.address_size 64

.extern .shared .align 16 .b8 kept[];

.visible .entry cluster_rmsnorm(
    .param .u64 x,
    .param .u64 w,
    .param .u64 y,
    .param .u32 n,
    .param .f32 epsilon
)
.reqntid 256, 1, 1
.reqnctapercluster 8, 1, 1
{{
    .reg .u32   %thread, %warp, %lane, %rank, %row, %n, %part, %i, %kept_at;
    .reg .u32   %slot, %slot_there, %arrived, %arrived_there;
    .reg .u64   %x_at, %w_at, %y_at, %start, %wide;
    .reg .f32   %x<4>, %w<4>, %s<8>, %sum, %other, %count, %epsilon, %scale;
    .reg .pred  %leads, %others, %past, %more, %done;
    .shared .align 8  .b64 arrived;         // the eight sums have arrived
    .shared .align 16 .f32 sums[8];         // one from each CTA of the cluster
    .shared .align 16 .f32 partial[8];      // one from each warp

    mov.u32         %thread, %tid.x;
    and.b32         %lane, %thread, 31;
    shr.u32         %warp, %thread, 5;
    mov.u32         %rank, %cluster_ctarank;
    mov.u32         %row, %clusterid.x;
    ld.param.u32    %n, [n];
    shr.u32         %part, %n, 3;
    mov.u32         %arrived, arrived;

    // ---- one arrival, its own, and 32 bytes
    setp.ne.u32     %others, %thread, 0;
    @%others bra    STARTED;
    mbarrier.init.shared::cta.b64  [%arrived], 1;
    fence.mbarrier_init.release.cluster;
    mbarrier.arrive.expect_tx.shared::cta.b64  _, [%arrived], 32;
STARTED:
    barrier.cluster.arrive.relaxed.aligned; // the wait for it is below: no CTA may send before all have their mbarrier

    // ---- sum = the thread's part of x^2; x is kept
    mul.wide.u32    %start, %row, %n;
    mad.wide.u32    %start, %rank, %part, %start;
    shl.b64         %start, %start, 2;
    ld.param.u64    %x_at, [x];
    cvta.to.global.u64  %x_at, %x_at;
    add.u64         %x_at, %x_at, %start;
    mov.f32         %sum, 0f00000000;
    shl.b32         %i, %thread, 2;
    setp.ge.u32     %past, %i, %part;
    @%past bra      SUMMED;
READ:
    mad.wide.u32    %wide, %i, 4, %x_at;
    ld.global.nc.v4.f32  {{%x0, %x1, %x2, %x3}}, [%wide];
    mov.u32         %kept_at, kept;
    mad.lo.u32      %kept_at, %i, 4, %kept_at;
    st.shared.v4.f32  [%kept_at], {{%x0, %x1, %x2, %x3}};
    fma.rn.f32      %sum, %x0, %x0, %sum;
    fma.rn.f32      %sum, %x1, %x1, %sum;
    fma.rn.f32      %sum, %x2, %x2, %sum;
    fma.rn.f32      %sum, %x3, %x3, %sum;
    add.u32         %i, %i, 1024;
    setp.lt.u32     %more, %i, %part;
    @%more bra      READ;
SUMMED:
    // ---- a sum for each warp, then in threads 0 to 7 that of the CTA
    {summed((16, 8, 4, 2, 1), "0xffffffff")}
    setp.eq.u32     %leads, %lane, 0;
    mov.u32         %slot, partial;
    mad.lo.u32      %slot, %warp, 4, %slot;
    @%leads st.shared.f32  [%slot], %sum;
    bar.sync        0;
    barrier.cluster.wait.acquire.aligned;
    setp.ge.u32     %others, %thread, 8;
    @%others bra    SENT;
    mov.u32         %slot, partial;
    mad.lo.u32      %slot, %thread, 4, %slot;
    ld.shared.f32   %sum, [%slot];
    {summed((4, 2, 1), "0xff")}
    // ---- thread t sends it to CTA t, at the place of this CTA
    mov.u32         %slot, sums;
    mad.lo.u32      %slot, %rank, 4, %slot;
    mapa.shared::cluster.u32  %slot_there, %slot, %thread;
    mapa.shared::cluster.u32  %arrived_there, %arrived, %thread;
    st.async.shared::cluster.mbarrier::complete_tx::bytes.f32  [%slot_there], %sum, [%arrived_there];
SENT:
    mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64  %done, [%arrived], 0;
    @!%done bra     SENT;

    // ---- scale = 1 / sqrt(sum / n + epsilon)
    ld.shared.v4.f32  {{%s0, %s1, %s2, %s3}}, [sums];
    ld.shared.v4.f32  {{%s4, %s5, %s6, %s7}}, [sums+16];
    add.rn.f32      %s0, %s0, %s1;
    add.rn.f32      %s2, %s2, %s3;
    add.rn.f32      %s4, %s4, %s5;
    add.rn.f32      %s6, %s6, %s7;
    add.rn.f32      %s0, %s0, %s2;
    add.rn.f32      %s4, %s4, %s6;
    add.rn.f32      %sum, %s0, %s4;
    cvt.rn.f32.u32  %count, %n;
    div.rn.f32      %sum, %sum, %count;
    ld.param.f32    %epsilon, [epsilon];
    add.rn.f32      %sum, %sum, %epsilon;
    rsqrt.approx.ftz.f32  %scale, %sum;

    // ---- y = x * scale * w, from what was kept
    ld.param.u64    %w_at, [w];
    ld.param.u64    %y_at, [y];
    cvta.to.global.u64  %w_at, %w_at;
    cvta.to.global.u64  %y_at, %y_at;
    mul.wide.u32    %wide, %rank, %part;
    shl.b64         %wide, %wide, 2;
    add.u64         %w_at, %w_at, %wide;
    add.u64         %y_at, %y_at, %start;
    shl.b32         %i, %thread, 2;
    @%past bra      DONE;
WRITE:
    mov.u32         %kept_at, kept;
    mad.lo.u32      %kept_at, %i, 4, %kept_at;
    ld.shared.v4.f32  {{%x0, %x1, %x2, %x3}}, [%kept_at];
    mad.wide.u32    %wide, %i, 4, %w_at;
    ld.global.nc.v4.f32  {{%w0, %w1, %w2, %w3}}, [%wide];
    mul.rn.f32      %x0, %x0, %scale;
    mul.rn.f32      %x1, %x1, %scale;
    mul.rn.f32      %x2, %x2, %scale;
    mul.rn.f32      %x3, %x3, %scale;
    mul.rn.f32      %x0, %x0, %w0;
    mul.rn.f32      %x1, %x1, %w1;
    mul.rn.f32      %x2, %x2, %w2;
    mul.rn.f32      %x3, %x3, %w3;
    mad.wide.u32    %wide, %i, 4, %y_at;
    st.global.v4.f32  [%wide], {{%x0, %x1, %x2, %x3}};
    add.u32         %i, %i, 1024;
    setp.lt.u32     %more, %i, %part;
    @%more bra      WRITE;
DONE:
    ret;                                    // all sums for this CTA have arrived: no store comes after its exit
}}
"""


def run(text: str = PTX, size: tuple[int, int] = (2, 1056), **options: Any) -> tuple[Any, Any, Any]:
    """y, y in float64, and the execution. `size`: rows, n. Where y is within its bound, it is given as in float64."""
    rows, n = size
    draw = np.random.default_rng(n)
    x, w = draw.normal(size=(rows, n)).astype(np.float32), draw.normal(size=n).astype(np.float32)
    y = np.full((rows, n), np.nan, np.float32)
    execution = emulator.run(
        text, grid=CLUSTER * rows, block=256, args=[x, w, y, np.uint32(n), EPSILON], dynamic_shared_bytes=n // 2,
        arch="sm_90", **options,
    )  # fmt: skip
    wide = x.astype(np.float64)
    expected = wide * w / np.sqrt((wide**2).mean(axis=1, keepdims=True) + EPSILON)
    # A product of squares passes (n / 2048 + 20) roundings at most, and half of their error comes through the root.
    bound = (n / 2048 + 20) * 2.0**-24 * abs(expected)
    return np.where(abs(y - expected) <= bound, expected, y), expected, execution


MISTAKES = [
    Mistake("no wait for the sums",            "@!%done bra     SENT;", "", at="st.async"),
    Mistake("a wrong parity",                  "[%arrived], 0;\n    @!", "[%arrived], 1;\n    @!", at="st.async"),
    Mistake("too many bytes expected",         "_, [%arrived], 32;", "_, [%arrived], 36;", at="mbarrier.try_wait"),
    Mistake("too few bytes expected",          "_, [%arrived], 32;", "_, [%arrived], 28;", at="st.async"),
    Mistake("no mbarrier",                     "mbarrier.init.shared::cta.b64  [%arrived], 1;", "",
            at="mbarrier.arrive.expect_tx"),
    Mistake("a wait without an arrival",       "barrier.cluster.arrive.relaxed.aligned;", "",
            at="barrier.cluster.wait"),
    Mistake("two arrivals before the wait",    "barrier.cluster.arrive.relaxed.aligned;",
            "barrier.cluster.arrive.relaxed.aligned;\n    barrier.cluster.arrive.relaxed.aligned;",
            at="barrier.cluster.arrive"),
    Mistake("a rank that the cluster lacks",   "%slot_there, %slot, %thread;", "%slot_there, %slot, %n;",
            at="st.async"),
    Mistake("a sum to another CTA's mbarrier", "%arrived_there, %arrived, %thread;", "%arrived_there, %arrived, %rank;",
            at="st.async"),
    Mistake("sums that are sent to one CTA",   "%slot_there, %slot, %thread;", "%slot_there, %slot, 0;", at="st.async"),
    Mistake("all sums at one place",           "mad.lo.u32      %slot, %rank, 4, %slot;", ""),
    Mistake("another CTA's part of w",         "mul.wide.u32    %wide, %rank, %part;",
            "mul.wide.u32    %wide, %row, %part;"),
    Mistake("a CTA that leaves too early",     "setp.ge.u32     %others, %thread, 8;\n    @%others bra    SENT;",
            "setp.eq.u32     %others, %rank, 3;\n    @%others bra    DONE;\n"
            "    setp.ge.u32     %others, %thread, 8;\n    @%others bra    SENT;", at="st.async"),
    Mistake("no barrier after partial sums",   "bar.sync        0;", "", at="ld.shared.f32   %sum", finding="race"),
    Mistake("no wait at the cluster's barrier", "barrier.cluster.wait.acquire.aligned;", "",
            at="st.async", finding="cluster-not-started"),
    Mistake("no fence.mbarrier_init",          "fence.mbarrier_init.release.cluster;", "",
            at="st.async", finding="race"),
]  # fmt: skip
