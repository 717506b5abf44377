"""CUDA C to PTX to machine code, without a GPU: NVRTC, ptxas, tileiras and nvdisasm of NVIDIA's wheels or a toolkit."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ptxbench import architecture, cache, kernel_names
from ptxbench.documents import read_bytes
from ptxbench.errors import PairError, SignatureMismatch, ToolMissing
from ptxbench.languages import CUDA, NUMBA, TILE, TRITON, has_own_threads
from ptxbench.launch import OwnCta
from ptxbench.pool import usable_cores
from ptxbench.result import BuildReport
from ptxbench.substitution import substituted
from ptxbench.tensor_map import TensorMap, TiledMap
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import cuda_c, encodings, locate, numba_cuda, nvrtc, ptxas, sass, tile, triton
from ptxbench.toolchain.kernel_info import kernel_info
from ptxbench.toolchain.kernel_templates import only_templates
from ptxbench.toolchain.nvrtc import CompilerOutput
from ptxbench.toolchain.occupancy import launch_occupancy, occupancy, resident_ctas
from ptxbench.toolchain.source_hash import source_hash

if TYPE_CHECKING:
    from ptxbench.discovery import Source
    from ptxbench.libraries import Gemm
    from ptxbench.pair import Launch

__all__ = [
    "FLAGS",
    "Build",
    "assembled_text",
    "build",
    "build_source",
    "launch_occupancy",
    "occupancy",
    "resident_ctas",
    "versions",
]

LINE_INFORMATION = ("-lineinfo",)
"""Options of ptxas with which a cubin says which line of the PTX each instruction is from."""

FLAGS = {"nvrtc": nvrtc.FLAGS, "ptxas": ()}
"""Options of every build that can change its output, for the run document; the cell adds -arch."""


@dataclass(frozen=True)
class Build:
    """One variant, built for one architecture and ready to be loaded.

    `ptx` is the text that was assembled, or that the driver will assemble. `cubin` is None without ptxas and with the
    driver's assembler; the figures from it are then None in the report too.
    """

    variant: str
    language: str
    entry: str
    arch: str
    source: Path
    ptx: str
    cubin: bytes | None
    report: BuildReport
    library: Gemm | None = None
    """The vendor library call, if this is one; then there is no kernel, and `ptx` is empty."""
    own_cta: OwnCta | None = None
    """What the compiler chose for a CTA, if it chose the threads; the pair's launch then has one thread."""
    gpu_only: str | None = None
    """Why the emulator cannot execute `ptx`; None if it can."""

    def launched(self, launch: Launch) -> Launch:
        """The launch with the threads and the dynamic shared memory that the kernel has."""
        return self.own_cta.of(launch) if self.own_cta else launch

    def enqueued(self, launch: Launch) -> Launch:
        """The launch as the driver gets it: of a tile kernel with one thread (CUDA C++ Programming Guide, 2.4)."""
        return dataclasses.replace(launch, block=1) if self.language == TILE.name else launch

    @property
    def declaration(self) -> str:
        """`ptx` without the parameters that only the driver fills."""
        return tile.declared(self.ptx) if self.language == TILE.name else self.ptx

    def arguments(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the kernel takes of its pair's arguments: no tensor maps, where its compiler would make them itself."""
        if not has_own_threads(self.language):
            return arguments
        return {name: value for name, value in arguments.items() if not isinstance(value, TensorMap | TiledMap)}


def build(
    source: Path,
    *,
    language: str,
    variant: str,
    entry: str,
    arch: str,
    flags: Sequence[str] = (),
    assembler: Literal["toolkit", "driver"] = "toolkit",
    defines: Sequence[tuple[str, int]] = (),
    contained: bool = False,
    signature: Sequence[tuple[str, str]] = (),
    for_counts: bool = False,
) -> Build:
    """Build the kernel `entry` of `source`, which is in a language of `languages.LANGUAGES`, for `arch`, such as sm_90.

    `flags`: further options of NVRTC. `defines`: knobs, which are macros in CUDA C, constants in Python and literals in
    PTX. `signature`: the pair's, for languages that leave the types of parameters to it. With the driver as
    `assembler`, only the PTX is built: the driver's machine code is not known. A tile kernel always gets that of
    tileiras. The Build of a tile kernel and of one in Triton has the target that the code is for: sm_90a for sm_90.
    Output of the tools is cached (`cache.folder`). `contained`: whether the source is untrusted (`nvrtc.translate`).
    `for_counts`: with line information in the cubin (`assembled_for_counts`), which otherwise takes another run of
    ptxas.

    Raises CompileError, AssembleError, TargetMismatch if the file's .target does not fit `arch`, SignatureMismatch if
    the file has no such kernel; ToolMissing if CUDA C needs NVRTC and it is missing; UsageError if the tools do not
    know `arch`; PairError if the file or a flag is invalid. Without ptxas or nvdisasm, the report lacks their figures.
    """
    architecture.require(arch)
    content = read_bytes(source, PairError)
    if language == TILE.name:
        options = (*flags, *(f"-D{name}={value}" for name, value in defines))
        return build_tile(content, source, variant, entry, arch, options, contained=contained)
    if language == TRITON.name:
        code = triton.compiled(content, source.name, entry, arch, signature)
        arch, cta = code.target, OwnCta((code.threads, 1, 1), code.shared_bytes)
        ptx, log, how = code.ptx, "", code.how
    else:
        cta = None
        ptx, log, _, how = translated(
            content, source, language, entry, arch, flags, defines, contained=contained, signature=signature
        )
    options = (*flags, *(f"-D{name}={value}" for name, value in defines))
    source_sha256 = sha256(content) if contained else source_hash(content, source, options)
    report = BuildReport(source_sha256, ptx_sha256=sha256(ptx.encode()), log=log, compiler=how)
    cubin = None
    tool = locate.program("ptxas") if assembler == "toolkit" else None
    if tool:
        try:
            cubin, messages = (assembled_for_counts if for_counts else assembled)(tool, ptx, arch)
        except ptxas.RefusedError as refused:
            raise ptxas.explain(str(refused), ptx, source, language, arch, f"ptxas {locate.version(tool)}") from None
        log = "\n".join(filter(None, [log, ptxas.notable(messages, ptx, source, language)]))
        report = examine(dataclasses.replace(report, log=log), elf.read(cubin), messages, entry, source, arch)
    return Build(variant, language, entry, arch, source, ptx, cubin, report, own_cta=cta)


def build_tile(
    content: bytes, source: Path, variant: str, entry: str, arch: str, options: Sequence[str], *, contained: bool
) -> Build:
    """`build` for CUDA Tile C++. Raises the errors of `tile.compiled`."""
    code = tile.compiled(content, source, arch, entry, options, contained=contained)
    image = elf.read(code.cubin)
    if entry not in image.entries:
        raise SignatureMismatch(missing_entry(image, entry, source, "__tile_global__"))
    figures = kernel_info(image, entry, code.target)
    source_sha256 = sha256(content) if contained else source_hash(content, source, options)
    report = BuildReport(source_sha256, sha256(code.ptx.encode()), log=code.log, compiler=code.how)
    report = with_code(
        dataclasses.replace(
            report,
            registers=figures.registers,
            stack_bytes=figures.stack_bytes,
            shared_bytes=figures.shared_bytes,
        ),
        image,
        entry,
        code.target,
    )
    spills = spills_of(code, image, entry)
    if spills is not None:
        report = dataclasses.replace(report, spill_store_bytes=spills[0], spill_load_bytes=spills[1])
    return Build(
        variant,
        TILE.name,
        entry,
        code.target,
        source,
        code.ptx,
        code.cubin,
        report,
        own_cta=OwnCta(figures.threads) if figures.threads else None,
        gpu_only=tile.gpu_only(code.ptx, same_code=spills is not None),
    )


def spills_of(code: tile.TileCode, image: elf.Cubin, entry: str) -> tuple[int, int] | None:
    """Bytes stored and loaded by spills, if ptxas makes the same machine code of the PTX.

    None if it does not, or without ptxas.
    """
    tool = locate.program("ptxas")
    if tool is None or not code.ptx:
        return None
    try:
        cubin, messages = assembled(tool, code.ptx, code.target)
    except ptxas.RefusedError:
        return None
    resources = ptxas.resources(messages, entry)
    if resources is None or elf.identity(elf.read(cubin), entry, 0, 0) != elf.identity(image, entry, 0, 0):
        return None
    return resources.spill_store_bytes, resources.spill_load_bytes


def build_source(source: Source, arch: str, assembler: Literal["toolkit", "driver"] = "toolkit") -> Build:
    """`build` for a pair's variant, with its file for `arch`. Raises the same errors."""
    source = source.on(arch)
    if source.library:
        report = BuildReport("", "")
        return Build(source.variant, source.language, source.entry, arch, source.path, "", None, report, source.library)
    return build(
        source.path,
        language=source.language,
        variant=source.variant,
        entry=source.entry,
        arch=arch,
        flags=source.flags,
        assembler=assembler,
        defines=source.defines,
        contained=source.contained,
        signature=source.signature,
    )


def translated(
    content: bytes,
    source: Path,
    language: str,
    entry: str,
    arch: str,
    flags: Sequence[str] = (),
    defines: Sequence[tuple[str, int]] = (),
    *,
    contained: bool = False,
    signature: Sequence[tuple[str, str]] = (),
) -> CompilerOutput:
    """The PTX of a text in any language, which was read from `source`. PTX stays as it is, except for its knobs.

    Raises the errors of `build`.
    """
    if language == CUDA.name:
        options = (*flags, *(f"-D{name}={value}" for name, value in defines))
        return compiled(content, source, arch, options, contained=contained)
    if language == NUMBA.name:
        return numba_cuda.translate(content, source.name, entry, arch, signature, dict(defines))
    ptx = ptxas.check_ascii(content, source.name)
    return CompilerOutput(substituted(ptx, dict(defines), source.name) if defines else ptx, "")


def versions() -> dict[str, str | None]:
    """The version of each tool, such as 13.0.88; None for a tool that is missing or does not run."""
    result: dict[str, str | None] = dict.fromkeys(("nvrtc", "ptxas", "nvdisasm"))
    with contextlib.suppress(ToolMissing):
        result["nvrtc"] = cuda_c.nvrtc_version(nvrtc.find())
    for name in ("ptxas", "nvdisasm"):
        if tool := locate.program(name):
            with contextlib.suppress(ToolMissing):
                result[name] = locate.version(tool)
    return result


compiled = cuda_c.translate
sha256 = cuda_c.sha256


def assembled(tool: Path, ptx: str, arch: str, options: Sequence[str] = (), *, keep: bool = True) -> tuple[bytes, str]:
    """(cubin, ptxas's messages) of PTX, from the cache if it was assembled before; `keep`: whether it is kept there.

    `options`: further options of ptxas. Raises the errors of `ptxas.assemble`.
    """

    def make() -> bytes:
        cubin, messages = ptxas.assemble(tool, ptx, arch, options)
        return json.dumps([base64.b64encode(cubin).decode(), messages]).encode()

    key = cubin_key(tool, ptx, arch, options)
    cubin, messages = json.loads(cache.remember(key, make) if keep else cache.known(key) or make())
    return base64.b64decode(cubin), messages


def assembled_for_counts(tool: Path, ptx: str, arch: str) -> tuple[bytes, str]:
    """`assembled` with line information, which the counts of machine instructions need; without it if ptxas refuses the
    text only with it. It changes neither the machine code nor the messages; tests/toolchain compares them."""
    try:
        return assembled(tool, ptx, arch, LINE_INFORMATION)
    except ptxas.StoppedError:
        raise
    except ptxas.RefusedError:
        return assembled(tool, ptx, arch)


def accepted(tool: Path, ptx: str, arch: str) -> str:
    """ptxas's messages on PTX that it accepts for `arch`, without machine code unless that was made before. Raises
    the errors of `ptxas.accept`."""
    for options in ((), LINE_INFORMATION):
        if stored := cache.known(cubin_key(tool, ptx, arch, options)):
            messages: str = json.loads(stored)[1]
            return messages
    key = ("accepted", locate.version(tool), arch, sha256(ptx.encode()))
    return cache.remember(key, lambda: ptxas.accept(tool, ptx, arch).encode()).decode()


def cubin_key(tool: Path, ptx: str, arch: str, options: Sequence[str] = ()) -> tuple[str, ...]:
    return "cubin", locate.version(tool), arch, *options, sha256(ptx.encode())


def assembled_text(ptx: str, arch: str) -> bytes | None:
    """The cubin of PTX that ptxbench itself wrote; None if ptxas is missing or does not know `arch`."""
    tool = locate.program("ptxas")
    if tool is None:
        return None
    try:
        return assembled(tool, ptx, arch)[0]
    except (ptxas.RefusedError, ToolMissing):
        return None


def opcode_counts(tool: Path, code: bytes, arch: str) -> dict[str, int]:
    """The opcodes of machine code by frequency, from the cache if nvdisasm has read it before."""

    def make() -> bytes:
        return json.dumps(sass.counts(map(sass.opcode, instruction_texts(tool, code, arch)))).encode()

    result: dict[str, int] = json.loads(cache.remember(sass_key("opcodes", tool, arch, code), make))
    return result


def sass_key(kind: str, tool: Path, arch: str, code: bytes) -> tuple[str, ...]:
    return kind, cache.code_version("toolchain/sass.py"), locate.version(tool), arch, sha256(code)


def instruction_texts(tool: Path, code: bytes, arch: str) -> list[str]:
    """The text of each instruction of machine code: from the tables, or from the cache if nvdisasm has read it
    before."""
    if (from_tables := encodings.texts(code, arch, locate.version(tool))) is not None:
        return from_tables

    def make() -> bytes:
        return json.dumps(sass.disassembler(tool, arch).texts(code)).encode()

    result: list[str] = json.loads(cache.remember(sass_key("instructions", tool, arch, code), make))
    return result


def builders() -> ThreadPoolExecutor:
    """Threads that build. The tools run outside the interpreter's lock, and threads that wait for nvdisasm share its
    next run, so more threads than cores are useful."""
    return ThreadPoolExecutor(usable_cores() + 8)


def examine(report: BuildReport, image: elf.Cubin, messages: str, entry: str, source: Path, arch: str) -> BuildReport:
    """`report` with the figures from the cubin and from ptxas's messages on `entry`."""
    resources = ptxas.resources(messages, entry)
    if resources is None:
        raise SignatureMismatch(missing_entry(image, entry, source))
    with_resources = dataclasses.replace(
        report,
        registers=resources.registers,
        spill_store_bytes=resources.spill_store_bytes,
        spill_load_bytes=resources.spill_load_bytes,
        stack_bytes=resources.stack_bytes,
        shared_bytes=resources.shared_bytes,
    )
    return with_code(with_resources, image, entry, arch)


def with_code(report: BuildReport, image: elf.Cubin, entry: str, arch: str) -> BuildReport:
    """`report`, which has the resources of `entry`, with the identity and the opcodes of its machine code."""
    log = report.log
    counts: dict[str, int] = {}
    if tool := locate.program("nvdisasm"):
        try:
            counts = opcode_counts(tool, elf.code(image, entry) or b"", arch)
        except ToolMissing as missing:  # nvdisasm is too old for this architecture: only the counts are missing
            log = f"{log}\n{missing}".strip()
    return dataclasses.replace(
        report,
        sass_sha256=elf.identity(image, entry, report.registers or 0, report.shared_bytes or 0),
        sass=sass.classes(counts) if counts else {},
        opcodes=counts,
        log=log,
    )


def missing_entry(cubin: elf.Cubin, entry: str, source: Path, specifier: str = "__global__") -> str:
    """The message for a file without the kernel of its name."""
    entries = [
        name for name in cubin.entries if not name.startswith("__$")
    ]  # NVRTC writes such names, never for a tile kernel
    if not entries:
        return only_templates(source, entry) or f"{source.name} has no kernel; it needs one called '{entry}'."
    names = [kernel_names.short(name) for name in entries]
    declaration = f'extern "C" {specifier} void {entry}(...)'
    if any(kernel_names.unqualified(name) == entry for name in names):
        return f"{source.name}: '{entry}' has a C++ name. Declare it {declaration}."
    remedy = f"Declare it {declaration}" if entries[0].startswith("_Z") else f"Name it '{entry}'"
    return f"{source.name} has no kernel '{entry}'; it has {kernel_names.some(names)}. {remedy}."
