"""Watching: what `--sanitize` adds to a kernel. Findings are collected, the first at each site of each kind.

Each granule of shared memory has a shadow: when and by whom it was last written, and by which two threads it was
last read. Time is a count of barrier releases and warp synchronisations. Two accesses of one granule by different
threads conflict if one writes, not both are atomic, and neither a barrier of the CTA nor, within a warp, a
bar.warp.sync lies between them. A granule is as small as the smallest access of the kernel, so that neighbours do not
conflict. (The model: Serebryany and Iskhodzhanov, "ThreadSanitizer: data race detection in practice", 2009, with the
vector clocks of a CTA that only knows barriers.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ptxbench.emulator.runtime.context import (
    COUNTERS,
    CTA,
    CTPOP,
    CTTZ,
    FINDING_COUNT,
    FINDINGS,
    FLAGS,
    LOCAL_BYTES,
    LOCAL_SHADOW,
    LOCAL_WINDOW,
    MASK,
    MISALIGNED,
    OUT_OF_BOUNDS,
    SHADOW,
    SHARED,
    SHARED_BYTES,
    SHARED_WINDOW,
    SITE_SLOTS,
    TIME,
    TIME_OF_BARRIER,
    TIME_OF_START,
    TIME_OF_WARP,
    V32,
    V64,
    WARP,
    Function,
    multiples,
    slot,
    splat,
    vector,
)
from ptxbench.emulator.runtime.faults import END_LAUNCH
from ptxbench.emulator.types import LANES

# Kinds of finding beyond the faults OUT_OF_BOUNDS and MISALIGNED.
UNINITIALISED, READ_AFTER_WRITE, WRITE_AFTER_WRITE, WRITE_AFTER_READ, DISAGREEMENT = range(16, 21)
DIVERGENT_BARRIER, BARRIER_AFTER_EXIT, UNINITIALISED_REGISTER, PENDING_COPY = range(21, 25)
EXIT_BEFORE_BARRIER, NOT_A_MEMBER = range(25, 27)

MOST_FINDINGS = 1024
FINDING_SLOTS = 8
"""i64 slots of one finding: kind, site offset, lane, address, CTA, warp, the other access's id, its time."""
SHADOW_WORDS = 6
"""i32 words for each granule of shared memory, one array after the other."""
WRITER_TIME, WRITER, READER_TIME, READER, SECOND_TIME, SECOND = range(SHADOW_WORDS)  # a time, then who: one i64
THREAD_BITS = 10
ATOMIC_BIT = 31
PENDING = 0x7FFFFFFF
"""The writer's time of a granule that an asynchronous copy is yet to fill."""

FINDING = Function("finding", f"""
define internal void @finding(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %address, i64 %other) noinline cold {{
  {slot("counters", COUNTERS)}
  {slot("flags", FLAGS)}
  %site.int = ptrtoint ptr %site to i64
  %offset = sub i64 %site.int, %counters
  %flag.int = add i64 %flags, %offset
  %flag.at = inttoptr i64 %flag.int to ptr
  %flag = load i64, ptr %flag.at
  %bit = shl i64 1, %kind
  %known = and i64 %flag, %bit
  %new = icmp eq i64 %known, 0
  {slot("count", FINDING_COUNT)}
  %room = icmp ult i64 %count, {MOST_FINDINGS}
  %keep = and i1 %new, %room
  br i1 %keep, label %store, label %done
store:
  %flag.new = or i64 %flag, %bit
  store i64 %flag.new, ptr %flag.at
  %count.new = add i64 %count, 1
  store i64 %count.new, ptr %count.at
  {slot("findings", FINDINGS, "ptr")}
  {slot("cta", CTA)}
  {slot("warp", WARP)}
  %place = mul i64 %count, {FINDING_SLOTS}
  %p0 = getelementptr i64, ptr %findings, i64 %place
  store i64 %kind, ptr %p0
  %p1 = getelementptr i64, ptr %p0, i64 1
  store i64 %offset, ptr %p1
  %p2 = getelementptr i64, ptr %p0, i64 2
  store i64 %lane, ptr %p2
  %p3 = getelementptr i64, ptr %p0, i64 3
  store i64 %address, ptr %p3
  %p4 = getelementptr i64, ptr %p0, i64 4
  store i64 %cta, ptr %p4
  %p5 = getelementptr i64, ptr %p0, i64 5
  store i64 %warp, ptr %p5
  %p6 = getelementptr i64, ptr %p0, i64 6
  store i64 %other, ptr %p6
  br label %done
done:
  ret void
}}
""")  # fmt: skip

