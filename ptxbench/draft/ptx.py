"""Compiled PTX as a text to start from: one kernel, without line tables, aligned, with names and the lines of CUDA C.

`trimmed` removes what the kernel does not need; `laid_out` changes names and white space. Both keep every instruction
and the order of all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ptxbench.draft.names import Names

COLUMNS = 110
INDENT = "    "
WORD = re.compile(r"[%$]?[A-Za-z_][\w$]*|\$\w+")
TOP_WORD = re.compile(r"[A-Za-z_$%][\w$]*")
STATEMENT = re.compile(
    r"(?P<guard>@!?%[\w$]+\s+)?(?P<opcode>[a-z][\w.:]*)(?:\s+(?P<operands>.*?))?\s*;(?P<comment>\s*//.*)?"
)
LABEL = re.compile(r"(?P<name>[$\w]+):")
LOCATION = re.compile(r"\.loc\s+\d+\s+\d+")
DECLARED = re.compile(r"(?P<name>[%$\w]+)\s*(?:\[[^\]]*\])*\s*(?:=.*)?;?\s*$", re.S)
ENTRY = re.compile(r"(?:\.(?:visible|weak)\s+)?\.entry\s+(?P<name>[\w$]+)")
FUNCTION = re.compile(r"(?:\.(?:visible|weak|extern)\s+)?\.func\b")
WITH_BODY = re.compile(r"\s*(?:\.(?:visible|weak|extern)\s+)?\.(?:entry|func|section)\b")
SILENT = ("// demoted variable", "// begin inline asm", "// end inline asm")
"""Comments of NVRTC that are left out, because they say nothing about the kernel."""

FEW = 2
"""A group of so few instructions in the middle of those of one line of CUDA C gets no heading of its own."""


def statements(ptx: str) -> Iterator[str]:
    """The statements of a module: directives, variables and functions with their bodies; comments are left out."""
    start = depth = 0
    text = re.sub(r"/\*(?:.*?\*/|.*)", lambda match: re.sub(r"[^\n]", " ", match[0]), ptx, flags=re.S)
    for match in re.finditer(r'"[^"\n]*"|//[^\n]*|[{};]|\.(?:version|target|address_size|file)\b[^\n]*', text):
        token = match[0]
        depth += (token == "{") - (token == "}")
        line_end = token.startswith((".version", ".target", ".address_size", ".file")) and depth == 0
        ends = token == ";" or (token == "}" and WITH_BODY.match(text[start : match.end()]))
        if depth == 0 and (ends or line_end):
            yield text[start : match.end()].strip()
            start = match.end()
        elif depth == 0 and token.startswith("//"):
            start = match.end() if not text[start : match.start()].strip() else start


def trimmed(ptx: str, entry: str) -> str:
    """The module with only this kernel, and the functions and variables that it needs. Line tables are left out."""
    head, kernel, others = [], "", []
    for statement in statements(ptx):
        if (match := ENTRY.match(statement)) and match["name"] == entry:
            kernel = statement
        elif statement.startswith((".version", ".target", ".address_size")):
            head.append(statement.partition("//")[0].strip())
        elif not statement.startswith((".file", ".section")) and not ENTRY.match(statement):
            others.append(statement)
    needed = set(TOP_WORD.findall(kernel))
    needed_numbers: set[int] = set()
    while more := {
        number for number, other in enumerate(others) if number not in needed_numbers and declared_by(other) & needed
    }:
        needed_numbers |= more
        needed |= {word for number in more for word in TOP_WORD.findall(others[number])}
    parts = ["\n".join(head), *(others[number] for number in sorted(needed_numbers)), kernel]
    return "\n\n".join(parts) + "\n"


def declared_by(statement: str) -> set[str]:
    """The names that a variable or a function of a module declares."""
    if FUNCTION.match(statement):
        match = re.search(r"\.func\s+(?:\([^)]*\)\s*)?([\w$]+)", statement)
        return {match[1]} if match else set()
    match = DECLARED.search(statement.partition("=")[0].strip())
    return {match["name"]} if match else set()


@dataclass
class LineSection:
    """Instructions of one line of CUDA C; line 0 means none."""

    line: int
    rows: list[tuple[str, str] | str] = field(default_factory=list)
    """An instruction as (guard and opcode, operands); any other row as text."""

    @property
    def instructions(self) -> int:
        return sum(isinstance(row, tuple) for row in self.rows)

    @property
    def plain(self) -> bool:
        """Whether no label, brace or comment is among its rows."""
        return self.instructions == len(self.rows)


def laid_out(
    ptx: str, names: Names, symbols: Mapping[str, str], cuda_lines: Mapping[int, int], cuda: Sequence[str]
) -> str:
    """A trimmed module with one kernel at its end, renamed and aligned.

    `symbols`: new names of the kernel, its parameters and variables. `cuda_lines`: the line of CUDA C of each line.
    """
    lines = ptx.splitlines()
    start = next(number for number, line in enumerate(lines) if ENTRY.match(line))
    opening = next(number for number in range(start, len(lines)) if lines[number].strip() == "{")
    rename, outside = renamer(names, symbols), renamer(Names({}, {}), symbols)
    before = [outside(line.rstrip().expandtabs(4)) for line in lines[:start] if not LOCATION.match(line.strip())]
    header = [rename(" ".join(line.split())) for line in lines[start:opening]]
    header = [INDENT + line if line.startswith(".param") else line for line in header]
    body = KernelBody(cuda)
    for number in range(opening + 1, len(lines) - 1):
        body.add(lines[number].strip(), cuda_lines.get(number + 1, 0), rename)
    register_lines = declarations(names, body.types) if names.registers else body.register_lines
    registers = [INDENT + line for line in register_lines]
    variable_lines = [INDENT + rename(line) for line in body.declarations]
    text = [*before, *header, "{", *registers, *variable_lines, *body.text(), "}"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(text)) + "\n"


def renamer(names: Names, symbols: Mapping[str, str]) -> Callable[[str], str]:
    changes = {**names.registers, **names.labels, **symbols}
    return lambda text: WORD.sub(lambda match: changes.get(match[0], match[0]), text)


class KernelBody:
    """The rows of a kernel's body, while they are read."""

    def __init__(self, cuda: Sequence[str]) -> None:
        self.cuda = cuda
        self.types: dict[str, str] = {}
        """The type of each register or family of registers: `%r` or `%r7`."""
        self.register_lines: list[str] = []
        self.declarations: list[str] = []
        self.sections: list[LineSection] = [LineSection(0)]
        self.depth = 0
        self.unfinished = ""
        """The lines of a statement that has not ended yet."""

    def add(self, line: str, cuda_line: int, rename: Callable[[str], str]) -> None:
        """Take the next line. `cuda_line`: its line of the CUDA C, 0 if none is known. `rename`: gives a text with the
        new names of registers."""
        if not line or LOCATION.match(line) or line in SILENT:
            return
        if self.unfinished or (line.startswith(("call", "@")) and not line.endswith(";")):  # over several lines
            self.unfinished += line + ("" if line.endswith("(") else " ")
            if not line.endswith(";"):
                return
            line, self.unfinished = re.sub(r"\s+(?=[);,])", "", self.unfinished.strip()), ""
        if self.depth == 0 and (match := re.fullmatch(r"\.reg\s+\.(\w+)\s+(.*);", line)):
            self.register_lines.append(" ".join(line.split()))
            for name in re.split(r",\s*", match[2]):
                self.types[name.partition("<")[0]] = match[1]
            return
        if self.depth == 0 and line.startswith((".shared", ".local", ".param")):
            self.declarations.append(" ".join(line.split()))
            return
        section = self.sections[-1]
        if cuda_line and cuda_line != section.line:
            section = LineSection(cuda_line)
            self.sections.append(section)
        code = line.partition("//")[0]
        inner = INDENT * self.depth if not code.startswith("}") else INDENT * (self.depth - 1)
        self.depth += code.count("{") - code.count("}") if not STATEMENT.fullmatch(line) else 0
        if match := LABEL.fullmatch(line):
            section.rows.append(rename(line))
        elif match := STATEMENT.fullmatch(line):
            guard = " ".join((match["guard"] or "").split())
            opcode = rename(f"{guard} {match['opcode']}".strip())
            operands = rename(re.sub(r",\s*", ", ", match["operands"] or ""))
            section.rows.append((inner + opcode, operands))
        else:
            section.rows.append(INDENT + inner + rename(" ".join(line.split())))

    def text(self) -> Iterator[str]:
        """The rows, aligned by section, with the CUDA C as headings."""
        for section in joined(self.sections):
            opcodes = [row[0] for row in section.rows if isinstance(row, tuple)]
            of_parameters = bool(opcodes) and all(opcode.startswith("ld.param") for opcode in opcodes)
            if heading := "the parameters" if of_parameters else heading_of(section.line, self.cuda):
                yield ""
                yield f"{INDENT}// ---- {heading}"
            width = max((len(row[0]) for row in section.rows if isinstance(row, tuple) and row[1]), default=0)
            for row in section.rows:
                if isinstance(row, str):
                    yield row
                elif row[1]:
                    yield f"{INDENT}{row[0]:{width}}  {row[1]};"
                else:
                    yield f"{INDENT}{row[0]};"


