"""A kernel in Python to PTX, by numba-cuda, which needs no GPU for it.

numba-cuda runs in a process that is started for the first kernel and kept (`numba_worker`). Each of its answers is
cached by everything that it depends on.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence

from ptxbench import architecture, cache
from ptxbench.errors import CompileError, ToolMissing
from ptxbench.toolchain.compiler_process import CompilerProcess, environment_without
from ptxbench.toolchain.nvrtc import CompilerOutput
from ptxbench.toolchain.python_source import decoded, imports_only, installed, own_lines

INSTALL = "pip install 'ptxbench[numba]'"
CODE = ("toolchain/numba_cuda.py", "toolchain/numba_worker.py", "toolchain/python_source.py")
"""The files of the package that make a cached answer."""

TOOLS = ("numba-cuda", "numba", "numpy", "nvidia-nvvm", "nvidia-cuda-nvcc", "nvidia-cuda-nvcc-cu12")
"""Packages whose versions can change the PTX: the last three contain NVVM."""

TOOLKITS = ("CUDA_HOME", "CUDA_PATH")
SAFE_IMPORTS = {"numba", "numpy"}

PROCESS = CompilerProcess(
    "ptxbench.toolchain.numba_worker", "numba-cuda", INSTALL, lambda: environment_without("NUMBA_")
)


def translate(
    content: bytes, name: str, entry: str, arch: str, signature: Sequence[tuple[str, str]], defines: Mapping[str, int]
) -> CompilerOutput:
    """The PTX of the function `entry` of a Python file called `name`, with `entry` as the name of the kernel.

    `signature`: name and type of each argument; an array is a pointer, such as ("x", "float32*").

    Raises ToolMissing if numba-cuda is missing or does not work, CompileError with the line of the file.
    """
    versions = {tool: installed(tool) for tool in TOOLS}
    if versions["numba-cuda"] is None:
        raise ToolMissing(f"{name}: numba-cuda, which compiles Python, is not installed: {INSTALL}.")
    source = decoded(content, name)
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
        return readable(PROCESS.ask(text, name)["ptx"], name, entry).encode()

    settings = [f"{variable}={os.environ.get(variable)}" for variable in TOOLKITS]
    tools = [f"{tool} {version}" for tool, version in versions.items()]
    key = ("numba", cache.code_version(*CODE), platform.python_version(), *tools, *settings, text)
    # The text of another module of the user is not known, so it may have changed.
    if imports_only(source, SAFE_IMPORTS):
        ptx = cache.remember_once(key, make).decode()
    else:
        PROCESS.stop()
        ptx = make().decode()
    release = re.search(r"\bV(\d+(?:\.\d+)+)", ptx)
    description = f"numba-cuda {versions['numba-cuda']}"
    return CompilerOutput(ptx, "", how=f"{description} with NVVM {release[1]}" if release else description)


# ---- the PTX as others can use it


OF_NUMBA = re.compile(r"^\.common \.global \.align 8 \.u64 _ZN08NumbaEnv\w+;\n", re.M)
"""A variable for numba's run time, which no kernel reads."""

UNIQUE = re.compile(r"(?<=B)\d+v(\d+)(?=B\d+c)")
"""The number of a function in numba's mangled names: how many were compiled before it in the process."""

SHARED = re.compile(r"\b_cudapy_([a-z]+)_(\d+)\b")
"""The name of an array of the kernel, with its number in the process."""


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

    def renumbered(match: re.Match[str]) -> str:
        number = functions.setdefault(match[1], str(len(functions) + 1))
        return f"{len(number) + 1}v{number}"

    def of_array(match: re.Match[str]) -> str:
        return f"{match[1]}_{arrays.setdefault(match[2], str(len(arrays) + 1))}"

    return own_lines(SHARED.sub(of_array, UNIQUE.sub(renumbered, ptx)), name)
