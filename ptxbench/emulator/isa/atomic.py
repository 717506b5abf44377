"""PTX ISA, Parallel Synchronization and Communication Instructions: atom and red."""

from typing import Any

from ptxbench.emulator.isa.memory import IN_ORDER, SCOPES, SHARED, registers, space_of
from ptxbench.emulator.isa.table import Chapter

instruction = Chapter("Parallel Synchronization Instructions: atom, red", counted="memory")

ATOM, RED = (
    "parallel-synchronization-and-communication-instructions-atom",
    "parallel-synchronization-and-communication-instructions-red",
)
ORDER = dict.fromkeys(("sem", "scope"), IN_ORDER)

FORMS = (
    ("add", ("u32", "s32", "u64", "f32", "f64")),
    ("min", ("u32", "s32", "u64", "s64")),
    ("max", ("u32", "s32", "u64", "s64")),
    ("inc", ("u32",)),
    ("dec", ("u32",)),
    ("and", ("b32", "b64")),
    ("or", ("b32", "b64")),
    ("xor", ("b32", "b64")),
    ("add.noftz", ("f16", "f16x2", "bf16", "bf16x2")),
)
EXCHANGE = (("exch", ("b32", "b64", "b128")),)
COMPARE = (("cas", ("b16", "b32", "b64", "b128")),)
VECTORS = (
    ("add", ("v2", "v4"), ("f32",)),
    *((f"{op}.noftz", ("v2", "v4", "v8"), ("f16", "bf16")) for op in ("add", "min", "max")),
    *((f"{op}.noftz", ("v2", "v4"), ("f16x2", "bf16x2")) for op in ("add", "min", "max")),
)


def lines(name, forms, operands, *, hinted=True):
    """Decorator: the lines of `forms` for shared, global and generic addresses, the last two also with a policy."""
    section = ATOM if name == "atom" else RED
    sem = ("relaxed", "acquire", "release", "acq_rel") if name == "atom" else ("relaxed", "release")

    def register(body):
        for op, types in forms:
            common: dict[str, Any] = {"sem": sem, "scope": SCOPES, "op": (op,), "type": types, "ignored": ORDER}
            instruction(f"{name}{{.sem}}{{.scope}}.space.op.type {operands}", section=section, space=SHARED, **common)(
                body
            )
            start = f"{name}{{.sem}}{{.scope}}{{.space}}.op"
            instruction(f"{start}.type {operands}", section=section, space=("global",), **common)(body)
            if hinted:
                instruction(
                    f"{start}.L2::cache_hint.type {operands}, policy:u64", section=section, space=("global",), **common
                )(body)  # fmt: skip
        return body

    return register


def vectors(name, operands):
    """Decorator: the lines of VECTORS, for global and generic addresses."""
    section = ATOM if name == "atom" else RED
    sem = ("relaxed", "acquire", "release", "acq_rel") if name == "atom" else ("relaxed", "release")

    def register(body):
        for op, vec, types in VECTORS:
            common: dict[str, Any] = {"sem": sem, "scope": SCOPES, "space": ("global",), "op": (op,), "vec": vec}
            common |= {"type": types, "ignored": ORDER}
            start = f"{name}{{.sem}}{{.scope}}{{.space}}.op"
            instruction(f"{start}.vec.type {operands}", section=section, **common)(body)
            instruction(
                f"{start}.L2::cache_hint.vec.type {operands}, policy:u64", section=section, **common
            )(body)  # fmt: skip
        return body

    return register


@lines("atom", (*FORMS, *EXCHANGE), "d, [a], b")
def atom(ops, space, op, a, b):
    """The old value; lanes of one instruction act in ascending order. In a loop it may wait for another thread. An
    exchange whose result is not used is a store that another thread may wait for."""
    ops.poll()
    old = ops.atomic(space_of(space), op.removesuffix(".noftz"), a, (b,))
    if op == "exch" and ops.step in ops.unused_atomics:
        ops.give_way(ops.active)
    return old


@lines("atom", COMPARE, "d, [a], b, c", hinted=False)
def atom_cas(ops, space, op, a, b, c):
    """Stores c if the old value is b. In a loop it may wait for another thread."""
    ops.poll()
    return ops.atomic(space_of(space), op, a, (b,), c)


@lines("red", FORMS, "[a], b")
def red(ops, space, op, a, b):
    ops.atomic(space_of(space), op.removesuffix(".noftz"), a, (b,))


@vectors("atom", "{d}, [a], {b}")
def atom_vector(ops, space, op, vec, a, b):
    """Each element separately, in vector order."""
    return ops.atomic(space_of(space), op.removesuffix(".noftz"), a, ops.require_count(b, registers(vec)))


@vectors("red", "[a], {b}")
def red_vector(ops, space, op, vec, a, b):
    ops.atomic(space_of(space), op.removesuffix(".noftz"), a, ops.require_count(b, registers(vec)))
