"""The vocabulary of the instruction table: 32-lane values, and the LLVM IR that combines them.

A Value is a warp's 32 lanes of one PTX type. Methods append IR text and return new Values; none touches memory,
control or other lanes (see warp_ops.py for those). No poison: the bodies clamp shift counts, conversions from float to
integer saturate, and there are no nsw, nuw or fast-math flags. (LLVM Language Reference.)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ptxbench.emulator.literals import float_literal, pattern
from ptxbench.emulator.runtime import conditions
from ptxbench.emulator.types import B32, LANES, PRED, TYPES, Type, bits_of, wide
from ptxbench.emulator.vector_calls import Computed, Line, Shape
from ptxbench.emulator.vector_functions import function, operand

CANONICAL_NAN = {16: 0x7FFF, 32: 0x7FFFFFFF, 64: 0x7FFFFFFFFFFFFFFF}
"""The canonical NaN by width. PTX leaves open which NaN f32 arithmetic returns; f64 keeps a payload."""
COMPARISONS = {
    "eq": ("eq", "eq", "oeq"), "ne": ("ne", "ne", "one"), "lt": ("slt", "ult", "olt"),
    "le": ("sle", "ule", "ole"), "gt": ("sgt", "ugt", "ogt"), "ge": ("sge", "uge", "oge"),
    "lo": ("ult", "ult", ""), "ls": ("ule", "ule", ""), "hi": ("ugt", "ugt", ""), "hs": ("uge", "uge", ""),
    "equ": ("", "", "ueq"), "neu": ("", "", "une"), "ltu": ("", "", "ult"), "leu": ("", "", "ule"),
    "gtu": ("", "", "ugt"), "geu": ("", "", "uge"), "num": ("", "", "ord"), "nan": ("", "", "uno"),
}  # fmt: skip
"""PTX comparison -> LLVM predicate for signed, unsigned (and bits), floating."""


@dataclass(slots=True)  # not frozen: a kernel has thousands, and a frozen one takes longer to make
class Value:
    """32 lanes of `type`; `ir` is an SSA name or a constant. Not to be changed.

    `raw`: the result of float arithmetic, whose NaNs may carry any payload until the bits are used.
    `constant`: the bit pattern that all lanes share, if known.
    """

    ir: str
    type: Type
    raw: bool = False
    constant: int | None = None


Build = Callable[["Emitter", Sequence[Value]], "Value | tuple[Value, Value]"]
"""Appends the lines that compute a value of others, or a vector and a predicate."""


class Emitter:
    """Collects the IR of one function's blocks."""

    def __init__(self, *, hardware_fma: bool = True, in_memory: bool = False) -> None:
        self.hardware_fma = hardware_fma  # without it, llvm.fma is 32 calls of libm
        self.in_memory = in_memory
        """Whether the vectors will be in memory (vector_calls.py), where they have no type."""
        self.is_shared = False
        """Whether this one already makes a function that kernels share."""
        self.lines: list[Any] = []
        """Texts; in memory, also lines of vector_calls.py."""
        self.declarations: set[str] = set()
        self.functions: dict[str, str] = {}
        """Out-of-line functions that this one needs, by name."""
        self.outlined: dict[str, Value] = {}
        """By name, the results of functions that `outline` has built."""
        self.computations: dict[str, Computation] = {}
        """By name, the functions that are called in place of several lines."""
        self.names = 0

    # ---- text

    def line(self, text: str) -> None:
        self.lines.append(text)

    def op(self, text: str) -> str:
        """Append `%N = text`; returns the name."""
        self.names += 1
        name = f"%v{self.names}"
        self.lines.append(f"{name} = {text}")
        return name

    def vector_line(self, shape: Shape, tokens: list[str]) -> str:
        """Append a line of vector_calls.py; returns the name of its result."""
        self.names += 1
        name = f"%v{self.names}"
        self.lines.append(Line(name, shape, tokens))
        return name

    def label(self, hint: str) -> str:
        """A fresh label's name."""
        self.names += 1
        return f"{hint}.{self.names}"

    def intrinsic(self, name: str, returns: str, *arguments: tuple[str, str]) -> str:
        """Call an LLVM intrinsic; `arguments` are (LLVM type, operand). Returns the result's name."""
        self.declarations.add(f"declare {returns} @{name}({', '.join(kind for kind, _ in arguments)})")
        return self.op(f"call {returns} @{name}({', '.join(f'{kind} {value}' for kind, value in arguments)})")

    def result(self, text: str, type: Type, *, raw: bool = False) -> Value:
        """Append an instruction that returns 32 lanes of `type`."""
        return Value(self.op(text), type, raw=raw)

    def outline(self, function: Callable[..., Value], *values: Value, **settings: object) -> Value:
        """`function(e, *values, **settings)` as a separate function, built once and called, to keep the code small.

        The settings are known at translation, and are part of the function's name.
        """
        name = ".".join(
            [function.__module__.rsplit(".", 1)[-1], function.__name__, *(str(value) for value in settings.values())]
            + [value.type.element for value in values]
        )
        if name not in self.outlined:
            inside = Emitter(hardware_fma=self.hardware_fma)
            inside.declarations, inside.functions, inside.outlined = self.declarations, self.functions, self.outlined
            inputs = [Value(f"%a{i}", value.type, raw=value.type.floating) for i, value in enumerate(values)]
            result = function(inside, *inputs, **settings)
            body = "\n  ".join([*inside.lines, f"ret {result.type.vector} {result.ir}"])
            parameters = ", ".join(f"{value.type.vector} {value.ir}" for value in inputs)
            self.functions[name] = (
                f'define internal {result.type.vector} @"{name}"({parameters}) noinline {{\n  {body}\n}}'
            )
            self.outlined[name] = result
        result = self.outlined[name]
        arguments = ", ".join(f"{value.type.vector} {value.ir}" for value in values)
        return self.result(f'call {result.type.vector} @"{name}"({arguments})', result.type, raw=result.raw)

    def compute(
        self, label: str, cache: dict[Any, Computation], key: Any, build: Build, values: Sequence[Value],
        constant_arguments: Collection[int] = (),
    ) -> Value:  # fmt: skip
        """`build(e, values)` as one call of a function that kernels share. `cache` keeps the function.

        `label`: for its name. `key`: all that `build` depends on, except vectors and numbers. `constant_arguments`: the
        indices in `values` of numbers on which `build` depends.
        """
        kinds = [(value.type.name, value.raw, value.constant is None) for value in values]
        return self.compute_both(label, cache, (key, *kinds), build, values, constant_arguments)[0]

    def compute_both(
        self, label: str, cache: dict[Any, Computation], key: Any, build: Build, values: Sequence[Value],
        constant_arguments: Collection[int] = (),
    ) -> tuple[Value, Value | None]:  # fmt: skip
        """The same for a vector and a predicate, if `build` returns both. `key` also has the types of the values, and
        which of them are numbers: the parameters of the function depend on that."""
        shared = cache.get(key)
        if shared is None:
            shared = cache[key] = computation(label, build, values, constant_arguments, hardware_fma=self.hardware_fma)
        if shared.argument is not None:
            return replace(values[shared.argument], type=shared.result.type, raw=shared.result.raw), None
        if shared.result.constant is not None and not shared.has_flag:
            return shared.result, None
        self.computations[shared.shape.form.name] = shared
        tokens = [literal(value) for index, value in enumerate(values) if index not in constant_arguments]
        name = self.vector_line(shared.shape, tokens)  # of the vector in memory, and of the number that is returned
        return Value(name, shared.result.type, shared.result.raw), Value(name, PRED) if shared.has_flag else None

    def together(
        self, label: str, cache: dict[Any, Computation], key: Any, build: Callable[[Emitter, Sequence[Value]], Value],
        values: Sequence[Value],
    ) -> Value:  # fmt: skip
        """`compute` in memory, else `build` in place."""
        return self.compute(label, cache, key, build, values) if self.in_memory else build(self, values)

    def gather(self) -> None:
        """Add what the functions of `compute` need to the declarations and functions of this one."""
        for shared in self.computations.values():
            self.declarations |= shared.declarations
            self.functions.update(shared.functions)

    # ---- constants and reinterpretation

    def constant(self, value: int | float, type: Type) -> Value:
        """`value` in every lane; an int is a bit pattern unless `type` is a float and value a Python float."""
        if type is PRED:
            return Value(f"splat (i1 {'true' if value else 'false'})", type, constant=int(bool(value)))
        if type.floating:
            bits = pattern(float(value), type.bits)
            return Value(f"splat ({type.element} {float_literal(bits, type.bits)})", type, constant=bits)
        bits = int(value) & (1 << type.bits) - 1
        return Value(f"splat ({type.element} {bits})", type, constant=bits)

    def from_bits(self, bits: int, type: Type) -> Value:
        """The bit pattern `bits` in every lane."""
        bits &= (1 << type.bits) - 1
        if type.floating:
            return Value(f"splat ({type.element} {float_literal(bits, type.bits)})", type, constant=bits)
        return self.constant(bits, type)

    def lanes(self, values: Sequence[int], type: Type) -> Value:
        """One constant per lane."""
        return Value("<" + ", ".join(f"{type.element} {value}" for value in values) + ">", type)

    def lane_numbers(self, type: Type = B32) -> Value:
        return self.lanes(range(LANES), type)

    def lanes_where(self, predicate: Value) -> str:
        """The lanes where a predicate is true (i32 name or number)."""
        if self.in_memory:
            return literal(predicate)
        return self.op(f"bitcast {PRED.vector} {predicate.ir} to i32")

    def predicate(self, lanes: str) -> Value:
        """A predicate that is true in `lanes` (i32 name)."""
        return Value(lanes if self.in_memory else self.op(f"bitcast i32 {lanes} to {PRED.vector}"), PRED)

    def splat(self, scalar: str, type: Type) -> Value:
        """An LLVM scalar of the type's element, in every lane."""
        if self.in_memory:
            return Value(self.op(f"freeze {type.vector} splat ({type.element} {scalar})"), type)
        first = self.op(f"insertelement {type.vector} poison, {type.element} {scalar}, i64 0")
        return Value(
            self.op(f"shufflevector {type.vector} {first}, {type.vector} poison, <{LANES} x i32> zeroinitializer"), type
        )

    def as_type(self, a: Value, type: Type) -> Value:
        """The same bits as `type`, of the same width; the NaNs of arithmetic become canonical."""
        if a.type == type:
            return a
        assert a.type.bits == type.bits, (a, type)
        if a.constant is not None:
            return self.from_bits(a.constant, type)
        a = self.canonical(a)
        if a.type.element == type.element or self.in_memory:
            return Value(a.ir, type, a.raw)
        return Value(self.op(f"bitcast {a.type.vector} {a.ir} to {type.vector}"), type)

    def bits(self, a: Value) -> Value:
        return self.as_type(a, bits_of(a.type))

    def payload(self, a: Value) -> Value:
        """The bits of a float unchanged: NaNs keep the payload from the CPU."""
        return self.bits(replace(a, raw=False))

    def canonical(self, a: Value) -> Value:
        """`a` with every NaN replaced by PTX's canonical one, if `a` may hold another."""
        if not a.raw:
            return a
        if self.in_memory:
            return self.compute("canonical", OF_NAN, a.type.name, lambda e, values: e.canonical(values[0]), [a])
        nan = self.unspecified_nan(a.type)
        chosen = self.select(self.compare("nan", a, a), nan, replace(a, raw=False))
        return replace(chosen, raw=False)

    def unspecified_nan(self, type: Type) -> Value:
        """The NaN that arithmetic returns: PTX leaves it open, and the launch chooses it."""
        if type.bits == 16:
            return self.from_bits(CANONICAL_NAN[16], type)
        bits = self.condition({32: conditions.NAN_F32, 64: conditions.NAN_F64}[type.bits], bits_of(type))
        return self.as_type(bits, type)

    def condition(self, field: conditions.Field, type: Type) -> Value:
        """A value from the launch's conditions, in every lane."""
        if field.lanes > 1:
            return Value(self.op(field.load), type)
        return self.splat(self.op(field.load), type)

    # ---- arithmetic

    def binary(self, integer: str, floating: str, a: Value, b: Value) -> Value:
        opcode = floating if a.type.floating else integer
        if (constant_result := folded(opcode, a, b)) is not None:
            return self.constant(constant_result, a.type)
        if b.constant == 0 and opcode in OF_ZERO:
            return a
        return Value(self.op(f"{opcode} {a.type.vector} {a.ir}, {b.ir}"), a.type, raw=a.type.floating)

    def add(self, a: Value, b: Value) -> Value:
        return self.binary("add", "fadd", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self.binary("sub", "fsub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self.binary("mul", "fmul", a, b)

    def divide(self, a: Value, b: Value) -> Value:
        """Floats only: correctly rounded to nearest even."""
        return self.binary("", "fdiv", a, b)

    def and_(self, a: Value, b: Value) -> Value:
        return self.binary("and", "", a, b)

    def or_(self, a: Value, b: Value) -> Value:
        return self.binary("or", "", a, b)

    def xor(self, a: Value, b: Value) -> Value:
        return self.binary("xor", "", a, b)

    def not_(self, a: Value) -> Value:
        return self.xor(a, self.constant(1 if a.type is PRED else -1, a.type))

    def negate(self, a: Value) -> Value:
        if a.type.floating:
            return Value(self.op(f"fneg {a.type.vector} {a.ir}"), a.type, raw=True)
        return self.sub(self.constant(0, a.type), a)

    def absolute(self, a: Value) -> Value:
        if a.type.floating:  # LLVM takes twice as long for fabs as for this
            bits = self.payload(a)
            return replace(
                self.as_type(self.and_(bits, self.constant((1 << a.type.bits - 1) - 1, bits.type)), a.type), raw=True
            )
        return self.select(self.compare("lt", a, self.constant(0, a.type)), self.negate(a), a)

    def shl(self, a: Value, count: Value) -> Value:
        """For counts below the width only: from there on LLVM's shift is poison."""
        return self.binary("shl", "", a, count)

    def shr(self, a: Value, count: Value) -> Value:
        """Arithmetic for signed types, else logical; counts below the width only."""
        return self.binary("ashr" if a.type.signed else "lshr", "", a, count)

    def saturating(self, operation: str, a: Value, b: Value) -> Value:
        """ "add" or "sub", clamped to the range of the integer type."""
        name = f"llvm.{'s' if a.type.signed else 'u'}{operation}.sat.v{LANES}i{a.type.bits}"
        return Value(self.intrinsic(name, a.type.vector, (a.type.vector, a.ir), (a.type.vector, b.ir)), a.type)

    # ---- comparison and choice

    def compare(self, comparison: str, a: Value, b: Value) -> Value:
        """A predicate: eq, lt, ... by the type of `a`; for floats eq .. ge are false on NaN, equ .. geu true."""
        signed, unsigned, floating = COMPARISONS[comparison]
        if a.type.floating:
            return Value(self.op(f"fcmp {floating} {a.type.vector} {a.ir}, {b.ir}"), PRED)
        predicate = signed if a.type.signed else unsigned
        if a.constant is not None and b.constant is not None:
            return self.constant(ordered(comparison, a, b), PRED)
        return Value(self.op(f"icmp {predicate} {a.type.vector} {a.ir}, {b.ir}"), PRED)

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """`condition ? a : b`, lane by lane."""
        if condition.constant is not None:
            return a if condition.constant else b
        text = f"select {PRED.vector} {condition.ir}, {a.type.vector} {a.ir}, {b.type.vector} {b.ir}"
        return Value(self.op(text), a.type, raw=a.raw or b.raw)

    def choose(self, condition: Value, a: Value, b: Value) -> Value:
        """`select` for registers: a NaN made by arithmetic in one keeps the other's payload unchanged."""
        if a.raw != b.raw:
            a, b = self.canonical(a), self.canonical(b)
        return self.select(condition, a, b)

    def min(self, a: Value, b: Value) -> Value:
        """The lesser integer, signed or unsigned as the type."""
        return self.select(self.compare("lt", a, b), a, b)

    def max(self, a: Value, b: Value) -> Value:
        return self.select(self.compare("gt", a, b), a, b)

    # ---- width

    def convert(self, a: Value, type: Type) -> Value:
        """Between integers: truncated, or extended by the sign of `a`'s type. Between floats: to nearest even."""
        if a.type.floating and type.floating:
            if a.type.bits == type.bits:
                return replace(a, type=type)
            opcode = "fpext" if type.bits > a.type.bits else "fptrunc"
            return Value(self.op(f"{opcode} {a.type.vector} {a.ir} to {type.vector}"), type, raw=True)
        if a.constant is not None:
            return self.constant(whole(a), type)
        if a.type.bits == type.bits:
            return replace(a, type=type)
        opcode = "trunc" if type.bits < a.type.bits else "sext" if a.type.signed else "zext"
        return Value(self.op(f"{opcode} {a.type.vector} {a.ir} to {type.vector}"), type)

    def widen(self, a: Value) -> Value:
        """Twice the bits, extended by the type's sign."""
        return self.convert(a, wide(a.type))

    def high_half(self, a: Value, type: Type) -> Value:
        """The upper half of the bits."""
        shifted = Value(self.op(f"lshr {a.type.vector} {a.ir}, splat ({a.type.element} {type.bits})"), a.type)
        return self.convert(shifted, type)

    def pair(self, low: Value, high: Value) -> Value:
        """high:low as one value of twice the bits."""
        double = wide(bits_of(low.type))
        lower = self.convert(self.bits(low), double)
        upper = self.shl(self.convert(self.bits(high), double), self.constant(low.type.bits, double))
        return self.or_(lower, upper)

    def clamp_below(self, a: Value, limit: int) -> Value:
        """The lesser of `a`, unsigned, and `limit`."""
        greatest = self.constant(limit, a.type)
        return self.select(self.compare("lo", a, greatest), a, greatest)

    def signed(self, a: Value) -> Value:
        """The same bits, compared and extended as signed."""
        return replace(a, type=TYPES[f"s{a.type.bits}"])

    def unsigned(self, a: Value) -> Value:
        """The same bits, compared and extended as unsigned."""
        return replace(a, type=TYPES[f"u{a.type.bits}"])

    def one_if(self, condition: Value, type: Type) -> Value:
        """1 where the predicate is true, else 0."""
        return Value(self.op(f"zext {PRED.vector} {condition.ir} to {type.vector}"), type)

    def convert_saturating(self, a: Value, type: Type) -> Value:
        """An integer clamped to the range of the integer type `type`."""
        low, high = whole_range(type)
        least, greatest = whole_range(a.type)
        if low > least:
            a = self.max(a, self.constant(low, a.type))
        if high < greatest:
            a = self.min(a, self.constant(high, a.type))
        return self.convert(a, type)

    def int_to_float(self, a: Value, type: Type) -> Value:
        """To nearest even."""
        opcode = "sitofp" if a.type.signed else "uitofp"
        return Value(self.op(f"{opcode} {a.type.vector} {a.ir} to {type.vector}"), type)

    def float_to_int(self, a: Value, type: Type) -> Value:
        """Clamped to the range of `type`, NaN to 0."""
        name = f"llvm.fpto{'s' if type.signed else 'u'}i.sat.v{LANES}i{type.bits}.v{LANES}{a.type.name}"
        return Value(self.intrinsic(name, type.vector, (a.type.vector, a.ir)), type)

    # ---- bits

    def permute(self, a: Value, lanes: Sequence[int]) -> Value:
        """Lane i of the result is lane `lanes[i]` of `a`."""
        vector = a.type.vector
        order = ", ".join(f"i32 {lane}" for lane in lanes)
        return self.result(f"shufflevector {vector} {a.ir}, {vector} poison, <{LANES} x i32> <{order}>", a.type)

    def unary(self, name: str, a: Value, *, raw: bool = False) -> Value:
        """llvm.NAME of one vector."""
        result = self.intrinsic(f"llvm.{name}.v{LANES}{a.type.llvm_name}", a.type.vector, (a.type.vector, a.ir))
        return Value(result, a.type, raw=raw)

    def population(self, a: Value) -> Value:
        return self.unary("ctpop", a)

    def reverse_bits(self, a: Value) -> Value:
        return self.unary("bitreverse", a)

    def leading_zeros(self, a: Value) -> Value:
        """The width for 0: the flag that would make it poison is false."""
        name = f"llvm.ctlz.v{LANES}{a.type.llvm_name}"
        return Value(self.intrinsic(name, a.type.vector, (a.type.vector, a.ir), ("i1", "false")), a.type)

    # ---- floating point as PTX rounds it

    def square_root(self, a: Value) -> Value:
        """Correctly rounded."""
        return self.unary("sqrt", a, raw=True)

    def fused(self, a: Value, b: Value, c: Value) -> Value:
        """The CPU's own fma, if it has one (`hardware_fma`): a * b + c, rounded once to nearest even."""
        name = f"llvm.fma.v{LANES}{a.type.name}"
        vector = a.type.vector
        return Value(self.intrinsic(name, vector, (vector, a.ir), (vector, b.ir), (vector, c.ir)), a.type, raw=True)

    def flush_if(self, ftz: bool, a: Value) -> Value:
        """If `ftz`: subnormal f32 lanes become zero of the same sign. (PTX ISA, ".ftz".)"""
        if not ftz:
            return a
        exponent = self.and_(self.payload(a), self.constant(0x7F800000, B32))
        tiny = self.compare("eq", exponent, self.constant(0, B32))
        return self.select(tiny, replace(self.mul(a, self.constant(0.0, a.type)), raw=False), a)

    def finish(self, a: Value, ftz: bool = False, sat: bool = False) -> Value:
        """A result: flushed if `ftz`; clamped to [0, 1] with NaN to +0 if `sat`."""
        a = self.flush_if(ftz, a)
        if not sat:
            return a
        zero, one = self.constant(0.0, a.type), self.constant(1.0, a.type)
        above = self.select(self.compare("gt", a, zero), a, zero)
        return replace(self.select(self.compare("lt", above, one), above, one), raw=False)


@dataclass(frozen=True)
class Computation:
    """A function that computes `result`, and a predicate if it `has_flag`; and what the function needs.

    `argument`: the index of the argument that is the result, if the function returns an argument.
    """

    shape: Computed
    result: Value
    has_flag: bool
    argument: int | None
    declarations: frozenset[str]
    functions: Mapping[str, str]


OF_NAN: dict[Any, Computation] = {}
"""By type, how to make a NaN canonical."""


def computation(
    label: str, build: Build, values: Sequence[Value], constant_arguments: Collection[int], *, hardware_fma: bool,
) -> Computation:  # fmt: skip
    """See `Emitter.compute`."""
    e = Emitter(hardware_fma=hardware_fma)
    e.is_shared = True
    parameters: list[str] = []
    loads: list[str] = []
    inputs: list[Value] = []
    for index, value in enumerate(values):
        if index in constant_arguments:
            inputs.append(value)
            continue
        number = len(parameters)
        is_number = value.constant is not None and value.type is not PRED
        kind, lines = operand(number, value.type.vector, is_number=is_number)
        parameters.append(kind)
        loads += lines
        inputs.append(Value(f"%a{number}", value.type, raw=value.raw))
    built = build(e, inputs)
    result, flag = built if isinstance(built, tuple) else (built, None)
    argument_of_result = (
        None if flag is not None else next((index for index, value in enumerate(inputs) if value.ir == result.ir), None)
    )
    lines = [*loads, *e.lines]
    form = function(label, parameters, lines, result.type.vector, result.ir, "" if flag is None else flag.ir)
    return Computation(
        Computed(form), result, flag is not None, argument_of_result, frozenset(e.declarations), e.functions
    )


def literal(value: Value) -> str:
    """A vector's name, or the number that it is in all lanes."""
    if value.constant is None:
        return value.ir
    if value.type is PRED:
        return "-1" if value.constant else "0"
    return value.ir.rpartition(" ")[2].removesuffix(")")


FOLDED: dict[str, Callable[[int, int], int]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "and": operator.and_, "or": operator.or_,
    "xor": operator.xor, "shl": operator.lshift, "lshr": operator.rshift, "ashr": operator.rshift,
}  # fmt: skip
"""Operations on integers whose result is known if both operands are."""
ORDERS: dict[str, Callable[[int, int], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "lo": operator.lt, "ls": operator.le, "hi": operator.gt, "hs": operator.ge,
}  # fmt: skip


UNSIGNED = ("lo", "ls", "hi", "hs")


def ordered(comparison: str, a: Value, b: Value) -> bool:
    """The result of a comparison of two known integers."""
    assert a.constant is not None
    assert b.constant is not None
    if comparison in UNSIGNED:
        return ORDERS[comparison](a.constant, b.constant)
    return ORDERS[comparison](whole(a), whole(b))


OF_ZERO = ("add", "sub", "or", "xor", "shl", "lshr", "ashr")
"""Operations that return the first integer if the second is zero."""


def folded(opcode: str, a: Value, b: Value) -> int | None:
    """The result of an operation on two known integers; None if it is not known."""
    if a.constant is None or b.constant is None or opcode not in FOLDED:
        return None
    return FOLDED[opcode](whole(a) if opcode == "ashr" else a.constant, b.constant)


def whole(a: Value) -> int:
    """The number that a constant integer stands for: negative only if its type is signed."""
    assert a.constant is not None
    return a.constant - (1 << a.type.bits if a.type.signed and a.constant >> a.type.bits - 1 else 0)


def whole_range(type: Type) -> tuple[int, int]:
    """Least and greatest value of an integer type."""
    return (-(1 << type.bits - 1), (1 << type.bits - 1) - 1) if type.signed else (0, (1 << type.bits) - 1)
