"""Whether a source compiles for a target: the resources it takes, or the instruction that prevents it.

Results are cached, refusals too, but without the machine code: `toolchain.build` makes code that runs.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxbench import architecture, cache, toolchain
from ptxbench.discovery import select
from ptxbench.documents import read_bytes
from ptxbench.errors import KernelError, PairError, SignatureMismatch, ToolMissing, UsageError
from ptxbench.languages import TILE, TRITON
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import locate, ptxas, triton

ASSEMBLES, REFUSED, UNTRIED = "assembles", "refused", "untried"

OLDEST = 75
"""The number of the lowest target that is tried."""

SUFFIXES = ("", "f", "a")
"""Suffixes of a target. Code for "" runs on every later GPU, for "f" on the GPU's family, for "a" on no other GPU."""


@dataclass(frozen=True)
class Requirement:
    """Why a tool refuses one line."""

    file: str
    line: int | None
    """None if the tool names no line, as for too much shared memory."""
    instruction: str
    """The PTX instruction on that line, with its modifiers; empty if there is none."""
    requires: str | None
    """The targets that support it, such as `sm_80 or higher`; None if ptxas does not say."""
    message: str
    """The tool's own message."""


@dataclass(frozen=True)
class TargetTrial:
    """One source for one target."""

    target: str
    status: str
    ptx_version: str | None = None
    ptx_target: str | None = None
    """The .target of the PTX, written by hand or by NVRTC."""
    registers: int | None = None
    spill_bytes: int | None = None
    """Bytes stored and loaded by spills."""
    shared_bytes: int | None = None
    threads: int | None = None
    """Threads of a CTA, if the compiler chose them."""
    sass: int | None = None
    """Instructions of the machine code, without padding."""
    code: str | None = None
    """A hash of the machine code (`cubin.identity`)."""
    log: str = ""
    """The warnings of ptxas."""
    mismatch: bool = False
    """True if the PTX's own .target does not fit; `needs` then describe the same text with its .target changed."""
    needs: tuple[Requirement, ...] = ()
    reason: str | None = None
    """Why it was refused or not tried, if no line is the cause."""

    @property
    def too_high(self) -> str | None:
        """That only the PTX's own .target is the cause, in words; None if that is not so."""
        if self.needs or not self.mismatch:
            return None
        return f"its .target, {self.ptx_target}, is too high, but no instruction needs it"


def known_targets(tool: Path) -> list[str]:
    """Every target that this ptxas lists."""
    key = ("targets", locate.version(tool))

    def listed() -> bytes:
        return " ".join(
            sorted(set(re.findall(rf"'({architecture.PATTERN})'", locate.described(tool, "--help").stdout)))
        ).encode()

    return cache.remember(key, listed).decode().split()


def targets() -> tuple[str, ...]:
    """Every target of ptxas from sm_75 on; targets with a suffix follow their plain form.

    Raises ToolMissing without ptxas.
    """
    tool = assembler()
    supported = [name for name in known_targets(tool) if architecture.number(name) >= OLDEST]
    if not supported:
        raise ToolMissing(f"{tool} --help lists no target. Reinstall it: {locate.INSTALL}.")
    return tuple(
        sorted(supported, key=lambda name: (architecture.number(name), SUFFIXES.index(architecture.suffix(name))))
    )


def chosen_targets(patterns: Sequence[str]) -> tuple[str, ...]:
    """The targets that match these names or globs; all targets without patterns. Raises UsageError, and
    ToolMissing as `targets` does."""
    supported = targets()

    first, last = (architecture.number(supported[end]) for end in (0, -1))

    def hint(pattern: str) -> str:
        close = architecture.normalised(pattern)
        if close in supported:
            return f" Did you mean '{close}'?"
        if close and not first <= architecture.number(close) <= last:
            return f" Known are sm_{first} to sm_{last}."
        return ""

    return select(supported, patterns, "target", hint=hint)


def assembler() -> Path:
    """The path of ptxas. Raises ToolMissing if it is not installed."""
    if path := locate.program("ptxas"):
        return path
    raise ToolMissing(f"ptxas, which alone knows what a target supports, is not installed: {locate.INSTALL}.")


