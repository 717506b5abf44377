"""A file of kernels as PTX: what `ptxbench exec`, `show`, `check` and `ptxbench.load` know of it before a launch.

The file is data: nothing in it is executed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ptxbench import architecture, kernel_names, toolchain
from ptxbench.arguments import BoundArguments, Parsed, bind
from ptxbench.backends import DEFAULT_ARCH
from ptxbench.discovery import BY_SUFFIX
from ptxbench.discovery.other_files import kernel_text, missing_file, not_a_kernel
from ptxbench.emulator import parse as ptx_parser
from ptxbench.emulator.syntax import Function, Module
from ptxbench.errors import KernelError, LaunchError, PtxSyntaxError, UnsupportedInstruction, UsageError, suggestion
from ptxbench.toolchain import Build, legality, parameters, ptxas
from ptxbench.toolchain.encoding import encoding_problem
from ptxbench.toolchain.kernel_templates import KernelTemplate, kernel_templates, missing_instantiation, unused_macro
from ptxbench.toolchain.legality import Legality
from ptxbench.toolchain.options import AS_IT_IS, SourceOptions, include_folders
from ptxbench.toolchain.origins import in_file, places
from ptxbench.toolchain.parameters import CudaParameter
from ptxbench.toolchain.user_files import user_files

ACCEPTED = "ptxas accepts it; the emulator does not know this form."


@dataclass(frozen=True)
class ExecProgram:
    """A file with kernels, as PTX; `arch` is the architecture that it is executed as."""

    path: Path
    language: str
    arch: str
    ptx: str
    flags: tuple[str, ...] = ()
    """Options of its compilation, as `toolchain.compiled` takes them."""
    instantiated: str | None = None
    """The PTX's name of the kernel that these options instantiate."""
    compiler: str = ""
    """How CUDA C was compiled if not by NVRTC as it is (`CompilerOutput.how`)."""

    @cached_property
    def module(self) -> Module:
        """The PTX, parsed.

        Raises PtxSyntaxError that names the file; UnsupportedInstruction if ptxas accepts what the parser cannot read.
        """
        with located(self):
            try:
                return ptx_parser.parse(self.ptx)
            except PtxSyntaxError as error:
                raise self.unless_accepted(error) from None

    def unless_accepted(self, error: KernelError) -> KernelError:
        """`error`, for a PtxSyntaxError on a text that ptxas accepts an UnsupportedInstruction."""
        if isinstance(error, PtxSyntaxError) and self.legality.accepted:
            return UnsupportedInstruction(f"{error} {ACCEPTED}")
        return error

    def build(self, entry: str) -> Build:
        """The kernel `entry`, built to machine code. Raises the errors of `toolchain.build`."""
        return toolchain.build(
            self.path, language=self.language, variant=self.language, entry=entry, arch=self.arch, flags=self.flags
        )

    @cached_property
    def legality(self) -> Legality:
        """The messages of ptxas about the PTX."""
        return legality.check(self.ptx, self.path, self.language, self.arch)

    @cached_property
    def text(self) -> list[str]:
        """The lines of the PTX, counted from 1."""
        return ["", *self.ptx.splitlines()]

    @cached_property
    def places(self) -> dict[int, tuple[str, int]] | None:
        """The file of CUDA C, and its line, for each line of the PTX that was made from it; None for a .ptx file."""
        return places(self.text[1:], self.path.name) if self.language == "cuda" else None

    @cached_property
    def cuda_lines(self) -> dict[int, int]:
        """The line of this file for each line of the PTX that was made from it."""
        return {line: place[1] for line, place in (self.places or {}).items() if place[0] == self.path.name}

    @cached_property
    def parameters(self) -> Mapping[str, tuple[CudaParameter, ...]]:
        """The parameters of each kernel as CUDA C declares them, if its compiler's debugging information says so."""
        if self.language == "ptx":
            return parameters.of_ptx(self.ptx)
        is_large = len(self.ptx) > parameters.LARGE
        return parameters.of_source(self.path.read_bytes(), self.path, self.arch, self.flags, signatures=is_large)

    def choose(self, name: str | None) -> Function:
        """The entry that `name` means (`kernel_names.matching`); without a name the only entry. Raises UsageError."""
        entries = self.module.entries
        words = kernel_names.displayed(entries)
        if not entries:
            raise UsageError(f"{self.path.name} has no kernel: no .visible .entry{self.no_kernel_reason}.")
        if name is None:
            if len(entries) > 1:
                names = kernel_names.some(words.values())
                raise UsageError(f"{self.path.name} has {len(entries)} kernels: {names}. Name one with --entry.")
            return next(iter(entries.values()))
        matches = [self.instantiated] if self.instantiated else kernel_names.matching(name, entries)
        if len(matches) == 1:
            return entries[matches[0]]
        if matches:
            names = kernel_names.some(words[match] for match in matches)
            raise UsageError(f"{self.path.name} has several kernels '{name}': {names}. Name one of these.")
        template = next(
            (candidate for candidate in self.templates if name in (candidate.name, candidate.name.split("::")[-1])),
            None,
        )
        if template:
            raise UsageError(
                f"{self.path.name}: '{name}' is a template without an instantiation. Name one, such as --entry "
                f"'{template.example}'."
            )
        hint = suggestion(name, list(words.values())) or f" It has {kernel_names.some(words.values())}."
        raise UsageError(f"{self.path.name} has no kernel '{name}'.{hint}")

    @cached_property
    def source_files(self) -> frozenset[Path]:
        """The user's files from which the PTX was made: this file and its headers, if these are known."""
        headers = user_files(self.path.read_bytes(), self.path.parent, include_folders(self.flags)) or []
        paths = (self.path, *(header.path for header in headers))
        return frozenset(path.parent.resolve() / path.name for path in paths)

    def source_file(self, name: str) -> Path | None:
        """The one of `source_files` with this name, without folders; None unless there is exactly one."""
        try:
            found = [path for path in self.source_files if path.name == name]
        except OSError:
            return None
        return found[0] if len(found) == 1 else None

    def source_text(self, name: str) -> str | None:
        """The text of `source_file`; None if it cannot be read."""
        path = self.source_file(name)
        try:
            return path.read_text(encoding="utf-8-sig", errors="replace") if path else None
        except OSError:
            return None

    @property
    def no_kernel_reason(self) -> str:
        """Why CUDA C may contain no kernel: templates without an instantiation, with an example of --entry."""
        if self.templates:
            return f"; {missing_instantiation(self.templates)}"
        if self.language == "ptx":
            return ""
        macro = unused_macro(self.path.read_bytes(), self.path.parent, include_folders(self.flags))
        return f"; {macro or 'it defines no __global__ function'}"

    @cached_property
    def templates(self) -> list[KernelTemplate]:
        """The templates of kernels in CUDA C."""
        if self.language == "ptx":
            return []
        return kernel_templates(self.path.read_bytes(), self.path.parent, include_folders(self.flags))

    def bind(self, function: Function, arguments: Sequence[Parsed]) -> tuple[BoundArguments, ...]:
        """Each parameter of its kernel with its argument. Raises UsageError."""
        return bind(function, arguments, self.declared(function))

    def declared(self, function: Function) -> tuple[CudaParameter, ...] | None:
        """The parameters of a kernel as CUDA C declares them; None if that is not known."""
        declared = self.parameters.get(parameters.key(function.name))
        return declared if declared is not None and len(declared) == len(function.params) else None

    def locate(self, message: str) -> str:
        """`message` with `in_file` lines; with the file's name in front if it names no line."""
        located = self.in_file(message)
        return located if located != message else f"{self.path.name}: {message}"

    def in_file(self, message: str) -> str:
        """`message` with lines of the file for those of the PTX (`origins.in_file`)."""
        return in_file(message, self.path.name, self.places)


