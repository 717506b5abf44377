"""wgmma: what its instructions may ask of runtime/warpgroup.py, and the registers that they use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ptxbench.emulator import immediates
from ptxbench.emulator.emit import Value
from ptxbench.emulator.flow import FlowStep, fragments
from ptxbench.emulator.layout import Site
from ptxbench.emulator.parse import syntax_error
from ptxbench.emulator.runtime import conditions, context, descriptors, warpgroup, warpgroup_issue, warpgroup_results
from ptxbench.emulator.runtime.context import V32, V64, RuntimeFunction
from ptxbench.emulator.runtime.product import Multiply
from ptxbench.emulator.runtime.warpgroup import WarpgroupArea
from ptxbench.emulator.syntax import Immediate, Instruction, Operand, Register, Vector
from ptxbench.emulator.types import B64

if TYPE_CHECKING:
    from ptxbench.emulator.warp_ops import WarpOps

PLACES = "@wgmma_places"


def used(steps: Sequence[FlowStep]) -> set[str]:
    """The registers of all products: of D, and of A if it is in registers."""
    return set().union(*(fragments(step) for step in steps if step.entry.flow == "warpgroup"))


@dataclass(frozen=True)
class FragmentRegisters:
    """The registers of all products of a kernel: their names, and where each is in the register file."""

    names: tuple[str, ...]
    places: tuple[int, ...]
    area: WarpgroupArea
    zeroed: tuple[tuple[int, int], ...]
    """What starts as zeros: offset and bytes."""

    def count_of(self, name: str) -> int:
        """The offset, in the register file, of the number of pending products that use a register."""
        return self.area.base + self.area.counts + 4 * self.names.index(name)

    def numbers(self, operands: Sequence[Operand]) -> list[int]:
        return [self.names.index(part.name) for part in operands if isinstance(part, Register)]

    @property
    def table(self) -> str:
        """The LLVM constant with the places."""
        return table(PLACES, self.places)


def lay_out(steps: Sequence[FlowStep], slots: dict[str, int], base: int) -> FragmentRegisters | None:
    """The registers of the products of `steps`, with their area at `base`; None if there are no wgmma instructions."""
    if not any(step.entry.flow == "warpgroup" for step in steps):
        return None
    names = tuple(sorted(used(steps)))
    sparse = any(step.entry.flow == "warpgroup" and "sp" in step.entry.opcode.split(".") for step in steps)
    area = WarpgroupArea(base, len(names), sparse)
    return FragmentRegisters(names, tuple(slots[name] for name in names), area, ((base, area.entries),))


def table(name: str, numbers: Sequence[int]) -> str:
    values = ", ".join(f"i32 {number}" for number in numbers)
    return f"{name} = private constant [{len(numbers)} x i32] [{values}]"


class Warpgroups:
    """Emits the current instruction; `ops` knows its lanes and operands."""

    def __init__(self, ops: WarpOps) -> None:
        self.ops = ops
        self.tables: dict[str, str] = {}
        """The LLVM constants of the instructions."""

    @property
    def fragments(self) -> FragmentRegisters:
        assert self.ops.fragments is not None
        return self.ops.fragments

    @property
    def instruction(self) -> Instruction:
        assert self.ops.instruction is not None
        return self.ops.instruction

    def call(self, function: RuntimeFunction, arguments: str, site: str = "") -> None:
        site = site or self.ops.site("wgmma wait")
        name = self.ops.function(function)
        self.ops.e.line(f"call void @{name}(ptr %env, ptr {site}, ptr %registers, {arguments})")

    def fence(self) -> None:
        self.call(warpgroup.fence(self.fragments.area), f"ptr {PLACES}, i32 {self.ops.active}")

    def commit(self) -> None:
        self.call(warpgroup.commit(self.fragments.area), f"i32 {self.ops.active}")

    def ready(self, instruction: Instruction, lanes: str) -> str:
        """Whether all warps of the group have issued the products that `lanes` wait for at `instruction` (i1 name)."""
        function = self.ops.function(warpgroup_results.ready(self.fragments.area, self.ops.register_bytes))
        kept = self.groups_kept(instruction)
        return self.ops.e.op(f"call i1 @{function}(ptr %env, ptr %registers, ptr {PLACES}, i32 {lanes}, i32 {kept})")

    def wait(self) -> None:
        self.call(
            warpgroup_results.wait(self.fragments.area, self.ops.register_bytes),
            f"ptr {PLACES}, i32 {self.ops.active}, i32 {self.groups_kept(self.instruction)}",
        )

    def groups_kept(self, instruction: Instruction) -> int:
        """How many of its last groups a wgmma.wait_group leaves pending."""
        return immediates.one_of(self.ops, instruction.operands[0], range(1 << 31), "a number of groups")

    def leave(self) -> None:
        """The active lanes exit."""
        self.call(
            warpgroup.leave(self.fragments.area, self.ops.register_bytes),
            f"i32 {self.ops.active}",
            self.ops.site("exit"),
        )

    def issue(
        self,
        multiply: Multiply,
        columns: int,
        a: Value | None,
        b: Value,
        scale: Value,
        flags: int,
        count_d: int,
        metadata: Sequence[Value] = (),
    ) -> None:
        """Issue a product of a warp, with `columns` of D. `a`: None if A is in registers. `metadata`: the metadata of a
        sparse A, in the order of sparse.word_names."""
        ops, e = self.ops, self.ops.e
        if isinstance(immediates.operand(ops, "scale"), Immediate):
            immediates.number(ops, "scale", (0, 1), "a predicate, 0 or 1 for the scale of D")
        d, *a_vectors = [operand for operand in self.instruction.operands if isinstance(operand, Vector)]
        self.check(d, count_d, "D")
        for vector in a_vectors:
            self.check(vector, 4, "A")
        numbers = self.fragments.numbers([*d.parts, *(part for vector in a_vectors for part in vector.parts)])
        rows = warpgroup.WARPS * descriptors.ROWS
        operand_bytes = descriptors.K_BYTES * (columns * (2 if multiply.sparse else 1) + (rows if a is not None else 0))
        name = f"@wgmma_table_{len(self.tables)}"
        flags |= warpgroup.DOUBLE_B if multiply.sparse else 0
        head = [count_d, 4 * len(a_vectors), columns, flags, operand_bytes, 0, 0, 0]
        self.tables[name] = table(name, [*head, *numbers])
        slot = ops.reserve_counters(context.SITE_SLOTS)
        ops.sites.append(Site(ops.step, slot, multiply.types[1], "wgmma", 2 * rows * columns * multiply.row_elements))
        site = e.op(f"getelementptr i64, ptr %counters, i64 {slot}")
        first = e.constant(0, B64) if a is None else a
        scaled = e.lanes_where(scale)
        product = ops.function(descriptors.product(multiply, bool(ops.reserved_inside), self.fragments.area.sparse))
        origin = "0"
        if not ops.reserved_inside:
            lane = e.op(f"extractelement {V32} {e.op(conditions.SHARED_ORIGIN.load)}, i64 0")
            origin = e.op(f"zext i32 {lane} to i64")
        self.call(
            warpgroup_issue.issue(self.fragments.area, ops.register_bytes),
            f"ptr {PLACES}, i32 {ops.active}, {V64} {first.ir}, {V64} {b.ir}, i32 {scaled}, ptr {name}, "
            f"ptr @{product}, i64 {origin}{self.sparse_arguments(metadata) if self.fragments.area.sparse else ''}",
            site,
        )

    def sparse_arguments(self, metadata: Sequence[Value]) -> str:
        """The last arguments of `issue` in a kernel with sparse products."""
        words = [word.ir for word in metadata]
        words += ["zeroinitializer"] * (warpgroup.METADATA_WORDS - len(words))
        return "".join(f", {V32} {word}" for word in words)

    def check(self, vector: Vector, count: int, which: str) -> None:
        if len(vector.parts) != count:
            raise syntax_error(self.ops.line, f"expected {count} registers of {which}, found {len(vector.parts)}.")
        if not all(isinstance(part, Register) for part in vector.parts):
            raise syntax_error(self.ops.line, f"expected registers in the vector of {which}.")
