"""mbarrier objects: 64 bits of shared memory, in a layout that only the emulator uses.

From the lowest bit: arrivals that the phase still waits for (20 bits), arrivals of a whole phase (20), bytes still
expected from asynchronous copies (21, signed), two bits with the value MARK, which memory of poison or zeros does not
have, and the parity of the phase. A token, as mbarrier.arrive returns it, is the word before the arrival.
(PTX ISA, "Parallel Synchronization and Communication Instructions: mbarrier".)
"""

from __future__ import annotations

import re

from ptxbench.emulator.runtime import context as at
from ptxbench.emulator.runtime.access import access
from ptxbench.emulator.runtime.clusters import host_of
from ptxbench.emulator.runtime.context import CTTZ, V32, V64, RuntimeFunction, end_with, lane_loop, lane_of, slot
from ptxbench.emulator.runtime.faults import FAULT
from ptxbench.emulator.runtime.spaces import CLUSTER_SPACE, SHARED_SPACE, Space
from ptxbench.emulator.runtime.watch import BYTES_AT, MARK_AT, RELAXED, SILENT
from ptxbench.emulator.types import LANES

COUNT_BITS = 20
MOST = (1 << COUNT_BITS) - 1
PHASE_AT = 63
MARK = 1
DROPS, KEEPS_PHASE = 1, 2
"""Flags of an arrival: it also leaves the later phases; it must not complete this phase."""

# Reasons for MISUSED: errors of an operation on an mbarrier, or of the size of a copy to it.
NOT_INITIALISED, BAD_COUNT, TOO_MANY, COMPLETES, BAD_BYTES, BAD_SIZE = range(6)
COMPLAINTS = (
    "needs an initialised mbarrier there",
    f"has a count outside 1 to {MOST}",
    "arrives more often than the phase expects",
    "completes the phase, which .noComplete does not allow",
    f"brings the bytes that the phase still expects outside -{MOST} to {MOST}",
    "copies a number of bytes that is not a multiple of 16",
)


def touch(name: str, space: Space) -> RuntimeFunction:
    """`NAME(addresses, mask, env, site)`: check accesses to mbarriers; returns the lanes without a fault."""
    lanes = "ret i32 %mask"
    text = access(name, "i32", space, 8, per_lane=lanes, nothing="ret i32 0")
    return RuntimeFunction(name, text, space.needs, ("declare i32 @llvm.ctpop.i32(i32)",))


TOUCH, TOUCH_CLUSTER = touch("touch_mbarrier", SHARED_SPACE), touch("touch_cluster_mbarrier", CLUSTER_SPACE)

ARRIVE_ONE = RuntimeFunction("mbarrier_arrive_one", f"""
define internal void @mbarrier_arrive_one(ptr %env, ptr %site, i64 %lane, i32 %target, i32 %flags) noinline {{
  ; The arrival of a copy, at a checked address. Without noinc the phase waits for it from its issue on: the emulator
  ; raises the pending count at the issue, so that here the arrival is the same with and without noinc.
  {slot("shared", at.SHARED)}
  %target.wide = zext i32 %target to i64
  %host = add i64 %shared, %target.wide
  %object = inttoptr i64 %host to ptr
  %word = load i64, ptr %object
  %new = call i64 @mbarrier_arrival(ptr %env, ptr %site, i64 %lane, i64 %word, i32 1, i32 0)
  store i64 %new, ptr %object
  call void @mbarrier_counted(ptr %env, ptr %site, i64 %lane, i32 %target, i64 %word, i64 %new)
  ret void
}}
""")  # fmt: skip

SETTLED_WORD = RuntimeFunction("mbarrier_settled", f"""
define internal i64 @mbarrier_settled(ptr %env, i64 %word) noinline {{
  ; The word, in its next phase if this one is complete: no arrivals and no bytes are missing. Phases are counted.
  %pending = and i64 %word, {MOST}
  %bytes.far = lshr i64 %word, {BYTES_AT}
  %bytes = and i64 %bytes.far, {(1 << MARK_AT - BYTES_AT) - 1}
  %missing = or i64 %pending, %bytes
  %complete = icmp eq i64 %missing, 0
  %expected.far = lshr i64 %word, {COUNT_BITS}
  %expected = and i64 %expected.far, {MOST}
  %reloaded = or i64 %word, %expected
  %turned = xor i64 %reloaded, {-(1 << 63)}
  %result = select i1 %complete, i64 %turned, i64 %word
  {slot("phases", at.MBARRIER_PHASES)}
  %one = zext i1 %complete to i64
  %phases.more = add i64 %phases, %one
  store i64 %phases.more, ptr %phases.at
  ret i64 %result
}}
""")  # fmt: skip

