"""Functions without a body that CUDA C calls: printf, assert, malloc and free. inline.py turns calls into these."""

from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import TYPES

instruction = Chapter("Functions that the emulator provides", counted="control")

U64, U32 = TYPES["u64"], TYPES["u32"]


@instruction("call.vprintf [d], [a], [b]", section="control-flow-instructions-call")
def vprintf(e, ops, d, a, b):
    """Prints to Execution.printed, lanes in ascending order; returns the number of arguments."""
    (template,) = ops.load("local", a, U64)
    (arguments,) = ops.load("local", b, U64)
    ops.store("local", d, (e.convert(ops.host("print", template, arguments), U32),))


@instruction("call.__assertfail [a], [b], [c], [d], [e]", section="control-flow-instructions-call")
def assertfail(ops, a, b, c, d):
    """Stops the launch with the assertion's text, file, line and function."""
    (message,) = ops.load("local", a, U64)
    (file,) = ops.load("local", b, U64)
    (line,) = ops.load("local", c, U32)
    (function,) = ops.load("local", d, U64)
    ops.host("assert", message, file, line, function)


@instruction("call.malloc [d], [a]", section="control-flow-instructions-call")
def malloc(ops, d, a):
    """A block of the launch's heap, lanes in ascending order; null if there is no room."""
    (size,) = ops.load("local", a, U64)
    ops.store("local", d, (ops.host("allocate", size),))


@instruction("call.free [a]", section="control-flow-instructions-call")
def free(ops, a):
    """Null is ignored; an address that malloc did not return stops the launch."""
    (address,) = ops.load("local", a, U64)
    ops.host("release", address)
