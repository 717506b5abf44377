"""NVRTC, called through ctypes, and the process in which it compiles untrusted text.

With ctypes, an installed toolkit's NVRTC works without any wheel or binding. The process imports only this module and
the one that restricts it, so that it starts fast.
"""

# Importing pathlib takes as long as everything else here.
# ruff: noqa: PTH118, PTH120, PTH208

from __future__ import annotations

import base64
import ctypes
import json
import os
import sys

from ptxbench.containment import LANDLOCK, restrict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SUCCESS, OUT_OF_MEMORY, INVALID_OPTION, COMPILATION = 0, 1, 5, 6  # nvrtcResult, nvrtc.h

ENABLE_TILE = "--enable-tile"
"""The option of NVRTC for CUDA Tile C++."""

MOST_CHARACTERS = 10_000
"""Of each line of the log that are kept. NVRTC quotes the source's line with each of up to a hundred errors."""

READY = b"\n"
"""What the process writes before it looks at the source: if it dies later, the source is the cause."""


class LibraryError(Exception):
    """NVRTC does not load, or a call failed that should always work; the message has no full stop."""


class Library:
    """NVRTC, loaded."""

    def __init__(self, path: str | Path) -> None:
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

    def text(self, program: ctypes.c_void_p, output: str) -> str:
        """The program's log or PTX, through NVRTC's two calls: its size, then its bytes."""
        size = ctypes.c_size_t()
        self.check(getattr(self.functions, f"nvrtcGet{output}Size")(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        self.check(getattr(self.functions, f"nvrtcGet{output}")(program, buffer))
        return buffer.value.decode("utf-8", "replace")

    def tile_ir(self, program: ctypes.c_void_p) -> str:
        """The Tile IR of the program's tile kernels, in base64; empty without any."""
        size = ctypes.c_size_t()
        self.check(self.functions.nvrtcGetTileIRSize(program, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        self.check(self.functions.nvrtcGetTileIR(program, buffer))
        return base64.b64encode(buffer.raw).decode()

    def lowered(self, program: ctypes.c_void_p, expression: str) -> str:
        """The PTX's name of a kernel that was given as an expression."""
        name = ctypes.c_char_p()
        self.check(self.functions.nvrtcGetLoweredName(program, expression.encode(), ctypes.byref(name)))
        return (name.value or b"").decode()

    def compile(
        self,
        source: bytes,
        name: str,
        options: Sequence[str],
        expressions: Sequence[str] = (),
        headers: Mapping[str, bytes] | None = None,
    ) -> tuple[int, str, str, str, dict[str, str], str]:
        """The status, its name, the log, the PTX, the PTX's name of each kernel of `expressions`, and the Tile IR.

        The last three are empty unless the status is SUCCESS. Only ENABLE_TILE gives Tile IR. `expressions`: kernels to
        instantiate, such as ns::k<float, 4>. `headers`: texts for files that the source includes, by path.
        """
        program = ctypes.c_void_p()
        by_name = headers or {}
        texts = (ctypes.c_char_p * len(by_name))(*by_name.values())
        names = (ctypes.c_char_p * len(by_name))(*map(encoded, by_name))
        create = self.functions.nvrtcCreateProgram
        self.check(create(ctypes.byref(program), source, encoded(name), len(by_name), texts, names))
        try:
            for expression in expressions:
                self.check(self.functions.nvrtcAddNameExpression(program, expression.encode()))
            array = (ctypes.c_char_p * len(options))(*map(encoded, options))
            status: int = self.functions.nvrtcCompileProgram(program, len(options), array)
            log = with_short_lines(self.text(program, "ProgramLog"))
            ptx = self.text(program, "PTX") if status == SUCCESS else ""
            lowered = {expression: self.lowered(program, expression) for expression in expressions if status == SUCCESS}
            tile_ir = self.tile_ir(program) if ENABLE_TILE in options and status == SUCCESS else ""
            return status, self.name(status), log, ptx, lowered, tile_ir
        finally:
            self.functions.nvrtcDestroyProgram(ctypes.byref(program))


def with_short_lines(log: str) -> str:
    return "\n".join(line[:MOST_CHARACTERS] for line in log.split("\n"))


def encoded(text: str) -> bytes:
    """The bytes of a text or of a path, also of those that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def serve() -> None:
    """Compile the request on standard input: a line of JSON, then the source, which is read after the restriction."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output printed by the library must not mix with the answer
    request = json.loads(sys.stdin.buffer.readline())
    try:
        nvrtc = load_whole(request["library"])
        if request["mode"] == LANDLOCK:
            restrict(read=request["readable"])
        output.write(READY)
        output.flush()
        headers = {name: encoded(text) for name, text in request["headers"].items()}
        source = sys.stdin.buffer.read()
        compilation = nvrtc.compile(source, request["name"], request["options"], request["expressions"], headers)
        output.write(json.dumps(compilation).encode())
    except LibraryError as error:
        output.write(json.dumps({"failed": str(error)}).encode())
    output.close()


def load_whole(path: str) -> Library:
    """NVRTC with the library of its built-in functions, which NVRTC would otherwise load at its first compilation."""
    nvrtc = Library(path)
    folder = os.path.dirname(os.path.realpath(path))
    names = [name for name in os.listdir(folder) if name.startswith("libnvrtc-builtins") and ".alt." not in name]
    for name in names:
        if ".so" in name:
            ctypes.CDLL(os.path.join(folder, name))
    if not names:  # the loader finds the library by name, and that of the functions too
        nvrtc.compile(b"", "empty.cu", ())
    return nvrtc
