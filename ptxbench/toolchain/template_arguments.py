"""Examples of the arguments of a template: as a text uses it, and by the kinds of its parameters.

Looks for words in the text, without C++'s rules of scopes: an example is to be read and changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ptxbench.toolchain.host_code import SourceText

SAMPLES = {"bool": "true", "float": "1.0f", "double": "1.0"}
"""An argument for a parameter of that type; 4 for a whole number."""

WHOLE = {"int", "unsigned", "long", "short", "char", "size_t", "uint32_t", "int32_t", "uint64_t", "int64_t", "auto"}

DISPATCHED = {"scalar_t": "float"}
"""Types that a macro of PyTorch declares around a launch."""

DEEPEST = 4
"""Constants that are given by other constants."""

NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


def examples(name: str, parameters: Sequence[str], body: str, text: str) -> tuple[str, ...]:
    """An argument for each parameter of a template that has no default, or for more if the text uses it with more.

    `name`: its name without namespace. `parameters`: their tokens, with spaces between them. `body`: of its function.
    """
    types = {parameter.split()[-1] for parameter in parameters if parameter.split()[0] in ("typename", "class")}
    samples = [sample(parameter, types, body, text) for parameter in parameters if "=" not in parameter.split()]
    used = min(uses(name, text), key=lambda arguments: arguments.count(None), default=[])
    merged = [argument or (samples[i] if i < len(samples) else None) for i, argument in enumerate(used)]
    return tuple(filter(None, merged)) if merged and None not in merged else tuple(samples)


def uses(name: str, text: str) -> list[list[str | None]]:
    """The arguments of the template where the text launches it or takes its address; None for one that --entry cannot
    name, such as a variable of a host function."""
    pattern = rf"\b{re.escape(name)}\s*<((?:[^<>;(){{}}]|<[^<>;]*>|\([^();]*\))*)>\s*(?:<<<|[;,)])"
    return [[known(argument, text) for argument in split(match[1])] for match in re.finditer(pattern, text)]


def split(arguments: str) -> list[str]:
    """The parts between commas that are outside of brackets, each without line ends."""
    parts, depth = [""], 0
    for character in arguments.replace("\\\n", " "):
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [" ".join(part.split()) for part in parts]


def known(expression: str, text: str, depth: int = 0) -> str | None:
    """The expression with the values of the text's own constants and types; None if it has another local name."""
    values: dict[str, str] = {}
    for name in NAME.findall(expression):
        if name in DISPATCHED:
            values[name] = DISPATCHED[name]
        elif name not in WHOLE and name not in SAMPLES and is_local(name, text):
            value = defined(name, text) if depth < DEEPEST else None
            inner = known(value, text, depth + 1) if value else None
            if inner is None:
                return None
            values[name] = inner if re.fullmatch(r"[\w:.<>, ]+", inner) else f"({inner})"
    return NAME.sub(lambda match: values.get(match[0], match[0]), expression)


def is_local(name: str, text: str) -> bool:
    """Whether the text has a variable, a type or a parameter of that name, which --entry may not be able to name."""
    kinds = "|".join(sorted({*WHOLE, *SAMPLES}))
    return bool(
        re.search(rf"\b(?:typename|class|{kinds}|uint)\s+{name}\s*[,>=;)]|\busing\s+{name}\s*=", text)
        or re.search(rf"\b[A-Z][A-Z0-9_]+\([^;{{}}]*\b{name}\s*,\s*\[&\]", text)  # a type that a macro declares
        or re.search(rf"^\s*#\s*define\s+\w+\([^)]*\b{name}\b[^)]*\)", text, re.M)
    )


def defined(name: str, text: str) -> str | None:
    """The value of the first constant of that name, or the type for which it stands."""
    constant = rf"\bconst(?:expr)?\s+(?:\w+\s+)*{name}\s*=\s*(?P<value>[^;,{{}}?]+?)\s*[;,]"
    alias = rf"\busing\s+{name}\s*=\s*(?P<value>[^;{{}}]+?)\s*;"
    match = re.search(constant, text) or re.search(alias, text)
    return " ".join(match["value"].replace("\\\n", " ").split()) if match else None


