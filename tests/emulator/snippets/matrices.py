"""Reference results of the kernels in matrices.cu. Small integers: exact in every format and order of addition."""

import numpy as np

from tests.emulator.snippets import case, f16, to_bf16


def operands(rng, m, n, k, low=-4, high=5):
    return rng.integers(low, high, (m, k)), rng.integers(low, high, (k, n)), rng.integers(low, high, (m, n))


def as_memory(a, b, rows, columns):
    """A in rows or else columns, B in columns or else rows."""
    return np.ascontiguousarray(a if rows else a.T), np.ascontiguousarray(b.T if columns else b)


@case()
def wmma_f16_f32(rng):
    a, b, c = operands(rng, 16, 16, 32)
    left, right = as_memory(a, b, rows=True, columns=True)
    return [f16(left), f16(right), c.astype(np.float32)], {2: a @ b + c}


@case()
def wmma_f16_f16(rng):
    a, b, c = operands(rng, 32, 8, 16)
    left, right = as_memory(a, b, rows=False, columns=False)
    return [f16(left), f16(right), f16(c)], {2: a @ b + c}


@case()
def wmma_f16_wide(rng):
    a, b, c = operands(rng, 8, 32, 16)
    return [f16(a), f16(b), c.astype(np.float32)], {2: a @ b + c}


@case()
def wmma_s8(rng):
    a, b, c = operands(rng, 16, 16, 16, -128, 128)
    left, right = as_memory(a, b, rows=True, columns=True)
    return [left.astype(np.int8), right.astype(np.int8), c.astype(np.int32)], {2: a @ b + c}


@case()
def wmma_u8(rng):
    a, b, c = operands(rng, 8, 32, 16, 0, 256)
    left, right = as_memory(a, b, rows=True, columns=True)
    return [left.astype(np.uint8), right.astype(np.uint8), c.astype(np.int32)], {2: a @ b + c}


@case()
def fragments(rng):
    a, b, c = operands(rng, 16, 16, 16)
    return [f16(a), f16(b), c.astype(np.float32), np.float32(0.5)], {2: np.maximum((a @ b + 1) * 0.5, 0).T}


@case(since="sm_80")
def wmma_bf16(rng):
    a, b, c = operands(rng, 16, 16, 16)
    left, right = as_memory(a, b, rows=True, columns=True)
    return [to_bf16(left), to_bf16(right), c.astype(np.float32)], {2: a @ b + c}


@case(since="sm_80")
def wmma_tf32(rng):
    a, b, c = (operand.astype(np.float32) for operand in operands(rng, 16, 16, 8))
    left, right = as_memory(a, b, rows=True, columns=True)
    return [left, right, c], {2: a @ b + c}


@case(since="sm_80")
def wmma_f64(rng):
    a, b, c = (operand.astype(np.float64) for operand in operands(rng, 8, 8, 4, -1000, 1000))
    left, right = as_memory(a, b, rows=True, columns=True)
    return [left, right, c], {2: a @ b + c}
