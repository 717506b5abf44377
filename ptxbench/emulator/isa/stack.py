"""PTX ISA, Stack Manipulation Instructions: memory of a function that its return frees."""

from ptxbench.emulator.isa.table import Chapter

instruction = Chapter("Stack Manipulation Instructions", counted="move")

SIZES = ("u32", "u64")


@instruction("alloca.type d, size", type=SIZES, section="stack-manipulation-instructions-alloca")
@instruction("alloca.type d, size, align:u32", type=SIZES, section="stack-manipulation-instructions-alloca")
def alloca(e, ops, size, type, align=None):
    """The address, in local memory, of new bytes."""
    return e.convert(ops.allocate(size, align), type)


@instruction("stacksave.type d", type=SIZES, section="stack-manipulation-instructions-stacksave")
def stacksave(e, ops, type):
    """Where the next alloca starts, as an address in local memory."""
    return e.convert(ops.stack_top(), type)


@instruction("stackrestore.type a", type=SIZES, section="stack-manipulation-instructions-stackrestore")
def stackrestore(ops, a):
    """Frees the memory of every alloca since."""
    ops.release(a)
