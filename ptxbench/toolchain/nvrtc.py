"""CUDA C to PTX, by NVRTC. Needs no driver and no GPU.

The library is called through ctypes, so that an installed toolkit's NVRTC works where no wheel and no binding is.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from ptxbench.errors import CompileError, PairError, ToolMissing, UsageError
from ptxbench.toolchain import locate

FLAGS = ("--std=c++17", "-lineinfo")
"""Options of every compilation. -lineinfo tells which CUDA C line a PTX line is of; the machine code stays the same."""

SUCCESS, INVALID_OPTION, COMPILATION = 0, 5, 6  # nvrtcResult, nvrtc.h
ERRORS_QUOTED = 3

NO_FLAGS = {
    r"--?(maxrregcount|ptxas-options|Xptxas)\b": "It is for ptxas, which assembles both sides with the same options; "
    "say it in the CUDA C, as __launch_bounds__ does",
    r"--?(gpu-architecture|arch)\b": "The architecture is the run's; name it with --arch",
    r"--?(dlto|dlink-time-opt|optix-ir)\b": "It makes NVRTC write no PTX",
}
"""Options that a variant may not have, and why: NVRTC takes them and they change nothing, or too much."""

STD = re.compile(r"--?std\b")
DIAGNOSIS = re.compile(r"^(.+)\((\d+)\): (?:catastrophic )?error(?: #[\w-]+)?: (.*)$", re.M)
"""File, line and text of an error in NVRTC's log."""

NO_HEADER = re.compile(r"(?:cannot|could not) open source file \"(.*?)\"")
INCLUDE = re.compile(rb"^[ \t]*#[ \t]*include[ \t]*(?:[<\"](?P<name>[^>\"\n]+)[>\"]|(?P<computed>\w+))", re.M)