def joined(sections: Sequence[LineSection]) -> list[LineSection]:
    """The sections, joined where only a few instructions of another line interrupt those of one line.

    A label belongs to the section after it.
    """
    result: list[LineSection] = []
    labels: list[tuple[str, str] | str] = []
    for number, read in enumerate(sections):
        section = LineSection(read.line, labels + read.rows)
        labels = []
        if number + 1 < len(sections):
            while section.rows and isinstance(section.rows[-1], str) and LABEL.fullmatch(section.rows[-1]):
                labels.insert(0, section.rows.pop())
        if not section.rows:
            continue
        following = next((later for later in sections[number + 1 :] if later.rows), None)
        short = section.plain and section.instructions <= FEW
        if result and (
            result[-1].line == section.line or (short and following is not None and following.line == result[-1].line)
        ):
            result[-1].rows += section.rows
        else:
            result.append(section)
    return result


def heading_of(line: int, cuda: Sequence[str]) -> str:
    """The CUDA C of a line, for a comment: ASCII, without its own comment; empty if nothing remains."""
    if not 0 < line <= len(cuda):
        return ""
    text = " ".join(cuda[line - 1].partition("//")[0].split()).rstrip("{").strip()
    text = text.encode("ascii", "replace").decode()
    return "" if text in ("", "}", "{") else text if len(text) <= COLUMNS - 20 else text[: COLUMNS - 23] + "..."


