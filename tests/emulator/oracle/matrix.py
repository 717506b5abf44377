"""Matrix instructions of f16, bf16, e4m3, e5m2 and bytes. (PTX ISA, "Warp Level Matrix Instructions".)

Sums follow the model of docs/matrix.md for sm_90. A lane's share of a wmma fragment, which the manual leaves open,
is here 2 or 4 times the lane's number and on, row by row: a kernel that depends on another share gives other results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ptxbench.emulator.syntax import Immediate, Vector
from tests.emulator.oracle import numbers
from tests.emulator.oracle.counters import LANES
from tests.emulator.oracle.loads import Place, taken_space
from tests.emulator.oracle.step import Action, Step, rule

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

FRACTION = 25
"""Bits below the greatest power of two among the products and the addend that a sum keeps on sm_90."""
BLOCK = 16


def whole_warps(threads: Threads, step: Step) -> Any:
    """The numbers of the warps with all lanes active."""
    warps, lanes = np.unique(threads.all_here() // LANES, return_counts=True)
    if (lanes != LANES).any():
        raise RuntimeError(f"line {step.line}: not whole warps")
    return warps


def registers(threads: Threads, operand: Any, bits: int = 32) -> Any:
    """The operand's registers, shape (warps, lanes, registers)."""
    parts = operand.parts if isinstance(operand, Vector) else (operand,)
    values = [threads.spread(threads.read(part, f"b{bits}")).reshape(-1, LANES) for part in parts]
    return np.ascontiguousarray(np.stack(values, axis=2))


def write_registers(threads: Threads, operand: Any, values: Any) -> None:
    """Write registers; `values`: of shape (warps, lanes, registers)."""
    parts = operand.parts if isinstance(operand, Vector) else (operand,)
    for i, part in enumerate(parts):
        threads.write(part, np.ascontiguousarray(values[:, :, i]).reshape(-1))


# ---- ldmatrix, stmatrix, movmatrix


def matrix_rows(threads: Threads, step: Step, space: str, address: Any, count: int, kind: str) -> Any:
    """Offsets in the arena of the rows of 16 bytes, shape (warps, matrices, 8)."""
    warps = whole_warps(threads, step)
    place = Place(threads, space, address)
    offsets = place.offsets.reshape(-1, LANES)[:, : 8 * count].reshape(-1, count, 8)
    if threads.counters is not None:
        addresses = place.address.reshape(-1, LANES)[:, : 8 * count]
        lane = np.broadcast_to(np.arange(8 * count), addresses.shape)
        warp = np.broadcast_to(warps[:, None], addresses.shape)
        name = f"ptx_shared_{kind}"
        threads.counters.add(
            step.line, **{f"{name}_requests": len(warps), f"{name}_bytes": len(warps) * count * 8 * 16}
        )
        threads.counters.wavefronts(step.line, kind, warp.reshape(-1), lane.reshape(-1), addresses.reshape(-1), 16)
    return offsets


def decoded_matrix(step: Step) -> tuple[str, int, bool]:
    for word in ("sync", "aligned", "m8n8", "b16"):
        step.need(word)
    return taken_space(step) or "shared", int(step.need("x1", "x2", "x4")[1]), bool(step.take("trans"))


@rule("ldmatrix", counted="matrix")
def ldmatrix(step: Step) -> Action | None:
    space, count, transposed = decoded_matrix(step)
    target, address = step.operands

    def act(threads: Threads) -> None:
        offsets = matrix_rows(threads, step, space, address, count, "load")
        at = offsets[..., None] // 2 + np.arange(8)
        tiles = threads.memory.views[16][at]  # (warps, matrices, row, column)
        if transposed:
            tiles = tiles.swapaxes(2, 3)
        # Lane 4 r + i has elements 2 i and 2 i + 1 of row r.
        lanes = np.ascontiguousarray(tiles).view(np.uint32).reshape(len(offsets), count, LANES)
        write_registers(threads, target, lanes.transpose(0, 2, 1))

    return act


