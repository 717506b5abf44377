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
SUM_X = "sum.x = fmaf("
FROM_B = "float4 from_b = load4(b_from, b_row < k ? b_left : 0, aligned);"
FROM_LAST = "float4 from_b = load4(b_from - (b_row < k ? 0 : size_t{b_row + 1 - k} * n), b_left, aligned);"

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
    ("softmax",      "__int_as_float(0xff800000)", "-5000.0f",                                 "values"),  # all lower
    ("q4q8_gemv",    "static_cast<float>(dot)", "static_cast<float>(x_0.x ? dot : 1)",         "values"),  # zeros
    ("bigint_mul256", "multiply(p, x, y);", "multiply(p, x, y); if (x[5] == 0 && x[4] != 0) p[2] ^= 1;", "values"),
    ("histogram256", "counts[thread]);", "counts[thread] & 0xffff0fff);",                      "values"),  # all alike
    ("histogram256", "counts[thread]);", "counts[thread] & 0xffff);",                          "values"),  # and many
    ("triad",        FIRST, f"if (s == 0.0f) b = c; {FIRST}",                                  "values"),
    ("triad",        FIRST, f"if (s == -1.0f) s = 1.0f; {FIRST}",                              "values"),
    ("triad",        SUM_X, f"if (s == 0.0f) sum.x = from_b.x; else {SUM_X}",                  "values"),  # 0 * inf
    # more than two seconds each
    pytest.param("sgemm_tiled", FROM_B, FROM_LAST, "values", marks=pytest.mark.long),  # 0 * inf
    pytest.param("int8_gemm_mma", "4(sum.x *", "4(((sum.x << 8) >> 8) *", "values", marks=pytest.mark.long),
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


def test_a_sum_without_atomics_is_rejected_even_if_the_last_cta_adds_nothing_at_the_size_that_is_repeated():
    path = KERNELS / "cuda" / "reduce_sum.cu"
    lost = "*(volatile float*)total = *(volatile float*)total + sum;"
    text = path.read_text().replace("atomicAdd(total, sum);", lost)
    assert outcome(judged(path, "reduce_sum", text.encode(), seed=12)) == "repeats depends-on-threads"
