"""CUDA C as text: its definitions at file scope, and the text with one kernel renamed and without its host functions.

Reads enough of C++ to find where definitions begin and end: comments, literals, directives and brackets. It does not
know macros, so the callers compile a changed text and compare.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxbench.toolchain.cpp_tokens import ANGLES, CLOSING, OPENING, Token, tokens
from ptxbench.toolchain.host_code import AFTER_PARAMETERS
from ptxbench.toolchain.user_files import has_file

TYPES = ("struct", "class", "union", "enum")
SPECIFIERS = ("static", "inline")
"""Specifiers that a kernel with the linkage of C cannot have, or need not have."""


@dataclass(frozen=True)
class Definition:
    """A definition or declaration at the scope of the file or of a namespace.

    `head`: its tokens before the body; `body`: the text positions of its braces, if it is a function with a body.
    """

    start: int
    end: int
    head: tuple[Token, ...]
    body: tuple[int, int] | None
    extern_c: bool
    """Whether it is inside extern "C" { }."""

    @property
    def words(self) -> frozenset[str]:
        return frozenset(token.text for token in self.head if token.kind == "word")

    @property
    def is_template(self) -> bool:
        return bool(self.head) and self.head[0].text == "template"

    @property
    def name(self) -> str | None:
        """The name of a function: the word before its parameters. Another word after the brackets shows that they are
        a macro's, such as BOUNDS in `BOUNDS(256) f(int a)`."""
        outer = [*outer_tokens(self.head[template_end(self.head) :])]
        following = {
            before.text: after.text if after and after.kind == "word" else ""
            for before, opening, after in zip(outer, outer[1:], [*outer[2:], None], strict=False)
            if opening.text == "(" and before.kind == "word" and before.text not in NOT_NAMES
        }
        names = [name for name, word in following.items() if not word or word in AFTER_PARAMETERS]
        return next(iter((*names, *following)), None)

    @property
    def used_name(self) -> str | None:
        """The name f of `using a::f;`."""
        texts = [token.text for token in self.head]
        declares = texts[:1] == ["using"] and texts[-1] == ";" and "::" in texts
        return texts[-2] if declares and not {"=", "namespace"} & {*texts} else None

    @property
    def is_kernel(self) -> bool:
        return "__global__" in self.words

    @property
    def is_instantiation(self) -> bool:
        """`template void f<int>(int);`, which only says which instance is compiled."""
        return self.is_template and len(self.head) > 1 and self.head[1].text != "<"

    @property
    def is_of_host_library(self) -> bool:
        """A declaration with names of the host's C++ library, such as `using namespace std;`."""
        return self.body is None and "std" in self.words and not {"cuda", "__device__", "__constant__"} & self.words

    @property
    def is_host_function(self) -> bool:
        """A function that only the host can call, as far as the text says."""
        device = {"__global__", "__device__", "constexpr", "consteval"}
        return self.body is not None and self.name is not None and not device & self.words


NOT_NAMES = ("__launch_bounds__", "__cluster_dims__", "__block_size__", "__maxnreg__", "__align__", "alignas",
             "__attribute__", "decltype", "noexcept", "__declspec", "explicit")  # fmt: skip
"""Words before parentheses that are not those of parameters."""


def outer_tokens(code: Sequence[Token]) -> Iterator[Token]:
    """The tokens outside brackets; of each bracket only the opening one."""
    depth = 0
    for token in code:
        if token.kind == "mark" and token.text in CLOSING:
            depth -= 1
        elif depth == 0:
            yield token
        if token.kind == "mark" and token.text in OPENING:
            depth += 1


def template_end(head: Sequence[Token]) -> int:
    """The index after `template <...>`, also of several; 0 without one."""
    end = 0
    while end + 1 < len(head) and head[end].text == "template" and head[end + 1].text == "<":
        depth = round_depth = 0
        for index in range(end + 1, len(head)):
            text = head[index].text
            round_depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            if round_depth == 0:
                depth += ANGLES.get(text, 0)
            if depth <= 0:
                end = index + 1
                break
        else:
            return len(head)
    return end


def definitions(text: str) -> list[Definition]:
    """The definitions and declarations of a file, in order; also those inside namespaces and extern "C" { }."""
    return list(read_scope([*tokens(text)], extern_c=False))


def read_scope(code: list[Token], *, extern_c: bool) -> Iterator[Definition]:
    at = 0
    while at < len(code):
        if code[at].kind == "directive" or code[at].text == ";":
            at += 1
            continue
        start = at
        at, body, inner = read_one(code, at)
        head = tuple(token for token in code[start : body[0] if body else at] if token.kind != "directive")
        if inner:
            linkage = extern_c or (head[0].text == "extern" and any(token.text == '"C"' for token in head))
            yield from read_scope(code[inner[0] + 1 : inner[1]], extern_c=linkage)
        elif head:
            braces = (code[body[0]].start, code[body[1]].end) if body else None
            yield Definition(code[start].start, code[at - 1].end, head, braces, extern_c)