FAULT = Function("fault", f"""
define internal void @fault(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %address) noinline cold {{
  ; A bad access is a finding and the launch goes on without it; anything else ends the launch, as it always does.
  %outside = icmp eq i64 %kind, {OUT_OF_BOUNDS}
  %odd = icmp eq i64 %kind, {MISALIGNED}
  %access = or i1 %outside, %odd
  br i1 %access, label %collect, label %end
collect:
  call void @finding(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %address, i64 0)
  ret void
end:
  {END_LAUNCH}
}}
""", (FINDING,))  # fmt: skip

REPORT = Function("report", f"""
define internal void @report(ptr %env, i64 %kind, ptr %site, i32 %lanes, {V32} %a, {V32} %other) noinline cold {{
  ; The finding of the lowest of %lanes.
  %addresses = alloca [{LANES} x i32], align 64
  %others = alloca [{LANES} x i32], align 64
  store {V32} %a, ptr %addresses
  store {V32} %other, ptr %others
  %lane = call i32 @llvm.cttz.i32(i32 %lanes, i1 true)
  %lane.wide = zext i32 %lane to i64
  %a.at = getelementptr i32, ptr %addresses, i64 %lane.wide
  %a.one = load i32, ptr %a.at
  %a.wide = zext i32 %a.one to i64
  %o.at = getelementptr i32, ptr %others, i64 %lane.wide
  %o.one = load i32, ptr %o.at
  %o.wide = zext i32 %o.one to i64
  call void @finding(ptr %env, i64 %kind, ptr %site, i64 %lane.wide, i64 %a.wide, i64 %o.wide)
  ret void
}}
""", (FINDING,), (CTTZ,))  # fmt: skip

GATHER = f"llvm.masked.gather.v{LANES}i32.v{LANES}p0"
SCATTER = f"llvm.masked.scatter.v{LANES}i32.v{LANES}p0"
GATHER_PAIR = f"llvm.masked.gather.v{LANES}i64.v{LANES}p0"
SCATTER_PAIR = f"llvm.masked.scatter.v{LANES}i64.v{LANES}p0"
GATHER_SCATTER = (
    f"declare {V64} @{GATHER_PAIR}(<{LANES} x ptr>, i32, {MASK}, {V64})",
    f"declare void @{SCATTER_PAIR}({V64}, <{LANES} x ptr>, i32, {MASK})",
    f"declare {V32} @{GATHER}(<{LANES} x ptr>, i32, {MASK}, {V32})",
    f"declare void @{SCATTER}({V32}, <{LANES} x ptr>, i32, {MASK})",
)


