"""PTX ISA, bulk copies of consecutive bytes: cp.async.bulk, cp.reduce.async.bulk, and st.bulk."""

from typing import Any

from ptxbench.emulator.bulk_ops import CLUSTER, OWN
from ptxbench.emulator.isa.memory import IN_ORDER, SCOPES, space_of
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime.fill import MOST_BYTES, UNIT

instruction = Chapter("Data Movement and Conversion Instructions: cp.async.bulk", counted="async")

BULK = "data-movement-and-conversion-instructions-cp-async-bulk"
LOAD = "global.mbarrier::complete_tx::bytes"
TARGETS = ("shared::cluster", "shared::cta")


def target(space):
    """The space of a copy's target by its modifier."""
    return CLUSTER if space == "shared::cluster" else OWN


SCOPES_BETWEEN = ("cta", "cluster")
"""The scopes of relaxed copies between CTAs."""


def copies(head, operands, scopes=SCOPES, **sets):
    """Decorator: the line of a copy, and the one with strong accesses of 16 bytes."""
    more: dict[str, Any] = {"section": BULK, **sets}

    def register(body):
        instruction(f"cp.async.bulk{{.weak}}.{head} {operands}", ignored={"weak": "the default"}, **more)(body)
        instruction(f"cp.async.bulk.relaxed.scope.{head}.b128 {operands}", scope=scopes, ignored={"scope": IN_ORDER},
                    **more)(body)  # fmt: skip
        return body

    return register


@copies(f"to.{LOAD}", "[a], [b], size:u32, [c]", to=TARGETS)
@copies(f"to.{LOAD}.L2::cache_hint", "[a], [b], size:u32, [c], policy:u64", to=TARGETS)
def bulk_load(ops, to, a, b, size, c):
    """Done when a thread tests the mbarrier unsuccessfully; the mbarrier then expects `size` bytes less."""
    ops.bulk_copies.load(ops.bulk_copies.target(target(to), a, c), b, size)


@copies(f"shared::cta.{LOAD}.ignore_oob", "[a], [b], size:u32, left:u32, right:u32, [c]")
@copies(f"shared::cta.{LOAD}.L2::cache_hint.ignore_oob", "[a], [b], size:u32, left:u32, right:u32, [c], policy:u64")
def bulk_load_ignoring(ops, a, b, size, left, right, c):
    """The first and last bytes may lie outside every array; in shared memory they are indeterminate."""
    ops.bulk_copies.load(ops.bulk_copies.target(OWN, a, c), b, size, (left, right))


MULTICAST = f"shared::cluster.{LOAD}.multicast::cluster"


@copies(MULTICAST, "[a], [b], size:u32, [c], ctas:u16")
@copies(f"{MULTICAST}.L2::cache_hint", "[a], [b], size:u32, [c], ctas:u16, policy:u64")
def bulk_load_multicast(ops, a, b, size, c, ctas):
    """To each CTA of the mask, at the same offsets of the data and of the mbarrier."""
    ops.bulk_copies.load(ops.bulk_copies.target(CLUSTER, a, c, ctas), b, size)


STORE = "global.shared::cta.bulk_group"


@copies(STORE, "[a], [b], size:u32")
@copies(f"{STORE}.L2::cache_hint", "[a], [b], size:u32, policy:u64")
def bulk_store(ops, a, b, size):
    """Done when its thread waits for the copy's group."""
    ops.bulk_copies.store(a, ops.bulk_copies.source(b), size)


@copies(f"{STORE}.cp_mask", "[a], [b], size:u32, bytes:u16")
@copies(f"{STORE}.L2::cache_hint.cp_mask", "[a], [b], size:u32, policy:u64, bytes:u16")
def bulk_store_masked(ops, a, b, size, bytes):
    """Of each 16 bytes, those with a bit in the mask."""
    ops.bulk_copies.store(a, ops.bulk_copies.source(b), size, bytes)


BETWEEN = "shared::cluster.shared::cta.mbarrier::complete_tx::bytes"


@copies(BETWEEN, "[a], [b], size:u32, [c]", SCOPES_BETWEEN)
def bulk_between(ops, a, b, size, c):
    """To another CTA; done when a thread of that CTA tests its mbarrier unsuccessfully."""
    ops.bulk_copies.between(a, b, size, c)


