"""Compiles PTX to a cubin with ptxas, and reads its report of registers, spills and shared memory."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxbench.architecture import accepts
from ptxbench.containment import tools
from ptxbench.errors import AssembleError, MachineError, TargetMismatch, ToolMissing, UsageError
from ptxbench.toolchain import cubin, locate, register_counts, unknown_names
from ptxbench.toolchain.encoding import character_at, encoding_problem, with_ascii_comments
from ptxbench.toolchain.origins import origins

SECONDS = 300
"""A timeout. A kernel of a hundred thousand instructions takes ptxas under a minute; past this it hangs."""

MEMORY_BYTES = 8 << 30
"""Address space limit. A large kernel takes ptxas 1 GiB; some texts would use all the memory of a machine."""

INPUT = "kernel.ptx"
"""The file name that ptxas sees, so that the same PTX gives the same messages wherever it came from."""

OUTPUT = "kernel.cubin"

ERRORS_QUOTED = 3


@dataclass(frozen=True)
class Resources:
    """The report of `ptxas -v` for one entry; bytes are per thread, shared bytes per CTA."""

    registers: int
    stack_bytes: int
    spill_store_bytes: int
    spill_load_bytes: int
    shared_bytes: int
    barriers: int


def check_ascii(source: bytes, name: str) -> str:
    """`source` as text, with ASCII comments. Raises AssembleError at the first character of its code that is not ASCII:
    ptxas rejects such files."""
    if problem := encoding_problem(source):
        raise AssembleError(f"{name}:1: {problem.sentence} {problem.remedy}")
    source = with_ascii_comments(source)
    try:
        return source.decode("ascii")
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        column = error.start - source.rfind(b"\n", 0, error.start)
        raise AssembleError(
            f"{name}:{line}: column {column} is {character_at(source, error.start)}, which is not ASCII. "
            "PTX may have it in comments only; replace it."
        ) from None


def assemble(
    tool: Path,
    ptx: str,
    arch: str,
    options: Sequence[str] = (),
    *,
    seconds: float | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> tuple[bytes, str]:
    """(cubin, messages) of a PTX text; the messages call the text `kernel.ptx`. `options`: further options of ptxas.

    Raises RefusedError with ptxas's messages, StoppedError above `seconds` (by default SECONDS) or `memory_bytes` of
    address space (only on Linux); ToolMissing if it does not start; MachineError if the disk is full.
    """
    with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder:
        messages = read(tool, ptx, arch, options, Path(folder), seconds, memory_bytes)
        machine_code = (Path(folder) / OUTPUT).read_bytes()
    if not cubin.is_complete(machine_code):  # ptxas has no error for that
        raise MachineError("ptxas could not write all of the machine code. Free space for temporary files (TMPDIR).")
    return machine_code, messages


def accept(tool: Path, ptx: str, arch: str) -> str:
    """The messages on a PTX text that ptxas accepts for `arch`, without machine code; a quarter to two thirds of the
    work of `assemble`.

    What only shows when the code is made is not found, such as more shared memory than a CTA can have. Raises the
    errors of `assemble`.
    """
    virtual = arch.replace("sm_", "compute_", 1)  # "code generation is suppressed", says ptxas --help
    with tempfile.TemporaryDirectory(prefix="ptxbench-") as folder:
        try:
            return read(tool, ptx, virtual, (), Path(folder))
        except RefusedError as refused:
            raise type(refused)(str(refused).replace(f"'{virtual}'", f"'{arch}'")) from None


def read(
    tool: Path,
    ptx: str,
    arch: str,
    options: Sequence[str],
    folder: Path,
    seconds: float | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> str:
    """ptxas's messages on a PTX text; it writes the cubin, if there is one, to `folder`. Raises as `assemble`."""
    seconds = SECONDS if seconds is None else seconds
    if message := register_counts.refusal(ptx):
        raise StoppedError(message)
    (folder / INPUT).write_bytes(ptx.encode("ascii"))
    try:
        status, messages = run(
            tool, ["-v", f"-arch={arch}", *options, INPUT, "-o", OUTPUT], folder, seconds, memory_bytes
        )
    except subprocess.TimeoutExpired:
        raise StoppedError(f"stopped after {seconds:g} s; make the kernel smaller") from None
    except OSError as error:
        locate.raise_if_machine(error)
        raise ToolMissing(f"{tool} does not start: {error.strerror}. {locate.INSTALL}.") from None
    if "Memory allocation failure" in messages:
        raise StoppedError(f"needs more than {memory_bytes >> 20:,} MiB of memory for it")
    if status != 0:
        refused = StoppedError if status < 0 else RefusedError
        raise refused(with_lines(messages, ptx) or f"ended with status {status} without a message")
    return messages