@contextmanager
def located(program: ExecProgram) -> Iterator[None]:
    """Replaces the PTX's line in errors of a kernel by the program's file and line.

    Not in a LaunchError: that is an error of the command line, which names no line.
    """
    try:
        yield
    except LaunchError:
        raise
    except KernelError as error:
        raise type(error)(program.locate(str(error))) from None


def read_program(path: Path, arch: str | None, options: SourceOptions = AS_IT_IS) -> ExecProgram:
    """The PTX of a file: the text of a .ptx file, or the compiler's result for a .cu file with `options`.

    Raises UsageError for a file that cannot be read or is neither, CompileError, AssembleError, ToolMissing.
    """
    if not path.exists():
        raise UsageError(missing_file(path))
    if arch:
        architecture.require(arch)
    language = BY_SUFFIX.get(path.suffix)
    if language is None:
        raise UsageError(not_a_kernel(str(path), path))
    content = kernel_text(path, UsageError)
    if language == "cuda":
        arch = arch or DEFAULT_ARCH  # PTX names its own target
        flags = options.flags_for(content, path.parent)
        translation = toolchain.compiled(content, path, arch, flags)
        return ExecProgram(path, language, arch, translation.ptx, flags, translation.instantiated, translation.how)
    if option := options.first_cuda_option:
        raise UsageError(f"{path.name} is PTX, and {option} is for CUDA C. Leave it out.")
    before_nul = content if encoding_problem(content) else content.partition(b"\0")[0]  # the driver reads no more
    text = ptxas.check_ascii(before_nul, path.name)
    target = re.search(rf"^\s*\.target\s+({architecture.PATTERN})", text, re.M)
    return ExecProgram(path, language, arch or (target[1] if target else DEFAULT_ARCH), text)


def read_to_build(path: Path, arch: str | None, options: SourceOptions = AS_IT_IS) -> ExecProgram:
    """`read_program`, by default for the next target that ptxas knows if it has dropped the .target of PTX."""
    program = read_program(path, arch, options)
    return (
        program
        if arch or program.language == "cuda"
        else replace(program, arch=legality.known_target(program.ptx, program.arch))
    )
