"""How an instruction orders memory, read from its opcode. (PTX ISA, "Memory Consistency Model".)"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from ptxbench.emulator.races import layout


@dataclass(frozen=True)
class MemoryOrder:
    """A strong access: `flags` and `strength` as in races/layout.py."""

    flags: int
    strength: int


@functools.cache
def order_of(opcode: str) -> MemoryOrder | None:
    """The memory order of a load, store, atomic or bulk copy; None for a weak access and for other instructions.

    A volatile access is relaxed at system scope. Atomics are relaxed at GPU scope by default.
    """
    root, *parts = opcode.split(".")
    words = set(parts)
    copies = opcode.startswith("cp.reduce") or (opcode.startswith("cp.async.bulk") and "relaxed" in words)
    if not copies and root not in ("ld", "st", "atom", "red"):
        return None
    if root in ("ld", "st") and not words & {"volatile", "relaxed", "acquire", "release", "mmio"}:
        return None
    flags = {"ld": layout.READS, "st": layout.WRITES}.get(root, layout.READS | layout.WRITES)
    flags |= layout.ACQUIRES if words & {"acquire", "acq_rel"} else 0
    flags |= layout.RELEASES if words & {"release", "acq_rel"} else 0
    if "volatile" in words or not words & {"cta", "cluster"}:
        return MemoryOrder(flags, layout.STRONG_GPU)
    if "cta" in words:
        return MemoryOrder(flags | layout.OF_CTA, layout.STRONG_CTA)
    return MemoryOrder(flags | layout.OF_CLUSTER, layout.STRONG_CLUSTER)


@functools.cache
def fence_of(opcode: str) -> int | None:
    """The order of a fence, as flags of races/layout.py; None: not a fence.

    Fences of proxies and of mbarrier.init order nothing else. A fence of shared memory (`sync_restrict`) counts as one
    of all memory.
    """
    root, *parts = opcode.split(".")
    words = set(parts)
    if root == "membar" and words & {"cta", "gl", "sys"}:
        return (
            layout.FENCE_RELEASES
            | layout.FENCE_ACQUIRES
            | layout.FENCE_IS_SC
            | (0 if "cta" in words else layout.FENCES_GPU | layout.FENCES_CLUSTER)
        )
    if root != "fence" or words & {"proxy", "mbarrier_init"}:
        return None
    kinds = layout.FENCE_RELEASES | layout.FENCE_ACQUIRES
    if "acquire" in words:
        kinds = layout.FENCE_ACQUIRES
    if "release" in words:
        kinds = layout.FENCE_RELEASES
    if "sc" in words:
        kinds |= layout.FENCE_IS_SC
    if "cta" in words:
        return kinds
    return kinds | layout.FENCES_CLUSTER | (0 if "cluster" in words else layout.FENCES_GPU)


@functools.cache
def proxy_fence_of(opcode: str) -> int | None:
    """What a proxy fence orders, or a fence of initialised mbarriers, as flags of races/layout.py; None: neither.

    Of the two halves of a fence from the generic to the async proxy (`sync_restrict`), each counts as a whole one.
    """
    root, *parts = opcode.split(".")
    if root not in ("fence", "membar"):
        return None
    if "mbarrier_init" in parts:
        return layout.OF_START
    if "proxy" not in parts or not any(part.startswith("async") for part in parts):
        return None
    if "global" in parts:
        return layout.PROXY_GLOBAL
    return layout.PROXY_SHARED | (0 if any("shared" in part for part in parts) else layout.PROXY_GLOBAL)


def orders_partly(opcode: str, counted: bool) -> bool:
    """Whether threads synchronize here by other means than a barrier of their whole CTA or warp.

    `counted`: a barrier with an operand for the number of expected threads.
    """
    root = opcode.split(".")[0]
    if root in ("bar", "barrier"):
        return counted
    order = order_of(opcode)
    asynchronous = opcode.startswith(("cp.async.mbarrier", "cp.async.bulk", "cp.reduce"))
    synchronizes = order is not None and bool(order.flags & (layout.ACQUIRES | layout.RELEASES))
    return root == "mbarrier" or asynchronous or synchronizes or fence_of(opcode) is not None


def sends_messages(opcodes: Iterable[str]) -> bool:
    """Whether CTAs may order each other's accesses: by strong accesses, and fences or acquires and releases."""
    orders = [order for opcode in opcodes if (order := order_of(opcode))]
    fenced = any(fence_of(opcode) is not None for opcode in opcodes)
    ordered = any(order.flags & (layout.ACQUIRES | layout.RELEASES) for order in orders)
    return bool(orders) and (fenced or ordered)
