"""Clusters: the shared memory of the other CTAs, and the barrier of the cluster.

The CTAs of a cluster are resident together, in neighbouring slots, and one host thread runs them in turns. An address
of shared::cluster is the CTA's rank, shifted by RANK_BITS, plus the address in its shared memory, as on GPUs.

A cluster's header counts the arrivals at its barrier. A lane that has arrived remembers the parity of the phase; the
phase is over if the header has the other parity. (PTX ISA, "barrier.cluster".)
"""

from __future__ import annotations

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import CTPOP, CTTZ, MASK, V32, V64, RuntimeFunction, field, loop, slot, splat
from ptxbench.emulator.runtime.faults import FAULT, fault_if_any, fault_of_lowest, resolve_window

OFFSET_MASK = (1 << at.RANK_BITS) - 1


def check_cluster(size: int) -> str:
    """Lines that set %needs.resolve unless every active lane is aligned and in a CTA of the cluster, and none of its
    CTAs has exited."""
    return f"""{slot("bytes", at.SHARED_BYTES)}
  {slot("cluster.size", at.CLUSTER_SIZE)}
  {slot("cluster", at.CLUSTER_STATE, "ptr")}
  %bytes.short = trunc i64 %bytes to i32
  %short = icmp ult i32 %bytes.short, {size}
  %room = sub i32 %bytes.short, {size - 1}
  %limit = select i1 %short, i32 0, i32 %room
  {splat("limit.all", "i32", "%limit")}
  %ctas.short = trunc i64 %cluster.size to i32
  {splat("ctas.all", "i32", "%ctas.short")}
  %inner = and {V32} %a, splat (i32 {OFFSET_MASK})
  %ranks = lshr {V32} %a, splat (i32 {at.RANK_BITS})
  %past = icmp uge {V32} %inner, %limit.all
  %no.such.rank = icmp uge {V32} %ranks, %ctas.all
  %outside = or {MASK} %past, %no.such.rank
  %ragged = and {V32} %a, splat (i32 {size - 1})
  %misaligned = icmp ne {V32} %ragged, zeroinitializer
  %bad = or {MASK} %outside, %misaligned
  %bad.mask = bitcast {MASK} %bad to i32
  %bad.active = and i32 %bad.mask, %asked
  %wrong = icmp ne i32 %bad.active, 0
  %gone.at = getelementptr i8, ptr %cluster, i64 {at.CLUSTER_GONE}
  %gone = load i32, ptr %gone.at
  %some.gone = icmp ne i32 %gone, 0
  %needs.resolve = or i1 %wrong, %some.gone"""


HOST = f"""{slot("base", at.CLUSTER_SHARED)}
  {slot("stride", at.SHARED_STRIDE)}
  {splat("base.all", "i64", "%base")}
  {splat("stride.all", "i64", "%stride")}
  %h.rank = lshr {V32} %a, splat (i32 {at.RANK_BITS})
  %h.inner = and {V32} %a, splat (i32 {OFFSET_MASK})
  %h.rank.wide = zext {V32} %h.rank to {V64}
  %h.inner.wide = zext {V32} %h.inner to {V64}
  %h.cta = mul {V64} %h.rank.wide, %stride.all
  %h.start = add {V64} %h.cta, %base.all
  %host = add {V64} %h.start, %h.inner.wide"""
"""Lines that turn the shared::cluster addresses %a into host addresses %host."""


def host_of(address: str, name: str) -> str:
    """Lines that turn one checked shared::cluster address (i32) into the host address %NAME (i64)."""
    return f"""{slot(f"{name}.base", at.CLUSTER_SHARED)}
  {slot(f"{name}.stride", at.SHARED_STRIDE)}
  %{name}.rank = lshr i32 {address}, {at.RANK_BITS}
  %{name}.inner = and i32 {address}, {OFFSET_MASK}
  %{name}.rank.wide = zext i32 %{name}.rank to i64
  %{name}.inner.wide = zext i32 %{name}.inner to i64
  %{name}.cta = mul i64 %{name}.rank.wide, %{name}.stride
  %{name}.start = add i64 %{name}.cta, %{name}.base
  %{name} = add i64 %{name}.start, %{name}.inner.wide"""


RESOLVE_CLUSTER = resolve_window(
    "cluster",
    at.SHARED_BYTES,
    entry=f"""{slot("ctas", at.CLUSTER_SIZE)}
  {slot("first", at.CLUSTER_SLOT)}
  {slot("headers", at.CTA_HEADERS, "ptr")}""",
    ending=f"""%rank = lshr i64 %address.wide, {at.RANK_BITS}
  %inner = and i64 %address.wide, {OFFSET_MASK}
  %end = add i64 %inner, %size.wide
  %past = icmp ugt i64 %end, %bytes
  %no.such.rank = icmp uge i64 %rank, %ctas
  %outside = or i1 %past, %no.such.rank""",
    last=f"""%slot = add i64 %first, %rank
  %h.offset = mul i64 %slot, {at.CTA_BYTES}
  %header = getelementptr i8, ptr %headers, i64 %h.offset
  %live.at = getelementptr i8, ptr %header, i64 {at.CTA_LIVE}
  %live = load i64, ptr %live.at
  %gone = icmp eq i64 %live, 0
  %line.at = getelementptr i8, ptr %header, i64 {at.CTA_EXIT_LINE}
  %line = load i64, ptr %line.at
  %line.high = shl i64 %line, 32
  %exit.address = or i64 %line.high, %address.wide""",
)
"""The lanes whose bytes lie aligned in the memory of a CTA of the cluster that runs; the others fault."""


