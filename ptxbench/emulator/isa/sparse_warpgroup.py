"""PTX ISA, Asynchronous Warpgroup Level Matrix Instructions: wgmma.mma_async.sp, whose A has half of its elements.

The metadata are those of mma.sp, for the 16 rows of each warp. They are read when the product is issued.
"""

from __future__ import annotations

import functools

from ptxbench.emulator import tensor, tensor_models
from ptxbench.emulator.immediates import number
from ptxbench.emulator.isa.sparse_matrix import indices
from ptxbench.emulator.isa.warpgroup import (
    EVERY,
    FP8,
    INTEGER,
    INTEGERS,
    LAYOUT,
    SIGNS,
    SIXTEEN,
    instruction,
    issue,
    shapes,
    signs,
)
from ptxbench.emulator.runtime.product import Multiply, Sparsity
from ptxbench.emulator.runtime.warpgroup import TRANSPOSED_A, TRANSPOSED_B

SPARSE = "asynchronous-warpgroup-level-matrix-instructions-wgmma-mma-sp"
PRODUCT = "wgmma.mma_async.sp.sync.aligned.shape"
MEMORY, REGISTERS = (f"{{d}}, {a}, b:u64, metadata:b32, selector:u32, scale:pred" for a in ("a:u64", "{a}:b32"))


@functools.cache
def described(shape: str, types: str, rule: str = "") -> Multiply:
    """The product of one warp: 16 rows, and eight columns at a time."""
    _, _, k = tensor.shape(shape)
    d, a, b = types.split(".")
    bits = tensor.element_bits(a)
    fragments = tensor.a_fragment(16, k // 2, bits), tensor.b_fragment(k, 8, bits), tensor.c_fragment(16, 8)
    return Multiply(f"k{k}", 16, 8, k, (d, a, b, d), *fragments, tensor_models.warpgroup_model(a, d), rule,
                    sparse=Sparsity(pairs=bits == 32))  # fmt: skip


def issue_sparse(ops, shape, types, a, b, metadata, scale, flags=0, rule=""):
    product = described(shape, types, rule)
    issue(ops, product, shape, a, b, scale, flags, indices(ops, product, metadata, ordered=False))


@instruction(f"{PRODUCT}.types {MEMORY}, {SIGNS}, transposed_a:s32, transposed_b:s32", shape=shapes(32, EVERY),
             types=SIXTEEN, flow="warpgroup", section=SPARSE)  # fmt: skip
def mma_sixteen(ops, shape, types, a, b, metadata, scale):
    """D = A B, plus D if `scale`; A and B from shared memory."""
    rows, columns = (number(ops, name, (0, 1), LAYOUT) for name in ("transposed_a", "transposed_b"))
    flags = signs(ops) | TRANSPOSED_A * rows | TRANSPOSED_B * columns
    issue_sparse(ops, shape, types, a, b, metadata, scale, flags)


@instruction(f"{PRODUCT}.types {REGISTERS}, {SIGNS}, transposed_b:s32", shape=shapes(32, EVERY), types=SIXTEEN,
             flow="warpgroup", section=SPARSE)  # fmt: skip
def mma_sixteen_registers(ops, shape, types, b, metadata, scale):
    """The same with A from registers."""
    columns = number(ops, "transposed_b", (0, 1), LAYOUT)
    issue_sparse(ops, shape, types, None, b, metadata, scale, signs(ops) | TRANSPOSED_B * columns)


for k, kinds in ((16, ("f32.tf32.tf32",)), (64, FP8)):

    @instruction(f"{PRODUCT}.types {MEMORY}, {SIGNS}", shape=shapes(k, EVERY), types=kinds, flow="warpgroup",
                 section=SPARSE)  # fmt: skip
    def mma(ops, shape, types, a, b, metadata, scale):
        issue_sparse(ops, shape, types, a, b, metadata, scale, signs(ops))

    @instruction(f"{PRODUCT}.types {REGISTERS}, {SIGNS}", shape=shapes(k, EVERY), types=kinds, flow="warpgroup",
                 section=SPARSE)  # fmt: skip
    def mma_registers(ops, shape, types, b, metadata, scale):
        issue_sparse(ops, shape, types, None, b, metadata, scale, signs(ops))


@instruction(f"{PRODUCT}{{.satfinite}}.types {MEMORY}", shape=shapes(64, INTEGER), types=INTEGERS, flow="warpgroup",
             section=SPARSE)  # fmt: skip
def mma_integer(ops, shape, satfinite, types, a, b, metadata, scale):
    """Exact; the sum wraps, or is clamped with satfinite."""
    issue_sparse(ops, shape, types, a, b, metadata, scale, rule="satfinite" if satfinite else "")


@instruction(f"{PRODUCT}{{.satfinite}}.types {REGISTERS}", shape=shapes(64, INTEGER), types=INTEGERS,
             flow="warpgroup", section=SPARSE)  # fmt: skip
def mma_integer_registers(ops, shape, satfinite, types, b, metadata, scale):
    issue_sparse(ops, shape, types, None, b, metadata, scale, rule="satfinite" if satfinite else "")
