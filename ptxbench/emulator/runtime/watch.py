"""Events of a sanitized kernel: the calls from generated code to the functions of races/, about memory and order.

A sanitized kernel has the functions of REPORTERS. Other kernels have those of SILENT, which have the same names and
parameters and do nothing.
"""

from __future__ import annotations

from ptxbench.emulator.races import layout
from ptxbench.emulator.runtime.context import (
    CTTZ,
    EVENT,
    GLOBAL_BASE,
    MASK,
    RACES,
    SHARED_WINDOW,
    V32,
    V64,
    RuntimeFunction,
    lane_of,
    next_group,
    slot,
    splat,
)

EVENT_CALL = RuntimeFunction("event", f"""
define internal void @event(ptr %env, i64 %kind, i64 %mask, i64 %addresses, i64 %site, i64 %values) noinline {{
  {slot("function", EVENT, "ptr")}
  call void %function(ptr %env, i64 %kind, i64 %mask, i64 %addresses, i64 %site, i64 %values)
  ret void
}}
""")  # fmt: skip
"""%mask: the mask of lanes, or one lane's number. The other arguments depend on the kind: see REPORTERS, watches.py."""


def reporter(name: str, parameters: str, arguments: str, lines: str = "") -> RuntimeFunction:
    """`NAME(env, parameters)`: reports an event; `arguments` are the i64 that races/events.py takes, in its order."""
    text = f"""
define internal void @{name}(ptr %env{parameters}) noinline {{
  {lines}
  call void @event(ptr %env, {arguments})
  ret void
}}
"""
    return RuntimeFunction(name, text, (EVENT_CALL,))


def silent(name: str, parameters: str) -> RuntimeFunction:
    """The variant for kernels that are not sanitized: does nothing."""
    return RuntimeFunction(name, f"\ndefine internal void @{name}(ptr %env{parameters}) noinline {{\n  ret void\n}}\n")


def wide(*names: str) -> str:
    """Lines that extend i32 values to i64."""
    return "\n  ".join(f"%{name}.wide = zext i32 %{name} to i64" for name in names)


PARAMETERS = {
    "cta_opened": "",
    "cta_entered": "",
    "cta_left": "",
    "barrier_arrived": ", i32 %id, i32 %lanes, i32 %count",
    "barrier_left": ", i32 %id, i64 %warp, i32 %lanes",
    "barrier_met": ", i32 %id, i1 %everyone",
    "mbarrier_started": ", ptr %site, i64 %lane, i32 %address",
    "mbarrier_ended": ", ptr %site, i64 %lane, i32 %address",
    "mbarrier_arrived": ", ptr %site, i64 %lane, i32 %address, i64 %old, i64 %new, i32 %flags",
    "mbarrier_counted": ", ptr %site, i64 %lane, i32 %address, i64 %old, i64 %new",
    "bytes_announced": ", ptr %site, i64 %lane, i32 %address, i32 %size",
    "product_issued": ", ptr %site, i64 %a, i64 %b, i32 %columns, i32 %flags, i1 %in.memory, i64 %origin",
    "product_done": ", ptr %site, i64 %a, i64 %b, i32 %columns, i32 %flags, i1 %in.memory, i64 %origin",
    "mbarrier_arrived_remote": ", ptr %site, i64 %lane, i32 %address, i64 %old, i64 %new, i32 %flags",
    "message_sent": ", ptr %site, i64 %lane, i32 %target, i32 %barrier, i32 %size, i1 %updates",
    "message_done": ", ptr %site, i64 %lane, i32 %target, i32 %barrier, i32 %size, i64 %old, i64 %new",
    "copy_sent": ", ptr %site, i64 %lane, i32 %target, i32 %barrier, i32 %size, i1 %updates",
    "copy_begins": "",
    "copy_ends": "",
    "copy_taken_remote": ", i32 %address, i32 %size",
    "settle_copy": ", i32 %address, i32 %size",
    "box_issued": ", ptr %site, i64 %lane, i32 %address, i32 %size, i1 %fills",
    "box_taken": ", ptr %site, i64 %lane, i32 %address, i32 %size",
    "row_taken": ", ptr %site, i64 %lane, i64 %address, i64 %from, i64 %past, i64 %shift, i64 %mask",
    "row_loaded": ", ptr %site, i64 %lane, i64 %address, i64 %size",
    "row_stored": ", ptr %site, i64 %lane, i64 %address, i64 %size, i1 %updates, ptr %source",
}
BYTES_AT, MARK_AT = 40, 61
"""The bits of an mbarrier with the bytes that it expects: from the first up to the second (mbarriers.py)."""
RELAXED = 8
"""A flag of an arrival: it has no release semantics."""
COMPLETES = """%turned = xor i64 %old, %new
  %complete = lshr i64 %turned, 63
  %site.int = ptrtoint ptr %site to i64"""


