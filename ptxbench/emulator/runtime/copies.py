"""Asynchronous copies: each warp has a queue of the copies that it has issued and not yet waited for.

A copy is checked and counted when it is issued, and done when it is waited for, so that a missing wait has an effect.
An entry is one instruction: its lanes, sources and targets, and for each lane the number of its group. Entries without
bytes are arrivals at mbarriers, due when every copy before them is done. A full queue completes its oldest entry.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.access import access
from ptxbench.emulator.runtime.context import (
    CTPOP,
    CTTZ,
    MASK,
    V32,
    V64,
    RuntimeFunction,
    bump,
    lane_of,
    loop,
    loop_end,
    next_bit,
    slot,
    splat,
)
from ptxbench.emulator.runtime.counting import SECTORS_OF, count_sectors
from ptxbench.emulator.runtime.faults import FAULT, RESOLVE_GLOBAL, fault_if_any
from ptxbench.emulator.runtime.mbarriers import ARRIVE_ONE
from ptxbench.emulator.runtime.records import LOAD, planned
from ptxbench.emulator.runtime.spaces import GLOBAL, SHARED_SPACE
from ptxbench.emulator.runtime.watch import SILENT
from ptxbench.emulator.types import LANES

CAPACITY = 128
# A queue: byte offsets. For each lane the number of groups that it has committed; indices of the first entry and past
# the last, which only grow; how many entries are arrivals; groups and number of the bulk copies; how many changed maps
# there are, in the queue of a CTA's first warp.
COMMITTED, HEAD, TAIL, ARRIVALS, BULK_COMMITTED, BULK_COUNT, MAP_COUNT, ENTRIES = 0, 128, 132, 136, 192, 320, 324, 384
# An entry: byte offsets. `SIZE` 0 is an arrival; COUNTS are the bytes to copy from the source; zeros fill the others.
LANES_LEFT, SIZE, GROUPS_OF, TARGETS, SOURCES, COUNTS, SITE, ENTRY_BYTES = 0, 4, 64, 192, 320, 576, 16, 704
# After the entries, the bulk copies (bulk.py), each with these byte offsets: where its faults are reported, the global
# address, its lane and warp, bytes to move and bytes to count at the mbarrier, shared address, mbarrier, group.
MOST_BULK = 128
BULK = ENTRIES + CAPACITY * ENTRY_BYTES
BULK_SITE, BULK_GLOBAL, BULK_WARP, BULK_LANE, BULK_MOVED, BULK_TRANSACTION, BULK_SHARED = 0, 8, 16, 24, 28, 32, 36
# For REDUCE the function that updates the target, for FUNCTION the one that does the copy; for a box the used part of
# its map, and its coordinates. A plain copy has its mask of bytes where a box has the map. In clusters: the CTAs that
# have not yet got the bytes, and the CTA that issued the copy.
BULK_BARRIER, BULK_GROUP, BULK_REDUCE, BULK_FUNCTION, BULK_MAP, BULK_COORDINATES = 40, 44, 48, 56, 64, 128
BULK_MASK, BULK_CTAS, BULK_CTA, BULK_BYTES = 64, 148, 152, 160
# After the bulk copies, the tensor maps that the CTA has changed or used (changed_maps.py).
MOST_MAPS, MAP_ENTRY_BYTES = 32, 80
MAPS = BULK + MOST_BULK * BULK_BYTES
QUEUE_BYTES = MAPS + MOST_MAPS * MAP_ENTRY_BYTES
TOO_MANY = 87
"""The reason for MISUSED."""
COMPLAINTS = {
    TOO_MANY: "takes more bytes from the source than it copies; its last operand is at most the number before it"
}
EVERYTHING = -1
"""How many groups may stay open: none, including the uncommitted one."""


def touch_shared(size: int) -> RuntimeFunction:
    """`touch_shared_SIZE(addresses, mask, env, site)`: check and count a store; returns the lanes without a fault."""
    text = access(
        f"touch_shared_{size}",
        "i32",
        SHARED_SPACE,
        size,
        per_lane="ret i32 %mask",
        nothing="ret i32 0",
    )
    return RuntimeFunction(f"touch_shared_{size}", text, SHARED_SPACE.needs, (CTPOP,))


def touch_global(size: int, *, recorded: bool = False) -> RuntimeFunction:
    """`touch_global_SIZE(addresses, counts, mask, env, site)`: the same for loads of up to SIZE bytes.

    `recorded`: also record the access (records.py), as if each lane loaded SIZE bytes.
    """
    record = f"""%recorded.at = getelementptr i64, ptr %site, i64 {at.RECORDED}
  %recorded = load i64, ptr %recorded.at
  %unrecorded = icmp eq i64 %recorded, 0
  br i1 %unrecorded, label %onward, label %record
