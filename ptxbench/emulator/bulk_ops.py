"""Bulk copies of consecutive bytes: what their instructions may ask of runtime/bulk.py and bulk_clusters.py."""

from __future__ import annotations

from dataclasses import dataclass

from ptxbench.emulator.emit import Value
from ptxbench.emulator.layout import ParamAddress, Site
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.races import layout
from ptxbench.emulator.runtime import bulk, bulk_clusters, bulk_queue, context, fill, mbarriers, watches
from ptxbench.emulator.runtime.bulk_checks import PIECE
from ptxbench.emulator.runtime.context import V32
from ptxbench.emulator.types import U32, Type
from ptxbench.emulator.warp_emitter import GroupedCopies

Address = Value | ParamAddress
OWN, CLUSTER = "shared", "cluster"
"""The space of a copy's target: the CTA's own memory, or that of its cluster."""


@dataclass(frozen=True)
class SharedSide:
    """One side of a copy in shared memory: the operands that the issue functions take, with their types."""

    addresses: str
    site: str
    """The site that counts the access."""
    fault_site: str
    """The site at which a bad access is reported."""
    in_cta: bool
    """Whether the addresses are offsets in the CTA's own memory, not addresses of shared::cluster."""
    barriers: str = f"{V32} splat (i32 {bulk_queue.GROUP})"
    """The mbarriers that the copies complete; GROUP for copies that a group of the thread completes."""
    lanes: str = ""
    """The lanes that copy (i32 name)."""
    ctas: str = f"{V32} zeroinitializer"
    """In each lane, a mask of CTAs of the cluster; 0 if the address says which CTA it is."""
    several: bool = False
    """Whether each of `ctas` gets the bytes."""

    @property
    def flags(self) -> str:
        return f"i1 {str(self.in_cta).lower()}, i1 {str(self.several).lower()}"