def bytes_of(word: str) -> str:
    """Lines that set %WORD.bytes: how many bytes the mbarrier with that word expects."""
    return f"""%{word}.high = shl i64 %{word}, {64 - MARK_AT}
  %{word}.bytes = ashr i64 %{word}.high, {64 - MARK_AT + BYTES_AT}"""


PRODUCT = f"""%memory = zext i1 %in.memory to i32
  {wide("columns", "flags", "memory")}
  %flags.high = shl i64 %flags.wide, 16
  %memory.high = shl i64 %memory.wide, 24
  %origin.high = shl i64 %origin, 32
  %description.low = or i64 %columns.wide, %flags.high
  %description.high = or i64 %memory.high, %origin.high
  %description = or i64 %description.low, %description.high
  %site.int = ptrtoint ptr %site to i64"""
SIZED = f"""{wide("address", "size")}
  %size.twice = shl i64 %size.wide, 1"""
GLOBAL_SIZED = f"""%global.offset = sub i64 %address, {GLOBAL_BASE}
  %size.high = shl i64 %size, {layout.GLOBAL_SIZE_AT}
  %site.int = ptrtoint ptr %site to i64"""
MESSAGE = f"""{wide("target", "barrier", "size")}
  %barrier.high = shl i64 %barrier.wide, {layout.MESSAGE_BARRIER_AT}
  %size.high = shl i64 %size.wide, {layout.MESSAGE_SIZE_AT}
  %sized = or i64 %barrier.high, %size.high"""
