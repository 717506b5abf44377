"""Hints about arrays whose elements a candidate takes for another type."""

from pathlib import Path

import pytest

from ptxbench.check.element_types import other_type
from ptxbench.check.lint_subject import subjects_of
from ptxbench.emulator.parse import parse
from ptxbench.pair import In, Out, f16, f32, s32
from tests.check.judging import judged, outcome

ARGS = [
    In("x", f32, lambda n: (n,)),
    In("h", f16, lambda n: (n,)),
    In("i", s32, lambda n: (n,)),
    Out("y", f32, lambda n: (n,)),
]
HEAD = """.version 7.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 h, .param .u64 i, .param .u64 y)
{
    .reg .b64 %x, %h, %i, %y; .reg .b32 %v; .reg .f32 %f; .reg .b16 %s;
    ld.param.u64 %x, [x]; ld.param.u64 %h, [h]; ld.param.u64 %i, [i]; ld.param.u64 %y, [y];
"""
ACCESSES = [
    ("ld.global.nc.u16 %s, [%x];", "ld.global.nc.u16 does not fit the elements of 'x', which are float32 in the pair."),
    ("ld.global.f32 %f, [%h];", "ld.global.f32 does not fit the elements of 'h', which are float16 in the pair."),
    ("ld.global.f32 %f, [%i];", "ld.global.f32 does not fit the elements of 'i', which are int32 in the pair."),
    ("st.global.b16 [%y], %s;", "st.global.b16 does not fit the elements of 'y', which are float32 in the pair."),
    ("ld.global.u32 %v, [%x];", None),
    ("ld.global.u32 %v, [%h];", None),  # two at a time
    ("ld.global.f32 %f, [%x]; ld.global.u16 %s, [%x];", None),
    ("ld.global.v2.f32 {%f, %f}, [%h];", None),  # a copy
]


@pytest.mark.parametrize(("text", "message"), ACCESSES)
def test_an_array_of_another_type_is_named(text, message):
    (subject,) = subjects_of(parse(f"{HEAD}{text}\nret;\n}}"), "k", ARGS)
    assert other_type(subject) == (message and (8, message))


HALVES = """#include <cuda_fp16.h>
extern "C" __global__ void triad(float* a, const __half* b, const float* c, float s, unsigned n)
{
    for (unsigned k = 0; k < 4; k++) {
        const unsigned i = 4 * (256 * blockIdx.x + threadIdx.x) + k;
        if (i < n) a[i] = fmaf(s, c[i], __half2float(b[i]));
    }
}
"""


def test_a_wrong_result_names_the_array_and_the_line():
    judgement = judged(Path("triad.cu"), "triad", HALVES.encode(), stages=("parses", "results"))
    assert outcome(judgement) == "results wrong-result"
    assert judgement.decisive.hint.startswith("In line 6, ld.global.u16 does not fit the elements of 'b', which are")
