"""Bulk copies in groups that a thread has not waited for when it exits: findings of a sanitized launch; others count
them.

Such a copy is never done here. On a GPU it may read shared memory that belongs to another CTA by then. (PTX ISA,
cp.async.bulk.wait_group: only the executing thread can wait for its groups.)
"""

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime import kinds
from ptxbench.emulator.runtime.bulk_queue import GROUP, copy_at
from ptxbench.emulator.runtime.context import RuntimeFunction, field, loop, loop_end, slot
from ptxbench.emulator.runtime.copies import BULK_BARRIER, BULK_COUNT, BULK_LANE, BULK_SITE
from ptxbench.emulator.runtime.sanitize import FINDING


def at_exit(name: str, lines: str, needs: tuple[RuntimeFunction, ...] = ()) -> RuntimeFunction:
    """`NAME(env, mask)`: these lines for each such copy of the lanes of %mask, with its %site and its lane
    %lane.wide."""
    return RuntimeFunction(name, f"""
define internal void @{name}(ptr %env, i32 %mask) noinline {{
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
  br i1 %left, label %unfinished, label %on
unfinished:
  {lines}
  br label %on
{loop_end("next", "index", after="on", kind="i32")}
}}
""", needs)  # fmt: skip


REPORT = at_exit(
    "report_unfinished_bulk",
    f"""%lane.wide = zext i32 %lane to i64
  call void @finding(ptr %env, i64 {kinds.UNFINISHED_COPY}, ptr %site, i64 %lane.wide, i64 0, i64 0)""",
    (FINDING,),
)
COUNT = at_exit(
    "count_unfinished_bulk",
    f"""%unfinished.at = getelementptr i64, ptr %site, i64 {at.NOT_AWAITED}
  %unfinished.before = load i64, ptr %unfinished.at
  %unfinished.now = add i64 %unfinished.before, 1
  store i64 %unfinished.now, ptr %unfinished.at""",
)
