"""Products of small matrices, as out-of-line functions on fragments: one for each instruction and architecture.

A fragment is passed as registers, 32 lanes each. Elements are decoded register by register (elements.py), then shuffled
into operand arrays in memory: one vector per k, in which each lane has the A[k] or B[k] of its own result. Then every
lane computes a dot product; its loop over k is a separate function (dot_products.py).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.runtime import scales
from ptxbench.emulator.runtime.context import REQUESTS, V32, RuntimeFunction, bump
from ptxbench.emulator.runtime.dot_products import STEP, dot_product
from ptxbench.emulator.runtime.elements import Planes, any_special, decoded, elements, packed, word
from ptxbench.emulator.runtime.product import Multiply
from ptxbench.emulator.runtime.rearrange import gathered, struct, structure
from ptxbench.emulator.runtime.scales import with_scale
from ptxbench.emulator.runtime.sparse import choose, word_names
from ptxbench.emulator.runtime.tensor_rounding import nearest_sum
from ptxbench.emulator.tensor import Fragment, Place
from ptxbench.emulator.types import B32


@functools.cache
def multiply(what: Multiply, hardware_fma: bool = True) -> RuntimeFunction:
    """`NAME(a0, ..., b0, ..., c0, ..., active, site)` -> d0, ...; does nothing if no lane is active.

    Before `active` come the words of a sparse product's metadata (sparse.py), and the scales (scales.py).
    """
    e = Emitter(hardware_fma=hardware_fma)
    operands = [
        [Value(f"%{name}.register{i}", word(kind)) for i in range(count)]
        for name, kind, count in zip("abc", what.types[1:], what.registers[1:], strict=True)
    ]
    more = [Value(f"%{name}", B32) for name in word_names(what)] if what.sparse else []
    more += [Value(f"%{name}", B32) for name in scales.NAMES] if what.scales else []
    sums = MatrixSums(e, what, operands, hardware_fma)
    addends = elements(e, operands[2], what.types[3], what.bits(3))
    if what.d:
        held = where(what.c)
        addends = [gathered(e, addends, [held[place] for place in lanes]) for lanes in what.d]
    results = [sums.of(places, c) for places, c in zip(what.d or what.c, addends, strict=True)]
    results = packed(e, results, what.types[0])
    returns = struct(results[0].type, len(results))
    whole = structure(e, results)
    arguments = ", ".join(f"{value.type.vector} {value.ir}" for value in (*itertools.chain(*operands), *more))
    text = f"""
