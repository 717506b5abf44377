"""st.async and red.async: stores to the shared memory of a CTA of the cluster that complete bytes at an mbarrier there.

A message is checked and counted when it is sent. Its stores and updates are done when a thread tests its mbarrier
without success, so that a missing wait has an effect. A cluster has one list of messages; when the list is full, all
its messages are done.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.access import access
from ptxbench.emulator.runtime.atomics import update
from ptxbench.emulator.runtime.clusters import host_of
from ptxbench.emulator.runtime.context import (
    CTPOP,
    CTTZ,
    V32,
    WORK,
    RuntimeFunction,
    bump,
    field,
    keeping_loop,
    lane_loop,
    lane_of,
    put_fields,
    slot,
)
from ptxbench.emulator.runtime.counting import GROUPS
from ptxbench.emulator.runtime.faults import FAULT, as_issuer
from ptxbench.emulator.runtime.mbarriers import TRANSACT
from ptxbench.emulator.runtime.spaces import CLUSTER_SPACE
from ptxbench.emulator.runtime.watch import SILENT
from ptxbench.emulator.types import LANES, Type

CAPACITY = 1024
COUNT, MESSAGES = 0, 64
# A message: byte offsets.
SITE, TARGET, BARRIER, SIZE, LANE, WARP, CTA, COMBINE, VALUES, MESSAGE_BYTES = 0, 8, 12, 16, 20, 24, 32, 40, 48, 64
LIST_BYTES = MESSAGES + CAPACITY * MESSAGE_BYTES

ELSEWHERE = 66
"""The reason for MISUSED: the mbarrier is not in the CTA of the target."""
COMPLAINTS = {ELSEWHERE: "names an mbarrier that is not in the CTA whose memory it writes"}


def touch(size: int, *, updates: bool = False) -> RuntimeFunction:
    """`touch_cluster_SIZE(addresses, mask, env, site)`: check and count a store; returns the lanes without a fault.

    `updates`: count an atomic update, and so the lanes with the same address.
    """
    name = f"touch_cluster_{size}" + "_atomic" * updates
    return_lanes = "ret i32 %mask"
    count_same = f"""%key = lshr {V32} %a, splat (i32 {size.bit_length() - 1})
  %grouped = call i64 @groups({V32} %key, i32 %mask)
  %serial = lshr i64 %grouped, 32
  {bump(WORK, "%serial")}"""
    text = access(name, "i32", CLUSTER_SPACE, size, per_lane=return_lanes, nothing="ret i32 0",
                  before=count_same if updates else "")  # fmt: skip
    return RuntimeFunction(name, text, (*CLUSTER_SPACE.needs, *((GROUPS,) if updates else ())), (CTPOP,))


def combine(operation: str, kind: Type) -> RuntimeFunction:
    """`combine_OPERATION_TYPE(target, value)`: update what is at `target` with what is at `value`."""
    t = f"i{kind.bits}"
    text = f"""