def read_one(code: list[Token], at: int) -> tuple[int, tuple[int, int] | None, tuple[int, int] | None]:
    """The index after one definition; the indices of the braces of its body, or of those of a namespace."""
    start = at
    after_template = start + template_end(code[start:])
    assigned = False
    while at < len(code):
        token = code[at]
        if token.text == ";" and token.kind == "mark":
            return at + 1, None, None
        if token.text == "=" and at >= after_template:
            assigned = True
        if token.kind == "mark" and token.text in OPENING:
            closing = matching(code, at)
            if token.text == "{":
                words = {word.text for word in code[start:at]}
                opened = code[start:at]
                if "namespace" in words and not any(word.text == "(" for word in opened):
                    return closing + 1, None, (at, closing)
                if opened and opened[0].text == "extern" and len(opened) == 2 and opened[1].kind == "literal":
                    return closing + 1, None, (at, closing)
                parameters = any(word.text == "(" for word in outer_tokens(code[after_template:at]))
                if parameters and not assigned and not is_type(code[after_template:at]):
                    return closing + 1, (at, closing), None
            at = closing
        at += 1
    return at, None, None


def is_type(head: Sequence[Token]) -> bool:
    """Whether a brace after this opens a type: the words before it have no parameters after the type's name."""
    words = [token.text for token in outer_tokens(head) if token.text not in ("__align__", "alignas", "(")]
    return bool(words) and words[0] in TYPES and not (head and head[-1].text == ")")


def matching(code: Sequence[Token], at: int) -> int:
    """The index of the bracket that closes the one at `at`; the last index if none does."""
    depth = 0
    for index in range(at, len(code)):
        token = code[index]
        if token.kind == "mark":
            depth += (token.text in OPENING) - (token.text in CLOSING)
            if depth == 0:
                return index
    return len(code) - 1


# ---- changed texts


@dataclass(frozen=True)
class Replacement:
    """Text to put in place of text[start:end]."""

    start: int
    end: int
    text: str


def apply_edits(text: str, edits: Sequence[Replacement]) -> str:
    """The text with the edits, of which no two overlap."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def without_bodies(text: str) -> str:
    """The text with empty kernels and without the other functions of the device: for reading only the parameters."""
    edits = []
    for definition in definitions(text):
        if definition.body and definition.is_kernel:
            edits.append(Replacement(*definition.body, "{}"))
        elif definition.body and "__device__" in definition.words and "constexpr" not in definition.words:
            edits.append(removal(text, definition))
    return apply_edits(text, edits)


def removal(text: str, definition: Definition) -> Replacement:
    """The edit that removes a definition with the comment right above it, and the empty lines after it."""
    start = text.rfind("\n", 0, definition.start) + 1
    if text[start : definition.start].strip():
        start = definition.start
    while (above := text.rfind("\n", 0, max(start - 1, 0)) + 1) < start and text[above:start].lstrip().startswith("//"):
        start = above
    end = definition.end
    while (match := re.compile(r"[ \t]*(?:;|\n)").match(text, end)) and match.end() > end:
        end = match.end()
    return Replacement(start, end, "")


def kernel_named(text: str, name: str) -> list[Definition]:
    """The definitions of kernels of that name, without namespace and template arguments."""
    return [
        definition
        for definition in definitions(text)
        if definition.is_kernel and definition.body and definition.name == name
    ]


def named_namespaces(text: str) -> str:
    """The text with a name for its unnamed namespaces: a kernel in one is not compiled unless the text launches it.
    The new ones are inline, so their content is found as before."""
    code = [*tokens(text)]
    edits = [
        Replacement(token.start, token.end, "inline namespace unnamed")
        for token, after in itertools.pairwise(code)
        if token.text == "namespace" and token.kind == "word" and after.text == "{"
    ]
    return apply_edits(text, edits)


def renamed(
    text: str, kernel: Definition, name: str, *, drop: Sequence[Definition], declared_before: bool = False
) -> str:
    """The text with the kernel as extern "C" and under another name, also in its launches; `drop` is removed.

    `declared_before`: write extern "C" in a declaration before the definition. In the definition it would also apply to
    what the body declares: `extern __shared__ float s[]` is then another array than in functions without extern "C".
    (C++ standard, [dcl.link].)
    """
    removals = [removal(text, definition) for definition in drop]
    edits = edits_outside(edits_of_name(text, kernel, name, declared_before=declared_before), removals)
    return apply_edits(text, [*edits, *removals])


def without_template(
    text: str, kernel: Definition, name: str, named_arguments: Sequence[str], *, drop: Sequence[Definition]
) -> str:
    """As `renamed`, with the lines `named_arguments` in place of the template's head: `using T = float;`."""
    removals = [removal(text, definition) for definition in drop]
    start, end = kernel.head[0].start, kernel.head[template_end(kernel.head) - 1].end
    before = text[text.rfind("\n", 0, start) + 1 : start]
    indent = before if before.isspace() else ""
    lines = "".join(f"{line}\n{indent}" for line in named_arguments)
    edits = [
        Replacement(start, end + len(text[end:]) - len(text[end:].lstrip()), lines),
        *edits_of_name(text, kernel, name),
    ]
    return apply_edits(text, [*edits_outside(edits, removals), *removals])


