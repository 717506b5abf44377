"""Read PTX text into a Module: variables, functions, registers, instructions and labels.

Grammar: PTX ISA, "Syntax" and "Directives"; open questions are decided as ptxas does. Directives without effect here
(.loc, .file, .pragma, debug sections) are skipped. A text that cannot be read is a PtxSyntaxError with its line, what
was expected and what was found. This module does not know the meaning of instructions.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ptxbench.emulator.constants import float_bits, size
from ptxbench.emulator.declarations import (
    MOST_VARIABLES,
    NO_TEXTURES,
    STATE_SPACES,
    Attributes,
    declared_name,
    read_attributes,
    read_dimensions,
    read_variables,
)
from ptxbench.emulator.operands import Operands
from ptxbench.emulator.scopes import Family, Scope, Scopes
from ptxbench.emulator.syntax import (
    Function,
    Instruction,
    Module,
    Operand,
    Prototype,
    Symbol,
    Variable,
)
from ptxbench.emulator.tokens import END, Cursor, foreign_error, is_number, quoted, syntax_error, unsupported
from ptxbench.emulator.types import PRED
from ptxbench.emulator.used_bytes import EVERY_BYTE, used_bytes
from ptxbench.errors import LaunchError

__all__ = ["choose", "float_bits", "parse", "read_parameters", "syntax_error"]

LINKAGE = (".visible", ".extern", ".weak", ".common")
NUMBERED_DIRECTIVES = (
    ".maxntid",
    ".reqntid",
    ".minnctapersm",
    ".maxnctapersm",
    ".maxnreg",
    ".maxclusterrank",
    ".reqnctapercluster",
    ".abi_preserve",
    ".abi_preserve_control",
    ".minperctamemory",
    ".local_maxnreg",
)
BARE_DIRECTIVES = (".noreturn", ".explicitcluster", ".blocksareclusters")
STATEMENTS = (".entry", ".func", ".file", ".section", ".alias", *LINKAGE, *STATE_SPACES)
"""What starts a statement of the module; before it, the declaration of a function needs no semicolon."""
NOT_OF_A_MODULE = {
    ".tex": NO_TEXTURES,
    **dict.fromkeys((".local", ".reg", ".param"), "must be in a function; only PTX before 3.0 may have it outside"),
}
"""What old PTX may have outside a function."""
MOST_INSTRUCTIONS = 40_000
"""The most instructions of a function. LLVM takes about half a millisecond for each, so 20 seconds for this many."""


def parse(text: str) -> Module:
    """The module that `text` describes. Raises PtxSyntaxError."""
    return Parser(text).module()


@functools.lru_cache(maxsize=64)
def parsed(ptx: str) -> Module:
    """`parse`, cached for all launches and kernels of a text."""
    return parse(ptx)


def choose(module: Module, entry: str | None) -> Function:
    """The entry of that name; without a name, the only one. Raises LaunchError with the available names."""
    if not module.entries:
        raise LaunchError("The PTX has no kernel: no .entry.")
    names = ", ".join(module.entries)
    if entry is None:
        if len(module.entries) != 1:
            raise LaunchError(f"The PTX has {len(module.entries)} entries; name one of them: {names}.")
        return next(iter(module.entries.values()))
    if entry not in module.entries:
        raise LaunchError(f"The PTX has no entry '{entry}'; it has: {names}.")
    return module.entries[entry]


def read_parameters(cursor: Cursor, *, unnamed: bool = False) -> tuple[Variable, ...]:
    """`(.param .u64 x, .param .align 8 .b8 y[16])`. `unnamed`: of a prototype, where `_` can replace any name.

    tileiras writes `.hidden .param` for a parameter that the driver fills in its launches: here it is like the others.
    """
    cursor.expect("(")
    params: list[Variable] = []
    if cursor.accept(")"):
        return ()
    while True:
        line = cursor.line
        cursor.accept(".hidden")
        if cursor.next not in (".param", ".reg"):
            raise cursor.error("'.param' or '.reg'")
        space = cursor.take()[1:]
        attributes = read_attributes(cursor)
        name = cursor.take() if unnamed and cursor.next == "_" else declared_name(cursor)
        if attributes.texture:
            raise unsupported(line, f"'{attributes.texture}' {NO_TEXTURES}.")
        if attributes.type is PRED and space == "param":
            raise syntax_error(line, f"'{name}' cannot be .pred; only a register can.")
        if name in {param.name for param in params} and name != "_":
            raise syntax_error(line, f"duplicate parameter '{name}'.")
        length: int | None = 1
        dimensions = read_dimensions(cursor)
        for dimension in dimensions:
            length = None if dimension is None or length is None else length * dimension
        params.append(
            Variable(
                name, space, attributes.type, attributes.alignment, length, line, attributes.vector, bool(dimensions)
            )
        )
        if not cursor.accept(","):
            cursor.expect(")")
            return tuple(params)


def elements(params: Sequence[Variable]) -> tuple[Variable, ...]:
    """The parameters with a register for each element of a vector register: `v.x` and `v.y` for `.reg .v2 .u32 v`."""
    return tuple(
        replace(param, name=f"{param.name}.{selector}", vector=1) if selector else param
        for param in params
        for selector in ("xyzw"[: param.vector] if param.space == "reg" and param.vector > 1 else ("",))
    )


@dataclass
class Parser:
    """One module, while it is read."""

    text: str
    variables: dict[str, Variable] = field(default_factory=dict)
    externs: dict[str, Variable] = field(default_factory=dict)
    """Variables that are declared here and defined elsewhere."""
    functions: dict[str, Function] = field(default_factory=dict)
    scope: Scope = field(default_factory=Scope)
    """The module's variables."""
    locals: set[str] = field(default_factory=set)
    """Unique names of the functions' variables and labels."""

    def __post_init__(self) -> None:
        self.cursor = Cursor(self.text)

    def module(self) -> Module:
        cursor = self.cursor
        if not cursor.accept(".version"):
            raise foreign_error(self.text) or cursor.error("'.version'")
        version = cursor.take()
        if not re.fullmatch(r"\d+\.\d+", version):
            cursor.at -= 1
            raise cursor.error("a version such as 8.0")
        cursor.expect(".target")
        target = tuple(cursor.separated(lambda: cursor.name("a target")))
        address_size = size(cursor) if cursor.accept(".address_size") else 64
        if address_size not in (32, 64):
            raise syntax_error(cursor.last_line, f"expected an .address_size of 32 or 64, found {address_size}.")
        while cursor.next != END:
            self.directive()
        return Module(version, target, address_size, self.variables, self.functions)

    def directive(self) -> None:
        """One statement of the module."""
        cursor = self.cursor
        word = cursor.next
        if word == ".file":
            self.skip_file()
        elif word == ".section":
            cursor.take()
            cursor.take()
            cursor.expect("{")
            cursor.skip_to("}")
        elif word == ".pragma":
            self.pragma()
        elif word == ".alias":
            self.alias()
        else:
            linkage = cursor.take() if word in LINKAGE else ""
            if cursor.next in (".entry", ".func"):
                self.function()
            elif cursor.next in STATE_SPACES and cursor.next not in (".local", ".param"):
                for variable in read_variables(cursor, extern=linkage == ".extern"):
                    self.declare(variable, extern=linkage == ".extern")
            else:
                if reason := NOT_OF_A_MODULE.get(cursor.next):
                    raise syntax_error(cursor.line, f"'{cursor.next}' {reason}.")
                raise cursor.error("a directive such as .entry, .func or .global")

    def declare(self, variable: Variable, *, extern: bool) -> None:
        """A variable of the module. An .extern one has memory here only if it is a shared array."""
        name = variable.name
        if extern:
            self.externs[name] = variable
            self.scope.names.setdefault(name, Symbol(name))
            if variable.space == "shared":
                self.variables.setdefault(name, variable)
            return
        if name in self.functions or (name in self.scope.names and name not in self.externs):
            raise syntax_error(variable.line, f"duplicate variable '{name}'.")
        if variable.count is None:
            raise syntax_error(variable.line, f"'{name}' needs a length; only an .extern array can be without one.")
        if name in self.locals or (name in self.variables and name not in self.externs):  # a function's name
            variable = replace(variable, name=f"{name}@{len(self.locals)}")
        self.scope.names[name] = Symbol(variable.name)
        self.variables[variable.name] = variable

    def alias(self) -> None:
        """`.alias name, function;`"""
        cursor = self.cursor
        line = cursor.line
        cursor.expect(".alias")
        name = cursor.name("a function")
        cursor.expect(",")
        target = cursor.name("a function")
        cursor.expect(";")
        if target not in self.functions or name not in self.functions or self.functions[name].defined:
            raise syntax_error(line, f"expected a declared function and a defined one, found '{name}' and '{target}'.")
        self.functions[name] = self.functions[target]

    # ---- skipped directives

    def skip_file(self) -> None:
        """`.file 1 "name.cu", 1700000000, 4096`"""
        cursor = self.cursor
        cursor.expect(".file")
        size(cursor)
        if not cursor.next.startswith('"'):
            raise cursor.error("a file name in quotes")
        cursor.take()
        if cursor.accept(","):
            size(cursor)
            cursor.expect(",")
            size(cursor)

    def skip_location(self, directive: str) -> None:
        """`.loc 1 20 5, function_name name + 4, inlined_at 1 30 9`, and `.loc_intermediate 1 20 5`."""
        cursor = self.cursor
        cursor.expect(directive)
        for _ in range(3):
            size(cursor)
        while directive == ".loc" and cursor.accept(","):
            if cursor.accept("function_name"):
                cursor.name("a label")
                if cursor.accept("+"):
                    size(cursor)
            elif cursor.accept("inlined_at"):
                for _ in range(3):
                    size(cursor)
            else:
                raise cursor.error("'function_name' or 'inlined_at'")

    def pragma(self) -> int:
        """`.pragma "nounroll", "other";` Returns which bytes of the next load are used (used_bytes.py)."""
        cursor, used = self.cursor, EVERY_BYTE
        cursor.expect(".pragma")
        while True:
            if not cursor.next.startswith('"'):
                raise cursor.error("a string")
            line = cursor.line
            try:
                used &= used_bytes(cursor.take())
            except ValueError as error:
                raise syntax_error(line, str(error)) from None
            if not cursor.accept(","):
                break
        cursor.expect(";")
        return used

    # ---- functions

    def function(self) -> None:
        cursor = self.cursor
        line = cursor.line
        entry = cursor.take() == ".entry"
        if cursor.next == ".attribute":
            cursor.take()
            cursor.expect("(")
            cursor.skip_to(")")
            cursor.accept(")")  # .attribute(.unified(1, 2))
        returns = read_parameters(cursor) if cursor.next == "(" and not entry else ()
        name = declared_name(cursor)
        params = read_parameters(cursor) if cursor.next == "(" else ()
        if entry and any(param.space == "reg" for param in params):
            raise syntax_error(line, f"the parameters of an entry are .param, but '{name}' has one that is .reg.")
        directives = self.function_directives()
        function = Function(name, entry, line, elements(params), elements(returns), directives=directives)
        earlier = self.functions.get(name)
        if name in self.scope.names or (earlier is not None and earlier.defined and cursor.next == "{"):
            raise syntax_error(line, f"duplicate function '{name}'.")
        if cursor.accept(";") or (not entry and (cursor.next == END or cursor.next in STATEMENTS)):
            function.defined = False
            self.functions.setdefault(name, function)
            return
        self.functions.setdefault(name, function)  # it may call itself
        body = Body(self, function, (*params, *returns))
        body.read()
        self.locals |= body.scopes.used_names - self.variables.keys()
        self.functions[name] = function

    def function_directives(self) -> dict[str, tuple[int, ...]]:
        cursor = self.cursor
        directives: dict[str, tuple[int, ...]] = {}
        while cursor.next.startswith(".") and cursor.next not in STATEMENTS:
            name = cursor.next
            if name == ".pragma":
                self.pragma()
                continue
            cursor.take()
            if name in NUMBERED_DIRECTIVES:
                directives[name] = tuple(cursor.separated(lambda: size(cursor)))
            elif name in BARE_DIRECTIVES:
                directives[name] = ()
            else:
                raise syntax_error(cursor.last_line, f"{quoted(name)} is not a directive of a function.")
        return directives


