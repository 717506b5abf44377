"""st.async and red.async: what their instructions may ask of runtime/messages.py."""

from __future__ import annotations

from ptxbench.emulator.emit import Value
from ptxbench.emulator.layout import ParamAddress
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.runtime import mbarriers, messages
from ptxbench.emulator.runtime.context import RuntimeFunction
from ptxbench.emulator.types import U32, U64, bits_of
from ptxbench.emulator.warp_emitter import WarpEmitter


class AsyncStores(WarpEmitter):
    """Emits messages to CTAs of the cluster."""

    def send(
        self,
        space: str,
        target: Value | ParamAddress,
        values: tuple[Value, ...],
        barrier: Value | ParamAddress,
        operation: str = "",
    ) -> None:
        """Send `values`, all of one type, to consecutive addresses; `operation`: how they update the target."""
        ops, e = self.ops, self.e
        kind = values[0].type
        size = kind.bytes * len(values)
        use, touch = "atomic" if operation else "store", messages.touch(size, updates=bool(operation))
        site, where, lanes = self.reached(space, target, use, size, touch, ops.active)
        _, object_at, lanes = self.reached(space, barrier, "mbarrier", 8, mbarriers.TOUCH_CLUSTER, lanes)
        combine = f"@{ops.function(messages.combine(operation, kind))}" if operation else "null"
        function = ops.function(messages.send(size, len(values), kind.bits))
        bits = "".join(f", {bits_of(kind).vector} {e.bits(value).ir}" for value in values)
        e.line(f"call void @{function}({where}, {object_at}, i32 {lanes}, ptr %env, {site}, ptr {combine}{bits})")

    def reached(
        self,
        space: str,
        address: Value | ParamAddress,
        kind: str,
        size: int,
        touch: RuntimeFunction,
        lanes: str,
    ) -> tuple[str, str, str]:
        """The site, the shared::cluster addresses (typed) and the lanes of `lanes` that may use them."""
        ops = self.ops
        if isinstance(address, ParamAddress):
            raise syntax_error(ops.line, "an asynchronous store goes to shared memory of the cluster.")
        if space == "generic":
            wide = ops.e.convert(ops.e.as_type(address, U32) if address.type.bits == 32 else address, U64)
            address = ops.e.sub(wide, ops.window("shared", U64))
        active, ops.active = ops.active, lanes
        arguments = ops.memory_arguments("cluster", address, kind, size)
        ops.active = active
        where, _, _, site = arguments.split(", ")
        return site, where, ops.e.op(f"call i32 @{ops.function(touch)}({arguments})")

    def arrived(self, addresses: str, lanes: str) -> None:
        """`lanes` (i32) have tested mbarriers at these addresses (typed) of their CTA without success."""
        self.e.line(f"call void @{self.ops.function(messages.ARRIVED)}(ptr %env, {addresses}, i32 {lanes})")
