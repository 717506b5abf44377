"""Functions of a sanitized kernel besides the events of watch.py: findings, and reads of unwritten local memory.

The first finding of each kind at each site is kept. Each granule of local memory has a shadow: the time of its last
write (races/layout.py).
"""

from __future__ import annotations

import functools

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime import kinds
from ptxbench.emulator.runtime.context import CTTZ, MASK, V32, V64, RuntimeFunction, multiples, slot, splat, vector
from ptxbench.emulator.runtime.faults import END_LAUNCH
from ptxbench.emulator.runtime.lane_lines import LaneLines
from ptxbench.emulator.runtime.warpgroup import REGISTERS_MISUSED
from ptxbench.emulator.types import LANES

FINDING_FIELDS = "\n  ".join(
    f"%p{i} = getelementptr i64, ptr %p0, i64 {i}\n  store i64 %{name}, ptr %p{i}"
    for i, name in enumerate(("offset", "lane", "address", "cta", "warp", "other"), start=1)
)
"""Lines that store the slots of a finding behind its kind, which is at %p0 (kinds.FINDING_SLOTS)."""

FLAG_OF_SITE = f"""{slot("counters", at.COUNTERS)}
  {slot("flags", at.FLAGS)}
  %site.int = ptrtoint ptr %site to i64
  %offset = sub i64 %site.int, %counters
  %flag.int = add i64 %flags, %offset
  %flag.at = inttoptr i64 %flag.int to ptr
  %flag = load i64, ptr %flag.at"""
"""Lines that set %flag, the bits of the kinds of finding that a site has, and their place %flag.at."""

FINDING = RuntimeFunction("finding", f"""
define internal void @finding(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %address, i64 %other) noinline cold {{
  {FLAG_OF_SITE}
  %bit = shl i64 1, %kind
  %already.found = and i64 %flag, %bit
  %new = icmp eq i64 %already.found, 0
  {slot("count", at.FINDING_COUNT)}
  %room = icmp ult i64 %count, {kinds.MOST_FINDINGS}
  %keep = and i1 %new, %room
  br i1 %keep, label %store, label %done
store:
  %flag.new = or i64 %flag, %bit
  store i64 %flag.new, ptr %flag.at
  %count.new = add i64 %count, 1
  store i64 %count.new, ptr %count.at
  {slot("findings", at.FINDINGS, "ptr")}
  {slot("cta", at.CTA)}
  {slot("warp", at.WARP)}
  %first.slot = mul i64 %count, {kinds.FINDING_SLOTS}
  %p0 = getelementptr i64, ptr %findings, i64 %first.slot
  store i64 %kind, ptr %p0
  {FINDING_FIELDS}
  br label %done
done:
  ret void
}}
""")  # fmt: skip


def registers_misused() -> str:
    """Lines that set %reason: whether %address is a reason of warpgroup.REGISTERS_MISUSED."""
    lines, last = [], "false"
    for reason in REGISTERS_MISUSED:
        lines += [f"%is.{reason} = icmp eq i64 %address, {reason}", f"%upto.{reason} = or i1 %is.{reason}, {last}"]
        last = f"%upto.{reason}"
    return "\n  ".join([*lines, f"%reason = or i1 {last}, false"])


FAULT = RuntimeFunction("fault", f"""
define internal void @fault(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %address) noinline cold {{
  ; A bad access is a finding: it is left out, and the launch continues. So is a product whose registers or fence are
  ; wrong. Every other fault ends the launch, as in a kernel that is not sanitized.
  %outside = icmp eq i64 %kind, {at.OUT_OF_BOUNDS}
  %odd = icmp eq i64 %kind, {at.MISALIGNED}
  %cta.exited = icmp eq i64 %kind, {at.LEFT}
  %bad = or i1 %outside, %odd
  %access = or i1 %bad, %cta.exited
  br i1 %access, label %collect, label %other
other:
  %misused = icmp eq i64 %kind, {at.MISUSED}
  {registers_misused()}
  %registers = and i1 %misused, %reason
  br i1 %registers, label %product, label %end
product:
  call void @finding(ptr %env, i64 {kinds.PRODUCT_MISUSED}, ptr %site, i64 %lane, i64 %address, i64 0)
  ret void
collect:
  call void @finding(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %address, i64 0)
  ret void
end:
  {END_LAUNCH}
}}
""", (FINDING,))  # fmt: skip

