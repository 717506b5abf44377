"""Tensor copies: what their instructions may ask of runtime/tensor_copies.py and changed_maps.py."""

from __future__ import annotations

from ptxbench.emulator.bulk_ops import Address, SharedSide
from ptxbench.emulator.emit import Value
from ptxbench.emulator.layout import ParamAddress
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.runtime import boxes, bulk_checks, changed_maps, tensor_copies
from ptxbench.emulator.runtime.context import V32, V64
from ptxbench.emulator.runtime.tensor_copies import LOADS, PREFETCHES, STORES
from ptxbench.emulator.types import S32, U32, U64
from ptxbench.emulator.warp_emitter import WarpEmitter


class TensorCopies(WarpEmitter):
    """Emits tensor copies."""

    def load(self, shared: SharedSide, map: Address, coordinates: tuple[Value, ...]) -> None:
        """Copy a box into shared memory, and complete its bytes at an mbarrier."""
        self.issue(shared, map, coordinates, LOADS)

    def store(
        self, map: Address, coordinates: tuple[Value, ...], shared: SharedSide, operation: str | None = None
    ) -> None:
        """Copy a box from shared memory, in a group. `operation`: how its elements update those of the tensor; None to
        replace them."""
        self.issue(shared, map, coordinates, STORES, operation)

    def prefetch(self, map: Address, coordinates: tuple[Value, ...]) -> None:
        """Check the tensor map; nothing is moved or counted."""
        self.issue(self.ops.bulk_copies.source(self.ops.e.constant(0, U32)), map, coordinates, PREFETCHES)

    def issue(
        self, shared: SharedSide, map: Address, coordinates: tuple[Value, ...], mode: int, operation: str | None = None
    ) -> None:  # fmt: skip
        ops, e = self.ops, self.e
        function = ops.function(tensor_copies.ISSUE)
        use = "atomic" if operation else "load" if mode == LOADS else "store"
        maps = ops.memory_arguments("global", self.in_memory(map), use, bulk_checks.PIECE).split(", ")
        site, box = (ops.bulk_copies.new_site("async", kind, bulk_checks.PIECE) for kind in ("copy", "box"))
        reduce = f"@{ops.function(tensor_copies.reduce(operation))}" if operation else "null"
        zero = e.constant(0, S32)
        all_coordinates = [*coordinates, *[zero] * (boxes.DIMENSIONS - len(coordinates))]
        e.line(
            f"call void @{function}({shared.addresses}, {maps[0]}, {shared.barriers}, {shared.ctas}, "
            f"i32 {shared.lanes}, ptr %env, {shared.site}, {maps[3]}, {shared.fault_site}, {site}, {box}, "
            f"ptr {reduce}, i64 {tensor_copies.reducible(operation)}, i64 {len(coordinates)}, i32 {mode}, "
            f"{shared.flags}, {', '.join(f'{V32} {coordinate.ir}' for coordinate in all_coordinates)})"
        )

    def in_memory(self, map: Address) -> Value:
        if isinstance(map, ParamAddress):
            raise syntax_error(
                self.ops.line, "move the address of the tensor map into a register, and convert it by cvta."
            )
        return map

    # ---- changes of maps

    def changed(self, map: Address, state: int = changed_maps.CHANGED) -> None:
        """The active lanes have changed maps."""
        if self.ops.bulk:
            function = self.ops.function(changed_maps.CHANGE)
            self.e.line(f"call void @{function}(ptr %env, {self.generic(map)}, i32 {self.ops.active}, i64 {state})")

    def release(self) -> None:
        if self.ops.bulk:
            self.e.line(f"call void @{self.ops.function(changed_maps.RELEASE)}(ptr %env, i32 {self.ops.active})")

    def acquire(self, map: Address) -> None:
        if self.ops.bulk:
            function = self.ops.function(changed_maps.ACQUIRE)
            self.e.line(f"call void @{function}(ptr %env, {self.generic(map)}, i32 {self.ops.active})")

    def generic(self, map: Address) -> str:
        """The addresses of maps, with their type."""
        return f"{V64} {self.ops.e.convert(self.ops.e.as_type(self.in_memory(map), U64), U64).ir}"
