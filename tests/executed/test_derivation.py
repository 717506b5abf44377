"""Derived execution counts of machine instructions, with the real compilers and the emulator."""

import dataclasses
import math
from collections import Counter

import numpy as np
import pytest

from ptxbench import cache, discovery, executed, toolchain
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.executed import derivation
from ptxbench.toolchain import locate
from tests.executed import sass

F32 = np.float32


def floats(count):
    return np.ones(count, F32)


UNROLLED = """
.version 7.8
.target sm_80
.address_size 64
.visible .entry k(.param .u64 x, .param .u64 y, .param .u32 n)
{
    .reg .u64 %x, %y;
    .reg .u32 %n, %i;
    .reg .f32 %v, %sum;
    .reg .pred %more, %none;
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    ld.param.u32 %n, [n];
    mov.u32 %i, 0;
    mov.f32 %sum, 0f00000000;
    setp.eq.u32 %none, %n, 0;
    @%none bra DONE;
ADD:
    ld.global.f32 %v, [%x];
    add.rn.f32 %sum, %sum, %v;
    add.u64 %x, %x, 128;
    add.u32 %i, %i, 1;
    setp.lt.u32 %more, %i, %n;
    @%more bra ADD;
DONE:
    st.global.f32 [%y], %sum;
    ret;
}
"""
"""ptxas unrolls it by four, and handles the rest by two and one."""


def test_without_nvdisasm_the_reason_is_part_of_a_sentence(launched, monkeypatch):
    ran = launched(UNROLLED, [floats(32), floats(32), np.int32(0)], grid=1, language="ptx")
    monkeypatch.setattr(locate, "program", lambda name: None)
    derived = executed.of_build(ran.build, ran.counted)
    assert derived.reason.startswith("ptxas, which listings of machine code need, is not installed")
    assert not derived.reason.endswith(".")


def test_what_other_code_has_derived_is_derived_again(launched, tmp_path, monkeypatch):
    ran = launched(UNROLLED, [floats(32), floats(32), np.int32(0)], grid=1, language="ptx")
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    assert executed.of_build(ran.build, ran.counted) == ran.executed
    monkeypatch.setattr(derivation, "derive", lambda *_: executed.Executed(reason="again"))
    assert executed.of_build(ran.build, ran.counted) == ran.executed
    monkeypatch.setattr(cache, "code_version", lambda *_: "of other code")
    assert executed.of_build(ran.build, ran.counted).reason == "again"


def test_the_executions_of_an_unrolled_loop_follow_from_the_trips_of_each_entry(launched):
    for trips in (0, 2, 3, 4, 5, 11, 37):
        ran = launched(UNROLLED, [floats(32 * 37), floats(32), np.int32(trips)], grid=2, language="ptx")
        derived = ran.executed
        code = toolchain.lines.annotate(ran.build).instructions
        truth = sass.executions(code, 2, 32, {sass.PARAMETERS + 16: trips})
        assert derived.least <= truth.total() <= derived.most
        assert derived.width < 0.1, (trips, derived.reason)
        assert derived.whole
        assert not derived.anchors_off


def test_without_the_trips_of_loops_the_interval_is_wider_and_still_holds_the_number(launched):
    ran = launched(UNROLLED, [floats(32 * 37), floats(32), np.int32(37)], language="ptx")
    blind = executed.of_build(ran.build, dataclasses.replace(ran.counted, loops={}))
    assert blind.least <= ran.executed.least <= ran.executed.most <= blind.most
    assert blind.width > 2 * ran.executed.width
    assert blind.reason is not None
    assert blind.fit == pytest.approx(ran.executed.fit, rel=0.02)  # the counts of its lines are evenly shared


def test_a_count_that_the_machine_code_cannot_have_leaves_no_number_and_is_named(launched):
    ran = launched(UNROLLED, [floats(32 * 5), floats(32), np.int32(5)], grid=2, language="ptx")
    line = next(number for number, text in enumerate(UNROLLED.splitlines(), 1) if "st.global" in text)
    counts = {**ran.counted.by_line, line: {name: 3 * count for name, count in ran.counted.by_line[line].items()}}
    derived = executed.of_build(ran.build, dataclasses.replace(ran.counted, by_line=counts))
    assert (derived.least, derived.fit, derived.most, derived.anchors, derived.anchors_off) == (None, None, None, 2, 1)
    assert derived.reason == f"the counts of PTX line {line} do not fit the machine code"


