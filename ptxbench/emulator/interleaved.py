"""Values that stay in the order of memory from a vector load to a vector store.

A kernel that is bound by memory often loads four floats a thread, computes with each, and stores four. As vectors of
lanes they are sorted by element after the load and mixed again before the store, which takes longer than all the rest.
An operation that treats each element in the same way gives the same bits in the order of memory
(runtime/interleaving.py).
So a store looks for such operations between loads and itself, and repeats them on the interleaved vectors. LLVM drops
the operations on vectors of lanes if nothing else uses them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptxbench.emulator.definitions import NAME, VECTOR, Definitions
from ptxbench.emulator.runtime.interleaving import deinterleaved, in_pieces
from ptxbench.emulator.types import LANES, Type

if TYPE_CHECKING:
    from ptxbench.emulator.emit import Emitter

LANE_CONSTANTS = re.compile(r"<(?:i\d+|half|float|double) ")
"""The start of a constant with a value for each lane."""
ELEMENTWISE = re.compile(
    rf"(?:f?(?:add|sub|mul|div)|fneg|and|or|xor|shl|lshr|ashr|[if]cmp \w+) {VECTOR} .*"
    rf"|select {VECTOR} .*"
    rf"|(?:bitcast|trunc|zext|sext|fptrunc|fpext) {VECTOR} %\S+ to {VECTOR}"
    rf"|call {VECTOR} @llvm\.(?:fma|fabs|sqrt|[su](?:min|max))\.v{LANES}\w+\(.*"
    rf'|call {VECTOR} @"[^"]+"\({VECTOR} %\S+(?:, {VECTOR} %\S+)*\)'
)
"""An operation whose result in each lane depends only on the operands in that lane. The last form is that of calls of
functions from Emitter.outline."""


class InterleavedVectors:
    """The interleaved vectors of a kernel's loads, and what stores make of them."""

    def __init__(self, e: Emitter, definitions: Definitions) -> None:
        self.e, self.definitions = e, definitions
        self.loaded: dict[str, tuple[tuple[str, ...], int]] = {}
        """For each vector of lanes that was loaded: the interleaved ones of that load, and its number among them."""

    def sorted(self, vectors: Sequence[str], kind: Type) -> list[str]:
        """The vectors of lanes with the elements of a load's interleaved `vectors`."""
        prefix = self.e.label("v")
        cuts, pieces = in_pieces(vectors, kind.bytes, f"{prefix}.p")
        lines, of_lanes = deinterleaved(pieces, len(vectors), kind.element, f"{prefix}.t")
        for line in (*cuts, *lines):
            self.e.line(line)
        for number, name in enumerate(of_lanes):
            self.loaded[name] = (tuple(vectors), number)
        return of_lanes

    def of(self, values: Sequence[str]) -> tuple[str, ...] | None:
        """The interleaved vectors with the elements of `values`, vectors of lanes; None if they are not known to come
        from loads by the same operations."""
        self.definitions.update()
        start = len(self.e.lines)
        vectors = self.search(tuple(values), {})
        if vectors is None:
            del self.e.lines[start:]
        return vectors

    def search(
        self, values: tuple[str, ...], searched: dict[tuple[str, ...], tuple[str, ...] | None]
    ) -> tuple[str, ...] | None:
        """`of`, which appends lines although it may fail. `searched`: the results of this search so far."""
        if values not in searched:
            searched[values] = self.of_load(values) or self.of_uniform(values) or self.of_operation(values, searched)
        return searched[values]

    def of_load(self, values: tuple[str, ...]) -> tuple[str, ...] | None:
        vectors, _ = self.loaded.get(values[0], ((), 0))
        complete = [self.loaded.get(value) for value in values] == [(vectors, k) for k in range(len(vectors))]
        return vectors if vectors and complete else None

    def of_uniform(self, values: tuple[str, ...]) -> tuple[str, ...] | None:
        alike = {self.definitions.text(value) or value for value in values}
        return (values[0],) * len(values) if len(alike) == 1 and self.definitions.is_uniform(values[0]) else None

    def of_operation(
        self, values: tuple[str, ...], searched: dict[tuple[str, ...], tuple[str, ...] | None]
    ) -> tuple[str, ...] | None:
        texts = [self.definitions.text(value) for value in values]
        if len({NAME.sub("%", text) for text in texts}) > 1:
            return None
        if not ELEMENTWISE.fullmatch(texts[0]) or LANE_CONSTANTS.search(texts[0]):
            return None
        operands = []
        for same_place in zip(*map(NAME.findall, texts), strict=True):
            vectors = self.search(same_place, searched)
            if vectors is None:
                return None
            operands.append(vectors)
        if not operands:  # the same numbers for each element
            return (values[0],) * len(values)
        form = NAME.sub("{}", texts[0].replace("{", "{{").replace("}", "}}"))
        return tuple(self.e.op(form.format(*same_vector)) for same_vector in zip(*operands, strict=True))