MISUSE = f"call void @fault(ptr %env, i64 {at.MISUSED}, ptr %site, i64 %lane, i64 %reason)"

IS_MBARRIER = f"""%mark.down = lshr i64 %word, {MARK_AT}
  %mark = and i64 %mark.down, 3
  %is.mbarrier = icmp eq i64 %mark, {MARK}"""
"""Lines that set %is.mbarrier: whether the word %word is that of an mbarrier."""

ARRIVAL = RuntimeFunction("mbarrier_arrival", f"""
define internal i64 @mbarrier_arrival(ptr %env, ptr %site, i64 %lane, i64 %word, i32 %count, i32 %flags) noinline {{
  ; The word after %count arrivals.
entry:
  {IS_MBARRIER}
  br i1 %is.mbarrier, label %check, label %wrong
check:
  %count.wide = zext i32 %count to i64
  %less = sub i64 %count.wide, 1
  %in.range = icmp ult i64 %less, {MOST}
  br i1 %in.range, label %pending.check, label %wrong
pending.check:
  %pending = and i64 %word, {MOST}
  %enough = icmp ule i64 %count.wide, %pending
  br i1 %enough, label %count.down, label %wrong
count.down:
  %after = sub i64 %word, %count.wide
  %drop.flag = and i32 %flags, {DROPS}
  %drops = icmp ne i32 %drop.flag, 0
  %expected.less = shl i64 %count.wide, {COUNT_BITS}
  %dropped = select i1 %drops, i64 %expected.less, i64 0
  %without.dropped = sub i64 %after, %dropped
  %zero.check = icmp eq i64 %pending, %count.wide
  %keep.flag = and i32 %flags, {KEEPS_PHASE}
  %must.keep = icmp ne i32 %keep.flag, 0
  %forbidden = and i1 %zero.check, %must.keep
  br i1 %forbidden, label %wrong, label %settle
settle:
  %done = call i64 @mbarrier_settled(ptr %env, i64 %without.dropped)
  ret i64 %done
wrong:
  %reason = phi i64 [ {NOT_INITIALISED}, %entry ], [ {BAD_COUNT}, %check ], [ {TOO_MANY}, %pending.check ],
                 [ {COMPLETES}, %count.down ]
  {MISUSE}
  ret i64 %word
}}
""", (FAULT, SETTLED_WORD))  # fmt: skip

ARRIVE_ONE = RuntimeFunction(ARRIVE_ONE.name, ARRIVE_ONE.text, (ARRIVAL, SILENT["mbarrier_counted"]))


TRANSACT = RuntimeFunction("mbarrier_transact", f"""
define internal i64 @mbarrier_transact(ptr %env, ptr %site, i64 %lane, i64 %word, i64 %change) noinline {{
  ; The word with %change more bytes to come. This may complete the phase, which mbarrier_settled then finds.
entry:
  {IS_MBARRIER}
  br i1 %is.mbarrier, label %add, label %wrong
add:
  %high = shl i64 %word, {64 - MARK_AT}
  %bytes = ashr i64 %high, {64 - MARK_AT + BYTES_AT}
  %sum = add i64 %bytes, %change
  %shifted = add i64 %sum, {MOST}
  %in.range = icmp ule i64 %shifted, {2 * MOST}
  br i1 %in.range, label %put, label %wrong
put:
  %low = and i64 %sum, {(1 << MARK_AT - BYTES_AT) - 1}
  %field = shl i64 %low, {BYTES_AT}
  %others = and i64 %word, {~(((1 << MARK_AT - BYTES_AT) - 1) << BYTES_AT)}
  %new = or i64 %others, %field
  ret i64 %new
wrong:
  %reason = phi i64 [ {NOT_INITIALISED}, %entry ], [ {BAD_BYTES}, %add ]
  {MISUSE}
  ret i64 %word
}}
""", (FAULT, SETTLED_WORD))  # fmt: skip