SPLIT = """
.version 7.8
.target sm_80
.address_size 64
.visible .entry k(.param .u64 x)
{
    .reg .u64 %x;
    .reg .f32 %v;
    .reg .b32 %a, %b, %c<5>;
    ld.param.u64 %x, [x];
    ld.global.f32
        %v,
        [%x];
    mov.b32 %a, %v;
    mov.b32 %c0, 0; mov.b32 %c1, 0;
    mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16
        {%c0, %c1},
        {%a, %a}, {%a}, {%c0, %c1};
    st.global.v2.b32
        [%x], {%c0, %c1};
    ret;
}
"""


def test_a_statement_over_several_lines_is_counted_at_its_first_and_named_at_its_last(launched):
    ran = launched(SPLIT, [floats(4096)], grid=3, language="ptx")
    assert ran.executed.anchors >= 3
    assert not ran.executed.anchors_off
    assert (ran.opcode("HMMA"), ran.opcode("STG")) == (3, 3)
    assert ran.executed.least == ran.executed.most


WMMA = """
#include <mma.h>
using namespace nvcuda;
extern "C" __global__ void k(const half* a, const half* b, float* c, int n) {
    wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> x;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> y;
    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
    wmma::fill_fragment(sum, 0.0f);
    #pragma unroll 1
    for (int i = 0; i < n; i++) {
        wmma::load_matrix_sync(x, a + 256 * i, 16);
        wmma::load_matrix_sync(y, b + 256 * i, 16);
        wmma::mma_sync(sum, x, y, sum);
    }
    wmma::store_matrix_sync(c, sum, 16, wmma::mem_row_major);
}
"""


def test_one_wmma_is_two_machine_instructions(launched):
    halves = np.ones(256 * 5, np.float16)
    ran = launched(WMMA, [halves, halves, floats(256), np.int32(5)])
    assert ran.opcode("HMMA") == 10
    assert not ran.executed.anchors_off
    assert ran.executed.width < 0.04


MERGED = """
extern "C" __global__ void k(float* y, int n) {
    __shared__ __align__(16) float s[128];
    s[threadIdx.x] = threadIdx.x; s[threadIdx.x + 32] = 1; s[threadIdx.x + 64] = 2; s[threadIdx.x + 96] = 3;
    __syncthreads();
    float sum = 0;
    #pragma unroll 1
    for (int i = 0; i < n; i++) {
        const float* p = s + 4 * ((threadIdx.x + i) % 32);
        sum += p[0] * p[1] + p[2] * p[3];
    }
    y[threadIdx.x] = sum;
}
"""


def test_shared_loads_that_ptxas_merges_are_one_machine_instruction(launched):
    ran = launched(MERGED, [floats(32), np.int32(9)])
    assert ran.opcode("LDS.128") == 9
    assert ran.opcode("LDS") == 9
    assert ran.executed.least == ran.executed.most


COPIES = """
.version 7.8
.target sm_80
.address_size 64
.visible .entry k(.param .u64 x)
{
    .reg .u64 %x;
    .reg .f32 %v;
    .shared .align 16 .f32 s[4];
    ld.param.u64 %x, [x];
    cp.async.ca.shared.global [s], [%x], 16;
    cp.async.wait_all;
    ld.shared.f32 %v, [s];
    st.global.f32 [%x], %v;
    ret;
}
"""


def test_padding_before_an_asynchronous_copy_does_not_count_as_a_load(launched):
    ran = launched(COPIES, [floats(4)], grid=5, language="ptx", arch="sm_80")
    assert not ran.executed.anchors_off
    assert ran.executed.least == ran.executed.most == 5 * len(ran.executed.by_instruction)


WAITS = """
extern "C" __global__ void k(volatile int* flag, int n) {
    if (blockIdx.x == 0) { __nanosleep(100); if (threadIdx.x == 0) flag[1] = 1; }
    else while (%s) { }
}
"""


