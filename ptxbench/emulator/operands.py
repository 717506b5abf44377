"""Operands of instructions. (PTX ISA, "Instruction Operands".)"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ptxbench.emulator import slips, syntax
from ptxbench.emulator.constants import expression, signed, starts_expression, whole_expression
from ptxbench.emulator.scopes import Scopes
from ptxbench.emulator.tokens import Cursor, is_name, syntax_error
from ptxbench.emulator.types import PRED

VECTOR_REGISTERS = "tid|ntid|ctaid|nctaid|clusterid|nclusterid|cluster_ctaid|cluster_nctaid"
PREDEFINED = re.compile(
    rf"%(?:{VECTOR_REGISTERS})(?:\.[xyzw])?"
    r"|%(?:laneid|warpid|nwarpid|smid|nsmid|gridid|cluster_ctarank|cluster_nctarank|is_explicit_cluster)"
    r"|%lanemask_(?:eq|le|lt|ge|gt)|%clock(?:64|_hi)?|%globaltimer(?:_lo|_hi)?|%pm\d+(?:_64)?|%envreg\d+"
    r"|%(?:dynamic|total|aggr)_smem_size|%reserved_smem_offset_\w+|%current_graph_exec"
)
PREDEFINED_VECTOR = re.compile(f"%(?:{VECTOR_REGISTERS})")
INDEXED = re.compile(r"(?:ld|ldu|st)\.(?!async\.|bulk\.)")
"""Instructions that accept an element, `name[2]`, as an address. (PTX ISA, "Arrays as Operands".)"""
ONE_ELEMENT = re.compile(r"(?:ld|ldu|st)(?!.*\.v\d)(?:\.|\Z)|mov\.b")
"""Instructions that accept `{r}` in place of `r`."""


class Operands:
    """Reads the operands of one function's instructions."""

    def __init__(
        self,
        cursor: Cursor,
        scopes: Scopes,
        variables: Mapping[str, syntax.Variable],
        functions: Mapping[str, syntax.Function],
    ) -> None:
        """`variables`: of the module and of the function, by their unique names."""
        self.cursor = cursor
        self.scopes = scopes
        self.variables = variables
        self.functions = functions
        self.calls = False
        """Whether the current instruction is a call, which may name a function that is not declared."""

    def of(self, opcode: str) -> tuple[syntax.Operand, ...]:
        """The operands up to the `;` that ends the instruction."""
        cursor = self.cursor
        if cursor.accept(";"):
            return ()
        self.calls = opcode.startswith("call")
        read = self.call_operand if self.calls else self.indexed if INDEXED.match(opcode) else self.operand
        operands = cursor.separated(read)
        if not cursor.accept(";"):
            raise slips.no_semicolon(cursor)
        if "tensor" in opcode.split("."):
            operands = self.with_coordinates(operands)
        if any(isinstance(operand, syntax.Vector) for operand in operands) or opcode.startswith("mov.v4"):
            operands = [self.shaped(operand, opcode) for operand in operands]
        return tuple(operands)

    def with_coordinates(self, operands: list[syntax.Operand]) -> list[syntax.Operand]:
        """The operands of a tensor copy: `[map, {coordinates}]` as an address and a vector."""
        if any(isinstance(operand, syntax.Vector) for operand in operands):
            raise syntax_error(self.cursor.last_line, "coordinates go into the brackets of the map: [map, {c0, c1}].")
        flat: list[syntax.Operand] = []
        for operand in operands:
            flat += operand.parts if isinstance(operand, syntax.Group) else (operand,)
        return flat

    def shaped(self, operand: syntax.Operand, opcode: str) -> syntax.Operand:
        """`{r}` as `r` if they are equivalent; the elements of a predefined vector such as %tid."""
        if isinstance(operand, syntax.Vector) and len(operand.parts) == 1 and ONE_ELEMENT.match(opcode):
            return operand.parts[0]
        if not opcode.startswith("mov.v4") or not isinstance(operand, syntax.Special):
            return operand
        if not PREDEFINED_VECTOR.fullmatch(operand.name):
            return operand
        selected = (syntax.Special(f"{operand.name}.{selector}") for selector in "xyz")
        return syntax.Vector((*selected, syntax.Immediate(0)))

    def call_operand(self) -> syntax.Operand:
        """`(a, b)`, the parameters of a call, or any other operand. Of a vector register, its elements."""
        if not self.cursor.accept("("):
            return self.operand()
        parts = self.cursor.separated(self.operand) if self.cursor.next != ")" else ()
        self.cursor.expect(")")
        flat: list[syntax.Operand] = []
        for operand in parts:
            flat += operand.parts if isinstance(operand, syntax.Vector) else (operand,)
        return syntax.Group(tuple(flat))

    def operand(self) -> syntax.Operand:
        cursor = self.cursor
        word = cursor.next
        if is_name(word) and word != "WARP_SZ":
            return self.named_operand()
        if word == "[":
            return self.address()
        if word == "{":
            cursor.take()
            parts = cursor.separated(self.vector_part)
            cursor.expect("}")
            return syntax.Vector(tuple(parts))
        if word in ("!", "-") and is_name(cursor.following) and cursor.following != "WARP_SZ":
            cursor.take()
            operand = self.named(cursor.take())
            return syntax.Not(operand) if word == "!" else syntax.Negated(operand)
        if starts_expression(cursor):
            return expression(cursor)
        raise slips.no_operand(cursor)

    def named_operand(self) -> syntax.Operand:
        """`%r`, `%r + 4`, `name[2]`, `%p|%q`."""
        cursor = self.cursor
        operand = self.named(cursor.take())
        following = cursor.next
        if following == "+" and isinstance(operand, syntax.Register | syntax.Symbol):
            cursor.take()
            return self.plus(operand, signed(whole_expression(cursor)))
        if following == "[" and isinstance(operand, syntax.Symbol):
            return self.element(operand)
        if following == "|":
            cursor.take()
            return syntax.Dual(operand, self.named(cursor.name("a register")))
        return operand

    def plus(self, base: syntax.Register | syntax.Symbol, offset: int) -> syntax.Operand:
        if isinstance(base, syntax.Symbol):
            return syntax.Symbol(base.name, base.offset + offset)
        kind = self.scopes.registers[base.name]
        if kind.floating or kind is PRED:
            raise syntax_error(
                self.cursor.last_line, f"'{base.name}' is .{kind}; a constant can only be added to an integer register."
            )
        return syntax.Sum(base, offset) if offset else base

    def indexed(self) -> syntax.Operand:
        """An operand of a load or store: `name[2]` is an address there."""
        cursor = self.cursor
        brackets = is_name(cursor.next) and cursor.following == "["
        operand = self.operand()
        return syntax.Address(operand) if brackets and isinstance(operand, syntax.Symbol | syntax.Element) else operand

    def element(self, symbol: syntax.Symbol) -> syntax.Operand:
        """`name[2]` and `name[r + 1]`: the address of an element."""
        cursor = self.cursor
        variable = self.variables.get(symbol.name)
        if variable is None or not variable.array:
            raise syntax_error(cursor.line, f"'{symbol.name}' is not an array.")
        cursor.expect("[")
        scale = variable.type.bytes
        operand: syntax.Operand
        if is_name(cursor.next) and cursor.next != "WARP_SZ":
            index = self.named_operand()
            if not isinstance(index, syntax.Register | syntax.Sum):
                raise syntax_error(
                    cursor.last_line, f"expected a register or a number as the index of '{symbol.name}'."
                )
            operand = syntax.Element(symbol, index, scale)
        else:
            operand = syntax.Symbol(symbol.name, scale * signed(whole_expression(cursor)))
        cursor.expect("]")
        return operand

    def address(self) -> syntax.Operand:
        """`[base + offset]`, or `[texture, {place}]` and similar."""
        cursor = self.cursor
        cursor.expect("[")
        base: syntax.Register | syntax.Symbol | syntax.Immediate
        offset = 0
        if starts_expression(cursor):
            base = syntax.Immediate(whole_expression(cursor))
        else:
            name = cursor.name("a register or a variable")
            operand = self.named(name)
            if not isinstance(operand, syntax.Register | syntax.Symbol):
                raise syntax_error(cursor.last_line, f"expected a register or a variable, found '{name}'.")
            base = operand
            if cursor.accept("+"):
                if not starts_expression(cursor):
                    raise slips.no_offset(cursor) or cursor.error("a number")
                offset = signed(whole_expression(cursor))
        if error := slips.no_offset(cursor):
            raise error
        address = syntax.Address(base, offset)
        further_operands = cursor.separated(self.operand) if cursor.accept(",") else []
        cursor.expect("]")
        cursor.accept(".unified")  # a promise that all lanes have the same address; not needed here
        return syntax.Group((address, *further_operands)) if further_operands else address

    def vector_part(self) -> syntax.Operand:
        cursor = self.cursor
        if starts_expression(cursor):
            return expression(cursor)
        operand = self.named(cursor.name("a register or a number"))
        if isinstance(operand, syntax.Vector):
            raise syntax_error(cursor.last_line, "a vector cannot have a vector as an element.")
        return operand

    def named(self, name: str) -> syntax.Operand:
        """The meaning of a bare name: a name of a scope, a predefined register, a part of a register, or a symbol."""
        if name == "_":
            return syntax.Sink()
        operand = self.scopes.find(name)
        if operand is not None:
            return operand
        register_name, _, selector = name.partition(".")
        register = self.scopes.find(register_name) if selector else None
        if isinstance(register, syntax.Register):
            return syntax.Selected(register, selector)
        if PREDEFINED.fullmatch(name):
            return syntax.Immediate(0) if name.endswith(".w") else syntax.Special(name)  # the fourth is always 0
        if selector or name.startswith("%") or not (name in self.functions or self.calls):
            raise slips.unknown(self.cursor, name)
        return syntax.Symbol(name)

    def guard(self) -> tuple[syntax.Register, bool]:
        """The predicate after `@`, and whether it is negated."""
        negated = self.cursor.accept("!")
        name = self.cursor.name("a predicate")
        operand = self.scopes.find(name)
        if not isinstance(operand, syntax.Register) or self.scopes.registers[operand.name] is not PRED:
            raise syntax_error(self.cursor.last_line, f"the guard '{name}' is not a declared predicate register.")
        return operand, negated
