"""wgmma, done when it is issued, the earliest time that PTX allows. (PTX ISA, "Asynchronous Warpgroup Level Matrix".)

A warp multiplies its 16 rows of A. Both matrices of shared memory are read by their descriptors; sums follow the model
of docs/matrix.md for sm_90a.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptxbench.emulator.syntax import Immediate, Operand
from tests.emulator.oracle import matrix, numbers
from tests.emulator.oracle.counters import LANES
from tests.emulator.oracle.step import Action, Step, rule

if TYPE_CHECKING:
    from tests.emulator.oracle.machine import Threads

WARPS = 4
K_BYTES = 32
"""Bytes of a row of A, or of a column of B, whatever the type."""
BITS = {"f16": 16, "bf16": 16, "tf32": 32, "e4m3": 8, "e5m2": 8, "s8": 8, "u8": 8, "b1": 1}
SPANS = (16, 128, 64, 32)
"""Bytes after which a swizzled row ends, by the mode in a descriptor; 16 for the mode without a swizzle."""
SUMS = {"f16": (16, 25), "bf16": (16, 25), "tf32": (8, 25), "e4m3": (32, 13), "e5m2": (32, 13)}
"""Products that are added at once, and the fraction bits that each keeps, by the type of A."""


@dataclass(frozen=True)
class Descriptor:
    """A matrix in shared memory: byte addresses and distances, and the bytes of a swizzled row."""

    start: int
    leading: int
    stride: int
    span: int

    @classmethod
    def of(cls, bits: int) -> Descriptor:
        if bits >> 49 & 7:
            raise NotImplementedError("a base offset")
        start, leading, stride = ((bits >> low & 0x3FFF) * 16 for low in (0, 16, 32))
        return cls(start, leading, stride, SPANS[bits >> 62])

    def addresses(self, rows: int, *, together: bool) -> Any:
        """Where each byte lies: (rows, 32) with k contiguous; with rows `together`, (rows, 16, 2) of 16-bit elements.

        The figures of the manual's canonical layouts, and the exchange of 16-byte chunks by the address.
        """
        row = np.arange(rows)[:, None]
        if together:
            k = np.arange(16)[None, :]
            across = 8 if self.span == 16 else self.span // 2  # rows that are contiguous
            group, inside = row // across, row % across
            if self.span == 16:  # cores of 8 k by 8 rows: along the rows by the stride, along k by the leading
                place = self.stride * group + self.leading * (k // 8) + 16 * (k % 8) + 2 * inside
            else:
                place = self.leading * group + self.stride * (k // 8) + self.span * (k % 8) + 2 * inside
            place = place[:, :, None] + np.arange(2)
        else:
            byte = np.arange(K_BYTES)[None, :]
            place = self.stride * (row // 8) + self.span * (row % 8)
            place = place + (self.leading * (byte // 16) + byte % 16 if self.span == 16 else byte)
        place = place + self.start
        chunk, line = place // 16, place // 128
        return place % 16 + 16 * (chunk ^ line % (self.span // 16))


def of_bytes(raw: Any, kind: str) -> Any:
    """Rows of 32 bytes as f64: (..., rows, k)."""
    raw = np.ascontiguousarray(raw, np.uint8)
    if kind == "b1":
        return np.unpackbits(raw, axis=-1, bitorder="little").astype(np.float64)
    if kind in ("s8", "u8"):
        return raw.view(np.int8 if kind == "s8" else np.uint8).astype(np.float64)
    if kind in ("e4m3", "e5m2"):
        return numbers.value(raw, kind)
    if kind == "tf32":
        return (raw.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)
    return numbers.value(raw.view(np.uint16), kind)


def in_shared(threads: Threads, cta: int, descriptor: Descriptor, rows: int, *, together: bool) -> Any:
    """The bytes of a matrix: rows of 32. An IndexError if one is outside the shared memory of the CTA."""
    memory = threads.memory
    addresses = descriptor.addresses(rows, together=together)
    offsets = memory.offsets("shared", addresses, cta, 0)
    first = memory.fixed + cta * memory.shared_bytes
    if offsets.min() < first or offsets.max() >= first + memory.shared_bytes:
        raise IndexError(f"shared memory at {int(addresses.max())}")
    return memory.bytes[offsets].reshape(rows, K_BYTES)


def fragment_rows(registers: Any) -> Any:
    """A in registers, (lanes, 4), as 16 rows of 32 bytes: a lane has words of two rows, 8 apart, in two halves of k."""
    rows = np.zeros((16, K_BYTES // 4), np.uint32)
    lane, register = np.meshgrid(np.arange(LANES), np.arange(4), indexing="ij")
    rows[lane // 4 + 8 * (register % 2), lane % 4 + 4 * (register // 2)] = registers
    return rows.view(np.uint8)


def places_d(columns: int) -> tuple[Any, Any]:
    """Row and column of each element of D that a lane holds, (lanes, columns / 2): eight columns after eight."""
    rows, within = matrix.places_c()
    blocks = columns // 8
    return np.tile(rows, blocks), np.concatenate([within + 8 * block for block in range(blocks)], axis=1)


def number(operand: Operand, allowed: tuple[int, ...]) -> int:
    if not isinstance(operand, Immediate) or operand.value not in allowed:
        raise ValueError(f"{operand} is not among {allowed}")
    return int(operand.value)


@rule("wgmma", counted="matrix")
def wgmma(step: Step) -> Action | None:
    for word in ("sync", "aligned"):
        step.need(word)
    if step.take("fence", "commit_group", "wait_group"):
        return lambda threads: None
    step.need("mma_async")
    d_kind, a_kind, b_kind = kinds = [kind for kind in step.words if kind in (*BITS, "f32", "s32")]
    for kind in kinds:
        step.words.remove(kind)
    shape = step.need(*(word for word in step.words if word.startswith("m64n")))
    if a_kind == "b1":
        step.need("and")
        step.need("popc")
    limited = bool(step.take("satfinite"))
    columns = int(shape[4:].partition("k")[0])
    target, first, second, scale, *more = step.operands
    in_registers = hasattr(first, "parts")
    signs, turned = (1, 1), [0, 0]
    if d_kind != "s32":
        signs = (number(more.pop(0), (1, -1)), number(more.pop(0), (1, -1)))
    if BITS[a_kind] == 16:
        turned = [0] * in_registers + [number(register, (0, 1)) for register in more]
        more = []
    if more:
        raise step.missing(f"{len(more)} operands")

    def act(threads: Threads) -> None:
        warps = matrix.whole_warps(threads, step)
        descriptors = [
            per_warp(threads, operand, "b64") for operand in (first, second) if not hasattr(operand, "parts")
        ]
        adds = np.broadcast_to(per_warp(threads, scale, "pred"), len(warps))
        addend_registers = matrix.registers(threads, target)
        if in_registers:
            held = matrix.registers(threads, first)
        left, right = [], []
        for place, warp in enumerate(warps.tolist()):
            cta, rank = int(threads.cta[warp * LANES]), int(threads.thread[warp * LANES]) // LANES % WARPS
            if in_registers:
                rows = fragment_rows(held[place])
            else:
                whole = Descriptor.of(int(descriptors[0][place]))
                rows = in_shared(threads, cta, whole, 64, together=bool(turned[0]))[16 * rank : 16 * rank + 16]
            left.append(signs[0] * of_bytes(rows, a_kind))
            whole = Descriptor.of(int(descriptors[-1][place]))
            right.append(signs[1] * of_bytes(in_shared(threads, cta, whole, columns, together=bool(turned[1])), b_kind))
        addend = matrix.gathered(matrix.elements(addend_registers, d_kind), places_d(columns), (16, columns))
        addend = np.where(adds[:, None, None], addend, 0.0)
        a, b = np.stack(left), np.stack(right).swapaxes(1, 2)
        if d_kind == "s32":
            total = a @ b + addend
            total = np.clip(total, -(2.0**31), 2.0**31 - 1) if limited else total
            result = total.astype(np.int64).astype(np.uint32)
        else:
            size, fraction = SUMS[a_kind]
            sums = matrix.product(a, b, addend, (a_kind, b_kind), d_kind, size, fraction)
            result = numbers.pack(sums, d_kind)
        own = result[:, places_d(columns)[0], places_d(columns)[1]]
        matrix.write_registers(threads, target, np.ascontiguousarray(own).view(np.uint32))
        if threads.counters is not None:
            count(threads, step.line, len(warps), a_kind, columns, in_registers)

    return act


def per_warp(threads: Threads, operand: Operand, kind: str) -> Any:
    """One value for each warp, of its first lane."""
    return threads.spread(threads.read(operand, kind)).reshape(-1, LANES)[:, 0]


def count(threads: Threads, line: int, warps: int, kind: str, columns: int, in_registers: bool) -> None:
    assert threads.counters is not None
    groups = warps // WARPS
    k = 8 * K_BYTES // BITS[kind]
    threads.counters.add(
        line,
        **{
            "ptx_wgmma_operations": groups,
            "ptx_wgmma_shared_bytes": groups * K_BYTES * (columns + (0 if in_registers else 64)),
            f"ptx_mma_flops_{kind}": groups * 2 * 64 * columns * k,
        },
    )