class Lines:
    """IR text with fresh names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names = 0

    def op(self, text: str) -> str:
        self.names += 1
        self.lines.append(f"%n{self.names} = {text}")
        return f"%n{self.names}"

    def line(self, text: str) -> None:
        self.lines.append(text)

    def shadow(self, word: int, granule: int) -> str:
        """Pointers to one word of the shadow of a granule, so many after the first of each lane's access."""
        return self.op(f"getelementptr i32, <{LANES} x ptr> %rows, i64 {SHADOW_WORDS * granule + word}")

    def gather(self, pointers: str, active: str) -> str:
        return self.op(
            f"call {V32} @{GATHER}(<{LANES} x ptr> {pointers}, i32 4, {MASK} {active}, {V32} zeroinitializer)"
        )

    def scatter(self, value: str, pointers: str, active: str) -> None:
        self.line(f"call void @{SCATTER}({V32} {value}, <{LANES} x ptr> {pointers}, i32 4, {MASK} {active})")

    def gather_pairs(self, pointers: str, active: str) -> str:
        """Times and the accesses beside them, one load for both."""
        return self.op(
            f"call {V64} @{GATHER_PAIR}(<{LANES} x ptr> {pointers}, i32 8, {MASK} {active}, {V64} zeroinitializer)"
        )

    def times(self, pairs: str) -> str:
        return self.op(f"trunc {V64} {pairs} to {V32}")

    def accesses(self, pairs: str) -> str:
        high = self.op(f"lshr {V64} {pairs}, splat (i64 32)")
        return self.op(f"trunc {V64} {high} to {V32}")

    def stamp(self, pointers: str, active: str) -> None:
        """Note the present time and this access, in one store."""
        self.line(f"call void @{SCATTER_PAIR}({V64} %stamp, <{LANES} x ptr> {pointers}, i32 8, {MASK} {active})")

    def both(self, *conditions: str) -> str:
        result = conditions[0]
        for each in conditions[1:]:
            result = self.op(f"and {MASK} {result}, {each}")
        return result

    def report(self, kind: int, lanes: str, other: str) -> None:
        """A finding if any lane is set."""
        with self.where(lanes):
            mask = self.op(f"bitcast {MASK} {lanes} to i32")
            self.line(f"call void @report(ptr %env, i64 {kind}, ptr %site, i32 {mask}, {V32} %a, {V32} {other})")

    @contextmanager
    def where(self, lanes: str) -> Iterator[None]:
        """Lines that run only if any lane is set."""
        mask = self.op(f"bitcast {MASK} {lanes} to i32")
        some = self.op(f"icmp ne i32 {mask}, 0")
        self.names += 1
        yes, no = f"some.{self.names}", f"none.{self.names}"
        self.line(f"br i1 {some}, label %{yes}, label %{no}\n{yes}:")
        yield
        self.line(f"br label %{no}\n{no}:")

    def conflicts(self, time: str, who: str, active: str) -> str:
        """Lanes of `active` that are not ordered after the access of `who` at `time`, another thread's."""
        thread = self.op(f"and {V32} {who}, splat (i32 {(1 << THREAD_BITS) - 1})")
        other = self.op(f"icmp ne {V32} {thread}, %me")
        recent = self.op(f"icmp uge {V32} {time}, %barrier.all")
        warp = self.op(f"lshr {V32} {thread}, splat (i32 5)")
        elsewhere = self.op(f"icmp ne {V32} {warp}, %warp.all")
        unsynced = self.op(f"icmp uge {V32} {time}, %sync.all")
        loose = self.op(f"or {MASK} {elsewhere}, {unsynced}")
        return self.both(active, other, recent, loose)


def in_bounds(bytes_slot: int, size: int) -> str:
    """Lines that set %active: the asked lanes whose `size` bytes lie below the limit in slot `bytes_slot`."""
    return f"""{slot("bytes", bytes_slot)}
  %bytes.short = trunc i64 %bytes to i32
  {splat("bytes.all", "i32", "%bytes.short")}
  %end = add {V32} %a, splat (i32 {size - 1})
  %inside = icmp ult {V32} %end, %bytes.all
  %ordered = icmp uge {V32} %end, %a
  %fits = and {MASK} %inside, %ordered
  %asked.vector = bitcast i32 %asked to {MASK}
  %active = and {MASK} %asked.vector, %fits"""


def times() -> str:
    """Lines that put the present time and that of the CTA's start into every lane."""
    return f"""{slot("time.wide", TIME)}
  %time = trunc i64 %time.wide to i32
  {splat("time.all", "i32", "%time")}
  {slot("start.wide", TIME_OF_START)}
  %start = trunc i64 %start.wide to i32
  {splat("start.all", "i32", "%start")}"""


def shared_head(size: int, granule: int) -> str:
    """Lines at the start of a watch of shared memory: %active (in bounds), %rows of the shadow, %me, times, %stamp."""
    return f"""%first.slot = alloca {V64}, align 64
  %idle = icmp eq i32 %asked, 0
  br i1 %idle, label %nothing, label %look
nothing:
  ret void
look:
  {in_bounds(SHARED_BYTES, size)}
  %granule = lshr {V32} %a, splat (i32 {granule.bit_length() - 1})
  %index = zext {V32} %granule to {V64}
  %index.words = mul {V64} %index, splat (i64 {SHADOW_WORDS})
  {slot("shadow", SHADOW, "ptr")}
  %rows = getelementptr i32, ptr %shadow, {V64} %index.words
  {times()}
  {slot("barrier.wide", TIME_OF_BARRIER)}
  %barrier = trunc i64 %barrier.wide to i32
  {splat("barrier.all", "i32", "%barrier")}
  {slot("sync.wide", TIME_OF_WARP)}
  %sync = trunc i64 %sync.wide to i32
  {splat("sync.all", "i32", "%sync")}
  {slot("warp.wide", WARP)}
  %warp = trunc i64 %warp.wide to i32
  {splat("warp.all", "i32", "%warp")}
  %me.first = shl {V32} %warp.all, splat (i32 5)
  %me = or {V32} %me.first, {multiples("i32", 1)}
  {slot("counters", COUNTERS)}
  %site.int = ptrtoint ptr %site to i64
  %site.offset = sub i64 %site.int, %counters
  %site.slot = lshr i64 %site.offset, 3
  %site.short = trunc i64 %site.slot to i32
  %site.high = shl i32 %site.short, {THREAD_BITS}
  {splat("site.all", "i32", "%site.high")}
  %id = or {V32} %site.all, %me
  %time.low = zext {V32} %time.all to {V64}
  %id.wide = zext {V32} %id to {V64}
  %id.high = shl {V64} %id.wide, splat (i64 32)
  %stamp = or {V64} %id.high, %time.low"""


