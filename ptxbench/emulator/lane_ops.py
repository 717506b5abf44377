"""What an instruction may do with the values of other lanes of its warp: a part of WarpOps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.runtime import conditions, kinds, lanes, matching
from ptxbench.emulator.runtime.context import V32, RuntimeFunction
from ptxbench.emulator.types import B32, LANES, PRED


class LaneOps:
    """`active`: the lanes of the warp that take part (i32 name)."""

    e: Emitter
    active: str
    moves_marks = False
    """Whether an instruction has marks in place of its values (marks.py)."""

    if TYPE_CHECKING:
        sanitize: bool

        def function(self, function: RuntimeFunction) -> str: ...

        def finding(self, kind: int, site: str, lanes: str) -> None: ...

        def site(self, kind: str) -> str: ...

    @property
    def watches_sources(self) -> bool:
        """Whether shuffles from inactive lanes are recorded."""
        return self.sanitize and not self.moves_marks

    def active_lanes(self) -> Value:
        """The active mask, in every lane."""
        return self.e.splat(self.active, B32)

    def is_active(self) -> Value:
        return self.e.predicate(self.active)

    def ballot(self, predicate: Value) -> str:
        """The active lanes where `predicate` is true (i32 name)."""
        bits = self.e.lanes_where(predicate)
        return self.e.op(f"and i32 {bits}, {self.active}")

    def everywhere(self, condition: str) -> Value:
        """Broadcast an i1 to a predicate of all lanes."""
        return self.e.splat(condition, PRED)

    def permute(self, a: Value, sources: Value) -> Value:
        """Lane i of the result is lane `sources[i]` of the 32-bit `a`."""
        function = self.function(lanes.PERMUTE)
        bits = self.e.bits(a)
        call = f"call {V32} @{function}({V32} {bits.ir}, {V32} {sources.ir})"
        return self.e.as_type(Value(self.e.op(call), B32), a.type)

    def match(self, a: Value) -> Value:
        """For each active lane, the mask of the active lanes with the same value."""
        function = self.function(matching.match_any(a.type.bits))
        bits = self.e.bits(a)
        call = f"call {V32} @{function}({bits.type.vector} {bits.ir}, i32 {self.active})"
        return Value(self.e.op(call), B32)

    def leader(self) -> Value:
        """The number of the lowest active lane, in every lane."""
        return self.e.splat(self.e.intrinsic("llvm.cttz.i32", "i32", ("i32", self.active), ("i1", "false")), B32)

    def elected(self) -> Value:
        """The number of the active lane that elect.sync elects, in every lane."""
        first = self.e.intrinsic("llvm.cttz.i32", "i32", ("i32", self.active), ("i1", "false"))
        above = self.e.intrinsic("llvm.ctlz.i32", "i32", ("i32", self.active), ("i1", "false"))
        last = self.e.op(f"sub i32 {LANES - 1}, {above}")
        highest = self.e.op(f"icmp ne i64 {self.e.op(conditions.HIGHEST_ELECTED.load)}, 0")
        return self.e.splat(self.e.op(f"select i1 {highest}, i32 {last}, i32 {first}"), B32)

    def of_inactive(self, own: Value) -> Value:
        """What a shuffle gives a lane whose source is inactive, which PTX leaves undefined: its own value, with other
        bits in some launches. Not when sanitizing, where marks of values are shuffled too: then `note_sources`."""
        if self.sanitize:
            return own
        return self.e.xor(own, Value(self.e.op(conditions.INACTIVE.load), B32))

    def note_sources(self, are_active: Value) -> None:
        """When sanitizing: record if an active lane reads one that is not active, where `are_active` is 0."""
        inactive = self.e.compare("eq", are_active, self.e.constant(0, B32))
        self.finding(kinds.INACTIVE_SOURCE, self.site("shuffle"), self.ballot(inactive))

    def reduce(self, operation: str, a: Value, neutral: int) -> Value:
        """llvm.vector.reduce.OPERATION over the active lanes of an integer, in every lane."""
        chosen = self.e.select(self.is_active(), a, self.e.constant(neutral, a.type))
        name = f"llvm.vector.reduce.{operation}.v{LANES}i{a.type.bits}"
        return self.e.splat(self.e.intrinsic(name, a.type.element, (a.type.vector, chosen.ir)), a.type)
