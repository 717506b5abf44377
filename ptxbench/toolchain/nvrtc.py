"""Compiles CUDA C to PTX with NVRTC. Needs no driver and no GPU.

Untrusted text is compiled in a process that can read only CUDA's headers (`containment.compiler`).
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ptxbench.containment import compiler
from ptxbench.containment.compiler import Compilation
from ptxbench.containment.nvrtc_library import (
    COMPILATION,
    ENABLE_TILE,
    INVALID_OPTION,
    OUT_OF_MEMORY,
    SUCCESS,
    LibraryError,
)
from ptxbench.errors import CompileError, PairError, PtxbenchError, ToolMissing, UsageError
from ptxbench.toolchain import locate, neighbours, unknown_names
from ptxbench.toolchain.options import EXPRESSION
from ptxbench.toolchain.user_files import has_file

FLAGS = ("--std=c++17", "-lineinfo")
"""Options of every compilation. -lineinfo records the CUDA C line of each PTX line; the machine code stays the same."""

AS_FOR_NVCC = "-D_CCCL_META_UNROLL_LIMIT=10"
"""How many parameters libcu++ writes out in its templates for lists of types. It takes 10 for nvcc and 16 for NVRTC,
which then needs a second more for each file with cooperative_groups.h or a header of libcu++; the PTX is the same."""

ERRORS_QUOTED = 3

NO_FLAGS = {
    r"--?(maxrregcount|ptxas-options|Xptxas)\b": "It is for ptxas, which assembles both sides with the same options; "
    "set it in the CUDA C, for example with __launch_bounds__",
    r"--?(gpu-architecture|arch)\b": "The run sets the architecture; choose it with --arch",
    r"--?(dlto|dlink-time-opt|optix-ir)\b": "It makes NVRTC write no PTX",
}
"""Options that a variant must not have, and why: NVRTC accepts them, and they change nothing, or too much."""

STD = re.compile(r"--?std\b")
DIAGNOSIS = re.compile(r"^(.+)\((\d+)\): (?:catastrophic )?error(?: #[\w-]+)?: (.*)$", re.M)
"""File, line and text of an error in NVRTC's log."""

BAD_EXPRESSION = "__nv_name_map"
"""The file that NVRTC names in errors about a kernel that it must instantiate."""

NO_HEADER = re.compile(r"(?:cannot|could not) open source file \"(.*?)\"")
LAUNCH = re.compile(r"device-side kernel launch|kernel launch from __device__")
TILE_HEADER = "cuda_tile.h"

OF_FILES = re.compile(
    r"@|-I|-include|--?(?:include-path|pre-include|options-file|optf|time|pch|create-pch|use-pch|pch-dir|"
    r"f?device-time-trace|keep|keep-dir)(?:=|$)"
)
"""Options that name files to read or to write."""


def names_file(flag: str) -> bool:
    """Whether an option makes NVRTC read or write files other than the source."""
    return bool(OF_FILES.match(flag))


def no_flag(flag: str) -> str:
    """Why no variant may have this option, as a sentence; empty if it may."""
    return next((why for pattern, why in NO_FLAGS.items() if re.match(pattern, flag)), "")


def find() -> Path:
    """The path of NVRTC's library. Raises ToolMissing if there is none."""
    if sys.platform == "darwin":
        raise ToolMissing(
            "NVIDIA makes no NVRTC for macOS, so CUDA C cannot be compiled here. PTX runs on the emulator; for CUDA C "
            "use Linux, a container included."
        )
    if path := locate.nvrtc():
        return path
    raise ToolMissing(f"NVRTC, which compiles CUDA C, is not installed: {locate.INSTALL}.")


@functools.cache
def version(path: Path) -> str:
    """NVRTC's version with its patch level, such as 13.0.88. Only the PTX that NVRTC writes contains it."""
    answer = compiled(path, b"", "version.cu", ())
    match = re.search(r"\bV(\d+(?:\.\d+)+)", answer.ptx)
    if answer.status != SUCCESS or not match:
        raise ToolMissing(
            f"NVRTC cannot compile even an empty file: {answer.log.strip()} Reinstall it: {locate.INSTALL}."
        )
    return match[1]


DEBUG = frozenset(("-G", "--device-debug", "-device-debug"))
"""Options after which NVRTC 13.5 makes other PTX of the next texts in its process: it reads a __grid_constant__
parameter by its generic address, and optimises nothing if it has refused a text with -G."""


