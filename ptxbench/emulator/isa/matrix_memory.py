"""PTX ISA, Warp Level Matrix Instructions: ldmatrix, stmatrix, movmatrix.

A row is 16 bytes of shared memory, at the address of one lane. Rows of 16 elements of 4 or 6 bits have them at their
start, without gaps; in registers each element has 8 bits, the upper ones 0.
"""

from ptxbench.emulator.emit import Value
from ptxbench.emulator.isa.matrix import SHARED, call, first_lanes, need
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.runtime import rearrange
from ptxbench.emulator.types import B32, B64

instruction = Chapter("Warp Level Matrix Instructions: ldmatrix, stmatrix, movmatrix", counted="matrix")

LDMATRIX, STMATRIX, MOVMATRIX = (
    f"warp-level-matrix-instructions-{name}" for name in ("ldmatrix", "stmatrix", "movmatrix")
)
NARROW = {"b8x16.b4x16_p64": 4, "b8x16.b6x16_p32": 6}
"""The formats of rows of 16 elements -> bits of an element."""
FIRST_WITH_BYTES = 100


# ---- 8 x 8 matrices of b16


@instruction("ldmatrix.sync.aligned.m8n8.num{.trans}{.space}.b16 {d}:b32, [a]", num=("x1", "x2", "x4"), space=SHARED,
             flow="aligned", section=LDMATRIX)  # fmt: skip
def ldmatrix(e, ops, num, trans, space, a):
    """Lanes 8 j to 8 j + 7 have the addresses of matrix j's rows, 16 bytes each; each lane gets two elements."""
    need(ops, 75)
    count = int(num[1:])
    rows = loaded_rows(e, ops, 8 * count, a, space)
    return call(ops, rearrange.rows_to_matrices(count, trans), rows, count)


@instruction("stmatrix.sync.aligned.m8n8.num{.trans}{.space}.b16 [a], {b}:b32", num=("x1", "x2", "x4"), space=SHARED,
             flow="aligned", section=STMATRIX)  # fmt: skip
def stmatrix(e, ops, num, trans, space, a, b):
    """The inverse of ldmatrix."""
    need(ops, 90)
    count = int(num[1:])
    stored_rows(
        e, ops, count, call(ops, rearrange.matrices_to_rows(count, trans), ops.require_count(b, count), 4), a, space
    )


@instruction("movmatrix.sync.aligned.m8n8.trans.b16 d:b32, a:b32", flow="aligned", section=MOVMATRIX)
def movmatrix(e, ops, a):
    need(ops, 75)
    return rearrange.transposed(e, a)


def loaded_rows(e, ops, lanes, a, space, padding=0):
    """The words of the rows at the addresses of the first `lanes` lanes; the last `padding` words are not used."""
    first_lanes(ops, lanes)
    return ops.load("shared", a if space else in_shared(e, ops, a), B32, 4, padding=padding)


def stored_rows(e, ops, count, rows, a, space):
    """Store the rows of `count` matrices, eight each."""
    first_lanes(ops, 8 * count)
    ops.store("shared", a if space else in_shared(e, ops, a), rows)


def in_shared(e, ops, address):
    """Convert a generic address to one in shared memory; any other address becomes out of bounds."""
    if not isinstance(address, Value):
        raise syntax_error(ops.line, "needs an address in shared memory.")
    wide = e.convert(address, B64) if address.type.bits == 32 else address
    return e.sub(wide, ops.window("shared", B64))


# ---- matrices of 8, 6 and 4 bits


@instruction("ldmatrix.sync.aligned.m16n16.num.trans{.space}.format {d}:b32, [a]", num=("x1", "x2"), space=SHARED,
             format=("b8", *NARROW), flow="aligned", section=LDMATRIX)  # fmt: skip
def ldmatrix_bytes(e, ops, num, space, format, a):
    """Two matrices at most: lanes 0 to 15 and 16 to 31 have the addresses of their rows. A lane gets four rows of a
    column, and of the column 8 further."""
    need(ops, FIRST_WITH_BYTES)
    count = int(num[1:])
    words = narrow_rows(e, ops, 16 * count, a, space, NARROW.get(str(format), 8))
    return call(ops, rearrange.rows_to_columns(count), words, 2 * count)


@instruction("ldmatrix.sync.aligned.m8n16.num{.space}.format {d}:b32, [a]", num=("x1", "x2", "x4"), space=SHARED,
             format=NARROW, flow="aligned", section=LDMATRIX)  # fmt: skip
def ldmatrix_narrow(e, ops, num, space, format, a):
    """Lanes 8 j to 8 j + 7 have the addresses of matrix j's rows; each lane gets four neighbours of a row."""
    need(ops, FIRST_WITH_BYTES)
    count = int(num[1:])
    words = narrow_rows(e, ops, 8 * count, a, space, NARROW[str(format)])
    return call(ops, rearrange.rows_to_matrices(count, False), words, count)


@instruction("stmatrix.sync.aligned.m16n8.num.trans{.space}.b8 [a], {b}:b32", num=("x1", "x2", "x4"), space=SHARED,
             flow="aligned", section=STMATRIX)  # fmt: skip
def stmatrix_bytes(e, ops, num, space, a, b):
    """A lane has two neighbours of a row, and of the row 8 below; a column of 16 is a row in memory."""
    need(ops, FIRST_WITH_BYTES)
    count = int(num[1:])
    stored_rows(e, ops, count, call(ops, rearrange.columns_to_rows(count), ops.require_count(b, count), 4), a, space)


def narrow_rows(e, ops, lanes, a, space, bits):
    """Rows of 16 elements of `bits` bits, as four words with 8 bits for each."""
    words = loaded_rows(e, ops, lanes, a, space, padding=4 - bits // 2)
    if bits == 8:
        return words
    result = []
    for number in range(4):
        first, shift = divmod(4 * bits * number, 32)
        four = e.shr(words[first], e.constant(shift, B32))
        if shift + 4 * bits > 32:
            four = e.or_(four, e.shl(words[first + 1], e.constant(32 - shift, B32)))
        parts = [e.and_(four, e.constant((1 << bits) - 1, B32))]
        for i in range(1, 4):
            part = e.and_(e.shr(four, e.constant(bits * i, B32)), e.constant((1 << bits) - 1, B32))
            parts.append(e.shl(part, e.constant(8 * i, B32)))
        word = parts[0]
        for part in parts[1:]:
            word = e.or_(word, part)
        result.append(word)
    return tuple(result)
