"""PTX ISA, Parallel Synchronization and Communication Instructions: atom and red."""

from ptxbench.emulator.isa.table import Chapter

instruction = Chapter("Parallel Synchronization Instructions: atom, red", counted="memory")

SPACES = ("global", "shared")
ORDER = {"sem": "CTAs with global atomics run in order", "scope": "CTAs with global atomics run in order"}
SEMANTICS = ("relaxed", "acquire", "release", "acq_rel")
SCOPES = ("cta", "gpu", "sys")
ATOM, RED = (
    "parallel-synchronization-and-communication-instructions-atom",
    "parallel-synchronization-and-communication-instructions-red",
)

FORMS = (
    ("add", ("u32", "s32", "u64", "f32", "f64")),
    ("min", ("u32", "s32", "u64", "s64")),
    ("max", ("u32", "s32", "u64", "s64")),
    ("inc", ("u32",)),
    ("dec", ("u32",)),
    ("and", ("b32", "b64")),
    ("or", ("b32", "b64")),
    ("xor", ("b32", "b64")),
)

for operation, types in FORMS:

    @instruction("atom{.sem}{.scope}.space.op.type d, [a], b", sem=SEMANTICS, scope=SCOPES, space=SPACES,
                 op=(operation,), type=types, ignored=ORDER, section=ATOM)  # fmt: skip
    def atom(machine, space, op, a, b):
        """The old value; lanes of one instruction act in ascending order."""
        return machine.atomic(space, op, a, b)

    @instruction("red{.sem}{.scope}.space.op.type [a], b", sem=("relaxed", "release"), scope=SCOPES, space=SPACES,
                 op=(operation,), type=types, ignored=ORDER, section=RED)  # fmt: skip
    def red(machine, space, op, a, b):
        machine.atomic(space, op, a, b)

    @instruction("atom{.sem}{.scope}.op.type d, [a], b", sem=SEMANTICS, scope=SCOPES, op=(operation,), type=types,
                 ignored=ORDER, section=ATOM)  # fmt: skip
    def atom_generic(machine, op, a, b):
        return machine.atomic("generic", op, a, b)

    @instruction("red{.sem}{.scope}.op.type [a], b", sem=("relaxed", "release"), scope=SCOPES, op=(operation,),
                 type=types, ignored=ORDER, section=RED)  # fmt: skip
    def red_generic(machine, op, a, b):
        machine.atomic("generic", op, a, b)


@instruction("atom{.sem}{.scope}.space.exch.type d, [a], b", sem=SEMANTICS, scope=SCOPES, space=SPACES,
             type=("b32", "b64"), ignored=ORDER, section=ATOM)  # fmt: skip
@instruction("atom{.sem}{.scope}.exch.type d, [a], b", sem=SEMANTICS, scope=SCOPES, type=("b32", "b64"), ignored=ORDER,
             section=ATOM)  # fmt: skip
def atom_exch(machine, a, b, space="generic"):
    return machine.atomic(space, "exch", a, b)


@instruction("atom{.sem}{.scope}.space.cas.type d, [a], b, c", sem=SEMANTICS, scope=SCOPES, space=SPACES,
             type=("b32", "b64"), ignored=ORDER, section=ATOM)  # fmt: skip
@instruction("atom{.sem}{.scope}.cas.type d, [a], b, c", sem=SEMANTICS, scope=SCOPES, type=("b32", "b64"), ignored=ORDER,
             section=ATOM)  # fmt: skip
def atom_cas(machine, a, b, c, space="generic"):
    return machine.atomic(space, "cas", a, b, c)