class Library:
    """NVRTC, loaded."""

    def __init__(self, path: Path) -> None:
        try:
            self.functions = ctypes.CDLL(str(path))
        except OSError as error:
            raise ToolMissing(f"NVRTC does not load: {error}. {locate.INSTALL}.") from None
        self.functions.nvrtcGetErrorString.restype = ctypes.c_char_p

    def check(self, status: int) -> None:
        if status != SUCCESS:
            raise ToolMissing(f"NVRTC fails: {self.name(status)}. Reinstall it: {locate.INSTALL}.")

    def name(self, status: int) -> str:
        text: bytes = self.functions.nvrtcGetErrorString(status)
        return text.decode()

    def text(self, program: ctypes.c_void_p, what: str) -> str:
        """The program's log or PTX, by NVRTC's two calls: its size, then its bytes."""
        size = ctypes.c_size_t()
        self.check(getattr(self.functions, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        self.check(getattr(self.functions, f"nvrtcGet{what}")(program, buffer))
        return buffer.value.decode("utf-8", "replace")

    def compile(self, source: bytes, name: str, options: Sequence[str]) -> tuple[int, str, str]:
        """(status, log, PTX) of one source; PTX is empty unless the status is SUCCESS."""
        program = ctypes.c_void_p()
        self.check(self.functions.nvrtcCreateProgram(ctypes.byref(program), source, name.encode(), 0, None, None))
        try:
            array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            status: int = self.functions.nvrtcCompileProgram(program, len(options), array)
            log = self.text(program, "ProgramLog")
            return status, log, self.text(program, "PTX") if status == SUCCESS else ""
        finally:
            self.functions.nvrtcDestroyProgram(ctypes.byref(program))


@functools.cache
def library(path: Path) -> Library:
    return Library(path)


def find() -> Path:
    """NVRTC's library. Raises ToolMissing where there is none."""
    if sys.platform == "darwin":
        raise ToolMissing(
            "NVIDIA makes no NVRTC for macOS, so CUDA C cannot be compiled here. PTX runs on the emulator; for CUDA C "
            "use Linux, a container included."
        )
    if found := locate.nvrtc():
        return found
    raise ToolMissing(f"No NVRTC, which compiles CUDA C: {locate.INSTALL}.")


@functools.cache
def version(path: Path) -> str:
    """NVRTC's version with its patch level, such as 13.0.88, which it tells only in the PTX that it writes."""
    status, log, ptx = library(path).compile(b"", "version.cu", ())
    found = re.search(r"\bV(\d+(?:\.\d+)+)", ptx)
    if status != SUCCESS or not found:
        raise ToolMissing(f"NVRTC does not compile even an empty file: {log.strip()} Reinstall it: {locate.INSTALL}.")
    return found[1]


def translate(nvrtc: Path, source: bytes, path: Path, arch: str, flags: Sequence[str]) -> tuple[str, str]:
    """(PTX, log) of the CUDA C `source`, which was read from `path`. The log holds NVRTC's warnings.

    Raises CompileError with NVRTC's first errors; ToolMissing if NVRTC does not work or its headers are not there;
    UsageError if it does not know `arch`; PairError if one of `flags` is unknown or one of NO_FLAGS.
    """
    for flag in flags:
        for pattern, why in NO_FLAGS.items():
            if re.match(pattern, flag):
                raise PairError(f"{path.name} is to be compiled with {flag}. {why}.")
    folders = locate.headers()
    options = [
        f"-arch={arch.replace('sm_', 'compute_')}",
        # NVRTC warns of a second --std.
        *(each for each in FLAGS if not each.startswith("--std") or not any(STD.match(flag) for flag in flags)),
        *(f"-I{folder}" for folder in folders),
        *flags,
    ]
    # The whole path: NVRTC looks for #include "..." beside it, and beside the current folder for a bare name.
    path = path.absolute()
    status, log, ptx = library(nvrtc).compile(source, str(path), options)
    log = log.replace(f"{path.parent}{os.sep}", "").strip()
    if status == SUCCESS:
        return FILE.sub(bare_name, ptx), log
    if status == INVALID_OPTION:
        told = f"NVRTC {version(nvrtc)} refuses an option: {log.removeprefix('nvrtc: error: ')}."
        if "gpu-architecture" in log:
            raise UsageError(f"{told} It cannot compile for '{arch}'; name another with --arch.")
        raise PairError(f"{told} {path.name} is compiled with {' '.join(flags)}.")
    if status != COMPILATION:
        raise ToolMissing(f"NVRTC fails on {path.name}: {library(nvrtc).name(status)}. {log}")
    lacks = NO_HEADER.search(log)
    if lacks and not folders:
        raise ToolMissing(f"{path.name} includes {lacks[1]}, and CUDA's headers are not there: {locate.INSTALL}.")
    raise CompileError(diagnosis(log, path.name, version(nvrtc), arch))


FILE = re.compile(r"(?P<start>^[ \t]*\.file[ \t]+\d+[ \t]+\")(?P<path>[^\"]*)", re.M)


def bare_name(directive: re.Match[str]) -> str:
    """A .file directive without the folder, so that the same source gives the same PTX in every folder."""
    # A backslash before three octal digits is not Windows's: NVRTC writes so what is not ASCII.
    return directive["start"] + re.split(r"/|\\(?![0-7]{3})", directive["path"])[-1]


def diagnosis(log: str, name: str, nvrtc_version: str, arch: str) -> str:
    """What to tell of a failed compilation: its first errors, each with file and line."""
    errors = [f"{where}:{line}: {what}" for where, line, what in DIAGNOSIS.findall(log)]
    if not errors:
        return f"{name}: NVRTC {nvrtc_version} refuses it: {log}"
    more = f" and {len(errors) - ERRORS_QUOTED} more" if len(errors) > ERRORS_QUOTED else ""
    return (
        f"{'; '.join(errors[:ERRORS_QUOTED])}{more}. "
        f"NVRTC {nvrtc_version} cannot compile this for {arch}; correct the CUDA C there."
    )


def included(source: bytes, folder: Path) -> list[bytes] | None:
    """The files of the user's that `source` includes, directly or not; None where that cannot be told.

    CUDA's own headers, which are not beside the source, are as old as NVRTC and left out.
    """
    found: dict[Path, bytes] = {}
    pending = [(source, folder)]
    while pending:
        text, beside = pending.pop()
        for include in INCLUDE.finditer(text):
            if include["computed"]:
                return None
            path = beside / os.fsdecode(include["name"])
            if path not in found and path.is_file():
                found[path] = path.read_bytes()
                pending.append((found[path], path.parent))
    return [found[path] for path in sorted(found)]
