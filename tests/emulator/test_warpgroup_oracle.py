"""wgmma against the NumPy interpreter: any descriptors, both majors, every type, A from either place, any content."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import MemoryFault
from tests import quick
from tests.emulator.oracle import Counters, interpret
from tests.emulator.test_warpgroup import BITS, TILE, kernel, opcode_of

# types, columns, what follows the scale of D: signs and transpositions, A in registers, the scale of D
PRODUCTS = [
    ("f32.f16.f16",   64,  ", 1, 1, 0, 0",    False, "1"),
    ("f32.f16.f16",   128, ", 1, -1, 0, 1",   False, "!%p"),
    ("f16.f16.f16",   40,  ", -1, 1, 1, 0",   False, "%p"),
    ("f32.bf16.bf16", 24,  ", -1, -1, 1, 1",  False, "1"),
    ("f32.bf16.bf16", 72,  ", 1, 1, 1",       True,  "%p"),
    ("f16.f16.f16",   16,  ", -1, 1, 0",      True,  "0"),
    ("f32.tf32.tf32", 56,  ", 1, -1",         False, "%p"),
    ("f32.tf32.tf32", 8,   ", 1, 1",          True,  "1"),
    ("f32.e4m3.e5m2", 96,  ", 1, 1",          False, "1"),
    ("f16.e5m2.e4m3", 32,  ", -1, 1",         True,  "1"),
    ("f32.e4m3.e4m3", 16,  ", -1, 1",         True,  "!%p"),
    ("s32.s8.u8",     48,  "",                False, "1"),
    ("s32.u8.s8",     32,  "",                True,  "1"),
    ("s32.b1.b1",     24,  "",                False, "%p"),
]  # fmt: skip
ROUNDS = 16
"""Launches of each, with other descriptors and other content."""


def opcode_and_text(types, columns, more, in_registers, scale):
    limit = ".satfinite" if types == "s32.u8.s8" else ""
    opcode = opcode_of(types, columns, limit) + ".and.popc" * ("b1" in types)
    name = f"random_{types}_{columns}_{more}_{in_registers}".replace(".", "_").translate(str.maketrans("-, ", "m__"))
    return opcode, kernel(opcode, "{%a0, %a1, %a2, %a3}" if in_registers else "%da", more, scale, name=name)


def descriptor(draw, rows):
    """Random mode, start and distances; mostly the matrix is inside the shared memory of the kernel."""
    anywhere = draw.random() < 0.1
    room = TILE // 16
    leading = int(draw.integers(0, room if anywhere else max(2, room // (rows // 8 + 4) // 2)))
    stride = int(draw.integers(0, room if anywhere else max(2, room // (rows // 8 + 4) // 2)))
    start = int(draw.integers(0, room if anywhere else room // 3))
    return start | leading << 16 | stride << 32 | int(draw.integers(0, 4)) << 62


def content(draw, kind, shape):
    """Bytes of numbers of a type: small whole ones, whose sums are exact, or any bits."""
    if kind == "b1" or draw.random() < 0.4:
        return draw.integers(0, 256, shape, np.uint8)
    whole = draw.integers(-4, 5, (shape[0], shape[1] * 8 // BITS[kind])) if kind[0] != "u" else None
    if kind in ("s8", "u8"):
        return draw.integers(0, 256, shape, np.uint8) if whole is None else whole.astype(np.int8).view(np.uint8)
    wide = whole.astype(np.float32)
    if kind in ("e4m3", "e5m2"):
        codes = {"e4m3": (0, 0x38, 0x40, 0x44, 0x48), "e5m2": (0, 0x3C, 0x40, 0x42, 0x44)}[kind]
        return np.array(codes, np.uint8)[abs(whole)] | np.where(whole < 0, 0x80, 0).astype(np.uint8)
    if kind == "f16":
        return wide.astype(np.float16).view(np.uint8)
    if kind == "bf16":
        return (wide.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    return wide.view(np.uint8)


def arguments(draw, opcode, types, columns):
    """Shared memory of A's numbers in one third and B's in the others, A's registers, D, and both descriptors."""
    d_kind, a_kind, b_kind = types.split(".")
    third = TILE // 3 // 32 * 32
    image = np.concatenate(
        [content(draw, a_kind, (third // 32, 32)), content(draw, b_kind, ((TILE - third) // 32, 32))]
    )
    count = columns // (4 if d_kind == "f16" else 2)
    d = content(draw, "s8", (128, 4 * count)).view(np.uint32)
    if d_kind == "f32":
        d = draw.integers(-99, 99, (128, count)).astype(np.float32).view(np.uint32)
    registers = content(draw, a_kind, (128, 16)).view(np.uint32)
    b = descriptor(draw, columns) + third // 16
    return [image.reshape(-1), registers, d, np.uint64(descriptor(draw, 64)), np.uint64(b)]


@pytest.mark.parametrize(
    "case",
    quick.every(4, [(case,) for case in PRODUCTS]),
    ids=lambda case: f"{case[0]}-{case[1]}{case[2]}".replace(" ", ""),
)
def test_any_product_has_the_bits_of_the_interpreter(case):
    opcode, text = opcode_and_text(*case)
    faults = 0
    for seed in range(ROUNDS):
        by_interpreter, by_emulator = (arguments(np.random.default_rng(seed), opcode, *case[:2]) for _ in range(2))
        counters = Counters()
        try:
            interpret(text, None, grid=(1, 1, 1), block=(128, 1, 1), args=by_interpreter, counters=counters)
        except IndexError:
            with pytest.raises(MemoryFault, match="outside the shared memory"):
                emulator.run(text, grid=1, block=128, args=by_emulator, arch="sm_90")
            faults += 1
            continue
        execution = emulator.run(text, grid=1, block=128, args=by_emulator, arch="sm_90")
        assert np.array_equal(by_interpreter[2], by_emulator[2]), (
            seed,
            hex(int(by_interpreter[3])),
            hex(int(by_interpreter[4])),
        )
        assert counters.differences(execution) == []
    assert faults < ROUNDS // 2