def compiled(
    nvrtc: Path,
    source: bytes,
    name: str,
    options: Sequence[str],
    readable: Sequence[Path] | None = None,
    expressions: Sequence[str] = (),
    headers: Mapping[str, bytes] | None = None,
    *,
    apart: bool = False,
) -> Compilation:
    """Compile a source with NVRTC, in a separate process if `apart`, if an option is of DEBUG, or if `readable` lists
    what it may read.

    `headers`: texts of files that the source includes, by the name in the #include.
    Raises ToolMissing if NVRTC does not work, CompilationDied if the source makes its process die.
    """
    try:
        if readable is None and not apart and DEBUG.isdisjoint(options):
            return Compilation(*compiler.library(nvrtc).compile(source, name, options, expressions, headers))
        return compiler.compile_apart(nvrtc, source, name, options, readable, expressions, headers)
    except LibraryError as error:
        raise ToolMissing(f"{error}. Reinstall it: {locate.INSTALL}.") from None
    except compiler.CompilerDied as died:
        raise CompilationDied(f"{Path(name).name}: NVRTC {died} while it compiled this file.") from None


class CompilationDied(CompileError):
    """NVRTC's process has died."""


class CompilerOutput(NamedTuple):
    """What a compiler made of CUDA C. `log`: its warnings. `instantiated`: the PTX's name of the kernel that the flags
    instantiate. `how`: by which compiler, and what was left out; empty for NVRTC and the text as it is."""

    ptx: str
    log: str
    instantiated: str | None = None
    how: str = ""


