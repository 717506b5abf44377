"""A value and its flag without a fence between them: a load may give an old value, and then the result is wrong."""

from pathlib import Path

import pytest

from tests.check.judging import judged, outcome

SCAN = """
constexpr unsigned ALL = 0xffffffff, BLOCK = 128, TILE = 16 * BLOCK;

extern "C" __global__ void __launch_bounds__(BLOCK)
scan(const float* __restrict__ x, float* __restrict__ y, unsigned* ticket, unsigned long long* states, unsigned n)
{
    __shared__ unsigned drawn;
    __shared__ float sums[BLOCK / 32], before;
    const unsigned thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
    if (thread == 0)
        drawn = atomicAdd(ticket, 1);
    __syncthreads();
    const unsigned tile = drawn, first = TILE * tile + 16 * thread;
    float v[16], run = 0;
    for (unsigned k = 0; k < 16; k++) {
        if (first + k < n)
            run += x[first + k];
        v[k] = run;
    }
    float scan = run;
    for (unsigned distance = 1; distance < 32; distance *= 2) {
        const float left = __shfl_up_sync(ALL, scan, distance);
        if (lane >= distance)
            scan += left;
    }
    if (lane == 31)
        sums[warp] = scan;
    __syncthreads();
    if (thread == 0) {
        volatile float* value = reinterpret_cast<volatile float*>(states + tile);
        volatile unsigned* flag = reinterpret_cast<volatile unsigned*>(states + tile) + 1;
        float exclusive = 0;
        if (tile > 0) {
            while (flag[-2] == 0) { }
            AFTER_FLAG
            exclusive = value[-2];
            USE
        }
        *value = exclusive + ((sums[0] + sums[1]) + (sums[2] + sums[3]));
        BEFORE_FLAG
        *flag = 1;
        before = exclusive;
    }
    __syncthreads();
    float base = before;
    const float left = __shfl_up_sync(ALL, scan, 1);
    for (unsigned k = 0; k < warp; k++)
        base += sums[k];
    if (lane > 0)
        base += left;
    for (unsigned k = 0; k < 16; k++)
        if (first + k < n)
            y[first + k] = base + v[k];
}
"""
FENCE, NARROW = "__threadfence();", "__threadfence_block();"


ATOMICS = {
    "while (flag[-2] == 0) { }": "while (atomicOr((unsigned*)flag - 2, 0) == 0) { }",
    "exclusive = value[-2];": "exclusive = atomicAdd((float*)value - 2, 0.0f);",
    "*flag = 1;": "atomicExch((unsigned*)flag, 1);",
}
"""Statements of SCAN with volatile accesses, and the same by atomics."""


def judgement_of(before_flag, after_flag, use="", *, atomics=False):
    text = SCAN
    for statement in ATOMICS if atomics else ():
        text = text.replace(statement, ATOMICS[statement])
    text = text.replace("BEFORE_FLAG", before_flag).replace("AFTER_FLAG", after_flag).replace("USE", use)
    return judged(Path("mine.cu"), "scan", text.encode(), stages=("parses", "sanitizer"))


@pytest.mark.parametrize(("before_flag", "after_flag"), [("", FENCE), (NARROW, FENCE), (FENCE, "")])
def test_a_look_back_without_a_fence_is_rejected(before_flag, after_flag):
    judgement = judgement_of(before_flag, after_flag)
    assert outcome(judgement) == "sanitizer unordered-load"
    [finding] = judgement.findings
    lines = SCAN.splitlines()
    assert "value[-2]" in lines[finding.line - 1]
    stored_at = next(number for number, line in enumerate(lines, 1) if "*value = " in line)
    assert "may give the value of byte 0 of 'states' before st.volatile.global.f32" in finding.message
    assert f"at line {stored_at} wrote it" in finding.message
    assert "Then y[" in finding.message


def test_with_both_fences_it_is_right():
    assert outcome(judgement_of(FENCE, FENCE)) == "accepted"


@pytest.mark.long
def test_a_value_that_only_an_atomic_reads_needs_both_fences_too():
    assert outcome(judgement_of(FENCE, FENCE, atomics=True)) == "accepted"
    judgement = judgement_of("", FENCE, atomics=True)
    assert outcome(judgement) == "sanitizer unordered-load"
    assert ": atom.global.add.f32 by thread 0 " in judgement.findings[0].message


def test_a_failure_that_follows_from_an_old_value_is_one_too():
    wrong = judgement_of("", FENCE, "if (exclusive == 0) __trap();")
    assert outcome(wrong) == "sanitizer unordered-load"
    assert "if loads give the values before stores" in wrong.findings[0].message
