"""The CTAs of a cluster are resident together, in neighbouring slots, and run in turns, by rank.

A cluster ends with its last CTA, and its slots become free together.
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import RuntimeFunction, loop, slot
from ptxbench.emulator.runtime.residents import BLOCKED, DEADLOCK_OR_YIELD, DONE, FAULTED, YIELDED


def store_slot(name: str, index: int, kind: str = "i64") -> str:
    """Lines that store %NAME in slot `index` of the context."""
    return f"%p.{name} = getelementptr i64, ptr %env, i64 {index}\n  store {kind} %{name}, ptr %p.{name}"


ENTER = f"""{slot("cluster.x", at.CLUSTER_X)}
  {slot("cluster.y", at.CLUSTER_Y)}
  {slot("cluster.z", at.CLUSTER_Z)}
  {slot("cluster.size", at.CLUSTER_SIZE)}
  %in.x = urem i64 %cta.x, %cluster.x
  %in.y = urem i64 %cta.y, %cluster.y
  %in.z = urem i64 %cta.z, %cluster.z
  %in.plane = mul i64 %in.z, %cluster.y
  %in.row = add i64 %in.plane, %in.y
  %in.line = mul i64 %in.row, %cluster.x
  %cta.rank = add i64 %in.line, %in.x
  {store_slot("cta.rank", at.CLUSTER_RANK)}
  %cta.base = shl i64 %cta.rank, {at.RANK_BITS}
  {store_slot("cta.base", at.CLUSTER_OWN)}
  %first.slot = sub i64 %slot, %cta.rank
  {store_slot("first.slot", at.CLUSTER_SLOT)}
  {slot("all.shared", at.FIRST_SHARED)}
  %first.offset = mul i64 %first.slot, %shared.stride
  %first.shared = add i64 %all.shared, %first.offset
  {store_slot("first.shared", at.CLUSTER_SHARED)}
  {slot("clusters", at.CLUSTER_HEADERS, "ptr")}
  %cluster.index = udiv i64 %first.slot, %cluster.size
  %cluster.offset = mul i64 %cluster.index, {at.CLUSTER_BYTES}
  %cluster = getelementptr i8, ptr %clusters, i64 %cluster.offset
  {store_slot("cluster", at.CLUSTER_STATE, "ptr")}"""
"""Lines of @enter_cta: the rank of the CTA in its cluster, and where the cluster's state is."""


STUCK = f"""stuck:
  {slot("stuck.warps", at.WARPS, "ptr")}
  br label %stuck.next
{loop("stuck.next", "k", "%warp.count", "stuck.look", after="stuck.look", before="stuck", done="deadlock")}
  %k.offset = mul i64 %k, {at.WARP_BYTES}
  %k.from = add i64 %k.offset, {at.WARP_CLUSTER_WAITING}
  %k.at = getelementptr i8, ptr %stuck.warps, i64 %k.from
  %k.waiting = load i32, ptr %k.at
  %k.next = add i64 %k, 1
  %k.none = icmp eq i32 %k.waiting, 0
  br i1 %k.none, label %stuck.next, label %waits.for.cluster
waits.for.cluster:
  %result = select i1 %fresh, i64 {BLOCKED}, i64 {YIELDED}
  ret i64 %result"""
"""Lines of @run_cta: no warp could run. If lanes wait for the cluster, its other CTAs must run."""


OPEN_CLUSTER = RuntimeFunction(
    "open_cluster",
    f"""
define internal void @open_cluster(ptr %env, i64 %cluster.slot, i64 %number) {{
  ; Start the CTAs of cluster %number in the CTA slots of the cluster slot %cluster.slot.
entry:
  {slot("size", at.CLUSTER_SIZE)}
  {slot("grid.x", at.GRID_X)}
  {slot("grid.y", at.GRID_Y)}
  {slot("cluster.x", at.CLUSTER_X)}
  {slot("cluster.y", at.CLUSTER_Y)}
  {slot("cluster.z", at.CLUSTER_Z)}
  {slot("clusters", at.CLUSTER_HEADERS, "ptr")}
  %offset = mul i64 %cluster.slot, {at.CLUSTER_BYTES}
  %header = getelementptr i8, ptr %clusters, i64 %offset
  call void @llvm.memset.p0.i64(ptr %header, i8 0, i64 {at.CLUSTER_BYTES}, i1 false)
  %live.at = getelementptr i8, ptr %header, i64 {at.CLUSTER_LIVE}
  store i64 %size, ptr %live.at
  %across = udiv i64 %grid.x, %cluster.x
  %down = udiv i64 %grid.y, %cluster.y
  %number.x = urem i64 %number, %across
  %number.row = udiv i64 %number, %across
  %number.y = urem i64 %number.row, %down
  %number.z = udiv i64 %number.row, %down
  %first.x = mul i64 %number.x, %cluster.x
  %first.y = mul i64 %number.y, %cluster.y
  %first.z = mul i64 %number.z, %cluster.z
  %first.slot = mul i64 %cluster.slot, %size
  br label %next
{loop("next", "r", "%size", "open", after="open")}
  %r.x = urem i64 %r, %cluster.x
  %r.row = udiv i64 %r, %cluster.x
  %r.y = urem i64 %r.row, %cluster.y
  %r.z = udiv i64 %r.row, %cluster.y
  %cta.x = add i64 %first.x, %r.x
  %cta.y = add i64 %first.y, %r.y
  %cta.z = add i64 %first.z, %r.z
  %plane = mul i64 %cta.z, %grid.y
  %row = add i64 %plane, %cta.y
  %line = mul i64 %row, %grid.x
  %rank = add i64 %line, %cta.x
  %slot = add i64 %first.slot, %r
  call void @open_cta(ptr %env, i64 %slot, i64 %rank)
  %r.next = add i64 %r, 1
  br label %next
done:
  ret void
}}
""",
)