REPORT = RuntimeFunction("report", f"""
define internal void @report(ptr %env, i64 %kind, ptr %site, i32 %lanes, {V32} %a, {V32} %other) noinline cold {{
  ; The finding of the lowest of %lanes.
  %addresses = alloca [{LANES} x i32], align 64
  %others = alloca [{LANES} x i32], align 64
  store {V32} %a, ptr %addresses
  store {V32} %other, ptr %others
  %lane = call i32 @llvm.cttz.i32(i32 %lanes, i1 true)
  %lane.wide = zext i32 %lane to i64
  %a.at = getelementptr i32, ptr %addresses, i64 %lane.wide
  %a.one = load i32, ptr %a.at
  %a.wide = zext i32 %a.one to i64
  %o.at = getelementptr i32, ptr %others, i64 %lane.wide
  %o.one = load i32, ptr %o.at
  %o.wide = zext i32 %o.one to i64
  call void @finding(ptr %env, i64 %kind, ptr %site, i64 %lane.wide, i64 %a.wide, i64 %o.wide)
  ret void
}}
""", (FINDING,), (CTTZ,))  # fmt: skip

IN_ZONE = -1
"""The shadow of a granule of local memory in a zone (zones.py)."""

GATHER = f"llvm.masked.gather.v{LANES}i32.v{LANES}p0"
SCATTER = f"llvm.masked.scatter.v{LANES}i32.v{LANES}p0"
GATHER_SCATTER = (
    f"declare {V32} @{GATHER}(<{LANES} x ptr>, i32, {MASK}, {V32})",
    f"declare void @{SCATTER}({V32}, <{LANES} x ptr>, i32, {MASK})",
)


class SiteLines(LaneLines):
    """Lines about one site: shadows of 32 bits, and reports."""

    def gather(self, pointers: str, active: str) -> str:
        return self.op(
            f"call {V32} @{GATHER}(<{LANES} x ptr> {pointers}, i32 4, {MASK} {active}, {V32} zeroinitializer)"
        )

    def scatter(self, value: str, pointers: str, active: str) -> None:
        self.lines.append(f"call void @{SCATTER}({V32} {value}, <{LANES} x ptr> {pointers}, i32 4, {MASK} {active})")

    def report(self, kind: int, lanes: str, other: str) -> None:
        """Report a finding if any lane is set."""
        with self.where(lanes):
            mask = self.op(f"bitcast {MASK} {lanes} to i32")
            self.lines.append(
                f"call void @report(ptr %env, i64 {kind}, ptr %site, i32 {mask}, {V32} %a, {V32} {other})"
            )


def in_bounds(bytes_slot: int, size: int) -> str:
    """Lines that set %active: the lanes of the mask whose `size` bytes are below the limit in slot `bytes_slot`."""
    return f"""{slot("bytes", bytes_slot)}
  %bytes.short = trunc i64 %bytes to i32
  {splat("bytes.all", "i32", "%bytes.short")}
  %end = add {V32} %a, splat (i32 {size - 1})
  %inside = icmp ult {V32} %end, %bytes.all
  %ordered = icmp uge {V32} %end, %a
  %fits = and {MASK} %inside, %ordered
  %asked.vector = bitcast i32 %asked to {MASK}
  %active = and {MASK} %asked.vector, %fits"""


def times() -> str:
    """Lines that broadcast the current time and the CTA's start time to every lane."""
    return f"""{slot("time.wide", at.TIME)}
  %time = trunc i64 %time.wide to i32
  {splat("time.all", "i32", "%time")}
  {slot("start.wide", at.TIME_OF_START)}
  %start = trunc i64 %start.wide to i32
  {splat("start.all", "i32", "%start")}"""


