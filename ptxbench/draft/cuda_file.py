"""The .cu file of a draft: the shortest text in which the kernel is extern "C" and stays the same kernel."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ptxbench import toolchain
from ptxbench.draft import cuda, instantiation
from ptxbench.draft.identity import same_kernel
from ptxbench.draft.included import texts_with
from ptxbench.draft.kernel_source import KernelSource
from ptxbench.draft.pair_file import comment
from ptxbench.emulator.syntax import Function
from ptxbench.errors import CompileError, UsageError
from ptxbench.toolchain.nvrtc import CompilerOutput
from ptxbench.toolchain.options import AS_IT_IS
from ptxbench.toolchain.parameters import CudaParameter
from ptxbench.units import enumeration


@dataclass(frozen=True)
class CandidateText:
    """A text that may have the same kernel. `left_out`: the functions of the file that it lacks. `complete`: whether it
    keeps all of them."""

    text: str
    left_out: Sequence[str] = ()
    complete: bool = False


@dataclass(frozen=True)
class CudaFile:
    """The text of the file, the functions that are left out of it, and the compiler's PTX of it."""

    text: str
    left_out: Sequence[str]
    ptx: str


def cuda_file(
    kernel: KernelSource, name: str, entry: str, parameters: Sequence[CudaParameter], names: Sequence[str]
) -> CudaFile:
    """The .cu file of the pair `name` with the kernel as extern "C" `entry`.

    It is the shortest text whose kernel is the same, if possible one that the compiler takes without help. `names`: of
    the parameters. Raises UsageError if no text has the same kernel.
    """
    refused = ""
    another = False
    fitting: list[CudaFile] = []
    candidates = (
        candidate
        for text in texts_of(kernel)
        for candidate in candidate_texts(replace(kernel, text=text), entry, parameters, names)
    )
    for candidate in candidates:
        if fitting and candidate.complete and kernel.program.compiler:
            break  # the compiler needs help with the original too
        # With its header, so that the compared text is the one that is written.
        text = "\n".join([header_of(kernel, name, candidate.left_out), "", candidate.text.strip("\n"), ""])
        try:
            output = compiled(text, kernel)
        except CompileError:
            refused = candidate.text
            continue
        if same_kernel(kernel.program.ptx, kernel.function.name, output.ptx, entry, kernel.program.arch):
            fitting.append(CudaFile(text, candidate.left_out, output.ptx))
            if not output.how:
                return fitting[-1]
        else:
            another = True
    if fitting:
        return fitting[0]
    raise UsageError(reason(kernel, entry, "" if another else refused))


def reason(kernel: KernelSource, entry: str, refused: str) -> str:
    """Why no text has the same kernel. `refused`: the last one, if the compiler refuses all; empty otherwise."""
    why = "the compiler makes another kernel of it."
    if refused:
        try:
            compiled(refused, kernel)  # without the header, so that the lines are those of the source
        except CompileError as error:
            why = f"it does not compile: {error}"
    if kernel.is_template:  # whose host code is always left out
        why = re.sub(rf"\b{re.escape(kernel.path.name)}:\d+: ", "", why)
    plain = " as a kernel that is not a template" if kernel.is_template else ""
    return (
        f"{kernel.path.name}: with '{kernel.displayed}' as extern \"C\" __global__ void {entry}, {why} Write it{plain} "
        "in a file of its own, and take that."
    )


def texts_of(kernel: KernelSource) -> Iterator[str]:
    """The texts that define the kernel; for one in an unnamed namespace, first with a name for that."""
    for text in texts_with(kernel):
        if kernel.is_unnamed:
            yield cuda.named_namespaces(text)
        yield text


