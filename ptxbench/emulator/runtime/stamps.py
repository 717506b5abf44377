"""The stamps of one access, in vectors of all lanes: whether each lane is ordered after them, and the new stamps.

For most accesses a few comparisons show that they are ordered: the granule was not accessed before, the CTA has met at
a barrier since, the whole warp has met since, the same thread made the access, or both accesses are strong. In all
other cases the generated code branches to the label %unusual. (races/layout.py explains stamps.)
"""

from __future__ import annotations

from ptxbench.emulator.races import layout
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
MAKER = layout.ASYNC | (1 << layout.THREAD_BITS) - 1
"""The bits of a stamp that name the thread, and whether its asynchronous copy made the access."""
IN_WARP = layout.ASYNC | (1 << layout.THREAD_BITS) - 1 & ~31
"""The same, with the warp instead of the thread."""


class StampCheck(LaneLines):
    """IR text for the stamps of one access, gathered by lane. `clustered`: other CTAs may access
    the shared memory."""

    def __init__(self, in_shared: bool, strength: int, clustered: bool, prefix: str = "n") -> None:
        super().__init__(prefix)
        self.in_shared = in_shared
        self.clustered = clustered
        enough = layout.STRONG_GPU if not in_shared else layout.STRONG_CLUSTER if clustered else layout.STRONG_CTA
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
        """The lanes whose granule was not accessed, or where barriers order the access at `time` before this one."""
        before = self.op(f"icmp ule {V64} {time}, %barrier.all")
        if self.in_shared and not self.clustered:
            return before
        if self.in_shared:
            from_earlier_cta = self.op(f"icmp ult {V64} {time}, %start.all")
            return self.either(from_earlier_cta, self.both(self.op(f"icmp uge {V64} {time}, %since.all"), before))
        unaccessed = self.op(f"icmp eq {V64} {time}, zeroinitializer")
        by_this_cta = self.op(f"icmp uge {V64} {time}, %since.all")
        grid = self.op(f"icmp ule {V64} {time}, %grid.all")
        return self.either(unaccessed, self.both(by_this_cta, before), grid)

    def by_same_thread(self, stamp: str, time: str, thread: str = "%threads") -> str:
        """The lanes where the same thread made the stamp."""
        maker = self.op(f"and {V64} {stamp}, splat (i64 {MAKER})")
        same_maker = self.op(f"icmp eq {V64} {maker}, {thread}")
        return self.both(same_maker, self.op(f"icmp uge {V64} {time}, %since.all"))

    def check(self, stamp: str, thread: str = "%threads") -> None:
        """Branch to %unusual unless every lane is ordered after the access of its stamp."""
        time = self.op(f"lshr {V64} {stamp}, splat (i64 32)")
        open_lanes = self.lanes_without(self.ordered_by_barriers(time))
        with self.where(open_lanes):
            warp = self.op(f"and {V64} {stamp}, splat (i64 {IN_WARP})")
            same_warp = self.op(f"icmp eq {V64} {warp}, %warp.first.all")
            met = self.op(f"icmp ule {V64} {time}, %sync.all")
            by_this_cta = self.op(f"icmp uge {V64} {time}, %since.all")
            fine = self.either(self.both(same_warp, met, by_this_cta), self.by_same_thread(stamp, time, thread))
            if self.strong:
                bits = self.op(f"and {V64} {stamp}, splat (i64 {layout.PROXY})")
                fine = self.either(fine, self.op(f"icmp eq {V64} {bits}, splat (i64 {layout.STRONG_BIT})"))
            self.leave_if(self.both(open_lanes, self.op(f"xor {MASK} {fine}, splat (i1 true)")), "unusual")

    def leave_if_weak(self, stamp: str) -> None:
        """Branch to %unusual if a weak write, which an atomic must not hide, is not known to all who may access the
        granule."""
        time = self.op(f"lshr {V64} {stamp}, splat (i64 32)")
        bits = self.op(f"and {V64} {stamp}, splat (i64 {layout.PROXY})")
        strong = self.op(f"icmp eq {V64} {bits}, splat (i64 {layout.STRONG_BIT})")
        if self.in_shared:
            known = self.ordered_by_barriers(time)
        else:
            unaccessed = self.op(f"icmp eq {V64} {time}, zeroinitializer")
            known = self.either(unaccessed, self.op(f"icmp ule {V64} {time}, %grid.all"))
        self.leave_if(self.lanes_without(self.either(strong, known)), "unusual")

    def leave_if_unwritten(self, stamp: str) -> None:
        """Branch to %unusual if a lane's granule was not written since the CTA started."""
        time = self.op(f"lshr {V64} {stamp}, splat (i64 32)")
        self.leave_if(self.both("%active", self.op(f"icmp ult {V64} {time}, %start.all")), "unusual")

    def leave_if_written(self, stamp: str) -> None:
        """Branch to %unusual if a lane's granule was written, which the compiled functions judge."""
        self.leave_if(self.both("%active", self.op(f"icmp ne {V64} {stamp}, zeroinitializer")), "unusual")

    def load(self, granules: int, *, read_only: bool) -> None:
        """Check and set the stamps of a load of `granules` granules per lane."""
        written = [self.gather(self.pointers_to(0, j)) for j in range(granules)]
        for stamp in written:
            if self.in_shared:  # never written
                self.leave_if_unwritten(stamp)
            if read_only:
                self.leave_if_written(stamp)
            self.check(stamp)
        for j in range(granules):
            first_at = self.pointers_to(1, j)
            first = self.gather(first_at)
            self.lines.append(f"store {V64} {first}, ptr %first, align 64")
            time = self.op(f"lshr {V64} {first}, splat (i64 32)")
            replaceable = self.both(
                "%active", self.either(self.ordered_by_barriers(time), self.by_same_thread(first, time))
            )
            with self.where(replaceable):  # if several lanes have one granule, the stamp of one of them stays
                self.scatter("%new.stamps", first_at, replaceable)
                self.lines.append(f"store {V64} {self.gather(first_at)}, ptr %first, align 64")
            stored_first = self.op(f"load {V64}, ptr %first, align 64")
            other_lanes = self.both("%active", self.op(f"icmp ne {V64} {stored_first}, %new.stamps"))
            with self.where(other_lanes):
                self.scatter("%new.stamps", self.pointers_to(2, j), other_lanes)

    def write(self, granules: int, kind: str) -> None:
        """Check and set the stamps of a write of `granules` granules per lane: of a store, or of an atomic, which is an
        "overwrite" if it depends on no old value."""
        atomic = kind != "store"
        pointers = [self.pointers_to(0, j) for j in range(granules)]
        written = [self.gather(pointer) for pointer in pointers]
        for j, stamp in enumerate(written):
            if self.in_shared and kind == "atomic":  # never written
                self.leave_if_unwritten(stamp)
            self.check(stamp)
            if atomic:
                self.leave_if_weak(stamp)
            for array in range(1, layout.SHADOW_ARRAYS):
                self.check(self.gather(self.pointers_to(array, j)))
        for pointer in pointers:
            self.scatter("%new.stamps", pointer)
        if atomic:
            return
        for pointer in pointers:  # the compiled functions compare lanes that store to one granule
            stored = self.gather(pointer)
            overwritten = self.both("%active", self.op(f"icmp ne {V64} {stored}, %new.stamps"))
            with self.where(overwritten):
                for target, old in zip(pointers, written, strict=True):
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
        threads = self.op(f"or {V64} %warp.first.all, <{lanes}>")
        return threads, self.op(f"or {V64} %common.all, {threads}")

    def load(self, granules: int, *, read_only: bool) -> None:
        rows = [self.threads(row) for row in range(granules)]
        for row, (threads_of_row, _) in enumerate(rows):
            stamp = self.gather(self.pointers_to(0, row))
            if self.in_shared:
                self.leave_if_unwritten(stamp)
            if read_only:
                self.leave_if_written(stamp)
            self.check(stamp, threads_of_row)
        for row, (threads_of_row, new_stamps) in enumerate(rows):
            first_at = self.pointers_to(1, row)
            first = self.gather(first_at)
            time = self.op(f"lshr {V64} {first}, splat (i64 32)")
            replaceable = self.either(self.ordered_by_barriers(time), self.by_same_thread(first, time, threads_of_row))
            self.scatter(self.op(f"select {MASK} {replaceable}, {V64} {new_stamps}, {V64} {first}"), first_at)
            other_lanes = self.lanes_without(replaceable)
            with self.where(other_lanes):
                second_at = self.pointers_to(2, row)
                second = self.gather(second_at)
                self.scatter(self.op(f"select {MASK} {other_lanes}, {V64} {new_stamps}, {V64} {second}"), second_at)

    def write(self, granules: int, kind: str) -> None:
        rows = [self.threads(row) for row in range(granules)]
        for row, (threads_of_row, _) in enumerate(rows):
            stamps = [self.gather(self.pointers_to(array, row)) for array in range(layout.SHADOW_ARRAYS)]
            if self.in_shared and kind == "atomic":
                self.leave_if_unwritten(stamps[0])
            for stamp in stamps:
                self.check(stamp, threads_of_row)
            if kind != "store":
                self.leave_if_weak(stamps[0])
        for row, (_, new_stamps) in enumerate(rows):
            self.scatter(new_stamps, self.pointers_to(0, row))
