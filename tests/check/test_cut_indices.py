"""Indices that have all their bits at the sizes that are launched, and too few at those that are timed."""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.check import cut_indices
from ptxbench.check import suite as suites
from ptxbench.check.cut_indices import cuts_of, with_checks
from ptxbench.check.suite import CheckSuite
from ptxbench.emulator.memory import ZeroArray
from ptxbench.emulator.parse import parse
from ptxbench.errors import KernelTrap
from tests.check.judging import KERNELS, SEED, judged, outcome, suite
from tests.folders import changed

KERNEL = """.version 7.0
.target sm_75
.address_size 64
.visible .entry copy(.param .u64 a, .param .u32 n)
{
    .reg .u64 %a, %at;
    .reg .u32 %n, %i, %high;
    .reg .b16 %half;
    .reg .f32 %float;
    .reg .pred %some;
    ld.param.u64 %a, [a];
    ld.param.u32 %i, [n];
    setp.ne.u32 %some, %i, 0;
LINE
    mad.wide.u32 %at, %i, 4, %a;
    st.global.u32 [%at], 1;
    ret;
}
"""


@pytest.mark.parametrize(
    ("line", "bits", "lost"),
    [
        ("and.b32 %i, %i, 0xffff;", 16, 0x10000),
        ("and.b32 %i, %i, 0xfff0;", 16, 0x10000),
        ("@%some and.b32 %i, 0xffff, %i;", 16, 0x10000),
        ("mov.u32 %high, 0xfff; and.b32 %i, %i, %high;", 12, 0x1000),
        ("CUT: @%some and.b32 %i, %i, 0xffff; // and.b32", 16, 0x10000),
        ("and.b32 %i, %i, 0xfff; and.b32 %i, %i, 0xfff;", None, None),  # which of the two is not clear
        ("cvt.u16.u32 %half, %i;\n cvt.u32.u16 %i, %half;", 16, 0x10000),
        ("cvt.s16.s32 %half, %i;\n cvt.s32.s16 %i, %half;", 16, 0x8000),
        ("bfe.u32 %i, %i, 0, 20;", 20, 0x100000),
        ("mul24.lo.u32 %i, %i, 1;", 24, 0x1000000),
        ("cvt.rn.f32.u32 %float, %i;\n cvt.rzi.u32.f32 %i, %float;", 24, 0x1000000),
    ],
)
def test_an_instruction_that_cuts_an_index_traps_where_bits_are_lost(line, bits, lost):
    text = KERNEL.replace("LINE", line)
    cuts = cuts_of(parse(text), "copy")
    checked = with_checks(text, cuts)
    if bits is None:
        assert checked is None
        return
    assert [cut.bits for cut in cuts] == [bits]
    assert checked.count("\n") == text.count("\n")
    memory = np.zeros(1 << 26, np.uint8).view(ZeroArray)
    emulator.run(checked, grid=1, block=1, args=[memory, np.uint32(lost - 16)])
    with pytest.raises(KernelTrap, match=f"^line {cuts[0].line}: "):
        emulator.run(checked, grid=1, block=1, args=[memory, np.uint32(lost)])


@pytest.mark.parametrize(
    "line",
    [
        "and.b32 %high, %i, 0xffff;",  # no address depends on it
        "and.b32 %i, %i, 31;",
        "and.b32 %i, %i, 0xfffffffc;",
        "shr.u32 %high, %i, 16;\n and.b32 %i, %i, 0xffff;\n mad.lo.u32 %i, %high, 0x10000, %i;",
    ],
)
def test_low_bits_of_what_is_used_whole_or_no_index_are_no_cut(line):
    assert cuts_of(parse(KERNEL.replace("LINE", line)), "copy") == []


def test_an_array_of_zeros_costs_a_launch_nothing():
    zeros = np.zeros(4, np.uint32).view(ZeroArray)
    emulator.run(KERNEL.replace("LINE", ""), grid=1, block=1, args=[zeros, np.uint32(2)])
    assert zeros.tolist() == [0] * 4


INDEX = "mad.lo.u32  %i, %block, 256 /*= BLOCK */, %thread;"


def of_triad(*lines):
    """The PTX of triad with more lines after its index."""
    text = changed((KERNELS / "ptx" / "triad.ptx").read_text(), INDEX, "\n".join([INDEX, *lines]))
    return judged(Path("cut.ptx"), "triad", text.encode(), stages=("parses", "hidden"))


def test_a_kernel_is_launched_where_its_index_loses_bits():
    judgement = of_triad("and.b32 %i, %i, 0x1ffff;")
    assert outcome(judgement) == "hidden output-unwritten"
    assert judgement.findings[0].message.startswith("n=")


def test_a_kernel_that_has_the_other_bits_too_is_accepted():
    lines = (
        ".reg .u32 %low, %top;",
        "mov.u32 %top, %i;",
        "and.b32 %low, %i, 0x1ffff;",
        "and.b32 %top, %top, 0x3ffe0000;",
    )
    judgement = of_triad(*lines, "or.b32 %i, %low, %top;")
    assert (outcome(judgement), judgement.findings) == ("accepted", ())


def test_where_a_reference_takes_too_long_zeros_show_what_is_never_written(monkeypatch):
    monkeypatch.setattr(suites, "MOST_BYTES", 1 << 22)
    judgement = of_triad("and.b32 %i, %i, 0x1ffff;")
    assert outcome(judgement) == "hidden output-unwritten"
    assert "an index is cut to 17 bits, and loses some of them; " in judgement.findings[0].message
    assert judgement.findings[0].message.endswith(" elements of 'a', from 524,288 on, are never written.")


def test_an_index_that_loses_bits_only_at_sizes_that_are_too_large_is_a_warning():
    text = (KERNELS / "cuda" / "reduce_sum.cu").read_text()
    narrow = changed(text, "for (unsigned chunk = blockIdx.x;", "for (unsigned short chunk = blockIdx.x;")
    judgement = judged(Path("cut.cu"), "reduce_sum", narrow.encode(), stages=("parses", "hidden"))
    assert [finding.code for finding in judgement.findings] == ["narrow-index"]
    assert judgement.findings[0].line is not None


def test_a_size_that_can_be_launched_costs_no_more_than_the_limits(monkeypatch):
    triad = CheckSuite(suite("triad").loaded, "sm_90", SEED)
    assert triad.can_launch({"n": 1 << 20})
    assert list(triad.beyond_indices({"n": 1 << 28})) == []
    assert not triad.can_launch({"n": 1 << 28}, times=4)


def test_a_long_sum_has_whole_numbers_whose_sum_is_exact():
    """The tolerance of a sum of millions of real numbers would hide that some are added twice."""
    [case] = suite("reduce_sum").beyond_indices({"n": 1 << 16, "ctas": 3})
    assert case.label.endswith(" (whole numbers)")
    assert not np.any(case.expected.bounds["total"])


def test_sizes_for_which_memory_is_lacking_are_halved(monkeypatch):
    zeros_for = cut_indices.zeros_for

    def limited(pair, size, tickets):
        if size["n"] > 1 << 21:
            raise MemoryError
        return zeros_for(pair, size, tickets)

    monkeypatch.setattr(cut_indices, "zeros_for", limited)
    assert outcome(of_triad("and.b32 %i, %i, 0x1ffff;")) == "hidden output-unwritten"