record:
  call void @record_lanes_{LOAD}({V64} %a, i32 %mask, i32 {size}, ptr %env, ptr %site)
  br label %onward
onward:"""
    text = f"""
define internal i32 @touch_global_{size}({V64} %a, {V32} %counts, i32 %wanted, ptr %env, ptr %site) noinline {{
entry:
  %addresses = alloca [{LANES} x i64], align 64
  %bytes.of = alloca [{LANES} x i32], align 64
  %some = icmp ne {V32} %counts, zeroinitializer
  %some.mask = bitcast {MASK} %some to i32
  %asked = and i32 %some.mask, %wanted
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %nothing, label %check
nothing:
  ret i32 0
check:
  {GLOBAL.check(size)}
  br i1 %needs.resolve, label %slow, label %go
slow:
  store {V64} %a, ptr %addresses
  store {V32} %counts, ptr %bytes.of
  br label %next
next:
  %rest = phi i32 [ %asked, %slow ], [ %rest.less, %odd ], [ %rest.less, %seen ]
  %good = phi i32 [ 0, %slow ], [ %good, %odd ], [ %good.more, %seen ]
{next_bit("number", "lane", done="resolved")}
  {lane_of("address", "i64", "%addresses")}
  %ragged.bits = and i64 %address, {size - 1}
  %is.odd = icmp ne i64 %ragged.bits, 0
  br i1 %is.odd, label %odd, label %inside
odd:
  call void @fault(ptr %env, i64 {at.MISALIGNED}, ptr %site, i64 %number.wide, i64 %address)
  br label %next
inside:
  {lane_of("count", "i32", "%bytes.of")}
  %count.wide = zext i32 %count to i64
  {splat("address.all", "i64", "%address")}
  %found = call i32 @resolve_global({V64} %address.all, i32 %bit, i64 %count.wide, ptr %env, ptr %site)
  %whole = icmp eq i32 %count, {size}
  br i1 %whole, label %seen, label %forget
forget:
  ; The range that was found is valid only for this shorter access.
  %cached = getelementptr i64, ptr %site, i64 {at.CACHED_SPAN}
  store i64 0, ptr %cached
  br label %seen
seen:
  %good.more = or i32 %good, %found
  br label %next
resolved:
  %none.good = icmp eq i32 %good, 0
  br i1 %none.good, label %nothing, label %go
go:
  %mask = phi i32 [ %asked, %check ], [ %good, %resolved ]
  {record if recorded else ""}
  {bump(at.REQUESTS, "1")}
  %lanes = call i32 @llvm.ctpop.i32(i32 %mask)
  %lanes.wide = zext i32 %lanes to i64
  {bump(at.ACTIVE, "%lanes.wide")}
  %taking = bitcast i32 %mask to {MASK}
  %short = sub {V32} splat (i32 {size}), %counts
  %missing.lanes = select {MASK} %taking, {V32} %short, {V32} zeroinitializer
  %missing = call i32 @llvm.vector.reduce.add.v{LANES}i32({V32} %missing.lanes)
  %missing.wide = zext i32 %missing to i64
  {bump(at.EXTRA, "%missing.wide")}
  {count_sectors()}
  ret i32 %mask
}}
"""
    add = f"declare i32 @llvm.vector.reduce.add.v{LANES}i32({V32})"
    needs = (RESOLVE_GLOBAL, SECTORS_OF, FAULT, *(planned(LOAD, size)[:1] if recorded else ()))
    return RuntimeFunction(f"touch_global_{size}", text, needs, (CTPOP, CTTZ, add))


SETTLE = SILENT["settle_copy"]
"""If a kernel is sanitized: the copied bytes have arrived."""


def entry_at(index: str, item: str) -> str:
    """Lines that point %item to the entry number %index of %queue."""
    return f"""%{item}.index = and i32 %{index}, {CAPACITY - 1}
  %{item}.wide = zext i32 %{item}.index to i64
  %{item}.offset = mul i64 %{item}.wide, {ENTRY_BYTES}
  %{item}.from = add i64 %{item}.offset, {ENTRIES}
  %{item} = getelementptr i8, ptr %queue, i64 %{item}.from"""


LOAD_ENTRY = f"""{entry_at("index", "item")}
  %lanes.left = load i32, ptr %item
  %size.at = getelementptr i8, ptr %item, i64 {SIZE}
  %size = load i32, ptr %size.at"""
"""Lines that point %item to the entry number %index, and load its %size and the lanes still to do, %lanes.left."""


FINISH = RuntimeFunction("finish_copies", f"""
define internal void @finish_copies(ptr %env, ptr %queue, i32 %lanes, i32 %keep, i32 %entries) noinline {{
  ; Do the copies and arrivals of %lanes in the first %entries entries, except those of their last %keep groups.
entry:
  {slot("shared", at.SHARED)}
  {slot("delta", at.DELTA)}
  %committed = load {V32}, ptr %queue, align 64
  %head.at = getelementptr i8, ptr %queue, i64 {HEAD}
  %head = load i32, ptr %head.at
  %end = add i32 %head, %entries
  {splat("keep.all", "i32", "%keep")}
  br label %next
next:
  %index = phi i32 [ %head, %entry ], [ %index.next, %item.done ]
  %blocked = phi i32 [ 0, %entry ], [ %blocked.new, %item.done ]
  %over = icmp eq i32 %index, %end
  br i1 %over, label %trim, label %look
look:
  {LOAD_ENTRY}
  %groups.at = getelementptr i8, ptr %item, i64 {GROUPS_OF}
  %groups = load {V32}, ptr %groups.at, align 64
  %groups.end = add {V32} %groups, %keep.all
  %closed = icmp slt {V32} %groups.end, %committed
  %closed.mask = bitcast {MASK} %closed to i32
  %chosen = and i32 %lanes.left, %lanes
  %closed.lanes = and i32 %chosen, %closed.mask
  %free.mask = xor i32 %blocked, -1
  %free = and i32 %chosen, %free.mask
  %arrival = icmp eq i32 %size, 0
  %due = select i1 %arrival, i32 %free, i32 %closed.lanes
  %remaining = xor i32 %lanes.left, %due
  store i32 %remaining, ptr %item
  %waiting = select i1 %arrival, i32 0, i32 %remaining
  %blocked.new = or i32 %blocked, %waiting
  br label %lane.next
lane.next:
  %rest = phi i32 [ %due, %look ], [ %rest.less, %lane.done ]
{next_bit("number", "lane", done="item.done")}
  %targets = getelementptr i8, ptr %item, i64 {TARGETS}
  {lane_of("target", "i32", "%targets")}
  %target.wide = zext i32 %target to i64
  %counts = getelementptr i8, ptr %item, i64 {COUNTS}
  {lane_of("count", "i32", "%counts")}
  br i1 %arrival, label %arrive, label %copy
arrive:
  %site.at = getelementptr i8, ptr %item, i64 {SITE}
  %site = load ptr, ptr %site.at
  call void @mbarrier_arrive_one(ptr %env, ptr %site, i64 %number.wide, i32 %target, i32 %count)
  br label %lane.done
copy:
  %to.host = add i64 %shared, %target.wide
  %to = inttoptr i64 %to.host to ptr
  %sources = getelementptr i8, ptr %item, i64 {SOURCES}
  {lane_of("source", "i64", "%sources")}
  %from.host = add i64 %source, %delta
  %from = inttoptr i64 %from.host to ptr
  call void @settle_copy(ptr %env, i32 %target, i32 %size)
  %whole = icmp eq i32 %count, %size
  br i1 %whole, label %plain, label %partly
plain:
  switch i32 %size, label %sixteen [ i32 4, label %four i32 8, label %eight ]
four:
  %v4 = load i32, ptr %from
  store i32 %v4, ptr %to
  br label %lane.done
eight:
  %v8 = load i64, ptr %from
  store i64 %v8, ptr %to
  br label %lane.done
sixteen:
  %v16 = load <2 x i64>, ptr %from, align 16
  store <2 x i64> %v16, ptr %to, align 16
  br label %lane.done
partly:
  br label %byte
{loop("byte", "i", "%size", "byte.choose", after="byte.done", before="partly", done="lane.done", kind="i32")}
  %i.wide = zext i32 %i to i64
  %given = icmp ult i32 %i, %count
  br i1 %given, label %byte.take, label %byte.put
byte.take:
  %byte.from = getelementptr i8, ptr %from, i64 %i.wide
  %taken = load i8, ptr %byte.from
  br label %byte.put
byte.put:
  %value = phi i8 [ 0, %byte.choose ], [ %taken, %byte.take ]
  %byte.to = getelementptr i8, ptr %to, i64 %i.wide
  store i8 %value, ptr %byte.to
  br label %byte.done
byte.done:
  %i.next = add i32 %i, 1
  br label %byte
lane.done:
  br label %lane.next
item.done:
  %index.next = add i32 %index, 1
  br label %next
trim:
  %tail.at = getelementptr i8, ptr %queue, i64 {TAIL}
  %tail = load i32, ptr %tail.at
  br label %trim.next
trim.next:
  %first = phi i32 [ %head, %trim ], [ %first.next, %drop ]
  %empty = icmp eq i32 %first, %tail
  br i1 %empty, label %done, label %trim.look
trim.look:
  {entry_at("first", "oldest")}
  %oldest.lanes = load i32, ptr %oldest
  %used = icmp ne i32 %oldest.lanes, 0
  br i1 %used, label %done, label %drop
drop:
  %drop.size.at = getelementptr i8, ptr %oldest, i64 {SIZE}
  %drop.size = load i32, ptr %drop.size.at
  %was.arrival = icmp eq i32 %drop.size, 0
  %one = zext i1 %was.arrival to i32
  %arrivals.at = getelementptr i8, ptr %queue, i64 {ARRIVALS}
  %arrivals = load i32, ptr %arrivals.at
  %arrivals.less = sub i32 %arrivals, %one
  store i32 %arrivals.less, ptr %arrivals.at
  %first.next = add i32 %first, 1
  br label %trim.next
done:
  store i32 %first, ptr %head.at
  ret void
}}
""", (ARRIVE_ONE, SETTLE), (CTTZ,))  # fmt: skip

ENDS_OF_QUEUE = f"""{slot("queue", at.QUEUE, "ptr")}
  %head.at = getelementptr i8, ptr %queue, i64 {HEAD}
  %tail.at = getelementptr i8, ptr %queue, i64 {TAIL}
  %head = load i32, ptr %head.at
  %tail = load i32, ptr %tail.at
  %entry.count = sub i32 %tail, %head"""
"""Lines that load the numbers of the first entry and of the next new one, %head and %tail; %entry.count lie between."""

ISSUE = RuntimeFunction("issue_copy", f"""
define internal void @issue_copy(ptr %env, ptr %site, i32 %lanes, i32 %size, {V32} %targets, {V64} %sources,
                                 {V32} %counts) noinline {{
  ; Put an entry at the end of the warp's queue.
entry:
  %idle = icmp eq i32 %lanes, 0
  br i1 %idle, label %done, label %look
look:
  {ENDS_OF_QUEUE}
  %full = icmp eq i32 %entry.count, {CAPACITY}
  br i1 %full, label %make.room, label %put
make.room:
  call void @finish_copies(ptr %env, ptr %queue, i32 -1, i32 {EVERYTHING}, i32 1)
  br label %put
put:
  {entry_at("tail", "item")}
  store i32 %lanes, ptr %item
  %size.at = getelementptr i8, ptr %item, i64 {SIZE}
  store i32 %size, ptr %size.at
  %site.at = getelementptr i8, ptr %item, i64 {SITE}
  store ptr %site, ptr %site.at
  %committed = load {V32}, ptr %queue, align 64
  %groups.at = getelementptr i8, ptr %item, i64 {GROUPS_OF}
  store {V32} %committed, ptr %groups.at, align 64
  %targets.at = getelementptr i8, ptr %item, i64 {TARGETS}
  store {V32} %targets, ptr %targets.at, align 64
  %sources.at = getelementptr i8, ptr %item, i64 {SOURCES}
  store {V64} %sources, ptr %sources.at, align 64
  %counts.at = getelementptr i8, ptr %item, i64 {COUNTS}
  store {V32} %counts, ptr %counts.at, align 64
  %arrival = icmp eq i32 %size, 0
  %one = zext i1 %arrival to i32
  %arrivals.at = getelementptr i8, ptr %queue, i64 {ARRIVALS}
  %arrivals = load i32, ptr %arrivals.at
  %arrivals.more = add i32 %arrivals, %one
  store i32 %arrivals.more, ptr %arrivals.at
  %tail.new = add i32 %tail, 1
  store i32 %tail.new, ptr %tail.at
  br label %done
done:
  ret void
}}
""", (FINISH,))  # fmt: skip


def copy(size: int, *, recorded: bool = False) -> RuntimeFunction:
    """`copy_SIZE(targets, sources, counts, mask, env, load site, store site, copy site)`: issue a cp.async."""
    loads, stores = touch_global(size, recorded=recorded), touch_shared(size)
    text = f"""
