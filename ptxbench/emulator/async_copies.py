"""Asynchronous copies of a thread, and mbarriers: what instructions may ask of runtime/copies.py and mbarriers.py."""

from __future__ import annotations

from ptxbench.emulator.emit import Value
from ptxbench.emulator.layout import ParamAddress, Site
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.races import layout
from ptxbench.emulator.runtime import bulk_queue, context, copies, mbarriers, turns, watch, watches
from ptxbench.emulator.runtime.context import V32, RuntimeFunction
from ptxbench.emulator.types import LANES, U32, U64
from ptxbench.emulator.warp_emitter import GroupedCopies


class AsyncCopies(GroupedCopies):
    """Emits asynchronous copies, and operations on mbarriers."""

    COMMIT, WAIT = copies.COMMIT, copies.WAIT

    def issue(self, target: Value | ParamAddress, source: Value | ParamAddress, size: int, counts: Value) -> None:
        """Issue an asynchronous copy of `size` bytes per lane; `counts` of them come from global memory."""
        if isinstance(target, ParamAddress) or isinstance(source, ParamAddress):
            raise syntax_error(self.ops.line, "an asynchronous copy goes from global to shared memory.")
        function = self.ops.function(copies.copy(size, recorded=self.ops.parallel))
        loads = self.ops.memory_arguments("global", source, "load", size).split(", ")
        stores = self.ops.memory_arguments("shared", target, "store", size).split(", ")
        slot = self.ops.reserve_counters(context.SITE_SLOTS)
        self.ops.sites.append(Site(self.ops.step, slot, "async", "copy", size))
        site = self.e.op(f"getelementptr i64, ptr %counters, i64 {slot}")
        self.e.line(
            f"call void @{function}({stores[0]}, {loads[0]}, {V32} {counts.ir}, i32 {self.ops.active}, ptr %env, "
            f"{loads[3]}, {stores[3]}, ptr {site})"
        )
        if self.ops.sanitize:
            watch_stores = self.ops.function(watch.watch_copy(size))
            distinct = self.e.op(
                f"call i32 @{self.ops.function(watch.DISTINCT_COPIES)}({stores[0]}, {loads[0]}, {V32} {counts.ir}, "
                f"{stores[1]})"
            )
            self.e.line(f"call void @{watch_stores}({stores[0]}, i32 {distinct}, {stores[2]}, {stores[3]})")
            key = ("load", "global", size, 1, layout.WEAK)
            self.ops.watching.spaces.add(key)
            watch_loads = watches.name_of(*key)
            loading = self.ops.ballot(self.e.compare("ne", counts, self.e.constant(0, U32)))  # other lanes get zeros
            self.e.line(f"call void @{watch_loads}({loads[0]}, i32 {loading}, {loads[2]}, {loads[3]})")

    def arrive(self, space: str, address: Value | ParamAddress, increase: bool) -> None:
        """Make the copies that the active lanes have issued arrive at an mbarrier when they are done."""
        if increase:
            self.mbarrier(mbarriers.RAISE, space, address)
        arguments = self.ops.memory_arguments("shared", self.in_shared(space, address), "mbarrier", 8).split(", ")
        self.ops.function(mbarriers.TOUCH)
        self.ops.function(copies.ISSUE)
        lanes = self.e.op(f"call i32 @touch_mbarrier({', '.join(arguments)})")
        self.e.line(
            f"call void @issue_copy(ptr %env, {arguments[3]}, i32 {lanes}, i32 0, {arguments[0]}, "
            f"<{LANES} x i64> zeroinitializer, {V32} zeroinitializer)"
        )

    def mbarrier(
        self, function: RuntimeFunction, space: str, address: Value | ParamAddress, *more: str, lanes: str = ""
    ) -> Value:
        """Call a function of runtime/mbarriers.py on `lanes`, by default the active ones; `more`: typed arguments.
        Returns one u64 per lane."""
        space = self.ops.stored_in(space)
        where = "shared"
        if space == "cluster" or (space == "generic" and self.ops.clustered and function in mbarriers.REMOTE):
            function, where = mbarriers.in_cluster(function), "cluster"
        name = self.ops.function(function)
        reached = self.ops.memory_arguments(where, self.in_shared(space, address), "mbarrier", 8)
        addresses, _, env, site = reached.split(", ")
        arguments = ", ".join([addresses, f"i32 {lanes or self.ops.active}", env, site, *more])
        if f"define internal void @{name}" in function.text:
            self.e.line(f"call void @{name}({arguments})")
            return self.e.constant(0, U64)
        return Value(self.e.op(f"call <{LANES} x i64> @{name}({arguments})"), U64)

    def test_mbarrier(self, space: str, address: Value | ParamAddress, phases: Value) -> Value:
        """Whether the phase with the parity in the top bit of `phases` is complete. If not, yield to other warps."""
        testing = self.e.op(f"call i32 @{self.ops.function(turns.TESTING)}(ptr %env, ptr %warp, i32 {self.ops.active})")
        if self.ops.queues:
            self.e.line(f"call void @{self.ops.function(copies.PROGRESS)}(ptr %env, i32 {testing})")
        test = bulk_queue.TEST if self.ops.bulk else mbarriers.TEST
        answer = self.mbarrier(test, space, address, f"{phases.type.vector} {phases.ir}", lanes=testing)
        complete = self.e.compare("ne", answer, self.e.constant(0, U64))
        if self.ops.sanitize:
            where, _, _, site = self.ops.last_arguments.split(", ")
            waited = self.ops.function(watch.WAITED_RELAXED if self.ops.relaxed else watch.WAITED)
            self.e.line(f"call void @{waited}({where}, i32 {self.ops.ballot(complete)}, ptr %env, {site})")
        failed = self.e.op(f"and i32 {testing}, {self.ops.ballot(self.e.not_(complete))}")
        if self.ops.sends:
            self.ops.messages.arrived(self.ops.last_arguments.split(", ")[0], failed)
        where = self.ops.last_arguments.split(", ")[0]
        self.e.line(f"call void @{self.ops.function(turns.TEST_FAILED)}(ptr %env, ptr %warp, {where}, i32 {failed})")
        return complete

    def in_shared(self, space: str, address: Value | ParamAddress) -> Value:
        """An address in shared memory, from one or from a generic address."""
        if isinstance(address, ParamAddress):
            raise syntax_error(self.ops.line, "an mbarrier must be in shared memory.")
        if space != "generic":
            return address
        wide_address = self.e.convert(self.e.as_type(address, U32) if address.type.bits == 32 else address, U64)
        return self.e.sub(wide_address, self.ops.window("shared", U64))
