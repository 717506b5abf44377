"""Where lanes go: branches, exits, barriers and warp synchronisation, on the program counters of a warp's lanes.

dispatch.py then chooses which lanes continue.
"""

from __future__ import annotations

from ptxbench.emulator.emit import Value
from ptxbench.emulator.flow import (
    Block,
    FlowStep,
)
from ptxbench.emulator.layout import SANITIZE
from ptxbench.emulator.registers import KernelState
from ptxbench.emulator.runtime import barriers, clusters, context, kinds, short
from ptxbench.emulator.runtime.context import MASK, V32
from ptxbench.emulator.runtime.counting import COUNT_BLOCK, COUNT_LANES
from ptxbench.emulator.runtime.trips import CLOSE_ENTRY
from ptxbench.emulator.syntax import (
    Instruction,
)
from ptxbench.emulator.types import B32, PRED, U32

ALL_LANES = 0xFFFFFFFF


class ControlFlow:
    """Ends of blocks, and waits at their beginnings."""

    def __init__(self, kernel: KernelState) -> None:
        self.kernel, self.e, self.ops = kernel, kernel.e, kernel.ops

    # ---- the warp's state

    def state(self, offset: int) -> tuple[str, str]:
        """Address and value of an i32 of the warp's state."""
        address = self.e.op(f"getelementptr i8, ptr %warp, i64 {offset}")
        return address, self.e.op(f"load i32, ptr {address}, align 4")

    def include(self, offset: int, lanes: str) -> None:
        """Add `lanes` to a mask of the warp's state."""
        address, old = self.state(offset)
        self.e.line(f"store i32 {self.e.op(f'or i32 {old}, {lanes}')}, ptr {address}, align 4")

    def exclude_runnable(self, lanes: str) -> None:
        old = self.e.op("load i32, ptr %runnable, align 4")
        remaining = self.e.op(f"and i32 {old}, {self.e.op(f'xor i32 {lanes}, -1')}")
        self.e.line(f"store i32 {remaining}, ptr %runnable, align 4")

    def set_pc(self, lanes: str, block: int) -> None:
        self.e.line(f"call void @{self.ops.function(short.SET_PC)}(ptr %warp, i32 {lanes}, i32 {block})")

    def follow(self, lanes: str, source: int, target: int) -> None:
        """Some lanes go from block `source` to `target`."""
        self.enter_loop(lanes, source, target)
        self.set_pc(lanes, target)

    def set_pcs(self, lanes: str, blocks: str) -> None:
        """Each of `lanes` goes to the block that its element of `blocks` (i32 vector name) gives."""
        old = self.e.op(f"load {V32}, ptr %warp, align 64")
        chosen = self.e.predicate(lanes).ir
        new = self.e.op(f"select {MASK} {chosen}, {V32} {blocks}, {V32} {old}")
        self.e.line(f"store {V32} {new}, ptr %warp, align 64")

    def bump(self, slot: int, amount: str) -> None:
        """Add an i64 to a counter."""
        address = self.e.op(f"getelementptr i64, ptr %counters, i64 {slot}")
        old = self.e.op(f"load i64, ptr {address}")
        self.e.line(f"store i64 {self.e.op(f'add i64 {old}, {amount}')}, ptr {address}")

    def count_block(self, number: int, lanes: str) -> None:
        """`lanes` run block `number`."""
        if not self.e.in_memory:
            self.bump(2 * number, "1")
            self.bump(2 * number + 1, self.lane_count(lanes))
        else:
            self.e.line(f"call void @{self.ops.function(COUNT_BLOCK)}(ptr %counters, i64 {2 * number}, i32 {lanes})")

    def count_lanes(self, slot: int, lanes: str) -> None:
        """Add the number of `lanes` to a counter."""
        if not self.e.in_memory:
            self.bump(slot, self.lane_count(lanes))
        else:
            self.e.line(f"call void @{self.ops.function(COUNT_LANES)}(ptr %counters, i64 {slot}, i32 {lanes})")

    def tick(self, instructions: int) -> None:
        """Advance the warp's clock by the instructions of a block."""
        address = self.e.op(f"getelementptr i8, ptr %warp, i64 {context.WARP_CLOCK}")
        old = self.e.op(f"load i64, ptr {address}")
        self.e.line(f"store i64 {self.e.op(f'add i64 {old}, {instructions}')}, ptr {address}")

    def lane_count(self, mask: str) -> str:
        """How many lanes a mask names, as i64."""
        count = self.e.intrinsic("llvm.ctpop.i32", "i32", ("i32", mask))
        return self.e.op(f"zext i32 {count} to i64")

    # ---- control

    def count_trip(self, number: int) -> None:
        """The warp reaches block `number`; if it is a loop header, one more trip is counted."""
        if number in self.kernel.loop_at:
            loop_number, _ = self.kernel.loop_at[number]
            address = self.e.op(f"getelementptr i8, ptr %registers, i64 {self.kernel.trips_at + 8 * loop_number}")
            old = self.e.op(f"load i64, ptr {address}")
            self.e.line(f"store i64 {self.e.op(f'add i64 {old}, 1')}, ptr {address}")

    def enter_loop(self, lanes: str, source: int, target: int) -> None:
        """`lanes`, if any, go from block `source` to `target`; if they enter a loop, its previous entry has ended."""
        if target in self.kernel.loop_at:
            loop_number, loop = self.kernel.loop_at[target]
            if source not in loop.blocks:
                self.e.line(f"call void @{CLOSE_ENTRY.name}(ptr %registers, ptr %env, i64 {loop_number}, i32 {lanes})")

    def go(self, source: int, target: int) -> None:
        """All lanes of the mask continue at `target`: directly if no other lane could run, else through dispatch."""
        mask = self.ops.mask
        self.enter_loop(mask, source, target)
        if target == len(self.kernel.blocks):
            self.leave(mask)
            return
        if self.e.in_memory:
            alone = self.e.op(
                f"call i1 @{self.ops.function(short.GO)}(ptr %warp, ptr %runnable, i32 {mask}, i32 {target})"
            )
            self.e.line(f"br i1 {alone}, label %b{target}, label %dispatch")
            return
        runnable = self.e.op("load i32, ptr %runnable, align 4")
        alone = self.e.op(f"icmp eq i32 {mask}, {runnable}")
        others_label = self.e.label("others")
        self.e.line(f"br i1 {alone}, label %b{target}, label %{others_label}")
        self.e.line(f"{others_label}:")
        self.set_pc(mask, target)
        self.e.line("br label %dispatch")

    def part(self, number: int) -> None:
        """All lanes continue at the next block through dispatch, which in HALVES takes one half first."""
        self.enter_loop(self.ops.mask, number, number + 1)
        self.set_pc(self.ops.mask, number + 1)
        self.e.line("br label %dispatch")

    def leave(self, lanes: str) -> None:
        """`lanes` have exited."""
        if self.kernel.mode == SANITIZE:
            _, waiting = self.state(context.WARP_WAITING)
            deserted = self.e.op(f"icmp ne i32 {waiting}, 0")
            reported = self.e.op(f"select i1 {deserted}, i32 {lanes}, i32 0")
            self.ops.finding(kinds.EXIT_BEFORE_BARRIER, self.ops.site("barrier"), reported)
        if self.ops.clustered:
            leave_cluster = self.ops.function(clusters.LEAVE)
            self.e.line(f"call void @{leave_cluster}(ptr %env, ptr %warp, i32 {lanes}, i64 {self.ops.line})")
        self.ops.function(barriers.LEAVE)
        woken = self.e.op(f"call i32 @leave(ptr %env, ptr %warp, i32 {lanes})")
        if self.kernel.pool is not None:
            self.kernel.pool.leave(self.kernel, lanes)
        self.exclude_runnable(lanes)
        runnable = self.e.op("load i32, ptr %runnable, align 4")
        self.e.line(f"store i32 {self.e.op(f'or i32 {runnable}, {woken}')}, ptr %runnable, align 4")
        self.e.line("br label %dispatch")

    def end(self, block: Block, number: int) -> None:
        """Leave the block as its last instruction says."""
        last = self.kernel.steps[block.last - 1]
        if last.entry.flow == "barrier":
            self.wait_at_barrier(last, number)
        elif block.parts:
            self.part(number)
        elif last.entry.flow == "switch":
            self.switch(last, block, number)
        elif last.entry.flow not in ("branch", "exit"):
            self.go(number, number + 1)
        elif last.instruction.guard is None:
            if last.entry.flow == "exit":
                self.leave(self.ops.mask)
            else:
                self.go(number, block.successors[0])
        else:
            self.split(last, block, number)

    def split(self, last: FlowStep, block: Block, number: int) -> None:
        """A guarded branch or exit: all lanes take it, none does, or they diverge."""
        e, mask, taken = self.e, self.ops.mask, self.ops.active
        if self.must_be_uniform(last):
            not_all = e.op(f"icmp ne i32 {taken}, {mask}")
            differing = e.op(f"select i1 {not_all}, i32 {taken}, i32 0")
            self.ops.finding(kinds.NOT_UNIFORM, self.ops.site("branch"), differing)
        report = self.kernel.reports[block.last - 1]
        if (
            e.in_memory
            and last.entry.flow != "exit"
            and len(self.kernel.blocks) not in (number + 1, block.successors[0])
        ):
            assert report.divergent_slot is not None
            self.branch(number, block.successors[0], report.divergent_slot)
            return
        staying = e.op(f"xor i32 {mask}, {taken}")
        all_go, some, none_go, part = (e.label(hint) for hint in ("all", "some", "none", "part"))
        e.line(f"br i1 {e.op(f'icmp eq i32 {staying}, 0')}, label %{all_go}, label %{some}")
        e.line(f"{some}:")
        e.line(f"br i1 {e.op(f'icmp eq i32 {taken}, 0')}, label %{none_go}, label %{part}")
        e.line(f"{all_go}:")
        if last.entry.flow == "exit":
            self.leave(mask)
        else:
            self.go(number, block.successors[0])
        e.line(f"{none_go}:")
        self.go(number, number + 1)
        e.line(f"{part}:")
        assert report.divergent_slot is not None
        self.bump(report.divergent_slot, "1")
        self.follow(staying, number, number + 1)
        if last.entry.flow == "exit" or block.successors[0] == len(self.kernel.blocks):
            self.leave(taken)
        else:
            self.follow(taken, number, block.successors[0])
            e.line("br label %dispatch")

    def must_be_uniform(self, step: FlowStep) -> bool:
        """Whether lanes of a warp that go another way than others are to be reported. With .uni this is undefined:
        ptxas leaves out what makes them reconverge. (PTX ISA, "bra".)"""
        return self.kernel.mode == SANITIZE and step.instruction.opcode.endswith(".uni")

    def branch(self, number: int, target: int, divergent_slot: int) -> None:
        """`split` by one call."""
        e, mask, taken = self.e, self.ops.mask, self.ops.active
        following = number + 1
        self.enter_loop(taken, number, target)
        if following in self.kernel.loop_at:
            self.enter_loop(e.op(f"xor i32 {mask}, {taken}"), number, following)
        divergent = e.op(f"getelementptr i64, ptr %counters, i64 {divergent_slot}")
        function, otherwise = self.ops.function(short.BRANCH), e.label("otherwise")
        block = e.op(
            f"call i32 @{function}(ptr %warp, ptr %runnable, ptr {divergent}, i32 {mask}, i32 {taken}, i32 {target}, "
            f"i32 {following})"
        )
        e.line(f"br i1 {e.op(f'icmp eq i32 {block}, {target}')}, label %b{target}, label %{otherwise}")
        e.line(f"{otherwise}:")
        e.line(f"br i1 {e.op(f'icmp eq i32 {block}, {following}')}, label %b{following}, label %dispatch")

    def switch(self, last: FlowStep, block: Block, number: int) -> None:
        """Each active lane goes to the label of its index; an index too large goes to the last (undefined in PTX)."""
        e, report = self.e, self.kernel.reports[block.last - 1]
        index = self.kernel.read_value(last.instruction.operands[0], U32, last.instruction.line)
        targets = block.successors if last.instruction.guard is None else block.successors[:-1]
        index = e.clamp_below(index, len(targets) - 1)
        staying = e.op(f"xor i32 {self.ops.mask}, {self.ops.active}")
        self.follow(staying, number, number + 1)
        assert report.divergent_slot is not None
        divergences, differing, uniform = "0", "0", self.must_be_uniform(last)
        for position, target in enumerate(targets):
            here = self.ops.ballot(e.compare("eq", index, e.constant(position, U32)))
            self.follow(here, number, target)
            any_here = e.op(f"icmp ne i32 {here}, 0")
            not_all_here = e.op(f"icmp ne i32 {here}, {self.ops.mask}")
            diverges = e.op(f"and i1 {any_here}, {not_all_here}")
            divergences = e.op(f"or i64 {divergences}, {e.op(f'zext i1 {diverges} to i64')}")
            differing = e.op(f"select i1 {diverges}, i32 {here}, i32 {differing}") if uniform else differing
        if uniform:
            self.ops.finding(kinds.NOT_UNIFORM, self.ops.site("branch"), differing)
        self.bump(report.divergent_slot, divergences)
        e.line("br label %dispatch")

    def wait_at_barrier(self, last: FlowStep, number: int) -> None:
        """The active lanes wait for the other lanes that the barrier expects; all continue at the next block."""
        if self.kernel.mode == SANITIZE:
            self.check_barrier(number)
        self.follow(self.ops.mask, number, number + 1)
        self.exclude_runnable(self.ops.active)
        self.arrive(last, self.ops.active, barriers.WAITS)
        self.e.line("br label %dispatch")

    def arrive(self, step: FlowStep, lanes: str, kind: int, predicates: str = "0") -> None:
        """`lanes` arrive at the barrier that the operands name."""
        operands = dict(zip((form.name for form in step.entry.operands), step.instruction.operands, strict=True))
        line = step.instruction.line
        count = operands.get("b")
        self.ops.arrive(
            self.kernel.read_value(operands["a"], U32, line),
            self.e.constant(barriers.EVERYONE, U32) if count is None else self.kernel.read_value(count, U32, line),
            lanes,
            kind,
            predicates,
        )

    def guarded(self, instruction: Instruction, mask: str) -> str:
        """The lanes of `mask` with a true guard; all of them if the instruction has no guard."""
        guard = self.guard(instruction)
        if guard is None:
            return mask
        return self.e.op(f"and i32 {mask}, {self.e.lanes_where(guard)}")

    def reduce_at_barrier(self, step: FlowStep, number: int, mask: str) -> str:
        """Lanes at a bar.red wait for its result and then execute it again. Returns the mask of lanes that did."""
        e, instruction = self.e, step.instruction
        active = self.guarded(instruction, mask)
        passed_at, passed = self.state(context.WARP_PASSED)
        returning = e.op(f"and i32 {passed}, {active}")
        arriving = e.op(f"xor i32 {active}, {returning}")
        arrive, on = e.label("arrive"), e.label("on")
        e.line(f"store i32 {e.op(f'xor i32 {passed}, {returning}')}, ptr {passed_at}, align 4")
        remaining = e.op(f"xor i32 {mask}, {arriving}")
        e.line(f"br i1 {e.op(f'icmp eq i32 {arriving}, 0')}, label %{on}, label %{arrive}")
        e.line(f"{arrive}:")
        self.set_pc(mask, number)
        self.exclude_runnable(arriving)
        predicate = self.kernel.read_value(instruction.operands[-1], PRED, instruction.line)
        self.arrive(step, arriving, barriers.REDUCES, e.lanes_where(predicate))
        e.line(f"store i32 {remaining}, ptr %mask, align 4")
        e.line(f"br i1 {e.op(f'icmp eq i32 {remaining}, 0')}, label %dispatch, label %{on}")
        e.line(f"{on}:")
        self.kernel.values.clear()
        return remaining

    def wait_for_cluster(self, step: FlowStep, number: int, mask: str) -> str:
        """A barrier.cluster.wait: lanes wait, and then execute it again. Returns the lanes that continue."""
        e, ops = self.e, self.ops
        active = self.guarded(step.instruction, mask)
        waiting = e.op(
            f"call i32 @{ops.function(clusters.HELD)}(ptr %env, ptr %warp, ptr {ops.site('barrier')}, i32 {active})"
        )
        park, on = e.label("park"), e.label("on")
        remaining = e.op(f"xor i32 {mask}, {waiting}")
        e.line(f"store i32 {remaining}, ptr %mask, align 4")
        e.line(f"br i1 {e.op(f'icmp eq i32 {waiting}, 0')}, label %{on}, label %{park}")
        e.line(f"{park}:")
        self.set_pc(mask, number)
        self.include(context.WARP_PARKED, waiting)
        self.include(context.WARP_CLUSTER_WAITING, waiting)
        self.exclude_runnable(waiting)
        e.line(f"br i1 {e.op(f'icmp eq i32 {remaining}, 0')}, label %dispatch, label %{on}")
        e.line(f"{on}:")
        ops.watching.waited_for_cluster(e.op(f"and i32 {active}, {remaining}"))
        self.kernel.values.clear()
        return remaining

    def wait_for_registers(self, step: FlowStep, number: int, mask: str) -> None:
        """A setmaxnreg of the whole warp: while the pool lacks registers, the warp's turn ends here."""
        if self.kernel.pool is None:
            return
        enough = self.kernel.pool.change(self.kernel, step, self.guarded(step.instruction, mask))
        self.wait_unless(enough, number, mask)

    def wait_for_products(self, step: FlowStep, number: int, mask: str) -> None:
        """A wgmma.wait_group: until the other warps of the group have issued the products, the turn ends here."""
        if step.entry.words[:2] == ("wgmma", "wait_group"):
            issued = self.ops.warpgroups.ready(step.instruction, self.guarded(step.instruction, mask))
            self.wait_unless(issued, number, mask, also=(context.BLOCKED,))

    def wait_unless(self, ready: str, number: int, mask: str, also: tuple[int, ...] = ()) -> None:
        """End the warp's turn at the beginning of block `number`, unless it is `ready` (i1 name). `also`: slots of the
        context that are set then."""
        e = self.e
        lacking, on = e.label("lacking"), e.label("on")
        e.line(f"br i1 {ready}, label %{on}, label %{lacking}")
        e.line(f"{lacking}:")
        self.set_pc(mask, number)
        for slot, value in ((context.YIELDED_AT, number), (context.TESTED, 1), *((slot, 1) for slot in also)):
            address = e.op(f"getelementptr i64, ptr %env, i64 {slot}")
            e.line(f"store i64 {value}, ptr {address}")
        e.line("ret void")
        e.line(f"{on}:")

    def check_barrier(self, number: int) -> None:
        """Report lanes of the warp that wait at another barrier, or have exited and can never arrive.

        Lanes that are still running are not reported: if a loop has one lane wait for another CTA, other lanes may run
        ahead, and ptxas reconverges them later.
        """
        e, ops = self.e, self.ops
        _, waiting = self.state(context.WARP_WAITING)
        _, exited = self.state(context.WARP_EXITED)
        pcs = e.op(f"load {V32}, ptr %warp, align 64")
        elsewhere = e.lanes_where(Value(e.op(f"icmp ne {V32} {pcs}, splat (i32 {number + 1})"), PRED))
        waits_elsewhere = e.op(f"icmp ne i32 {e.op(f'and i32 {waiting}, {elsewhere}')}, 0")
        reported = e.op(f"select i1 {waits_elsewhere}, i32 {ops.active}, i32 0")
        ops.finding(kinds.DIVERGENT_BARRIER, ops.site("barrier"), reported)
        ops.finding(kinds.BARRIER_AFTER_EXIT, ops.site("barrier"), exited)

    def meet(self, step: FlowStep, number: int, mask: str) -> str:
        """A bar.warp.sync: wait for the lanes of the member mask, which may be at different bar.warp.sync instructions.

        Returns the lanes that continue. Lanes that wait at another instruction execute it again later, and pass.
        """
        e, instruction = self.e, step.instruction
        active = self.guarded(instruction, mask)
        passed_at, passed = self.state(context.WARP_PASSED)
        returning = e.op(f"and i32 {passed}, {active}")
        arriving = e.op(f"xor i32 {active}, {returning}")
        e.line(f"store i32 {e.op(f'xor i32 {passed}, {returning}')}, ptr {passed_at}, align 4")
        arrive, park, whole, on = (e.label(hint) for hint in ("arrive", "park", "whole", "on"))
        e.line(f"store i32 {mask}, ptr %mask, align 4")
        e.line(f"br i1 {e.op(f'icmp eq i32 {arriving}, 0')}, label %{on}, label %{arrive}")
        e.line(f"{arrive}:")
        members = self.kernel.read_value(instruction.operands[0], B32, instruction.line)
        lane = e.intrinsic("llvm.cttz.i32", "i32", ("i32", arriving), ("i1", "true"))
        self.check_members(members, arriving)
        member_mask = e.op(f"extractelement {V32} {members.ir}, i32 {lane}")
        mask, arriving = self.require_equal_masks(members, member_mask, arriving, mask, number)
        _, valid = self.state(context.WARP_VALID)
        _, exited = self.state(context.WARP_EXITED)
        parked_at, parked = self.state(context.WARP_PARKED)
        meeting_at, meeting = self.state(context.WARP_MEETING)
        arrived = e.op(f"or i32 {arriving}, {meeting}")
        needed = e.op(f"and i32 {member_mask}, {e.op(f'xor i32 {valid}, {exited}')}")
        missing = e.op(f"and i32 {needed}, {e.op(f'xor i32 {arrived}, -1')}")
        e.line(f"br i1 {e.op(f'icmp eq i32 {missing}, 0')}, label %{whole}, label %{park}")
        e.line(f"{park}:")
        e.line(f"store i32 {e.op(f'or i32 {parked}, {arriving}')}, ptr {parked_at}, align 4")
        e.line(f"store i32 {arrived}, ptr {meeting_at}, align 4")
        self.exclude_runnable(arriving)
        self.set_pc(mask, number)
        remaining = e.op(f"xor i32 {mask}, {arriving}")
        e.line(f"store i32 {remaining}, ptr %mask, align 4")
        e.line(f"br i1 {e.op(f'icmp eq i32 {remaining}, 0')}, label %dispatch, label %{on}")
        e.line(f"{whole}:")
        freed = e.op(f"and i32 {meeting}, {member_mask}")
        e.line(f"store i32 {e.op(f'xor i32 {meeting}, {freed}')}, ptr {meeting_at}, align 4")
        e.line(f"store i32 {e.op(f'xor i32 {parked}, {freed}')}, ptr {parked_at}, align 4")
        runnable = e.op("load i32, ptr %runnable, align 4")
        e.line(f"store i32 {e.op(f'or i32 {runnable}, {freed}')}, ptr %runnable, align 4")
        pcs = e.op(f"load {V32}, ptr %warp, align 64")
        here = e.lanes_where(Value(e.op(f"icmp eq {V32} {pcs}, splat (i32 {number})"), PRED))
        freed_here = e.op(f"and i32 {here}, {freed}")
        self.include(context.WARP_PASSED, e.op(f"xor i32 {freed}, {freed_here}"))
        e.line(f"store i32 {e.op(f'or i32 {mask}, {freed_here}')}, ptr %mask, align 4")
        e.line(f"br label %{on}")
        e.line(f"{on}:")
        self.kernel.values.clear()
        return e.op("load i32, ptr %mask, align 4")

    def require_equal_masks(
        self, members: Value, member_mask: str, lanes: str, mask: str, number: int
    ) -> tuple[str, str]:
        """(mask, lanes) without the lanes whose member mask is not `member_mask`.

        Those lanes come here again later. So tiles of a warp with different masks can execute one instruction each by
        itself.
        """
        e = self.e
        if members.constant is not None:
            return mask, lanes
        equal = e.op(f"icmp eq {V32} {members.ir}, {self.e.splat(member_mask, B32).ir}")
        equal_lanes = e.lanes_where(Value(equal, PRED))
        others = e.op(f"and i32 {lanes}, {e.op(f'xor i32 {equal_lanes}, -1')}")
        apart, together = e.label("apart"), e.label("together")
        e.line(f"br i1 {e.op(f'icmp eq i32 {others}, 0')}, label %{together}, label %{apart}")
        e.line(f"{apart}:")
        self.set_pc(others, number)
        e.line(f"store i32 {e.op(f'xor i32 {mask}, {others}')}, ptr %mask, align 4")
        e.line(f"br label %{together}")
        e.line(f"{together}:")
        mask = e.op("load i32, ptr %mask, align 4")
        return mask, e.op(f"and i32 {lanes}, {mask}")

    def check_members(self, members: Value, lanes: str) -> None:
        """Report a lane of `lanes` that is not in its own member mask: PTX leaves the behaviour undefined."""
        if self.kernel.mode != SANITIZE:
            return
        e = self.e
        if members.constant is not None:
            if others := members.constant ^ ALL_LANES:
                self.ops.finding(kinds.NOT_A_MEMBER, self.ops.site("warp"), e.op(f"and i32 {lanes}, {others}"))
            return
        own_bit = e.op(f"lshr {V32} {members.ir}, {context.multiples('i32', 1)}")
        not_a_member = e.op(f"icmp eq {V32} {e.op(f'and {V32} {own_bit}, splat (i32 1)')}, zeroinitializer")
        outside = e.op(f"and i32 {lanes}, {e.lanes_where(Value(not_a_member, PRED))}")
        self.ops.finding(kinds.NOT_A_MEMBER, self.ops.site("warp"), outside)

    def check_whole_warp(self, active: str, mask: str) -> None:
        """Report the `active` lanes of `mask` if others of the warp have exited or have a false guard: without all
        lanes, an .aligned instruction is undefined. (PTX ISA, "mma".)"""
        e = self.e
        _, exited = self.state(context.WARP_EXITED)
        absent = e.op(f"or i32 {exited}, {e.op(f'xor i32 {active}, {mask}')}")
        alone = e.op(f"icmp ne i32 {absent}, 0")
        self.ops.finding(kinds.PART_OF_WARP, self.ops.site("warp"), e.op(f"select i1 {alone}, i32 {active}, i32 0"))

    def rendezvous(self, step: FlowStep, number: int, mask: str) -> str:
        """Wait until every live lane of the member mask has reached this instruction. Returns the mask of these lanes.

        An `aligned` instruction has no member mask: the whole warp must reach it, whatever its guard is.
        """
        e = self.e
        line = step.instruction.line
        aligned = step.entry.flow in ("aligned", "warpgroup", "register_pool")
        active = mask if aligned else self.guarded(step.instruction, mask)
        if aligned:
            members = e.constant(ALL_LANES, B32)
        else:
            operand = step.instruction.operands[[form.name for form in step.entry.operands].index("membermask")]
            members = self.kernel.read_value(operand, B32, line)
        if not aligned:
            self.check_members(members, active)
        elif self.kernel.mode == SANITIZE:
            self.check_whole_warp(self.guarded(step.instruction, mask), mask)
        if e.in_memory and members.constant is not None:
            return self.meet_members(members.constant, active, number, mask)
        lane = e.intrinsic("llvm.cttz.i32", "i32", ("i32", active), ("i1", "false"))
        any_active = e.op(f"icmp ne i32 {active}, 0")
        first = e.op(f"select i1 {any_active}, i32 {lane}, i32 0")
        member_mask = e.op(f"extractelement {V32} {members.ir}, i32 {first}")
        mask, active = self.require_equal_masks(members, member_mask, active, mask, number)
        _, valid = self.state(context.WARP_VALID)
        _, exited = self.state(context.WARP_EXITED)
        parked_at, parked = self.state(context.WARP_PARKED)
        living = e.op(f"xor i32 {valid}, {exited}")
        pcs = e.op(f"load {V32}, ptr %warp, align 64")
        here = e.lanes_where(Value(e.op(f"icmp eq {V32} {pcs}, splat (i32 {number})"), PRED))
        awaited = e.op(
            f"select i1 {any_active}, i32 {member_mask}, i32 0"
        )  # without an active lane, no lane is waited for
        waiting = e.op(f"and i32 {e.op(f'and i32 {parked}, {here}')}, {awaited}")
        arrived = e.op(f"or i32 {active}, {waiting}")
        needed = e.op(f"and i32 {member_mask}, {living}")
        missing = e.op(f"and i32 {needed}, {e.op(f'xor i32 {arrived}, -1')}")
        incomplete = e.op(f"icmp ne i32 {missing}, 0")
        park, on = e.label("park"), e.label("on")
        e.line(f"br i1 {e.op(f'and i1 {incomplete}, {any_active}')}, label %{park}, label %{on}")
        e.line(f"{park}:")
        e.line(f"store i32 {e.op(f'or i32 {parked}, {active}')}, ptr {parked_at}, align 4")
        self.exclude_runnable(active)
        self.enter_loop(e.op(f"xor i32 {mask}, {active}"), number, number + 1)
        self.set_pc(mask, number + 1)
        self.set_pc(active, number)
        e.line("br label %dispatch")
        e.line(f"{on}:")
        e.line(f"store i32 {e.op(f'xor i32 {parked}, {waiting}')}, ptr {parked_at}, align 4")
        runnable = e.op("load i32, ptr %runnable, align 4")
        e.line(f"store i32 {e.op(f'or i32 {runnable}, {waiting}')}, ptr %runnable, align 4")
        together = e.op(f"or i32 {mask}, {waiting}")
        e.line(f"store i32 {together}, ptr %mask, align 4")
        self.kernel.values.clear()
        return together

    def meet_members(self, members: int, active: str, number: int, mask: str) -> str:
        """`rendezvous` by one call, for members that are known at translation."""
        e = self.e
        function = self.ops.function(short.MEET)
        arguments = f"i32 {members}, i32 {mask}, i32 {active}, i32 {number}"
        together = e.op(f"call i32 @{function}(ptr %warp, ptr %mask, ptr %runnable, {arguments})")
        park, on = e.label("park"), e.label("on")
        e.line(f"br i1 {e.op(f'icmp eq i32 {together}, 0')}, label %{park}, label %{on}")
        e.line(f"{park}:")
        if number + 1 in self.kernel.loop_at:
            self.enter_loop(e.op(f"xor i32 {mask}, {active}"), number, number + 1)
        e.line("br label %dispatch")
        e.line(f"{on}:")
        self.kernel.values.clear()
        return together

    def spend_fuel(self, number: int, mask: str) -> None:
        """A loop head: stop here if the warp's turn is over or a fault has ended it."""
        e = self.e
        address = e.op(f"getelementptr i64, ptr %env, i64 {context.FUEL}")
        fuel = e.op(f"sub i64 {e.op(f'load i64, ptr {address}')}, 1")
        e.line(f"store i64 {fuel}, ptr {address}")
        dry, on = e.label("dry"), e.label("on")
        e.line(f"br i1 {e.op(f'icmp slt i64 {fuel}, 0')}, label %{dry}, label %{on}")
        e.line(f"{dry}:")
        self.set_pc(mask, number)
        self.serve(mask)
        block = e.op(f"getelementptr i64, ptr %env, i64 {context.YIELDED_AT}")
        e.line(f"store i64 {number}, ptr {block}")
        e.line("ret void")
        e.line(f"{on}:")

    def serve(self, lanes: str) -> None:
        """`lanes` have had their turn. Once all ready lanes have had one, every lane but these gets a turn."""
        e = self.e
        address, served = self.state(context.WARP_SERVED)
        all_served = e.op(f"or i32 {served}, {lanes}")
        runnable = e.op("load i32, ptr %runnable, align 4")
        unserved = e.op(f"and i32 {runnable}, {e.op(f'xor i32 {all_served}, -1')}")
        none = e.op(f"icmp eq i32 {unserved}, 0")
        e.line(f"store i32 {e.op(f'select i1 {none}, i32 {lanes}, i32 {all_served}')}, ptr {address}, align 4")

    def guard(self, instruction: Instruction) -> Value | None:
        if instruction.guard is None:
            return None
        value = self.kernel.get(instruction.guard.name)
        return self.e.not_(value) if instruction.negated else value
