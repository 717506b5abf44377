"""The slow path of an access: which lanes may continue, and the report for those that may not."""

from __future__ import annotations

from ptxbench.emulator.runtime.context import (
    BUFFER_COUNT,
    BUFFER_USES,
    BUFFERS,
    CACHED_LOW,
    CACHED_SPAN,
    COUNTERS,
    CTA,
    CTTZ,
    FAULT_ADDRESS,
    FAULT_CTA,
    FAULT_KIND,
    FAULT_LANE,
    FAULT_SITE,
    FAULT_WARP,
    FUEL,
    LEFT,
    LOCAL_BYTES,
    MISALIGNED,
    NEXT_LANE,
    OUT_OF_BOUNDS,
    RECORDED,
    SHARED_BYTES,
    USE,
    V32,
    V64,
    WARP,
    RuntimeFunction,
    field,
    lane_of,
    loop,
    slot,
)
from ptxbench.emulator.types import LANES

END_LAUNCH = f"""{slot("old", FAULT_KIND)}
  %first = icmp eq i64 %old, 0
  br i1 %first, label %keep, label %done
keep:
  %site.int = ptrtoint ptr %site to i64
  {slot("counters", COUNTERS)}
  %site.offset = sub i64 %site.int, %counters
  {slot("warp", WARP)}
  {slot("cta", CTA)}
  store i64 %kind, ptr %old.at
  %p1 = getelementptr i64, ptr %env, i64 {FAULT_SITE}
  store i64 %site.offset, ptr %p1
  %p2 = getelementptr i64, ptr %env, i64 {FAULT_LANE}
  store i64 %lane, ptr %p2
  %p3 = getelementptr i64, ptr %env, i64 {FAULT_ADDRESS}
  store i64 %address, ptr %p3
  %p4 = getelementptr i64, ptr %env, i64 {FAULT_CTA}
  store i64 %cta, ptr %p4
  %p5 = getelementptr i64, ptr %env, i64 {FAULT_WARP}
  store i64 %warp, ptr %p5
  %p6 = getelementptr i64, ptr %env, i64 {FUEL}
  store i64 0, ptr %p6
  br label %done
done:
  ret void"""
"""Lines that end @fault. The first fault is kept; without fuel, the warp stops at its next loop head or end."""

FAULT = RuntimeFunction("fault", f"""
define internal void @fault(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %address) noinline cold {{
  {END_LAUNCH}
}}
""")  # fmt: skip


EACH_ADDRESS = f"""next:
  %rest = phi i32 [ %mask, %entry ], [ %rest.less, %bad ], [ %rest.less, %found ]
  %good = phi i32 [ 0, %entry ], [ %good, %bad ], [ %good.more, %found ]
{NEXT_LANE}"""
"""The head of a loop over the lanes of %mask; %good: the lanes that continued at the block `found`."""


def fault_of_lowest(lanes: str, kind: int, reason: int | str) -> str:
    """Lines that report a fault of the lowest of these lanes."""
    return f"""%lane = call i32 @llvm.cttz.i32(i32 {lanes}, i1 true)
  %lane.wide = zext i32 %lane to i64
  call void @fault(ptr %env, i64 {kind}, ptr %site, i64 %lane.wide, i64 {reason})"""


def fault_if_any(lanes: str, kind: int, reason: int | str, *, block: str, after: str) -> str:
    """The block `block` with a fault of the lowest of these lanes, and the beginning of the block `after`."""
    return f"""{block}:
  {fault_of_lowest(lanes, kind, reason)}
  br label %{after}
{after}:"""


def as_issuer(base: str, *, site: int, lane: int, warp: int, cta: int) -> str:
    """Lines that load %site and %lane.wide of the copy or message at %BASE, from these byte offsets. They also store
    its issuer at %warp.at and %cta.at, the current warp and CTA, so that the next fault names the issuer."""
    return f"""{field(base, "site", site, "ptr")}
  {field(base, "lane", lane)}
  {field(base, "issuer", warp, "i64")}
  {field(base, "sender", cta, "i64")}
  store i64 %issuer, ptr %warp.at                 ; the fault names the issuer
  store i64 %sender, ptr %cta.at
  %lane.wide = zext i32 %lane to i64"""


