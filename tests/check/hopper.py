"""Two small pairs of Hopper, for tests of commands: `tile` takes a tensor map, `ring` is launched in clusters."""

from pathlib import Path

TILE_PAIR = '''\
"""tile: y = 2 x for a matrix; a CTA takes 8 rows of 32 columns, ragged at both edges."""

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, TensorMap, ceil_div, f32, u32

PAIR = Pair(
    purpose="A tensor map as an argument.",
    args=[
        In("x", f32, lambda rows, columns: (rows, columns)),
        Out("y", f32, lambda rows, columns: (rows, columns)),
        TensorMap("map_x", of="x", box=(32, 8)),
        Scalar("rows", u32, lambda rows, columns: rows),
        Scalar("columns", u32, lambda rows, columns: columns),
    ],
    launch=lambda rows, columns: Launch(grid=(ceil_div(columns, 32), ceil_div(rows, 8)), block=256),
    reference=lambda x, rows, columns: {"y": 2 * x},
    tolerance=EXACT,
    check_sizes=[dict(rows=r, columns=c) for r, c in ((1, 4), (8, 32), (9, 36), (20, 100))],
    bench_sizes=[dict(rows=64, columns=100)],
    flops=lambda rows, columns: rows * columns,
)
'''

TILE_CUDA = """\
struct alignas(64) Map { char bytes[128]; };

extern "C" __global__ void __launch_bounds__(256)
tile(const float* x, float* y, const __grid_constant__ Map map_x, unsigned rows, unsigned columns)
{
    const unsigned column = 32 * blockIdx.x + threadIdx.x % 32;
    const unsigned row = 8 * blockIdx.y + threadIdx.x / 32;
    if (row < rows && column < columns)
        y[(size_t)row * columns + column] = 2 * x[(size_t)row * columns + column];
}
"""

TILE_PTX = """\
.version 8.0
.target sm_90
.address_size 64

.visible .entry tile(
    .param .u64 x,
    .param .u64 y,
    .param .align 64 .b8 map_x[128],
    .param .u32 rows,
    .param .u32 columns
)
.maxntid 256
{
    .shared .align 128 .b8 box[1024];
    .shared .align 8 .b64 filled;
    .reg .u32   %thread, %column, %row, %columns, %rows, %i, %box_at, %filled_at;
    .reg .u64   %map_x, %y, %at, %state;
    .reg .f32   %value;
    .reg .pred  %first, %waits, %outside;

    mov.u32       %thread, %tid.x;
    mov.u32       %column, %ctaid.x;
    shl.b32       %column, %column, 5;
    mov.u32       %row, %ctaid.y;
    shl.b32       %row, %row, 3;
    mov.u32       %box_at, box;
    mov.u32       %filled_at, filled;
    mov.u64       %map_x, map_x;
    cvta.param.u64  %map_x, %map_x;

    // ---- thread 0 copies the box
    setp.ne.u32   %first, %thread, 0;
    @%first bra   READY;
    mbarrier.init.shared::cta.b64  [%filled_at], 1;
    fence.mbarrier_init.release.cluster;
    mbarrier.arrive.expect_tx.shared::cta.b64  %state, [%filled_at], 1024;
    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes
        [%box_at], [%map_x, {%column, %row}], [%filled_at];
READY:
    bar.sync      0;
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64  %waits, [%filled_at], 0;
    @!%waits bra  WAIT;

    // ---- y[row][column] = 2 * x[row][column]
    shl.b32       %i, %thread, 2;
    add.u32       %box_at, %box_at, %i;
    ld.shared.f32  %value, [%box_at];
    add.rn.f32    %value, %value, %value;
    and.b32       %i, %thread, 31;
    add.u32       %column, %column, %i;
    shr.u32       %i, %thread, 5;
    add.u32       %row, %row, %i;
    ld.param.u32  %rows, [rows];
    ld.param.u32  %columns, [columns];
    setp.ge.u32   %outside, %row, %rows;
    @%outside bra  DONE;
    setp.ge.u32   %outside, %column, %columns;
    @%outside bra  DONE;
    mad.lo.u32    %i, %row, %columns, %column;
    ld.param.u64  %y, [y];
    cvta.to.global.u64  %y, %y;
    mad.wide.u32  %at, %i, 4, %y;
    st.global.f32  [%at], %value;
DONE:
    ret;
}
"""

