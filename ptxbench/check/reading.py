"""A candidate's text, and what the tools make of it: the stages `parses` and `assembles`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ptxbench import toolchain
from ptxbench.check.findings import Finding, Skip, StageOutcome, finding
from ptxbench.check.locations import Locations
from ptxbench.check.source import problems
from ptxbench.discovery import BY_SUFFIX
from ptxbench.emulator import parse as ptx_parser
from ptxbench.emulator.syntax import Module
from ptxbench.errors import CompileError, PtxSyntaxError, UnsupportedInstruction
from ptxbench.exec_program import ExecProgram
from ptxbench.toolchain import locate, nvrtc, ptxas, trial, unknown_names
from ptxbench.toolchain.encoding import with_ascii_comments
from ptxbench.toolchain.register_counts import COMMENT_OR_STRING

MOST_SHARED, MOST_LOCAL, MOST_MODULE = 1 << 20, 512 << 10, 16 << 20
"""The most bytes of variables: per CTA, where ptxas then applies its own limit; per thread, as on any GPU; per module,
which is written again for each of some hundred launches."""


@dataclass
class CandidateText:
    """A candidate's text, for one architecture. `notes`: messages of the tools that are not findings."""

    path: Path
    content: bytes
    arch: str
    flags: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def language(self) -> str:
        return BY_SUFFIX[self.path.suffix]

    def parses(self) -> StageOutcome:
        if findings := list(problems(self.content, self.language)):
            return StageOutcome("not read", findings)
        try:
            module = self.module
        except CompileError as error:
            return StageOutcome("does not compile", list(self.compile_errors(str(error))))
        except (PtxSyntaxError, UnsupportedInstruction, RecursionError, ValueError, OverflowError) as error:
            return self.unreadable(error)
        if excess := next(oversized_variables(module), None):
            variable, message = excess
            return StageOutcome("not read", [self.locations.at("parses", "too-much-memory", message, variable.line)])
        count = sum(len(function.instructions) for function in module.functions.values())
        kind = "PTX instructions" if self.language == "cuda" else "instructions"
        return StageOutcome(f"{count:,} {kind}")

    @cached_property
    def ptx(self) -> str:
        if self.language == "ptx":
            return with_ascii_comments(self.content).decode("ascii")
        return toolchain.compiled(self.content, self.path, self.arch, self.flags, contained=True)[0]

    @cached_property
    def module(self) -> Module:
        return ptx_parser.parsed(self.ptx)

    @cached_property
    def locations(self) -> Locations:
        """Maps each line of the PTX to a line of the file."""
        return Locations(self.content, ExecProgram(self.path, self.language, self.arch, self.ptx))

    def compile_errors(self, message: str) -> Iterator[Finding]:
        """NVRTC's first errors, one finding each."""
        name = re.escape(self.path.name)
        if nvrtc.NO_HEADER.search(message):  # NVRTC's message would reveal which files exist
            at = re.search(rf"{name}:(\d+): \w+(?: not)? open source file", message)
            line = int(at[1]) if at else None
            yield finding("parses", "bad-include", "#include of a file that is not one of CUDA's headers.", line)
            return
        pattern = rf"{name}:(\d+): (.*?)(?=; {name}:\d+: | and \d+ more\. NVRTC |\. NVRTC |$)"
        errors = re.findall(pattern, message, re.S) or [("0", message)]
        for line, text in errors:
            hint = sentence(unknown_names.advice(text)) if int(line) else NO_LINE.format("NVRTC")
            yield finding("parses", "does-not-compile", one_line(text), int(line) or None, hint=hint)

    def unreadable(self, error: Exception) -> StageOutcome:
        """The outcome if the emulator cannot read the text. ptxas decides whether it is valid PTX."""
        words = one_line(str(error))
        line = re.match(r"line (\d+): ", words)
        message = words[line.end() :] if line else words
        line_number = int(line[1]) if line else 0
        if isinstance(error, RecursionError):
            return StageOutcome("not read", [finding("parses", "nested-too-deep", "the text is nested too deeply.")])
        tool = locate.program("ptxas")
        if tool is None:
            return StageOutcome("not read", [self.locations.at("parses", "syntax", message, line_number)])
        if self.language == "ptx" and has_unclosed_brace(self.ptx):  # ptxas would report it at the last line only
            return StageOutcome("not valid PTX", [self.locations.at("parses", "syntax", message, line_number)])
        try:
            toolchain.assembled_for_counts(tool, self.ptx, self.arch)
        except ptxas.RefusedError as refused:
            parser_error = self.locations.at("parses", "syntax", message, line_number)
            others = [refusal for refusal in self.refusals(str(refused), "parses", "syntax") if refusal.line]
            return StageOutcome(
                "not valid PTX", [parser_error, *(other for other in others if other.line != parser_error.line)]
            )
        return StageOutcome("not read", [self.locations.at("parses", "not-readable", message, line_number)])

    def refusals(self, messages: str, stage: str, code: str) -> Iterator[Finding]:
        """One finding for each error of ptxas; if it names no line, one that quotes the beginning of its message."""
        needs = trial.needs(messages, self.ptx, self.path, self.language)
        for need in needs:
            instruction = f"{need.instruction}: " if need.instruction else ""
            hint = f"This requires {need.requires}." if need.requires else "" if need.line else NO_LINE.format("ptxas")
            yield finding(
                stage, code, f"{instruction}{need.message}.", need.line, self.locations.column(need.line), hint
            )
        if not needs:
            message = f"ptxas makes no machine code: {one_line(messages)[:300]}"
            yield finding(stage, code, message, hint=NO_LINE.format("ptxas"))

    def assembles(self) -> StageOutcome:
        """What ptxas says of the text, for the judged architecture. Raises Skip without ptxas."""
        tool = locate.program("ptxas")
        if tool is None:
            raise Skip(f"ptxas is not installed: {locate.INSTALL}")
        try:
            _, messages = toolchain.assembled_for_counts(tool, self.ptx, self.arch)
        except ptxas.RefusedError as refused:
            target = trial.directive(self.ptx, "target")
            if any(words in str(refused) for words in ptxas.MISMATCHES):
                message = f".target {target} cannot be assembled for {self.arch}."
                line = next((n for n, text in enumerate(self.ptx.splitlines(), 1) if ".target" in text), None)
                hint = f"Use --arch {target}, or a lower .target."
                mismatch = finding(
                    "assembles", "wrong-target", message, line if self.language == "ptx" else None, 1, hint
                )
                return StageOutcome("refused", [mismatch])
            return StageOutcome("refused", list(self.refusals(str(refused), "assembles", "refused")))
        findings = []
        if UNKNOWN_STACK.search(messages):
            message = "ptxas does not know how much stack it needs; a GPU gives each thread 1,024 bytes by default."
            findings.append(finding("assembles", "unknown-stack", message))
        remarks = UNKNOWN_STACK.sub("", ptxas.notable(messages, self.ptx, self.path, self.language))
        if remarks.strip():
            self.notes.append(f"ptxas says: {one_line(remarks)[:300]}")
        return StageOutcome(f"for {self.arch}, ptxas {locate.version(tool)}", findings)


