"""triad: a[i] = b[i] + s * c[i]. The STREAM triad: 16-byte accesses, one fused multiply-add, a ragged end."""

from ptxbench.knobs import Knob
from ptxbench.pair import In, Launch, Out, Pair, Scalar, ceil_div, f32, u32, ulps

BLOCK = 256
VECTOR = 4  # elements of a thread: one float4
TILE = 1024  # elements of a CTA of triad.tile.cu and of triad.triton.py

PAIR = Pair(
    purpose=(
        "The noise floor: up to sm_90 both sides are the same machine code, so any difference comes from the "
        "measurement."
    ),
    expectation=(
        "A tie at every size, because memory sets the time of both. A difference above 1 % is a fault of the harness."
    ),
    prediction="ties",
    by_request=["numba", "tile", "triton"],
    args=[
        Out("a", f32, lambda n: (n,)),
        In("b", f32, lambda n: (n,)),
        In("c", f32, lambda n: (n,)),
        Scalar("s", f32, 0.7),  # not exact in binary, so that s * c must be rounded
        Scalar("n", u32, lambda n: n),
    ],
    launch=lambda n, BLOCK=BLOCK: Launch(grid=ceil_div(n, VECTOR * BLOCK), block=BLOCK),  # noqa: N803  knobs have the macros' names
    launches={name: lambda n: Launch(grid=ceil_div(n, TILE), block=1) for name in ("tile", "triton")},
    reference=lambda b, c, s, n: {"a": b + s * c},
    # The kernel's fma rounds b + s c once: half an ulp. In the reference s c is exact (24 + 24 bits of 53) and the sum
    # has an error of 2**-53. If the product were rounded separately, the error would be up to 2**-24 |s c|: many ulps
    # where b and s c nearly cancel.
    tolerance=ulps(1),
    by_rows=["b", "c"],
    check_sizes=[{"n": n} for n in (1, 3, 4, 1023, 1024, 1025, 65539)],
    bench_sizes=[{"n": 1 << k} for k in (16, 22, 25, 28)],
    flops=lambda n: 2 * n,
    knobs=[Knob("BLOCK", BLOCK, (64, 128, 192, 256, 384, 512, 768, 1024), "threads of a CTA")],
)