SHORT_ADDRESS = re.compile(r"^ptxas warning : Program uses 32-bit address on line '(\d+)' which .*$", re.M)
OF_32_BITS = re.compile(r"^ptxas fatal *: .*32-Bit (?:ABI|compilation).*\n?", re.M)


ADDRESSES_OF_32_BITS = re.compile(r"^[^/\n]*(\.address_size\s+32\b)", re.M)
MAKE_64 = (
    "The text has .address_size 32, and ptxas makes code with 64-bit addresses only. Compile its source for 64 bits, "
    "or write .address_size 64 and make all addresses .u64"
)


def with_lines(messages: str, ptx: str) -> str:
    """ptxas's messages on a text that it refuses, with the line where those about 32-bit addresses lack it."""
    if size := ADDRESSES_OF_32_BITS.search(ptx):
        located = f"ptxas {INPUT}, line {line_of(size, ptx, 1)}; error   : {MAKE_64}\n"
        return OF_32_BITS.sub(located, messages).strip()
    if not SHORT_ADDRESS.search(messages):
        return messages
    located = rf"ptxas {INPUT}, line \1; error   : The address has 32 bits, but .address_size is 64"
    return OF_32_BITS.sub("", SHORT_ADDRESS.sub(located, messages)).strip()


def run(tool: Path, arguments: Sequence[str], folder: Path, seconds: float, memory_bytes: int) -> tuple[int, str]:
    """The exit status and output of ptxas, which runs in `folder` and can access nothing else."""
    ran = tools.run(tool, arguments, folder, seconds, memory_bytes=memory_bytes)
    return ran.returncode, (ran.stdout + ran.stderr).decode(errors="replace").strip()


class RefusedError(Exception):
    """ptxas made no cubin. The message is its output, or how it ended. `explain` makes it an error for the user."""


class StoppedError(RefusedError):
    """ptxas was stopped before it finished."""


def is_too_old(messages: str, language: str) -> bool:
    """Whether ptxas cannot read PTX because it is older than the compiler that made it."""
    return language in COMPILERS and "Unsupported .version" in messages


DECLARED_TARGET = re.compile(r"^\s*\.target\s+(\w+)", re.M)


def target_mismatch(ptx: str, source: Path, arch: str, tool: str) -> TargetMismatch | None:
    """The error for a PTX text whose .target is later than `arch`, which ptxas need not know; None if it fits."""
    target = DECLARED_TARGET.search(ptx)
    return of_target(target, ptx, source, arch, tool) if target and accepts(arch, target[1]) is False else None


def of_target(target: re.Match[str], ptx: str, source: Path, arch: str, tool: str) -> TargetMismatch:
    line = line_of(target, ptx, 1)
    return TargetMismatch(f"{source.name}:{line}: needs {target[1]}; {tool} cannot assemble it for {arch}.")


def line_of(match: re.Match[str], text: str, group: int = 0) -> int:
    return text.count("\n", 0, match.start(group)) + 1


def explain(messages: str, ptx: str, source: Path, language: str, arch: str, tool: str) -> Exception:
    """The error to raise for ptxas's `messages` on PTX that is `source` or was made from it."""
    target = DECLARED_TARGET.search(ptx)
    if "is not defined for option 'gpu-name'" in messages:
        return UsageError(f"{tool} does not know the architecture '{arch}'; name another with --arch.")
    if target and any(mismatch in messages for mismatch in MISMATCHES):
        return of_target(target, ptx, source, arch, tool)
    if is_too_old(messages, language):
        return ToolMissing(
            f"{COMPILERS[language]} is newer than {tool}, which cannot read its PTX: "
            f"{messages.splitlines()[0].partition(': ')[2]}. Install both of one CUDA version: {locate.INSTALL}."
        )
    reported = re.findall(rf"^ptxas (?:{INPUT}, line (\d+); )?(?:error|fatal)\s*: (.*)$", messages, re.M)
    located = (
        f"{source_line(ptx, int(line or line_meant(text, ptx)), source, language)}: "
        f"{text.strip().rstrip('.').replace(INPUT, source.name)}"
        for line, text in reported
        if "aborted due to errors" not in text
    )
    errors = list(dict.fromkeys(located))
    if not errors:
        return AssembleError(f"{source.name}: {tool} produced no cubin of it for {arch}: {messages}.")
    more = f" and {len(errors) - ERRORS_QUOTED} more" if len(errors) > ERRORS_QUOTED else ""
    quoted = "; ".join(errors[:ERRORS_QUOTED])
    return AssembleError(f"{quoted}{more}. {tool} refuses this for {arch}; {advice(messages, language, arch)}.")


