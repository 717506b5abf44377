"""The table accepts the same spellings as ptxas: seeded shuffles of the modifiers of every line."""

import itertools
import random
import re

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.isa import TABLE
from ptxbench.emulator.types import PRED
from tests.emulator.spelled import (
    REGISTERS,
    complaints,
    instruction,
    of_narrow_floats,
    operands,
    refusals,
    together,
)

SEED = 20261126
TARGET, OF_WARPGROUPS, OF_SM_120 = "sm_100a", "sm_90a", "sm_120a"
SHUFFLES = 4

CALLING = ("call", "ld.param::func", "ld.weak.param::func", "st.param", "st.weak.param")
"""Spellings that ptxas accepts only around a call, and the emulator's own names for functions of the host."""
OLD = ("shfl", "vote")
"""ptxas takes these without .sync only for targets below sm_70."""


def of_bytes(line):
    """Whether it needs sm_120a: integers of 8 bits in a register, and sums of others that are clamped."""
    words = set(line.split()[0].split("."))
    return bool({"u8x4", "s8x4"} & words or ({"add", "sat"} <= words and {"u32", "u16x2", "s16x2"} & words))


def of_old_targets(opcode):
    return opcode.startswith(OLD) and "sync" not in opcode


def entries(draw):
    """One entry for each line of the table."""
    for line in dict.fromkeys(itertools.chain(*TABLE.patterns.values())):
        opcode = ".".join(itertools.chain(*(draw.choice(part.choices)[0] for part in line.parts)))
        if not (opcode.startswith((*CALLING, "ret", "exit")) or of_old_targets(opcode)):
            yield line.entry(next(line.readings(tuple(opcode.split(".")))))


def shuffled(draw):
    """An instruction for each line of the table, and the same with its modifiers in other orders."""
    for entry in entries(draw):
        name, *modifiers = entry.opcode.split(".")
        others = {".".join([name, *draw.sample(modifiers, len(modifiers))]) for _ in range(SHUFFLES)}
        for spelled in sorted({entry.opcode} | others):
            yield instruction(spelled, operands(entry))


def differing(lines):
    """The lines that ptxas accepts and the emulator does not, or the other way round."""
    differences = []

    def target_of(line):
        newest = of_narrow_floats(line) or of_bytes(line)
        return OF_WARPGROUPS if line.startswith("wgmma") else OF_SM_120 if newest else TARGET

    for target in (TARGET, OF_WARPGROUPS, OF_SM_120):
        asked = [line for line in lines if target_of(line) == target]
        both = zip(asked, complaints(asked, target), refusals(asked, target), strict=True)
        differences += [
            f"{line}  emulator: {complaint or 'takes it'}  ptxas: {refusal or 'takes it'}"
            for line, complaint, refusal in both
            if bool(complaint) != bool(refusal)
        ]
    return differences


def test_an_opcode_with_shuffled_modifiers_is_accepted_if_ptxas_accepts_it():
    differences = differing(list(shuffled(random.Random(SEED))))
    assert not differences, "\n".join(differences)


OTHERS = ("1", "1.0", "0f3f800000", "0d3ff0000000000000", "%tid.x", "%clock64", "WARP_SZ", "!%pred_39", "tile")
"""Operands that are tried in place of a register."""


RANGED = re.compile(r"bar\.|barrier\.|mbarrier\.|cp\.async")


def is_known_difference(entry, form, replacement):
    """Whether ptxas accepts or refuses `replacement` for a known reason that does not apply to the emulator."""
    return (
        (form.vector and not replacement.startswith("%") and replacement != "1")  # numbers and ! in vectors
        or (form.vector and replacement in ("%tid.x", "%clock64"))
        or (entry.counted == "matrix" and ("pred" in replacement or not replacement.startswith("%")))
        or entry.opcode.endswith("e2m1x2.bf16x2")  # ptxas takes a source of any type
        or "f16x2" in replacement  # a register of this type counts as .b32
        or (entry.opcode.startswith("cvta") and replacement == "tile")  # of another state space
        or (entry.opcode.startswith("isspacep") and "32" in replacement)  # addresses of 32 bits
        or (form.kind == "target" and replacement in ("1", "WARP_SZ") and entry.opcode.startswith("v"))  # as a result
        or (replacement in ("1", "WARP_SZ") and RANGED.match(entry.opcode))  # numbers out of an operand's range
        or (replacement in ("1", "WARP_SZ") and form.type is PRED and ".bf16" in entry.opcode)
    )


def other_operands(draw):
    """An instruction for each line of the table, once per operand with another register or OTHERS in its place."""
    for entry in entries(draw):
        words = operands(entry)
        for place, form in enumerate(entry.operands):
            if form.kind in ("address", "label") or not words[place].startswith(("%", "{")):
                continue
            for replacement in (*(f"%{kind}_39" for kind in REGISTERS), *OTHERS):
                if is_known_difference(entry, form, replacement):
                    continue
                if form.vector:
                    replacements = [replacement, *words[place][1:-1].split(", ")[1:]]
                    if replacement.endswith("_39"):
                        replacements = [f"{replacement[:-2]}{20 + i}" for i in range(len(replacements))]
                    text = "{" + ", ".join(replacements) + "}"
                elif form.predicate and not (replacement.startswith("%") and replacement.endswith("_39")):
                    continue
                elif form.predicate:
                    text = draw.choice((f"{replacement}|%pred_38", f"{words[place].split('|')[0]}|{replacement}"))
                else:
                    text = replacement
                yield instruction(entry.opcode, [*words[:place], text, *words[place + 1 :]])


