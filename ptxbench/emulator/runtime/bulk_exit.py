"""Bulk copies in groups that a thread has not waited for when it exits: findings of a sanitized launch.

Such a copy is never done here. On a GPU it may read shared memory that belongs to another CTA by then. (PTX ISA,
cp.async.bulk.wait_group: only the executing thread can wait for its groups.)
"""

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime import kinds
from ptxbench.emulator.runtime.bulk_queue import GROUP, copy_at
from ptxbench.emulator.runtime.context import RuntimeFunction, field, loop, loop_end, slot
from ptxbench.emulator.runtime.copies import BULK_BARRIER, BULK_COUNT, BULK_LANE, BULK_SITE
from ptxbench.emulator.runtime.sanitize import FINDING

EXIT = RuntimeFunction("exit_before_bulk", f"""
define internal void @exit_before_bulk(ptr %env, i32 %mask) noinline {{
entry:
  {slot("queue", at.QUEUE, "ptr")}
  {field("queue", "count", BULK_COUNT)}
  br label %next
{loop("next", "index", "%count", "look", after="on", kind="i32")}
  {copy_at("index", "item")}
  {field("item", "barrier", BULK_BARRIER)}
  {field("item", "lane", BULK_LANE)}
  {field("item", "site", BULK_SITE, "ptr")}
  %grouped = icmp eq i32 %barrier, {GROUP}
  %bit = shl i32 1, %lane
  %own = and i32 %bit, %mask
  %exits = icmp ne i32 %own, 0
  %left = and i1 %grouped, %exits
  br i1 %left, label %report, label %on
report:
  %lane.wide = zext i32 %lane to i64
  call void @finding(ptr %env, i64 {kinds.UNFINISHED_COPY}, ptr %site, i64 %lane.wide, i64 0, i64 0)
  br label %on
{loop_end("next", "index", after="on", kind="i32")}
}}
""", (FINDING,))  # fmt: skip
