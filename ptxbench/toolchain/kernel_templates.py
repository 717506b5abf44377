"""The templates of kernels in a CUDA C file, which the compiler compiles only for a requested instantiation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxbench.toolchain.host_code import SourceText, device_macros
from ptxbench.toolchain.user_files import user_files

SAMPLES = {"bool": "true", "float": "1.0f", "double": "1.0"}
"""An argument for a parameter of that type; 4 for a whole number."""

WHOLE = {"int", "unsigned", "long", "short", "char", "size_t", "uint32_t", "int32_t", "uint64_t", "int64_t", "auto"}


@dataclass(frozen=True)
class KernelTemplate:
    """A template: its name with namespace, its parameters, and an example of its arguments."""

    name: str
    parameters: str
    arguments: tuple[str, ...]
    launched: str | None = None
    """The arguments of the first launch in the text."""

    @property
    def example(self) -> str:
        return f"{self.name}<{self.launched or ', '.join(self.arguments)}>"


def kernel_templates(content: bytes, folder: Path, searched: Sequence[Path] = ()) -> list[KernelTemplate]:
    """The templates of kernels in a file of `folder`, and in the user's files that it includes."""
    return templates_in([content, *(file.content for file in user_files(content, folder, searched) or [])])


def missing_instantiation(templates: Sequence[KernelTemplate]) -> str:
    """The templates of a file without another kernel, and what to do."""
    names = ", ".join(template.name for template in templates)
    noun = "the template " if len(templates) == 1 else "the templates "
    return f"it has {noun}{names}. Name an instantiation, such as --entry '{templates[0].example}'"


def templates_in(contents: Sequence[bytes]) -> list[KernelTemplate]:
    """The templates of __global__ functions in texts that are compiled as one, each once, in the order of the texts.
    Explicit instantiations are not templates."""
    texts = [content.decode("utf-8", "replace") for content in contents]
    templates = (template for text in texts for template in templates_of(text, "\n".join(texts)))
    return list({template.name: template for template in reversed([*templates])}.values())[::-1]


def templates_of(source: str, launches: str) -> list[KernelTemplate]:
    """The templates of one text. `launches`: the text that may launch them."""
    text = SourceText(source, device_macros([source]))
    templates: dict[str, KernelTemplate] = {}
    for declaration in text.declarations:
        words = text.words[declaration.first : declaration.last + 1]
        if declaration.kind != "function" or words[:2] != ["template", "<"] or words[2] == ">":
            continue
        end = text.angle(declaration.first + 1, declaration.last) - declaration.first
        head = words[end + 1 : words.index("{") if "{" in words else None]
        if "__global__" not in head:
            continue
        name = declaration.namespace + text.name_of_function(head)
        launch = re.search(rf"\b{re.escape(name.split('::')[-1])}\s*<((?:[^<>;()]|<[^<>;]*>)*)>\s*<<<", launches)
        launched = " ".join(launch[1].split()) if launch and not has_local_name(launch[1], launches) else None
        parameters = text.between(declaration.first + 2, declaration.first + end - 1)
        templates.setdefault(name, KernelTemplate(name, parameters, tuple(arguments(words[2:end])), launched))
    return list(templates.values())


def has_local_name(expression: str, text: str) -> bool:
    """Whether template arguments have a variable of `text`, or a parameter of a template, which --entry cannot name."""
    return any(
        re.search(rf"\b(?:typename|class|{'|'.join(sorted({*WHOLE, *SAMPLES}))}|uint)\s+{name}\s*[,>=;)]", text)
        for name in re.findall(r"[A-Za-z_]\w*", expression)
    )


def arguments(words: list[str]) -> list[str]:
    """An example of each template argument that has no default."""
    result = []
    for parameter in re.split(r" , (?![^<]*>)", " ".join(words)):
        names = parameter.split()
        if "=" in names:
            break
        if names[0] in ("typename", "class"):
            result.append("float")
        elif names[0] in SAMPLES:
            result.append(SAMPLES[names[0]])
        elif WHOLE & set(names):
            result.append("4")
        else:
            result.append(names[-1])
    return result
