"""The bulk copies that each warp has issued and that are not done yet, in a list.

A copy is done as late as PTX allows, so that a missing wait has an effect. A copy with an mbarrier is done when a
thread tests that mbarrier unsuccessfully; a copy in a group, when its thread waits for the group. A copy without a wait
never completes. A full list completes its oldest copy. Each copy names the function that does it (bulk.py, boxes.py).

In a cluster (bulk_clusters.py), the bytes of a copy may go to several CTAs: to each when a thread of it tests its
mbarrier.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.clusters import OFFSET_MASK
from ptxbench.emulator.runtime.context import V32, V64, RuntimeFunction, field, keeping_loop, loop, slot
from ptxbench.emulator.runtime.copies import (
    BULK,
    BULK_BARRIER,
    BULK_BYTES,
    BULK_COMMITTED,
    BULK_COUNT,
    BULK_CTA,
    BULK_CTAS,
    BULK_FUNCTION,
    BULK_GLOBAL,
    BULK_GROUP,
    BULK_LANE,
    BULK_MOVED,
    BULK_REDUCE,
    BULK_SHARED,
    BULK_SITE,
    BULK_TRANSACTION,
    BULK_WARP,
    MOST_BULK,
    QUEUE_BYTES,
)
from ptxbench.emulator.runtime.mbarriers import (
    CHECK_MBARRIER,
    COMPLAIN,
    PHASE_AT,
    STATE_BEFORE,
    STATE_HERE,
    TRANSACT_ONE,
    each_lane,
)
from ptxbench.emulator.types import LANES

GROUP = -1
"""Replaces an mbarrier's address: the copy belongs to a group of its thread, and goes to global memory."""


def store_field(name: str, kind: str, offset: int) -> str:
    """Lines that store %name in the copy at %item."""
    label = name.replace(".", "_")
    return f"""%put.{label} = getelementptr i8, ptr %item, i64 {offset}
  store {kind} %{name}, ptr %put.{label}"""


def copy_at(index: str, item: str) -> str:
    """Lines that point %item to the copy number %index of %queue."""
    return f"""%{item}.wide = zext i32 %{index} to i64
  %{item}.offset = mul i64 %{item}.wide, {BULK_BYTES}
  %{item}.from = add i64 %{item}.offset, {BULK}
  %{item} = getelementptr i8, ptr %queue, i64 %{item}.from"""


WORDS = f"<{BULK_BYTES // 8} x i64>"

SAME_CTA, OTHER_CTA, ISSUER_BACK = (
    "",
    f"""{field("item", "sender", BULK_CTA, "i64")}
  {slot("cta", at.CTA)}
  store i64 %sender, ptr %cta.at""",
    "store i64 %cta, ptr %cta.at",
)
"""Lines of COMPLETE: nothing in a CTA of its own; in a cluster the issuer may be in another CTA."""


def complete(clustered: bool) -> RuntimeFunction:
    """`complete_bulk(env, item)`."""
    return RuntimeFunction("complete_bulk", f"""
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
  store i64 %issuer, ptr %warp.at                 ; a fault names the issuer
  {OTHER_CTA if clustered else SAME_CTA}
  call void @mbarrier_transact_one(ptr %env, ptr %site, i64 %lane.wide, i32 %barrier, i64 %change)
  store i64 %warp, ptr %warp.at
  {ISSUER_BACK if clustered else SAME_CTA}
  ret void
}}
""", (TRANSACT_ONE,))  # fmt: skip


COMPLETE = complete(clustered=False)

PERFORM = RuntimeFunction("perform_bulk", f"""
define internal void @perform_bulk(ptr %env, ptr %item) noinline {{
  {field("item", "function", BULK_FUNCTION, "ptr")}
  call void %function(ptr %env, ptr %item)
  ret void
}}
""")  # fmt: skip

