"""A pair as a start from one kernel: its CUDA C, the compiler's PTX of it, and a pair file with open questions.

Everything that is changed is compared: the machine code of the kernel must stay that of the original file.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ptxbench import kernel_names, toolchain
from ptxbench.discovery import load
from ptxbench.draft import cuda, host_launch, of_ptx
from ptxbench.draft.access import accesses, provenance
from ptxbench.draft.arguments import OPEN, DraftArgument, arguments_of, names_of
from ptxbench.draft.cuda_file import cuda_file
from ptxbench.draft.identity import same_kernel
from ptxbench.draft.kernel_source import UNNAMED, KernelSource
from ptxbench.draft.pair_file import comment, pair_text
from ptxbench.draft.ptx_file import ptx_text
from ptxbench.emulator.syntax import Function
from ptxbench.errors import CompileError, UsageError
from ptxbench.exec_program import read_to_build
from ptxbench.toolchain.options import SourceOptions
from ptxbench.toolchain.user_files import user_files
from ptxbench.units import enumeration


@dataclass(frozen=True)
class Draft:
    """The three texts. `holds`: what each contains, in words; `notes`: what to know about them, in sentences.

    `arch`: the architecture that it was compiled for. `complete`: whether both kernels can be built. `found_by_option`:
    headers that its headers include and that only -I finds.
    """

    pair: str
    cuda: str
    ptx: str
    holds: tuple[str, str, str]
    notes: tuple[str, ...]
    arch: str
    complete: bool = True
    found_by_option: tuple[str, ...] = ()


def draft(source: Path, name: str, entry: str, arch: str | None, options: SourceOptions, destination: Path) -> Draft:
    """The draft of the pair `name`, whose kernel is called `entry`, from a kernel of `source`.

    `destination`: the folder of the new .cu file, from which it includes headers of the user.

    Raises UsageError for a file or a kernel that no pair can have, and the errors of `read_to_build`.
    """
    if options.flags:
        raise UsageError(
            f"--flag {options.flags[0]} cannot be kept: a pair compiles its .cu file without it. Leave it out, and "
            'write flags={"fast": [...]} in the pair file for a second row.'
        )
    program = read_to_build(source, arch, options)
    text = source.read_text(encoding="utf-8-sig", errors="replace")
    kernel = without_nvcc(KernelSource(source, text, program, program.choose(options.entry), options))
    if program.language == "ptx":
        return draft_of_ptx(kernel, name, entry)
    return draft_of_cuda(kernel, name, entry, destination)


def without_nvcc(kernel: KernelSource) -> KernelSource:
    """The kernel as NVRTC makes it, which also compiles the pair, if nvcc has instantiated its template for a launch in
    host code. `kernel` itself if NVRTC refuses it."""
    if kernel.options.entry or not kernel.is_template or not kernel.program.compiler.startswith("nvcc "):
        return kernel
    options = replace(kernel.options, entry=kernel.displayed.replace(UNNAMED, ""))
    with contextlib.suppress(CompileError, UsageError):
        program = read_to_build(kernel.path, kernel.program.arch, options)
        return replace(kernel, program=program, function=program.choose(options.entry), options=options)
    return kernel


def draft_of_ptx(kernel: KernelSource, name: str, entry: str) -> Draft:
    """The draft from a kernel in PTX, whose CUDA C is still to be written."""
    function, source, arch = kernel.function, kernel.path, kernel.program.arch
    declared, array_accesses = of_ptx.read_parameters(function)
    arguments = arguments_of(declared, array_accesses)
    require_something_to_verify(kernel, arguments)
    origin = f"the kernel {kernel.displayed} of {source.name}"
    threads = threads_of(function)
    pair = pair_text(name, origin, arguments, None, threads, dynamic=kernel.dynamic, cooperative=kernel.cooperative)
    header = "\n".join(comment(f"{name}: {origin}. Shapes and launch are in ../pairs/{name}.py.", "", mark="//"))
    renamed = of_ptx.renamed(kernel.program.ptx, function.name, entry)
    if not same_kernel(kernel.program.ptx, function.name, renamed, entry, arch):
        raise UsageError(
            f"{source.name}: ptxas does not make the same kernel of it under the name '{entry}'. Choose another name "
            "for the pair."
        )
    holds = (
        f"{questions_in(pair)} open questions: {OPEN} under each TODO",
        "the signature in CUDA C; you write the kernel",
        origin,
    )
    skeleton = of_ptx.skeleton(name, entry, declared, threads)
    return Draft(pair, skeleton, f"{header}\n\n{renamed}", holds, (), arch, complete=False)


def questions_in(pair: str) -> int:
    """How many lines of a pair file have an open question."""
    return sum(OPEN in line and not line.lstrip().startswith("#") for line in pair.splitlines())


def draft_of_cuda(kernel: KernelSource, name: str, entry: str, destination: Path) -> Draft:
    """The draft from a kernel in CUDA C."""
    function, source, arch = kernel.function, kernel.path, kernel.program.arch
    declared = kernel.parameters()
    names = names_of(declared)
    arrays = [p.name for p, parameter in zip(function.params, declared, strict=True) if parameter.type.pointee]
    origins = provenance(function, arrays)
    access_of = accesses(function, arrays, origins)
    arguments = arguments_of(declared, [access_of.get(p.name) for p in function.params])
    require_something_to_verify(kernel, arguments)

    written = cuda_file(kernel, name, entry, declared, names)
    positions = [number for number, parameter in enumerate(declared) if parameter.type.pointee]
    ptx, same_names = ptx_text(written.ptx, written.text, name, entry, arch, names, positions, source)
    moved, headers = cuda.moved_includes(written.text, source.parent, kernel.options.include, destination)

    whole_numbers = {number: argument.name for number, argument in enumerate(arguments) if argument.dimension}
    launch = host_launch.find(kernel.text, kernel.plain_name, whole_numbers)
    threads = threads_of(function)
    origin = f"the kernel {kernel.displayed} of {source.name}"
    pair = pair_text(name, origin, arguments, launch, threads, dynamic=kernel.dynamic, cooperative=kernel.cooperative)
    holds = (
        f"{questions_in(pair)} open questions: {OPEN} under each TODO",
        origin + (f", without {enumeration(written.left_out)}" if written.left_out else ""),
        "the compiler's PTX of it, as a start" + (", with names" if same_names else ""),
    )
    notes = []
    if headers:
        names_of_headers = enumeration(sorted({header.name for header in headers}))
        notes.append(f"The .cu file includes {names_of_headers} from where it is.")
    if not same_names:
        notes.append("The registers keep the compiler's names: with others, ptxas makes other machine code.")
    found_by_option = only_by_option(headers, kernel.options.include)
    return Draft(pair, moved, ptx, holds, tuple(notes), arch, found_by_option=found_by_option)


def only_by_option(headers: Sequence[Path], include: Sequence[Path]) -> tuple[str, ...]:
    """The names of the files that these headers include, directly or not, and that only the folders of -I have."""
    names: set[str] = set()
    for header in headers:
        content, folder = header.read_bytes(), header.parent
        by_option, without = (user_files(content, folder, searched) or () for searched in (include, ()))
        names |= {file.name for file in by_option} - {file.name for file in without}
    return tuple(sorted(names))


def check(kernels: Path, name: str, written: Draft) -> None:
    """Build the kernels of a pair that was just written. Raises the errors of `toolchain.build`, and UsageError if the
    headers of the kernel need -I."""
    for source in load(kernels, name, unfinished=True).sources:
        if written.complete or source.language == "ptx":
            try:
                toolchain.build_source(source, written.arch)
            except CompileError:
                if source.language == "ptx" or not written.found_by_option:
                    raise
                names = kernel_names.some(written.found_by_option)
                raise UsageError(
                    f"The headers of this kernel include {names}, which only -I finds, and a "
                    "pair compiles its .cu file without -I. Copy the kernel, with what it needs of these headers, to a "
                    "file of its own, and take that."
                ) from None


def require_something_to_verify(kernel: KernelSource, arguments: Sequence[DraftArgument]) -> None:
    if not any(member.kind in ("Out", "InOut") for argument in arguments for member in argument.flat):
        raise UsageError(
            f"'{kernel.displayed}' of {kernel.path.name} stores to none of its arrays, so a pair has nothing to verify."
        )


def threads_of(function: Function) -> int | None:
    """The threads of a block that the kernel requires, or the most that it allows."""
    for directive in (".reqntid", ".maxntid"):
        if extents := function.directives.get(directive):
            return math.prod(extents)
    return None