REPORTERS = [
    reporter("cta_opened", "", f"i64 {layout.OPEN_CTA}, i64 0, i64 0, i64 0, i64 0"),
    reporter("cta_entered", "", f"i64 {layout.ENTER_CTA}, i64 0, i64 0, i64 0, i64 0"),
    reporter("cta_left", "", f"i64 {layout.CLOSE_CTA}, i64 0, i64 0, i64 0, i64 0"),
    reporter("barrier_arrived", PARAMETERS["barrier_arrived"],
             f"i64 {layout.BARRIER_ARRIVE}, i64 %lanes.wide, i64 %id.wide, i64 %count.wide, i64 0",
             wide("lanes", "id") + "\n  %count.wide = sext i32 %count to i64"),
    reporter("barrier_left", PARAMETERS["barrier_left"],
             f"i64 {layout.BARRIER_WAKE}, i64 %lanes.wide, i64 %id.wide, i64 %warp, i64 0", wide("lanes", "id")),
    reporter("barrier_met", PARAMETERS["barrier_met"],
             f"i64 {layout.BARRIER_MET}, i64 %id.wide, i64 0, i64 %all, i64 0",
             wide("id") + "\n  %all = zext i1 %everyone to i64"),
    reporter("mbarrier_started", PARAMETERS["mbarrier_started"],
             f"i64 {layout.MBARRIER_INIT}, i64 %lane, i64 %address.wide, i64 %site.int, i64 0",
             f"{wide('address')}\n  %site.int = ptrtoint ptr %site to i64"),
    reporter("mbarrier_ended", PARAMETERS["mbarrier_ended"],
             f"i64 {layout.MBARRIER_END}, i64 %lane, i64 %address.wide, i64 %site.int, i64 0",
             f"{wide('address')}\n  %site.int = ptrtoint ptr %site to i64"),
    reporter("mbarrier_arrived", PARAMETERS["mbarrier_arrived"],
             f"i64 {layout.MBARRIER_ARRIVE}, i64 %lane, i64 %address.wide, i64 %site.int, i64 %description",
             f"""{wide("address")}
  {COMPLETES}
  {bytes_of("old")}
  {bytes_of("new")}
  %relaxed = and i32 %flags, {RELAXED}
  %ordered = icmp eq i32 %relaxed, 0
  %releases = select i1 %ordered, i64 {layout.ARRIVAL_RELEASES}, i64 0
  %more = icmp sgt i64 %new.bytes, %old.bytes
  %expects = select i1 %more, i64 {layout.EXPECTS}, i64 0
  %completes = mul i64 %complete, {layout.COMPLETES}
  %both = or i64 %releases, %expects
  %description = or i64 %both, %completes"""),
    reporter("mbarrier_arrived_remote", PARAMETERS["mbarrier_arrived_remote"],
             f"i64 {layout.MBARRIER_ARRIVE_REMOTE}, i64 %lane, i64 %address.wide, i64 %site.int, i64 %description",
             f"""{wide("address")}
  {COMPLETES}
  %relaxed = and i32 %flags, {RELAXED}
  %ordered = icmp eq i32 %relaxed, 0
  %releases = select i1 %ordered, i64 {layout.ARRIVAL_RELEASES}, i64 0
  %completes = mul i64 %complete, {layout.COMPLETES}
  %description = or i64 %releases, %completes"""),
    *(reporter(name, PARAMETERS[name], f"i64 {kind}, i64 %lane, i64 %target.wide, i64 %site.int, i64 %description",
               f"""{MESSAGE}
  %site.int = ptrtoint ptr %site to i64
  %update = zext i1 %updates to i64
  %description = or i64 %sized, %update""")
      for name, kind in (("message_sent", layout.MESSAGE_SENT), ("copy_sent", layout.COPY_SENT))),
    reporter("copy_begins", "", f"i64 {layout.COPY_BEGINS}, i64 0, i64 0, i64 0, i64 0"),
    reporter("copy_ends", "", f"i64 {layout.COPY_ENDS}, i64 0, i64 0, i64 0, i64 0"),
    reporter("copy_taken_remote", PARAMETERS["copy_taken_remote"],
             f"i64 {layout.COPY_TAKEN_REMOTE}, i64 0, i64 %address.wide, i64 0, i64 %size.wide",
             wide("address", "size")),
    reporter("message_done", PARAMETERS["message_done"],
             f"i64 {layout.MESSAGE_DONE}, i64 %lane, i64 %target.wide, i64 %site.int, i64 %description",
             f"""{MESSAGE}
  {COMPLETES}
  %completes = mul i64 %complete, {layout.MESSAGE_COMPLETES}
  %description = or i64 %sized, %completes"""),
    reporter("mbarrier_counted", PARAMETERS["mbarrier_counted"],
             f"i64 {layout.MBARRIER_BYTES}, i64 %lane, i64 %address.wide, i64 %site.int, i64 %description",
             f"""{wide('address')}
  {COMPLETES}
  {bytes_of("old")}
  {bytes_of("new")}
  %bytes = sub i64 %old.bytes, %new.bytes
  %bytes.twice = shl i64 %bytes, 1
  %description = or i64 %bytes.twice, %complete"""),
    reporter("bytes_announced", PARAMETERS["bytes_announced"],
             f"i64 {layout.COPY_ANNOUNCED}, i64 %lane, i64 %address.wide, i64 %site.int, i64 %size.wide",
             f"{wide('address', 'size')}\n  %site.int = ptrtoint ptr %site to i64"),
    reporter("product_issued", PARAMETERS["product_issued"],
             f"i64 {layout.PRODUCT_ISSUED}, i64 %a, i64 %b, i64 %site.int, i64 %description", PRODUCT),
    reporter("product_done", PARAMETERS["product_done"],
             f"i64 {layout.PRODUCT_DONE}, i64 %a, i64 %b, i64 %site.int, i64 %description", PRODUCT),
    reporter("settle_copy", PARAMETERS["settle_copy"],
             f"i64 {layout.COPY_DONE}, i64 0, i64 %address.wide, i64 %size.wide, i64 0", wide("address", "size")),
    reporter("box_issued", PARAMETERS["box_issued"],
             f"i64 {layout.BULK_SHARED}, i64 %lane, i64 %address.wide, i64 %site.int, i64 %description",
             f"""{SIZED}
  %fill = zext i1 %fills to i64
  %description = or i64 %size.twice, %fill
  %site.int = ptrtoint ptr %site to i64"""),
    reporter("box_taken", PARAMETERS["box_taken"],
             f"i64 {layout.BULK_TAKEN}, i64 %lane, i64 %address.wide, i64 %site.int, i64 %size.twice",
             f"""{SIZED}
  %site.int = ptrtoint ptr %site to i64"""),
    reporter("row_taken", PARAMETERS["row_taken"],
             f"i64 {layout.ROW_SHARED}, i64 %lane, i64 %address, i64 %site.int, i64 %description",
             f"""%past.high = shl i64 %past, {layout.ROW_PAST_AT}
  %mask.high = shl i64 %mask, {layout.ROW_MASK_AT}
  %shift.high = shl i64 %shift, {layout.ROW_SHIFT_AT}
  %bytes = or i64 %from, %past.high
  %turn = or i64 %mask.high, %shift.high
  %description = or i64 %bytes, %turn
  %site.int = ptrtoint ptr %site to i64"""),
    reporter("row_loaded", PARAMETERS["row_loaded"],
             f"i64 {layout.BULK_GLOBAL}, i64 %lane, i64 %global.offset, i64 %site.int, i64 %description",
             f"""{GLOBAL_SIZED}
  %description = or i64 %size.high, {layout.GLOBAL_LOADS}"""),
    reporter("row_stored", PARAMETERS["row_stored"],
             "i64 %kind, i64 %lane, i64 %global.offset, i64 %site.int, i64 %description",
             f"""{GLOBAL_SIZED}
  %source.int = ptrtoint ptr %source to i64
  %source.high = shl i64 %source.int, {layout.SOURCE_AT}
  %kind = or i64 %source.high, {layout.BULK_GLOBAL}
  %use = select i1 %updates, i64 {layout.GLOBAL_UPDATES}, i64 {layout.GLOBAL_STORES}
  %description = or i64 %size.high, %use"""),
]  # fmt: skip
SILENT = {name: silent(name, parameters) for name, parameters in PARAMETERS.items()}


