"""PTX ISA, changes of tensor maps by the kernel: tensormap.replace, tensormap.cp_fenceproxy, and their proxy fences.

A field is replaced in the layout of ../tensor_maps.py, by loads and stores of the words that have its bits, as ptxas
does it.
"""

from typing import Any

from ptxbench.emulator import tensor_maps
from ptxbench.emulator.isa.control import FENCE, IN_ORDER, SCOPES
from ptxbench.emulator.isa.memory import space_of
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime import changed_maps
from ptxbench.emulator.types import B32, U32, U64
from ptxbench.tensor_map import MAP_BYTES

instruction = Chapter("Data Movement and Conversion Instructions: Tensor Map", counted="memory")

REPLACE = "data-movement-and-conversion-instructions-tensormap-replace"
COPY = "parallel-synchronization-and-communication-instructions-tensormap-cp-fenceproxy"
SPACES = ("global", "shared::cta")
WORD = 32
MOST_ORD = 4


def replaces(field, operands, kind):
    """Decorator: the line of a field, or of several."""
    sets: dict[str, Any] = {"field": (field,) if isinstance(field, str) else tuple(field)}
    return instruction(f"tensormap.replace.tile.field{{.space}}.b1024.{kind} [a], {operands}", space=SPACES,
                       section=REPLACE, **sets)  # fmt: skip


@replaces("global_address", "v:b64", "b64")
def replace_address(e, ops, space, field, a, v):
    """The start of the tensor. The bit that marks small tensors is cleared, as ptxas does it."""
    start = e.as_type(v, U64)
    low, high = e.convert(start, U32), e.convert(e.shr(start, e.constant(WORD, U64)), U32)
    first, width = tensor_maps.ADDRESS
    set_bits(e, ops, space, a, (first, WORD), low)
    set_bits(e, ops, space, a, (first + WORD, width - WORD), high)
    set_bits(e, ops, space, a, tensor_maps.SMALL, e.constant(0, U32))
    changed(ops, space, a)


@replaces("rank", "v:b32", "b32")
def replace_rank(e, ops, space, field, a, v):
    """The number of dimensions, less one: so is `v`."""
    set_bits(e, ops, space, a, tensor_maps.RANK, e.as_type(v, U32))
    changed(ops, space, a)


OF_DIMENSIONS = {
    "box_dim": tensor_maps.box_bits, "global_dim": tensor_maps.extent_bits, "element_stride": tensor_maps.step_bits,
}  # fmt: skip


@replaces(OF_DIMENSIONS, "ord:u32, v:b32", "b32")
def replace_extent(e, ops, space, field, a, ord, v):
    """An extent of one dimension; the map has it less one."""
    dimension = number(ops, "dimension", ord, MOST_ORD)
    less = e.sub(e.as_type(v, U32), e.constant(1, U32))
    set_bits(e, ops, space, a, OF_DIMENSIONS[field](dimension), less)
    changed(ops, space, a)


@replaces("global_stride", "ord:u32, v:b64", "b64")
def replace_stride(e, ops, space, field, a, ord, v):
    """The distance in bytes of two neighbours in dimension `ord` + 1; the map has it in units of 16."""
    dimension = number(ops, "stride", ord, MOST_ORD - 1) + 1
    units = e.shr(e.as_type(v, U64), e.constant(4, U64))
    low, high = tensor_maps.stride_bits(dimension)
    set_bits(e, ops, space, a, low, e.convert(units, U32))
    set_bits(e, ops, space, a, high, e.convert(e.shr(units, e.constant(WORD, U64)), U32))
    changed(ops, space, a)


CHOICES = {"elemtype": 15, "interleave_layout": 2, "swizzle_mode": 4, "swizzle_atomicity": 3, "fill_mode": 1}
"""The fields with a table in the manual, and the greatest number there."""


@replaces(CHOICES, "choice:u32", "b32")
def replace_choice(e, ops, space, field, a, choice):
    for bits, value in tensor_maps.replacement(field, number(ops, field, choice, CHOICES[field])):
        set_bits(e, ops, space, a, bits, e.constant(value, U32))
    changed(ops, space, a)


def number(ops, name, value, most):
    """The value of an operand that must be a number in the text, from 0 to `most`."""
    if value.constant is None or value.constant > most:
        raise ops.operand_error(f"takes a number from 0 to {most} as its {name}")
    return value.constant


def set_bits(e, ops, space, a, bits, value):
    """Replace bits of one 32-bit word of the map by the low bits of `value`."""
    first, width = bits
    address = e.add(a, e.constant(4 * (first // WORD), a.type))
    ones = (1 << width) - 1
    if width < WORD:
        shift = first % WORD
        (old,) = ops.load(space_of(space), address, U32)
        other_bits = e.and_(old, e.constant(~(ones << shift) & 0xFFFFFFFF, U32))
        value = e.or_(other_bits, e.shl(e.and_(value, e.constant(ones, U32)), e.constant(shift, U32)))
    ops.store(space_of(space), address, (value,))


def changed(ops, space, a):
    if space_of(space) != "shared":
        ops.tensors.changed(a)


# ---- the tensormap proxy


def fence(syntax):
    return instruction(syntax, section=FENCE, counted="control", scope=SCOPES, ignored={"scope": IN_ORDER})


@fence("fence.proxy.tensormap::generic.release.scope ")
def release(ops):
    """The changes that the CTA has made may be acquired."""
    ops.tensors.release()


@fence("fence.proxy.tensormap::generic.acquire.scope [a], size:u32")
def acquire(ops, a, size):
    """The CTA's next tensor copy by this map reads it again."""
    require_map_size(ops, size)
    ops.tensors.acquire(a)


@instruction("tensormap.cp_fenceproxy.global.shared::cta.tensormap::generic.release.scope.sync.aligned "
             "[a], [b], size:u32", scope=SCOPES, ignored={"scope": IN_ORDER}, flow="aligned", section=COPY)  # fmt: skip
def copy_and_release(e, ops, a, b, size):
    """Each lane copies one word of the map, as ptxas does it; the change is released."""
    require_map_size(ops, size)
    offset = e.shl(ops.special("%laneid"), e.constant(2, U32))
    (word,) = ops.load("shared", e.add(b, e.convert(offset, b.type)), B32)
    ops.store("global", e.add(a, e.convert(offset, a.type)), (word,))
    ops.tensors.changed(a, changed_maps.RELEASED)


def require_map_size(ops, size):
    if size.constant != MAP_BYTES:
        raise ops.operand_error(f"takes {MAP_BYTES} as its size, the bytes of a tensor map")