REDUCE = "data-movement-and-conversion-instructions-cp-reduce-async-bulk"
REDUCTIONS = (
    ("add", ("u32", "s32", "u64", "f32", "f64")),
    ("add.noftz", ("f16", "bf16")),
    ("min", ("u32", "s32", "u64", "s64", "f16", "bf16")),
    ("max", ("u32", "s32", "u64", "s64", "f16", "bf16")),
    ("inc", ("u32",)),
    ("dec", ("u32",)),
    ("and", ("b32", "b64")),
    ("or", ("b32", "b64")),
    ("xor", ("b32", "b64")),
)


def relaxed(scopes):
    """The arguments of a line for the scope of a reduction, which is always relaxed."""
    return {"order": tuple(f"relaxed.{scope}" for scope in scopes), "ignored": {"order": IN_ORDER}}


def reductions(body):
    """Decorator: the lines of REDUCTIONS, from shared memory, also with a policy."""
    start = "cp.reduce.async.bulk{.order}.global.shared::cta.bulk_group"
    for op, elements in REDUCTIONS:
        sets: dict[str, Any] = {"op": (op,), "element": elements, "section": REDUCE, **relaxed(SCOPES)}
        instruction(f"{start}.op.element [a], [b], size:u32", **sets)(body)
        instruction(f"{start}.L2::cache_hint.op.element [a], [b], size:u32, policy:u64", **sets)(body)
    return body


@reductions
def bulk_reduce(ops, op, element, a, b, size):
    """When a store completes, each element of global memory is updated atomically with that of shared memory."""
    ops.bulk_copies.store(a, ops.bulk_copies.source(b), size, reduction=(op.removesuffix(".noftz"), element))


REDUCTIONS_BETWEEN = (
    ("add", ("u32", "s32", "u64")),
    ("min", ("u32", "s32")),
    ("max", ("u32", "s32")),
    ("inc", ("u32",)),
    ("dec", ("u32",)),
    ("and", ("b32",)),
    ("or", ("b32",)),
    ("xor", ("b32",)),
)


def reductions_between(body):
    """Decorator: the lines of REDUCTIONS_BETWEEN."""
    for op, elements in REDUCTIONS_BETWEEN:
        sets: dict[str, Any] = {"op": (op,), "element": elements, "section": REDUCE, **relaxed(SCOPES_BETWEEN)}
        instruction(f"cp.reduce.async.bulk{{.order}}.{BETWEEN}.op.element [a], [b], size:u32, [c]", **sets)(body)
    return body


@reductions_between
def bulk_reduce_between(ops, op, element, a, b, size, c):
    """The same to another CTA: each element there is updated."""
    ops.bulk_copies.between(a, b, size, c, (op, element))


@instruction("cp.async.bulk.commit_group ", section=f"{BULK}-commit-group")
def bulk_commit_group(ops):
    ops.bulk_copies.commit()


@instruction("cp.async.bulk.wait_group{.read} groups:u32", section=f"{BULK}-wait-group",
      ignored={"read": "when the source has been read, the target is written too"})  # fmt: skip
def bulk_wait_group(ops, groups):
    ops.bulk_copies.wait(groups.constant)


@instruction("cp.async.bulk.prefetch.L2.global [a], size:u32", section=f"{BULK}-prefetch")
@instruction("cp.async.bulk.prefetch.L2.global.L2::cache_hint [a], size:u32, policy:u64", section=f"{BULK}-prefetch")
def bulk_prefetch(ops, a, size):
    """A hint, also for an address outside all memory; the sanitizer reports those as a remark."""
    ops.watching.prefetch(a, size)


@instruction("st.bulk{.weak}{.space} [a], size:u32, zero:u32", space=("shared::cta",), counted="memory",
             section="data-movement-and-conversion-instructions-st-bulk", ignored={"weak": "the default"})  # fmt: skip
def store_bulk(ops, space, a, size, zero):
    """Fill `size` bytes with zeros, at once."""
    if zero.constant != 0:
        raise ops.operand_error("stores 0 and no other number")
    if size.constant is not None and (size.constant % UNIT or size.constant > MOST_BYTES):
        raise ops.operand_error(f"fills a multiple of {UNIT} bytes, up to {MOST_BYTES:,}")
    ops.bulk_copies.fill(space_of(space), a, size)
