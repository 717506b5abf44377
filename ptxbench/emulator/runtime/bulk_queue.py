"""The bulk copies that each warp has issued and not yet waited for, in a list.

A copy is done as late as PTX allows, so that a missing wait has an effect. A copy with an mbarrier is done when a
thread tests that mbarrier unsuccessfully; a copy in a group, when its thread waits for the group. A copy without a wait
never completes. A full list completes its oldest copy. Each copy names the function that does it (bulk.py, boxes.py).
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import V32, V64, RuntimeFunction, slot
from ptxbench.emulator.runtime.copies import (
    BULK,
    BULK_BARRIER,
    BULK_BYTES,
    BULK_COMMITTED,
    BULK_COUNT,
    BULK_DO,
    BULK_GROUP,
    BULK_LANE,
    BULK_SITE,
    BULK_TRANSACTION,
    BULK_WARP,
    MOST_BULK,
    QUEUE_BYTES,
)
from ptxbench.emulator.runtime.mbarriers import (
    COMPLAIN,
    KNOWN,
    PHASE_AT,
    STATE_BEFORE,
    STATE_HERE,
    TRANSACT_ONE,
    each_lane,
)
from ptxbench.emulator.types import LANES

GROUP = -1
"""Replaces an mbarrier's address: the copy belongs to a group of its thread, and goes to global memory."""


def field(item: str, name: str, offset: int, kind: str = "i32") -> str:
    """Lines that load %name from the copy at %item."""
    return f"""%{name}.at = getelementptr i8, ptr %{item}, i64 {offset}
  %{name} = load {kind}, ptr %{name}.at"""


COMPLETE = RuntimeFunction("complete_bulk", f"""
define internal void @complete_bulk(ptr %env, ptr %item) noinline {{
  ; The bytes of a copy into shared memory have arrived: its mbarrier expects that many less.
  {field("item", "barrier", BULK_BARRIER)}
  {field("item", "site", BULK_SITE, "ptr")}
  {field("item", "lane", BULK_LANE)}
  {field("item", "bytes", BULK_TRANSACTION)}
  {field("item", "issuer", BULK_WARP, "i64")}
  %lane.wide = zext i32 %lane to i64
  %bytes.wide = zext i32 %bytes to i64
  %change = sub i64 0, %bytes.wide
  {slot("warp", at.WARP)}
  store i64 %issuer, ptr %warp.at                 ; whom a fault is to name
  call void @mbarrier_transact_one(ptr %env, ptr %site, i64 %lane.wide, i32 %barrier, i64 %change)
  store i64 %warp, ptr %warp.at
  ret void
}}
""", (TRANSACT_ONE,))  # fmt: skip

DO = RuntimeFunction("do_bulk", f"""
define internal void @do_bulk(ptr %env, ptr %item) noinline {{
  {field("item", "function", BULK_DO, "ptr")}
  call void %function(ptr %env, ptr %item)
  ret void
}}
""")  # fmt: skip


def copy_at(index: str, item: str) -> str:
    """Lines that point %item to the copy number %index of %queue."""
    return f"""%{item}.wide = zext i32 %{index} to i64
  %{item}.offset = mul i64 %{item}.wide, {BULK_BYTES}
  %{item}.from = add i64 %{item}.offset, {BULK}
  %{item} = getelementptr i8, ptr %queue, i64 %{item}.from"""


WORDS = f"<{BULK_BYTES // 8} x i64>"

FINISH = RuntimeFunction("finish_bulk", f"""
define internal void @finish_bulk(ptr %env, ptr %queue, i32 %barrier, i32 %lanes, i32 %keep) noinline {{
  ; Do the copies that complete transactions at %barrier; or if it is {GROUP}, those that the lanes of %lanes have
  ; committed, but for their last %keep groups. The others move up.
entry:
  %count.at = getelementptr i8, ptr %queue, i64 {BULK_COUNT}
  %count = load i32, ptr %count.at
  %grouped = icmp eq i32 %barrier, {GROUP}
  br label %next
next:
  %index = phi i32 [ 0, %entry ], [ %index.next, %after ]
  %kept = phi i32 [ 0, %entry ], [ %kept.new, %after ]
  %over = icmp eq i32 %index, %count
  br i1 %over, label %done, label %look
look:
  {copy_at("index", "item")}
  {field("item", "its", BULK_BARRIER)}
  %same = icmp eq i32 %its, %barrier
  br i1 %same, label %found, label %hold
found:
  br i1 %grouped, label %group, label %act
group:
  {field("item", "lane", BULK_LANE)}
  {field("item", "its.group", BULK_GROUP)}
  %lane.wide = zext i32 %lane to i64
  %bit = shl i32 1, %lane
  %asked = and i32 %bit, %lanes
  %waits = icmp ne i32 %asked, 0
  %committed.all = getelementptr i8, ptr %queue, i64 {BULK_COMMITTED}
  %committed.at = getelementptr i32, ptr %committed.all, i64 %lane.wide
  %committed = load i32, ptr %committed.at
  %reach = add i32 %its.group, %keep
  %closed = icmp slt i32 %reach, %committed
  %due = and i1 %closed, %waits
  br i1 %due, label %act, label %hold
act:
  call void @do_bulk(ptr %env, ptr %item)
  br label %after
hold:
  {copy_at("kept", "place")}
  %words = load {WORDS}, ptr %item, align 8
  store {WORDS} %words, ptr %place, align 8
  %kept.more = add i32 %kept, 1
  br label %after
after:
  %kept.new = phi i32 [ %kept, %act ], [ %kept.more, %hold ]
  %index.next = add i32 %index, 1
  br label %next
done:
  store i32 %kept, ptr %count.at
  ret void
}}
""", (DO,))  # fmt: skip