def declarations(names: Names, types: Mapping[str, str]) -> Iterator[str]:
    """`.reg .u32 %thread, %block;`: the registers by type, as far as they are used; numbered ones as a family."""
    by_type: dict[str, dict[str, None]] = {}
    for old, new in names.registers.items():
        register_type = types.get(old) or types.get(old.rstrip("0123456789"))
        if register_type is not None:
            by_type.setdefault(register_type, {})[new] = None
    for old, register_type in types.items():
        if old in ("%SP", "%SPL"):
            by_type.setdefault(register_type, {})[old] = None
    width = max(map(len, by_type), default=0)
    for kind, registers in by_type.items():
        families: dict[str, int] = {}
        unnumbered = []
        for name in registers:
            if numbered := re.fullmatch(r"(%[a-z])(\d+)", name):
                families[numbered[1]] = max(families.get(numbered[1], 0), int(numbered[2]))
            else:
                unnumbered.append(name)
        words = [*unnumbered, *(f"{name}<{last + 1}>" for name, last in families.items())]
        start = f".reg .{kind:{width}}  "
        row = ""
        for word in words:
            if row and len(start) + len(row) + len(word) > COLUMNS - 6:
                yield f"{start}{row};"
                row = ""
            row += f", {word}" if row else word
        yield f"{start}{row};"
