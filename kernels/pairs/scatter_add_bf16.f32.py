"""scatter_add_bf16.f32: out[idx[k, t]] += x[t], rows of f32, where CUDA C can add 16 bytes at once too: the control."""

import numpy as np

from ptxbench.pair import In, InOut, Launch, Pair, Scalar, ceil_div, f32, relative, u32

BLOCK = 256
VECTOR = 4  # values in one 16-byte access
MOST_ADDS = 8  # to one row; a token has at most this many experts


def rows_of_tokens(rng, shape, tokens, targets, columns, rows):
    """A row for each target of each token, in random order, with at most MOST_ADDS additions to a row."""
    return rng.permutation(np.repeat(np.arange(rows), MOST_ADDS))[: tokens * targets].reshape(shape)


def scatter_add(x, idx, out):
    """out, after each row of x was added to the rows of its targets."""
    total = out.copy()
    for targets in idx:
        for token, row in enumerate(targets):  # several times faster than np.add.at
            total[row] += x[token]
    return total


def error(idx, out):
    """The greatest relative error of each row, shape (rows, 1): each addition rounds to the 24 bits of f32."""
    adds = np.bincount(idx.ravel(), minlength=len(out))[:, None]
    return (1 + 2**-24) ** adds - 1


PAIR = Pair(
    purpose="CUDA C is as good as PTX where it has the instruction: atomicAdd(float4*) becomes red.v4.f32.",
    expectation="A tie at every size, because both sides have the same 16-byte red at a global address.",
    prediction="ties",
    args=[
        In("x", f32, lambda tokens, targets, columns, rows: (tokens, columns)),
        In("idx", u32, lambda tokens, targets, columns, rows: (targets, tokens), values=rows_of_tokens, integers=None),
        # Starts at 1, not 0, so that a store instead of an addition is detected.
        InOut("out", f32, lambda tokens, targets, columns, rows: (rows, columns), start=1),
        Scalar("vectors", u32, lambda tokens, targets, columns, rows: columns // VECTOR),
    ],
    launch=lambda tokens, targets, columns, rows: Launch(
        grid=(tokens, ceil_div(columns, VECTOR * BLOCK), targets), block=BLOCK
    ),
    reference=lambda x, idx, out, vectors: {"out": scatter_add(x, idx, out)},
    tolerance=relative(
        lambda x, idx, out, vectors: error(idx, out),
        of=lambda x, idx, out, vectors: scatter_add(np.abs(x), idx, np.abs(out)),
        describe="2^-24 an addition, of the sum of |terms|",
    ),
    check_sizes=[
        {"tokens": tokens, "targets": targets, "columns": columns, "rows": rows}
        for tokens, targets, columns, rows in (
            (1, 1, 4, 1),
            (5, 2, 12, 3),
            (1, 4, 1028, 2),
            (3, 3, 1028, 2),
            (127, 1, 1032, 64),
        )
    ],
    bench_sizes=[
        {"tokens": tokens, "targets": targets, "columns": columns, "rows": rows}
        for tokens, targets, columns, rows in (
            (256, 1, 4096, 64),
            (4096, 1, 7168, 4096),
            (8192, 1, 4096, 1024),
            (32, 256, 4096, 1024),
        )
    ],
    flops=lambda tokens, targets, columns, rows: tokens * targets * columns,
    exact_on_integers=True,
)
