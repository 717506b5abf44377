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
def multiply(product: Multiply, hardware_fma: bool = True) -> RuntimeFunction:
    """`NAME(a0, ..., b0, ..., c0, ..., active, site)` -> d0, ...; does nothing if no lane is active.

    Before `active` come the words of a sparse product's metadata (sparse.py), and the scales (scales.py).
    """
    e = Emitter(hardware_fma=hardware_fma)
    operands = [
        [Value(f"%{name}.register{i}", word(kind)) for i in range(count)]
        for name, kind, count in zip("abc", product.types[1:], product.registers[1:], strict=True)
    ]
    more_parameters = [Value(f"%{name}", B32) for name in word_names(product)] if product.sparse else []
    more_parameters += [Value(f"%{name}", B32) for name in scales.NAMES] if product.scales else []
    sums = MatrixSums(e, product, operands, hardware_fma)
    addends = elements(e, operands[2], product.types[3], product.bits(3))
    if product.d:
        locations_of_c = locations_in(product.c)
        addends = [gathered(e, addends, [locations_of_c[place] for place in lanes]) for lanes in product.d]
    results = [sums.sum_at(places, c) for places, c in zip(product.d or product.c, addends, strict=True)]
    results = packed(e, results, product.types[0])
    returns = struct(results[0].type, len(results))
    result_struct = structure(e, results)
    arguments = ", ".join(
        f"{value.type.vector} {value.ir}" for value in (*itertools.chain(*operands), *more_parameters)
    )
    text = f"""
define internal {returns} @{product.name}({arguments}, i32 %active, ptr %site) noinline {{
entry:
  {sums.arrays}
  %idle = icmp eq i32 %active, 0
  br i1 %idle, label %nothing, label %go
nothing:
  ret {returns} zeroinitializer
go:
  {bump(REQUESTS, "1")}
  {chr(10).join(e.lines)}
  ret {returns} {result_struct}
}}
"""
    return RuntimeFunction(product.name, text, tuple(sums.needs), tuple(sorted(e.declarations)))


class MatrixSums:
    """The sums of one product: A and B decoded, in operand arrays, and the function that adds up."""

    def __init__(self, e: Emitter, product: Multiply, operands: Sequence[Sequence[Value]], hardware_fma: bool) -> None:
        self.e = e
        self.product = product
        self.scales = scales.LaneScales(e, product.scales) if product.scales else None
        self.grouped = product.model is not None and product.model.group > 0
        if self.grouped:
            self.needs = [scales.dot_grouped(product)]
            lift = 0
        else:
            self.dot, lift = dot_product(product, hardware_fma)
            self.needs = [self.dot.first, self.dot.following]
        a, b = (
            [self.decoded(x, kind, lifted) for x in elements(e, words, kind, product.bits(i))]
            for i, words, kind, lifted in (
                (1, operands[0], product.types[1], lift),
                (2, operands[1], product.types[2], 0),
            )
        )
        if self.scales is not None and not self.grouped:
            a = [with_scale(e, x, self.scales.of_rows(self.operand_index(product.a, i, 1), 0)) for i, x in enumerate(a)]
            b = [
                with_scale(e, x, self.scales.of_columns(self.operand_index(product.b, i, 2), 0))
                for i, x in enumerate(b)
            ]
        self.special = any_special(e, [*a, *b]) if product.model and not self.grouped else ""
        self.rows = OperandArray(e, "%a.array", a, locations_in(product.a))
        self.columns = OperandArray(e, "%b.array", b, locations_in(product.b))
        if product.sparse:
            self.choose = choose(product, len(b[0]))
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
        if self.product.sparse:
            sizes["chosen"] = STEP * self.product.terms
        lines = (f"%{name}.array = alloca [{max(1, size)} x i8], align 64" for name, size in sizes.items())
        return "\n  ".join(lines)

    def sum_at(self, places: Sequence[Place], c: Value) -> Value:
        """D at `places`, one per lane, with the addend C."""
        e, product, order = self.e, self.product, self.product.order
        rows = self.rows.at([[(matrix, row, k) for matrix, row, _ in places] for k in order])
        b_order = range(product.depth) if product.sparse else order
        columns = self.columns.at([[(matrix, k, column) for matrix, _, column in places] for k in b_order])
        if product.sparse:
            high = places[0][1] // 8
            words = (f"{V32} %{name}" for name in word_names(product) if name.startswith(f"indices.{high}."))
            e.line(f"call void @{self.choose.name}(ptr {columns}, ptr %chosen.array, {', '.join(words)})")
            columns = "%chosen.array"
        if self.grouped:
            assert self.scales is not None
            return scales.grouped_sum(e, product, self.scales, places, rows, columns, c)
        halves = product.model is not None and product.model.halves
        total = self.dot.apply(e, rows, columns, e.constant(0, c.type) if halves else c, self.special)
        return nearest_sum(e, total, c, product.types[0]) if halves else total


def locations_in(fragment: Fragment) -> dict[Place, tuple[int, int]]:
    """For each place of the matrix, the element and the lane that hold it; the first if there are several."""
    locations: dict[Place, tuple[int, int]] = {}
    for element, lanes in enumerate(fragment):
        for lane, place in enumerate(lanes):
            locations.setdefault(place, (element, lane))
    return locations


class OperandArray:
    """Rows of A or columns of B in memory: for each k, a vector with the element that each lane needs.

    Results that need the same rows share them.
    """

    def __init__(self, e: Emitter, base: str, decoded_elements: Sequence[Planes], places: dict[Place, tuple[int, int]]):
        self.e = e
        self.base = base
        self.decoded_elements = decoded_elements
        self.places = places
        self.offsets: dict[tuple[tuple[Place, ...], ...], int] = {}
        self.size = 0

    def at(self, places: Sequence[Sequence[Place]]) -> str:
        """A pointer to the array for these places, by k and lane; it is filled on first use."""
        key = tuple(map(tuple, places))
        if key not in self.offsets:
            self.offsets[key] = self.size
            for lanes in key:
                self.append([self.places[place] for place in lanes])
        return self.e.op(f"getelementptr i8, ptr {self.base}, i64 {self.offsets[key]}")

    def append(self, sources: Sequence[tuple[int, int]]) -> None:
        """Store the vector of one k; `sources`: the element and the lane, for each lane."""
        for plane in range(len(self.decoded_elements[0])):
            value = gathered(self.e, [planes[plane] for planes in self.decoded_elements], sources)
            at = self.e.op(f"getelementptr i8, ptr {self.base}, i64 {self.size + 128 * plane}")
            self.e.line(f"store {value.type.vector} {value.ir}, ptr {at}, align 64")
        self.size += STEP
