"""PTX ISA, Data Movement and Conversion Instructions: registers and addresses."""

from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime.context import RANK_BITS
from ptxbench.emulator.types import PRED, TYPES

instruction = Chapter("Data Movement and Conversion Instructions", counted="move")

MOV = "data-movement-and-conversion-instructions-mov"
NUMBERS = (*(f"{kind}{bits}" for kind in "bus" for bits in (16, 32, 64)), "f32", "f64")
PACKED = ("b16", "b32", "b64", "b128")


@instruction("mov.type d, a", type=("pred", *NUMBERS, "b128"), section=MOV)
def mov(a):
    """Copies the bits; NaNs keep their payload. The name of a variable means its address."""
    return a


@instruction("mov.type d, {a}", type=PACKED, section=MOV)
def pack(e, a, type):
    """The first register has the lowest bits."""
    result = e.constant(0, type)
    for k, part in enumerate(a):
        width = type.bits // len(a)
        low = e.and_(part, e.constant((1 << width) - 1, type))
        result = e.or_(result, e.shl(low, e.constant(k * width, type)))
    return result


@instruction("mov.type {d}, a", type=PACKED, section=MOV)
def unpack(e, a, type, count):
    part = TYPES[f"b{type.bits // count}"]
    return tuple(e.convert(e.shr(a, e.constant(k * part.bits, type)), part) for k in range(count))


@instruction("mov.vector.type {d}, {a}", vector=("v2",), type=NUMBERS, section=MOV)
@instruction("mov.vector.type {d}, {a}", vector=("v4",), type=[number for number in NUMBERS if "64" not in number],
             section=MOV)  # fmt: skip
def mov_vector(ops, a, vector):
    return ops.require_count(a, int(vector[1:]))


SPACES_OF_ADDRESSES = ("global", "const", "shared", "shared::cta", "shared::cluster", "local", "param::entry")


@instruction("cvta.param.u64 d, a", section="data-movement-and-conversion-instructions-cvta")
def cvta_param(ops, a):
    """For a function's parameter, which is in local memory, and for a kernel's."""
    return ops.generic_parameter(a)


@instruction("cvta.space.u64 d, a", space=SPACES_OF_ADDRESSES,
             section="data-movement-and-conversion-instructions-cvta")  # fmt: skip
def cvta(e, ops, a, space):
    """The generic address: the same for global memory and constants; shared and local memory have a window each."""
    return e.add(a, ops.window(space, a.type))


@instruction("cvta.to.space.u64 d, a", space=SPACES_OF_ADDRESSES,
             section="data-movement-and-conversion-instructions-cvta")  # fmt: skip
def cvta_to(e, ops, a, space):
    return e.sub(a, ops.window(space, a.type))


@instruction("cvta.to.param.u64 d, a", section="data-movement-and-conversion-instructions-cvta")
def cvta_to_param(e, ops, a):
    of_kernel = e.sub(a, ops.window("param", a.type))
    return e.select(in_window(e, ops, a, "local"), e.sub(a, ops.window("local", a.type)), of_kernel)


WINDOW_BITS = 32
"""Shared and local memory have 2^32 generic addresses each."""


@instruction("isspacep.space d:pred, a:u64", space=("shared::cluster", "local"),
             section="data-movement-and-conversion-instructions-isspacep")  # fmt: skip
def isspacep(e, ops, a, space):
    return in_window(e, ops, a, space)


@instruction("isspacep.space d:pred, a:u64", space=("shared", "shared::cta"),
             section="data-movement-and-conversion-instructions-isspacep")  # fmt: skip
def isspacep_shared(e, ops, a, space):
    """Whether the address is in the shared memory of the own CTA."""
    if not ops.clustered:
        return in_window(e, ops, a, space)
    offset = e.sub(e.sub(a, ops.window("shared", a.type)), ops.own_rank(a.type))
    return e.compare("lo", offset, e.constant(1 << RANK_BITS, a.type))


@instruction("isspacep.global d:pred, a:u64", section="data-movement-and-conversion-instructions-isspacep")
def isspacep_global(e, ops, a):
    """True for every address outside shared and local memory, also for constants and parameters."""
    return e.not_(e.or_(in_window(e, ops, a, "shared"), in_window(e, ops, a, "local")))


@instruction("isspacep.const d:pred, a:u64", section="data-movement-and-conversion-instructions-isspacep")
def isspacep_const(e, ops, a):
    """Whether the address is in one of the module's .const variables."""
    inside = e.constant(0, PRED)
    for first, size in ops.constant_variables:
        within = e.compare("lo", e.sub(a, ops.of_module(first, a.type)), e.constant(size, a.type))
        inside = e.or_(inside, within)
    return inside


@instruction("isspacep.space d:pred, a:u64", space=("param", "param::entry"),
             section="data-movement-and-conversion-instructions-isspacep",
             ignored={"space": "only the kernel's parameters have generic addresses"})  # fmt: skip
def isspacep_param(e, ops, a):
    """Whether the address is in the kernel's parameters; always false if the kernel takes no parameter's address."""
    first, size = ops.parameters or (0, 0)
    return e.compare("lo", e.sub(a, ops.of_module(first, a.type)), e.constant(size, a.type))


def in_window(e, ops, a, space):
    offset = e.sub(a, ops.window(space, a.type))
    return e.compare("lo", offset, e.constant(1 << WINDOW_BITS, a.type))