class Body:
    """The body of one function, while it is read. `params`: its parameters and returned values as they are declared."""

    def __init__(self, parser: Parser, function: Function, params: Sequence[Variable]) -> None:
        self.parser = parser
        self.cursor = parser.cursor
        self.function = function
        self.scopes = Scopes(function.registers, {*parser.variables, *parser.functions}, parser.scope)
        for param in params:
            if param.space == "reg":
                operand: Operand = self.scopes.register(param.name, Attributes(0, param.vector, param.type))
            else:
                operand = Symbol(param.name)
                self.scopes.used_names.add(param.name)
            self.scopes.declare(param.name, operand, param.line, "parameter")
        all_variables = ChainMap(
            function.variables, {param.name: param for param in params}, parser.variables, parser.externs
        )
        self.operands = Operands(self.cursor, self.scopes, all_variables, parser.functions)
        self.branches: list[tuple[int, Scope]] = []
        """Index of each branch, and the scope that it is in."""
        self.tables: list[tuple[str, Scope, int]] = []
        """Each list of branch targets, its scope and its line."""
        self.used_bytes = EVERY_BYTE
        """What the last pragma says of the next instruction, if that is a load."""

    def read(self) -> None:
        cursor = self.cursor
        cursor.expect("{")
        depth = 1
        while depth:
            word = cursor.next
            if word == "{":
                self.scopes.open(cursor.line)
                cursor.take()
                depth += 1
            elif word == "}":
                cursor.take()
                depth -= 1
                if depth:
                    self.scopes.close()
            elif word == END:
                raise cursor.error("'}'")
            else:
                self.statement(word)
        if not self.function.instructions:  # the end of a body returns
            self.function.instructions.append(Instruction(cursor.last_line, "ret"))
        self.resolve_labels()

    def statement(self, word: str) -> None:
        cursor = self.cursor
        if word[0] == ".":
            if word == ".reg":
                self.registers()
            elif word in STATE_SPACES:
                self.variables()
            elif word in (".loc", ".loc_intermediate"):
                self.parser.skip_location(word)
            elif word == ".pragma":
                self.used_bytes = self.parser.pragma()
            else:
                raise syntax_error(cursor.line, f"{quoted(word)} is not a directive of a function's body.")
        elif cursor.following == ":":
            self.label()
        else:
            self.instruction()

    def registers(self) -> None:
        """`.reg .f32 %f<12>, %sum;`"""
        cursor = self.cursor
        cursor.expect(".reg")
        attributes = read_attributes(cursor)
        while True:
            line = cursor.line
            name = declared_name(cursor)
            if cursor.accept("<"):
                self.scopes.declare_family(name, Family(size(cursor), attributes), line)
                cursor.expect(">")
            else:
                self.scopes.declare_register(name, attributes, line)
            if not cursor.accept(","):
                break
        cursor.expect(";")

    def variables(self) -> None:
        """Variables of this block; .global and .const ones have memory like the module's."""
        for variable in read_variables(self.cursor):
            if variable.count is None:
                raise syntax_error(variable.line, f"'{variable.name}' needs a length.")
            unique = self.scopes.unique(variable.name)
            self.scopes.declare(variable.name, Symbol(unique), variable.line, "variable")
            renamed = replace(variable, name=unique) if unique != variable.name else variable
            variables = self.parser.variables if variable.space in ("global", "const") else self.function.variables
            variables[unique] = renamed

    def label(self) -> None:
        """`name:`, or a named list of targets or prototype."""
        cursor = self.cursor
        line = cursor.line
        name = declared_name(cursor)
        cursor.expect(":")
        if cursor.next not in (".branchtargets", ".calltargets", ".callprototype"):
            self.function.labels[self.scopes.declare_label(name, line)] = len(self.function.instructions)
            return
        unique = self.scopes.unique(name)
        self.scopes.declare(name, Symbol(unique), line, "label")
        kind = cursor.take()
        if kind == ".callprototype":
            self.function.prototypes[unique] = self.prototype()
            return
        names = tuple(itertools.chain(*cursor.separated(self.listed_names)))
        cursor.expect(";")
        if kind == ".branchtargets":
            self.function.branch_targets[unique] = names
            self.tables.append((unique, self.scopes.current, line))
        else:
            self.function.call_targets[unique] = names

    def listed_names(self) -> Sequence[str]:
        """A name in a list of labels or functions; `N<5>` is N0 to N4."""
        name = self.cursor.name("a name")
        if not self.cursor.accept("<"):
            return (name,)
        count = size(self.cursor)
        self.cursor.expect(">")
        if count > MOST_VARIABLES:
            raise syntax_error(self.cursor.last_line, f"'{name}<{count}>' is more than {MOST_VARIABLES:,} names.")
        return [f"{name}{number}" for number in range(count)]

    def prototype(self) -> Prototype:
        """`(.param .b32 _) _ (.param .b64 _, .param .b32 _) .noreturn;`, after .callprototype."""
        cursor = self.cursor
        returns = read_parameters(cursor, unnamed=True) if cursor.next == "(" else ()
        cursor.name("'_'")
        params = read_parameters(cursor, unnamed=True) if cursor.next == "(" else ()
        directives = self.parser.function_directives()
        cursor.expect(";")
        return Prototype(elements(params), elements(returns), ".noreturn" in directives)

    def instruction(self) -> None:
        cursor, function = self.cursor, self.function
        guard, negated = self.operands.guard() if cursor.accept("@") else (None, False)
        line = cursor.line
        opcode = cursor.name("an instruction")
        if opcode.startswith("%"):
            raise syntax_error(line, f"expected an instruction, found {quoted(opcode)}; a guard has an '@' before it.")
        while cursor.next.startswith(".") and not is_number(cursor.next):  # ld.global .u32
            opcode += cursor.take()
        index = len(function.instructions)
        if index == MOST_INSTRUCTIONS:
            raise syntax_error(line, f"functions of more than {MOST_INSTRUCTIONS:,} instructions are not supported.")
        if opcode in ("bra", "bra.uni"):
            operands: tuple[Operand, ...] = (Symbol(cursor.name("a label")),)
            cursor.expect(";")
            self.branches.append((index, self.scopes.current))
        else:
            operands = self.operands.of(opcode)
        function.instructions.append(Instruction(line, opcode, operands, guard, negated, self.used_bytes))
        self.used_bytes = EVERY_BYTE

    def resolve_labels(self) -> None:
        """Set the label of every branch. Raises PtxSyntaxError."""
        function = self.function

        def label(name: str, scope: Scope, line: int) -> str:
            unique = scope.label(name)
            if unique is None:
                raise syntax_error(line, f"label '{name}' is not defined in '{function.name}'.")
            return unique

        for index, scope in self.branches:
            branch = function.instructions[index]
            target = branch.operands[0]
            assert isinstance(target, Symbol)
            unique = label(target.name, scope, branch.line)
            if unique != target.name:
                function.instructions[index] = replace(branch, operands=(Symbol(unique),))
        for table, scope, line in self.tables:
            names = function.branch_targets[table]
            function.branch_targets[table] = tuple(label(name, scope, line) for name in names)
