"""NVRTC, called through ctypes: here, or in a process of its own that sees CUDA's headers and nothing else.

The library is called through ctypes, so that an installed toolkit's NVRTC works where no wheel and no binding is. The
process imports nothing but this, and starts in some 20 ms.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ptxbench.containment import LANDLOCK, mode, restrict

SUCCESS, OUT_OF_MEMORY, INVALID_OPTION, COMPILATION = 0, 1, 5, 6  # nvrtcResult, nvrtc.h


class Compilation(NamedTuple):
    """What NVRTC made of one source; `ptx` is empty unless `status` is SUCCESS. `meaning`: the name of the status."""

    status: int
    meaning: str
    log: str
    ptx: str


class LibraryError(Exception):
    """NVRTC does not load, or a call fails that never should; the message is a sentence without its full stop."""


class CompilerDied(Exception):
    """The process ended without an answer; the message says how."""


class Library:
    """NVRTC, loaded."""

    def __init__(self, path: Path) -> None:
        try:
            self.functions = ctypes.CDLL(str(path))
        except OSError as error:
            raise LibraryError(f"NVRTC does not load: {error}") from None
        self.functions.nvrtcGetErrorString.restype = ctypes.c_char_p

    def check(self, status: int) -> None:
        if status != SUCCESS:
            raise LibraryError(f"NVRTC fails: {self.name(status)}")

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

    def compile(self, source: bytes, name: str, options: Sequence[str]) -> Compilation:
        program = ctypes.c_void_p()
        self.check(self.functions.nvrtcCreateProgram(ctypes.byref(program), source, name.encode(), 0, None, None))
        try:
            array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            status: int = self.functions.nvrtcCompileProgram(program, len(options), array)
            log = self.text(program, "ProgramLog")
            ptx = self.text(program, "PTX") if status == SUCCESS else ""
            return Compilation(status, self.name(status), log, ptx)
        finally:
            self.functions.nvrtcDestroyProgram(ctypes.byref(program))


@functools.cache
def library(path: Path) -> Library:
    return Library(path)


# ---- in a process of its own

ROOT = Path(__file__).parents[2]
START = "import sys; sys.path.insert(0, sys.argv[1]); from ptxbench.containment.compiler import serve; serve()"
READY = b"\n"
"""What the process writes before it looks at the source: from then on, whatever ends it is the source's doing."""


def compile_contained(
    path: Path, source: bytes, name: str, options: Sequence[str], readable: Sequence[Path]
) -> Compilation:
    """Compile foreign text in a process that can open files below `readable` and no others, nor the network.

    Where the kernel has no Landlock it can open others too: the caller has looked at the names in the text. The
    process has no environment, and an empty folder as its own. Raises LibraryError, CompilerDied.
    """
    request: dict[str, object] = {
        "library": str(path),
        "name": name,
        "options": [*options],
        "readable": [*map(str, readable)],
    }
    request["mode"] = mode()
    # Files without a name: what is open as a file, Landlock does not open again through /proc, and a pipe it does.
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as answer,
        tempfile.TemporaryFile() as complaints,
        tempfile.TemporaryDirectory(prefix="ptxbench-") as folder,
    ):
        given.write(json.dumps(request).encode() + b"\n" + source)
        given.seek(0)
        process = subprocess.run(
            [sys.executable, "-I", "-S", "-c", START, str(ROOT)],
            stdin=given,
            stdout=answer,
            stderr=complaints,
            cwd=folder,
            env=bare_environment(),
        )
        answer.seek(0)
        content = answer.read()
        if process.returncode == 0:
            found = json.loads(content)
            if "failed" in found:
                raise LibraryError(found["failed"])
            return Compilation(**found)
        status = process.returncode
        ending = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        if content == READY:
            raise CompilerDied(f"ended with {ending}")
        complaints.seek(0)
        last = complaints.read()[-2000:].decode("utf-8", "replace").strip().splitlines()[-1:]
        raise LibraryError(f"NVRTC's process ended with {ending}: {''.join(last)}")


def bare_environment() -> dict[str, str]:
    """The environment of a tool that handles foreign text: empty, except for what Windows cannot do without."""
    return {name: os.environ[name] for name in ("SYSTEMROOT",) if sys.platform == "win32"}


def serve() -> None:
    """Compile what standard input asks for: a line of JSON, then the source, which is read once restricted."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the library prints must not end up in the answer
    request = json.loads(sys.stdin.buffer.readline())
    try:
        nvrtc = load_whole(Path(request["library"]))
        if request["mode"] == LANDLOCK:
            restrict(read=[Path(each) for each in request["readable"]])
        output.write(READY)
        output.flush()
        found = nvrtc.compile(sys.stdin.buffer.read(), request["name"], request["options"])
        output.write(json.dumps(found._asdict()).encode())
    except LibraryError as error:
        output.write(json.dumps({"failed": str(error)}).encode())
    output.close()


def load_whole(path: Path) -> Library:
    """NVRTC with the library of its built-in functions, which it would load itself once it compiles."""
    for builtins in path.resolve().parent.glob("libnvrtc-builtins*.so*"):
        if ".alt." not in builtins.name:
            ctypes.CDLL(str(builtins))
    return Library(path)
