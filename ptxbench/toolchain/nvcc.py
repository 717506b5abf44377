"""Compiles trusted CUDA C to PTX with nvcc and a host compiler, for files that NVRTC cannot compile."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ptxbench.errors import ToolMissing
from ptxbench.toolchain import locate

SECONDS = 600

LENIENT = ("--extended-lambda", "--expt-relaxed-constexpr")
"""Options that many projects need, and that change nothing in a file that compiles without them."""

MARKER = "ptxbench_name"
"""A kernel that is added to the source. Its template argument is the kernel to instantiate, so its mangled name
contains the mangled name of that kernel."""

MARKED = re.compile(
    rf"^[ \t]*// \.globl\s+\w*{MARKER}\w*\n"
    rf"|^(?:\.(?:visible|weak) )?\.entry _Z13{MARKER}IXadL(?P<name>_Z\w+)EEEvv\(\s*\)"
    r"[^{]*\{[^}]*\}\n*",
    re.M,
)


ENTRY = re.compile(r"^(?:\.(?:visible|weak) )?\.entry (\w+)", re.M)
VARIABLES = ("NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS", "CPATH", "CPLUS_INCLUDE_PATH")
"""Environment variables that change what nvcc makes, or which headers its host compiler finds."""
SUBSTITUTION = re.compile(r"S[0-9A-Z]*_")
"""In a mangled name, a number in place of a type that was named before."""


def host_compiler() -> str | None:
    """The host compiler that nvcc will use, or None."""
    usual = "cl" if sys.platform == "win32" else "g++"
    return shutil.which(os.environ.get("NVCC_CCBIN") or usual)


def find() -> tuple[Path, str]:
    """nvcc and its host compiler. Raises ToolMissing, with what to install, if one is missing."""
    tool, compiler = locate.program("nvcc"), host_compiler()
    if tool is None:
        raise ToolMissing(f"nvcc is not installed: {locate.INSTALL}")
    if compiler is None:
        raise ToolMissing("nvcc needs a host compiler, and none is installed: install g++")
    return tool, compiler


@functools.cache
def description(tool: Path, compiler: str) -> str:
    """The versions, such as `nvcc 13.5.37 with g++ 12.4.0`."""
    version = re.search(r"\d+\.\d+(?:\.\d+)*", locate.described(compiler, "--version", "").stdout)
    return f"nvcc {locate.version(tool)} with {Path(compiler).name} {version[0] if version else 'of unknown version'}"


def compiled(
    tool: Path, source: bytes, path: Path, options: Sequence[str], expressions: Sequence[str]
) -> tuple[str | None, str, list[str]]:
    """(PTX, log, the PTX's name of each kernel of `expressions`); the PTX is None if nvcc refuses the source.

    `path`: the file that the source was read from; files next to it can be included.
    """
    for expression in expressions:
        source += f"\ntemplate <auto> __global__ void {MARKER}() {{}}".encode()
        source += f"\ntemplate __global__ void {MARKER}<&{expression}>();\n".encode()
    with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder:
        (Path(folder) / path.name).write_bytes(source)
        try:
            ran = subprocess.run(
                # Only the name, so that __FILE__ and the PTX are the same in every folder.
                [tool, "-ptx", *LENIENT, *options, f"-I{path.absolute().parent}", path.name, "-o", "made.ptx"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolMissing(f"nvcc does not run: {error}") from None
        log = ran.stdout.replace(f"{path.absolute().parent}{os.sep}", "").strip()
        output = Path(folder) / "made.ptx"
        if ran.returncode or not output.is_file():
            return None, log, []
        ptx = output.read_text(errors="replace")
    marked = [match["name"] for match in MARKED.finditer(ptx) if match["name"]]
    ptx = MARKED.sub("", ptx)
    return ptx, log, [name_in(ptx, name) for name in marked]


def name_in(ptx: str, marked: str) -> str:
    """The name of a kernel in the PTX, from its name in the marker's. They differ in the numbers of substitutions,
    which count what was named before."""
    form = SUBSTITUTION.sub("S_", marked)
    return next((name for name in ENTRY.findall(ptx) if SUBSTITUTION.sub("S_", name) == form), marked)
