"""Functions without a body that CUDA C calls: printf and assert. inline.py turns their calls into these."""

from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.types import TYPES

instruction = Chapter("Functions that the emulator provides", counted="control")

U64, U32 = TYPES["u64"], TYPES["u32"]


@instruction("call.vprintf [d], [a], [b]", section="control-flow-instructions-call")
def vprintf(machine, d, a, b):
    """Prints to Execution.printed, lanes in ascending order; gives the number of arguments."""
    (template,) = machine.load("local", a, U64)
    (arguments,) = machine.load("local", b, U64)
    machine.store("local", d, (machine.host("print", template, arguments),))


@instruction("call.__assertfail [a], [b], [c], [d], [e]", section="control-flow-instructions-call")
def assertfail(machine, a, b, c, d):
    """Stops the launch with the assertion's text, file, line and function."""
    (message,) = machine.load("local", a, U64)
    (file,) = machine.load("local", b, U64)
    (line,) = machine.load("local", c, U32)
    (function,) = machine.load("local", d, U64)
    machine.host("assert", message, file, line, function)
