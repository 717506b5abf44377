"""The table's own rules: no opcode is ambiguous, none is accepted silently, and a lookup is fast."""

import itertools
import random
from typing import get_args

import pytest

from ptxbench.emulator.isa import TABLE, nearest
from ptxbench.emulator.isa.spelling import SpellingPart, overlap
from ptxbench.emulator.isa.table import Chapter, FlowKind
from ptxbench.emulator.isa.unsupported import why
from ptxbench.emulator.resolve import FLOWS


def test_no_two_lines_take_the_same_opcode_and_operands():
    assert TABLE.ambiguities() == []


def test_the_documented_values_of_flow_are_those_in_use():
    in_table = {line.flow for line in itertools.chain(*TABLE.patterns.values())}
    assert in_table | set(FLOWS.values()) == set(get_args(FlowKind))


def test_each_spelling_is_read_in_one_way_as_its_line():
    for line in dict.fromkeys(itertools.chain(*TABLE.patterns.values())):
        for opcode in itertools.islice(line.spellings(), 64):
            assert len(list(line.readings(tuple(opcode.split("."))))) == 1, (line.syntax, opcode)


@pytest.mark.parametrize(
    ("opcode", "first"),
    [
        ("mul.u32", "mul.lo.u32"), ("fma.f32", "fma.rn.f32"), ("div.f64", "div.rn.f64"), ("sin.f32", "sin.approx.f32"),
        ("cvt.f32.s32", "cvt.rn.f32.s32"),
    ],
)  # fmt: skip
def test_the_nearest_instruction_is_the_one_that_only_has_more_modifiers(opcode, first):
    assert nearest(opcode)[0] == first


@pytest.mark.parametrize(
    ("opcode", "first"),
    [
        ("shl.b33", "shl.b32"), ("ld.globl.f32", "ld.global.f32"), ("st.shred.b32", "st.shared.b32"),
        ("ld.volatil.global.f32", "ld.volatile.global.f32"), ("atom.globl.add.u32", "atom.global.add.u32"),
    ],
)  # fmt: skip
def test_the_nearest_instruction_has_a_misspelt_modifier_as_it_should_be(opcode, first):
    assert nearest(opcode)[0] == first


def test_overlap_of_two_lines_matches_a_list_of_their_spellings():
    choices = [(), ("a",), ("b",), ("a", "b"), ("b", "a")]
    draw = random.Random(1)

    def parts():
        modifiers = (
            SpellingPart("x", tuple((choice, None) for choice in draw.sample(choices, draw.randint(1, 3))))
            for _ in range(draw.randint(1, 4))
        )
        return (SpellingPart("", ((("name",), None),)), *modifiers)

    def spellings(line):
        choices = itertools.product(*[[choice for choice, _ in part.choices] for part in line[1:]])
        return {tuple(sorted(itertools.chain(*choice))) for choice in choices}

    for _ in range(2000):
        one, other = parts(), parts()
        assert overlap(one, other) == bool(spellings(one) & spellings(other)), (one, other)


@pytest.mark.parametrize(
    "opcode",
    ["ld.global.L1::evict_last.L1::evict_first.b32", "ld.shared.L2::128B.b32", "ld.relaxed.global.b32",
     "st.nc.global.b32",
     "atom.global.add.noftz.f32", "red.acquire.gpu.global.add.u32", "atom.shared.add.v2.f32", "fence.sc.warp",
     "cp.async.ca.global.shared", "mbarrier.arrive.parity.b64", "ld.global.v3.b32", "ld.v8.b64"],
)  # fmt: skip
def test_a_qualifier_that_no_line_lists_makes_an_opcode_unknown(opcode):
    assert opcode not in TABLE


@pytest.mark.parametrize(
    "opcode",
    ["sin.approx.ftz.2pi.f32", "fabric.submit.commit_group", "st.async.mmio.release.sys.global.u32",
     "red.async.release.gpu.add.u32", "ld.global.proxy::readonly.b32", "red.relaxed.gpu.global.add.noftz.v2.f32",
     "ldmatrix.sync.aligned.m8n16.x1.shared.s8.s4", "prefetch.global.valid_addr.L1::32B",
     "cvt.rz.relu.satfinite.e4m3x2.f16x2", "cvt.rz.satfinite.scaled::n2::ue8m0.s2f6x2.f32"],
)  # fmt: skip
def test_an_opcode_that_ptxas_knows_and_the_emulator_lacks_has_a_reason(opcode):
    assert opcode not in TABLE
    assert why(opcode)


@pytest.mark.parametrize(
    ("order", "manual"),
    [
        ("ld.global.acquire.gpu.b32", "ld.acquire.gpu.global.b32"),
        ("red.global.release.gpu.add.u32", "red.release.gpu.global.add.u32"),
        ("atom.global.v2.f32.add", "atom.global.add.v2.f32"),
        ("ld.global.weak.b32", "ld.weak.global.b32"),
    ],
)
def test_memory_qualifiers_may_come_in_any_order(order, manual):
    (one,), (other,) = TABLE[order], TABLE[manual]
    assert (one.body, dict(one.arguments), one.operands) == (other.body, dict(other.arguments), other.operands)


@pytest.mark.parametrize(
    "opcode",
    ["mul.u32.wide", "cvt.rn.s32.f32", "cp.async.ca.global.shared", "bar.popc.red.u32",
     "mma.sync.aligned.m16n8k8.col.row.f32.f16.f16.f32", "mma.sync.aligned.m16n8k8.row.col.f16.f16.f32.f32",
     "wmma.a.load.sync.aligned.row.m16n16k16.f16"],
)  # fmt: skip
def test_the_name_comes_first_and_types_spaces_and_layouts_keep_their_order(opcode):
    assert opcode not in TABLE


@pytest.mark.parametrize(
    ("opcode", "suggested"),
    [
        ("ld.global.v3.b32", "ld.global.v2.b32"),
        ("atom.global.mul.u32", "atom.global.min.u32"),
        ("bar.wait", "bar.sync"),
    ],
)
def test_the_nearest_spelling_is_of_the_same_instruction(opcode, suggested):
    spellings = nearest(opcode)
    assert suggested in spellings or spellings[0].split(".")[0] == opcode.split(".")[0]
    assert all(opcode in TABLE for opcode in spellings)


@pytest.mark.parametrize("syntax", ["add{.sat}.s32 d, a, b", "add.rnd.s32 d, a, b"])
def test_a_modifier_that_no_parameter_takes_fails_the_import(syntax):
    instruction = Chapter("a test", counted="int")
    with pytest.raises(ValueError, match="neither asks for"):

        @instruction(syntax, rnd=("rn", "rz"), section="none")
        def add(e, a, b):
            return e.add(a, b)


@pytest.mark.parametrize("opcode", ["tcgen05.cp.128x256b.cta_group::1.b8x16.b6x16_p32", "tex.1d.v4.f32.s32",
                                    "tcgen05.mma.kind::f16.cta_group::1"])  # fmt: skip
def test_unsupported_spellings_are_named_with_modifiers_in_any_order(opcode):
    assert why(opcode) is not None