WITHOUT_LINE = {
    "passing predicate, 8-bit and 16-bit parameters": re.compile(
        r"\.func\b[^{;/]*?(?P<place>\.reg\s*\.(?:pred|[bus]8|[bus]16|b?f16)\b)"
    )
}
"""Errors that ptxas reports without a line -> the text that causes them."""


def line_meant(message: str, ptx: str) -> int:
    """The line of the PTX that an error of ptxas without a line means; 0 if that is not known."""
    matches = (cause.search(ptx) for words, cause in WITHOUT_LINE.items() if words in message)
    return next((line_of(match, ptx, 1) for match in matches if match), 0)


def advice(messages: str, language: str, arch: str) -> str:
    """What to do about ptxas's messages."""
    if OF_ONE_ARCHITECTURE.search(messages):
        return f"{arch}a has it: --arch {arch}a"
    if (old := WITHOUT_SYNC.search(messages)) and language == "cuda":
        return f"use {OF_WARPS[old[1]]}, {unknown_names.ALL_LANES}"
    return "correct it there"


WITHOUT_SYNC = re.compile(r"Instruction '(shfl|vote)' without '\.sync' is not supported")
OF_WARPS = {"shfl": "__shfl_sync", "vote": "__any_sync, __all_sync or __ballot_sync"}

OF_ONE_ARCHITECTURE = re.compile(
    r"'(?:wgmma|setmaxnreg|tensormap\.replace)\b[^\n]* not supported on \.target 'sm_90'"
    r"|'tcgen05\b[^\n]* not supported on \.target 'sm_1[01]\d'"
)
"""Instructions that only the targets with an a have. (PTX ISA, "Target ISA Notes" of each.)"""


COMPILERS = {"cuda": "NVRTC", "numba": "The NVVM of numba-cuda", "triton": "Triton"}
"""What makes the PTX of each language that is compiled."""

MISMATCHES = (
    "cannot be compiled for architecture",  # sm_90a for sm_90
    "cannot be compiled to future architecture",  # sm_90a for sm_100
    "cannot be compiled to different SM-family architecture",  # sm_100f for sm_120
    "SM version specified by .target is higher than default SM version assumed",  # sm_90 for sm_80
)
"""Messages of ptxas for a .target that does not fit an architecture. The rule is not monotone, so ptxas is asked."""


def source_line(ptx: str, line: int, source: Path, language: str) -> str:
    """Line `line` of the PTX file itself, or the CUDA C line that it was made from."""
    if not line:
        return source.name
    if language == "ptx":
        return f"{source.name}:{line}"
    cuda_line = origins(ptx.split("\n"), source.name).get(line)
    return f"{source.name}:{cuda_line}" if cuda_line else source.name


def notable(messages: str, ptx: str, source: Path, language: str) -> str:
    """The messages without the usual statistics: warnings, and what ptxas did not do (C75xx).

    Line numbers are those of `source`, which is `ptx` or was compiled to it.
    """
    remaining = "\n".join(line for line in messages.splitlines() if not STATISTICS.match(line))
    return re.sub(rf"{INPUT}, line (\d+)", lambda match: source_line(ptx, int(match[1]), source, language), remaining)


STATISTICS = re.compile(
    r"ptxas info\s*: (\d+ bytes gmem|Compiling entry function |Function properties for |Used \d+ reg|Compile time = )"
    r"|    \d+ bytes stack frame, "
    r"|$"
)


def resources(messages: str, entry: str) -> Resources | None:
    """The resources that the messages report for `entry`; None if they do not."""
    sections = re.split(r"^ptxas info\s*: Compiling entry function '([^']*)' for '\w+'$", messages, flags=re.M)
    reports = dict(zip(sections[1::2], sections[2::2], strict=True))
    if entry not in reports:
        return None
    report = reports[entry]

    def figure(pattern: str) -> int:
        match = re.search(pattern, report)
        return int(match[1]) if match else 0

    return Resources(
        registers=figure(r"Used (\d+) registers"),
        stack_bytes=figure(r"(\d+) bytes stack frame"),
        spill_store_bytes=figure(r"(\d+) bytes spill stores"),
        spill_load_bytes=figure(r"(\d+) bytes spill loads"),
        shared_bytes=figure(r"(\d+) bytes smem"),
        barriers=figure(r"used (\d+) barriers"),
    )
