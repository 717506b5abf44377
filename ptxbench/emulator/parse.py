"""Read PTX text into a Module: variables, functions, registers, instructions and labels.

Grammar: PTX ISA, "Syntax" and "Directives". Every directive that NVRTC emits is read; what the emulator has no
use for (.loc, .file, .pragma, debug sections) is passed over. A text that cannot be read is a PtxSyntaxError
with its line, what was found and what was expected. Nothing here knows what an instruction means.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Function,
    Group,
    Immediate,
    Instruction,
    Module,
    Negated,
    Not,
    Operand,
    Prototype,
    Register,
    Selected,
    Sink,
    Special,
    Symbol,
    Variable,
    Vector,
)
from ptxbench.emulator.types import PRED, TYPES, Type
from ptxbench.errors import LaunchError, PtxSyntaxError

TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+|//[^\n]*)
      | (?P<newline>\n)
      | (?P<comment>/\*.*?\*/)
      | (?P<string>"[^"\n]*")
      | (?P<number>0[fF][0-9a-fA-F]{8}\b|0[dD][0-9a-fA-F]{16}\b|0[xX][0-9a-fA-F]+U?|0[bB][01]+U?
          |\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+U?)
      | (?P<word>\.[\w$]+(?:::[\w$]+)*|[A-Za-z_$%][\w$%]*(?:(?:\.|::)[\w$%]+)*)
      | (?P<mark>[{}()\[\],;:@!|+\-=<>*])""",
    re.VERBOSE | re.DOTALL,
)
Item = TypeVar("Item")
PREDEFINED = re.compile(
    r"%(?:tid|ntid|ctaid|nctaid|clusterid|nclusterid|cluster_ctaid|cluster_nctaid)(?:\.[xyz])?"
    r"|%(?:laneid|warpid|nwarpid|smid|nsmid|gridid|cluster_ctarank|cluster_nctarank|is_explicit_cluster)"
    r"|%lanemask_(?:eq|le|lt|ge|gt)|%clock(?:64|_hi)?|%globaltimer(?:_lo|_hi)?|%pm\d+(?:_64)?|%envreg\d+"
    r"|%(?:dynamic|total|aggr)_smem_size|%reserved_smem_offset_\w+|%current_graph_exec"
    r"|WARP_SZ"
)
STATE_SPACES = (".global", ".const", ".shared", ".local", ".param")
LINKAGE = (".visible", ".extern", ".weak", ".common")
PERFORMANCE = (
    ".maxntid",
    ".reqntid",
    ".minnctapersm",
    ".maxnctapersm",
    ".maxnreg",
    ".maxclusterrank",
    ".reqnctapercluster",
)


@dataclass(frozen=True)
class Token:
    kind: str
    text: str
    line: int


def syntax_error(line: int, message: str) -> PtxSyntaxError:
    return PtxSyntaxError(f"line {line}: {message}")


def parse(text: str) -> Module:
    """The module that `text` describes. Raises PtxSyntaxError."""
    return Parser(text).module()


def choose(module: Module, entry: str | None) -> Function:
    """The entry of that name; without a name, the only one. Raises LaunchError that names those there are."""
    names = ", ".join(module.entries) or "none"
    if entry is None:
        if len(module.entries) != 1:
            raise LaunchError(f"Which entry? The PTX has {len(module.entries)}: {names}.")
        return next(iter(module.entries.values()))
    if entry not in module.entries:
        raise LaunchError(f"The PTX has no entry '{entry}'; it has: {names}.")
    return module.entries[entry]


def tokens(text: str) -> Iterator[Token]:
    line, at = 1, 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise syntax_error(line, f"{text[at]!r} is no part of PTX.")
        kind = match.lastgroup or ""
        if kind == "newline":
            line += 1
        elif kind == "comment":
            line += match[0].count("\n")
        elif kind == "word" and match[0].startswith("."):  # directives may touch: .reg.b16
            yield from (Token(kind, f".{part}", line) for part in match[0][1:].split("."))
        elif kind != "blank":
            yield Token(kind, match[0], line)
        at = match.end()


