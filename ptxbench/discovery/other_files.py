"""Files without PTX or CUDA C: what they hold instead, and how a kernel in them can be used."""

from __future__ import annotations

import re
from pathlib import Path

from ptxbench.discovery import SUFFIXES
from ptxbench.documents import read_bytes
from ptxbench.errors import PtxbenchError, UsageError, near
from ptxbench.languages import CUDA, NUMBA, PTX, TRITON
from ptxbench.toolchain.comments import COMMENT

KERNELS = (
    (re.compile(r"\b__global__\b"), CUDA),
    (re.compile(r"^\s*\.version\b.*?\.entry\b", re.M | re.S), PTX),
)
"""What a kernel has, by its language."""

DECORATORS = ((re.compile(r"^\s*@triton\.jit\b", re.M), TRITON), (re.compile(r"^\s*@cuda\.jit\b", re.M), NUMBA))
MACHINE_CODE = b"\x7fELF"


def not_a_kernel(shown: str, path: Path) -> str:
    """What to say about a file of another kind. `shown`: its name."""
    content = content_of(path)
    return f"{shown} is neither a .ptx nor a .cu file.{advice(content) or of_python(content)}"


def advice(content: bytes) -> str:
    """What to do about a file of another kind; empty if it has no kernel in PTX or CUDA C."""
    if content.startswith(MACHINE_CODE):
        return " It has machine code: name the PTX or the CUDA C that it was made from."
    text = content.decode("utf-8", "replace")
    languages = [language for mark, language in KERNELS if mark.search(text)]
    return f" It has {languages[0].title}: save that alone as a {languages[0].suffix} file." if languages else ""


def of_python(content: bytes) -> str:
    """Where kernels in Python belong; empty if the file has none."""
    text = content.decode("utf-8", "replace")
    languages = [language for mark, language in DECORATORS if mark.search(text)]
    if not languages:
        return ""
    language = languages[0]
    return f" Kernels in {language.title} belong to a pair: {language.name}/NAME{language.suffix} in its folder."


def kernel_text(path: Path, error: type[PtxbenchError]) -> bytes:
    """The content of a .ptx or .cu file. Raises `error` if it cannot be read, is empty or has comments only."""
    content = read_bytes(path, error)
    if not content.strip():
        raise error(f"{path} is empty.")
    lines = content.decode("latin-1").replace("\r", "\n")  # a file of carriage returns alone is not all comment
    if not COMMENT.sub("", lines).strip():
        raise error(f"{path} has no kernel: it has comments only.")
    return content


def missing_file(path: Path) -> str:
    """A sentence about a file that does not exist, with one that may be meant: of its folder, or of the current one."""
    by_stem = {file.stem: file for folder in (Path(), path.parent) for file in kernel_files(folder)}
    close = near(path.stem, list(by_stem))
    return f"There is no file {path}." + (f" Did you mean '{by_stem[close[0]]}'?" if close else "")


def kernel_files(folder: Path) -> list[Path]:
    """The PTX and CUDA C files of a folder; none if it cannot be read."""
    try:
        return sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES.values())
    except OSError:
        return []


def content_of(path: Path) -> bytes:
    """The content of a file; empty if it cannot be read or is too large for a kernel."""
    try:
        return read_bytes(path, UsageError)
    except UsageError:
        return b""