class BulkCopies(GroupedCopies):
    """Emits bulk copies."""

    COMMIT, WAIT = bulk_queue.COMMIT, bulk_queue.WAIT

    def target(self, space: str, address: Address, barrier: Address, ctas: Value | None = None) -> SharedSide:
        """Where a load goes: an address in the CTA (OWN) or the cluster (CLUSTER), and the mbarrier that it completes.

        `ctas`: a mask of CTAs that each get the bytes.
        """
        ops, space = self.ops, self.ops.stored_in(space)
        lanes, barriers = self.mbarrier(space, barrier)
        addresses, _, _, fault_site = ops.memory_arguments(space, self.shared(address), "store", PIECE).split(", ")
        if space == OWN:
            cta_mask = f"{V32} zeroinitializer"
            if ops.clustered:
                cta_mask = f"{V32} {self.cta_bit()}"
            return SharedSide(
                addresses, fault_site, fault_site, in_cta=True, barriers=barriers, lanes=lanes, ctas=cta_mask
            )
        cta_mask = f"{V32} zeroinitializer" if ctas is None else f"{V32} {self.e.convert(ctas, U32).ir}"
        cta_site = self.new_site(OWN, "store", PIECE)
        return SharedSide(
            addresses,
            cta_site,
            fault_site,
            in_cta=False,
            barriers=barriers,
            lanes=lanes,
            ctas=cta_mask,
            several=ctas is not None,
        )

    def source(self, address: Address) -> SharedSide:
        """Where a store comes from: an address in the CTA's own memory."""
        addresses, lanes, _, site = self.ops.memory_arguments(OWN, self.shared(address), "load", PIECE).split(", ")
        return SharedSide(addresses, site, site, in_cta=True, lanes=lanes.removeprefix("i32 "))

    def mbarrier(self, space: str, address: Address) -> tuple[str, str]:
        """The lanes whose mbarrier may be used, and its addresses."""
        if isinstance(address, ParamAddress):
            raise syntax_error(self.ops.line, "an mbarrier must be in shared memory.")
        touch = self.ops.function(mbarriers.TOUCH if space == OWN else mbarriers.TOUCH_CLUSTER)
        touched = self.ops.memory_arguments(space, address, "mbarrier", 8)
        return self.e.op(f"call i32 @{touch}({touched})"), touched.split(", ")[0]

    def cta_bit(self) -> str:
        """The bit of the CTA in a mask of its cluster's, in every lane."""
        rank_address = self.e.op(f"getelementptr i64, ptr %env, i64 {context.CLUSTER_RANK}")
        rank = self.e.op(f"load i32, ptr {rank_address}, align 8")
        return self.e.splat(self.e.op(f"shl i32 1, {rank}"), U32).ir

    def shared(self, address: Address) -> Value:
        if isinstance(address, ParamAddress):
            raise syntax_error(self.ops.line, "a bulk copy goes between global and shared memory.")
        return address

    def new_site(self, space: str, kind: str, size: int) -> str:
        """A site that counts (a typed pointer)."""
        slot = self.ops.reserve_counters(context.SITE_SLOTS)
        self.ops.sites.append(Site(self.ops.step, slot, space, kind, size, self.ops.strength))
        return f"ptr {self.e.op(f'getelementptr i64, ptr %counters, i64 {slot}')}"

    # ---- what the instructions do

    def load(
        self, shared: SharedSide, address: Address, size: Value, ignored: tuple[Value, Value] | None = None
    ) -> None:
        """Copy from global memory. `ignored`: bytes at both ends that may lie outside, and become indeterminate."""
        extras = ""
        if ignored is not None:
            left, right = (self.e.min(edge, self.e.constant((1 << bulk.RIGHT_AT) - 1, U32)) for edge in ignored)
            both_ends = self.e.or_(left, self.e.shl(right, self.e.constant(bulk.RIGHT_AT, U32)))
            extras = f"{V32} {both_ends.ir}"
        self.issue(shared, address, size, "load", extras)

    def store(
        self, address: Address, shared: SharedSide, size: Value, bytes: Value | None = None,
        reduction: tuple[str, Type] | None = None,
    ) -> None:  # fmt: skip
        """Copy to global memory, in a group. `bytes`: a mask of the bytes of each 16 to write. `reduction`: an
        operation and its element type; it updates global memory instead of replacing it."""
        mask = "" if bytes is None else f"{V32} {self.e.convert(bytes, U32).ir}"
        self.issue(shared, address, size, "store", mask, reduction)

    def issue(
        self, shared: SharedSide, address: Address, size: Value, use: str, extras: str,
        reduction: tuple[str, Type] | None = None,
    ) -> None:  # fmt: skip
        """`extras`: which bytes the copy has, as runtime/bulk.py says; empty if all."""
        simple = shared.in_cta and not extras and not self.ops.clustered
        function = self.ops.function(bulk.ISSUE if simple else bulk.ISSUE_PARTS)
        reduce, elements = self.reduction(reduction)
        kind = "atomic" if reduction else use
        global_arguments = self.ops.memory_arguments("global", self.shared(address), kind, PIECE).split(", ")
        site = self.new_site("async", "copy", PIECE)
        extras = extras or f"{V32} splat (i32 {bulk.ALL_BYTES if use == 'store' else 0})"
        parts = "" if simple else f", {shared.fault_site}, {shared.flags}, {shared.ctas}, {extras}"
        self.e.line(
            f"call void @{function}({shared.addresses}, {global_arguments[0]}, {V32} {size.ir}, {shared.barriers}, "
            f"i32 {shared.lanes}, ptr %env, {shared.site}, {global_arguments[3]}, {site}, ptr {reduce}, "
            f"i64 {elements}{parts})"
        )

    def reduction(self, reduction: tuple[str, Type] | None) -> tuple[str, int]:
        """The function that updates a target, and how many elements 16 bytes have."""
        if reduction is None:
            return "null", 0
        return f"@{self.ops.function(bulk.reduce(*reduction))}", PIECE // reduction[1].bytes

    def between(
        self, target: Address, source: Address, size: Value, barrier: Address,
        reduction: tuple[str, Type] | None = None,
    ) -> None:  # fmt: skip
        """Copy from the CTA's own memory to that of another CTA of the cluster, or update what is there."""
        function = self.ops.function(bulk_clusters.ISSUE)
        reduce, elements = self.reduction(reduction)
        lanes, barriers = self.mbarrier(CLUSTER, barrier)
        target_arguments = self.ops.memory_arguments(
            CLUSTER, self.shared(target), "atomic" if reduction else "store", PIECE
        )
        target_addresses, _, _, target_site = target_arguments.split(", ")
        source_side = self.source(source)
        site = self.new_site("async", "copy", PIECE)
        self.e.line(
            f"call void @{function}({target_addresses}, {source_side.addresses}, {V32} {size.ir}, {barriers}, "
            f"i32 {lanes}, ptr %env, {target_site}, {source_side.site}, {site}, ptr {reduce}, i64 {elements})"
        )

    def fill(self, space: str, address: Address, size: Value) -> None:
        """Store zeros at an address of shared memory, or a generic one."""
        if isinstance(address, ParamAddress):
            raise syntax_error(self.ops.line, "st.bulk fills shared memory.")
        arguments = self.ops.memory_arguments(OWN, self.ops.copies.in_shared(space, address), "store", fill.UNIT)
        addresses, lanes, env, site = arguments.split(", ")
        watch = ""
        if self.ops.sanitize:
            key = ("store", OWN, fill.UNIT, 1, layout.WEAK)
            self.ops.watching.spaces.add(key)
            watch = watches.name_of(*key)
        function = self.ops.function(fill.fill(watch))
        self.e.line(f"call void @{function}({addresses}, {V32} {size.ir}, {lanes}, {env}, {site})")