def attempt(
    source: Path,
    *,
    language: str,
    entry: str,
    target: str,
    flags: Sequence[str] = (),
    contained: bool = False,
    signature: Sequence[tuple[str, str]] = (),
    code: bool = True,
) -> TargetTrial:
    """Try to compile the kernel `entry` of `source`, in any language, to machine code for `target`.

    `contained`: whether the source is not trusted (`nvrtc.translate`). `signature`: as for `toolchain.build`. `code`:
    without it ptxas only reads the PTX for `target` (`ptxas.accept`), and the trial has no figures.
    A refusal is a result. Raises PairError if the file or a flag is invalid; ToolMissing without ptxas.
    """
    tool = assembler()
    content = read_bytes(source, PairError)
    try:
        if language == TILE.name:
            return tile_trial(content, source, entry, target, flags, contained=contained)
        if language == TRITON.name:
            return triton_trial(tool, content, source, entry, target, signature, code)
        ptx, _, _, how = toolchain.translated(
            content, source, language, entry, target, flags, contained=contained, signature=signature
        )
        return trial_of(tool, ptx, how, source, language, entry, target, code)
    except (ToolMissing, UsageError) as error:  # not caused by the source, so not cached
        return TargetTrial(target, UNTRIED, reason=str(error))
    except KernelError as error:
        return TargetTrial(target, REFUSED, reason=str(error))


def trial_of(
    tool: Path, ptx: str, how: str, source: Path, language: str, entry: str, target: str, code: bool
) -> TargetTrial:
    """The trial of PTX that was made from `source` by the compiler `how`. Raises the errors of `assemble`."""

    def make() -> bytes:
        return json.dumps(dataclasses.asdict(assemble(tool, ptx, source, language, entry, target, code))).encode()

    how_made = cache.code_version("toolchain"), "" if code else "read", locate.version(tool)
    key = ("trial", *how_made, source.name, language, entry, target, toolchain.sha256(ptx.encode()))
    fields = json.loads(cache.remember(key, make))
    if how:
        fields["log"] = "\n".join(filter(None, [f"compiled by {how}", fields["log"]]))
    return TargetTrial(**{**fields, "needs": tuple(Requirement(**need) for need in fields["needs"])})


def triton_trial(
    tool: Path, content: bytes, source: Path, entry: str, target: str, signature: Sequence[tuple[str, str]], code: bool
) -> TargetTrial:
    """The trial of a kernel in Triton, whose code is for the `a` target of a GPU: for sm_90a if `target` is sm_90.

    Raises the errors of `triton.compiled` and `assemble`.
    """
    kernel = triton.compiled(content, source.name, entry, target, signature)
    trial = trial_of(tool, kernel.ptx, kernel.how, source, TRITON.name, entry, kernel.target, code)
    shared = None if trial.shared_bytes is None else trial.shared_bytes + kernel.shared_bytes
    return dataclasses.replace(trial, target=target, shared_bytes=shared, threads=kernel.threads)


def tile_trial(
    content: bytes, source: Path, entry: str, target: str, flags: Sequence[str], *, contained: bool
) -> TargetTrial:
    """The trial of a tile kernel. Raises the errors of `toolchain.build_tile`."""
    built = toolchain.build_tile(content, source, TILE.name, entry, target, flags, contained=contained)
    report = built.report
    spills = (report.spill_store_bytes, report.spill_load_bytes)
    return TargetTrial(
        target,
        ASSEMBLES,
        ptx_target=directive(built.ptx, "target"),
        registers=report.registers,
        spill_bytes=None if None in spills else sum(filter(None, spills)),
        shared_bytes=report.shared_bytes,
        threads=math.prod(built.own_cta.threads) if built.own_cta else None,
        sass=report.sass.get("total"),
        code=report.sass_sha256,
        log=report.log,
    )


def assemble(tool: Path, ptx: str, source: Path, language: str, entry: str, target: str, code: bool) -> TargetTrial:
    """The trial itself. Raises KernelError for a refusal without a line, ToolMissing for a ptxas that is older than the
    compiler, and the errors of `toolchain.build`."""
    trial = TargetTrial(target, REFUSED, directive(ptx, "version"), directive(ptx, "target"))
    try:
        if not code:
            toolchain.accepted(tool, ptx, target)
            return dataclasses.replace(trial, status=ASSEMBLES)
        cubin, messages = toolchain.assembled(tool, ptx, target, keep=False)
    except ptxas.RefusedError as refused:
        refusal = str(refused)
        required = needs(refusal, ptx, source, language)
        mismatch = False
        if not any(need.line for need in required) and language == "ptx" and trial.ptx_target != target:
            of_retargeted = retargeted(tool, ptx, source, target)
            mismatch = any(need.line for need in of_retargeted) or any(
                mismatch in refusal for mismatch in ptxas.MISMATCHES
            )
            required = of_retargeted or required
        if (not required and not mismatch) or ptxas.is_too_old(refusal, language):
            raise ptxas.explain(refusal, ptx, source, language, target, f"ptxas {locate.version(tool)}") from None
        return dataclasses.replace(trial, mismatch=mismatch, needs=required)
    resources = ptxas.resources(messages, entry)
    image = elf.read(cubin)
    if resources is None:
        raise SignatureMismatch(toolchain.missing_entry(image, entry, source))
    return dataclasses.replace(
        trial,
        status=ASSEMBLES,
        registers=resources.registers,
        spill_bytes=resources.spill_store_bytes + resources.spill_load_bytes,
        shared_bytes=resources.shared_bytes,
        sass=elf.instructions(image, entry),
        code=elf.identity(image, entry, resources.registers, resources.shared_bytes),
        log=ptxas.notable(messages, ptx, source, language),
    )


