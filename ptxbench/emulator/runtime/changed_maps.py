"""Tensor maps that the kernel changes: each CTA remembers those that it has changed or used.

A tensor copy reads its map through the tensormap proxy, which sees a change only after the thread that made it has
executed fence.proxy.tensormap::generic.release, and the user .acquire of that map. So a use is a fault if the CTA has
changed the map and these two fences have not followed, or if its bytes differ from those of the previous use without
an acquire in between. A CTA knows the changes of others only by the bytes. (PTX ISA, "membar, fence",
"tensormap.replace".)
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import CTTZ, V64, RuntimeFunction, lane_loop, lane_of, loop, loop_end, slot
from ptxbench.emulator.runtime.copies import MAP_COUNT, MAP_ENTRY_BYTES, MAPS, MOST_MAPS

# Byte offsets in an entry: the map's address, its state, and its bytes at the last use.
ADDRESS, STATE, BYTES = 0, 8, 16
ACQUIRED, USED, CHANGED, RELEASED = range(4)
USED_BYTES = 64

STALE = 85
"""The reason for MISUSED."""
COMPLAINTS = {
    STALE: "uses a tensor map that has changed, without fence.proxy.tensormap::generic.release after the change and "
    ".acquire of the map before the use",
}

TABLE = f"""{slot("queues", at.QUEUES, "ptr")}
  %count.at = getelementptr i8, ptr %queues, i64 {MAP_COUNT}
  %count = load i32, ptr %count.at
  %maps = getelementptr i8, ptr %queues, i64 {MAPS}"""
"""Lines that point %maps to the CTA's entries, of which there are %count."""


def entry_at(index: str, item: str) -> str:
    """Lines that point %item to the entry number %index."""
    return f"""%{item}.wide = zext i32 %{index} to i64
  %{item}.offset = mul i64 %{item}.wide, {MAP_ENTRY_BYTES}
  %{item} = getelementptr i8, ptr %maps, i64 %{item}.offset"""


FIND = RuntimeFunction("find_map", f"""
define internal ptr @find_map(ptr %env, i64 %address, i1 %makes) noinline {{
  ; The CTA's entry of the map at %address; null if there is none, unless %makes. The oldest makes room.
entry:
  {TABLE}
  br label %next
{loop("next", "i", "%count", "look", after="other", done="absent", kind="i32")}
  {entry_at("i", "item")}
  %map.address = load i64, ptr %item
  %same = icmp eq i64 %map.address, %address
  br i1 %same, label %found, label %other
other:
  %i.next = add i32 %i, 1
  br label %next
found:
  ret ptr %item
absent:
  br i1 %makes, label %make, label %none
none:
  ret ptr null
make:
  %full = icmp eq i32 %count, {MOST_MAPS}
  br i1 %full, label %shift, label %put
shift:
  %second = getelementptr i8, ptr %maps, i64 {MAP_ENTRY_BYTES}
  call void @llvm.memmove.p0.p0.i64(ptr %maps, ptr %second, i64 {(MOST_MAPS - 1) * MAP_ENTRY_BYTES}, i1 false)
  br label %put
put:
  %last = phi i32 [ %count, %make ], [ {MOST_MAPS - 1}, %shift ]
  {entry_at("last", "new")}
  %count.new = add i32 %last, 1
  store i32 %count.new, ptr %count.at
  store i64 %address, ptr %new
  %state.at = getelementptr i8, ptr %new, i64 {STATE}
  store i64 {ACQUIRED}, ptr %state.at
  ret ptr %new
}}
""", (), ("declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)",))  # fmt: skip

IS_STALE = RuntimeFunction("map_is_stale", f"""
define internal i1 @map_is_stale(ptr %env, i64 %address, ptr %map) noinline {{
entry:
  %words = load <8 x i64>, ptr %map, align 8
  %item = call ptr @find_map(ptr %env, i64 %address, i1 true)
  %bytes = getelementptr i8, ptr %item, i64 {BYTES}
  %state.at = getelementptr i8, ptr %item, i64 {STATE}
  %state = load i64, ptr %state.at
  %acquired = icmp eq i64 %state, {ACQUIRED}
  br i1 %acquired, label %remember, label %compare
remember:
  store <8 x i64> %words, ptr %bytes, align 8
  store i64 {USED}, ptr %state.at
  ret i1 false
compare:
  %changed = icmp ne i64 %state, {USED}
  %before = load <8 x i64>, ptr %bytes, align 8
  %differs.each = icmp ne <8 x i64> %before, %words
  %differs.bits = bitcast <8 x i1> %differs.each to i8
  %differs = icmp ne i8 %differs.bits, 0
  %stale = or i1 %changed, %differs
  ret i1 %stale
}}
""", (FIND,))  # fmt: skip

CHANGE = RuntimeFunction("change_maps", f"""
define internal void @change_maps(ptr %env, {V64} %addresses, i32 %asked, i64 %state) noinline {{
  ; The lanes of %asked change maps, which become CHANGED or RELEASED.
entry:
  %list = alloca {V64}, align 64
  store {V64} %addresses, ptr %list
{lane_loop("%asked")}
  {lane_of("address", "i64", "%list")}
  %item = call ptr @find_map(ptr %env, i64 %address, i1 true)
  %state.at = getelementptr i8, ptr %item, i64 {STATE}
  store i64 %state, ptr %state.at
  br label %next
done:
  ret void
}}
""", (FIND,), (CTTZ,))  # fmt: skip

IS_CHANGED = f"""%state.at = getelementptr i8, ptr %item, i64 {STATE}
  %state = load i64, ptr %state.at
  %changed = icmp eq i64 %state, {CHANGED}"""
"""Lines that set %changed: whether the map of the entry %item is changed and not released."""

RELEASE = RuntimeFunction("release_maps", f"""
define internal void @release_maps(ptr %env, i32 %asked) noinline {{
  ; A thread executes the release: what the CTA has changed may be acquired.
entry:
  {TABLE}
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %done, label %next
{loop("next", "i", "%count", "look", after="on", kind="i32")}
  {entry_at("i", "item")}
  {IS_CHANGED}
  br i1 %changed, label %release, label %on
release:
  store i64 {RELEASED}, ptr %state.at
  br label %on
{loop_end("next", "i", after="on", kind="i32")}
}}
""")  # fmt: skip

ACQUIRE = RuntimeFunction("acquire_maps", f"""
define internal void @acquire_maps(ptr %env, {V64} %addresses, i32 %asked) noinline {{
  ; The lanes of %asked acquire maps: the next use takes the bytes at that time, unless a change is not released.
entry:
  %list = alloca {V64}, align 64
  store {V64} %addresses, ptr %list
{lane_loop("%asked", "lane", "look", "acquire")}
  {lane_of("address", "i64", "%list")}
  %item = call ptr @find_map(ptr %env, i64 %address, i1 false)
  %unknown = icmp eq ptr %item, null
  br i1 %unknown, label %next, label %look
look:
  {IS_CHANGED}
  br i1 %changed, label %next, label %acquire
acquire:
  store i64 {ACQUIRED}, ptr %state.at
  br label %next
done:
  ret void
}}
""", (FIND,), (CTTZ,))  # fmt: skip