SAME_BARRIER = "%same = icmp eq i32 %item.barrier, %barrier"
FOR_THIS_CTA = f"""{slot("cta.rank", at.CLUSTER_RANK, "i32")}
  {field("item", "ctas", BULK_CTAS)}
  %cta.bit = shl i32 1, %cta.rank
  %cta.pending = and i32 %ctas, %cta.bit
  %for.cta = icmp ne i32 %cta.pending, 0
  %for.cta.or.group = or i1 %for.cta, %grouped
  %same.barrier = icmp eq i32 %item.barrier, %barrier
  %same = and i1 %same.barrier, %for.cta.or.group"""
"""Lines that set %same: whether the copy belongs to %barrier. In a cluster it must also go to this CTA."""
AND_GO = "br label %after"
AND_LOOK = """br i1 %grouped, label %after, label %others
others:
  %ctas.left = xor i32 %ctas, %cta.bit
  store i32 %ctas.left, ptr %ctas.at
  %for.none = icmp eq i32 %ctas.left, 0
  br i1 %for.none, label %after, label %retain"""
"""Lines after a copy was done. It leaves the list; in a cluster, only after all its CTAs have the bytes."""

WORD_AT_BARRIER = f"""{slot("shared", at.SHARED)}
  %barrier.wide = zext i32 %barrier to i64
  %object.host = add i64 %shared, %barrier.wide
  %object = inttoptr i64 %object.host to ptr
  %word.now = load i64, ptr %object"""
"""Lines that load %word.now from the mbarrier at %barrier in the CTA's shared memory."""


def move_to(index: str) -> str:
    """Lines that copy the entry %item to the entry number %INDEX."""
    return f"""{copy_at(index, "slot")}
  %words = load {WORDS}, ptr %item, align 8
  store {WORDS} %words, ptr %slot, align 8"""


def finish(clustered: bool) -> RuntimeFunction:
    """`finish_bulk(env, queue, barrier, word, lanes, keep)`."""
    remaining = "[ %remaining, %perform ], [ %remaining, %others ]" if clustered else "[ %remaining, %perform ]"
    return RuntimeFunction("finish_bulk", f"""
define internal void @finish_bulk(ptr %env, ptr %queue, i32 %barrier, i64 %word, i32 %lanes, i32 %keep) noinline {{
  ; Do the copies that complete transactions at %barrier, which held %word, until its phase is complete; or if it is
  ; {GROUP}, those that the lanes of %lanes have committed, except their last %keep groups. The others move up.
entry:
  %count.at = getelementptr i8, ptr %queue, i64 {BULK_COUNT}
  %count = load i32, ptr %count.at
  %grouped = icmp eq i32 %barrier, {GROUP}
{keeping_loop("i32")}
  {copy_at("index", "item")}
  {field("item", "item.barrier", BULK_BARRIER)}
  {FOR_THIS_CTA if clustered else SAME_BARRIER}
  br i1 %same, label %found, label %retain
found:
  br i1 %grouped, label %group, label %phase
phase:
  {WORD_AT_BARRIER}
  %moved = xor i64 %word.now, %word
  %complete = icmp slt i64 %moved, 0
  br i1 %complete, label %retain, label %perform
group:
  {field("item", "lane", BULK_LANE)}
  {field("item", "item.group", BULK_GROUP)}
  %lane.wide = zext i32 %lane to i64
  %bit = shl i32 1, %lane
  %asked = and i32 %bit, %lanes
  %waits = icmp ne i32 %asked, 0
  %committed.all = getelementptr i8, ptr %queue, i64 {BULK_COMMITTED}
  %committed.at = getelementptr i32, ptr %committed.all, i64 %lane.wide
  %committed = load i32, ptr %committed.at
  %group.end = add i32 %item.group, %keep
  %closed = icmp slt i32 %group.end, %committed
  %due = and i1 %closed, %waits
  br i1 %due, label %perform, label %retain
perform:
  call void @perform_bulk(ptr %env, ptr %item)
  {AND_LOOK if clustered else AND_GO}
retain:
  {move_to("remaining")}
  %remaining.more = add i32 %remaining, 1
  br label %after
after:
  %remaining.new = phi i32 {remaining}, [ %remaining.more, %retain ]
  %index.next = add i32 %index, 1
  br label %next
done:
  store i32 %remaining, ptr %count.at
  ret void
}}
""", (PERFORM,))  # fmt: skip


