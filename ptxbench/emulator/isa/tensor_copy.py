"""PTX ISA, tensor copies: cp.async.bulk.tensor, its prefetch, and cp.reduce.async.bulk.tensor, in tile mode."""

from typing import Any

from ptxbench.emulator.bulk_ops import CLUSTER
from ptxbench.emulator.isa.bulk_copy import target
from ptxbench.emulator.isa.table import Chapter
from ptxbench.emulator.runtime.tensor_copies import REDUCTIONS

instruction = Chapter("Data Movement and Conversion Instructions: Tensor Copy", counted="async")

COPY = "data-movement-and-conversion-instructions-cp-async-bulk-tensor"
REDUCE = "data-movement-and-conversion-instructions-cp-reduce-async-bulk-tensor"
PREFETCH = "data-movement-and-conversion-instructions-cp-async-bulk-prefetch-tensor"
DIMS = ("1d", "2d", "3d", "4d", "5d")
TILE = "the default; other modes are not in the table"


def hinted(name, modifiers, operands, section, **sets):
    """Decorator: a line with and without a cache policy."""

    def register(body):
        more: dict[str, Any] = {
            "dim": DIMS, "section": section, "ignored": {"tile": TILE, **SAME_CTA}, **sets,
        }  # fmt: skip
        instruction(f"{name}.dim.{modifiers} {operands}", **more)(body)
        instruction(f"{name}.dim.{modifiers}.L2::cache_hint {operands}, policy:u64", **more)(body)
        return body

    return register


def coordinates(ops, dim, c):
    """The coordinates, after a check that there is one for each dimension."""
    if len(c) != int(dim[0]):
        raise ops.operand_error(f"takes {dim[0]} coordinates, not {len(c)}")
    return c


LOAD, GROUP_1 = "global{.tile}.mbarrier::complete_tx::bytes", "{.cta_group::1}"
"""The mbarrier is in the CTA of the box; CTA pairs, whose groups of 2 share mbarriers, come with tensor memory."""
SAME_CTA = {"cta_group::1": "the default"}


@hinted("cp.async.bulk.tensor", f"to.{LOAD}{GROUP_1}", "[a], [b], {c}:s32, [m]", COPY,
        to=("shared::cluster", "shared::cta"))  # fmt: skip
def tensor_load(ops, dim, to, a, b, c, m):
    """Done when a thread tests the mbarrier unsuccessfully, which then expects the bytes of the whole box less."""
    ops.tensors.load(ops.bulk_copies.target(target(to), a, m), b, coordinates(ops, dim, c))


def multicast(body):
    """Decorator: the lines of a load to several CTAs; the mask comes before the policy."""
    line = f"cp.async.bulk.tensor.dim.shared::cluster.{LOAD}.multicast::cluster{GROUP_1}"
    more: dict[str, Any] = {"dim": DIMS, "section": COPY, "ignored": {"tile": TILE, **SAME_CTA}}
    instruction(f"{line} [a], [b], {{c}}:s32, [m], ctas:u16", **more)(body)
    instruction(f"{line}.L2::cache_hint [a], [b], {{c}}:s32, [m], ctas:u16, policy:u64", **more)(body)
    return body


@multicast
def tensor_load_multicast(ops, dim, a, b, c, m, ctas):
    """To each CTA of the mask, at the same offsets of the box and of the mbarrier."""
    ops.tensors.load(ops.bulk_copies.target(CLUSTER, a, m, ctas), b, coordinates(ops, dim, c))


@hinted("cp.async.bulk.tensor", "global.shared::cta{.tile}.bulk_group", "[a], {c}:s32, [b]", COPY)
def tensor_store(ops, dim, a, c, b):
    """Done when its thread waits for the copy's group; elements outside the tensor are not written."""
    ops.tensors.store(a, coordinates(ops, dim, c), ops.bulk_copies.source(b))


@hinted("cp.reduce.async.bulk.tensor", "global.shared::cta.op{.tile}.bulk_group", "[a], {c}:s32, [b]", REDUCE,
        op=tuple(REDUCTIONS))  # fmt: skip
def tensor_reduce(ops, dim, op, a, c, b):
    """The same, with an atomic update of each element, of the tensor map's type."""
    ops.tensors.store(a, coordinates(ops, dim, c), ops.bulk_copies.source(b), op)


@hinted("cp.async.bulk.prefetch.tensor", "L2.global{.tile}", "[a], {c}:s32", PREFETCH)
def tensor_prefetch(ops, dim, a, c):
    """A hint; the tensor map is checked all the same."""
    ops.tensors.prefetch(a, coordinates(ops, dim, c))