RESOLVE_GLOBAL = RuntimeFunction("resolve_global", f"""
define internal i32 @resolve_global({V64} %a, i32 %mask, i64 %size, ptr %env, ptr %site) noinline cold {{
  ; The lanes of %mask whose %size bytes lie aligned within one buffer; the others fault.
entry:
  %lanes = alloca [{LANES} x i64], align 64
  store {V64} %a, ptr %lanes
  {slot("buffers", BUFFERS, "ptr")}
  {slot("count", BUFFER_COUNT)}
  {slot("buffer.uses", BUFFER_USES, "ptr")}
  %use.at = getelementptr i64, ptr %site, i64 {USE}
  %use = load i64, ptr %use.at
  %recorded.at = getelementptr i64, ptr %site, i64 {RECORDED}
  %low = sub i64 %size, 1
  br label %next
{EACH_ADDRESS}
  {lane_of("address", "i64", "%lanes")}
  %end = add i64 %address, %size
  %whole = icmp uge i64 %end, %address            ; false if the last byte has the greatest address: %end is then 0
  %ragged = and i64 %address, %low
  %odd = icmp ne i64 %ragged, 0
  br label %search
{loop("search", "i", "%count", "look", after="miss", before="lane", done="bad")}
  %entry.index = shl i64 %i, 1
  %lo.at = getelementptr i64, ptr %buffers, i64 %entry.index
  %lo = load i64, ptr %lo.at
  %hi.at = getelementptr i64, ptr %lo.at, i64 1
  %hi = load i64, ptr %hi.at
  %after = icmp uge i64 %address, %lo
  %before = icmp ule i64 %end, %hi
  %between = and i1 %after, %before
  %inside = and i1 %between, %whole
  br i1 %inside, label %hit, label %miss
miss:
  %i.next = add i64 %i, 1
  br label %search
hit:
  br i1 %odd, label %bad, label %found
bad:
  %kind = phi i64 [ {OUT_OF_BOUNDS}, %search ], [ {MISALIGNED}, %hit ]
  call void @fault(ptr %env, i64 %kind, ptr %site, i64 %number.wide, i64 %address)
  br label %next
found:
  %good.more = or i32 %good, %bit
  %cache.low = getelementptr i64, ptr %site, i64 {CACHED_LOW}
  store i64 %lo, ptr %cache.low
  %length = sub i64 %hi, %lo
  %last = sub i64 %length, %size
  %span = add i64 %last, 1
  %cache.span = getelementptr i64, ptr %site, i64 {CACHED_SPAN}
  store i64 %span, ptr %cache.span
  ; How the buffer is used, and whether that is to be recorded (records.py: MARKED, USED).
  %marked.at = getelementptr i64, ptr %buffer.uses, i64 %entry.index
  %marked = load i64, ptr %marked.at
  %recorded.old = load i64, ptr %recorded.at
  %recorded = or i64 %recorded.old, %marked
  store i64 %recorded, ptr %recorded.at
  %used.at = getelementptr i64, ptr %marked.at, i64 1
  %used.old = load i64, ptr %used.at
  %used = or i64 %used.old, %use
  store i64 %used, ptr %used.at
  br label %next
done:
  ret i32 %good
}}
""", (FAULT,), (CTTZ,))  # fmt: skip


def resolve_window(
    space: str, bytes_slot: int, *, entry: str = "", ending: str = "", last: str = ""
) -> RuntimeFunction:
    """`resolve_SPACE(addresses, mask, size, env, site)` for a space whose addresses are offsets below a limit.

    `entry`: more lines before the loop. `ending`: lines that set %outside, by default for an offset. `last`: more lines
    for an aligned address inside the limit; they set %gone, and %exit.address, the address argument of a fault LEFT.
    """
    ending = (
        ending
        or """%end = add i64 %address.wide, %size.wide
  %outside = icmp ugt i64 %end, %bytes"""
    )
    next_block, kind_after_look, fault_address, choose_address = "found", "", "%address.wide", ""
    if last:
        next_block, kind_after_look, fault_address = "look", f", [ {LEFT}, %look ]", "%detail"
        choose_address = (
            "\n  %detail = phi i64 [ %address.wide, %lane ], [ %address.wide, %inside ], [ %exit.address, %look ]"
        )
        last = f"""look:
  {last}
  br i1 %gone, label %bad, label %found
"""
    text = f"""
define internal i32 @resolve_{space}({V32} %a, i32 %mask, i32 %size, ptr %env, ptr %site) noinline cold {{
entry:
  %lanes = alloca [{LANES} x i32], align 64
  store {V32} %a, ptr %lanes
  {slot("bytes", bytes_slot)}
  {entry}
  %size.wide = zext i32 %size to i64
  %low = sub i32 %size, 1
  br label %next
{EACH_ADDRESS}
  {lane_of("address", "i32", "%lanes")}
  %address.wide = zext i32 %address to i64
  {ending}
  br i1 %outside, label %bad, label %inside
inside:
  %ragged = and i32 %address, %low
  %odd = icmp ne i32 %ragged, 0
  br i1 %odd, label %bad, label %{next_block}
{last}bad:
  %kind = phi i64 [ {OUT_OF_BOUNDS}, %lane ], [ {MISALIGNED}, %inside ]{kind_after_look}{choose_address}
  call void @fault(ptr %env, i64 %kind, ptr %site, i64 %number.wide, i64 {fault_address})
  br label %next
found:
  %good.more = or i32 %good, %bit
  br label %next
done:
  ret i32 %good
}}
"""
    return RuntimeFunction(f"resolve_{space}", text, (FAULT,), (CTTZ,))


RESOLVE_SHARED = resolve_window("shared", SHARED_BYTES)
RESOLVE_LOCAL = resolve_window("local", LOCAL_BYTES)