NO_LINE = "This is what {} says; it names no line."
"""The hint for an error without a line, such as one of ptxas in the sections of debug information."""

UNKNOWN_STACK = re.compile(r"^.*Stack size for entry function .* cannot be statically determined.*$", re.M)
"""What ptxas says of recursive calls and of alloca."""


UNSURE = re.compile(r'/\*|["\\]|^\s*#', re.M)
"""What may make the count of braces wrong: a comment or a string that does not end, or a directive."""


def has_unclosed_brace(ptx: str) -> bool:
    """Whether a brace of the text is certainly never closed, as in a text that was cut off."""
    plain = COMMENT_OR_STRING.sub(" ", ptx)
    return plain.count("{") > plain.count("}") and not UNSURE.search(plain)


def oversized_variables(module: Module) -> Iterator[tuple[Any, str]]:
    """Variables that take more memory than any launch of a pair needs: the largest, and a sentence."""
    limits = {"shared": MOST_SHARED, "local": MOST_LOCAL, "global": MOST_MODULE, "const": MOST_MODULE}
    for function in [None, *module.functions.values()]:
        variables = (module if function is None else function).variables.values()
        for space, most in limits.items():
            in_space = [variable for variable in variables if variable.space == space]
            total = sum(variable.size_bytes for variable in in_space)
            if total > most:
                largest = max(in_space, key=lambda variable: variable.size_bytes)
                message = (
                    f"with '{largest.name}' there are {total:,} bytes of {space} memory; expected at most {most:,}."
                )
                yield largest, message


def sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}." if words else ""


def one_line(text: str) -> str:
    """The text with one blank in place of each run of white space."""
    return " ".join(text.split())
