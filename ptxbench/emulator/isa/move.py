"""PTX ISA, Data Movement and Conversion Instructions: registers and addresses."""

from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime.spaces import SPACES
from ptxbench.emulator.types import TYPES

instruction = Chapter("Data Movement and Conversion Instructions", counted="move")

MOVED = ("pred", *(f"{kind}{bits}" for kind in "bus" for bits in (16, 32, 64)), "f32", "f64")
PACKED = {("b32", 2): "b16", ("b64", 2): "b32", ("b64", 4): "b16"}


@instruction("mov.type d, a", type=MOVED, section="data-movement-and-conversion-instructions-mov")
def mov(a):
    """Bits are copied; NaNs keep their payload. The name of a variable stands for its address."""
    return a


@instruction("mov.type d, {a}:bits", type=("b32", "b64"), section="data-movement-and-conversion-instructions-mov")
def pack(e, a, type):
    """The first register has the lowest bits."""
    result = e.constant(0, type)
    for k, part in enumerate(a):
        width = type.bits // len(a)
        low = e.and_(part, e.constant((1 << width) - 1, type))
        result = e.or_(result, e.shl(low, e.constant(k * width, type)))
    return result


@instruction("mov.type {d}, a", type=("b32", "b64"), section="data-movement-and-conversion-instructions-mov")
def unpack(e, a, type, count):
    part = TYPES[f"b{type.bits // count}"]
    return tuple(e.convert(e.shr(a, e.constant(k * part.bits, type)), part) for k in range(count))


@instruction("cvta{.to}.space.size d, a:u64", space=("global", "const", "shared", "local"), size=("u64",),
             section="data-movement-and-conversion-instructions-cvta")  # fmt: skip
def cvta(e, a, to, space):
    """Generic addresses of global memory and constants are their own; shared and local memory have a window each."""
    window = SPACES[space].window if space in SPACES else 0
    if not window:
        return a
    shift = e.constant(window, a.type)
    return e.sub(a, shift) if to else e.add(a, shift)
