"""Integer instructions of sm_120a on two and four integers in a register, add.sat.u32, and clmad, against Python."""

import itertools

import numpy as np

from tests.emulator import batch
from tests.emulator.oracle import interpret
from tests.emulator.samples import SEED, Check, disagreements

NOTABLE = (0, 1, 2, 0x7E, 0x7F, 0x80, 0x81, 0xFE, 0xFF)


def clamp(value, low, high):
    return min(max(value, low), high)


def columns():
    """Words of notable bytes, each with each, and any words."""
    rng = np.random.default_rng(SEED)
    pairs = np.array(list(itertools.product(NOTABLE, NOTABLE)), np.uint64)
    words = [sum(np.roll(pairs[:, side], 7 * byte) << np.uint64(8 * byte) for byte in range(4)) for side in (0, 1)]
    return [np.concatenate([word, rng.integers(0, 2**32, 60, np.uint64)]) for word in words]


OPERATIONS = {
    "add": lambda a, b, low, high: a + b,
    "add.sat": lambda a, b, low, high: clamp(a + b, low, high),
    "sub": lambda a, b, low, high: a - b,
    "sub.sat": lambda a, b, low, high: clamp(a - b, low, high),
    "min": lambda a, b, low, high: min(a, b),
    "max": lambda a, b, low, high: max(a, b),
    "min.relu": lambda a, b, low, high: max(min(a, b), 0),
    "max.relu": lambda a, b, low, high: max(a, b, 0),
    "neg": lambda a, low, high: -a,
}
KINDS = {
    "u8x4": ("add", "add.sat", "sub", "sub.sat", "min", "max"),
    "s8x4": tuple(OPERATIONS),
    "u16x2": ("add", "add.sat", "min", "max"),
    "s16x2": ("add", "add.sat", "min", "max", "min.relu", "max.relu"),
    "u32": ("add.sat",),
}


def by_parts(kind, operation):
    """`operation` on each integer of words."""
    bits, signed = int(kind[1:].partition("x")[0]), kind[0] == "s"
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def part(word, at):
        value = word >> at & (1 << bits) - 1
        return value - (1 << bits) if value > high else value

    def expected(*words):
        parts = range(0, 32, bits)
        return sum((operation(*(part(w, at) for w in words), low, high) & (1 << bits) - 1) << at for at in parts)

    return expected


def packed():
    a, b = columns()
    for kind, names in KINDS.items():
        for name in names:
            operands = [a] if name == "neg" else [a, b]
            yield Check(f"{name}.{kind}", "b32", ["b32"] * len(operands), operands, by_parts(kind, OPERATIONS[name]))


def test_packed_integers_do_not_carry_into_each_other():
    assert disagreements(list(packed()), "sm_120a", "9.2") == []


def test_the_interpreter_gives_the_same():
    checks = [check for check in packed() if not check.opcode.startswith("neg")]
    rows = -(-len(checks[0].columns[0]) // batch.BLOCK) * batch.BLOCK
    cases = [batch.Case(check.opcode, check.result, check.kinds, check.columns) for check in checks]
    sources = np.zeros((2 * len(checks), rows), np.uint64)
    for number, column in enumerate(column for check in checks for column in check.columns):
        sources[number, : len(column)] = column
    results = np.zeros((len(checks), rows), np.uint64)
    text = batch.module(cases, rows, "sm_120a", "9.2")
    grid, block = (rows // batch.BLOCK, 1, 1), (batch.BLOCK, 1, 1)
    interpret(text, None, grid=grid, block=block, args=[sources, results])
    for check, got in zip(checks, results, strict=True):
        wanted = [check.expected(*map(int, row)) for row in zip(*check.columns, strict=True)]
        assert got[: len(wanted)].tolist() == wanted, check.opcode


def product(a, b):
    """Of polynomials over two elements: bit i of a number is the factor of x^i."""
    result = 0
    for bit in range(64):
        result ^= (a << bit) * (b >> bit & 1)
    return result


def test_clmad_multiplies_without_carries():
    rng = np.random.default_rng(SEED)
    wide = [rng.integers(0, 2**64 - 1, 200, np.uint64, endpoint=True) for _ in range(3)]
    for column in wide[:2]:
        column[:8] = [0, 1, 2, 1 << 63, (1 << 64) - 1, 3 << 62, (1 << 32) - 1, 0x8000000000000001]
    wide[1][:8] = np.roll(wide[1][:8], 3)
    checks = []
    for half, kind in itertools.product(("lo", "hi"), ("u64", "s64")):

        def expected(a, b, c, half=half):
            whole = product(a, b)
            return (whole >> 64 if half == "hi" else whole & (1 << 64) - 1) ^ c

        checks.append(Check(f"clmad.{half}.{kind}", "b64", ["b64"] * 3, wide, expected))
    assert disagreements(checks, "sm_90", "9.3") == []
