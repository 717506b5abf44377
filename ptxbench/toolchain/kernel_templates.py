"""The templates of kernels in a CUDA C file, which the compiler makes only if an instantiation is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ptxbench.toolchain.host_code import SourceText, device_macros

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


def kernel_templates(source: str) -> list[KernelTemplate]:
    """The templates of __global__ functions, each once, in the order of the text; explicit instantiations are none."""
    text = SourceText(source, device_macros([source]))
    found: dict[str, KernelTemplate] = {}
    for declaration in text.declarations:
        words = text.words[declaration.first : declaration.last + 1]
        if declaration.kind != "function" or words[:2] != ["template", "<"] or words[2] == ">":
            continue
        end = text.angle(declaration.first + 1, declaration.last) - declaration.first
        head = words[end + 1 : words.index("{") if "{" in words else None]
        if "__global__" not in head:
            continue
        name = declaration.namespace + text.name_of_function(head)
        launch = re.search(rf"\b{re.escape(name.split('::')[-1])}\s*<((?:[^<>;()]|<[^<>;]*>)*)>\s*<<<", source)
        launched = " ".join(launch[1].split()) if launch else None
        parameters = text.between(declaration.first + 2, declaration.first + end - 1)
        found.setdefault(name, KernelTemplate(name, parameters, tuple(arguments(words[2:end])), launched))
    return list(found.values())


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
