"""The templates of kernels in a CUDA C file, which the compiler compiles only for a requested instantiation."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from ptxbench import kernel_names
from ptxbench.toolchain.host_code import SourceText
from ptxbench.toolchain.macros import device_macros
from ptxbench.toolchain.template_arguments import examples
from ptxbench.toolchain.user_files import user_files

MACRO_OF_KERNELS = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t][^\n]*\b__global__\b", re.M)
"""The definition of a macro that marks kernels, such as `#define KERNEL __global__ static`."""

DEFINING_MACRO = re.compile(rb"^[ \t]*#[ \t]*define[ \t]+(\w+)\((?:[^\n]*\\\r?\n)*[^\n]*", re.M)
"""The definition of a macro with parameters."""
MARK = b"__global__"


@dataclass(frozen=True)
class KernelTemplate:
    """A template: its name with namespace, its parameters, and what makes an example of its arguments."""

    name: str
    parameters: str
    make_arguments: Callable[[], tuple[str, ...]] = field(repr=False, compare=False)
    """Searches all texts, which takes seconds if there are megabytes of headers."""

    @cached_property
    def example(self) -> str:
        return f"{self.name}<{', '.join(self.make_arguments())}>"


def kernel_templates(content: bytes, folder: Path, searched: Sequence[Path] = ()) -> list[KernelTemplate]:
    """The templates of kernels in a file of `folder`, and in the user's files that it includes."""
    return templates_in([content, *(file.content for file in user_files(content, folder, searched) or [])])


def missing_instantiation(templates: Sequence[KernelTemplate]) -> str:
    """The templates of a file without another kernel, and what to do."""
    names = kernel_names.some(template.name for template in templates)
    noun = "the template " if len(templates) == 1 else "the templates "
    return f"it has {noun}{names}. Name an instantiation, such as --entry '{templates[0].example}'"


def unused_macro(content: bytes, folder: Path, searched: Sequence[Path] = ()) -> str | None:
    """What to do about a file without a kernel, if a macro of it or of its headers defines kernels; None if none does.

    The templates that such a macro makes are not in `kernel_templates`.
    """
    texts = [content, *(file.content for file in user_files(content, folder, searched) or [])]
    macros = [match[1].decode() for text in texts for match in DEFINING_MACRO.finditer(text) if MARK in match[0]]
    if not macros:
        return None
    return (
        f"the macro {macros[0]} defines kernels, and none is instantiated. If they are templates, name an "
        "instantiation, such as --entry 'NAMESPACE::NAME<float, 4>'"
    )


def only_templates(source: Path, entry: str) -> str | None:
    """What to do about a CUDA C file of a pair that has templates of kernels and no kernel; None if it has neither."""
    templates = templates_in([source.read_bytes()]) if source.suffix == ".cu" else []
    if not templates:
        return None
    found = ", ".join(repr(template.name) for template in templates)
    return (
        f"{source.name}: expected an entry '{entry}', the pair's name; found only templates: {found}. Make one a "
        f"__device__ function, and call it from a kernel '{entry}' that is extern \"C\"."
    )


def templates_in(contents: Sequence[bytes]) -> list[KernelTemplate]:
    """The templates of __global__ functions in texts that are compiled as one, each once, in the order of the texts.
    Explicit instantiations are not templates."""
    texts = [content.decode("utf-8-sig", "replace") for content in contents]
    marks = {"__global__", *(name for text in texts for name in MACRO_OF_KERNELS.findall(text))}
    with_mark = [text for text in texts if any(mark in text for mark in marks)]
    templates = (template for text in with_mark for template in templates_of(text, marks, "\n".join(texts)))
    return list({template.name: template for template in reversed([*templates])}.values())[::-1]


def templates_of(source: str, marks: Collection[str], launches: str) -> list[KernelTemplate]:
    """The templates of one text. `marks`: words that make a function a kernel. `launches`: the text that may launch
    them."""
    text = SourceText(source, device_macros([source]))
    templates: dict[str, KernelTemplate] = {}
    for declaration in text.declarations:
        words = text.words[declaration.first : declaration.last + 1]
        if declaration.kind != "function" or words[:2] != ["template", "<"] or words[2] == ">":
            continue
        end = text.angle(declaration.first + 1, declaration.last) - declaration.first
        head = words[end + 1 : words.index("{") if "{" in words else None]
        if not any(mark in head for mark in marks):
            continue
        name = declaration.namespace + text.name_of_function(head)
        parameters = text.between(declaration.first + 2, declaration.first + end - 1)
        words_of_each = re.split(r" , (?![^<]*>)(?![^(]*\))", " ".join(words[2:end]))
        body = text.between(declaration.first + end, declaration.last)
        make_arguments = partial(examples, name.split("::")[-1], words_of_each, body, launches)
        templates.setdefault(name, KernelTemplate(name, parameters, make_arguments))
    return list(templates.values())