def test_an_operand_is_accepted_if_ptxas_accepts_it():
    differences = differing(list(other_operands(random.Random(SEED))))
    assert not differences, "\n".join(differences)


MUTANTS = 4
MORE = (
    "f16", "bf16", "f16x2", "bf16x2", "f32x2", "b8", "b16", "b32", "b64", "b128", "u8", "u16", "u32", "u64", "s8",
    "s16", "s32", "s64", "f32", "f64", "tf32", "u16x2", "s16x2", "ftz", "sat", "rn", "rz", "rm", "rp", "rna", "rni",
    "relu", "satfinite", "NaN", "xorsign", "abs", "approx", "full", "v2", "v4", "v8", "volatile", "weak", "relaxed",
    "acquire", "release", "cta", "gpu", "sys", "cluster", "nc", "noftz", "sync", "aligned", "uni", "global",
    "shared", "local", "const", "param", "L1::evict_last", "L2::128B",
)  # fmt: skip
"""Modifiers to insert at wrong positions, besides those of the same instruction."""

LENIENT = {
    "a modifier twice": lambda words: len(set(words)) < len(words),
    "tests of numbers, and .pred, where they mean nothing": lambda words: bool(
        {"pred", "finite", "infinite", "number", "notanumber", "normal", "subnormal"} & set(words)
    ),
    "testp without a test": lambda words: words[0] == "testp",
    "further types, vectors and fragments of movmatrix and wmma": lambda words: words[0] in ("movmatrix", "wmma"),
    "fences of further combinations, which would not order more": lambda words: words[0] == "fence",
    ".v8 of 16 bits, on which ptxas crashes": lambda words: "v8" in words and words[0] in ("ld", "st"),
    "parts of a bulk copy's name as modifiers": lambda words: words[:3] == ["cp", "async", "bulk"],
    "tensormap.cp_fenceproxy with the name of a field": lambda words: words[1] == "cp_fenceproxy",
    "st.async without its completion, or with an unnamed vector": lambda words: words[:2] == ["st", "async"],
    "wgmma without .aligned": lambda words: words[0] == "wgmma" and "aligned" not in words,
    "addc.sat, subc.sat": lambda words: words[0] in ("addc", "subc"),
    "rcp.ftz.f64 with a rounding": lambda words: words[0] == "rcp" and "f64" in words,
    "fma with .relu or .oob and other modifiers": lambda words: (
        words[0] == "fma" and bool({"relu", "oob"} & set(words))
    ),
    "atom.exch with a third source": lambda words: words[0] == "atom" and "exch" in words,
}
"""Opcodes that ptxas accepts and the emulator does not: reason -> whether it covers an opcode, given as words."""
STRICTER = ("[parameter]", "::func", "mbarrier", "alloca")
"""Parts of lines with addresses of another space, which are refused where they are translated, and with results that
must be `_`, which the emulator takes."""
COUNTED = re.compile(r"mma|wmma|wgmma|ldmatrix|stmatrix")
"""The number of their registers is checked where they are translated."""


def mutants(draw):
    """Instructions for each line of the table with an extra, a missing or a replaced modifier."""
    every = entries(draw)
    words_of = {}
    for line in itertools.chain(*TABLE.patterns.values()):
        words_of.setdefault(line.parts[0].choices[0][0][0], set()).update(*(part.vocabulary for part in line.parts))
    for entry in every:
        text = together(
            entry.opcode,
            [re.sub(r"%[usf](\d+)_", r"%b\1_", operand).replace("%b16x2", "%b32") for operand in operands(entry)],
        )
        name, *modifiers = entry.opcode.split(".")
        own = sorted(words_of.get(name, {*modifiers}))
        for _ in range(MUTANTS):
            words = [name, *modifiers]
            place = draw.randrange(1, len(words)) if modifiers else 1
            change, other = draw.random(), draw.choice(draw.choice((own, MORE)))
            if change < 0.25 and modifiers:
                del words[place]
            elif change < 0.65 and modifiers:
                words[place] = other
            else:
                words.insert(place, other)
            yield f"{'.'.join(words)} {text};".replace(" ;", ";")


def lenient(line):
    """Whether ptxas accepts a line for a known reason."""
    words = line.split()[0].rstrip(";").split(".")
    return any(covers(words) for covers in LENIENT.values())


def stricter(line):
    """Whether ptxas refuses a line for a reason that is known."""
    return any(part in line for part in STRICTER) or bool(
        COUNTED.match(line) and re.search("vector (of )?size", line, re.I)
    )


def test_a_mutated_opcode_is_accepted_if_ptxas_accepts_it():
    lines = [
        line for line in mutants(random.Random(SEED)) if not line.startswith(("ret", "exit", "bra", "trap", "call"))
    ]
    differences = [
        line for line in differing(lines) if not (lenient(line) if "ptxas: takes it" in line else stricter(line))
    ]
    assert not differences, "\n".join(differences)


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
    assert list(execution.approximate) == ["ex2.approx.ftz.f32"]