@rule("stmatrix", counted="matrix")
def stmatrix(step: Step) -> Action | None:
    space, count, transposed = decoded_matrix(step)
    address, source = step.operands

    def act(threads: Threads) -> None:
        held = registers(threads, source)
        offsets = matrix_rows(threads, step, space, address, count, "store")
        tiles = np.ascontiguousarray(held.transpose(0, 2, 1)).view(np.uint16).reshape(-1, count, 8, 8)
        if transposed:
            tiles = tiles.swapaxes(2, 3)
        threads.memory.views[16][offsets[..., None] // 2 + np.arange(8)] = tiles

    return act


@rule("movmatrix", counted="matrix")
def movmatrix(step: Step) -> Action | None:
    for word in ("sync", "aligned", "m8n8", "trans", "b16"):
        step.need(word)
    target, source = step.operands

    def act(threads: Threads) -> None:
        whole_warps(threads, step)
        tiles = registers(threads, source).view(np.uint16).reshape(-1, 8, 8).swapaxes(1, 2)
        write_registers(threads, target, np.ascontiguousarray(tiles).view(np.uint32).reshape(-1, LANES, 1))

    return act


# ---- sums


LOWEST = -133
"""The least exponent that terms are aligned to on sm_90; only bf16 and tf32 have products so small."""


def exponent(values: Any, least: int) -> Any:
    return np.maximum(np.frexp(values)[1] - 1, least)


def block(a: Any, b: Any, c: Any, kinds: tuple[str, str, str], fraction: int) -> Any:
    """c + the sum of a * b over the last axis: terms cut toward zero, added exactly; unrounded, as f64.

    `kinds`: of a, b and c. `fraction`: bits below the greatest power of two of the terms that each keeps.
    """
    least_a, least_b, least_c = (numbers.FORMATS[kind][1] for kind in kinds)
    products = a * b
    powers = exponent(a, least_a) + exponent(b, least_b)
    top = np.where(products != 0, powers, -(10**6)).max(axis=-1)
    top = np.maximum(top, np.where(c != 0, exponent(c, least_c), -(10**6)))
    if kinds[0] in ("bf16", "tf32"):
        top = np.maximum(top, LOWEST)
    unit = np.where(top == -(10**6), 0, top - fraction)
    finite = np.isfinite(products).all(axis=-1) & np.isfinite(c)
    terms = np.trunc(np.ldexp(np.where(np.isfinite(products), products, 0), -unit[..., None]))
    total = terms.sum(axis=-1) + np.trunc(np.ldexp(np.where(np.isfinite(c), c, 0), -unit))
    return np.where(finite, np.ldexp(total, unit), products.sum(axis=-1) + c) + 0.0


def product(
    a: Any, b: Any, c: Any, kinds: tuple[str, str], to: str, size: int = BLOCK, fraction: int = FRACTION, of_c: str = ""
) -> Any:
    """a (w, m, k) times b (w, k, n) plus c (w, m, n), all f64, in blocks of `size` along k.

    `of_c`: the type of c, by default that of the result. An f32 keeps no more than `fraction` bits.
    """
    depth = a.shape[2]
    for first in range(0, depth, size):
        k = slice(first, min(first + size, depth))
        sums = block(a[:, :, None, k], b[:, k, :].swapaxes(1, 2)[:, None, :, :], c, (*kinds, of_c or to), fraction)
        c, of_c = numbers.rounded(sums, to, "rz" if to == "f32" else "rn"), to
        if to == "f32":
            c = cut(c, fraction)
            # A sum of 2^128 or more is infinite, whatever the rounding.
            c = np.where(np.isfinite(sums) & (np.abs(sums) >= 2.0**128), np.copysign(np.inf, sums), c)
    return c


def product_of_halves(a: Any, b: Any, c: Any, to: str) -> Any:
    """The same of 8-bit floats, as halves: columns 0 and 1 of each four first; at the end c is added (sm_90)."""
    sums = np.zeros(c.shape)
    for two in (slice(0, 2), slice(2, 4)):
        left, right = a.reshape(*a.shape[:2], -1, 4)[..., two], b.reshape(len(b), -1, 4, b.shape[2])[:, :, two]
        left, right = left.reshape(*a.shape[:2], -1), right.reshape(len(b), -1, b.shape[2])
        sums = np.asarray(product(left, right, sums, ("f16", "f16"), to), np.float64)
    return numbers.rounded(sums + c, to)


def cut(values: Any, fraction: int) -> Any:
    """f32 values, as f64, with the fraction bits beyond the first ones cleared."""
    dropped = max(23 - fraction, 0)
    raw = np.asarray(values, np.float32).view(np.uint32)
    return np.where(np.isfinite(values), (raw >> dropped << dropped).view(np.float32), values)


def count_product(threads: Threads, step: Step, kind: str, m: int, n: int, k: int) -> None:
    if threads.counters is not None:
        warps = threads.count_here() // LANES
        threads.counters.add(step.line, **{"ptx_mma_operations": warps, f"ptx_mma_flops_{kind}": warps * 2 * m * n * k})


# ---- mma.sync


def places_a(bits: int, k: int) -> tuple[Any, Any]:
    """Row and column of A (16 x k) that lane 4 g + t holds as its i-th element, shape (lanes, elements)."""
    a_register = 32 // bits
    lane, i = np.meshgrid(np.arange(LANES), np.arange(16 * k // LANES), indexing="ij")
    g, t = lane // 4, lane % 4
    which, inside = i // a_register, i % a_register
    return g + 8 * (which % 2), t * a_register + inside + 4 * a_register * (which // 2)


def places_b(bits: int, k: int) -> tuple[Any, Any]:
    """The same of B (k x 8)."""
    a_register = 32 // bits
    lane, i = np.meshgrid(np.arange(LANES), np.arange(8 * k // LANES), indexing="ij")
    which, inside = i // a_register, i % a_register
    return lane % 4 * a_register + inside + 4 * a_register * which, lane // 4


def places_c() -> tuple[Any, Any]:
    """The same of C and D (16 x 8), four elements."""
    lane, i = np.meshgrid(np.arange(LANES), np.arange(4), indexing="ij")
    return lane // 4 + 8 * (i // 2), lane % 4 * 2 + i % 2


def gathered(values: Any, places: tuple[Any, Any], shape: tuple[int, int]) -> Any:
    """(warps, lanes, elements) as matrices (warps, rows, columns)."""
    result = np.zeros((len(values), *shape), values.dtype)
    result[:, places[0], places[1]] = values
    return result


def elements(registers: Any, kind: str) -> Any:
    """The content of registers as f64: (warps, lanes, elements)."""
    if kind == "f32":
        return registers.view(np.float32).astype(np.float64)
    if kind in ("s8", "u8"):
        return registers.view(np.int8 if kind == "s8" else np.uint8).astype(np.float64)
    if kind == "s32":
        return registers.view(np.int32).astype(np.float64)
    return numbers.value(registers.view(np.uint8 if kind in ("e4m3", "e5m2") else np.uint16), kind)


@rule("mma", counted="matrix")
def mma(step: Step) -> Action | None:
    for word in ("sync", "aligned", "row", "col"):
        step.need(word)
    shape = step.need("m16n8k8", "m16n8k16", "m16n8k32")
    saturates = bool(step.take("satfinite"))
    c_kind, b_kind, a_kind, d_kind = (step.words.pop() for _ in range(4))
    k = int(shape[5:].partition("k")[2])
    integer = a_kind in ("s8", "u8")
    eight = a_kind in ("e4m3", "e5m2")
    bits = 8 if integer or eight else 16
    if (bits == 16 and (a_kind not in ("f16", "bf16") or k > 16)) or (bits == 8 and k < 16):
        raise step.missing(f"{a_kind} in {shape}")
    target, *sources = step.operands

    def act(threads: Threads) -> None:
        whole_warps(threads, step)
        a, b, c = (registers(threads, source) for source in sources)
        left = gathered(elements(a, a_kind), places_a(bits, k), (16, k))
        right = gathered(elements(b, b_kind), places_b(bits, k), (k, 8))
        addend = gathered(elements(c, c_kind), places_c(), (16, 8))
        count_product(threads, step, a_kind, 16, 8, k)
        if integer:
            exact = left @ right + addend
            sums = np.clip(exact, -(2.0**31), 2.0**31 - 1) if saturates else exact
            held = sums.astype(np.int64).astype(np.uint32)[:, places_c()[0], places_c()[1]]
        else:
            if eight:
                sums = product_of_halves(left, right, addend, d_kind)
            else:
                sums = product(left, right, addend, (a_kind, b_kind), d_kind, of_c=c_kind)
            held = numbers.pack(sums, d_kind)[:, places_c()[0], places_c()[1]]
        write_registers(threads, target, np.ascontiguousarray(held).view(np.uint32))

    return act


# ---- wmma


SHAPES = {"m16n16k16": (16, 16, 16), "m32n8k16": (32, 8, 16), "m8n32k16": (8, 32, 16)}


def tile_of(step: Step, which: str) -> tuple[int, int]:
    m, n, k = SHAPES[step.need(*SHAPES)]
    return {"a": (m, k), "b": (k, n), "c": (m, n), "d": (m, n)}[which]


def in_row(layout: str, rows: int, columns: int) -> tuple[int, int]:
    """How many lines the tile has in memory, and how long they are."""
    return (rows, columns) if layout == "row" else (columns, rows)


def fragment(values: Any, count: int) -> Any:
    """A tile's elements, row by row, over the lanes; repeated where registers have room for more."""
    spread = values.reshape(len(values), LANES, -1)
    per_lane = spread.shape[2]
    return np.concatenate([spread] * (count // per_lane), axis=2) if count > per_lane else spread


def count_tile(threads: Threads, step: Step, place: Place, kind: str, at: Any, bytes_a_line: int, down: bool) -> None:
    """A tile moves in pieces of 16 bytes (8 where a line is that short), one a lane, row by row or, `down`, first the
    first pieces of all rows; `at`: where rows start."""
    if threads.counters is None:
        return
    piece = min(16, bytes_a_line)
    warps = whole_warps(threads, step)
    pieces = at[:, :, None] + np.arange(0, bytes_a_line, piece)
    pieces = (pieces.swapaxes(1, 2) if down else pieces).reshape(len(warps), -1)
    (space,) = (space for space, _, _ in place.each_space())
    for first in range(0, pieces.shape[1], LANES):
        some = pieces[:, first : first + LANES]
        thread = (warps[:, None] * LANES + np.arange(some.shape[1])).reshape(-1)
        threads.counters.access(step.line, space, kind, thread, some.reshape(-1), piece)


def moved(step: Step, which: str, kind: str) -> tuple[Any, Any]:
    """The element offsets of a tile for wmma.load and wmma.store, and a function that counts them."""
    bits = {"f32": 32, "s32": 32, "s8": 8}.get(kind, 16)
    for word in ("sync", "aligned"):
        step.need(word)
    rows, columns = tile_of(step, which)
    layout = step.need("row", "col")
    space = taken_space(step)
    lines, length = in_row(layout, rows, columns)
    store = step.root == "wmma" and which == "d"
    address = step.operands[0 if store else 1]
    stride = step.operands[2] if len(step.operands) > 2 else Immediate(length)

    def offsets(threads: Threads) -> Any:
        place = Place(threads, space, address)
        step_bytes = threads.spread(threads.read(stride, "u32")).astype(np.int64).reshape(-1, LANES)[:, :1] * bits // 8
        start = np.arange(lines) * step_bytes
        count_tile(
            threads, step, place, "store" if store else "load",
            place.address.reshape(-1, LANES)[:, :1] + start, length * bits // 8, which in "ab" and bits < 32,
        )  # fmt: skip
        at = (place.offsets.reshape(-1, LANES)[:, :1] + start)[:, :, None] // (bits // 8) + np.arange(length)
        return at if layout == "row" else at.swapaxes(1, 2)  # (warps, rows, columns)

    return offsets, bits


@rule("wmma", counted="matrix")
def wmma(step: Step) -> Action | None:
    operation = step.need("load", "store", "mma")
    if operation == "mma":
        return multiply(step)
    kind = step.type(among=("f16", "bf16", "f32", "s8", "s32"))
    which = step.need("a", "b", "c", "d")
    offsets, bits = moved(step, which, kind)
    register = step.operands[0 if operation == "load" else 1]

    def load(threads: Threads) -> None:
        tiles = threads.memory.views[bits][offsets(threads)]
        count = len(register.parts) * 32 // bits
        held = np.ascontiguousarray(fragment(tiles.reshape(len(tiles), -1), count))
        write_registers(threads, register, held.view(np.uint32))

    def store(threads: Threads) -> None:
        at = offsets(threads)
        held = np.ascontiguousarray(registers(threads, register)).view(np.uint16 if bits == 16 else np.uint32)
        lane_share = at[0].size // LANES
        threads.memory.views[bits][at] = held[:, :, :lane_share].reshape(at.shape)

    return load if operation == "load" else store


def multiply(step: Step) -> Action:
    for word in ("sync", "aligned"):
        step.need(word)
    shape = step.need(*SHAPES)
    m, n, k = SHAPES[shape]
    for _ in range(2):
        step.need("row", "col")
    types = [step.words.pop() for _ in range(len(step.words))][::-1]
    if types in (["f32", "f32"], ["f16", "f32"], ["f32", "f16"], ["f16", "f16"]):
        d_kind, a_kind, c_kind = types[0], "f16", types[1]
    elif types in (["f32", "bf16", "bf16", "f32"], ["s32", "s8", "s8", "s32"]):
        d_kind, a_kind, _, c_kind = types
    else:
        raise step.missing(".".join(types))
    target, *sources = step.operands

    def tile(threads: Threads, operand: Any, kind: str, rows: int, columns: int) -> Any:
        held = elements(registers(threads, operand), kind)[:, :, : rows * columns // LANES]
        return np.ascontiguousarray(held).reshape(-1, rows, columns)

    def act(threads: Threads) -> None:
        whole_warps(threads, step)
        a = tile(threads, sources[0], a_kind, m, k)
        b = tile(threads, sources[1], a_kind, k, n)
        c = tile(threads, sources[2], c_kind, m, n)
        count_product(threads, step, a_kind, m, n, k)
        if d_kind == "s32":
            packed = (a @ b + c).astype(np.int64).astype(np.uint32)
        else:
            packed = numbers.pack(product(a, b, c, (a_kind, a_kind), d_kind, of_c=c_kind), d_kind)
        sums = packed.reshape(len(a), LANES, -1)
        count = len(target.parts) * (2 if d_kind == "f16" else 1)
        write_registers(
            threads, target, np.ascontiguousarray(fragment(sums.reshape(len(a), -1), count)).view(np.uint32)
        )

    return act