def within() -> RuntimeFunction:
    """`within(addresses, mask, env, site, first, span)`: reports lanes whose address is not one of the `span` from
    `first` on; the rank of a CTA in the cluster does not count."""
    lines = SiteLines()
    lines.report(at.OUT_OF_BOUNDS, "%outside", "%a")
    text = f"""
define internal void @within({V32} %a, i32 %asked, ptr %env, ptr %site, i32 %first, i32 %span) noinline {{
  {splat("first.all", "i32", "%first")}
  {splat("span.all", "i32", "%span")}
  %offset = and {V32} %a, splat (i32 {(1 << at.RANK_BITS) - 1})
  %distance = sub {V32} %offset, %first.all
  %beyond = icmp uge {V32} %distance, %span.all
  %active = bitcast i32 %asked to {MASK}
  %outside = and {MASK} %beyond, %active
  {chr(10).join(lines.lines)}
  ret void
}}
"""
    return RuntimeFunction("within", text, (REPORT,))


WITHIN = within()


def local_row(size: int, granule: int) -> str:
    """Lines that set %active, and for an access of `size` bytes the shadow of local memory (%shadow) with the number of
    each thread's first granule in it (%row)."""
    return f"""{in_bounds(at.LOCAL_BYTES, size)}
  {slot("shadow", at.LOCAL_SHADOW, "ptr")}
  {slot("warp.wide", at.WARP)}
  %thread.first = shl i64 %warp.wide, 5
  {splat("thread.all", "i64", "%thread.first")}
  %thread = or {V64} %thread.all, {multiples("i64", 1)}
  %granules = lshr i64 %bytes, {granule.bit_length() - 1}
  {splat("granules.all", "i64", "%granules")}
  %row = mul {V64} %thread, %granules.all"""


@functools.cache
def watch_local(kind: str, element_bytes: int, count: int, granule: int, zoned: bool) -> RuntimeFunction:
    """`watch_KIND_local_BYTES_COUNT`: reports reads of a thread's local memory before it was written, and accesses to
    its zones, if it has any (`zoned`)."""
    size = element_bytes * count
    full = vector(8 * element_bytes)
    lines = SiteLines()
    for j in range(max(1, size // granule)):
        index = lines.op(f"add {V64} %index, splat (i64 {j})")
        shadow = lines.op(f"getelementptr i32, ptr %shadow, {V64} {index}")
        lanes = "%active"
        written = lines.gather(shadow, lanes) if zoned or kind == "load" else ""
        if zoned:
            in_zone = lines.both(lanes, lines.op(f"icmp eq {V32} {written}, splat (i32 {IN_ZONE})"))
            lines.report(at.OUT_OF_BOUNDS, in_zone, written)
            lanes = lines.both(lanes, lines.op(f"xor {MASK} {in_zone}, splat (i1 true)"))
        if kind == "load":
            never = lines.op(f"icmp ult {V32} {written}, %start.all")
            lines.report(kinds.UNINITIALISED, lines.both(lanes, never), written)
        else:
            lines.scatter("%time.all", shadow, lanes)
    values = "".join(f", {full} %v{k}" for k in range(count)) if kind == "store" else ""
    name = f"watch_{kind}_local_{element_bytes}_{count}"
    text = f"""
define internal void @{name}({V32} %a, i32 %asked, ptr %env, ptr %site{values}) noinline {{
  {local_row(size, granule)}
  %granule = lshr {V32} %a, splat (i32 {granule.bit_length() - 1})
  %granule.wide = zext {V32} %granule to {V64}
  %index = add {V64} %row, %granule.wide
  {times()}
  {chr(10).join(lines.lines)}
  ret void
}}
"""
    return RuntimeFunction(name, text, (REPORT,), GATHER_SCATTER)