# ---- the barrier

TWICE, UNARRIVED = 64, 65
"""Reasons for MISUSED: a thread that arrives again before it has waited, and one that waits without an arrival."""
COMPLAINTS = {
    TWICE: "arrives at the barrier of the cluster again before it has waited there (barrier.cluster.wait)",
    UNARRIVED: "waits at the barrier of the cluster without an arrival (barrier.cluster.arrive)",
}


CHECK = RuntimeFunction("check_cluster", f"""
define internal void @check_cluster(ptr %env) noinline {{
  ; The phase is over if all threads of the cluster that have not exited have arrived.
entry:
  {slot("cluster", at.CLUSTER_STATE, "ptr")}
  {slot("threads", at.THREADS, "i32")}
  {slot("size", at.CLUSTER_SIZE, "i32")}
  {field("cluster", "arrived", at.CLUSTER_ARRIVED)}
  {field("cluster", "exited", at.CLUSTER_EXITED)}
  {field("cluster", "phase", at.CLUSTER_PHASE)}
  %all = mul i32 %threads, %size
  %living = sub i32 %all, %exited
  %enough = icmp uge i32 %arrived, %living
  %some = icmp ne i32 %arrived, 0
  %complete = and i1 %enough, %some
  br i1 %complete, label %turn, label %done
turn:
  %other = xor i32 %phase, 1
  store i32 %other, ptr %phase.at
  store i32 0, ptr %arrived.at
  {slot("phases", at.PHASES)}
  %phases.more = add i64 %phases, 1
  store i64 %phases.more, ptr %phases.at
  br label %done
done:
  ret void
}}
""")  # fmt: skip


def count_lanes(name: str, offset: int, operation: str, lanes: str) -> str:
    """Lines that add the number of `lanes` to the count at `offset` bytes of %cluster, or subtract it (sub)."""
    return f"""{field("cluster", name, offset)}
  %{name}.lanes = call i32 @llvm.ctpop.i32(i32 {lanes})
  %{name}.new = {operation} i32 %{name}, %{name}.lanes
  store i32 %{name}.new, ptr %{name}.at"""


CHECK_AND_END = """call void @check_cluster(ptr %env)
  br label %done
done:
  ret void"""
"""The end of a function after which the barrier may be complete."""

ARRIVE = RuntimeFunction("arrive_cluster", f"""
define internal void @arrive_cluster(ptr %env, ptr %warp, ptr %site, i32 %lanes) noinline {{
  ; %lanes arrive at the cluster's barrier.
entry:
  %none = icmp eq i32 %lanes, 0
  br i1 %none, label %done, label %come
come:
  {slot("cluster", at.CLUSTER_STATE, "ptr")}
  %requests = load i64, ptr %site
  %requests.more = add i64 %requests, 1
  store i64 %requests.more, ptr %site
  {field("warp", "pending", at.WARP_CLUSTER_ARRIVED)}
  %already.arrived = and i32 %pending, %lanes
  %arrived.twice = icmp ne i32 %already.arrived, 0
  br i1 %arrived.twice, label %wrong, label %right
{fault_if_any("%already.arrived", at.MISUSED, TWICE, block="wrong", after="right")}
  %pending.not = xor i32 %pending, -1
  %fresh = and i32 %lanes, %pending.not
  %pending.new = or i32 %pending, %fresh
  store i32 %pending.new, ptr %pending.at
  {field("cluster", "phase", at.CLUSTER_PHASE)}
  {field("warp", "parity", at.WARP_CLUSTER_PHASE)}
  %odd = icmp ne i32 %phase, 0
  %set = or i32 %parity, %fresh
  %fresh.not = xor i32 %fresh, -1
  %cleared = and i32 %parity, %fresh.not
  %parity.new = select i1 %odd, i32 %set, i32 %cleared
  store i32 %parity.new, ptr %parity.at
  {count_lanes("arrived", at.CLUSTER_ARRIVED, "add", "%fresh")}
  {CHECK_AND_END}
}}
""", (CHECK, FAULT), (CTPOP, CTTZ))  # fmt: skip

