"""CUDA Tile C++ to machine code: NVRTC makes Tile IR, and tileiras makes a cubin for one architecture.

tileiras lets ptxas assemble PTX, and writes that text into the debugging information of the cubin. ptxbench shows this
PTX. `gpu_only` says when the emulator cannot execute it.
"""

from __future__ import annotations

import base64
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxbench import cache
from ptxbench.containment import tools
from ptxbench.containment.nvrtc_library import ENABLE_TILE, INVALID_OPTION, SUCCESS
from ptxbench.errors import AssembleError, CompileError, TargetMismatch, ToolMissing
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import cuda_c, line_table, locate
from ptxbench.toolchain.encoding import encoding_problem, without_mark

INSTALL = "pip install 'ptxbench[tile]', or install a CUDA toolkit of version 13.3 or later"
FLAGS = ("--std=c++20", ENABLE_TILE)
"""Options of NVRTC, besides those for every text."""

INPUT, OUTPUT = "kernel.tileir", "kernel.cubin"
SECONDS = 300
"""A timeout. A product of matrices takes half a second."""

MEMORY_BYTES = 16 << 30
"""Address space limit, of which tileiras uses less than 2 GiB."""

TARGET = re.compile(r"^\s*=(sm_\d+)\s", re.M)
"""A target in tileiras's list of values of --gpu-name."""

PLACE = re.compile(r'loc\("(?:[^"]*[/\\])?(?P<file>[^"/\\]+)":(?P<line>\d+):')
ERROR = re.compile(r"error: (?P<message>.*)")
UNSUPPORTED = re.compile(r"Incompatibility with architecture '\w+': ")
"""What tileiras says of a type or an operation that a target lacks."""

TEXT = ".nv_debug_ptx_txt"
"""The section of a cubin that holds the PTX. Its lines end with a zero byte, and lines of .loc are empty."""

HIDDEN = re.compile(r"^\s*\.hidden\s+\.param\b", re.M)
"""A parameter that the driver fills, by a function for the host in the cubin."""

HIDDEN_LIST = re.compile(r",?[ \t]*\n\s*\.hidden\s+\.param\b[^,)]*")
AFTER_CODE = re.compile(r"\s*\.(?:section|nv_)")
"""The start of what follows the code: strings for debuggers, and the Tile IR."""

UNDOCUMENTED = re.compile(r"\s*\.language\b")
"""A directive that no manual describes; the machine code is the same without it."""

ON_GPU = "so it is verified on a GPU alone"
NO_TEXT = f"tileiras gives no PTX of it, {ON_GPU}."
HIDDEN_PARAMETERS = f"it has hidden parameters, tensor maps that only the driver makes, {ON_GPU}."
OTHER_CODE = f"tileiras makes other machine code of its PTX than ptxas, {ON_GPU}."


@dataclass(frozen=True)
class TileCode:
    """A cubin of a tile kernel. `target`: what it is for, such as sm_90a. `ptx`: empty if the cubin has none."""

    cubin: bytes
    target: str
    ptx: str
    log: str
    how: str
    """The compilers, with their versions."""


def compiled(
    content: bytes, path: Path, arch: str, entry: str, flags: Sequence[str] = (), *, contained: bool = False
) -> TileCode:
    """The machine code for `arch` of CUDA Tile C++ that was read from `path`. All results of the tools are cached.

    tileiras knows only plain targets, and makes code that needs their `a` form: sm_90, sm_90a and sm_90f are the same.

    Raises ToolMissing without tileiras or an NVRTC for it; TargetMismatch for an architecture that it does not know;
    CompileError, AssembleError; and the errors of `nvrtc.refusal`.
    """
    tool = find()
    version, plain = locate.version(tool), arch.rstrip("af")
    if plain not in targets(tool):
        supported = targets(tool)
        raise TargetMismatch(f"{path.name}: needs {supported[0]}. tileiras {version} makes no code of it for {arch}.")
    program, log, nvrtc = tile_ir(content, path, plain, flags, contained=contained)

    def make() -> bytes:
        return base64.b64encode(assemble(tool, program, plain, path))

    key = ("tile cubin", version, plain, cuda_c.sha256(program))
    cubin = base64.b64decode(cache.remember(key, make))
    ptx = text(elf.read(cubin), entry, path.name)
    target = re.search(r"^\.target\s+(\w+)", ptx, re.M)
    return TileCode(cubin, target[1] if target else plain, ptx, log, f"{nvrtc} and tileiras {version}")


def find() -> Path:
    """The path of tileiras: next to ptxas in NVIDIA's wheels, or in a toolkit. Raises ToolMissing."""
    if ptxas := locate.program("ptxas"):
        tileiras = ptxas.with_name("tileiras").with_suffix(ptxas.suffix)
        if tileiras.is_file():
            return tileiras
    if path := locate.program("tileiras"):
        return path
    raise ToolMissing(f"tileiras, which compiles CUDA Tile C++, is not installed: {INSTALL}.")