define internal void @combine_{operation}_{kind}(ptr %target, ptr %value) noinline {{
  %old = load {t}, ptr %target
  %b = load {t}, ptr %value
  {update(operation, kind, ftz=False)}
  store {t} %new, ptr %target
  ret void
}}
"""
    return RuntimeFunction(f"combine_{operation}_{kind}", text)


LIST = f"""{slot("lists", at.MESSAGE_LISTS, "ptr")}
  {slot("first", at.CLUSTER_SLOT)}
  {slot("ctas", at.CLUSTER_SIZE)}
  %list.index = udiv i64 %first, %ctas
  %list.offset = mul i64 %list.index, {LIST_BYTES}
  %list = getelementptr i8, ptr %lists, i64 %list.offset
  %count.at = getelementptr i8, ptr %list, i64 {COUNT}
  %count = load i64, ptr %count.at
  %messages = getelementptr i8, ptr %list, i64 {MESSAGES}"""
"""Lines that point %messages to the messages of the current cluster, of which there are %count."""


PERFORM = RuntimeFunction("perform_message", f"""
define internal void @perform_message(ptr %env, ptr %item) noinline {{
entry:
  {field("item", "site", SITE, "ptr")}
  {field("item", "target", TARGET)}
  {field("item", "barrier", BARRIER)}
  {field("item", "size", SIZE)}
  {field("item", "lane", LANE)}
  {field("item", "issuer", WARP, "i64")}
  {field("item", "sender", CTA, "i64")}
  {field("item", "combine", COMBINE, "ptr")}
  %values = getelementptr i8, ptr %item, i64 {VALUES}
  {slot("warp", at.WARP)}
  {slot("cta", at.CTA)}
  store i64 %issuer, ptr %warp.at                 ; a fault names the issuer
  store i64 %sender, ptr %cta.at
  {host_of("%target", "target.host")}
  %target.ptr = inttoptr i64 %target.host to ptr
  %replaces = icmp eq ptr %combine, null
  br i1 %replaces, label %replace, label %update
replace:
  %size.wide = zext i32 %size to i64
  call void @llvm.memcpy.p0.p0.i64(ptr %target.ptr, ptr %values, i64 %size.wide, i1 false)
  br label %complete
update:
  call void %combine(ptr %target.ptr, ptr %values)
  br label %complete
complete:
  {host_of("%barrier", "barrier.host")}
  %object = inttoptr i64 %barrier.host to ptr
  %word = load i64, ptr %object
  %size.bytes = zext i32 %size to i64
  %change = sub i64 0, %size.bytes
  %lane.wide = zext i32 %lane to i64
  %changed = call i64 @mbarrier_transact(ptr %env, ptr %site, i64 %lane.wide, i64 %word, i64 %change)
  %settled = call i64 @mbarrier_settled(ptr %env, i64 %changed)
  store i64 %settled, ptr %object
  call void @message_done(ptr %env, ptr %site, i64 %lane.wide, i32 %target, i32 %barrier, i32 %size, i64 %word,
                          i64 %settled)
  store i64 %warp, ptr %warp.at
  store i64 %cta, ptr %cta.at
  ret void
}}
""", (TRANSACT, SILENT["message_done"]), ("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)",))  # fmt: skip

NEXT_MESSAGE = f"""{keeping_loop("i64")}
  %item.offset = mul i64 %index, {MESSAGE_BYTES}
  %item = getelementptr i8, ptr %messages, i64 %item.offset"""
"""The head of a loop over the messages, %item, ended by RETAIN and `after_message`. %remaining of those before stay."""

RETAIN = f"""retain:
  %slot.offset = mul i64 %remaining, {MESSAGE_BYTES}
  %slot = getelementptr i8, ptr %messages, i64 %slot.offset
  %words = load <8 x i64>, ptr %item, align 8
  store <8 x i64> %words, ptr %slot, align 8
  %remaining.more = add i64 %remaining, 1
  br label %after"""
"""A block that moves the message at %item up, behind the remaining ones."""


def after_message(dropped: str) -> str:
    """The end of the loop; from the block `dropped` the message does not remain."""
    return f"""after:
  %remaining.new = phi i64 [ %remaining, %{dropped} ], [ %remaining.more, %retain ]
  %index.next = add i64 %index, 1
  br label %next
