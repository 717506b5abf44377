"""A pair as a start from one kernel: its CUDA C, the compiler's PTX of it, and a pair file with open questions.

Everything that is changed is compared: the machine code of the kernel must stay that of the original file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ptxbench import kernel_names, toolchain
from ptxbench.discovery import load
from ptxbench.draft import cuda, host_launch, of_ptx
from ptxbench.draft.access import accesses, provenance
from ptxbench.draft.arguments import OPEN, DraftArgument, arguments_of, names_of
from ptxbench.draft.identity import same_kernel
from ptxbench.draft.pair_file import comment, pair_text
from ptxbench.draft.ptx_file import ptx_text
from ptxbench.emulator.syntax import Function
from ptxbench.emulator.variables import reads_workspace
from ptxbench.errors import CompileError, UsageError
from ptxbench.execution import ExecProgram, read_to_build
from ptxbench.toolchain import cuda_c, parameters
from ptxbench.toolchain.nvrtc import CompilerOutput
from ptxbench.toolchain.options import AS_IT_IS, SourceOptions
from ptxbench.toolchain.parameters import CudaParameter
from ptxbench.toolchain.user_files import user_files
from ptxbench.units import enumeration


@dataclass(frozen=True)
class Draft:
    """The three texts. `holds`: what each contains, in words; `notes`: what to know about them, in sentences.

    `arch`: the architecture that it was compiled for. `complete`: whether both kernels can be built.
    """

    pair: str
    cuda: str
    ptx: str
    holds: tuple[str, str, str]
    notes: tuple[str, ...]
    arch: str
    complete: bool = True


@dataclass(frozen=True)
class KernelSource:
    """A kernel of a file, unchanged."""

    path: Path
    text: str
    program: ExecProgram
    function: Function
    options: SourceOptions

    @property
    def displayed(self) -> str:
        return kernel_names.short(self.function.name)

    @property
    def plain_name(self) -> str:
        """The name without namespace and template arguments."""
        return kernel_names.unqualified(kernel_names.without_arguments(self.displayed))

    @property
    def dynamic(self) -> bool:
        """Whether the file has shared memory whose size the launch decides."""
        variables = self.program.module.variables.values()
        return any(variable.count is None and variable.space == "shared" for variable in variables)

    @property
    def cooperative(self) -> bool:
        """Whether the kernel waits for the whole grid."""
        return reads_workspace(self.program.module, self.function)

    def device_marks(self) -> frozenset[str]:
        """The macros that stand for the mark of a device function."""
        headers = user_files(self.text.encode(), self.path.parent, self.options.include) or []
        return cuda_c.device_marks([self.text, *(header.content.decode("utf-8", "replace") for header in headers)])

    def parameters(self) -> tuple[CudaParameter, ...]:
        """The parameters as the compiler reads them. Raises UsageError if it gives no debugging information."""
        for text in (self.text, cuda.without_bodies(self.text)):  # with -G, NVRTC refuses some bodies
            by_kernel = parameters.of_source(text.encode(), self.path, self.program.arch, self.program.flags)
            declared = by_kernel.get(self.function.name)
            if declared is not None and len(declared) == len(self.function.params):
                return declared
        raise UsageError(
            f"{self.path.name}: the parameters of '{self.displayed}' could not be read, because the compiler gives no "
            "debugging information for this file. Use `ptxbench new` without --from, and copy the kernel."
        )


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
    kernel = KernelSource(source, text, program, program.choose(options.entry), options)
    if program.language == "ptx":
        return draft_of_ptx(kernel, name, entry)
    return draft_of_cuda(kernel, name, entry, destination)


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
        raise UsageError(f"{source.name}: ptxas does not make the same kernel of it under the name '{entry}'.")
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

    new_text, left_out, compiled_ptx = cuda_text(kernel, name, entry, declared, names)
    positions = [number for number, parameter in enumerate(declared) if parameter.type.pointee]
    ptx, same_names = ptx_text(compiled_ptx, new_text, name, entry, arch, names, positions, source)
    moved, headers = cuda.moved_includes(new_text, source.parent, kernel.options.include, destination)

    whole_numbers = {number: argument.name for number, argument in enumerate(arguments) if argument.dimension}
    launch = host_launch.find(kernel.text, kernel.plain_name, whole_numbers)
    threads = threads_of(function)
    origin = f"the kernel {kernel.displayed} of {source.name}"
    pair = pair_text(name, origin, arguments, launch, threads, dynamic=kernel.dynamic, cooperative=kernel.cooperative)
    holds = (
        f"{questions_in(pair)} open questions: {OPEN} under each TODO",
        origin + (f", without {enumeration(left_out)}" if left_out else ""),
        "the compiler's PTX of it, as a start" + (", with names" if same_names else ""),
    )
    notes = []
    if headers:
        names_of_headers = enumeration(sorted({header.name for header in headers}))
        notes.append(f"The .cu file includes {names_of_headers} from where it is.")
    if not same_names:
        notes.append("The registers keep the compiler's names: with others, ptxas makes other machine code.")
    return Draft(pair, moved, ptx, holds, tuple(notes), arch)


def check(kernels: Path, name: str, written: Draft) -> None:
    """Build the kernels of a pair that was just written. Raises the errors of `toolchain.build`."""
    for source in load(kernels, name, unfinished=True).sources:
        if written.complete or source.language == "ptx":
            toolchain.build_source(source, written.arch)


def require_something_to_verify(kernel: KernelSource, arguments: Sequence[DraftArgument]) -> None:
    if not any(argument.kind in ("Out", "InOut") for argument in arguments):
        raise UsageError(
            f"'{kernel.displayed}' of {kernel.path.name} stores to none of its arrays, so a pair has nothing to verify."
        )


def threads_of(function: Function) -> int | None:
    """The threads of a block that the kernel requires, or the most that it allows."""
    for directive in (".reqntid", ".maxntid"):
        if extents := function.directives.get(directive):
            return math.prod(extents)
    return None


# ---- CUDA C


def header_of(kernel: KernelSource, name: str, left_out: Sequence[str]) -> str:
    """The comment at the start of the .cu file."""
    without = f", without {enumeration(left_out)}" if left_out else ""
    sentences = (
        f"{name}: replace this by one sentence on what the kernel computes.",
        f"Paired with ../ptx/{name}.ptx; arguments, shapes and launch are in ../pairs/{name}.py.",
        f"The kernel {kernel.displayed} of {kernel.path.name}{without}.",
    )
    return "\n".join(row for sentence in sentences for row in comment(sentence, "", mark="//"))


def cuda_text(
    kernel: KernelSource, name: str, entry: str, parameters: Sequence[CudaParameter], names: Sequence[str]
) -> tuple[str, list[str], str]:
    """The .cu file with the kernel as extern "C" `entry`, the functions that are left out, and the compiler's PTX.

    It is the shortest text whose kernel is the same, if possible one that the compiler takes without help. Tried are
    the text without host functions, other kernels and system headers; then with the headers; then all of it. Raises
    UsageError if none works.
    """
    definitions = cuda.kernel_named(kernel.text, kernel.plain_name)
    if len(definitions) != 1:
        how_many = "several definitions" if definitions else "no definition"
        raise UsageError(
            f"{kernel.path.name} has {how_many} of '{kernel.plain_name}' in its text; a macro or a header may make it. "
            "Write the kernel in a file of its own, and take that."
        )
    (chosen,) = definitions
    all_definitions = cuda.definitions(kernel.text)
    marks = kernel.device_marks()
    host = [
        definition
        for definition in all_definitions
        if definition.is_host_function and marks.isdisjoint(definition.words)
    ]
    others = [definition for definition in all_definitions if definition.is_kernel and definition != chosen]
    others += [definition for definition in all_definitions if definition.is_instantiation and not definition.is_kernel]
    declarations = [definition for definition in others if not definition.body]
    names_left_out = [definition.name for definition in (*host, *others) if definition.body and definition.name]
    defines = "".join(f"#define {' '.join((*define.split('=', 1), '1')[:2])}\n" for define in kernel.options.defines)

    def changed(drop: Sequence[cuda.Definition]) -> str:
        if not chosen.is_template:
            return defines + cuda.renamed(kernel.text, chosen, entry, drop=drop)
        call = re.sub(r"\(anonymous namespace\)::", "", kernel.displayed)
        declared = ", ".join(
            replace(parameter, name=name).declaration for parameter, name in zip(parameters, names, strict=True)
        )
        signature = f"{launch_bounds(kernel.function)}\n{entry}({declared})"
        return defines + cuda.with_wrapper(kernel.text, chosen, f"{call}({', '.join(names)})", signature, drop=drop)

    shortened = changed([*host, *others])
    of_host_library = [definition for definition in all_definitions if definition.is_of_host_library]
    candidates = [
        (cuda.without_system_includes(changed([*host, *others, *of_host_library])), names_left_out),
        (cuda.without_system_includes(shortened), names_left_out),
        (shortened, names_left_out),
    ]
    everything = None if chosen.is_template else changed(declarations)
    if everything is not None:
        candidates.append((everything, []))
    refused = ""
    fitting: list[tuple[str, list[str], str]] = []
    for text, left_out in candidates:
        if fitting and text is everything and kernel.program.compiler:
            break  # the compiler needs help with the original too
        # With its header, so that the compared text is the one that is written.
        with_header = "\n".join([header_of(kernel, name, left_out), "", text.strip("\n"), ""])
        try:
            candidate = compiled(with_header, kernel)
        except CompileError:
            refused = text
            continue
        if same_kernel(kernel.program.ptx, kernel.function.name, candidate.ptx, entry, kernel.program.arch):
            draft = (with_header, left_out, candidate.ptx)
            if not candidate.how:
                return draft
            fitting.append(draft)
    if fitting:
        return fitting[0]
    why = ""
    if refused:
        try:
            compiled(refused, kernel)  # without the header, so that the lines are those of the source
        except CompileError as error:
            why = f" {error}"
    raise UsageError(
        f"{kernel.path.name}: with '{kernel.displayed}' as extern \"C\" __global__ void {entry}, the compiler makes "
        f"another kernel of it.{why} Move the kernel to a file of its own."
    )


def launch_bounds(function: Function) -> str:
    """` __launch_bounds__(256, 2)`, as the PTX of a kernel has it; empty without."""
    most = function.directives.get(".maxntid")
    numbers = [str(math.prod(most)), *map(str, function.directives.get(".minnctapersm", ()))] if most else []
    return f" __launch_bounds__({', '.join(numbers)})" if numbers else ""


def compiled(text: str, kernel: KernelSource) -> CompilerOutput:
    """What the compiler makes of a changed text, with the headers of the original. Raises CompileError."""
    include = replace(AS_IT_IS, include=kernel.options.include).flags_for(text.encode(), kernel.path.parent)
    return toolchain.compiled(text.encode(), kernel.path, kernel.program.arch, include)
