"""Addresses that differ by a constant are compared once; results and counters are still those of each access."""

import re

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.parse import choose, parsed
from ptxbench.emulator.process import InThisProcess
from ptxbench.emulator.translate import translate
from tests.emulator.harness import program
from tests.emulator.oracle import Counters, interpret

KERNEL = """
.visible .entry runs_NAME(.param .u64 x, .param .u64 y, .param .u32 step)
{
    .reg .u64  %x, %y, %a, %b, %offset, %other, %last;
    .reg .u32  %thread, %block, %step, %v, %w, %i;
    .reg .pred %odd, %more;
    .shared .align 16 .b8 tile[1024];
    mov.u32 %thread, %tid.x;
    mov.u32 %block, %ctaid.x;
    ld.param.u32 %step, [step];
    ld.param.u64 %x, [x];
    ld.param.u64 %y, [y];
    mad.lo.u32 %i, %block, 64, %thread;
    mul.wide.u32 %offset, %i, %step;
    and.b32 %v, %thread, 1;
    setp.ne.u32 %odd, %v, 0;
    BODY
    ret;
}
"""
COMPARED = re.compile(r"call i\d\d @llvm\.vector\.reduce\.or\.v32i\d\d\(")
CASES = [
    ("two_arrays", 1, """
        add.u64 %a, %x, %offset; add.u64 %b, %y, %offset;
        ld.global.u32 %v, [%a]; st.global.u32 [%b], %v;"""),
    ("a_constant_further", 1, """
        add.u64 %a, %x, %offset; add.u64 %b, %a, 1024;
        add.u64 %last, %y, %offset;
        ld.global.u32 %v, [%a]; ld.global.u32 %w, [%b + 4]; add.u32 %v, %v, %w; st.global.u32 [%last], %v;"""),
    ("a_number_less", 1, """
        add.u64 %a, %x, %offset; add.u64 %a, %a, 8192; sub.u64 %b, %a, 4096;
        ld.global.u32 %v, [%a]; st.global.u32 [%b], %v;"""),
    ("backwards", 2, """
        add.u64 %a, %x, %offset; add.u64 %last, %y, 4096; sub.u64 %b, %last, %offset;
        ld.global.u32 %v, [%a]; st.global.u32 [%b], %v;"""),
    ("of_another_size", 2, """
        add.u64 %a, %x, %offset; add.u64 %b, %y, %offset; add.u64 %b, %b, %offset;
        ld.global.u16 %v, [%a]; st.global.u32 [%b], %v;"""),
    ("of_half_the_size", 2, """
        add.u64 %a, %x, %offset; add.u64 %b, %y, %offset;
        ld.global.u16 %v, [%a]; st.global.u32 [%b], %v;"""),
    ("from_two_arrays", 2, """
        add.u64 %a, %x, %offset; selp.u64 %b, %x, %y, %odd; add.u64 %b, %b, %offset; add.u64 %b, %b, 4096;
        ld.global.u32 %v, [%a]; st.global.u32 [%b], %v;"""),
    ("of_a_doubled_offset", 2, """
        add.u64 %a, %x, %offset; add.u64 %b, %offset, %offset; add.u64 %b, %b, %y;
        ld.global.u32 %v, [%a]; st.global.u32 [%b], %v;"""),
    ("in_a_loop", 2, """
        add.u64 %a, %x, %offset; add.u64 %b, %y, %offset; mov.u32 %w, 0;
    AGAIN:
        ld.global.u32 %v, [%a]; st.global.u32 [%b], %v;
        add.u64 %a, %a, 1024; add.u64 %b, %b, 1024; add.u32 %w, %w, 1;
        setp.lt.u32 %more, %w, 3;
        @%more bra AGAIN;"""),
    ("with_a_guard", 1, """
        add.u64 %a, %x, %offset; add.u64 %b, %y, %offset; mov.u32 %v, 7;
        @%odd ld.global.u32 %v, [%a]; st.global.u32 [%b], %v;"""),
    ("shared", 3, """
        mov.u32 %w, tile; mad.lo.u32 %w, %thread, 4, %w; add.u64 %a, %x, %offset; add.u64 %b, %y, %offset;
        ld.global.u32 %v, [%a]; st.shared.u32 [%w], %v; st.shared.u32 [%w + 512], %v;
        ld.shared.u32 %v, [%w + 512]; add.u32 %v, %v, 1; bar.sync 0; st.global.u32 [%b], %v;"""),
]  # fmt: skip
"""Kernels: name, how many comparisons its code has, the body."""


@pytest.mark.parametrize(("name", "comparisons", "body"), CASES, ids=[name for name, *_ in CASES])
def test_addresses_that_differ_by_a_constant_are_compared_once(name, comparisons, body, monkeypatch):
    text = program(KERNEL.replace("NAME", name).replace("BODY", body))
    assert len(COMPARED.findall(translate(parsed(text), choose(parsed(text), None)).ir)) == comparisons
    process = InThisProcess()
    monkeypatch.setenv("PTXBENCH_EMULATOR_LEVEL", "1")
    monkeypatch.setattr("ptxbench.emulator.launch.emulator_process", lambda: process)
    for step in (2, 4) if name == "of_another_size" else (4, 8, 0, 12):
        x, y = np.random.default_rng(step).integers(0, 1 << 32, (2, 4096), np.uint32)
        arguments = [x, y, np.uint32(step)]
        by_interpreter, by_emulator = ([argument.copy() for argument in arguments[:2]] for _ in range(2))
        options = {"grid": (3, 1, 1), "block": (64, 1, 1)}
        counters = Counters()
        interpret(text, None, args=[*by_interpreter, arguments[2]], counters=counters, **options)
        execution = emulator.run(text, args=[*by_emulator, arguments[2]], **options)
        assert [array.tolist() for array in by_emulator] == [array.tolist() for array in by_interpreter]
        assert counters.differences(execution) == []
