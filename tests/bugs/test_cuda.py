"""Bugs of CUDA C: each rule plants its bug; templates, declarations and comments stay unchanged."""

import pytest

from ptxbench.bugs.bug import KINDS
from ptxbench.bugs.cuda import bugs

# the statement, the kind, the words, and the replacement
ROWS = [
    ("if (i < n) y[i] = 1;", "comparison", "< to <=", "if (i <= n) y[i] = 1;"),
    ("if (i < n) y[i] = 1;", "comparison", "condition negated", "if (!(i < n)) y[i] = 1;"),
    ("if (i == n) y[i] = 1;", "comparison", "== to !=", "if (i != n) y[i] = 1;"),
    ("if (i < n) y[i] = 1;", "bound", "n to n - 1", "if (i < (n - 1)) y[i] = 1;"),
    ("y[i] = x[i];", "offset", "[i] + 1", None),
    ("unsigned j = threadIdx.x;", "offset", "threadIdx.x to threadIdx.x + 1", "unsigned j = (threadIdx.x + 1);"),
    ("i = n % 32;", "offset", "% 32 to 16", "i = n % 16;"),
    ("s += __shfl_xor_sync(0xffffffff, s, 16);", "lanes", "distance 16 to (16 / 2)",
     "s += __shfl_xor_sync(0xffffffff, s, (16 / 2));"),
    ("s += __shfl_down_sync(ALL, s, d);", "lanes", "mask ALL to (ALL >> 1)",
     "s += __shfl_down_sync((ALL >> 1), s, d);"),
    ("__syncthreads();", "barrier", "__syncthreads dropped", ";"),
    ("__threadfence();", "scope", "__threadfence to __threadfence_block", "__threadfence_block();"),
    ("atomicAdd(&y[i], 1);", "scope", "atomicAdd to atomicAdd_block", "atomicAdd_block(&y[i], 1);"),
    ("atomicAdd(&y[i], 1);", "atomic", "atomicAdd no longer atomic",
     "[&] { auto* to = &y[i]; auto was = *to; decltype(was) value = 1; *to = was + value; return was; }();"),
    ("s = fmaf(s, s, s);", "precision", "fmaf cut to tf32",
     "s = __uint_as_float(__float_as_uint(fmaf(s, s, s)) & 0xffffe000u);"),
    ("s = 1.1f;", "precision", "1.1f cut to bf16", "s = __uint_as_float(0x3f8c0000u);"),
    ("i = n - i;", "operands", "n - i swapped", "i = (i - n);"),
    ("i = n < 4 ? n : i;", "operands", "n : i swapped", "i = n < 4 ? i : n;"),
    ("if (i < n) y[i] = 1;", "tail", "if left out", "if (false && (i < n)) y[i] = 1;"),
    ("y[i] = 1;", "tail", "not by the last CTA", "if (blockIdx.x != gridDim.x - 1) y[i] = 1;"),
    ("s += x[i];", "stale", "assignment dropped", ";"),
    ("s = v.x;", "stale", "v.y for .x", "s = v.y;"),
]  # fmt: skip

HEAD = """\
#include <cuda_fp16.h>
// not here: i < n, y[i] = x[i]
template <class Fold> __device__ float fold(float v, Fold f);
extern "C" __global__ void kernel(const float* x, float* y, float s, unsigned n)
{
    __shared__ float tile[32][33];
"""


@pytest.mark.parametrize(("statement", "kind", "edit", "wanted"), ROWS)
def test_a_bug_is_one_change_of_one_statement(statement, kind, edit, wanted):
    text = f"{HEAD}    {statement}\n}}\n"
    matching = [bug for bug in bugs(text) if (bug.kind, bug.edit) == (kind, edit)]
    assert matching
    assert {(bug.line, bug.code) for bug in matching} == {(7, statement)}
    if wanted is not None:
        assert [bug.planted(text) for bug in matching] == [f"{HEAD}    {wanted}\n}}\n"]


def test_every_kind_has_a_row():
    assert {kind for _, kind, _, _ in ROWS} == set(KINDS)


def test_comments_includes_templates_and_declarations_stay_unchanged():
    assert [bug for bug in bugs(HEAD + "}\n") if bug.line < 6 or bug.kind == "offset"] == []
    cast = "float4 v = *reinterpret_cast<const float4*>(x + 4 * i);"
    edits = {bug.edit for bug in bugs(f"{HEAD}    {cast}\n}}\n")}
    assert not edits & {"< to <=", "> to >=", "* to +", "n to n - 1"} - {"* to +"}