HELD = RuntimeFunction("held_by_cluster", f"""
define internal i32 @held_by_cluster(ptr %env, ptr %warp, ptr %site, i32 %lanes) noinline {{
  ; The lanes of %lanes that must still wait. The others have waited.
entry:
  %none = icmp eq i32 %lanes, 0
  br i1 %none, label %nothing, label %look
nothing:
  ret i32 0
look:
  {slot("cluster", at.CLUSTER_STATE, "ptr")}
  {field("warp", "pending", at.WARP_CLUSTER_ARRIVED)}
  %pending.not = xor i32 %pending, -1
  %never = and i32 %lanes, %pending.not
  %some = icmp ne i32 %never, 0
  br i1 %some, label %wrong, label %right
wrong:
  {fault_of_lowest("%never", at.MISUSED, UNARRIVED)}
  br label %right
right:
  {field("cluster", "phase", at.CLUSTER_PHASE)}
  {field("warp", "parity", at.WARP_CLUSTER_PHASE)}
  %odd = sub i32 0, %phase
  %differs = xor i32 %parity, %odd
  %same = xor i32 %differs, -1
  %asked = and i32 %lanes, %pending
  %blocked = and i32 %asked, %same
  %blocked.not = xor i32 %blocked, -1
  %free = and i32 %asked, %blocked.not
  %pending.new = xor i32 %pending, %free
  store i32 %pending.new, ptr %pending.at
  ret i32 %blocked
}}
""", (FAULT,), (CTTZ,))  # fmt: skip

WAKE = RuntimeFunction("wake_cluster", f"""
define internal void @wake_cluster(ptr %env) noinline {{
  ; The lanes of the current CTA whose phase is over test again.
entry:
  {slot("cluster", at.CLUSTER_STATE, "ptr")}
  {field("cluster", "phase", at.CLUSTER_PHASE)}
  %odd = sub i32 0, %phase
  {slot("warps", at.WARPS, "ptr")}
  {slot("count", at.WARP_COUNT)}
  br label %next
{loop("next", "k", "%count", "look", after="skip")}
  %offset = mul i64 %k, {at.WARP_BYTES}
  %warp = getelementptr i8, ptr %warps, i64 %offset
  {field("warp", "waiting", at.WARP_CLUSTER_WAITING)}
  %none = icmp eq i32 %waiting, 0
  br i1 %none, label %skip, label %wake
wake:
  {field("warp", "parity", at.WARP_CLUSTER_PHASE)}
  %differs = xor i32 %parity, %odd
  %freed = and i32 %waiting, %differs
  %waiting.new = xor i32 %waiting, %freed
  store i32 %waiting.new, ptr %waiting.at
  {field("warp", "parked", at.WARP_PARKED)}
  %freed.not = xor i32 %freed, -1
  %parked.new = and i32 %parked, %freed.not
  store i32 %parked.new, ptr %parked.at
  br label %skip
{at.loop_end("next", "k", after="skip")}
}}
""")  # fmt: skip

LEAVE = RuntimeFunction("leave_cluster", f"""
define internal void @leave_cluster(ptr %env, ptr %warp, i32 %lanes, i64 %line) noinline {{
  ; %lanes exit at %line: the barrier no longer expects them. An arrival in this phase does not count twice.
entry:
  %none = icmp eq i32 %lanes, 0
  br i1 %none, label %done, label %go
go:
  {slot("header", at.CTA_STATE, "ptr")}
  %line.at = getelementptr i8, ptr %header, i64 {at.CTA_EXIT_LINE}
  store i64 %line, ptr %line.at
  {slot("cluster", at.CLUSTER_STATE, "ptr")}
  {field("cluster", "phase", at.CLUSTER_PHASE)}
  {field("warp", "pending", at.WARP_CLUSTER_ARRIVED)}
  {field("warp", "parity", at.WARP_CLUSTER_PHASE)}
  {field("warp", "waiting", at.WARP_CLUSTER_WAITING)}
  store i32 0, ptr %waiting.at                      ; parked lanes test again when others exit
  %odd = sub i32 0, %phase
  %differs = xor i32 %parity, %odd
  %same = xor i32 %differs, -1
  %arrived.exiting = and i32 %pending, %lanes
  %arrived.in.phase = and i32 %arrived.exiting, %same
  %pending.new = xor i32 %pending, %arrived.exiting
  store i32 %pending.new, ptr %pending.at
  {count_lanes("arrived", at.CLUSTER_ARRIVED, "sub", "%arrived.in.phase")}
  {count_lanes("exited", at.CLUSTER_EXITED, "add", "%lanes")}
  {CHECK_AND_END}
}}
""", (CHECK,), (CTPOP,))  # fmt: skip


def closed(*parts: RuntimeFunction) -> RuntimeFunction:
    """`cta_closed(env, header, rank)`: a CTA of a cluster has exited. `parts`: find what it has not received yet."""
    calls = "".join(f"  call void @{part.name}(ptr %env, ptr %header, i64 %rank)\n" for part in parts)
    text = f"\ndefine internal void @cta_closed(ptr %env, ptr %header, i64 %rank) {{\n{calls}  ret void\n}}\n"
    return RuntimeFunction("cta_closed", text, parts)