def generic_addresses(space: str) -> tuple[str, str]:
    """The type of the addresses %a in a space, and lines that convert them to generic addresses %all."""
    if space not in ("shared", "cluster"):
        return V64, f"%all = or {V64} %a, zeroinitializer"
    return V32, f"%a.wide = zext {V32} %a to {V64}\n  %all = or {V64} %a.wide, splat (i64 {SHARED_WINDOW})"


EVENT_OF = {
    "load": layout.LOAD,
    "read_only_load": layout.READ_ONLY_LOAD,
    "store": layout.STORE,
    "atomic": layout.ATOMIC,
    "overwrite": layout.OVERWRITE,
    "copy": layout.COPY,
}


def at_addresses(name: str, event_kind: int) -> RuntimeFunction:
    """`NAME(addresses, mask, env, site)`: an event of this kind at the lanes' addresses in shared memory."""
    lines = f"%kind = or i64 {event_kind}, 0\n  %site.argument = ptrtoint ptr %site to i64"
    return event_at_addresses(name, "shared", "ptr %site", lines)


def event_at_addresses(name: str, space: str, parameter: str, lines: str) -> RuntimeFunction:
    """`NAME(addresses, mask, env, parameter)`: an event at the lanes' addresses; `lines` set its %kind and its argument
    %site, as %site.argument."""
    addresses, conversion = generic_addresses(space)
    text = f"""
define internal void @{name}({addresses} %a, i32 %asked, ptr %env, {parameter}) noinline {{
  %list = alloca {V64}, align 64
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %done, label %look
look:
  {conversion}
  store {V64} %all, ptr %list
  %mask = zext i32 %asked to i64
  %addresses = ptrtoint ptr %list to i64
  {lines}
  call void @event(ptr %env, i64 %kind, i64 %mask, i64 %addresses, i64 %site.argument, i64 0)
  br label %done
done:
  ret void
}}
"""
    return RuntimeFunction(name, text, (EVENT_CALL,))


def watch_copy(size: int) -> RuntimeFunction:
    """`watch_copy_SIZE(addresses, mask, env, site)`: a cp.async is issued, which will write shared memory."""
    return at_addresses(f"watch_copy_{size}", layout.COPY | size << layout.ELEMENT_AT | size << layout.BYTES_AT)


