"""`run_ctas`: which CTAs or clusters are resident on a host thread, and when each has its turns.

They run one after the other. If they may wait for each other, there is more than one place: a CTA in which every warp
only loops then yields to the next one. So as many CTAs as fit become resident, and take turns.
"""

from __future__ import annotations

from dataclasses import dataclass

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.context import RuntimeFunction, slot

RESULTS = DONE, YIELDED, FAULTED, BLOCKED = range(4)
"""Results of the turn of a CTA or a cluster. BLOCKED: no warp of a CTA ran, because lanes wait for the cluster."""

DEADLOCK_OR_YIELD = f"""deadlock:
  {slot("counters.ptr", at.COUNTERS, "ptr")}
  call void @fault(ptr %env, i64 {at.DEADLOCK}, ptr %counters.ptr, i64 0, i64 0)
  br label %stop
yield:
  ret i64 {YIELDED}"""
"""Two ends of a turn, as blocks. The function that has them also has a block `stop`."""


@dataclass(frozen=True)
class ResidentUnit:
    """A CTA or a cluster, as a unit that becomes resident. The texts are IR lines inside `run_ctas`.

    Headers of units are at the context slot `headers`; each has `bytes`, and its word at `live` is not 0 while the unit
    is resident. `limit`: the number of slots, which `slots` computes. `open`: start unit %next in the slot %s with a
    first turn, whose result is %first.run. `opened`: store whether it stays resident (%stays.wide). `resume`: a turn of
    the unit in %p.index, with the result %turn.result. `resumed`: store whether it stays resident (%remains.wide).
    """

    noun: str
    headers: int
    bytes: int
    live: int
    slots: str
    limit: str
    open: str
    opened: str
    resume: str
    resumed: str


CTA = ResidentUnit(
    "CTA",
    at.CTA_HEADERS,
    at.CTA_BYTES,
    at.CTA_LIVE,
    "",
    "%slots",
    """call void @open_cta(ptr %env, i64 %s, i64 %next)
  %first.run = call i64 @run_cta(ptr %env)""",
    f"""%o.offset = mul i64 %s, {at.CTA_BYTES}
  %o.header = getelementptr i8, ptr %headers, i64 %o.offset
  %o.live.at = getelementptr i8, ptr %o.header, i64 {at.CTA_LIVE}
  store i64 %stays.wide, ptr %o.live.at""",
    """call void @enter_cta(ptr %env, i64 %p.index)
  %turn.result = call i64 @run_cta(ptr %env)""",
    "store i64 %remains.wide, ptr %p.live.at",
)
CLUSTER = ResidentUnit(
    "cluster",
    at.CLUSTER_HEADERS,
    at.CLUSTER_BYTES,
    at.CLUSTER_LIVE,
    f"""{slot("size", at.CLUSTER_SIZE)}
  %cluster.slots = udiv i64 %slots, %size""",
    "%cluster.slots",
    """call void @open_cluster(ptr %env, i64 %s, i64 %next)
  %first.run = call i64 @run_cluster(ptr %env, i64 %s)""",
    "",
    "%turn.result = call i64 @run_cluster(ptr %env, i64 %p.index)",
    "",
)


