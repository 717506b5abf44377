"""The stamps of one access, in vectors of all lanes: whether each lane is ordered after them, and the new ones.

A few comparisons show for most accesses that they are ordered: the granule was not accessed before, the CTA has met at
a barrier since, the whole warp has met since, the same thread made the access, or both accesses are strong. The text
goes to the label %unusual for all other cases. (races/layout.py explains stamps.)
"""

from __future__ import annotations

from ptxbench.emulator.races import layout as at
from ptxbench.emulator.runtime.context import MASK, V64
from ptxbench.emulator.runtime.lane_lines import LaneLines
from ptxbench.emulator.types import LANES

POINTERS = f"<{LANES} x ptr>"
GATHER = f"llvm.masked.gather.v{LANES}i64.v{LANES}p0"
SCATTER = f"llvm.masked.scatter.v{LANES}i64.v{LANES}p0"
DECLARATIONS = (
    f"declare {V64} @{GATHER}({POINTERS}, i32, {MASK}, {V64})",
    f"declare void @{SCATTER}({V64}, {POINTERS}, i32, {MASK})",
)
MAKER = at.ASYNC | (1 << at.THREAD_BITS) - 1
"""The bits of a stamp with the thread, and whether its asynchronous copy made the access."""
IN_WARP = at.ASYNC | (1 << at.THREAD_BITS) - 1 & ~31
"""The same for the warp."""


class StampCheck(LaneLines):
    """IR text for the stamps of one access, gathered by lane. `clustered`: other CTAs may access
    the shared memory."""

    def __init__(self, in_shared: bool, strength: int, clustered: bool, prefix: str = "n") -> None:
        super().__init__(prefix)
        self.in_shared = in_shared
        self.clustered = clustered
        enough = at.STRONG_GPU if not in_shared else at.STRONG_CLUSTER if clustered else at.STRONG_CTA
        self.strong = strength >= enough

    def pointers_to(self, array: int, granule: int) -> str:
        """Pointers to the stamps of an array, `granule` granules after each lane's first."""
        return self.op(f"getelementptr i64, {POINTERS} %stamps.{array}, i64 {granule}")

    def gather(self, pointers: str) -> str:
        return self.op(f"call {V64} @{GATHER}({POINTERS} {pointers}, i32 8, {MASK} %active, {V64} zeroinitializer)")

    def scatter(self, value: str, pointers: str, lanes: str = "%active") -> None:
        self.lines.append(f"call void @{SCATTER}({V64} {value}, {POINTERS} {pointers}, i32 8, {MASK} {lanes})")

    def lanes_without(self, condition: str) -> str:
        """The active lanes whose condition is false."""
        return self.both("%active", self.op(f"xor {MASK} {condition}, splat (i1 true)"))

    def ordered_by_barriers(self, time: str) -> str:
        """The lanes where there is no time, or where barriers order it before now."""
        before = self.op(f"icmp ule {V64} {time}, %barrier.all")
        if self.in_shared and not self.clustered:
            return before
        if self.in_shared:
            unused = self.op(f"icmp ult {V64} {time}, %start.all")
            return self.either(unused, self.both(self.op(f"icmp uge {V64} {time}, %since.all"), before))
        none = self.op(f"icmp eq {V64} {time}, zeroinitializer")
        own = self.op(f"icmp uge {V64} {time}, %since.all")
        grid = self.op(f"icmp ule {V64} {time}, %grid.all")
        return self.either(none, self.both(own, before), grid)

    def by_same_thread(self, stamp: str, time: str, me: str = "%me") -> str:
        """The lanes where the same thread made the stamp."""
        who = self.op(f"and {V64} {stamp}, splat (i64 {MAKER})")
        same = self.op(f"icmp eq {V64} {who}, {me}")
        return self.both(same, self.op(f"icmp uge {V64} {time}, %since.all"))

    def check(self, stamp: str, me: str = "%me") -> None:
        """Go to the compiled functions unless every lane is ordered after the access of its stamp."""
        time = self.op(f"lshr {V64} {stamp}, splat (i64 32)")
        open_lanes = self.lanes_without(self.ordered_by_barriers(time))
        with self.where(open_lanes):
            warp = self.op(f"and {V64} {stamp}, splat (i64 {IN_WARP})")
            same_warp = self.op(f"icmp eq {V64} {warp}, %warp.first.all")
            met = self.op(f"icmp ule {V64} {time}, %sync.all")
            own = self.op(f"icmp uge {V64} {time}, %since.all")
            fine = self.either(self.both(same_warp, met, own), self.by_same_thread(stamp, time, me))
            if self.strong:
                bits = self.op(f"and {V64} {stamp}, splat (i64 {at.PROXY})")
                fine = self.either(fine, self.op(f"icmp eq {V64} {bits}, splat (i64 {at.STRONG_BIT})"))
            self.leave_if(self.both(open_lanes, self.op(f"xor {MASK} {fine}, splat (i1 true)")), "unusual")

    def leave_if_unwritten(self, stamp: str) -> None:
        """Go to the compiled functions if a lane's granule was not written since the CTA started."""
        time = self.op(f"lshr {V64} {stamp}, splat (i64 32)")
        self.leave_if(self.both("%active", self.op(f"icmp ult {V64} {time}, %start.all")), "unusual")

    def load(self, granules: int) -> None:
        written = [self.gather(self.pointers_to(0, j)) for j in range(granules)]
        for stamp in written:
            if self.in_shared:  # never written
                self.leave_if_unwritten(stamp)
            self.check(stamp)
        for j in range(granules):
            first_at = self.pointers_to(1, j)
            first = self.gather(first_at)
            self.lines.append(f"store {V64} {first}, ptr %first, align 64")
            time = self.op(f"lshr {V64} {first}, splat (i64 32)")
            free = self.both("%active", self.either(self.ordered_by_barriers(time), self.by_same_thread(first, time)))
            with self.where(free):  # if several lanes have one granule, one of them stays
                self.scatter("%mine", first_at, free)
                self.lines.append(f"store {V64} {self.gather(first_at)}, ptr %first, align 64")
            stayed = self.op(f"load {V64}, ptr %first, align 64")
            other = self.both("%active", self.op(f"icmp ne {V64} {stayed}, %mine"))
            with self.where(other):
                self.scatter("%mine", self.pointers_to(2, j), other)

    def write(self, granules: int, *, atomic: bool) -> None:
        places = [self.pointers_to(0, j) for j in range(granules)]
        written = [self.gather(place) for place in places]
        for j, stamp in enumerate(written):
            self.check(stamp)
            for array in range(1, at.SHADOW_ARRAYS):
                self.check(self.gather(self.pointers_to(array, j)))
        for place in places:
            self.scatter("%mine", place)
        if atomic:
            return
        for place in places:  # the compiled functions compare lanes that store to one granule
            now = self.gather(place)
            lost = self.both("%active", self.op(f"icmp ne {V64} {now}, %mine"))
            with self.where(lost):
                for target, old in zip(places, written, strict=True):
                    self.scatter(old, target)
                self.lines.append(f"br label %unusual\n{self.label('rest')}:")