def edits_of_name(text: str, kernel: Definition, name: str, *, declared_before: bool = False) -> list[Replacement]:
    """The edits that make the kernel extern "C" and give it another name, also in its launches (see `renamed`)."""
    edits = []
    all_tokens = [*tokens(text)]
    first = next(token for token in kernel.head[template_end(kernel.head) :] if token.text not in SPECIFIERS)
    if not kernel.extern_c and not (first.text == "extern" and any(token.text == '"C"' for token in kernel.head)):
        declaration = f"{new_head(text, kernel, name)};\n" if declared_before else ""
        edits.append(Replacement(first.start, first.start, f'extern "C" {declaration}'))
    edits += [Replacement(token.start, token.end + 1, "") for token in kernel.head if token.text in SPECIFIERS]
    for token, after in zip(all_tokens, [*all_tokens[1:], None], strict=True):
        if token.kind == "word" and token.text == kernel.name and after is not None and after.text in ("(", "<<<"):
            edits.append(Replacement(token.start, token.end, name))
    return edits


def new_head(text: str, kernel: Definition, name: str) -> str:
    """The head of a kernel, up to its parameters, with its new name and on one line."""
    words = [token for token in kernel.head if token.text not in SPECIFIERS]
    head, end = "", words[0].start
    for token in words:
        head += " " * (token.start > end) + (name if token.text == kernel.name else token.text)
        end = token.end
    return head


def with_wrapper(
    text: str, kernel: Definition, body: str, signature: str, *, drop: Sequence[Definition], at_end: bool
) -> str:
    """The text with the template `kernel` as a device function, and a kernel that calls it.

    `body`: the call, `ns::k<float, 4>(x, y)`; `signature`: that of the new kernel, after `void`. `at_end`: whether the
    kernel is at the end of the text, which has all types, or after the template, in its namespace.
    """
    edits, removals = [], [removal(text, definition) for definition in drop]
    for number, token in enumerate(kernel.head):
        if token.text == "__global__":
            edits.append(Replacement(token.start, token.end, "__device__ __forceinline__"))
        elif token.text in (*SPECIFIERS, "__grid_constant__"):
            edits.append(Replacement(token.start, token.end + 1, ""))
        elif token.text == "__launch_bounds__":
            end = kernel.head[matching(kernel.head, number + 1)].end
            edits.append(Replacement(token.start, end + len(text[end:]) - len(text[end:].lstrip(" ")), ""))
    wrapper = f'\n\nextern "C" __global__ void{signature}\n{{\n    {body};\n}}\n'
    if not at_end:
        edits.append(Replacement(kernel.end, kernel.end, wrapper.rstrip("\n")))
    remaining_text = apply_edits(text, [*edits_outside(edits, removals), *removals])
    return remaining_text.rstrip("\n") + wrapper if at_end else remaining_text


def edits_outside(edits: Sequence[Replacement], removals: Sequence[Replacement]) -> list[Replacement]:
    """The edits of what is not removed."""
    return [edit for edit in edits if not any(other.start <= edit.start < other.end for other in removals)]


INCLUDE = re.compile(r"#\s*include\s*(?P<quoted>[<\"])(?P<name>[^>\"]+)[>\"]")


def without_includes(text: str, quotes: str = '<"') -> str:
    """The text without `#include <...>` and `#include "..."`, or without one of them."""
    edits = []
    for token in tokens(text):
        if token.kind == "directive" and (include := INCLUDE.match(token.text)) and include["quoted"] in quotes:
            end = token.end + 1 if text[token.end : token.end + 1] == "\n" else token.end
            edits.append(Replacement(token.start, end, ""))
    return apply_edits(text, edits)


def moved_includes(text: str, folder: Path, include: Sequence[Path], destination: Path) -> tuple[str, list[Path]]:
    """The text for the folder `destination`, with paths to the user's own headers; and these headers.

    `folder`: that of the source; `include`: further folders to search.
    """
    edits, headers = [], []
    for token in tokens(text):
        if token.kind == "directive" and (included := INCLUDE.match(token.text)):
            folders = [folder, *include] if included["quoted"] == '"' else [*include]
            header = next(
                (candidate / included["name"] for candidate in folders if has_file(candidate, included["name"])),
                None,
            )
            if header is not None:
                headers.append(header)
                path = Path(os.path.relpath(header.resolve(), destination.resolve())).as_posix()
                rest = token.text[included.end() :]
                edits.append(Replacement(token.start, token.end, f'#include "{path}"{rest}'))
    return apply_edits(text, edits), headers