def split(flags: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options of the compiler, and the kernels that it must instantiate."""
    expressions = [flag.removeprefix(EXPRESSION) for flag in flags if flag.startswith(EXPRESSION)][:1]
    return [flag for flag in flags if not flag.startswith(EXPRESSION)], expressions


def options_for(arch: str, flags: Sequence[str]) -> list[str]:
    """The options of a compilation by NVRTC or nvcc. The user's folders are searched before CUDA's."""
    return [
        f"-arch={arch.replace('sm_', 'compute_')}",
        AS_FOR_NVCC,
        # NVRTC warns about a second --std.
        *(
            default
            for default in FLAGS
            if not default.startswith("--std") or not any(STD.match(flag) for flag in flags)
        ),
        *(flag for flag in flags if flag.startswith("-I")),
        *(f"-I{folder}" for folder in locate.headers()),
        *(flag for flag in flags if not flag.startswith("-I")),
    ]


def attempt(
    nvrtc: Path,
    source: bytes,
    path: Path,
    arch: str,
    flags: Sequence[str],
    *,
    contained: bool = False,
    headers: Mapping[str, bytes] | None = None,
    apart: bool = False,
) -> Compilation:
    """NVRTC's answer to the CUDA C `source`, which was read from `path`, whether it compiles or not.

    `contained`: whether the source is untrusted. NVRTC then sees CUDA's headers, but not the folder of the source.
    `apart`: whether NVRTC runs in a process of its own also if it is trusted.

    Raises ToolMissing if NVRTC does not work; CompileError if its process dies; PairError for a flag of NO_FLAGS.
    """
    for flag in flags:
        if reason := no_flag(flag):
            raise PairError(f"{path.name} cannot be compiled with {flag}. {reason}.")
    flags, expressions = split(flags)
    options = options_for(arch, flags)
    if contained:
        folders = locate.headers()
        answer = compiled(nvrtc, source, path.name, options, folders, expressions, headers)
        log = answer.log
        for folder in folders:
            log = log.replace(f"{folder}{os.sep}", "")
    else:
        # The whole path: NVRTC looks for #include "..." next to it, and in the current folder for a bare name.
        path = path.absolute()
        answer = compiled(nvrtc, source, str(path), options, None, expressions, headers, apart=apart)
        log = answer.log.replace(f"{path.parent}{os.sep}", "")
    return answer._replace(log=log.strip(), ptx=FILE.sub(bare_name, answer.ptx))


def translate(
    nvrtc: Path, source: bytes, path: Path, arch: str, flags: Sequence[str], *, contained: bool = False
) -> CompilerOutput:
    """The PTX of the text as it is, by NVRTC. Raises the errors of `attempt` and `refusal`."""
    answer = attempt(nvrtc, source, path, arch, flags, contained=contained)
    if answer.status != SUCCESS:
        raise refusal(answer, nvrtc, path, arch, flags, contained=contained)
    return CompilerOutput(answer.ptx, answer.log, *answer.lowered.values())


def refusal(
    answer: Compilation, nvrtc: Path, path: Path, arch: str, flags: Sequence[str], *, contained: bool = False
) -> PtxbenchError:
    """The error for a compilation that failed.

    CompileError with NVRTC's first errors; ToolMissing if NVRTC does not work or its headers are missing; UsageError
    if it does not know `arch`; PairError if one of `flags` is unknown.
    """
    if answer.status == OUT_OF_MEMORY:  # of the memory limit of its process
        return CompileError(f"{path.name}: NVRTC exceeded its memory limit.")
    if (answer.status == INVALID_OPTION and "gpu-architecture" in answer.log) or "--nv_arch flag" in answer.log:
        return UsageError(f"NVRTC {version(nvrtc)} cannot compile for '{arch}'; name another with --arch.")
    if answer.status == INVALID_OPTION:
        message = f"NVRTC {version(nvrtc)} refuses an option: {answer.log.removeprefix('nvrtc: error: ')}."
        return PairError(f"{message} {path.name} is compiled with {' '.join(flags)}.")
    if answer.status != COMPILATION:
        return ToolMissing(f"NVRTC fails on {path.name}: {answer.meaning}. {answer.log}")
    if TILE_HEADER in answer.log and ENABLE_TILE not in flags:
        return CompileError(
            f"{path.name} is CUDA Tile C++, in which only a pair can have a kernel: tile/NAME.tile.cu in its folder of "
            "kernels."
        )
    if only_instantiation_fails(answer.log):
        wanted = split(flags)[1][0]
        messages = "; ".join(text for where, _, text in DIAGNOSIS.findall(answer.log)[:-1])
        return UsageError(f"{path.name}: cannot instantiate '{wanted}': {messages}.")
    lacks = NO_HEADER.search(answer.log)
    if lacks and not locate.headers():
        return ToolMissing(f"{path.name} includes {lacks[1]}, and CUDA's headers are not installed: {locate.INSTALL}.")
    return CompileError(diagnosis(answer.log, path, f"NVRTC {version(nvrtc)}", arch, contained=contained))


FILE = re.compile(r"(?P<start>^[ \t]*\.file[ \t]+\d+[ \t]+\")(?P<path>[^\"]*)", re.M)


def bare_name(directive: re.Match[str]) -> str:
    """A .file directive without the folder, so that the same source gives the same PTX in every folder."""
    # A backslash before three octal digits is not a Windows path: NVRTC writes non-ASCII characters so.
    return directive["start"] + re.split(r"/|\\(?![0-7]{3})", directive["path"])[-1]


def only_instantiation_fails(log: str) -> bool:
    """Whether all errors are about the kernel that NVRTC must instantiate, not about the source."""
    files = [where for where, _, _ in DIAGNOSIS.findall(log)]
    return bool(files) and set(files) == {BAD_EXPRESSION}


def diagnosis(log: str, path: Path, compiler: str, arch: str, *, contained: bool = False) -> str:
    """The message of a failed compilation: its first errors, each with file and line. `compiler`: with its version;
    `contained`: as in `advice`."""
    located = (
        f"{where}:{line}: {message.removesuffix(':')}"  # a list of functions follows
        for where, line, message in DIAGNOSIS.findall(log)
        if where != BAD_EXPRESSION
    )
    errors = list(dict.fromkeys(located))
    if not errors:
        return f"{path.name}: {compiler} refuses it: {log}"
    more = f" and {len(errors) - ERRORS_QUOTED} more" if len(errors) > ERRORS_QUOTED else ""
    todo = advice(log, path, contained=contained)
    return f"{'; '.join(errors[:ERRORS_QUOTED])}{more}. {compiler} cannot compile this for {arch}; {todo}."


def advice(log: str, path: Path, *, contained: bool = False) -> str:
    """What to do about a failed compilation. `contained`: whether the source is untrusted, so that nothing is said
    about the files next to it."""
    if LAUNCH.search(log):
        return "a kernel that launches kernels needs the device runtime, which ptxbench does not have"
    if not (lacks := NO_HEADER.search(log)):
        if text := unknown_names.advice(log):
            return text
        if not contained and (other := neighbours.including_file(path)):
            return f"correct the CUDA C there, or name {shlex.quote(os.path.relpath(other))}, which includes this file"
        return "correct the CUDA C there"
    if any(has_file(folder / "cuda" / "std", lacks[1]) for folder in locate.headers()):
        return f"in kernels, #include <cuda/std/{lacks[1]}> instead"
    if lacks[1].startswith("curand"):
        return f"pip install nvidia-curand (nvidia-curand-cu12 for CUDA 12), which has {lacks[1]}"
    if not contained and (folder := neighbours.folder_with(path, lacks[1])):
        return f"add -I {shlex.quote(str(folder))}, which has {lacks[1]}"
    return f"name the folder of {lacks[1]} with -I, or move the kernels to a file that does not include it"