done:
  store i64 %remaining, ptr %count.at
  ret void"""


DELIVER = RuntimeFunction("deliver_messages", f"""
define internal void @deliver_messages(ptr %env, i32 %barrier, i1 %all) noinline {{
  ; Do the messages that complete bytes at the mbarrier of a shared::cluster address, or all. The others move up.
entry:
  {LIST}
{NEXT_MESSAGE}
  {field("item", "item.barrier", BARRIER)}
  %same = icmp eq i32 %item.barrier, %barrier
  %due = or i1 %same, %all
  br i1 %due, label %perform, label %retain
perform:
  call void @perform_message(ptr %env, ptr %item)
  br label %after
{RETAIN}
{after_message("perform")}
}}
""", (PERFORM,))  # fmt: skip

ARRIVED = RuntimeFunction("messages_arrived", f"""
define internal void @messages_arrived(ptr %env, {V32} %addresses, i32 %lanes) noinline {{
  ; %lanes have tested mbarriers of their CTA without success.
entry:
  %list.of = alloca {V32}, align 64
  store {V32} %addresses, ptr %list.of
  {slot("cta.base", at.CLUSTER_OWN, "i32")}
{lane_loop("%lanes")}
  {lane_of("address", "i32", "%list.of")}
  %barrier = or i32 %address, %cta.base
  call void @deliver_messages(ptr %env, i32 %barrier, i1 false)
  br label %next
done:
  ret void
}}
""", (DELIVER,), (CTTZ,))  # fmt: skip


CLOSED = RuntimeFunction("messages_closed", f"""
define internal void @messages_closed(ptr %env, ptr %header, i64 %rank) noinline {{
  ; The CTA of %rank has exited: messages that it has not waited for are faults of their senders, and are dropped.
entry:
  {LIST}
  %line.at = getelementptr i8, ptr %header, i64 {at.CTA_EXIT_LINE}
  %line = load i64, ptr %line.at
  %line.high = shl i64 %line, 32
  {slot("warp", at.WARP)}
  {slot("cta", at.CTA)}
{NEXT_MESSAGE}
  {field("item", "target", TARGET)}
  %target.wide = zext i32 %target to i64
  %target.rank = lshr i64 %target.wide, {at.RANK_BITS}
  %same = icmp eq i64 %target.rank, %rank
  br i1 %same, label %undelivered, label %retain
{RETAIN}
undelivered:
  {as_issuer("item", site=SITE, lane=LANE, warp=WARP, cta=CTA)}
  %address.and.line = or i64 %target.wide, %line.high
  call void @fault(ptr %env, i64 {at.LEFT}, ptr %site, i64 %lane.wide, i64 %address.and.line)
  store i64 %warp, ptr %warp.at
  store i64 %cta, ptr %cta.at
  br label %after
{after_message("undelivered")}
}}
""", (FAULT,))  # fmt: skip


def send(size: int, parts: int, bits: int) -> RuntimeFunction:
    """`send_SIZE_PARTS(targets, barriers, mask, env, site, combine, v0, ...)`: each lane sends `parts` values."""
    full = f"<{LANES} x i{bits}>"
    name = f"send_{size}_{parts}"
    lists = "\n  ".join(
        f"%v{k}.list = alloca {full}, align 64\n  store {full} %v{k}, ptr %v{k}.list" for k in range(parts)
    )
    values = "\n  ".join(
        f"%v{k}.at = getelementptr i{bits}, ptr %v{k}.list, i64 %number.wide\n"
        f"  %v{k}.one = load i{bits}, ptr %v{k}.at\n"
        f"  %v{k}.to = getelementptr i8, ptr %item, i64 {VALUES + k * bits // 8}\n"
        f"  store i{bits} %v{k}.one, ptr %v{k}.to"
        for k in range(parts)
    )
    fields = (
        ("site", SITE, "ptr", "%site"),
        ("target", TARGET, "i32", "%target"),
        ("barrier", BARRIER, "i32", "%barrier"),
        ("size", SIZE, "i32", str(size)),
        ("lane", LANE, "i32", "%number"),
        ("warp", WARP, "i64", "%warp"),
        ("cta", CTA, "i64", "%cta"),
        ("combine", COMBINE, "ptr", "%combine"),
    )
    text = f"""
define internal void @{name}({V32} %targets, {V32} %barriers, i32 %asked, ptr %env, ptr %site, ptr %combine
                             {"".join(f", {full} %v{k}" for k in range(parts))}) noinline {{
entry:
  %targets.list = alloca {V32}, align 64
  store {V32} %targets, ptr %targets.list
  %barriers.list = alloca {V32}, align 64
  store {V32} %barriers, ptr %barriers.list
  {lists}
  {slot("warp", at.WARP)}
  {slot("cta", at.CTA)}
{lane_loop("%asked", "misused", "put")}
  {lane_of("target", "i32", "%targets.list")}
  {lane_of("barrier", "i32", "%barriers.list")}
  %difference = xor i32 %target, %barrier
  %rank.difference = lshr i32 %difference, {at.RANK_BITS}
  %same.cta = icmp eq i32 %rank.difference, 0
  br i1 %same.cta, label %room, label %misused
misused:
  call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %number.wide, i64 {ELSEWHERE})
  br label %next
room:
  {LIST}
  %full = icmp uge i64 %count, {CAPACITY}
  br i1 %full, label %make.room, label %put
make.room:
  call void @deliver_messages(ptr %env, i32 0, i1 true)
  br label %put
put:
  %index = load i64, ptr %count.at
  %item.offset = mul i64 %index, {MESSAGE_BYTES}
  %item = getelementptr i8, ptr %messages, i64 %item.offset
  %index.more = add i64 %index, 1
  store i64 %index.more, ptr %count.at
  {put_fields("item", *fields)}
  {values}
  %updates = icmp ne ptr %combine, null
  call void @message_sent(ptr %env, ptr %site, i64 %number.wide, i32 %target, i32 %barrier, i32 {size}, i1 %updates)
  br label %next
done:
  ret void
}}
"""
    return RuntimeFunction(name, text, (DELIVER, FAULT, SILENT["message_sent"]), (CTTZ,))
