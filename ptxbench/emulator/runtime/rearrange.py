"""Moves the elements of a warp's registers to other lanes and registers, by patterns known at translation."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from ptxbench.emulator.emit import Emitter, Value
from ptxbench.emulator.runtime.context import V32, RuntimeFunction
from ptxbench.emulator.types import B32, LANES, PRED, Type

Source = tuple[int, int]
"""The index of a vector, and of a lane in it."""


def gathered(e: Emitter, vectors: Sequence[Value], sources: Sequence[Source]) -> Value:
    """The vector whose lane i is the element at `sources[i]`."""
    result: Value | None = None
    for index in dict.fromkeys(vector for vector, _ in sources):
        from_this = [vector == index for vector, _ in sources]
        order = ", ".join(f"i32 {lane if vector == index else 'poison'}" for vector, lane in sources)
        value = vectors[index]
        kind = value.type.vector
        shuffled = Value(e.op(f"shufflevector {kind} {value.ir}, {kind} poison, {V32} <{order}>"), value.type)
        result = (
            shuffled if result is None else e.select(e.lanes([int(this) for this in from_this], PRED), shuffled, result)
        )
    assert result is not None
    return result


def transposed(e: Emitter, matrix: Value) -> Value:
    """An 8 x 8 matrix of 16-bit elements, two per lane and four lanes per row, transposed."""
    order = ", ".join(f"i32 {8 * (i % 8) + i // 8}" for i in range(64))
    halves = e.op(f"bitcast {V32} {matrix.ir} to <64 x i16>")
    transposed_halves = e.op(f"shufflevector <64 x i16> {halves}, <64 x i16> poison, <64 x i32> <{order}>")
    return Value(e.op(f"bitcast <64 x i16> {transposed_halves} to {V32}"), B32)


@functools.cache
def rows_to_matrices(count: int, transpose: bool) -> RuntimeFunction:
    """`NAME(w0, w1, w2, w3)`: lane 8 j + r has the four words of row r of matrix j; `count` matrices."""
    e = Emitter()
    words = [Value(f"%w{i}", B32) for i in range(4)]
    matrices = [gathered(e, words, [(lane % 4, 8 * j + lane // 4) for lane in range(LANES)]) for j in range(count)]
    if transpose:
        matrices = [transposed(e, matrix) for matrix in matrices]
    return function(f"rows_to_matrices_{count}" + "_transposed" * transpose, e, words, matrices)


@functools.cache
def matrices_to_rows(count: int, transpose: bool) -> RuntimeFunction:
    """`NAME(m0, ...)`: the four words that each lane stores; lane 8 j + r stores row r of matrix j."""
    e = Emitter()
    matrices = [Value(f"%m{i}", B32) for i in range(count)]
    stored_matrices = [transposed(e, matrix) for matrix in matrices] if transpose else matrices
    sources = [[(lane // 8 % count, 4 * (lane % 8) + word) for lane in range(LANES)] for word in range(4)]
    words = [gathered(e, stored_matrices, source) for source in sources]
    return function(f"matrices_to_rows_{count}" + "_transposed" * transpose, e, matrices, words)


def function(name: str, e: Emitter, inputs: Sequence[Value], results: Sequence[Value]) -> RuntimeFunction:
    """The code in `e` as a function from `inputs` to a struct of `results`."""
    returns = struct(results[0].type, len(results))
    result_struct = structure(e, results)
    arguments = ", ".join(f"{value.type.vector} {value.ir}" for value in inputs)
    text = f"""
