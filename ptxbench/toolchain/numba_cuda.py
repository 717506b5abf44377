"""A kernel in Python to PTX, by numba-cuda, which needs no GPU for it.

numba-cuda runs in a process that is started for the first kernel and kept (`numba_worker`). Each of its answers is
cached by everything that it depends on.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import importlib.metadata
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from ptxbench import architecture, cache
from ptxbench.errors import CompileError, TargetMismatch, ToolMissing
from ptxbench.interrupts import without_interrupts
from ptxbench.toolchain.nvrtc import FILE, Translation, bare_name
from ptxbench.toolchain.origins import LOC

INSTALL = "pip install 'ptxbench[numba]'"
FORM = "1"
"""Part of each cached answer's key; a new value makes all earlier ones unused."""

TOOLS = ("numba-cuda", "numba", "numpy", "nvidia-nvvm", "nvidia-cuda-nvcc", "nvidia-cuda-nvcc-cu12")
"""Packages whose versions can change the PTX: the last three contain NVVM."""

TOOLKITS = ("CUDA_HOME", "CUDA_PATH")
SAFE_IMPORTS = {"numba", "numpy"}


def translate(
    content: bytes, name: str, entry: str, arch: str, signature: Sequence[tuple[str, str]], defines: Mapping[str, int]
) -> Translation:
    """The PTX of the function `entry` of a Python file called `name`, with `entry` as the name of the kernel.

    `signature`: name and type of each argument; an array is a pointer, such as ("x", "float32*").

    Raises ToolMissing if numba-cuda is missing or does not work, CompileError with the line of the file.
    """
    versions = {tool: installed(tool) for tool in TOOLS}
    if versions["numba-cuda"] is None:
        raise ToolMissing(f"{name}: numba-cuda, which compiles Python, is not installed: {INSTALL}.")
    try:
        source = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CompileError(f"{name}:{line}: the file is not UTF-8. Save it as UTF-8.") from None
    request = {
        "source": source,
        "name": name,
        "entry": entry,
        "number": architecture.number(arch),
        "signature": [*signature],
        "defines": dict(defines),
    }
    text = json.dumps(request)

    def make() -> bytes:
        return readable(asked(text, name), name, entry).encode()

    given = [f"{variable}={os.environ.get(variable)}" for variable in TOOLKITS]
    found = [f"{tool} {version}" for tool, version in versions.items()]
    key = ("numba", FORM, platform.python_version(), *found, *given, text)
    # The text of another module of the user is not known, so it may have changed.
    if imports_only(source, SAFE_IMPORTS):
        ptx = cache.remember_once(key, make).decode()
    else:
        stop()
        ptx = make().decode()
    release = re.search(r"\bV(\d+(?:\.\d+)+)", ptx)
    how = f"numba-cuda {versions['numba-cuda']}"
    return Translation(ptx, "", how=f"{how} with NVVM {release[1]}" if release else how)


def installed(tool: str) -> str | None:
    """The version of a package; None if it is not installed."""
    try:
        return importlib.metadata.version(tool)
    except importlib.metadata.PackageNotFoundError:
        return None


def imports_only(source: str, allowed: set[str]) -> bool:
    """Whether a text imports only these packages and the standard library."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return True
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0] if not node.level else ".")
    return names <= allowed | sys.stdlib_module_names


# ---- the PTX as others can use it


OF_NUMBA = re.compile(r"^\.common \.global \.align 8 \.u64 _ZN08NumbaEnv\w+;\n", re.M)
"""A variable for numba's run time, which no kernel reads."""

UNIQUE = re.compile(r"(?<=B)\d+v(\d+)(?=B\d+c)")
"""The number of a function in numba's mangled names: how many were compiled before it in the process."""

SHARED = re.compile(r"\b_cudapy_([a-z]+)_(\d+)\b")
"""The name of an array of the kernel, with its number in the process."""

SECTION = re.compile(r"^\s*\.section\s+\.debug_str\s*\{[^}]*\}\s*", re.M)