TRANSACT_ONE = RuntimeFunction("mbarrier_transact_one", f"""
define internal void @mbarrier_transact_one(ptr %env, ptr %site, i64 %lane, i32 %target, i64 %change) noinline {{
  ; The same on the object at a checked address.
  {slot("shared", at.SHARED)}
  %target.wide = zext i32 %target to i64
  %host = add i64 %shared, %target.wide
  %object = inttoptr i64 %host to ptr
  %word = load i64, ptr %object
  %changed = call i64 @mbarrier_transact(ptr %env, ptr %site, i64 %lane, i64 %word, i64 %change)
  %new = call i64 @mbarrier_settled(ptr %env, i64 %changed)
  store i64 %new, ptr %object
  call void @mbarrier_counted(ptr %env, ptr %site, i64 %lane, i32 %target, i64 %word, i64 %new)
  ret void
}}
""", (TRANSACT, SILENT["mbarrier_counted"]))  # fmt: skip


OWN_HOST = """%address.wide = zext i32 %address to i64
  %host = add i64 %shared, %address.wide"""


def each_lane(
    name: str, returns: str, parameters: str, before: str, body: str, needs: tuple[RuntimeFunction, ...]
) -> RuntimeFunction:
    """A function on one mbarrier per lane, in ascending order of lanes. `body` computes from %word its new value %new,
    and %answer, the lane's element of the result, which is a vector of i64 unless `returns` is void."""
    result = "ret void" if returns == "void" else f"%all = load {V64}, ptr %results, align 64\n  ret {V64} %all"
    nothing = "ret void" if returns == "void" else f"ret {V64} zeroinitializer"
    text = f"""
define internal {returns} @{name}({V32} %a, i32 %asked, ptr %env, ptr %site{parameters}) noinline {{
entry:
  %addresses = alloca [{LANES} x i32], align 64
  %results = alloca {V64}, align 64
  store {V32} %a, ptr %addresses
  store {V64} zeroinitializer, ptr %results
  {before}
  {slot("shared", at.SHARED)}
  %mask = call i32 @touch_mbarrier({V32} %a, i32 %asked, ptr %env, ptr %site)
{lane_loop("%mask")}
  {lane_of("address", "i32", "%addresses")}
  {OWN_HOST}
  %object = inttoptr i64 %host to ptr
  %word = load i64, ptr %object
  {body}
  %result.at = getelementptr i64, ptr %results, i64 %number.wide
  store i64 %answer, ptr %result.at
  store i64 %new, ptr %object
  br label %next
done:
  %drained = icmp eq i32 %mask, 0
  br i1 %drained, label %nothing, label %answered
nothing:
  {nothing}
answered:
  {result}
}}
"""
    return RuntimeFunction(name, text, (TOUCH, *needs), (CTTZ,))


def of_lane(name: str, source: str, kind: str) -> tuple[str, str]:
    """Lines before the loop and in it that load the lane's element of a vector parameter."""
    full = f"<{LANES} x {kind}>"
    return (
        f"%{name}.list = alloca {full}, align 64\n  store {full} {source}, ptr %{name}.list",
        f"%{name}.at = getelementptr {kind}, ptr %{name}.list, i64 %number.wide\n"
        f"  %{name} = load {kind}, ptr %{name}.at",
    )


COUNT_BEFORE, COUNT_HERE = of_lane("count", "%counts", "i32")
STATE_BEFORE, STATE_HERE = of_lane("state", "%states", "i64")

INIT = each_lane("mbarrier_init", "void", f", {V32} %counts", COUNT_BEFORE, f"""{COUNT_HERE}
  %count.wide = zext i32 %count to i64
  %less = sub i64 %count.wide, 1
  %fine = icmp ult i64 %less, {MOST}
  %reason = select i1 %fine, i64 {NOT_INITIALISED}, i64 {BAD_COUNT}
  %expected = shl i64 %count.wide, {COUNT_BITS}
  %both = or i64 %expected, %count.wide
  %answer = or i64 %both, {MARK << MARK_AT}
  %new = select i1 %fine, i64 %answer, i64 0
  call void @mbarrier_complain(i1 %fine, ptr %env, ptr %site, i64 %number.wide, i64 %reason)
  call void @mbarrier_started(ptr %env, ptr %site, i64 %number.wide, i32 %address)""", (
    SILENT["mbarrier_started"],
))  # fmt: skip

COMPLAIN = RuntimeFunction("mbarrier_complain", f"""
define internal void @mbarrier_complain(i1 %fine, ptr %env, ptr %site, i64 %lane, i64 %reason) noinline {{
entry:
  {end_with(MISUSE, "%fine", "bad", unless=True)}
}}
""", (FAULT,))  # fmt: skip
INIT = RuntimeFunction(INIT.name, INIT.text, (*INIT.needs, COMPLAIN), INIT.declarations)