RUN_CLUSTER = RuntimeFunction(
    "run_cluster",
    f"""
define internal i64 @run_cluster(ptr %env, i64 %cluster.slot) {{
entry:
  {slot("size", at.CLUSTER_SIZE)}
  {slot("headers", at.CTA_HEADERS, "ptr")}
  {slot("clusters", at.CLUSTER_HEADERS, "ptr")}
  {slot("by.turns", at.BY_TURNS)}
  {slot("step", at.CTA_STEP)}
  %turned = icmp ne i64 %by.turns, 0
  %falling = icmp slt i64 %step, 0
  {slot("halves", at.HALVES)}
  %reversed = icmp ne i64 %halves, 0
  %either = or i1 %turned, %falling
  %backwards = or i1 %either, %reversed
  %cluster.offset = mul i64 %cluster.slot, {at.CLUSTER_BYTES}
  %cluster = getelementptr i8, ptr %clusters, i64 %cluster.offset
  %live.at = getelementptr i8, ptr %cluster, i64 {at.CLUSTER_LIVE}
  %gone.at = getelementptr i8, ptr %cluster, i64 {at.CLUSTER_GONE}
  %first.slot = mul i64 %cluster.slot, %size
  br label %next
next:
  ; %moved: whether a CTA has made progress.
  %r = phi i64 [ 0, %entry ], [ %r.next, %after ]
  %moved = phi i1 [ false, %entry ], [ %moved.new, %after ]
  %over = icmp eq i64 %r, %size
  br i1 %over, label %round.over, label %look
look:
  %r.up = add i64 %r, 1
  %r.down = sub i64 %size, %r.up
  %rank = select i1 %backwards, i64 %r.down, i64 %r
  %slot = add i64 %first.slot, %rank
  %header.offset = mul i64 %slot, {at.CTA_BYTES}
  %header = getelementptr i8, ptr %headers, i64 %header.offset
  %cta.live.at = getelementptr i8, ptr %header, i64 {at.CTA_LIVE}
  %cta.live = load i64, ptr %cta.live.at
  %ended = icmp eq i64 %cta.live, 0
  br i1 %ended, label %after, label %run
run:
  call void @enter_cta(ptr %env, i64 %slot)
  %result = call i64 @run_cta(ptr %env)
  %fault = icmp eq i64 %result, {FAULTED}
  br i1 %fault, label %stop, label %ran
ran:
  %worked = icmp ne i64 %result, {BLOCKED}
  %is.done = icmp eq i64 %result, {DONE}
  br i1 %is.done, label %close, label %after
close:
  call void @cta_closed(ptr %env, ptr %header, i64 %rank)
  call void @cta_left(ptr %env)
  store i64 0, ptr %cta.live.at
  store i32 1, ptr %gone.at
  %live = load i64, ptr %live.at
  %live.less = sub i64 %live, 1
  store i64 %live.less, ptr %live.at
  br label %after
after:
  %progress = phi i1 [ false, %look ], [ %worked, %ran ], [ true, %close ]
  %moved.new = or i1 %moved, %progress
  %r.next = add i64 %r, 1
  br label %next
round.over:
  %live.ctas = load i64, ptr %live.at
  %empty = icmp eq i64 %live.ctas, 0
  br i1 %empty, label %finished, label %alive
alive:
  br i1 %moved, label %yield, label %deadlock
{DEADLOCK_OR_YIELD}
finished:
  ret i64 {DONE}
stop:
  ret i64 {FAULTED}
}}
""",
)
"""`run_cluster(env, place)`: one turn of each CTA of the cluster: DONE, YIELDED or FAULTED. With HALVES in the context,
the last CTA goes first."""