DISTINCT_COPIES = RuntimeFunction("distinct_copies", f"""
define internal i32 @distinct_copies({V32} %targets, {V64} %sources, {V32} %counts, i32 %mask) noinline {{
  ; The lanes of %mask without those whose copy a lower lane makes too, with the same target, source and count.
entry:
  %targets.list = alloca {V32}, align 64
  %sources.list = alloca {V64}, align 64
  %counts.list = alloca {V32}, align 64
  store {V32} %targets, ptr %targets.list
  store {V64} %sources, ptr %sources.list
  store {V32} %counts, ptr %counts.list
  br label %next
next:
  %rest = phi i32 [ %mask, %entry ], [ %rest.less, %group ]
  %distinct = phi i32 [ 0, %entry ], [ %distinct.more, %group ]
{next_group("%targets", "%targets.list", "target", 32, "group")}
  {lane_of("source", "i64", "%sources.list")}
  {lane_of("count", "i32", "%counts.list")}
  {splat("source.all", "i64", "%source")}
  {splat("count.all", "i32", "%count")}
  %same.source = icmp eq {V64} %sources, %source.all
  %same.count = icmp eq {V32} %counts, %count.all
  %same = and {MASK} %same.source, %same.count
  %same.mask = bitcast {MASK} %same to i32
  %other.mask = xor i32 %same.mask, -1
  %others = and i32 %members, %other.mask
  %first = shl i32 1, %number
  %kept = or i32 %others, %first
  %distinct.more = or i32 %distinct, %kept
  br label %next
done:
  ret i32 %distinct
}}
""", (), (CTTZ,))  # fmt: skip
"""Lanes may make one copy together: those of cooperative_groups::memcpy_async do, at the end of what they copy."""

WAITED = at_addresses("mbarrier_waited", layout.MBARRIER_WAIT)
"""Lanes have tested mbarriers whose phases are complete."""
WAITED_RELAXED = at_addresses("mbarrier_waited_relaxed", layout.MBARRIER_WAIT | 1 << layout.FLAGS_AT)
"""The same, but the lanes acquire nothing before a fence."""


def strong(space: str) -> RuntimeFunction:
    """`strong_access_SPACE(addresses, mask, env, flags)`: `flags` are those of races/layout.py, shifted to their place
    in the event's kind."""
    lines = f"%kind = or i64 %flags, {layout.STRONG}\n  %site.argument = or i64 0, 0"
    return event_at_addresses(f"strong_access_{space}", space, "i64 %flags", lines)


def values(name: str, event_kind: int, space: str, size: int) -> RuntimeFunction:
    """`NAME_SPACE_SIZE(addresses, mask, env, site)`: lanes are about to load or store `size` bytes each by a strong
    access in global memory. It does nothing unless the launch's loads vary."""
    lines = f"%kind = or i64 {event_kind | size << layout.BYTES_AT}, 0\n  %site.argument = ptrtoint ptr %site to i64"
    event = event_at_addresses(f"event_{name}_{space}_{size}", space, "ptr %site", lines)
    parameters = f"{V64} %a, i32 %asked, ptr %env, ptr %site"
    return if_loads_vary(f"{name}_{space}_{size}", parameters, event)


def if_loads_vary(name: str, parameters: str, function: RuntimeFunction) -> RuntimeFunction:
    """`NAME(parameters)`: `function` with the same parameters, in launches whose strong loads may give old values."""
    text = f"""
define internal void @{name}({parameters}) noinline {{
  {slot("table", RACES, "ptr")}
  %sites.at = getelementptr i64, ptr %table, i64 {layout.OLD_SITES}
  %sites = load i64, ptr %sites.at
  %same = icmp eq i64 %sites, 0
  br i1 %same, label %done, label %vary
vary:
  call void @{function.name}({parameters})
  br label %done
done:
  ret void
}}
"""
    return RuntimeFunction(name, text, (function,))


NEW_VALUES = if_loads_vary(
    "new_values", "ptr %env", reporter("event_new_values", "", f"i64 {layout.NEW_VALUES}, i64 0, i64 0, i64 0, i64 0")
)
"""`new_values(env)`: a load that could give old values is done."""


def ranked(space: str, clustered: bool) -> int:
    """IN_CLUSTER if addresses in the space include the rank of a CTA; else 0."""
    return layout.IN_CLUSTER if space == "cluster" or (space == "generic" and clustered) else 0
