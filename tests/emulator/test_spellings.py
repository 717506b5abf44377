"""The table takes the spellings that ptxas takes, and no others: seeded shuffles of the modifiers of every line."""

import itertools
import random

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.isa import TABLE, find
from ptxbench.emulator.parse import parse
from tests.emulator.spelled import module, operands, refusals

SEED = 20261126
TARGET = "sm_100a"
SHUFFLES = 4

CALLING = ("call", "ld.param::func", "ld.weak.param::func", "st.param", "st.weak.param")
"""What ptxas takes only around a call, and the emulator's own names for functions of the host."""
OLD = ("shfl", "vote")
"""ptxas takes these without .sync only for targets below sm_70."""


def of_old_targets(opcode):
    return opcode.startswith(OLD) and "sync" not in opcode


def shuffled(draw):
    """Of each line of the table an instruction, and the same with its modifiers in other orders."""
    for line in dict.fromkeys(itertools.chain(*TABLE.patterns.values())):
        opcode = ".".join(itertools.chain(*(draw.choice(part.choices)[0] for part in line.parts)))
        entry = line.entry(next(line.readings(tuple(opcode.split(".")))))
        if entry.flow == "exit" or opcode.startswith(CALLING) or of_old_targets(opcode):
            continue
        name, *modifiers = opcode.split(".")
        others = {".".join([name, *draw.sample(modifiers, len(modifiers))]) for _ in range(SHUFFLES)}
        for spelled in sorted({opcode} | others):
            yield f"{spelled} {', '.join(operands(entry))};".replace(" ;", ";")


def test_a_shuffled_opcode_is_known_where_ptxas_knows_it():
    lines = list(shuffled(random.Random(SEED)))
    instructions = parse(module(lines, TARGET)).functions["spelled"].instructions
    differing = [
        f"{line}  ptxas: {refusal or 'takes it'}"
        for line, instruction, refusal in zip(lines, instructions, refusals(lines, TARGET), strict=False)
        if bool(find(instruction)) == bool(refusal) and "Arguments mismatch" not in refusal
    ]
    assert not differing, "\n".join(differing)


KERNEL = """.version 8.0
.target sm_80
.address_size 64
.visible .entry orders(.param .u64 out)
{
    .reg .b64 %out;
    .reg .b32 %row, %lane, %m<4>, %all;
    .reg .f32 %one, %half;
    .reg .pred %p;
    .shared .align 16 .b8 tile[512];
    mov.u32 %lane, %laneid;
    mov.u32 %row, tile;
    mad.lo.u32 %row, %lane, 16, %row;
    st.v4.u32.shared [%row], {%lane, %lane, %lane, %lane};
    bar.warp.sync 0xffffffff;
    ldmatrix.sync.aligned.x4.m8n8.shared.b16 {%m0, %m1, %m2, %m3}, [%row];
    setp.u32.lt %p, %m3, 32;
    vote.ballot.sync.b32 %all, %p, 0xffffffff;
    mov.f32 %one, 1.0;
    mov.f32 %half, 2.0;
    div.ftz.rn.f32 %half, %one, %half;
    ld.param.u64 %out, [out];
    mad.wide.u32 %out, %lane, 16, %out;
    st.global.v2.b32 [%out], {%m3, %all};
    st.f32.global [%out + 8], %half;
    ex2.ftz.approx.f32 %half, %half;
    st.global.f32 [%out + 12], %half;
    ret;
}
"""


def test_modifiers_in_another_order_mean_the_same():
    out = np.zeros((32, 4), np.uint32)
    execution = emulator.run(KERNEL, grid=1, block=32, args=[out])
    assert out[:, 0].tolist() == [24 + lane // 4 for lane in range(32)]
    assert out[:, 1].tolist() == [0xFFFFFFFF] * 32
    assert out[:, 2:].view(np.float32).tolist() == [[0.5, pytest.approx(2**0.5)]] * 32
    assert list(execution.approximate) == ["ex2.ftz.approx.f32"]