FINISH = finish(clustered=False)


def make_room(clustered: bool) -> RuntimeFunction:
    """`make_bulk_room(env, queue)`."""
    do = "perform_for_all" if clustered else "perform_bulk"
    return RuntimeFunction("make_bulk_room", f"""
define internal void @make_bulk_room(ptr %env, ptr %queue) noinline {{
  ; The list is full: do its oldest copy. The others move up; the last entry is free.
entry:
  %first = getelementptr i8, ptr %queue, i64 {BULK}
  call void @{do}(ptr %env, ptr %first)
  br label %move
move:
  %index = phi i32 [ 1, %entry ], [ %index.next, %moving ]
  %moved = icmp eq i32 %index, {MOST_BULK}
  br i1 %moved, label %done, label %moving
moving:
  {copy_at("index", "item")}
  %before = sub i32 %index, 1
  {move_to("before")}
  %index.next = add i32 %index, 1
  br label %move
done:
  ret void
}}
""", (PERFORM,))  # fmt: skip


MAKE_ROOM = make_room(clustered=False)

IN_CTA = f"""{store_field("shared.address", "i32", BULK_SHARED)}
  {store_field("barrier", "i32", BULK_BARRIER)}"""
IN_CLUSTER = f"""%shared.offset = and i32 %shared.address, {OFFSET_MASK}
  %barrier.offset = and i32 %barrier, {OFFSET_MASK}
  %grouped = icmp eq i32 %barrier, {GROUP}
  %object = select i1 %grouped, i32 {GROUP}, i32 %barrier.offset
  %barrier.high = lshr i32 %barrier, {at.RANK_BITS}
  %rank = and i32 %barrier.high, 31
  %barrier.cta = shl i32 1, %rank
  %no.mask = icmp eq i32 %ctas, 0
  %targets = select i1 %no.mask, i32 %barrier.cta, i32 %ctas
  {slot("cta", at.CTA)}
  {store_field("shared.offset", "i32", BULK_SHARED)}
  {store_field("object", "i32", BULK_BARRIER)}
  {store_field("targets", "i32", BULK_CTAS)}
  {store_field("cta", "i64", BULK_CTA)}"""
"""Lines that store where the bytes of a copy go."""


STORE_REST = f"""{store_field("report.site", "ptr", BULK_SITE)}
  {store_field("global.address", "i64", BULK_GLOBAL)}
  {store_field("moved", "i32", BULK_MOVED)}
  {store_field("transaction", "i32", BULK_TRANSACTION)}
  {store_field("reduce", "ptr", BULK_REDUCE)}
  {store_field("function", "ptr", BULK_FUNCTION)}"""
"""Lines that store the rest of the copy at %item. put_bulk could do it too, but would need more arguments."""