def watch_shared(kind: str, element_bytes: int, count: int, granule: int, races: bool) -> Function:
    """`watch_KIND_shared_BYTES_COUNT(addresses, mask, env, site, values...)`: kind is load, store, atomic or copy.

    A copy is asynchronous: what it writes is held against earlier accesses when it is issued, and is pending until it
    is waited for.
    """
    size = element_bytes * count
    full = vector(8 * element_bytes)
    lines = Lines()
    for j in range(max(1, size // granule)):
        writer_time_at, writer_at = lines.shadow(WRITER_TIME, j), lines.shadow(WRITER, j)
        writer_time = lines.gather(writer_time_at, "%active")
        never = lines.op(f"icmp ult {V32} {writer_time}, %start.all")
        recent = lines.op(f"icmp uge {V32} {writer_time}, %barrier.all")
        odd = lines.op(f"or {MASK} {never}, {recent}") if kind in ("load", "atomic") else recent
        with lines.where(lines.both("%active", odd)):  # seldom: written in this epoch, or never
            writer = lines.gather(writer_at, "%active")
            pending = lines.op(f"icmp eq {V32} {writer_time}, splat (i32 {PENDING})")
            if kind in ("load", "atomic"):
                lines.report(UNINITIALISED, lines.both("%active", never), writer)
                lines.report(PENDING_COPY, lines.both("%active", pending), writer)
            if races:
                clash = lines.conflicts(writer_time, writer, "%active")
                clash = lines.both(clash, lines.op(f"xor {MASK} {pending}, splat (i1 true)"))
                if kind == "atomic":
                    clash = lines.both(clash, lines.op(f"icmp sge {V32} {writer}, zeroinitializer"))
                lines.report(READ_AFTER_WRITE if kind == "load" else WRITE_AFTER_WRITE, clash, writer)
        if races:
            watch_readers(lines, kind, j)
        if kind != "load":
            lines.scatter(f"splat (i32 {PENDING})" if kind == "copy" else "%time.all", writer_time_at, "%active")
            atomic = 1 << ATOMIC_BIT if kind == "atomic" else 0
            identity = lines.op(f"or {V32} %id, splat (i32 {atomic})")
            lines.scatter(identity, writer_at, "%active")
            if kind == "store" and j == 0 and races:
                agree(lines, writer_at, identity, element_bytes, count)
    values = "".join(f", {full} %v{k}" for k in range(count)) if kind == "store" else ""
    name = f"watch_{kind}_shared_{element_bytes}_{count}"
    text = f"""
define internal void @{name}({V32} %a, i32 %asked, ptr %env, ptr %site{values}) noinline {{
  {shared_head(size, granule)}
  {chr(10).join(lines.lines)}
  ret void
}}
"""
    element = f"i{8 * element_bytes}"
    gather = f"declare {full} @llvm.masked.gather.v{LANES}{element}.v{LANES}p0(<{LANES} x ptr>, i32, {MASK}, {full})"
    return Function(name, text, (REPORT,), (*GATHER_SCATTER, CTPOP, *([gather] if kind == "store" else [])))


def watch_readers(lines: Lines, kind: str, granule: int) -> None:
    """Of a load: note who read in this epoch, the first and one other. Of a write: hold it against them."""
    first_at, second_at = lines.shadow(READER_TIME, granule), lines.shadow(SECOND_TIME, granule)
    if kind == "load":
        known = lines.gather_pairs(first_at, "%active")
        lines.line(f"store {V64} {known}, ptr %first.slot, align 64")
        fresh = lines.both("%active", lines.op(f"icmp ult {V32} {lines.times(known)}, %barrier.all"))
        with lines.where(fresh):  # seldom; of several lanes that come first one stays
            lines.stamp(first_at, fresh)
            stayed = lines.gather_pairs(first_at, "%active")
            lines.line(f"store {V64} {stayed}, ptr %first.slot, align 64")
        first = lines.accesses(lines.op(f"load {V64}, ptr %first.slot, align 64"))
        another = lines.both("%active", lines.op(f"icmp ne {V32} {first}, %id"))
        with lines.where(another):
            lines.stamp(second_at, another)
        return
    for at in (first_at, second_at):
        pairs = lines.gather_pairs(at, "%active")
        time, who = lines.times(pairs), lines.accesses(pairs)
        recent = lines.op(f"icmp uge {V32} {time}, %barrier.all")
        with lines.where(lines.both("%active", recent)):
            lines.report(WRITE_AFTER_READ, lines.conflicts(time, who, "%active"), who)


def agree(lines: Lines, writer_at: str, identity: str, element_bytes: int, count: int) -> None:
    """A finding where lanes of one store wrote the same place and it does not hold each one's value."""
    element = f"i{8 * element_bytes}"
    full = vector(8 * element_bytes)
    now = lines.gather(writer_at, "%active")
    lost = lines.both("%active", lines.op(f"icmp ne {V32} {now}, {identity}"))
    base = lines.op(f"getelementptr i64, ptr %env, i64 {SHARED}")
    shared = lines.op(f"load ptr, ptr {base}")
    wide = lines.op(f"zext {V32} %a to {V64}")
    for k in range(count):
        at = lines.op(f"getelementptr i8, ptr {shared}, {V64} {wide}")
        if k:
            at = lines.op(f"getelementptr i8, <{LANES} x ptr> {at}, i64 {k * element_bytes}")
        held = lines.op(
            f"call {full} @llvm.masked.gather.v{LANES}{element}.v{LANES}p0(<{LANES} x ptr> {at}, i32 {element_bytes}, "
            f"{MASK} {lost}, {full} %v{k})"
        )
        differs = lines.op(f"icmp ne {full} {held}, %v{k}")
        lines.report(DISAGREEMENT, lines.both(lost, differs), now)


def watch_local(kind: str, element_bytes: int, count: int, granule: int) -> Function:
    """`watch_KIND_local_BYTES_COUNT`: reads of a thread's own memory before it was written."""
    size = element_bytes * count
    full = vector(8 * element_bytes)
    lines = Lines()
    for j in range(max(1, size // granule)):
        index = lines.op(f"add {V64} %index, splat (i64 {j})")
        at = lines.op(f"getelementptr i32, ptr %shadow, {V64} {index}")
        if kind == "load":
            written = lines.gather(at, "%active")
            never = lines.op(f"icmp ult {V32} {written}, %start.all")
            lines.report(UNINITIALISED, lines.both("%active", never), written)
        else:
            lines.scatter("%time.all", at, "%active")
    values = "".join(f", {full} %v{k}" for k in range(count)) if kind == "store" else ""
    name = f"watch_{kind}_local_{element_bytes}_{count}"
    text = f"""
define internal void @{name}({V32} %a, i32 %asked, ptr %env, ptr %site{values}) noinline {{
  {in_bounds(LOCAL_BYTES, size)}
  {slot("shadow", LOCAL_SHADOW, "ptr")}
  {slot("warp.wide", WARP)}
  %thread.first = shl i64 %warp.wide, 5
  {splat("thread.all", "i64", "%thread.first")}
  %thread = or {V64} %thread.all, {multiples("i64", 1)}
  %granules = lshr i64 %bytes, {granule.bit_length() - 1}
  {splat("granules.all", "i64", "%granules")}
  %row = mul {V64} %thread, %granules.all
  %granule = lshr {V32} %a, splat (i32 {granule.bit_length() - 1})
  %granule.wide = zext {V32} %granule to {V64}
  %index = add {V64} %row, %granule.wide
  {times()}
  {chr(10).join(lines.lines)}
  ret void
}}
"""
    return Function(name, text, (REPORT,), GATHER_SCATTER)


def watch_generic(kind: str, element_bytes: int, count: int, parts: tuple[Function, Function]) -> Function:
    """The watches of shared and local memory, each on the lanes whose generic address lies in its window."""
    full = vector(8 * element_bytes)
    values = "".join(f", {full} %v{k}" for k in range(count)) if kind == "store" else ""
    calls = ""
    for window, part, position in ((SHARED_WINDOW, parts[0], 1), (LOCAL_WINDOW, parts[1], 2)):
        p = f"p{position}"
        calls += f"""
  %{p}.offset = sub {V64} %a, splat (i64 {window})
  %{p}.inside = icmp ult {V64} %{p}.offset, splat (i64 4294967296)
  %{p}.bits = bitcast {MASK} %{p}.inside to i32
  %{p}.mask = and i32 %{p}.bits, %asked
  %{p}.a = trunc {V64} %{p}.offset to {V32}
  %{p}.site = getelementptr i64, ptr %site, i64 {{SITE_SLOTS}}
  call void @{part.name}({V32} %{p}.a, i32 %{p}.mask, ptr %env, ptr %{p}.site{values})""".replace(
            "{SITE_SLOTS}", str(SITE_SLOTS * position)
        )
    name = f"watch_{kind}_generic_{element_bytes}_{count}"
    text = f"""
define internal void @{name}({V64} %a, i32 %asked, ptr %env, ptr %site{values}) noinline {{{calls}
  ret void
}}
"""
    return Function(name, text, parts)


def settle_copy(granule: int) -> Function:
    """`settle_copy(env, target, size)`: the bytes have arrived, as if the thread that issued the copy wrote now."""
    text = f"""
define internal void @settle_copy(ptr %env, i32 %target, i32 %size) noinline {{
entry:
  {slot("time", TIME, "i32")}
  {slot("shadow", SHADOW, "ptr")}
  %first = lshr i32 %target, {granule.bit_length() - 1}
  %count = lshr i32 %size, {granule.bit_length() - 1}
  br label %next
next:
  %i = phi i32 [ 0, %entry ], [ %i.next, %one ]
  %over = icmp eq i32 %i, %count
  br i1 %over, label %done, label %one
one:
  %index = add i32 %first, %i
  %word = mul i32 %index, {SHADOW_WORDS}
  %word.time = add i32 %word, {WRITER_TIME}
  %word.wide = zext i32 %word.time to i64
  %at = getelementptr i32, ptr %shadow, i64 %word.wide
  store i32 %time, ptr %at
  %i.next = add i32 %i, 1
  br label %next
done:
  ret void
}}
"""
    return Function("settle_copy", text)


def watch_bulk(granule: int) -> Function:
    """`watch_bulk(env, site, lane, near, size, fills)`: the bytes are pending from now on; or they are read."""
    text = f"""
define internal void @watch_bulk(ptr %env, ptr %site, i64 %lane, i32 %near, i32 %size, i1 %fills) noinline {{
entry:
  {slot("shadow", SHADOW, "ptr")}
  {slot("start", TIME_OF_START, "i32")}
  {slot("warp", WARP)}
  {slot("counters", COUNTERS)}
  %site.int = ptrtoint ptr %site to i64
  %site.offset = sub i64 %site.int, %counters
  %site.slot = lshr i64 %site.offset, 3
  %site.high = shl i64 %site.slot, {THREAD_BITS}
  %warp.first = shl i64 %warp, 5
  %me = or i64 %warp.first, %lane
  %id.wide = or i64 %site.high, %me
  %id = trunc i64 %id.wide to i32
  %first = lshr i32 %near, {granule.bit_length() - 1}
  %count = lshr i32 %size, {granule.bit_length() - 1}
  br label %next
next:
  %i = phi i32 [ 0, %entry ], [ %i.next, %one.done ]
  %over = icmp eq i32 %i, %count
  br i1 %over, label %done, label %one
one:
  %index = add i32 %first, %i
  %word = mul i32 %index, {SHADOW_WORDS}
  %word.wide = zext i32 %word to i64
  %granule = getelementptr i32, ptr %shadow, i64 %word.wide
  %time.at = getelementptr i32, ptr %granule, i64 {WRITER_TIME}
  br i1 %fills, label %mark, label %look
mark:
  %writer.at = getelementptr i32, ptr %granule, i64 {WRITER}
  store i32 {PENDING}, ptr %time.at
  store i32 %id, ptr %writer.at
  br label %one.done
look:
  %time = load i32, ptr %time.at
  %never = icmp ult i32 %time, %start
  %pending = icmp eq i32 %time, {PENDING}
  %bad = or i1 %never, %pending
  br i1 %bad, label %tell, label %one.done
tell:
  %kind = select i1 %never, i64 {UNINITIALISED}, i64 {PENDING_COPY}
  %byte = shl i32 %index, {granule.bit_length() - 1}
  %byte.wide = zext i32 %byte to i64
  call void @finding(ptr %env, i64 %kind, ptr %site, i64 %lane, i64 %byte.wide, i64 0)
  br label %one.done
one.done:
  %i.next = add i32 %i, 1
  br label %next
done:
  ret void
}}
"""
    return Function("watch_bulk", text, (FINDING,))