def run_ctas(unit: ResidentUnit, *needs: RuntimeFunction) -> RuntimeFunction:
    """`run_ctas(env)`: runs units FIRST_CTA, FIRST_CTA + CTA_STEP, ... below CTA_COUNT; 0, or 1 after a fault.

    With CHUNK above 0: runs of CHUNK neighbours, from the counter at NEXT_CHUNK that host threads share. `needs`: the
    functions that open and run a unit.
    """
    text = f"""
define internal i64 @run_ctas(ptr %env) {{
entry:
  {slot("first", at.FIRST_CTA)}
  {slot("step", at.CTA_STEP)}
  {slot("count", at.CTA_COUNT)}
  {slot("chunk", at.CHUNK)}
  {slot("claims", at.NEXT_CHUNK, "ptr")}
  {slot("slots", at.CTA_SLOTS)}
  {slot("headers", unit.headers, "ptr")}
  {slot("by.turns", at.BY_TURNS)}
  {unit.slots}
  %backwards = icmp ne i64 %by.turns, 0
  %alone = icmp eq i64 %chunk, 0
  %first.end = select i1 %alone, i64 %count, i64 0
  br label %start
start:
  ; The next {unit.noun}, in the lowest free slot. %high: the slots from there on are free.
  %next.old = phi i64 [ %first, %entry ], [ %next.after, %started ], [ %next, %pass.over ]
  %end.old = phi i64 [ %first.end, %entry ], [ %end, %started ], [ %end, %pass.over ]
  %high = phi i64 [ 0, %entry ], [ %high.after, %started ], [ %high, %pass.over ]
  %live = phi i64 [ 0, %entry ], [ %live.after, %started ], [ %live.pass, %pass.over ]
  %spent = icmp uge i64 %next.old, %end.old
  %others = xor i1 %alone, true
  %claims.one = and i1 %spent, %others
  br i1 %claims.one, label %claim, label %claimed
claim:
  ; Host threads share the units: claim the next run of neighbours, which may lie beyond the last unit.
  %claim.first = atomicrmw add ptr %claims, i64 %chunk monotonic
  %claim.end = add i64 %claim.first, %chunk
  %claim.past = icmp ugt i64 %claim.end, %count
  %claim.last = select i1 %claim.past, i64 %count, i64 %claim.end
  br label %claimed
claimed:
  %next = phi i64 [ %next.old, %start ], [ %claim.first, %claim ]
  %end = phi i64 [ %end.old, %start ], [ %claim.last, %claim ]
  %none.left = icmp uge i64 %next, %end
  %full = icmp uge i64 %live, {unit.limit}
  %wait = or i1 %none.left, %full
  br i1 %wait, label %pass, label %search
search:
  %s = phi i64 [ 0, %claimed ], [ %s.next, %search.next ]
  %beyond = icmp uge i64 %s, %high
  br i1 %beyond, label %open, label %search.look
search.look:
  %s.offset = mul i64 %s, {unit.bytes}
  %s.header = getelementptr i8, ptr %headers, i64 %s.offset
  %s.live.at = getelementptr i8, ptr %s.header, i64 {unit.live}
  %s.live = load i64, ptr %s.live.at
  %s.free = icmp eq i64 %s.live, 0
  br i1 %s.free, label %open, label %search.next
search.next:
  %s.next = add i64 %s, 1
  br label %search
open:
  {unit.open}
  %first.fault = icmp eq i64 %first.run, {FAULTED}
  br i1 %first.fault, label %stop, label %started
started:
  %stays = icmp eq i64 %first.run, {YIELDED}
  %stays.wide = zext i1 %stays to i64
  {unit.opened}
  %live.after = add i64 %live, %stays.wide
  %s.end = add i64 %s, %stays.wide
  %higher = icmp ugt i64 %s.end, %high
  %high.after = select i1 %higher, i64 %s.end, i64 %high
  %next.after = add i64 %next, %step
  br label %start
pass:
  %idle = icmp eq i64 %live, 0
  br i1 %idle, label %finished, label %pass.next
pass.next:
  %p = phi i64 [ 0, %pass ], [ %p.next, %pass.skip ]
  %live.pass = phi i64 [ %live, %pass ], [ %live.less, %pass.skip ]
  %p.over = icmp uge i64 %p, %high
  br i1 %p.over, label %pass.over, label %pass.look
pass.look:
  ; If CTAs take turns, the last one runs first: in the other order each would read what the CTAs before it have just
  ; written.
  %p.down.1 = add i64 %p, 1
  %p.down = sub i64 %high, %p.down.1
  %p.index = select i1 %backwards, i64 %p.down, i64 %p
  %p.offset = mul i64 %p.index, {unit.bytes}
  %p.header = getelementptr i8, ptr %headers, i64 %p.offset
  %p.live.at = getelementptr i8, ptr %p.header, i64 {unit.live}
  %p.live = load i64, ptr %p.live.at
  %p.free = icmp eq i64 %p.live, 0
  br i1 %p.free, label %pass.skip, label %pass.run
pass.run:
  {unit.resume}
  %turn.result.fault = icmp eq i64 %turn.result, {FAULTED}
  br i1 %turn.result.fault, label %stop, label %pass.ran
pass.ran:
  %remains = icmp eq i64 %turn.result, {YIELDED}
  %remains.wide = zext i1 %remains to i64
  {unit.resumed}
  br label %pass.skip
pass.skip:
  %still.live = phi i64 [ 1, %pass.look ], [ %remains.wide, %pass.ran ]
  %ended = sub i64 1, %still.live
  %live.less = sub i64 %live.pass, %ended
  %p.next = add i64 %p, 1
  br label %pass.next
pass.over:
  br label %start
finished:
  ret i64 0
stop:
  ret i64 1
}}
"""
    return RuntimeFunction("run_ctas", text, needs)
