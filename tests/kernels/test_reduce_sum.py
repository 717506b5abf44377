"""The pair reduce_sum."""

import math


def reduce_sum(x, total, n):
    return {"total": [total[0] + math.fsum(x)]}


REFERENCE = (reduce_sum, {"n": 7})

MUTANTS = [
    ("reduce_sum.ptx", "%past_vectors, %i, %vectors",     "%past_vectors, %vectors, %i"),
    ("reduce_sum.ptx", "%more, %i, %vectors",             "%more, %i, 0"),               # a single round
    ("reduce_sum.ptx", "%sum, 2, 31, 0xffffffff",         "%sum, 4, 31, 0xffffffff"),    # a distance twice
    ("reduce_sum.ptx", "%past_sums, %thread, 8",          "%past_sums, %thread, 4"),     # half of the warps
    ("reduce_sum.ptx", "bar.sync 0;",                     ""),
]  # fmt: skip