def sample(parameter: str, types: Collection[str], body: str, text: str) -> str:
    """An argument for a parameter without a default; its name, if nothing shows what it can be. `types`: the parameters
    that are types."""
    names = parameter.split()
    if names[0] in ("typename", "class"):
        return of_class(names[-1], body, text)
    if names[0] in SAMPLES:
        return SAMPLES[names[0]]
    if pointer := re.search(r"\( \* (\w+) \)", parameter):  # to a function
        return of_function(parameter, types, text) or pointer[1]
    return "4" if WHOLE & set(names) else of_enumeration(names, text) or names[-1]


def of_function(parameter: str, types: Collection[str], text: str) -> str | None:
    """The first device function of the text with the parameters of a pointer to a function, where `types` are float.

    A template of one type is instantiated for float.
    """
    pointer = re.fullmatch(r".+ \( \* \w+ \) \( (.+) \)", parameter)
    wanted = ["float" if word in types else word for word in pointer[1].split()] if pointer else []
    source = SourceText(text)
    for declaration in source.declarations:
        words = source.words[declaration.first : declaration.last + 1]
        if declaration.kind != "function" or "__device__" not in words or "{" not in words:
            continue
        head, of_type = words[: words.index("{")], ""
        if head[0] == "template":
            if head[1:5:3] != ["<", ">"] or head[2] not in ("typename", "class"):
                continue
            of_type, head = head[3], head[5:]
        if "(" not in head[1:]:
            continue
        at = head.index("(")
        found = " ".join("float" if word == of_type else word for word in head[at + 1 : -1])
        if [word for part in found.split(" , ") for word in [*part.split()[:-1], ","]] == [*wanted, ","]:
            return f"{declaration.namespace}{head[at - 1]}{'<float>' if of_type else ''}"
    return None


def of_enumeration(parameter: Sequence[str], text: str) -> str | None:
    """The first value of the type, if it is an enumeration of the text. `parameter`: its tokens, the name last."""
    source = SourceText(text)
    for declaration in source.declarations:
        words = source.words[declaration.first : declaration.last + 1]
        if words[0] == "enum" and "{" in words[:-1]:
            head = words[: words.index("{")]
            name = next((word for word in head[1:] if word not in ("class", "struct")), None)
            if name in parameter[:-1]:
                return f"{declaration.namespace}{name}::{words[words.index('{') + 1]}"
    return None


def of_class(name: str, body: str, text: str) -> str:
    """A type for the parameter `name`: a class of the text if the function uses its members or those of its objects,
    else float.

    The name itself if the text has no class with its members.
    """
    aliases = "|".join({name, *re.findall(rf"\busing\s+(\w+)\s*=\s*(?:typename\s+)?{name}\s*;", body)})
    members = set(re.findall(rf"(?<![\w:])(?:{aliases})\s*::\s*(?:template\s+)?(\w+)", body))
    if not (used := members | members_of_objects(aliases, body)):
        return "float"
    source = SourceText(text)
    for declaration in source.declarations:
        words = source.words[declaration.first : declaration.last + 1]
        if declaration.kind == "class" and words[0] in ("struct", "class") and used <= set(words):
            return declaration.namespace + words[1]
    return name if members else "float"


def members_of_objects(types: str, body: str) -> set[str]:
    """The members of the objects of a type that the function uses; `operator`, if it calls one of them."""
    declared = re.compile(rf"(?<![\w:])(?:{types})\s*(?:const\b\s*)?&?\s*(\w+)\s*(?=[,)({{;=])")
    rest = declared.sub(" ", body)  # `Type object(1)` is not a call
    objects = "|".join({rf"\b{name}" for name in declared.findall(body)} | {rf"(?<![\w:])(?:{types})\s*(?:\(\)|{{}})"})
    members = set(re.findall(rf"(?:{objects})\s*(?:\.|->)\s*(?:template\s+)?(\w+)", rest))
    return members | ({"operator"} if re.search(rf"(?:{objects})\s*\(", rest) else set())