def targets(tool: Path) -> list[str]:
    """The targets that tileiras knows, the lowest first. Raises ToolMissing if it does not run."""

    def listed() -> bytes:
        try:
            help_text = subprocess.run(
                [tool, "--help"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=locate.SECONDS_FOR_VERSION,
            ).stdout
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolMissing(f"{tool} does not run: {error}. Reinstall it: {INSTALL}.") from None
        if not (names := TARGET.findall(help_text)):
            raise ToolMissing(f"{tool} --help lists no target. Reinstall it: {INSTALL}.")
        return " ".join(names).encode()

    return cache.remember(("tile targets", locate.version(tool)), listed).decode().split()


def tile_ir(content: bytes, path: Path, arch: str, flags: Sequence[str], *, contained: bool) -> tuple[bytes, str, str]:
    """(Tile IR, NVRTC's warnings, its name with the version). Raises the errors of `compiled`."""
    content = without_mark(content)
    if problem := encoding_problem(content):
        raise CompileError(f"{path.name}:1: {problem.sentence} {problem.remedy}")
    job = cuda_c.Job(content, path, arch, (*flags, *FLAGS), contained)
    nvrtc = f"NVRTC {cuda_c.nvrtc_version(job.library)}"
    compilation = job.by_nvrtc(content)
    if compilation.status == INVALID_OPTION and ENABLE_TILE.strip("-") in compilation.log:
        raise ToolMissing(f"{nvrtc} does not know CUDA Tile C++, which 13.3 was the first to compile: {INSTALL}.")
    if compilation.status != SUCCESS:
        raise cuda_c.refusal(job, compilation)
    return base64.b64decode(compilation.tile_ir), compilation.log, nvrtc


def assemble(tool: Path, program: bytes, target: str, path: Path) -> bytes:
    """The cubin of Tile IR, by tileiras in a folder of its own. Raises AssembleError, ToolMissing."""
    with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder:
        (Path(folder) / INPUT).write_bytes(program)
        arguments = [f"--gpu-name={target}", "--lineinfo", INPUT, "-o", OUTPUT]
        try:
            ran = tools.run(
                tool,
                arguments,
                Path(folder),
                SECONDS,
                memory_bytes=MEMORY_BYTES,
                read=libraries(tool),
                starts=programs(tool),
            )
        except subprocess.TimeoutExpired:
            raise AssembleError(
                f"{path.name}: tileiras was stopped after {SECONDS} s; make the kernel smaller."
            ) from None
        except OSError as error:
            locate.raise_if_machine(error)
            raise ToolMissing(f"{tool} does not start: {error.strerror}. {INSTALL}.") from None
        if ran.returncode != 0:
            printed = (ran.stdout + ran.stderr).decode(errors="replace").strip()
            ending = f"error: it ended with status {ran.returncode}"
            raise refusal(printed or ending, path.name, target, f"tileiras {locate.version(tool)}")
        return (Path(folder) / OUTPUT).read_bytes()


def libraries(tool: Path) -> list[Path]:
    """The folders of libnvvm, which tileiras loads."""
    installed = tool.resolve().parents[1]
    return [installed / name for name in ("lib", "lib64", "nvvm")]


def programs(tool: Path) -> list[Path]:
    """ptxas, which tileiras starts."""
    ptxas = tool.with_name("ptxas").with_suffix(tool.suffix)
    return [ptxas] if ptxas.is_file() else []


def refusal(printed: str, name: str, target: str, tool: str) -> AssembleError | TargetMismatch:
    """The error for what tileiras printed about the file `name`: its first error, with the line."""
    match, error = PLACE.search(printed), ERROR.search(printed)
    location = f"{match['file']}:{match['line']}" if match else name
    reason = error["message"] if error else printed
    message = f"{location}: {UNSUPPORTED.sub('', reason)}. {tool} makes no code of it for {target}."
    return TargetMismatch(message) if UNSUPPORTED.match(reason) else AssembleError(message)


def text(cubin: elf.Cubin, entry: str, name: str) -> str:
    """The PTX in the cubin, with .loc directives for lines of the file `name`; empty if there is none.

    Line 0 is an unknown line. The line numbers stay those of the cubin.
    """
    content = next((section.content for section in cubin.sections if section.name == TEXT), b"")
    if not content:
        return ""
    rows = [row.decode("utf-8", "replace").rstrip() for row in content.split(b"\0")]
    end = next((i for i, row in enumerate(rows) if AFTER_CODE.match(row)), len(rows))
    rows = ["" if UNDOCUMENTED.match(row) else row for row in rows[:end]]
    line_origins = origins(cubin, entry, name)
    body = next((i for i, row in enumerate(rows) if row == "{"), len(rows))
    first = next((i for i in range(body, len(rows)) if not rows[i]), len(rows))
    for blank in range(first, len(rows) - 1):
        if not rows[blank] and rows[blank + 1]:  # a .loc was here, for all lines up to the next empty one
            end = next((i for i in range(blank + 1, len(rows)) if not rows[i]), len(rows))
            lines = (line_origins.get(i + 1) for i in range(blank + 1, end))
            rows[blank] = f".loc 1 {next(filter(None, lines), 0)} 0"
    return "\n".join([*rows, f'.file 1 "{name}"', ""])


def origins(cubin: elf.Cubin, entry: str, name: str) -> dict[int, int | None]:
    """The line of the file `name` for each line of PTX with machine code; None for a line of another file."""
    try:
        of_ptx, of_source = line_table.rows(cubin, entry), line_table.source_rows(cubin, entry, name)
    except ValueError:
        return {}
    line_origins: dict[int, int | None] = {}
    line, origin = 0, None
    for address in sorted({*of_ptx, *of_source}):
        line, origin = of_ptx.get(address, line), of_source.get(address, origin)
        line_origins.setdefault(line, origin)
    return line_origins


def declared(ptx: str) -> str:
    """The PTX without hidden parameters, which are the last ones."""
    return HIDDEN_LIST.sub("", ptx)


def gpu_only(ptx: str, *, same_code: bool) -> str | None:
    """Why the emulator must not execute this PTX; None if it can. `same_code`: whether ptxas alone makes the same code.

    Without the same machine code, the text does not say everything about what a GPU executes.
    """
    if not ptx:
        return NO_TEXT
    if HIDDEN.search(ptx):
        return HIDDEN_PARAMETERS
    return None if same_code else OTHER_CODE