class Parser:
    """Recursive descent over the tokens; one method a construct."""

    def __init__(self, text: str) -> None:
        self.tokens = list(tokens(text))
        self.tokens.append(Token("end", "the end of the text", self.tokens[-1].line if self.tokens else 1))
        self.at = 0
        self.scopes: list[dict[str, str]] = []
        self.scope_count = 0

    # ---- tokens

    @property
    def next(self) -> Token:
        return self.tokens[self.at]

    def take(self) -> Token:
        token = self.tokens[self.at]
        if token.kind != "end":
            self.at += 1
        return token

    def accept(self, *texts: str) -> Token | None:
        return self.take() if self.next.text in texts and self.next.kind != "string" else None

    def expect(self, *texts: str) -> Token:
        if token := self.accept(*texts):
            return token
        raise self.error(" or ".join(f"'{text}'" for text in texts))

    def error(self, expected: str) -> PtxSyntaxError:
        found = self.next.text if self.next.kind == "end" else f"'{self.next.text}'"
        return syntax_error(self.next.line, f"found {found} where {expected} should stand.")

    def word(self, expected: str) -> str:
        if self.next.kind != "word":
            raise self.error(expected)
        return self.take().text

    def integer(self) -> int:
        sign = -1 if self.accept("-") else 1
        value = self.number().value
        if not isinstance(value, int):
            raise syntax_error(self.tokens[self.at - 1].line, f"found {value} where a whole number should stand.")
        return sign * value

    def number(self) -> Immediate:
        if self.next.kind != "number":
            raise self.error("a number")
        return number(self.take().text)

    def skip_to(self, mark: str) -> None:
        """Pass over everything up to `mark`, and over that."""
        while not self.accept(mark):
            if self.next.kind == "end":
                raise self.error(f"'{mark}'")
            self.take()

    def skip_line(self) -> None:
        line = self.next.line
        while self.next.line == line and self.next.kind != "end":
            self.take()

    def skip_block(self) -> None:
        self.expect("{")
        depth = 1
        while depth:
            token = self.take()
            if token.kind == "end":
                raise self.error("'}'")
            depth += {"{": 1, "}": -1}.get(token.text, 0)

    # ---- module

    def module(self) -> Module:
        version, address_size = "", 64
        target: tuple[str, ...] = ()
        variables: dict[str, Variable] = {}
        functions: dict[str, Function] = {}
        self.expect_first(".version")
        while self.next.kind != "end":
            if self.accept(".version"):
                version = self.take().text
            elif self.accept(".target"):
                target = tuple(self.separated(lambda: self.word("a target")))
            elif self.accept(".address_size"):
                address_size = self.integer()
            elif self.next.text in (".file", ".loc"):
                self.skip_line()
            elif self.accept(".section"):
                self.take()
                self.skip_block()
            elif self.accept(".pragma", ".alias"):
                self.skip_to(";")
            else:
                while self.accept(*LINKAGE):
                    pass
                if self.next.text in (".entry", ".func"):
                    function = self.function()
                    if function.defined or function.name not in functions:
                        functions[function.name] = function
                elif self.next.text in STATE_SPACES:
                    variables.update((variable.name, variable) for variable in self.variable_statement())
                else:
                    raise self.error("a directive such as .entry, .func or .global")
        return Module(version, target, address_size, variables, functions)

    def expect_first(self, directive: str) -> None:
        if self.next.text != directive:
            raise self.error(f"'{directive}'")

    def separated(self, item: Callable[[], Item]) -> list[Item]:
        """One or more items with commas between them."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return items

    # ---- variables and registers

    def variable_statement(self) -> list[Variable]:
        """`.shared .align 16 .f32 tile[32][33], other;`"""
        line = self.next.line
        space = self.take().text[1:].partition("::")[0]
        align, vector, kind = self.type_attributes()
        variables = self.separated(lambda: self.declarator(space, align, vector, kind, line))
        self.expect(";")
        return variables

    def type_attributes(self) -> tuple[int, int, Type]:
        """`.ptr .global .align 16 .v4 .f32` in any order: alignment (0: natural), vector length, type."""
        align, vector, kind = 0, 1, None
        while self.next.text.startswith("."):
            name = self.take().text
            if name == ".align":
                align = self.integer()
                if align < 1 or align & (align - 1):
                    raise syntax_error(self.tokens[self.at - 1].line, f"an alignment of {align}; it is a power of two.")
            elif name in (".v2", ".v4"):
                vector = int(name[2:])
            elif name[1:] in TYPES:
                kind = TYPES[name[1:]]
            elif name not in (".ptr", ".attribute", *STATE_SPACES):
                raise syntax_error(self.tokens[self.at - 1].line, f"'{name}' is no type that the emulator knows.")
            elif name == ".attribute":
                self.skip_parentheses()
        if kind is None:
            raise self.error("a type")
        return align, vector, kind

    def skip_parentheses(self) -> None:
        self.expect("(")
        self.skip_to(")")

    def declarator(self, space: str, align: int, vector: int, kind: Type, line: int) -> Variable:
        name = self.word("a name")
        if kind is PRED and space != "reg":
            raise syntax_error(line, f"'{name}' is .pred, which only a register can be.")
        if self.accept("<"):
            raise syntax_error(line, f"'{name}<' declares a family of variables; only registers come in families.")
        count: int | None = 1
        array = False
        while self.accept("["):
            array = True
            if self.accept("]"):
                count = None
            else:
                count = (count or 1) * self.integer()
                self.expect("]")
        initial = tuple(self.initialiser()) if self.accept("=") else ()
        if count is None and initial:
            count = len(initial)
        return Variable(name, space, kind, align or kind.bytes * vector, count, line, vector, array, initial)

    def initialiser(self) -> Iterator[int | float | Symbol | Immediate]:
        """`3`, `{1, 2}`, nested braces flattened, names of variables (`generic(name)` too)."""
        if self.accept("{"):
            while not self.accept("}"):
                yield from self.initialiser()
                self.accept(",")
        elif self.next.kind == "word":
            name = self.take().text
            if name == "generic":
                self.expect("(")
                name = self.word("a variable")
                self.expect(")")
            yield Symbol(name, self.integer() if self.accept("+") else 0)
        else:
            sign = -1 if self.accept("-") else 1
            literal = self.number()
            yield literal if literal.bits else sign * literal.value

    def register_statement(self, function: Function) -> None:
        """`.reg .f32 %f<12>, %sum;`"""
        self.expect(".reg")
        _, vector, kind = self.type_attributes()
        if vector != 1:
            raise syntax_error(self.next.line, "vector registers (.reg .v4) are not supported; declare four registers.")
        for name, count in self.separated(self.register):
            for each in [name] if count is None else [f"{name}{i}" for i in range(count)]:
                depth = len(self.scopes)
                unique = each if depth == 2 else f"{each}@{self.scope_count}"
                self.scopes[-1][each] = unique
                function.registers[unique] = kind
        self.expect(";")

    def register(self) -> tuple[str, int | None]:
        name = self.word("a register's name")
        if not self.accept("<"):
            return name, None
        count = self.integer()
        self.expect(">")
        return name, count

    # ---- functions

    def function(self) -> Function:
        line = self.next.line
        entry = self.take().text == ".entry"
        returns = self.parameters() if self.next.text == "(" else ()
        function = Function(self.word("the function's name"), entry, line, returns=returns)
        if self.next.text == "(":
            function.params = self.parameters()
        while self.next.text.startswith("."):
            name = self.take().text
            if name in PERFORMANCE:
                function.directives[name] = tuple(self.separated(self.integer))
            elif name == ".pragma":
                self.take()
                self.expect(";")
            elif name not in (".noreturn", ".explicitcluster", ".unique", ".blocksareclusters"):
                raise syntax_error(self.tokens[self.at - 1].line, f"'{name}' is no directive of a function.")
        if self.accept(";"):
            function.defined = False
        else:
            own = [param for param in (*function.params, *function.returns) if param.space == "reg"]
            function.registers.update((param.name, param.type) for param in own)
            self.scopes = [{param.name: param.name for param in own}]
            self.body(function)
            self.scopes = []
            self.resolve_labels(function)
        return function

    def parameters(self) -> tuple[Variable, ...]:
        self.expect("(")
        params: list[Variable] = []
        while not self.accept(")"):
            line = self.next.line
            space = self.expect(".param", ".reg").text[1:]
            align, vector, kind = self.type_attributes()
            params.append(self.declarator(space, align, vector, kind, line))
            if self.next.text != ")":
                self.expect(",")
        return tuple(params)

    def body(self, function: Function) -> None:
        """A block in braces, with registers of its own."""
        self.expect("{")
        self.scope_count += 1
        self.scopes.append({})
        while not self.accept("}"):
            self.statement(function)
        self.scopes.pop()

    def statement(self, function: Function) -> None:
        text, following = self.next.text, self.tokens[min(self.at + 1, len(self.tokens) - 1)].text
        if self.next.kind == "end":
            raise self.error("'}'")
        if text == "{":
            self.body(function)
        elif text == ".reg":
            self.register_statement(function)
        elif text in STATE_SPACES or text in LINKAGE:
            while self.accept(*LINKAGE):
                pass
            function.variables.update((each.name, each) for each in self.variable_statement())
        elif text in (".loc", ".file"):
            self.skip_line()
        elif text == ".pragma":
            self.skip_to(";")
        elif following == ":" and self.next.kind == "word":
            self.label(function)
        elif not self.accept(";"):
            self.instruction(function)

    def label(self, function: Function) -> None:
        token = self.take()
        self.expect(":")
        if self.accept(".branchtargets"):
            targets = self.separated(lambda: self.word("a label"))
            function.branch_targets[token.text] = tuple(targets)
            self.expect(";")
            return
        if self.accept(".calltargets"):
            function.call_targets[token.text] = tuple(self.separated(lambda: self.word("a function")))
            self.expect(";")
            return
        if self.accept(".callprototype"):
            function.prototypes[token.text] = self.prototype()
            return
        if token.text in function.labels:
            raise syntax_error(token.line, f"the label '{token.text}' stands twice.")
        function.labels[token.text] = len(function.instructions)

    def prototype(self) -> Prototype:
        """`(.param .b32 _) _ (.param .b64 _, .param .b32 _) .noreturn;`, after .callprototype."""
        returns = self.parameters() if self.next.text == "(" else ()
        self.word("'_'")
        params = self.parameters() if self.next.text == "(" else ()
        noreturn = False
        while not self.accept(";"):
            directive = self.expect(".noreturn", ".abi_preserve", ".abi_preserve_control")
            if directive.text == ".noreturn":
                noreturn = True
            else:
                self.integer()
        return Prototype(params, returns, noreturn)

    def instruction(self, function: Function) -> None:
        guard, negated = None, False
        if self.accept("@"):
            negated = self.accept("!") is not None
            name = self.take()
            operand = self.named(name.text)
            if not isinstance(operand, Register) or function.registers[operand.name].kind != "p":
                raise syntax_error(name.line, f"the guard '{name.text}' is no declared predicate.")
            guard = operand
        line = self.next.line
        opcode = self.word("an instruction")
        if opcode.startswith("."):
            raise syntax_error(line, f"'{opcode}' is no directive that may stand in a function's body.")
        operands = self.separated(self.operand) if self.next.text != ";" else []
        self.expect(";")
        function.instructions.append(Instruction(line, opcode, tuple(operands), guard, negated))

    def operand(self) -> Operand:
        if self.accept("{"):
            parts = tuple(self.separated(self.operand))
            self.expect("}")
            return Vector(parts)
        if self.accept("["):
            address = self.address()
            rest = tuple(self.separated(self.operand)) if self.accept(",") else ()  # of textures and tensors
            self.expect("]")
            self.accept(".unified")  # a promise that all lanes have one address; the emulator needs none
            return Group((address, *rest)) if rest else address
        if self.accept("("):
            parts = tuple(self.separated(self.operand)) if self.next.text != ")" else ()
            self.expect(")")
            return Group(parts)
        if self.accept("!"):
            return Not(self.operand())
        if self.next.text == "-" or self.next.kind == "number":
            sign = -1 if self.accept("-") else 1
            if sign == -1 and self.next.kind == "word":
                return Negated(self.operand())
            literal = self.number()
            return literal if sign == 1 else Immediate(negative(literal), literal.bits)
        name = self.next
        operand = self.named(self.word("an operand"))
        if isinstance(operand, Symbol) and self.next.text in ("+", "-"):
            sign = 1 if self.take().text == "+" else -1
            operand = Symbol(operand.name, sign * self.integer())
        if self.accept("|"):
            return Dual(operand, self.operand())
        if isinstance(operand, Symbol) and name.text.startswith("%"):
            raise syntax_error(name.line, f"'{name.text}' is not declared; add it to a .reg line.")
        return operand

    def address(self) -> Address:
        base: Register | Symbol | Immediate
        if self.next.kind == "number":
            base = self.number()
        else:
            name = self.next
            operand = self.named(self.word("a register or a variable"))
            if not isinstance(operand, Register | Symbol) or (isinstance(operand, Symbol) and name.text[0] == "%"):
                raise syntax_error(name.line, f"'{name.text}' is no declared register or variable.")
            base = operand
        offset = 0
        while self.next.text in ("+", "-"):
            sign = 1 if self.take().text == "+" else -1
            offset += sign * self.integer()
        return Address(base, offset)

    def named(self, name: str) -> Register | Selected | Special | Symbol | Sink:
        """What a bare name stands for: the innermost register, a part of one, a predefined register, or a symbol."""
        if name == "_":
            return Sink()
        for scope in reversed(self.scopes):
            if name in scope:
                return Register(scope[name])
        if PREDEFINED.fullmatch(name):
            return Special(name)
        whole, _, selector = name.partition(".")
        register = self.named(whole) if selector else None
        return Selected(register, selector) if isinstance(register, Register) else Symbol(name)

    def resolve_labels(self, function: Function) -> None:
        """Every branch has its label. Raises PtxSyntaxError."""
        for instruction in function.instructions:
            if instruction.opcode not in ("bra", "bra.uni"):
                continue
            target = instruction.operands[0] if instruction.operands else None
            if isinstance(target, Symbol) and target.name not in function.labels:
                raise syntax_error(instruction.line, f"the label '{target.name}' stands nowhere in '{function.name}'.")


def number(text: str) -> Immediate:
    """The value of a literal; a bit pattern keeps its width. (PTX ISA, "Constants".)"""
    lower = text.lower()
    if lower.startswith("0f") and len(text) == 10:
        return Immediate(int(text[2:], 16), 32)
    if lower.startswith("0d") and len(text) == 18:
        return Immediate(int(text[2:], 16), 64)
    if "." in text or ("e" in lower and not lower.startswith("0x")):
        return Immediate(float(text))
    digits = text.rstrip("U")
    octal = len(digits) > 1 and digits.isdigit() and digits[0] == "0"
    return Immediate(int(digits, 8 if octal else 0))


def negative(literal: Immediate) -> int | float:
    """-literal; for a bit pattern, with its sign bit flipped."""
    return int(literal.value) ^ 1 << literal.bits - 1 if literal.bits else -literal.value


def float_bits(literal: Immediate, bits: int) -> int:
    """The bit pattern of `literal` as a float of 32 or 64 bits."""
    value = literal.value
    if literal.bits == bits:
        return int(value)
    if literal.bits == 32:
        value = struct.unpack("<f", struct.pack("<I", value))[0]
    elif literal.bits == 64:
        value = struct.unpack("<d", struct.pack("<Q", value))[0]
    pattern: int = (
        struct.unpack("<Q", struct.pack("<d", value))[0]
        if bits == 64
        else struct.unpack("<I", struct.pack("<f", value))[0]
    )
    return pattern
