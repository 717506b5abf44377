"""sm_partition: copiers of sms CTAs copy n bytes while the others compute, as if 20 of 132 SMs fed the rest."""

import numpy as np

from ptxbench.pair import In, InOut, Launch, Pair, Scalar, Scratch, Tolerance, ceil_div, f32, u32, u64

BLOCK = 256
VECTOR = 16  # bytes of an access
PANEL = 8 * BLOCK  # floats that a tile reads: two float4 a thread
MOST_PANELS = 1024  # 8 MiB: inside L2, far beyond an L1
LINE = 32  # 4-byte words of a cache line: chunks, tiles and arrivals each have a ticket in one of their own

COPY, COMPUTE = 1, 2  # the bits of roles

SHARED_BYTES = 116 << 10
"""More than half of the shared memory of an SM of sm_80 (164 KiB), sm_90 and sm_100 (228 KiB), and no more than a CTA
may have of it: only one CTA fits an SM."""


def panels(tiles):
    """Panels of the table, a power of two: half as many as tiles, so that each is read again, as far as L2 allows."""
    return min(MOST_PANELS, 1 << max(tiles // 2, 1).bit_length() - 1)


def sums(table, result, steps, tiles, roles):
    """The results of all tiles: steps times the sum of the outer product of a thread's two float4."""
    if not roles & COMPUTE:
        return result  # as it was
    rows, columns = table.sum(axis=-1).transpose(1, 0, 2)
    return steps * (rows * columns)[np.arange(tiles) % len(table)]


def bound(expected, inputs):
    """Of the copy no error; of a sum, one rounding for each of the steps and for four levels that join 16 sums."""
    if expected.dtype != np.float64:
        return 0.0
    table, steps, tiles, roles = (inputs[name] for name in ("table", "steps", "tiles", "roles"))
    return ((1 + 2**-24) ** (int(steps) + 4) - 1) * sums(np.abs(table), np.zeros_like(expected), steps, tiles, roles)


def sizes(sms, copiers, n, chunk, tiles, steps, roles):
    return {
        "sms": sms, "copiers": copiers, "n": n, "chunk": chunk, "tiles": tiles, "steps": steps, "roles": roles
    }  # fmt: skip


PAIR = Pair(
    teaches="Where a CTA runs can be read in PTX alone; to be right, a kernel must not depend on the answer.",
    expects=(
        "Computing loses little to the copy beside it, as 20 SMs with 16 KiB under way each stay far below what DRAM "
        "gives; hints move that loss by 0 to 10 %; more copiers, larger chunks and bulk copies copy faster."
    ),
    args=[
        In("source", u64, lambda n, **_: (n // 8,), integers=(0, (1 << 24) - 1)),
        # From 0, not poison: what nobody was asked to write must still be as it was.
        InOut("target", u64, lambda n, **_: (n // 8,)),
        In("table", f32, lambda tiles, **_: (panels(tiles), 2, BLOCK, 4)),
        InOut("result", f32, lambda tiles, **_: (tiles, BLOCK)),
        Scratch("tickets", u32, lambda **_: (3 * LINE,)),
        Scratch("clocks", u64, lambda sms, **_: (sms, 2)),
        Scratch("taken", u32, lambda sms, **_: (sms,)),
        Scalar("vectors", u32, lambda n, **_: n // VECTOR),
        Scalar("chunk", u32, lambda chunk, **_: chunk // VECTOR),
        Scalar("chunks", u32, lambda n, chunk, **_: ceil_div(n, chunk)),
        Scalar("tiles", u32, lambda tiles, **_: tiles),
        Scalar("panels", u32, lambda tiles, **_: panels(tiles)),
        Scalar("steps", u32, lambda steps, **_: steps),
        Scalar("copiers", u32, lambda copiers, **_: copiers),
        Scalar("roles", u32, lambda roles, **_: roles),
    ],
    launch=lambda sms, **_: Launch(grid=sms, block=BLOCK, shared_bytes=SHARED_BYTES),
    reference=lambda source, target, table, result, tiles, steps, roles, **_: {
        "target": source if roles & COPY else target,
        "result": sums(table, result, steps, tiles, roles),
    },
    tolerance=Tolerance("exact copies, (steps + 4) 2^-24 of the sum of |terms|", bound),
    check_sizes=[
        sizes(4, 1, 262160, 4096, 17, 16, COPY | COMPUTE),
        sizes(4, 3, 244480, 65536, 5, 3, COPY | COMPUTE),
        sizes(4, 3, 262160, 65536, 2, 1, COPY),
        sizes(4, 1, 16, 4096, 9, 1, COMPUTE),
    ],
    bench_sizes=[
        sizes(132, 20, 1 << 20, 1 << 14, 132, 8, COPY | COMPUTE),
        *(sizes(132, 20, 1 << 28, 1 << 14, 8192, 256, roles) for roles in (COPY | COMPUTE, COPY, COMPUTE)),
        *(sizes(132, 20, 1 << 31, 1 << 14, 65536, 256, roles) for roles in (COPY | COMPUTE, COPY, COMPUTE)),
    ],
    flops=lambda tiles, steps, roles, **_: tiles * BLOCK * (32 * steps + 15) if roles & COMPUTE else 0,
    bytes=lambda n, tiles, roles, **_: (
        (2 * n if roles & COPY else 0) + (4 * (panels(tiles) * PANEL + tiles * BLOCK) if roles & COMPUTE else 0)
    ),
    exact_on_integers=True,
)