APPEND = RuntimeFunction("append_bulk", f"""
define internal ptr @append_bulk(ptr %env, ptr %queue) noinline {{
  ; The place of one more copy, for which the oldest is done if there is none.
entry:
  %count.at = getelementptr i8, ptr %queue, i64 {BULK_COUNT}
  %count = load i32, ptr %count.at
  %full = icmp eq i32 %count, {MOST_BULK}
  br i1 %full, label %make.room, label %put
make.room:
  %first = getelementptr i8, ptr %queue, i64 {BULK}
  call void @do_bulk(ptr %env, ptr %first)
  br label %move
move:
  %index = phi i32 [ 1, %make.room ], [ %index.next, %moving ]
  %moved = icmp eq i32 %index, {MOST_BULK}
  br i1 %moved, label %put, label %moving
moving:
  {copy_at("index", "item")}
  %before = sub i32 %index, 1
  {copy_at("before", "place")}
  %words = load {WORDS}, ptr %item, align 8
  store {WORDS} %words, ptr %place, align 8
  %index.next = add i32 %index, 1
  br label %move
put:
  %last = phi i32 [ %count, %entry ], [ {MOST_BULK - 1}, %move ]
  {copy_at("last", "new")}
  %count.new = add i32 %last, 1
  store i32 %count.new, ptr %count.at
  ret ptr %new
}}
""", (DO,))  # fmt: skip

COMMIT = RuntimeFunction("commit_bulk", f"""
define internal void @commit_bulk(ptr %env, i32 %mask) noinline {{
  {slot("queue", at.QUEUE, "ptr")}
  %committed.at = getelementptr i8, ptr %queue, i64 {BULK_COMMITTED}
  %committed = load {V32}, ptr %committed.at, align 64
  %active = bitcast i32 %mask to <{LANES} x i1>
  %one = zext <{LANES} x i1> %active to {V32}
  %more = add {V32} %committed, %one
  store {V32} %more, ptr %committed.at, align 64
  ret void
}}
""")  # fmt: skip

WAIT = RuntimeFunction("wait_bulk", f"""
define internal void @wait_bulk(ptr %env, i32 %mask, i32 %keep) noinline {{
  {slot("queue", at.QUEUE, "ptr")}
  call void @finish_bulk(ptr %env, ptr %queue, i32 {GROUP}, i32 %mask, i32 %keep)
  ret void
}}
""", (FINISH,))  # fmt: skip

BEFORE_TEST = RuntimeFunction("bulk_before_test", f"""
define internal i64 @bulk_before_test(ptr %env, i64 %word, i64 %state, i32 %address) noinline {{
  ; The word of the mbarrier at %address. If the phase that is asked for is not complete, the CTA's copies that
  ; complete transactions there are done first.
entry:
  %differs = xor i64 %word, %state
  %complete = icmp slt i64 %differs, 0
  br i1 %complete, label %as.is, label %do
as.is:
  ret i64 %word
do:
  {slot("queues", at.QUEUES, "ptr")}
  {slot("count", at.WARP_COUNT)}
  br label %next
next:
  %k = phi i64 [ 0, %do ], [ %k.next, %finish ]
  %over = icmp eq i64 %k, %count
  br i1 %over, label %done, label %finish
finish:
  %offset = mul i64 %k, {QUEUE_BYTES}
  %queue = getelementptr i8, ptr %queues, i64 %offset
  call void @finish_bulk(ptr %env, ptr %queue, i32 %address, i32 0, i32 0)
  %k.next = add i64 %k, 1
  br label %next
done:
  {slot("shared", at.SHARED)}
  %address.wide = zext i32 %address to i64
  %host = add i64 %shared, %address.wide
  %object = inttoptr i64 %host to ptr
  %now = load i64, ptr %object
  ret i64 %now
}}
""", (FINISH,))  # fmt: skip

TEST = each_lane("mbarrier_test_bulk", V64, f", {V64} %states", STATE_BEFORE, f"""{STATE_HERE}
  {KNOWN}
  %now = call i64 @bulk_before_test(ptr %env, i64 %word, i64 %state, i32 %address)
  %moved = xor i64 %now, %state
  %answer = lshr i64 %moved, {PHASE_AT}
  %new = add i64 %now, 0""", (COMPLAIN, BEFORE_TEST))  # fmt: skip
