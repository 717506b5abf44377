"""warp_special: y = c[0] + c[1] x + .. + c[k - 1] x^(k - 1) for each element: warps that copy, warps that compute.

n is a multiple of 4, k at least 1. Horner's rule takes k - 1 multiply-adds an element.
"""

import numpy as np

from ptxbench.pair import In, Launch, Out, Pair, Sample, Scalar, ceil_div, f32, one_of_each, relative, u32, wide

BLOCK = 384  # a warpgroup that copies, two that compute
VECTOR = 4  # elements in 16 bytes
TILE = 96 * 256  # elements in a stage of the ring: 96 of each computing thread
STAGES = 2
PLAIN = 16 * 256  # elements of a CTA of cuda.plain, which has no ring
WHOLE = 1 << 22  # above this number of multiply-adds, the reference has one of every 32 elements


def horner(x, c):
    """The polynomial with the coefficients `c` at each of `x`."""
    value = np.full(x.shape, c[-1])
    for coefficient in c[-2::-1]:
        value = value * x + coefficient
    return value


def polynomial(x, c):
    """y; of a large y one of every 32 elements."""
    if x.size * c.size <= WHOLE:
        return horner(wide(x), c)
    at = one_of_each(x.size)
    return Sample(at, horner(wide(x[at]), c))


def magnitude(x, c):
    """The sum of the magnitudes of all terms, of the elements of `polynomial`."""
    absolute = polynomial(np.abs(x), np.abs(c))
    return absolute.values if isinstance(absolute, Sample) else absolute


PAIR = Pair(
    purpose="Warps that copy and warps that compute: what bulk copies, mbarriers, elect and setmaxnreg are worth.",
    expectation=(
        "A tie for k = 8, where memory sets the time. For k = 256 ptx is 1.0 to 1.15 times as fast as cuda, because a "
        "coefficient is loaded once for 96 multiply-adds, not for 48, and a tile is handed over once. ptx.noreg ties "
        "with cuda at every k. ptx.barrier ties with ptx.noreg; ptx.cpasync is behind at k = 8. cuda.plain, without a "
        "ring, ties at k = 8 and is at most a tenth behind at k = 256."
    ),
    prediction="wins",
    args=[
        In("x", f32, lambda n, k, ctas: (n,), widened=False),
        In("c", f32, lambda n, k, ctas: (k,)),
        Out("y", f32, lambda n, k, ctas: (n,)),
        Scalar("vectors", u32, lambda n, k, ctas: n // VECTOR),
        Scalar("k", u32, lambda n, k, ctas: k),
    ],
    # A CTA takes up nearly all shared memory of an SM, and goes on to the next tile by itself.
    launch=lambda n, k, ctas: Launch(
        grid=min(ctas, ceil_div(n, TILE)), block=BLOCK, shared_bytes=STAGES * TILE * f32.itemsize
    ),
    reference=lambda x, c, vectors, k: {"y": polynomial(x, c)},
    # Each of the k - 1 multiply-adds rounds once, by a factor within 1 +- 2**-24.
    tolerance=relative(
        lambda x, c, vectors, k: (1 + 2**-24) ** int(k) - 1,
        of=lambda x, c, vectors, k: magnitude(x, c),
        describe="k 2^-24 of the sum of |terms|",
    ),
    # Less than half a tile; one vector more than half a tile; a whole tile; tiles for each stage twice and more, the
    # last of them with a single vector, or with all but one.
    check_sizes=[
        {"n": n, "k": k, "ctas": ctas}
        for n, k, ctas in (
            (4, 1, 1),
            (4096, 2, 1),
            (12292, 8, 2),
            (TILE, 3, 1),
            (5 * TILE + 4, 3, 1),
            (6 * TILE - 4, 2, 2),
        )
    ],
    bench_sizes=lambda device: [
        {"n": 1 << 18, "k": 8, "ctas": 4},
        *({"n": 1 << 26, "k": k, "ctas": device.sms} for k in (8, 64, 256)),
    ],
    flops=lambda n, k, ctas: 2 * n * (k - 1),
    by_request=("ptx.barrier", "ptx.cpasync"),
    launches={"cuda.plain": lambda n, k, ctas: Launch(grid=ceil_div(n, PLAIN), block=256)},
)
