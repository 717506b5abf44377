"""bigint_mul256: product[i] = a[i] * b[i], 256 by 256 bits give 512. Carry chains; reps products in sequence."""

import numpy as np

from ptxbench.knobs import Knob
from ptxbench.pair import EXACT, In, Launch, Out, Pair, Scalar, ceil_div, u32

BLOCK = 128
LIMBS = 8  # 32-bit limbs of a factor, least significant first
WORD = (0, 2**32 - 1)  # a limb can have any value


def factors(rng, shape, n, reps):
    """Random numbers; every eighth is all ones, the number whose products have the most carries.

    Not the first: the square of all ones gives the same factor again, so with one number a lost step would not show.
    """
    limbs = rng.integers(1 << 32, size=shape, dtype=np.uint32)
    limbs[1::8] = 0xFFFFFFFF
    return limbs


def other_factors(rng, shape, n, reps):
    """Like `factors`, but every sixteenth number, starting with the tenth, is 2**224 + 1. Its product with all ones
    has one carry that runs through eight limbs."""
    limbs = factors(rng, shape, n, reps)
    limbs[9::16] = 0
    limbs[9::16, [0, LIMBS - 1]] = 1
    return limbs


def numbers(limbs):
    """The Python integers that `limbs`, shape (n, LIMBS), represent: an array of objects, shape (n,)."""
    raw, size = limbs.astype("<u4").tobytes(), 4 * LIMBS
    values = [int.from_bytes(raw[at : at + size], "little") for at in range(0, len(raw), size)]
    return np.array(values, object)


def multiply(a, b, reps):
    """The last of `reps` products, shape (n, 2 * LIMBS). After each earlier product, a becomes its low half xor its
    high half."""
    a, b = numbers(a), numbers(b)
    low = (1 << 32 * LIMBS) - 1
    product = a * b
    for _ in range(reps - 1):
        product = ((product & low) ^ (product >> 32 * LIMBS)) * b
    raw = b"".join(value.to_bytes(8 * LIMBS, "little") for value in product)
    return np.frombuffer(raw, "<u4").reshape(-1, 2 * LIMBS).astype(np.int64)


PAIR = Pair(
    purpose=(
        "The order of the multiply-adds decides: the same 128 become 134 machine instructions by pairs and 295 by "
        "rows. C cannot use the carry flag; its best form needs no carry."
    ),
    expectation=(
        "At reps=64, ptx makes 1.2 to 1.45 times as many products a second as cuda: 1.4 times if a wide "
        "multiplication takes two cycles of a sub-core, 1.3 times if it takes four; in that case 1.2 times as many as "
        "cuda@int128. ptx.rows makes 0.7 times as many. At reps=1 a tie, because memory sets the time."
    ),
    prediction="wins",
    args=[
        In("a", u32, lambda n, reps: (n, LIMBS), values=factors, legal=WORD),
        In("b", u32, lambda n, reps: (n, LIMBS), values=other_factors, legal=WORD),
        Out("product", u32, lambda n, reps: (n, 2 * LIMBS)),
        Scalar("n", u32, lambda n, reps: n),
        Scalar("reps", u32, lambda n, reps: reps),
    ],
    launch=lambda n, reps, BLOCK=BLOCK: Launch(grid=ceil_div(n, BLOCK), block=BLOCK),  # noqa: N803  knobs have the macros' names
    reference=lambda a, b, n, reps: {"product": multiply(a, b, int(reps))},
    tolerance=EXACT,
    by_rows=["a", "b"],
    check_sizes=[{"n": n, "reps": reps} for n in (1, 127, 128, 129, 1025) for reps in (1, 3)],
    bench_sizes=[
        {"n": n, "reps": reps} for n, reps in ((1 << 16, 1), (1 << 20, 1), (1 << 22, 1), (1 << 16, 64), (1 << 18, 64))
    ],
    # One limb times another, added to the sum so far.
    flops=lambda n, reps: 2 * LIMBS * LIMBS * n * reps,
    flags={"int128": ["--device-int128"]},  # selects another multiply() in the CUDA C: 128-bit sums, or 64-bit limbs
    by_request=("cuda.rows", "cuda.rows@int128", "cuda.columns", "cuda.columns@int128", "ptx.columns"),
    knobs=[Knob("BLOCK", BLOCK, (64, 128, 192, 256, 384, 512, 768, 1024), "threads of a CTA")],
)
