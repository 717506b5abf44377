"""scatter_add_bf16.f16: out[idx[k, t]] += x[t], rows of f16, by atomic additions of 4 bytes, on sm_75 and later."""

import numpy as np

from ptxbench.pair import In, InOut, Launch, Pair, Scalar, ceil_div, f16, relative, u32

BLOCK = 256
VECTOR = 8  # values in one 16-byte access
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
    """The greatest relative error of each row, shape (rows, 1): each addition rounds to the 11 bits of f16."""
    adds = np.bincount(idx.ravel(), minlength=len(out))[:, None]
    return (1 + 2**-11) ** adds - 1


PAIR = Pair(
    purpose=(
        "An address known to be global is added to directly; a generic address also needs the path for shared memory."
    ),
    expectation=(
        "ptx is 1 to 2 times as fast as cuda where out fits into L2, because no old value returns and no thread waits "
        "for one. A tie once DRAM sets the time."
    ),
    prediction="wins",
    args=[
        In("x", f16, lambda tokens, targets, columns, rows: (tokens, columns)),
        In("idx", u32, lambda tokens, targets, columns, rows: (targets, tokens), values=rows_of_tokens, integers=None),
        # Starts at 1, not 0, so that a store instead of an addition is detected.
        InOut("out", f16, lambda tokens, targets, columns, rows: (rows, columns), start=1),
        Scalar("vectors", u32, lambda tokens, targets, columns, rows: columns // VECTOR),
    ],
    launch=lambda tokens, targets, columns, rows: Launch(
        grid=(tokens, ceil_div(columns, VECTOR * BLOCK), targets), block=BLOCK
    ),
    reference=lambda x, idx, out, vectors: {"out": scatter_add(x, idx, out)},
    tolerance=relative(
        lambda x, idx, out, vectors: error(idx, out),
        of=lambda x, idx, out, vectors: scatter_add(np.abs(x), idx, np.abs(out)),
        describe="2^-11 an addition, of the sum of |terms|",
    ),
    check_sizes=[
        {"tokens": tokens, "targets": targets, "columns": columns, "rows": rows}
        for tokens, targets, columns, rows in (
            (1, 1, 8, 1),
            (5, 2, 24, 3),
            (1, 4, 2056, 2),
            (3, 3, 2056, 2),
            (191, 1, 1544, 64),
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