CHECK_MBARRIER = f"""{IS_MBARRIER}
  call void @mbarrier_complain(i1 %is.mbarrier, ptr %env, ptr %site, i64 %number.wide, i64 {NOT_INITIALISED})"""

INVALIDATE = each_lane("mbarrier_inval", "void", "", "", f"""{CHECK_MBARRIER}
  %answer = add i64 0, 0
  %new = add i64 0, -1
  call void @mbarrier_ended(ptr %env, ptr %site, i64 %number.wide, i32 %address)""", (
    COMPLAIN, SILENT["mbarrier_ended"]
))  # fmt: skip

ARRIVED = (
    "call void @mbarrier_arrived(ptr %env, ptr %site, i64 %number.wide, i32 %address, i64 %word, i64 %new, i32 %flags)"
)

ARRIVE = each_lane("mbarrier_arrive", V64, f", {V32} %counts, i32 %flags", COUNT_BEFORE, f"""{COUNT_HERE}
  %answer = add i64 %word, 0
  %new = call i64 @mbarrier_arrival(ptr %env, ptr %site, i64 %number.wide, i64 %word, i32 %count, i32 %flags)
  {ARRIVED}""",
  (ARRIVAL, SILENT["mbarrier_arrived"]))  # fmt: skip

TEST = each_lane("mbarrier_test", V64, f", {V64} %states", STATE_BEFORE, f"""{STATE_HERE}
  {CHECK_MBARRIER}
  %moved = xor i64 %word, %state
  %answer = lshr i64 %moved, {PHASE_AT}
  %new = add i64 %word, 0""", (COMPLAIN,))  # fmt: skip

RAISE = each_lane("mbarrier_raise", "void", "", "", f"""{CHECK_MBARRIER}
  %answer = add i64 0, 0
  %new = add i64 %word, 1""", (COMPLAIN,))  # fmt: skip

BYTES_HERE = f"""{COUNT_HERE}
  %answer = add i64 %word, 0
  %bytes = zext i32 %count to i64"""


def with_bytes(name: str, change: str, then: str) -> RuntimeFunction:
    """A per-lane function that adds `change` to the bytes that the phase expects; `then` computes %new from
    %changed."""
    return each_lane(name, V64, f", {V32} %counts, i32 %flags", COUNT_BEFORE, f"""{BYTES_HERE}
  %change = {change}
  %changed = call i64 @mbarrier_transact(ptr %env, ptr %site, i64 %number.wide, i64 %word, i64 %change)
  %new = {then}""", (TRANSACT, ARRIVAL, SILENT["mbarrier_arrived"]))  # fmt: skip


UNARRIVED = ARRIVED.replace("i32 %flags", f"i32 {RELAXED}")
SETTLED = "call i64 @mbarrier_settled(ptr %env, i64 %changed)\n  " + UNARRIVED
"""Bytes by themselves are not an arrival, but may complete the phase."""
EXPECT = with_bytes("mbarrier_expect", "add i64 %bytes, 0", SETTLED)
COMPLETE = with_bytes("mbarrier_complete", "sub i64 0, %bytes", SETTLED)
ARRIVE_EXPECTING = with_bytes(
    "mbarrier_arrive_expecting", "add i64 %bytes, 0",
    "call i64 @mbarrier_arrival(ptr %env, ptr %site, i64 %number.wide, i64 %changed, i32 1, i32 %flags)\n  " + ARRIVED,
)  # fmt: skip
"""First more bytes are expected, then one arrival, which may complete the phase."""


REMOTE = (ARRIVE, ARRIVE_EXPECTING, EXPECT, COMPLETE)
"""The functions that a thread may call on an mbarrier of another CTA of its cluster."""


def in_cluster(function: RuntimeFunction) -> RuntimeFunction:
    """The same function for mbarriers at shared::cluster addresses."""
    text = function.text.replace(f"@{function.name}(", f"@{function.name}_in_cluster(")
    text = re.sub(r"^ *call void @mbarrier_(started|ended)\(.*$", "", text, flags=re.M)
    text = text.replace("@mbarrier_arrived(", "@mbarrier_arrived_remote(")
    text = text.replace("@touch_mbarrier(", f"@{TOUCH_CLUSTER.name}(").replace(OWN_HOST, host_of("%address", "host"))
    instead = {TOUCH.name: TOUCH_CLUSTER, "mbarrier_arrived": SILENT["mbarrier_arrived_remote"]}
    needs = tuple(instead.get(needed.name, needed) for needed in function.needs)
    return RuntimeFunction(f"{function.name}_in_cluster", text, needs, function.declarations)