RING_PAIR = '''\
"""ring: y of each CTA is the sum of its 64 numbers and those of the next CTA of its cluster of 4."""

import numpy as np

from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, f32, u32


def sums(x, clusters):
    own = x.reshape(clusters, 4, 64)
    return {"y": (own + np.roll(own, -1, axis=1)).reshape(-1)}


PAIR = Pair(
    purpose="A launch in clusters.",
    args=[
        In("x", f32, lambda clusters: (256 * clusters,), integers=(-8, 8)),
        Out("y", f32, lambda clusters: (256 * clusters,)),
        Scalar("clusters", u32, lambda clusters: clusters),
    ],
    launch=lambda clusters: Launch(grid=4 * clusters, block=64, cluster=4),
    reference=sums,
    tolerance=EXACT,
    check_sizes=[dict(clusters=n) for n in (1, 3)],
    bench_sizes=[dict(clusters=16)],
    flops=lambda clusters: 256 * clusters,
    exact_on_integers=True,
)
'''

RING_CUDA = """\
#include <cooperative_groups.h>
namespace groups = cooperative_groups;

extern "C" __global__ void __launch_bounds__(64)
ring(const float* x, float* y, unsigned clusters)
{
    __shared__ float own[64];
    auto cluster = groups::this_cluster();
    const unsigned i = 64 * blockIdx.x + threadIdx.x;
    own[threadIdx.x] = x[i];
    cluster.sync();
    const float* next = cluster.map_shared_rank(own, (cluster.block_rank() + 1) % 4);
    y[i] = own[threadIdx.x] + next[threadIdx.x];
    cluster.sync();
}
"""

RING_PTX = """\
.version 8.0
.target sm_90
.address_size 64

.visible .entry ring(
    .param .u64 x,
    .param .u64 y,
    .param .u32 clusters
)
.maxntid 64
{
    .shared .align 4 .f32 own[64];
    .reg .u32   %thread, %cta, %i, %rank, %own_at, %next_at;
    .reg .u64   %x, %y, %at;
    .reg .f32   %value, %other;

    mov.u32       %thread, %tid.x;
    mov.u32       %cta, %ctaid.x;
    mad.lo.u32    %i, %cta, 64, %thread;
    ld.param.u64  %x, [x];
    cvta.to.global.u64  %x, %x;
    mad.wide.u32  %at, %i, 4, %x;
    ld.global.f32  %value, [%at];
    mov.u32       %own_at, own;
    mad.lo.u32    %own_at, %thread, 4, %own_at;
    st.shared.f32  [%own_at], %value;
    barrier.cluster.arrive.release.aligned;
    barrier.cluster.wait.acquire.aligned;

    mov.u32       %rank, %cluster_ctarank;
    add.u32       %rank, %rank, 1;
    and.b32       %rank, %rank, 3;
    mapa.shared::cluster.u32  %next_at, %own_at, %rank;
    ld.shared::cluster.f32  %other, [%next_at];
    add.rn.f32    %value, %value, %other;
    ld.param.u64  %y, [y];
    cvta.to.global.u64  %y, %y;
    mad.wide.u32  %at, %i, 4, %y;
    st.global.f32  [%at], %value;
    barrier.cluster.arrive.release.aligned;
    barrier.cluster.wait.acquire.aligned;
    ret;
}
"""


def kernels_of_hopper(at: Path) -> Path:
    """Write both pairs under `at`/kernels and return that folder."""
    folder = at / "kernels"
    texts = {"tile": (TILE_PAIR, TILE_CUDA, TILE_PTX), "ring": (RING_PAIR, RING_CUDA, RING_PTX)}
    for name, (pair, cuda, ptx) in texts.items():
        for place, suffix, text in (("pairs", ".py", pair), ("cuda", ".cu", cuda), ("ptx", ".ptx", ptx)):
            (folder / place).mkdir(parents=True, exist_ok=True)
            (folder / place / f"{name}{suffix}").write_text(text)
    return folder
