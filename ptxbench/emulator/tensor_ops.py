"""Tensor copies: what their instructions may ask of runtime/tensor_copies.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptxbench.emulator.emit import Value
from ptxbench.emulator.layout import ParamAddress, Site
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.runtime import boxes, bulk_queue, context, mbarriers, tensor_copies
from ptxbench.emulator.runtime.context import V32
from ptxbench.emulator.runtime.tensor_copies import LOADS, PREFETCHES, STORES
from ptxbench.emulator.types import S32, U32

if TYPE_CHECKING:
    from ptxbench.emulator.warp_ops import WarpOps


class TensorCopies:
    """Emits tensor copies of the current instruction's active lanes."""

    def __init__(self, ops: WarpOps) -> None:
        self.ops = ops

    def load(
        self,
        target: Value | ParamAddress,
        map: Value | ParamAddress,
        place: tuple[Value, ...],
        barrier: Value | ParamAddress,
    ) -> None:
        """Copy a box into shared memory, and complete its bytes at an mbarrier."""
        if isinstance(barrier, ParamAddress):
            raise syntax_error(self.ops.line, "an mbarrier lies in shared memory.")
        touched = self.ops.memory_arguments("shared", barrier, "mbarrier", 8)
        self.ops.function(mbarriers.TOUCH)
        lanes = self.ops.e.op(f"call i32 @touch_mbarrier({touched})")
        self.issue(target, map, place, LOADS, touched.split(", ")[0], lanes)

    def store(
        self,
        map: Value | ParamAddress,
        place: tuple[Value, ...],
        source: Value | ParamAddress,
        operation: str | None = None,
    ) -> None:
        """Copy a box from shared memory, in a group; `operation`: update the elements of the tensor by those."""
        self.issue(source, map, place, STORES, f"{V32} splat (i32 {bulk_queue.GROUP})", self.ops.active, operation)

    def prefetch(self, map: Value | ParamAddress, place: tuple[Value, ...]) -> None:
        """Check the tensor map; nothing is moved or counted."""
        nowhere = self.ops.e.constant(0, U32)
        unused = f"{V32} splat (i32 {bulk_queue.GROUP})"
        self.issue(nowhere, map, place, PREFETCHES, unused, self.ops.active)

    def issue(
        self,
        near: Value | ParamAddress,
        map: Value | ParamAddress,
        place: tuple[Value, ...],
        mode: int,
        barriers: str,
        lanes: str,
        operation: str | None = None,
    ) -> None:
        ops, e = self.ops, self.ops.e
        if isinstance(near, ParamAddress):
            raise syntax_error(ops.line, "a tensor copy goes between global and shared memory.")
        if isinstance(map, ParamAddress):
            raise syntax_error(ops.line, "move the address of the tensor map into a register, and convert it by cvta.")
        function = ops.function(tensor_copies.ISSUE)
        near_use = "store" if mode == LOADS else "load"
        nears = ops.memory_arguments("shared", near, near_use, boxes.PIECE).split(", ")
        use = "atomic" if operation else "load" if mode == LOADS else "store"
        maps = ops.memory_arguments("global", map, use, boxes.PIECE).split(", ")
        sites = []
        for kind in ("copy", "box"):
            slot = ops.reserve_counters(context.SITE_SLOTS)
            ops.sites.append(Site(ops.step, slot, "async", kind, boxes.PIECE, ops.strength))
            sites.append(e.op(f"getelementptr i64, ptr %counters, i64 {slot}"))
        reduce = f"@{ops.function(tensor_copies.reduce(operation))}" if operation else "null"
        zero = e.constant(0, S32)
        coordinates = [*place, *[zero] * (boxes.DIMENSIONS - len(place))]
        e.line(
            f"call void @{function}({nears[0]}, {maps[0]}, {barriers}, i32 {lanes}, ptr %env, {nears[3]}, {maps[3]}, "
            f"ptr {sites[0]}, ptr {sites[1]}, ptr {reduce}, i64 {tensor_copies.reducible(operation)}, "
            f"i64 {len(place)}, i32 {mode}, {', '.join(f'{V32} {each.ir}' for each in coordinates)})"
        )
