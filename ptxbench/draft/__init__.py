"""A pair as a start from one kernel: its CUDA C, the compiler's PTX of it, and a pair file with open questions.

Everything that is changed is compared: the machine code of the kernel must stay that of the original file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ptxbench import architecture, kernel_names, toolchain
from ptxbench.discovery import load
from ptxbench.draft import cuda, host_launch
from ptxbench.draft import ptx as text_of_ptx
from ptxbench.draft.access import accesses, provenance
from ptxbench.draft.arguments import OPEN, DraftArgument, arguments_of, names_of
from ptxbench.draft.names import Names, Naming
from ptxbench.draft.pair_file import comment, pair_text
from ptxbench.emulator.parse import parse
from ptxbench.emulator.syntax import Function
from ptxbench.errors import CompileError, UsageError
from ptxbench.execution import ExecProgram, read_program
from ptxbench.toolchain import cubin as elf
from ptxbench.toolchain import locate, parameters, ptxas
from ptxbench.toolchain.options import AS_IT_IS, SourceOptions
from ptxbench.toolchain.origins import origins
from ptxbench.toolchain.parameters import CudaParameter

VERSIONS = ("6.3", "6.4", "6.5", *(f"7.{k}" for k in range(9)), *(f"8.{k}" for k in range(10)), "9.0", "9.1", "9.2")
"""The .version that are tried, lowest first."""

TARGETS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
"""The .target that are tried, lowest first."""


@dataclass(frozen=True)
class Draft:
    """The three texts. `holds`: what is in each, in words; `notes`: what to know about them, in sentences.

    `arch`: the architecture that it was compiled for.
    """

    pair: str
    cuda: str
    ptx: str
    holds: tuple[str, str, str]
    notes: tuple[str, ...]
    arch: str


@dataclass(frozen=True)
class KernelSource:
    """A kernel of a CUDA C file, as it is. `definition`: None if the text shows none."""

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

    def parameters(self) -> tuple[CudaParameter, ...]:
        """The parameters as the compiler reads them. Raises UsageError if it gives no debugging information."""
        for text in (self.text, cuda.without_bodies(self.text)):  # with -G, NVRTC refuses some bodies
            known = parameters.of_source(text.encode(), self.path, self.program.arch, self.program.flags)
            found = known.get(self.function.name)
            if found is not None and len(found) == len(self.function.params):
                return found
        raise UsageError(
            f"{self.path.name}: the parameters of '{self.displayed}' could not be read, because the compiler gives no "
            "debugging information for this file. Use `ptxbench new` without --from, and copy the kernel."
        )


def draft(source: Path, name: str, entry: str, arch: str | None, options: SourceOptions, destination: Path) -> Draft:
    """The draft of the pair `name`, whose kernel is called `entry`, from a kernel of `source`.

    `destination`: the folder of the new .cu file, from which it includes headers of the user.

    Raises UsageError for a file or a kernel that no pair can have, and the errors of `read_program`.
    """
    if options.flags:
        raise UsageError(
            f"--flag {options.flags[0]} cannot be kept: a pair compiles its .cu file without it. Leave it out, and "
            'write flags={"fast": [...]} in the pair file for a second row.'
        )
    program = read_program(source, arch, options)
    if program.language == "ptx":
        raise UsageError(f"{source.name} is PTX. `ptxbench new --from` takes a .cu file.")
    function, arch = program.choose(options.entry), program.arch
    text = source.read_text(encoding="utf-8", errors="replace")
    kernel = KernelSource(source, text, program, function, options)
    given = kernel.parameters()
    names = names_of(given)
    arrays = [p.name for p, declared in zip(function.params, given, strict=True) if declared.type.pointee]
    found = provenance(function, arrays)
    known = accesses(function, arrays, found)
    arguments = arguments_of(given, [known.get(p.name) for p in function.params])
    require_something_to_verify(kernel, arguments)

    start, left_out = cuda_text(kernel, entry, given, names)
    header = comment(f"{name}: replace this by one sentence on what the kernel computes.", "", mark="//")
    header += comment(
        f"Paired with ../ptx/{name}.ptx; arguments, shapes and launch are in ../pairs/{name}.py.", "", mark="//"
    )
    header += comment(
        f"The kernel {kernel.displayed} of {source.name}" + (f", without {listed(left_out)}." if left_out else "."),
        "",
        mark="//",
    )
    whole = "\n".join([*header, "", start.strip("\n"), ""])
    made = compiled(whole, kernel)
    ptx, same_names = ptx_text(made, whole, name, entry, arch, names, arrays, source)
    final, headers = cuda.moved_includes(whole, source.parent, options.include, destination)

    whole_numbers = {number: each.name for number, each in enumerate(arguments) if each.dimension}
    launch = host_launch.find(text, kernel.plain_name, whole_numbers)
    threads = threads_of(function)
    dynamic = any(
        variable.count is None and variable.space == "shared" for variable in program.module.variables.values()
    )
    pair = pair_text(
        name, f"the kernel {kernel.displayed} of {source.name}", arguments, launch, threads, dynamic=dynamic
    )
    questions = sum(line.count("...") > 0 and not line.lstrip().startswith("#") for line in pair.splitlines())
    holds = (
        f"{questions} open questions: {OPEN} under each TODO",
        f"the kernel {kernel.displayed} of {source.name}" + (f", without {listed(left_out)}" if left_out else ""),
        "the compiler's PTX of it, as a start" + (", with names" if same_names else ""),
    )
    notes = []
    if headers:
        notes.append(f"The .cu file includes {listed(sorted({header.name for header in headers}))} from where it is.")
    if not same_names:
        notes.append("The registers keep the compiler's names: with others, ptxas makes other machine code.")
    return Draft(pair, final, ptx, holds, tuple(notes), arch)


def check(kernels: Path, name: str, arch: str) -> None:
    """Build both kernels of a pair that was just written. Raises the errors of `toolchain.build`."""
    for source in load(kernels, name, unfinished=True).sources:
        toolchain.build_source(source, arch)


def require_something_to_verify(kernel: KernelSource, arguments: Sequence[DraftArgument]) -> None:
    if not any(argument.kind in ("Out", "InOut") for argument in arguments):
        raise UsageError(
            f"'{kernel.displayed}' of {kernel.path.name} stores to none of its arrays, so a pair has nothing to verify."
        )


def threads_of(function: Function) -> int | None:
    """The threads of a block that the kernel requires, or the most that it allows."""
    for directive in (".reqntid", ".maxntid"):
        if extents := function.directives.get(directive):
            threads = 1
            for extent in extents:
                threads *= extent
            return threads
    return None


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


# ---- CUDA C


def cuda_text(
    kernel: KernelSource, entry: str, given: Sequence[CudaParameter], names: Sequence[str]
) -> tuple[str, list[str]]:
    """The file with the kernel as extern "C" `entry`, and the functions that are left out.

    It is the least text whose kernel is the same: without host functions, other kernels and system headers; with the
    headers; whole. Raises UsageError if there is none.
    """
    definitions = cuda.kernel_named(kernel.text, kernel.plain_name)
    if len(definitions) != 1:
        found = "several definitions" if definitions else "no definition"
        raise UsageError(
            f"{kernel.path.name} has {found} of '{kernel.plain_name}' in its text; a macro or a header may make it. "
            "Write the kernel in a file of its own, and take that."
        )
    (own,) = definitions
    every = cuda.definitions(kernel.text)
    host = [each for each in every if each.is_host_function]
    others = [each for each in every if each.is_kernel and each != own]
    declarations = [each for each in others if not each.body]
    names_left_out = [each.name for each in (*host, *others) if each.body and each.name]
    defines = "".join(f"#define {' '.join((*each.split('=', 1), '1')[:2])}\n" for each in kernel.options.defines)

    def changed(drop: Sequence[cuda.Definition]) -> str:
        if not own.is_template:
            return defines + cuda.renamed(kernel.text, own, entry, drop=drop)
        call = re.sub(r"\(anonymous namespace\)::", "", kernel.displayed)
        declared = ", ".join(
            replace(parameter, name=name).declaration for parameter, name in zip(given, names, strict=True)
        )
        return defines + cuda.wrapped(kernel.text, own, call, f"{entry}({declared})", names, drop=drop)

    least = changed([*host, *others])
    candidates = [(cuda.without_system_includes(least), names_left_out), (least, names_left_out)]
    if not own.is_template:
        candidates.append((changed(declarations), []))
    failure: CompileError | None = None
    for text, left_out in candidates:
        try:
            if same_kernel(
                kernel.program.ptx, kernel.function.name, compiled(text, kernel), entry, kernel.program.arch
            ):
                return text, left_out
        except CompileError as error:
            failure = error
    why = f" {failure}" if failure else ""
    raise UsageError(
        f"{kernel.path.name}: with '{kernel.displayed}' as extern \"C\" __global__ void {entry}, the compiler makes "
        f"another kernel of it.{why} Move the kernel to a file of its own."
    )


def compiled(text: str, kernel: KernelSource) -> str:
    """The PTX of a changed text, with the headers of the original. Raises CompileError."""
    include = replace(AS_IT_IS, include=kernel.options.include).flags_for(text)
    return toolchain.compiled(text.encode(), kernel.path, kernel.program.arch, include).ptx


def same_kernel(a: str, a_entry: str, b: str, b_entry: str, arch: str) -> bool:
    """Whether two modules have the same kernel: the same machine code, or without ptxas the same instructions."""
    a, b = (bare(text_of_ptx.trimmed(text, entry)) for text, entry in ((a, a_entry), (b, b_entry)))
    if locate.program("ptxas"):
        return identity(a, a_entry, arch) == identity(b, b_entry, arch) is not None
    functions = parse(a).entries[a_entry], parse(b).entries[b_entry]
    first, second = ([each.opcode for each in function.instructions] for function in functions)
    return first == second


def bare(ptx: str) -> str:
    """PTX without line information."""
    return re.sub(r"^\s*\.loc\b[^\n]*\n", "", ptx, flags=re.M)


def identity(ptx: str, entry: str, arch: str) -> str | None:
    """The identity of the machine code of a kernel; None if ptxas refuses the text."""
    tool = locate.program("ptxas")
    assert tool is not None
    try:
        cubin, messages = toolchain.assembled(tool, ptx, arch)
    except ptxas.RefusedError:
        return None
    resources = ptxas.resources(messages, entry)
    if resources is None:
        return None
    return elf.identity(elf.read(cubin), entry, resources.registers, resources.shared_bytes)


# ---- PTX


def ptx_text(
    made: str,
    cuda_source: str,
    name: str,
    entry: str,
    arch: str,
    names: Sequence[str],
    arrays: Sequence[str],
    source: Path,
) -> tuple[str, bool]:
    """The .ptx file, and whether its registers could be renamed."""
    trimmed = text_of_ptx.trimmed(made, entry)
    module = parse(trimmed)
    function = module.entries[entry]
    params = {param.name: name for param, name in zip(function.params, names, strict=True)}
    variables = variable_names(function, [*module.variables], [*params.values(), entry])
    rows = [*trimmed.splitlines(), *(row for row in made.splitlines() if row.strip().startswith(".file"))]
    cuda_lines = origins(rows, source.name)
    lines = cuda_source.splitlines()
    own_arrays = [param.name for number, param in enumerate(function.params) if is_array(number, arrays)]
    naming = Naming(function, params, variables, own_arrays, provenance(function, own_arrays), cuda_lines, lines)
    whole = naming.all()
    labels = {old: new if new not in params.values() else f"{new}_" for old, new in whole.labels.items()}
    symbols = {**params, **variables}
    named = text_of_ptx.laid_out(trimmed, replace(whole, labels=labels), symbols, cuda_lines, lines)
    candidates = [named, text_of_ptx.laid_out(trimmed, Names({}, {}), symbols, cuda_lines, lines), bare(trimmed)]
    if locate.program("ptxas"):
        text = next((each for each in candidates if same_kernel(trimmed, entry, each, entry, arch)), candidates[-1])
    else:
        text = named
    return header_of(made, name, arch) + "\n" + lowered(text, entry, arch), text is named


def is_array(number: int, arrays: Sequence[str]) -> bool:
    """Whether parameter `number` is among `arrays`, names of PTX that end in their number."""
    return any(each.rpartition("_param_")[2] == str(number) for each in arrays)


def variable_names(function: Function, others: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """New names of variables with C++ names: the last part, unless another name is the same."""
    result: dict[str, str] = {}
    for variable in (*function.variables, *others):
        last = kernel_names.demangled(variable).rpartition("::")[2]
        free = re.fullmatch(r"[A-Za-z_]\w*", last) and last not in (*taken, *result.values(), *others)
        result[variable] = last if free else variable
    return result


def header_of(made: str, name: str, arch: str) -> str:
    found = re.search(r"release [\d.]+, V([\d.]+)", made)
    rows = comment(
        f"{name}: a start, not hand-written: the PTX that NVRTC {found[1] if found else ''} makes of ../cuda/{name}.cu "
        f"for {arch}. Shapes and launch are in ../pairs/{name}.py.",
        "",
        mark="//",
    )
    rows += ["//"]
    rows += comment(
        "ptxbench gave the registers their names and put the lines of CUDA C above their instructions. When you "
        "change it, say here how it differs from what the compiler makes.",
        "",
        mark="//",
    )
    return "\n".join(rows) + "\n"


def lowered(ptx: str, entry: str, arch: str) -> str:
    """The text with the lowest .target and .version that ptxas accepts and that give the same machine code."""
    if locate.program("ptxas") is None or architecture.suffix(arch):
        return ptx
    own = [target for target in TARGETS if architecture.number(target) <= architecture.number(arch)]
    target = next((each for each in own if accepted(directed(ptx, "target", each), each)), arch)
    changed = directed(ptx, "target", target)
    at = first_true(lambda number: accepted(directed(changed, "version", VERSIONS[number]), target), len(VERSIONS))
    if at < len(VERSIONS):
        changed = directed(changed, "version", VERSIONS[at])
    return changed if identity(changed, entry, arch) == identity(ptx, entry, arch) else ptx


def directed(ptx: str, directive: str, value: str) -> str:
    return re.sub(rf"^\.{directive}\s+\S+", f".{directive} {value}", ptx, count=1, flags=re.M)


def accepted(ptx: str, target: str) -> bool:
    return toolchain.assembled_text(ptx, target) is not None


def first_true(test: Callable[[int], bool], end: int) -> int:
    """The first number below `end` for which the test holds, if it holds for all later ones; else `end`."""
    low, high = 0, end
    while low < high:
        middle = (low + high) // 2
        if test(middle):
            high = middle
        else:
            low = middle + 1
    return low