def candidate_texts(
    kernel: KernelSource, entry: str, parameters: Sequence[CudaParameter], names: Sequence[str]
) -> list[CandidateText]:
    """The texts to try, the shortest first: without host functions, other kernels and headers; then with the user's
    headers, and with all; then with everything, unless the kernel is a template. Raises UsageError if the kernel is not
    found."""
    chosen = definition_of(kernel)
    definitions = cuda.definitions(kernel.text)
    marks = kernel.device_marks()
    host = [definition for definition in definitions if definition.is_host_function]
    host = [definition for definition in host if marks.isdisjoint(definition.words)]
    others = [definition for definition in definitions if definition.is_kernel and definition != chosen]
    others += [definition for definition in definitions if definition.is_instantiation and not definition.is_kernel]
    kept_names = {definition.name for definition in definitions if definition not in (*host, *others)}
    removed_names = {definition.name for definition in (*host, *others)} - kept_names - {None}
    others += [definition for definition in definitions if definition.used_name in removed_names]
    of_host_library = [definition for definition in definitions if definition.is_of_host_library]
    left_out = [definition.name for definition in (*host, *others) if definition.body and definition.name]

    defines = "".join(f"#define {' '.join((*define.split('=', 1), '1')[:2])}\n" for define in kernel.options.defines)
    texts: dict[str, CandidateText] = {}
    for form in forms_of(kernel, chosen, entry, parameters, names):
        shortened = defines + form(drop=[*host, *others])
        without_library = defines + form(drop=[*host, *others, *of_host_library])
        for text in (
            cuda.without_includes(without_library),
            cuda.without_includes(without_library, "<"),
            cuda.without_includes(shortened, "<"),
            shortened,
        ):
            texts.setdefault(text, CandidateText(text, left_out))
        if not chosen.is_template:
            text = defines + form(drop=[definition for definition in others if not definition.body])
            texts[text] = CandidateText(text, complete=True)
    return list(texts.values())


def definition_of(kernel: KernelSource) -> cuda.Definition:
    """The definition of the kernel in its file. Raises UsageError unless there is exactly one."""
    named = cuda.kernel_named(kernel.text, kernel.plain_name)
    definitions = [definition for definition in named if definition.is_template == kernel.is_template] or named
    if len(definitions) != 1:
        how_many = "several definitions" if definitions else "no definition"
        raise UsageError(
            f"{kernel.path.name} has {how_many} of '{kernel.plain_name}' in its text and its headers; a macro may "
            "make it. Write the kernel in a file of its own, and take that."
        )
    return definitions[0]


def forms_of(
    kernel: KernelSource,
    chosen: cuda.Definition,
    entry: str,
    parameters: Sequence[CudaParameter],
    names: Sequence[str],
) -> list[Callable[..., str]]:
    """Functions that give the text without the definitions `drop`, and with the kernel `chosen` under the name `entry`:
    renamed, or, if it is a template, with the values of its parameters, or called by a kernel of that name."""
    text = kernel.text
    if not chosen.is_template:
        return [partial(cuda.renamed, text, chosen, entry, declared_before=before) for before in (False, True)]
    arguments = instantiation.arguments_of(kernel.displayed, kernel.options.entry)
    call = f"{kernel.qualified_name}<{', '.join(arguments)}>({', '.join(names)})"
    declared = ", ".join(
        replace(parameter, name=name).declaration for parameter, name in zip(parameters, names, strict=True)
    )
    signature = f"{launch_bounds(kernel.function)}\n{entry}({declared})"
    wrapped = [partial(cuda.with_wrapper, text, chosen, call, signature, at_end=at_end) for at_end in (True, False)]
    lines = instantiation.named_arguments(text, chosen, arguments)
    plain = [] if lines is None else [partial(cuda.without_template, text, chosen, entry, lines)]
    return [*plain, *wrapped]


def header_of(kernel: KernelSource, name: str, left_out: Sequence[str]) -> str:
    """The comment at the start of the .cu file."""
    without = f", without {enumeration(left_out)}" if left_out else ""
    sentences = (
        f"{name}: replace this by one sentence on what the kernel computes.",
        f"Paired with ../ptx/{name}.ptx; arguments, shapes and launch are in ../pairs/{name}.py.",
        f"The kernel {kernel.displayed} of {kernel.path.name}{without}.",
    )
    return "\n".join(row for sentence in sentences for row in comment(sentence, "", mark="//"))


def launch_bounds(function: Function) -> str:
    """` __launch_bounds__(256, 2)`, as the PTX of a kernel has it; empty without."""
    most = function.directives.get(".maxntid")
    numbers = [str(math.prod(most)), *map(str, function.directives.get(".minnctapersm", ()))] if most else []
    return f" __launch_bounds__({', '.join(numbers)})" if numbers else ""


def compiled(text: str, kernel: KernelSource) -> CompilerOutput:
    """What the compiler makes of a changed text, with the headers of the original. Raises CompileError."""
    include = replace(AS_IT_IS, include=kernel.options.include).flags_for(text.encode(), kernel.path.parent)
    return toolchain.compiled(text.encode(), kernel.path, kernel.program.arch, include)
