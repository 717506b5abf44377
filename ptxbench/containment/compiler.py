"""NVRTC: in this process, or in a separate process that can read CUDA's headers and nothing else."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ptxbench.containment import HEADERS, mode
from ptxbench.containment.nvrtc_library import READY, Library, LibraryError


class Compilation(NamedTuple):
    """The result of NVRTC for one source; `ptx` and `lowered` are empty unless `status` is SUCCESS. `meaning`: the name
    of the status. `lowered`: the PTX's name of each kernel that was asked for as an expression. `tile_ir`: the Tile IR
    of tile kernels, in base64."""

    status: int
    meaning: str
    log: str
    ptx: str
    lowered: dict[str, str]
    tile_ir: str = ""


class CompilerDied(Exception):
    """The process ended without an answer; the message says how."""


@functools.cache
def library(path: Path) -> Library:
    return Library(path)


# ---- in a separate process

ROOT = Path(__file__).parents[2]
START = "import sys; sys.path.insert(0, sys.argv[1]); from ptxbench.containment.nvrtc_library import serve; serve()"


def compile_apart(
    path: Path,
    source: bytes,
    name: str,
    options: Sequence[str],
    readable: Sequence[Path] | None,
    expressions: Sequence[str] = (),
    headers: Mapping[str, bytes] | None = None,
) -> Compilation:
    """Compile in a process of its own. Untrusted text has `readable`: the process can open only files below these
    folders, and has no network.

    If the kernel has no Landlock, the process can open other files too; the caller has checked the file names in the
    text. The process of untrusted text has no environment, and an empty current folder.

    Raises LibraryError, CompilerDied.
    """
    request = {
        "library": str(path),
        "name": name,
        "options": [*options],
        "expressions": [*expressions],
        "headers": {name: text.decode("utf-8", "surrogateescape") for name, text in (headers or {}).items()},
        "readable": [*map(str, readable or ())],
        "mode": mode() if readable is not None else HEADERS,
    }
    # Files without a name: Landlock does not let the process open them again through /proc; it would for a pipe.
    with (
        tempfile.TemporaryFile() as request_file,
        tempfile.TemporaryFile() as answer,
        tempfile.TemporaryFile() as complaints,
        tempfile.TemporaryDirectory(prefix="ptxbench-") as folder,
    ):
        request_file.write(json.dumps(request).encode() + b"\n" + source)
        request_file.seek(0)
        process = subprocess.run(
            [sys.executable, "-I", "-S", "-c", START, str(ROOT)],
            stdin=request_file,
            stdout=answer,
            stderr=complaints,
            cwd=folder if readable is not None else None,
            env=bare_environment() if readable is not None else {**os.environ, **HUGE_PAGES},
        )
        answer.seek(0)
        content = answer.read()
        if process.returncode == 0:
            reply = json.loads(content)
            if isinstance(reply, dict):
                raise LibraryError(reply["failed"])
            return Compilation(*reply)
        status = process.returncode
        ending = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        if content == READY:
            raise CompilerDied(f"ended with {ending}")
        complaints.seek(0)
        last = complaints.read()[-2000:].decode("utf-8", "replace").strip().splitlines()[-1:]
        raise LibraryError(f"NVRTC's process ended with {ending}: {''.join(last)}")


def bare_environment() -> dict[str, str]:
    """The environment of a tool that handles untrusted text: nothing of this process's, except for what Windows
    requires."""
    return {**HUGE_PAGES, **{name: os.environ[name] for name in ("SYSTEMROOT",) if sys.platform == "win32"}}


HUGE_PAGES = {"GLIBC_TUNABLES": f"glibc.malloc.hugetlb=1:glibc.malloc.top_pad={16 << 20}"}
"""Environment of a process whose memory grows by 16 MiB in huge pages, where Linux has them. A new page takes about
2 us, whether it is of 4 KiB or huge, in addition to the time to clear it: ptxas needs a fifth less time for `triad`."""
