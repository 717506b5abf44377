"""A kernel in Triton to PTX, by Triton's compiler, which needs no GPU for it.

Triton runs in a process that is started for the first kernel and kept (`triton_worker`). It chooses the threads and the
shared memory. Each of its answers is cached by everything that it depends on.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ptxbench import architecture, cache
from ptxbench.errors import CompileError, ToolMissing
from ptxbench.tensor_map import MAP_WORDS
from ptxbench.toolchain.compiler_process import CompilerProcess, environment_without
from ptxbench.toolchain.python_source import decoded, imports_only, installed, own_lines

INSTALL = "pip install 'ptxbench[triton]'"
CODE = ("toolchain/triton.py", "toolchain/triton_worker.py", "toolchain/python_source.py")
"""The files of the package that make a cached answer."""

PTX_VERSION = 90
"""PTX 9.0, the lowest version with all targets. By default Triton takes the version of its own ptxas."""

SAFE_IMPORTS = {"triton", "numpy"}

TYPES = {
    "float16": "fp16", "bfloat16": "bf16", "float32": "fp32", "float64": "fp64", "float8_e4m3fn": "fp8e4nv",
    "float8_e5m2": "fp8e5", "bool": "i1", "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64",
}  # fmt: skip
"""Triton's name of each type that it shares with pairs."""

PROCESS = CompilerProcess("ptxbench.toolchain.triton_worker", "Triton", INSTALL, lambda: environment_without("TRITON_"))


@dataclass(frozen=True)
class TritonCode:
    """The PTX of a kernel. `target`: what it is for, such as sm_90a for sm_90. `threads`, `shared_bytes`: of a CTA."""

    ptx: str
    target: str
    threads: int
    shared_bytes: int
    """Dynamic: a launch must ask for it."""
    how: str
    """The compiler, with its version."""


def compiled(content: bytes, name: str, entry: str, arch: str, signature: Sequence[tuple[str, str]]) -> TritonCode:
    """The function `entry` of a file called `name`, compiled for `arch`: sm_90, sm_90a and sm_90f are the same.

    `signature`: name and type of each argument; an array is a pointer, such as ("x", "float32*"), whose address is a
    multiple of 16. The kernel takes no tensor maps.

    Raises ToolMissing if Triton is missing or does not work, CompileError with the line of the file.
    """
    version = installed("triton")
    if version is None:
        raise ToolMissing(f"{name}: Triton is not installed: {INSTALL}.")
    source = decoded(content, name)
    types = [(argument, type_of(argument, words, name)) for argument, words in signature if words != MAP_WORDS]
    request = {
        "source": source,
        "name": name,
        "entry": entry,
        "number": architecture.number(arch),
        "signature": types,
        "ptx_version": PTX_VERSION,
    }
    text = json.dumps(request)

    def make() -> bytes:
        return json.dumps(PROCESS.ask(text, name)).encode()

    # The text of another module of the user is not known, so it may have changed.
    if imports_only(source, SAFE_IMPORTS):
        key = ("triton", cache.code_version(*CODE), platform.python_version(), version, text)
        answer = json.loads(cache.remember_once(key, make))
    else:
        PROCESS.stop()
        answer = json.loads(make())
    if workspace := answer["workspace_bytes"]:
        raise CompileError(
            f"{name}: Triton's code of '{entry}' needs a workspace of {workspace} bytes of global memory, such as for "
            "tensor descriptors that a kernel makes. Workspaces are not supported; use pointers."
        )
    ptx = own_lines(INLINE.sub(one_line, without_workspaces(answer["ptx"], name, entry, len(types))), name)
    return TritonCode(
        ptx, directive(ptx, "target"), int(directive(ptx, "reqntid")), answer["shared_bytes"], f"Triton {version}"
    )


def type_of(argument: str, text: str, name: str) -> str:
    """Triton's type of an argument: `*fp32` for `float32*`. Raises CompileError if it has none."""
    element = text.removesuffix("*")
    if element not in TYPES:
        raise CompileError(f"{name}: Triton has no type for the argument '{argument}', which is {element}.")
    return f"*{TYPES[element]}" if text.endswith("*") else TYPES[element]


# ---- the PTX as others can use it


HEADER = re.compile(r"^\.visible \.entry (?P<name>[\w$]+)\((?P<parameters>[^)]*)\)", re.M)


def without_workspaces(ptx: str, name: str, entry: str, arguments: int) -> str:
    """The PTX without the parameters that follow the arguments: pointers to workspaces that the kernel does not read.

    Raises CompileError if it has no kernel, fewer parameters, or reads one of those.
    """
    header = HEADER.search(ptx)
    if header is None or header["name"] != entry:
        raise CompileError(f"{name}: Triton made no kernel of '{entry}'.")
    rows = [row.strip() for row in header["parameters"].split(",") if row.strip()]
    names = [row.split()[-1] for row in rows]
    body = ptx[header.end() :]
    if len(rows) < arguments or any(re.search(rf"\b{re.escape(hidden)}\b", body) for hidden in names[arguments:]):
        raise CompileError(
            f"{name}: Triton's kernel '{entry}' reads other parameters than the {arguments} arguments of its pair: it "
            f"has {len(rows)}."
        )
    parameters = ",\n".join(f"\t{row}" for row in rows[:arguments])
    return f"{ptx[: header.start('parameters')]}\n{parameters}\n{ptx[header.end('parameters') :]}"


INLINE = re.compile(r"(?<=// begin inline asm\n)(?P<text>.*?)(?=\t// end inline asm)", re.S)
LINE_OF_FILE = re.compile(r"^\s*\.loc\b.*\n", re.M)


def one_line(inline: re.Match[str]) -> str:
    """Inline assembly with only its first .loc: the compiler counts each of its lines as a further line of the file."""
    first = LINE_OF_FILE.search(inline["text"])
    return (first[0] if first else "") + LINE_OF_FILE.sub("", inline["text"])


def directive(ptx: str, name: str) -> str:
    """The first word after a directive of the PTX that Triton always writes."""
    match = re.search(rf"^\.{name}\s+(\w+)", ptx, re.M)
    assert match is not None, f"no .{name} in Triton's PTX"
    return match[1]