def test_a_loop_that_the_schedule_steers_has_no_number_but_a_reason(launched):
    waits = WAITS % "atomicAdd((int*)flag, 1) < n"
    derived = launched(waits, [np.zeros(2, np.int32), np.int32(500)], grid=2).executed
    assert derived.least is derived.fit is derived.most is None
    assert derived.reason.startswith("the trips of the loop at PTX line")
    # one trip: as it ran
    once = launched(waits, [np.full(2, 600, np.int32), np.int32(500)], grid=2).executed
    assert once.reason is None
    assert once.least == once.most


DIVIDES = """
extern "C" __global__ void k(const float* x, float* y) {
    y[threadIdx.x] = x[threadIdx.x] / x[threadIdx.x + 32];
}
"""


def test_a_slow_path_that_depends_on_the_data_makes_the_interval_wide_and_says_so(launched):
    derived = launched(DIVIDES, [floats(64), floats(32)]).executed
    assert derived.least == derived.fit < derived.most  # the slow path is not likely
    assert "slow path" in derived.reason


def test_derivations_of_one_machine_code_hold_together():
    wide = executed.Executed(100, 110, 140, True, 3, 0, "wide")
    exact = executed.Executed(120, 120, 120, True, 3, 0)
    assert executed.joint([wide, exact]) == exact
    assert executed.joint([wide, executed.Executed(reason="none")]) == wide
    assert executed.joint([exact, executed.Executed(130, 130, 130)]) is None
    assert executed.joint([executed.Executed(reason="none")]) is None


SHIPPED = [
    # pair, file, arch, size                                             how often each copy of its loops runs, by warp
    ("softmax", "ptx.passes", "sm_90", {"rows": 64, "columns": 128}),
    ("rmsnorm", "ptx.passes", "sm_90", {"rows": 8, "columns": 1024}),
]  # fmt: skip


@pytest.mark.parametrize(("pair", "variant", "arch", "size"), SHIPPED)
def test_softmax_and_rmsnorm_run_their_copies_as_often_as_their_loops_trip(pair, variant, arch, size):
    loaded = discovery.load(discovery.default_kernels(), pair)
    source = next(source for source in loaded.sources if source.variant == variant)
    build = toolchain.build_source(source, arch)
    launch = loaded.pair.launch(**size)
    outcome = EmulatorBackend(arch).run(build, launch, loaded.pair.make_arguments(size, seed=1), loaded.pair.outputs)
    warps = math.prod(launch.grid_xyz) * launch.block_xyz[0] // 32
    derived = executed.of_build(build, executed.Counted(outcome.by_line, warps, outcome.loops))
    assert derived.whole
    assert derived.width < 0.04
    code = toolchain.lines.annotate(build).instructions
    loads = [instruction for instruction in code if "LDG" in instruction.text and not instruction.text.startswith("@")]
    # four loads of one line in a block are the copy of four trips; each loop of the PTX has one
    entries = sum(next(iter(outcome.loops.values())).values())
    [trips] = next(iter(outcome.loops.values()))
    fours = [
        block.fit
        for block in derived.blocks
        if 4 in Counter(load.line for load in loads if block.start <= load.address < block.end).values()
    ]
    assert fours == len(outcome.loops) * [entries * (trips // 4)]
    assert trips == (1 if pair == "softmax" else 4)


PARTED = """
extern "C" __global__ void k(const int* x, volatile int* y, int n, int m) {
    const int t = threadIdx.x, b = blockIdx.x;
    int sum = x[64 + t];
    #pragma unroll 4
    for (int i = 0; i < b + n; i++) { sum += x[i * 64 + t]; y[256 + t] = sum; }
    #pragma unroll 4
    for (int i = 0; i < (t & 3); i++) {
        sum += x[i * 64 + t];
        sum += x[5 * 64 + t];
        #pragma unroll 1
        for (int j = 0; j < n + m; j++) { sum += x[j * 64 + t]; sum += x[4 * 64 + t]; y[3 * 64 + t] = sum; }
    }
    y[512 + t] = sum;
}
"""


def test_without_a_bound_on_diverging_lanes_there_is_no_number(launched):
    arrays = [np.zeros(4096, np.int32), np.zeros(4096, np.int32)]
    derived = launched(PARTED, [*arrays, np.int32(9), np.int32(3)], grid=2, block=64).executed
    assert derived.least is derived.fit is derived.most is None
    assert derived.reason == "lanes of a warp diverge, and no count says how often each side ran"