class ContiguousStampCheck(StampCheck):
    """The variant for 32 active lanes with consecutive granules: row k has the k-th 32 of them."""

    def __init__(self, in_shared: bool, strength: int, clustered: bool, granules: int) -> None:
        super().__init__(in_shared, strength, clustered, "r")
        self.granules = granules

    def pointers_to(self, array: int, row: int) -> str:
        return self.op(f"getelementptr i64, ptr %row.{array}, i64 {LANES * row}")

    def gather(self, pointers: str) -> str:
        return self.op(f"load {V64}, ptr {pointers}, align 8")

    def scatter(self, value: str, pointers: str, lanes: str = "%active") -> None:
        self.lines.append(f"store {V64} {value}, ptr {pointers}, align 8")

    def threads(self, row: int) -> tuple[str, str]:
        """The thread of each granule of a row, and its new stamp."""
        lanes = ", ".join(f"i64 {(LANES * row + i) // self.granules}" for i in range(LANES))
        me = self.op(f"or {V64} %warp.first.all, <{lanes}>")
        return me, self.op(f"or {V64} %common.all, {me}")

    def load(self, granules: int) -> None:
        threads = [self.threads(row) for row in range(granules)]
        for row, (me, _) in enumerate(threads):
            stamp = self.gather(self.pointers_to(0, row))
            if self.in_shared:
                self.leave_if_unwritten(stamp)
            self.check(stamp, me)
        for row, (me, mine) in enumerate(threads):
            first_at = self.pointers_to(1, row)
            first = self.gather(first_at)
            time = self.op(f"lshr {V64} {first}, splat (i64 32)")
            free = self.either(self.ordered_by_barriers(time), self.by_same_thread(first, time, me))
            self.scatter(self.op(f"select {MASK} {free}, {V64} {mine}, {V64} {first}"), first_at)
            other = self.lanes_without(free)
            with self.where(other):
                second_at = self.pointers_to(2, row)
                second = self.gather(second_at)
                self.scatter(self.op(f"select {MASK} {other}, {V64} {mine}, {V64} {second}"), second_at)

    def write(self, granules: int, *, atomic: bool) -> None:
        threads = [self.threads(row) for row in range(granules)]
        for row, (me, _) in enumerate(threads):
            for array in range(at.SHADOW_ARRAYS):
                self.check(self.gather(self.pointers_to(array, row)), me)
        for row, (_, mine) in enumerate(threads):
            self.scatter(mine, self.pointers_to(0, row))
