"""PTX ISA, Asynchronous Warpgroup Level Matrix Instructions (sm_90a). runtime/warpgroup.py says when they are done."""

from __future__ import annotations

import functools

from ptxbench import architecture
from ptxbench.emulator import tensor, tensor_models
from ptxbench.emulator.immediates import number
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime.product import Multiply
from ptxbench.emulator.runtime.warpgroup import NEGATIVE_A, NEGATIVE_B, TRANSPOSED_A, TRANSPOSED_B
from ptxbench.errors import UnsupportedInstruction

instruction = Chapter("Asynchronous Warpgroup Level Matrix Instructions", counted="matrix")

MMA, FENCE, COMMIT, WAIT = (
    f"asynchronous-warpgroup-level-matrix-instructions-wgmma-{name}"
    for name in ("mma-async", "fence", "commit-group", "wait-group")
)


def shapes(k: int, columns: range | tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"m64n{n}k{k}" for n in columns)


EVERY = range(8, 257, 8)
INTEGER = (8, 16, 24, *range(32, 257, 16))
"""Columns of D, in products of integers and bits."""
SIXTEEN = ("f32.f16.f16", "f16.f16.f16", "f32.bf16.bf16")
FP8 = tuple(f"{d}.{a}.{b}" for d in ("f16", "f32") for a in ("e4m3", "e5m2") for b in ("e4m3", "e5m2"))
INTEGERS = tuple(f"s32.{a}.{b}" for a in ("s8", "u8") for b in ("s8", "u8"))


@functools.cache
def described(shape: str, types: str, rule: str = "") -> Multiply:
    """The product of one warp: 16 rows, and eight columns at a time."""
    _, _, k = tensor.shape(shape)
    d, a, b = types.split(".")
    depth, bits = tensor.in_units(a, k)
    fragments = tensor.a_fragment(16, depth, bits), tensor.b_fragment(depth, 8, bits), tensor.c_fragment(16, 8)
    return Multiply(f"k{k}", 16, 8, k, (d, a, b, d), *fragments, tensor_models.warpgroup_model(a, d), rule)


def issue(ops, product, shape, a, b, scale, flags=0, metadata=()):
    """Issue a product, of `shape` for the warpgroup. `a`: None if A is in registers."""
    if architecture.number(ops.arch) != 90:
        raise UnsupportedInstruction(f"line {ops.line}: wgmma needs sm_90a; this run is for {ops.arch}")
    _, columns, _ = tensor.shape(shape)
    count = columns // 4 if product.types[0] == "f16" else columns // 2
    ops.warpgroups.issue(product, columns, a, b, scale, flags, count, metadata)


def issue_dense(ops, shape, types, a, b, scale, flags=0, rule=""):
    issue(ops, described(shape, types, rule), shape, a, b, scale, flags)


def signs(ops):
    """The flags of the operands scale_a and scale_b, each 1 or -1."""
    a, b = (number(ops, name, (-1, 1), "1 or -1 for a sign") for name in ("scale_a", "scale_b"))
    return NEGATIVE_A * (a < 0) | NEGATIVE_B * (b < 0)


PRODUCT = "wgmma.mma_async.sync.aligned.shape"
LAYOUT = "0 or 1 for a transposition"
SIGNS = "scale_a:s32, scale_b:s32"


@instruction(f"{PRODUCT}.types {{d}}, a:u64, b:u64, scale:pred, {SIGNS}, transposed_a:s32, transposed_b:s32",
             shape=shapes(16, EVERY), types=SIXTEEN, flow="warpgroup", section=MMA)  # fmt: skip
def mma_sixteen(ops, shape, types, a, b, scale):
    """D = A B, plus D if `scale`; A and B from shared memory."""
    rows, columns = (number(ops, name, (0, 1), LAYOUT) for name in ("transposed_a", "transposed_b"))
    issue_dense(ops, shape, types, a, b, scale, signs(ops) | TRANSPOSED_A * rows | TRANSPOSED_B * columns)


@instruction(f"{PRODUCT}.types {{d}}, {{a}}:b32, b:u64, scale:pred, {SIGNS}, transposed_b:s32",
             shape=shapes(16, EVERY), types=SIXTEEN, flow="warpgroup", section=MMA)  # fmt: skip
def mma_sixteen_registers(ops, shape, types, b, scale):
    """The same with A from registers."""
    columns = number(ops, "transposed_b", (0, 1), LAYOUT)
    issue_dense(ops, shape, types, None, b, scale, signs(ops) | TRANSPOSED_B * columns)


for k, kinds in ((8, ("f32.tf32.tf32",)), (32, FP8)):

    @instruction(f"{PRODUCT}.types {{d}}, a:u64, b:u64, scale:pred, {SIGNS}", shape=shapes(k, EVERY), types=kinds,
                 flow="warpgroup", section=MMA)  # fmt: skip
    def mma(ops, shape, types, a, b, scale):
        issue_dense(ops, shape, types, a, b, scale, signs(ops))

    @instruction(f"{PRODUCT}.types {{d}}, {{a}}:b32, b:u64, scale:pred, {SIGNS}", shape=shapes(k, EVERY), types=kinds,
                 flow="warpgroup", section=MMA)  # fmt: skip
    def mma_registers(ops, shape, types, b, scale):
        issue_dense(ops, shape, types, None, b, scale, signs(ops))


@instruction(f"{PRODUCT}{{.satfinite}}.types {{d}}, a:u64, b:u64, scale:pred", shape=shapes(32, INTEGER),
             types=INTEGERS, flow="warpgroup", section=MMA)  # fmt: skip
def mma_integer(ops, shape, satfinite, types, a, b, scale):
    """Exact; the sum wraps, or is clamped with satfinite."""
    issue_dense(ops, shape, types, a, b, scale, rule="satfinite" if satfinite else "")


@instruction(f"{PRODUCT}{{.satfinite}}.types {{d}}, {{a}}:b32, b:u64, scale:pred", shape=shapes(32, INTEGER),
             types=INTEGERS, flow="warpgroup", section=MMA)  # fmt: skip
def mma_integer_registers(ops, shape, satfinite, types, b, scale):
    issue_dense(ops, shape, types, None, b, scale, rule="satfinite" if satfinite else "")


@instruction(f"{PRODUCT}.s32.b1.b1.and.popc {{d}}, a:u64, b:u64, scale:pred", shape=shapes(256, INTEGER),
             flow="warpgroup", section=MMA)  # fmt: skip
def mma_bits(ops, shape, a, b, scale):
    """The population count of (A's row and B's column)."""
    issue_dense(ops, shape, "s32.b1.b1", a, b, scale, rule="and")


@instruction(f"{PRODUCT}.s32.b1.b1.and.popc {{d}}, {{a}}:b32, b:u64, scale:pred", shape=shapes(256, INTEGER),
             flow="warpgroup", section=MMA)  # fmt: skip
def mma_bits_registers(ops, shape, b, scale):
    issue_dense(ops, shape, "s32.b1.b1", None, b, scale, rule="and")


@instruction("wgmma.fence.sync.aligned ", flow="warpgroup", section=FENCE)
def fence(ops):
    """Products that follow may use the registers as they are now."""
    ops.warpgroups.fence()


@instruction("wgmma.commit_group.sync.aligned ", flow="warpgroup", section=COMMIT)
def commit_group(ops):
    """The products that the warp has issued since its last group form its next group."""
    ops.warpgroups.commit()


@instruction("wgmma.wait_group.sync.aligned groups:u32", flow="warpgroup", section=WAIT)
def wait_group(ops):
    """The products are done here, not before; those of the latest groups stay pending."""
    ops.warpgroups.wait()