define internal {returns} @{what.name}({arguments}, i32 %active, ptr %site) noinline {{
entry:
  {sums.arrays}
  %idle = icmp eq i32 %active, 0
  br i1 %idle, label %nothing, label %go
nothing:
  ret {returns} zeroinitializer
go:
  {bump(REQUESTS, "1")}
  {chr(10).join(e.lines)}
  ret {returns} {whole}
}}
"""
    return RuntimeFunction(what.name, text, tuple(sums.needs), tuple(sorted(e.declarations)))


class MatrixSums:
    """The sums of one product: A and B decoded, in operand arrays, and the function that adds up."""

    def __init__(self, e: Emitter, what: Multiply, operands: Sequence[Sequence[Value]], hardware_fma: bool) -> None:
        self.e = e
        self.what = what
        self.scales = scales.LaneScales(e, what.scales) if what.scales else None
        self.grouped = what.model is not None and what.model.group > 0
        if self.grouped:
            self.needs = [scales.dot_grouped(what)]
            lift = 0
        else:
            self.dot, lift = dot_product(what, hardware_fma)
            self.needs = [self.dot.first, self.dot.rest]
        a, b = (
            [self.decoded(x, kind, lifted) for x in elements(e, words, kind, what.bits(i))]
            for i, words, kind, lifted in ((1, operands[0], what.types[1], lift), (2, operands[1], what.types[2], 0))
        )
        if self.scales is not None and not self.grouped:
            a = [with_scale(e, x, self.scales.of_rows(self.operand_index(what.a, i, 1), 0)) for i, x in enumerate(a)]
            b = [with_scale(e, x, self.scales.of_columns(self.operand_index(what.b, i, 2), 0)) for i, x in enumerate(b)]
        self.special = any_special(e, [*a, *b]) if what.model and not self.grouped else ""
        self.rows = OperandArray(e, "%a.array", a, where(what.a))
        self.columns = OperandArray(e, "%b.array", b, where(what.b))
        if what.sparse:
            self.choose = choose(what, len(b[0]))
            self.needs.append(self.choose)

    def decoded(self, x: Value, kind: str, lift: int) -> Planes:
        return (scales.doubled(self.e, x),) if self.grouped else decoded(self.e, x, kind, lift)

    def operand_index(self, fragment: Fragment, element: int, part: int) -> list[int]:
        """The row (part 1) or column (part 2) of each lane's element."""
        return [place[part] for place in fragment[element]]

    @property
    def arrays(self) -> str:
        """The memory of the operand arrays."""
        sizes = {"a": self.rows.size, "b": self.columns.size}
        if self.what.sparse:
            sizes["chosen"] = STEP * self.what.terms
        lines = (f"%{name}.array = alloca [{max(1, size)} x i8], align 64" for name, size in sizes.items())
        return "\n  ".join(lines)

    def of(self, places: Sequence[Place], c: Value) -> Value:
        """D at `places`, one per lane, with the addend C."""
        e, what, order = self.e, self.what, self.what.order
        rows = self.rows.at([[(matrix, row, k) for matrix, row, _ in places] for k in order])
        every = range(what.depth) if what.sparse else order
        columns = self.columns.at([[(matrix, k, column) for matrix, _, column in places] for k in every])
        if what.sparse:
            high = places[0][1] // 8
            words = (f"{V32} %{name}" for name in word_names(what) if name.startswith(f"indices.{high}."))
            e.line(f"call void @{self.choose.name}(ptr {columns}, ptr %chosen.array, {', '.join(words)})")
            columns = "%chosen.array"
        if self.grouped:
            assert self.scales is not None
            return scales.grouped_sum(e, what, self.scales, places, rows, columns, c)
        halves = what.model is not None and what.model.halves
        total = self.dot.apply(e, rows, columns, e.constant(0, c.type) if halves else c, self.special)
        return nearest_sum(e, total, c, what.types[0]) if halves else total


def where(fragment: Fragment) -> dict[Place, tuple[int, int]]:
    """For each place of the matrix, the element and the lane that hold it; the first if there are several."""
    result: dict[Place, tuple[int, int]] = {}
    for element, lanes in enumerate(fragment):
        for lane, place in enumerate(lanes):
            result.setdefault(place, (element, lane))
    return result


class OperandArray:
    """Rows of A or columns of B in memory: for each k, a vector with each lane's own element.

    Results that need the same rows share them.
    """

    def __init__(self, e: Emitter, base: str, held: Sequence[Planes], places: dict[Place, tuple[int, int]]):
        self.e = e
        self.base = base
        self.held = held
        self.places = places
        self.offsets: dict[tuple[tuple[Place, ...], ...], int] = {}
        self.size = 0

    def at(self, wanted: Sequence[Sequence[Place]]) -> str:
        """A pointer to the array for these places, by k and lane; it is filled on first use."""
        key = tuple(map(tuple, wanted))
        if key not in self.offsets:
            self.offsets[key] = self.size
            for lanes in key:
                self.put([self.places[place] for place in lanes])
        return self.e.op(f"getelementptr i8, ptr {self.base}, i64 {self.offsets[key]}")

    def put(self, sources: Sequence[tuple[int, int]]) -> None:
        for plane in range(len(self.held[0])):
            value = gathered(self.e, [planes[plane] for planes in self.held], sources)
            at = self.e.op(f"getelementptr i8, ptr {self.base}, i64 {self.size + 128 * plane}")
            self.e.line(f"store {value.type.vector} {value.ir}, ptr {at}, align 64")
        self.size += STEP