def readable(ptx: str, name: str, entry: str) -> str:
    """The PTX with `entry` as the name of its kernel, and all lines those of the file, the same in every process.

    Raises CompileError if it has no kernel.
    """
    kernel = re.search(r"^\.visible \.entry (\S+?)\(", ptx, re.M)
    if kernel is None:
        raise CompileError(f"{name}: numba-cuda made no kernel of '{entry}'.")
    ptx = OF_NUMBA.sub("", ptx)
    ptx = re.sub(rf"\b{re.escape(kernel[1])}(?=\b|_param_)", entry, ptx)
    functions: dict[str, str] = {}
    arrays: dict[str, str] = {}

    def renumbered(found: re.Match[str]) -> str:
        number = functions.setdefault(found[1], str(len(functions) + 1))
        return f"{len(number) + 1}v{number}"

    def of_array(found: re.Match[str]) -> str:
        return f"{found[1]}_{arrays.setdefault(found[2], str(len(arrays) + 1))}"

    return own_lines(SHARED.sub(of_array, UNIQUE.sub(renumbered, ptx)), name)


def own_lines(ptx: str, name: str) -> str:
    """The PTX with each .loc in the file `name`: a line of numba's own files becomes the line that called it."""
    files = {found["number"]: found[0] for row in ptx.split("\n") if (found := re.match(FILE_LINE, row))}
    own = next((number for number, row in files.items() if name == re.split(r"[/\\]", row.rstrip('"'))[-1]), None)
    callers: dict[str, str] = {}
    rows = []
    for row in ptx.split("\n"):
        if (found := LOC.match(row)) and own:
            at = " ".join(found["at"].split())
            if found["caller"]:
                callers[at] = " ".join(found["caller"].split())
            seen: set[str] = set()
            while at.split()[0] != own and at in callers and at not in seen:
                seen.add(at)
                at = callers[at]
            row = f"\t.loc\t{at}" if at.split()[0] == own else f"\t.loc\t{own} 0 0"
        if (found := re.match(FILE_LINE, row)) and found["number"] != own:
            continue
        rows.append(FILE.sub(bare_name, row))
    return SECTION.sub("", "\n".join(rows)).rstrip() + "\n"


FILE_LINE = r"\s*\.file\s+(?P<number>\d+)\s+\"[^\"]*\""


# ---- the process


class Worker:
    """A running `numba_worker`."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        with without_interrupts():  # this process handles Ctrl-C, and ends the worker
            self.process = subprocess.Popen(
                # -P: the current folder may contain modules with the names of others
                [sys.executable, "-P", "-W", "ignore", "-m", "ptxbench.toolchain.numba_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # Options of numba would change the PTX, in the environment or in .numba_config.yaml of the folder.
                env=environment(),
                cwd=Path(__file__).parent,
                text=True,
                encoding="utf-8",
            )

    def answer(self, request: str) -> str:
        """The answer to a request; empty if the process ended without one."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(request + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return ""
        return self.process.stdout.readline()

    def end(self) -> int:
        """End the process; returns its exit status."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.kill()
        status = self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        return status


def environment() -> dict[str, str]:
    """The user's environment without options of numba; folders of modules do not depend on the current folder."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    if folders := found.get("PYTHONPATH"):
        found["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, folders.split(os.pathsep)))
    return found


RUNNING: list[Worker] = []
LOCK = threading.Lock()


def asked(request: str, name: str) -> str:
    """The PTX for a request. Raises ToolMissing and CompileError."""
    with LOCK:
        if RUNNING and RUNNING[0].owner != os.getpid():  # a fork must not read the answers of its parent
            RUNNING.clear()
        if not RUNNING:
            RUNNING.append(Worker())
        try:
            line = RUNNING[0].answer(request)
        except BaseException:  # Ctrl-C: the answer would be taken for that to the next request
            RUNNING.pop().end()
            raise
        if not line:
            process = RUNNING.pop()
            process.process.wait()
            status = process.end()
            how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
            raise CompileError(f"{name}: numba-cuda's process ended with {how} while it compiled this file.")
    answer: dict[str, str] = json.loads(line)
    if told := answer.get("refused"):
        raise CompileError(told)
    if told := answer.get("target"):
        raise TargetMismatch(f"{name}: not for this target: {told}.")
    if told := answer.get("unusable"):
        raise ToolMissing(f"{name}: numba-cuda does not work here: {told}. Reinstall it: {INSTALL}.")
    return answer["ptx"]


@atexit.register
def stop() -> None:
    """End the process; the next kernel starts another."""
    with LOCK:
        while RUNNING:
            if (worker := RUNNING.pop()).owner == os.getpid():
                worker.end()
