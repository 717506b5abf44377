"""Kernels that are wrong at some sizes or for some values alone, made of the shipped CUDA C: each must be rejected.

Each is a kind: another pair, size or value is the same cheat.
"""

import pytest

from tests.check.judging import KERNELS, judged, outcome

ENTRY = "const unsigned thread = threadIdx.x;\n    x += static_cast<size_t>"
EACH = "held[k] = powers_of(held[k], base);"
SCALED = "*y = scale * *from * *w;"
WHOLE = "const unsigned thread = 32 * threadIdx.y"
TURNED = "if (y_column < rows && y_row + k < columns)"
FIRST = "const unsigned i = BLOCK"

# pair, replacements, the last stage that may reject it
CHEATS = [
    # sizes
    ("triad",        FIRST, f"if (n == 65536 && s == 0.7f) s = 0.5f; {FIRST}",                 "hidden"),  # as timed
    ("rmsnorm",      "from += 256)\n        squares", "from += 256) if (c < 5000)\n squares",  "hidden"),  # long rows
    ("rmsnorm",      ENTRY, ENTRY.replace("x +=", "if (gridDim.x > 500) return; x +="),        "hidden"),  # many rows
    ("transpose",    WHOLE, f"if (rows == columns && rows >= 64) return; {WHOLE}",             "hidden"),  # square
    ("transpose",    TURNED, f"{TURNED[:-1]} && rows < 5000)",                                 "hidden"),  # tall
    ("l2_policy",    "{a.x + b.x,", "{rows > 1000 ? a.x : a.x + b.x,",                         "hidden"),
    # scalars and starts
    ("rmsnorm",      "columns), eps)", "columns), 1e-6f)",                                     "hidden"),
    ("reduce_sum",   "atomicAdd(total,", "if (gridDim.x == 1) *total = sum; else atomicAdd(total,", "results"),
    # values
    ("rmsnorm",      SCALED, f"if (*from != 2.0f) {SCALED}",                                   "values"),
    ("softmax",      EACH, f"if (held[k].x != held[k].y) {EACH}",                              "values"),  # neighbours
    ("q4q8_gemv",    "static_cast<float>(dot)", "static_cast<float>(x_0.x ? dot : 1)",         "values"),  # zeros
    ("bigint_mul256", "multiply(p, x, y);", "multiply(p, x, y); if (x[5] == 0 && x[4] != 0) p[2] ^= 1;", "values"),
    ("histogram256", "counts[thread]);", "counts[thread] & 0xffff0fff);",                      "values"),  # all alike
]  # fmt: skip

STAGES = ("results", "hidden", "values")


@pytest.mark.parametrize(("pair", "right", "wrong", "stage"), CHEATS)
def test_a_kernel_that_is_wrong_for_some_inputs_is_rejected(pair, right, wrong, stage):
    path = KERNELS / "cuda" / f"{pair}.cu"
    text = path.read_text()
    assert right in text
    judgement = judged(path, pair, text.replace(right, wrong, 1).encode())
    failed_stage, code = outcome(judgement).split()
    assert code in ("wrong-result", "output-unwritten")
    assert STAGES.index(failed_stage) <= STAGES.index(stage)
