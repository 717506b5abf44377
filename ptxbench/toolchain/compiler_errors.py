"""The errors in the log of NVRTC or nvcc, and which of them may be due to host code."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

HOST = re.compile(r"is considered a host (?:function|variable)|explicitly marked as a __host__|inferred to be __host__")
HOST_CODE = "host code, which NVRTC cannot compile"
ERROR = re.compile(r"(?P<file>.*)\((?P<line>\d+)\): (?:catastrophic )?error(?: #[\w-]+)?: (?P<text>.*)")
NAMES_NOTHING = re.compile(
    r"identifier \"(\w+)\" is undefined|(\w+) is not a template|\"(\w+)\" is not a class or function template name"
    r"|(?:namespace|class) \".*\" has no member \"(\w+)\"|no instance of (?:overloaded )?function \"(\w+)\""
    r"|function \"(?:[^\"<(]*[\s:*&])?(\w+)[<(][^\"]*\" cannot be instantiated"
)
HOST_WORDS = re.compile(
    r"(?:cannot|could not) open source file|#error directive|host code, (?:which|and)"
    r"|namespace \"(?:std|thrust|cub|at|c10|torch|pybind11)(?:::\w+)*\" has no member"
    r"|incomplete type \".*\b(?:std|thrust|at|c10|pybind11)::"
    r"|identifier \"(?:FILE|DIR|va_list|jmp_buf|fd_set|"
    r"std(?:in|out|err)|errno|fprintf|fputs|fflush|exit|abort|getenv|time_t|suseconds_t|sigset_t|socklen_t|"
    r"(?:cu(?:da|blas|sparse|fft|rand|solver|dnn|[A-Z])|CU(?:_|[a-z])|nccl|nvml|nvtx|MPI_|omp_|pthread_|GL)\w+)\" "
    r"is undefined"
    r"|identifier \"(?:AT|C10|TORCH)_[A-Z_]+\" is undefined"
    r"|(?:incomplete type|identifier) \"(?:timeval|timezone|timespec|tm|rusage|stat|dirent|sigaction|sockaddr\w*|"
    r"passwd|utsname|pollfd|termios|iovec|addrinfo)\" is"
)
"""Errors in a file without its host code that nvcc may not have: of the host's libraries."""

FOLLOWING = re.compile(
    r"class \".*\" has no member|defining an implicitly declared|name followed by \"::\" must be"
    r"|not a class or struct name"
)
"""Errors in what is left of a class after a member was left out, and in a class whose base was left out."""

CARET = re.compile(r"  (?P<indent>\s*)\^\s*")
"""NVRTC quotes a line, indented by two spaces, and writes this below."""


@dataclass(frozen=True)
class CompilerError:
    """An error in NVRTC's log. `column`: from 0, where NVRTC shows it; 0 if it does not."""

    file: str
    line: int
    column: int
    text: str

    @property
    def of_host(self) -> bool:
        return bool(HOST.search(self.text))


def concerns_host(log: str) -> bool:
    """Whether the errors may be due to host code or host headers, which nvcc can compile."""
    return any(error.of_host or HOST_WORDS.search(error.text) for error in errors(log))


def shortened(log: str) -> str:
    """The log with one sentence in place of NVRTC's on host code, which also advise options."""
    return re.sub(rf"(\): error: )[^\n]*(?:{HOST.pattern})[^\n]*", rf"\1{HOST_CODE}", log)


def names_nothing(error: CompilerError) -> str | None:
    """The name that does not exist, if the error is about one."""
    unknown = NAMES_NOTHING.match(error.text)
    return unknown[unknown.lastindex or 0] if unknown else None


def due_to_host(error: CompilerError, names_left_out: Collection[str]) -> bool:
    """Whether an error is due to the lack of the host's libraries, or of `names_left_out`."""
    return bool(names_nothing(error) in names_left_out or HOST_WORDS.search(error.text) or FOLLOWING.match(error.text))


def errors(log: str) -> list[CompilerError]:
    """The errors in NVRTC's log, in its order."""
    result: list[CompilerError] = []
    for line in log.splitlines():
        if error := ERROR.fullmatch(line):
            result.append(CompilerError(error["file"], int(error["line"]), 0, error["text"]))
        elif (caret := CARET.fullmatch(line)) and result and not result[-1].column:
            result[-1] = replace(result[-1], column=len(caret["indent"]))
    return result