define internal {returns} @{name}({arguments}) noinline {{
  {chr(10).join(e.lines)}
  ret {returns} {result_struct}
}}
"""
    return RuntimeFunction(name, text, (), tuple(sorted(e.declarations)))


def struct(kind: Type, count: int) -> str:
    """The LLVM type of `count` vectors."""
    return "{ " + ", ".join([kind.vector] * count) + " }"


def structure(e: Emitter, values: Sequence[Value]) -> str:
    """Pack the values in one struct; returns its name."""
    returns, packed = struct(values[0].type, len(values)), "poison"
    for i, value in enumerate(values):
        packed = e.op(f"insertvalue {returns} {packed}, {value.type.vector} {value.ir}, {i}")
    return packed


@functools.cache
def by_table(name: str, word: Type, inputs: int, results: int, bits: int, table: tuple[int, ...]) -> RuntimeFunction:
    """`NAME(x0, ...)`: element i of the results is element `table[i]` of the inputs.

    Elements have `bits`; they are numbered in the order of memory: vector by vector, lane by lane.
    """
    e = Emitter()
    values = [
        Value(e.op(f"load {word.vector}, ptr {offset(e, '%to', i, word)}, align 64"), word) for i in range(results)
    ]
    result_struct = structure(e, values)
    start = Emitter()
    start.names = e.names
    for i in range(inputs):
        start.line(f"store {word.vector} %x{i}, ptr {offset(start, '%from', i, word)}, align 64")
    arguments = ", ".join(f"{word.vector} %x{i}" for i in range(inputs))
    returns = struct(word, results)
    text = f"""
@{name}.table = internal constant [{len(table)} x i16] [{", ".join(f"i16 {source}" for source in table)}]
define internal {returns} @{name}({arguments}) noinline {{
entry:
  %from = alloca [{inputs} x {word.vector}], align 64
  %to = alloca [{results} x {word.vector}], align 64
  {chr(10).join(start.lines)}
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  %index.at = getelementptr i16, ptr @{name}.table, i64 %i
  %index = load i16, ptr %index.at
  %index.wide = zext i16 %index to i64
  %from.at = getelementptr i{bits}, ptr %from, i64 %index.wide
  %element = load i{bits}, ptr %from.at
  %to.at = getelementptr i{bits}, ptr %to, i64 %i
  store i{bits} %element, ptr %to.at
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, {len(table)}
  br i1 %more, label %next, label %done
done:
  {chr(10).join(e.lines)}
  ret {returns} {result_struct}
}}
"""
    return RuntimeFunction(name, text)


def offset(e: Emitter, base: str, index: int, word: Type) -> str:
    return e.op(f"getelementptr {word.vector}, ptr {base}, i64 {index}")


@functools.cache
def rows_to_columns(count: int) -> RuntimeFunction:
    """`NAME(w0, w1, w2, w3)`: lane 16 m + r has row r of matrix m, 16 x 16 bytes. Register 2 m + h has column
    `lane / 4` + 8 h of matrix m, of rows 4 (lane mod 4) to 4 (lane mod 4) + 3.
    """
    table = [
        byte_of(16 * (register // 2) + 4 * (lane % 4) + part, lane // 4 + 8 * (register % 2))
        for register in range(2 * count)
        for lane in range(LANES)
        for part in range(4)
    ]
    return by_table(f"rows_to_columns_{count}", B32, 4, 2 * count, 8, tuple(table))


def byte_of(lane: int, column: int) -> int:
    """The number of a byte of the row of 16 that a lane has in four words."""
    return 4 * (LANES * (column // 4) + lane) + column % 4


@functools.cache
def columns_to_rows(count: int) -> RuntimeFunction:
    """`NAME(m0, ...)`: the four words that each lane stores; lane 8 j + r stores column r of matrix j, 16 x 8 bytes.

    A lane has columns 2 (lane mod 4) and the next of row `lane / 4`, and then of row `lane / 4` + 8.
    """
    table = []
    for word in range(4):
        for lane in range(LANES):
            matrix, column = lane // 8 % count, lane % 8
            for row in range(4 * word, 4 * word + 4):
                source_lane, part = 4 * (row % 8) + column // 2, column % 2 + 2 * (row // 8)
                table.append(4 * (LANES * matrix + source_lane) + part)
    return by_table(f"columns_to_rows_{count}", B32, count, 4, 8, tuple(table))
