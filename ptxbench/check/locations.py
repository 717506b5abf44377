"""Locations in a candidate's file: the file's line for a line of its PTX, and the column of a line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from ptxbench.check.findings import Finding, finding
from ptxbench.exec_program import ExecProgram


@dataclass(frozen=True)
class Locations:
    """The locations in one file. `program`: its PTX, with the line of CUDA C for each line of PTX."""

    content: bytes
    program: ExecProgram

    def at(self, stage: str, code: str, message: str, line: int) -> Finding:
        """A finding at a line of the PTX (0: no line), reported at the line of the candidate's file."""
        message, file_line = self.lines_of(message), self.file_line(line)
        if line and file_line is None:
            message = f"{message.removesuffix('.')} (line {line} of the PTX that NVRTC makes)."
        return finding(stage, code, message, file_line, self.column(file_line))

    def file_line(self, line: int) -> int | None:
        """The line of the candidate's file for a line of the PTX (0: no line); None if it is not known."""
        return (self.program.cuda_lines.get(line) if self.program.language == "cuda" else line) or None

    def lines_of(self, message: str) -> str:
        """`message`, with its lines of the PTX replaced by lines of the CUDA C."""
        if self.program.language == "ptx" or "that NVRTC makes" in message:
            return message
        lines = self.program.cuda_lines

        def in_file(match: re.Match[str]) -> str:
            line = lines.get(int(match[1]))
            return f"line {line}" if line else f"line {match[1]} of the PTX that NVRTC makes"

        return re.sub(r"\bline (\d+)", in_file, message)

    def column(self, line: int | None) -> int | None:
        """Where the text of a line begins, from 1."""
        text = self.lines
        if not line or line > len(text):
            return None
        return len(text[line - 1]) - len(text[line - 1].lstrip()) + 1

    @cached_property
    def lines(self) -> list[bytes]:
        return self.content.splitlines()