def directive(ptx: str, name: str) -> str | None:
    """The value of the PTX's first .version or .target; None without one."""
    match = re.search(rf"^\s*\.{name}\s+([\w.]+)", ptx, re.M)
    return match[1] if match else None


def retargeted(tool: Path, ptx: str, source: Path, target: str) -> tuple[Requirement, ...]:
    """What ptxas refuses once `target` is the PTX's own .target; empty if only the directive was too high."""
    text = re.sub(r"^(\s*\.target\s+)\w+", rf"\g<1>{target}", ptx, count=1, flags=re.M)
    requirements = complaints(tool, text, target, source)
    if any("does not support .target" in need.message for need in requirements):
        newest = re.sub(r"^(\s*\.version\s+)[\d.]+", rf"\g<1>{newest_version(tool)}", text, count=1, flags=re.M)
        requirements = complaints(tool, newest, target, source)
    return requirements


def complaints(tool: Path, ptx: str, target: str, source: Path) -> tuple[Requirement, ...]:
    try:
        ptxas.assemble(tool, ptx, target)
    except ptxas.RefusedError as refused:
        return needs(str(refused), ptx, source, "ptx")
    return ()


def newest_version(tool: Path) -> str:
    """The newest .version that ptxas reads, from its error message about an unknown one."""
    try:
        ptxas.assemble(tool, ".version 99.9\n.target sm_90\n", "sm_90")
    except ptxas.RefusedError as refused:
        if match := re.search(r"current version is '([\d.]+)'", str(refused)):
            return match[1]
    raise ToolMissing(f"{tool} does not say which .version it reads. Reinstall it: {locate.INSTALL}.")


ERROR = re.compile(r"^ptxas (?:(?P<file>.+), line (?P<line>\d+); )?(?:error|fatal)\s*: (?P<message>.*)$", re.M)
OF_NO_LINE = ("aborted due to errors", *ptxas.MISMATCHES)
"""Messages of ptxas about a text as a whole, without a line."""

REQUIRES = re.compile(r" requires (?:\.target (?P<target>.+)|PTX ISA \.version (?P<version>[\d.]+ or later))$")
INSTRUCTION = re.compile(r"\s*(?:\w+:\s*)?(?:[{]\s*)?(?:@!?[%\w$]+\s+)?([a-z][\w.:]*)")

NAMED = re.compile(r"'([a-z]\w*)[\w.:]*'")
"""The first part of an opcode that a message of ptxas quotes."""


def needs(messages: str, ptx: str, source: Path, language: str) -> tuple[Requirement, ...]:
    """Each error of ptxas, in line order."""
    lines = ptx.splitlines()
    requirements = []
    for error in ERROR.finditer(messages):
        message = error["message"].strip().rstrip(" .").replace(f"'{ptxas.INPUT}'", f"'{source.name}'")
        # ptxas expands some instructions into macros, and then reports a line of the macro.
        line = int(error["line"]) if error["file"] == ptxas.INPUT else 0
        if not line and any(words in message for words in OF_NO_LINE):
            continue
        file, _, line_or_name = ptxas.source_line(ptx, line, source, language).rpartition(":")
        required = REQUIRES.search(message)
        requires = required and (required["target"] or f"PTX {required['version']}")
        requirements.append(
            Requirement(
                file or line_or_name,
                int(line_or_name) if file else None,
                blamed(lines[line - 1], message) if 0 < line <= len(lines) else "",
                requires,
                message,
            )
        )
    return tuple(sorted(requirements, key=lambda need: need.line or 0))


def blamed(line: str, message: str) -> str:
    """The instruction of a line that a message is about: one that it names, else the first; empty without any."""
    matches = [match[1] for statement in line.split(";") if (match := INSTRUCTION.match(statement))]
    names = NAMED.findall(message)
    return next((opcode for opcode in matches if opcode.split(".")[0] in names), matches[0] if matches else "")