def put(clustered: bool) -> RuntimeFunction:
    """`put_bulk(env, number, shared address, barrier, ctas)`."""
    return RuntimeFunction("put_bulk", f"""
define internal ptr @put_bulk(ptr %env, i64 %number, i32 %shared.address, i32 %barrier, i32 %ctas) noinline {{
  ; Append a copy of the lane %number. Returns its entry, to which STORE_REST stores the rest.
  ; %ctas: the CTAs that get the bytes; 0: the CTA of the address.
entry:
  {slot("queue", at.QUEUE, "ptr")}
  {slot("warp", at.WARP)}
  {field("queue", "count", BULK_COUNT)}
  %full = icmp eq i32 %count, {MOST_BULK}
  br i1 %full, label %make.room, label %put
make.room:
  call void @make_bulk_room(ptr %env, ptr %queue)
  br label %put
put:
  %last = phi i32 [ %count, %entry ], [ {MOST_BULK - 1}, %make.room ]
  %count.new = add i32 %last, 1
  store i32 %count.new, ptr %count.at
  {copy_at("last", "item")}
  %committed.all = getelementptr i8, ptr %queue, i64 {BULK_COMMITTED}
  %committed.at = getelementptr i32, ptr %committed.all, i64 %number
  %group = load i32, ptr %committed.at
  %lane = trunc i64 %number to i32
  {store_field("lane", "i32", BULK_LANE)}
  {store_field("group", "i32", BULK_GROUP)}
  {store_field("warp", "i64", BULK_WARP)}
  {IN_CLUSTER if clustered else IN_CTA}
  ret ptr %item
}}
""", (MAKE_ROOM,))  # fmt: skip


PUT = put(clustered=False)

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
  call void @finish_bulk(ptr %env, ptr %queue, i32 {GROUP}, i64 0, i32 %mask, i32 %keep)
  ret void
}}
""", (FINISH,))  # fmt: skip

QUEUES_OF_CTA = f"""{slot("queues", at.QUEUES, "ptr")}
  {slot("count", at.WARP_COUNT)}"""
QUEUES_OF_CLUSTER = f"""{slot("all.queues", at.FIRST_QUEUES, "ptr")}
  {slot("warps", at.WARP_COUNT)}
  {slot("first.cta", at.CLUSTER_SLOT)}
  {slot("ranks", at.CLUSTER_SIZE)}
  %first.warp = mul i64 %first.cta, %warps
  %first.offset = mul i64 %first.warp, {QUEUE_BYTES}
  %queues = getelementptr i8, ptr %all.queues, i64 %first.offset
  %count = mul i64 %ranks, %warps"""
"""Lines that set %queues and %count: the queues of the CTA, or of all CTAs of its cluster."""


def before_test(clustered: bool) -> RuntimeFunction:
    """`bulk_before_test(env, word, state, address)`."""
    return RuntimeFunction("bulk_before_test", f"""
define internal i64 @bulk_before_test(ptr %env, i64 %word, i64 %state, i32 %barrier) noinline {{
  ; The word of the mbarrier at %barrier. If the phase of %state is not complete, the copies that complete transactions
  ; there are done first.
entry:
  %differs = xor i64 %word, %state
  %complete = icmp slt i64 %differs, 0
  br i1 %complete, label %unchanged, label %perform.copies
unchanged:
  ret i64 %word
perform.copies:
  {QUEUES_OF_CLUSTER if clustered else QUEUES_OF_CTA}
  br label %next
{loop("next", "k", "%count", "finish", after="finish", before="perform.copies")}
  %offset = mul i64 %k, {QUEUE_BYTES}
  %queue = getelementptr i8, ptr %queues, i64 %offset
  call void @finish_bulk(ptr %env, ptr %queue, i32 %barrier, i64 %word, i32 0, i32 0)
  %k.next = add i64 %k, 1
  br label %next
done:
  {WORD_AT_BARRIER}
  ret i64 %word.now
}}
""", (FINISH,))  # fmt: skip


BEFORE_TEST = before_test(clustered=False)

TEST = each_lane("mbarrier_test_bulk", V64, f", {V64} %states", STATE_BEFORE, f"""{STATE_HERE}
  {CHECK_MBARRIER}
  %word.now = call i64 @bulk_before_test(ptr %env, i64 %word, i64 %state, i32 %address)
  %moved = xor i64 %word.now, %state
  %answer = lshr i64 %moved, {PHASE_AT}
  %new = add i64 %word.now, 0""", (COMPLAIN, BEFORE_TEST))  # fmt: skip