define internal void @copy_{size}({V32} %targets, {V64} %sources, {V32} %asked, i32 %mask, ptr %env, ptr %site.load,
                                  ptr %site.store, ptr %site) noinline {{
entry:
  %large = icmp ugt {V32} %asked, splat (i32 {size})
  %large.mask = bitcast {MASK} %large to i32
  %wrong = and i32 %large.mask, %mask
  %right = icmp eq i32 %wrong, 0
  br i1 %right, label %go, label %bad
{fault_if_any("%wrong", at.MISUSED, TOO_MANY, block="bad", after="go")}
  %counts = select {MASK} %large, {V32} splat (i32 {size}), {V32} %asked
  %stored = call i32 @{stores.name}({V32} %targets, i32 %mask, ptr %env, ptr %site.store)
  %loaded = call i32 @{loads.name}({V64} %sources, {V32} %counts, i32 %stored, ptr %env, ptr %site.load)
  %zeros = icmp eq {V32} %counts, zeroinitializer
  %zero.mask = bitcast {MASK} %zeros to i32
  %filled = and i32 %zero.mask, %stored
  %lanes = or i32 %filled, %loaded
  %some = icmp ne i32 %lanes, 0
  %request = zext i1 %some to i64
  {bump(at.REQUESTS, "%request")}
  %count = call i32 @llvm.ctpop.i32(i32 %lanes)
  %count.wide = zext i32 %count to i64
  {bump(at.ACTIVE, "%count.wide")}
  call void @issue_copy(ptr %env, ptr %site, i32 %lanes, i32 {size}, {V32} %targets, {V64} %sources, {V32} %counts)
  ret void
}}
"""
    return RuntimeFunction(f"copy_{size}", text, (loads, stores, ISSUE, FAULT), (CTPOP, CTTZ))


COMMIT = RuntimeFunction("commit_group", f"""
define internal void @commit_group(ptr %env, i32 %mask) noinline {{
  {slot("queue", at.QUEUE, "ptr")}
  %committed = load {V32}, ptr %queue, align 64
  %active = bitcast i32 %mask to {MASK}
  %one = select {MASK} %active, {V32} splat (i32 1), {V32} zeroinitializer
  %more = add {V32} %committed, %one
  store {V32} %more, ptr %queue, align 64
  ret void
}}
""")  # fmt: skip

WAIT = RuntimeFunction("wait_copies", f"""
define internal void @wait_copies(ptr %env, i32 %mask, i32 %keep) noinline {{
  ; The lanes of %mask wait for all their groups except the last %keep.
  {ENDS_OF_QUEUE}
  call void @finish_copies(ptr %env, ptr %queue, i32 %mask, i32 %keep, i32 %entry.count)
  ret void
}}
""", (FINISH,))  # fmt: skip

PROGRESS = RuntimeFunction("progress_copies", f"""
define internal void @progress_copies(ptr %env, i32 %mask) noinline {{
  ; %mask waits for an mbarrier: do all copies of the CTA that will arrive at an mbarrier.
entry:
  %idle = icmp eq i32 %mask, 0
  br i1 %idle, label %done, label %begin
begin:
  {slot("queues", at.QUEUES, "ptr")}
  {slot("count", at.WARP_COUNT)}
  br label %next
{loop("next", "k", "%count", "look", after="skip", before="begin")}
  %offset = mul i64 %k, {QUEUE_BYTES}
  %queue = getelementptr i8, ptr %queues, i64 %offset
  %arrivals.at = getelementptr i8, ptr %queue, i64 {ARRIVALS}
  %arrivals = load i32, ptr %arrivals.at
  %none = icmp eq i32 %arrivals, 0
  br i1 %none, label %skip, label %scan
scan:
  %head.at = getelementptr i8, ptr %queue, i64 {HEAD}
  %tail.at = getelementptr i8, ptr %queue, i64 {TAIL}
  %head = load i32, ptr %head.at
  %tail = load i32, ptr %tail.at
  br label %find
find:
  ; The lanes of all arrivals, and how many entries there are up to the last of them.
  %index = phi i32 [ %head, %scan ], [ %index.next, %see ]
  %lanes = phi i32 [ 0, %scan ], [ %lanes.new, %see ]
  %depth = phi i32 [ 0, %scan ], [ %depth.new, %see ]
  %ended = icmp eq i32 %index, %tail
  br i1 %ended, label %finish, label %see
see:
  {LOAD_ENTRY}
  %arrival = icmp eq i32 %size, 0
  %index.next = add i32 %index, 1
  %this.depth = sub i32 %index.next, %head
  %more = or i32 %lanes, %lanes.left
  %lanes.new = select i1 %arrival, i32 %more, i32 %lanes
  %depth.new = select i1 %arrival, i32 %this.depth, i32 %depth
  br label %find
finish:
  {slot("warp", at.WARP)}
  store i64 %k, ptr %warp.at                       ; the warp that issued these copies
  call void @finish_copies(ptr %env, ptr %queue, i32 %lanes, i32 {EVERYTHING}, i32 %depth)
  store i64 %warp, ptr %warp.at
  br label %skip
{loop_end("next", "k", after="skip")}
}}
""", (FINISH,))  # fmt: skip
