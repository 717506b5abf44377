"""Leaves the host code out of a CUDA C file, as NVRTC's errors name it. Knows no files and runs no compiler.

NVRTC's front end decides what host code is: it reports each function and variable that only a host can have. Here its
text is replaced by spaces, so that every line keeps its number. Host code cannot change what a kernel computes, because
a kernel can call none of it. So only what NVRTC calls host code is left out, and what contains an error and is neither
a part of a kernel nor a declaration that could change the meaning of another one (a specialisation, an assertion).
"""

from __future__ import annotations

import functools
import itertools
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from ptxbench.toolchain.compiler_errors import CompilerError, due_to_host, names_nothing
from ptxbench.toolchain.cpp_tokens import ANGLES, CLOSING, OPENING, Token, tokens
from ptxbench.toolchain.macros import CONSTEXPR, OF_DEVICE

DIRECTIVE = re.compile(r"\s*#\s*(?P<name>\w+)(?P<rest>.*)", re.S)
INCLUDED = re.compile(r"\s*[<\"]([^>\"\n]+)[>\"]")
CLASSES = {"class", "struct", "union"}
AFTER_PARAMETERS = {"const", "noexcept", "override", "final", "volatile", "try", "requires", "throw", "mutable"}
BEFORE_BRACKETS = {
    "alignas", "__align__", "__attribute__", "__declspec", "__launch_bounds__", "__cluster_dims__", "decltype",
    "explicit", "noexcept", "requires", "static_assert", "operator", "if", "for", "while", "typeof", "asm", "sizeof",
    "__block_size__", "__maxnreg__",
}  # fmt: skip
"""Words whose brackets are not the end of a macro's call."""

UNDEFINED = "template <class... T> __host__ __device__ void {}(T...);"
"""A function of the host that a `constexpr` function calls in a case that does not occur, such as an error. If a kernel
calls it, the PTX has a call of a function without a body, which is an error."""

OF_VARIABLE = 'attribute "__host__" does not apply here'
"""NVRTC's error for a variable with this mark, about which nvcc only warns."""

VOID = 'incomplete type "void" is not allowed'
"""NVRTC's first error for `void f(T* a, int b);` if T is unknown: it could be a variable."""

LAMBDA_MARKS = re.compile(r"(?<=\])\s*(?:__(?:host|device)__\s*)+(?=[({])")


@dataclass(frozen=True)
class Declaration:
    """A declaration of a namespace or a class: the tokens from `first` to `last`; `members`, if it is a class."""

    first: int
    last: int
    kind: str
    """`function`, `class`, `other`."""
    members: tuple[Declaration, ...] = ()
    of_class: bool = False
    namespace: str = ""
    """Before the name of what it declares, such as `outer::inner::`."""


@dataclass
class SourceText:
    """The text of one file and its declarations. Functions call a token by its index in `words`.

    `left_out`: the first and the last line of each part that was left out; `names_left_out`: what these declare.
    """

    text: str
    macros: frozenset[str] = frozenset()
    """Macros that stand for the mark of a device function."""
    constant: frozenset[str] = CONSTEXPR
    """The word `constexpr`, and macros that stand for it."""
    left_out: list[tuple[int, int]] = field(default_factory=list)
    names_left_out: set[str] = field(default_factory=set)

    # Found when it is needed: most files of a library have nothing to leave out.
    @functools.cached_property
    def tokens(self) -> tuple[Token, ...]:
        return tuple(tokens(self.text))

    @functools.cached_property
    def spans(self) -> list[tuple[int, int]]:
        """The extent of each word."""
        return [(token.start, token.end) for token in self.tokens if token.kind != "directive"]

    @functools.cached_property
    def words(self) -> list[str]:
        """The tokens that are no directives."""
        return [token.text for token in self.tokens if token.kind != "directive"]

    @functools.cached_property
    def directives(self) -> list[tuple[int, int]]:
        """The extent of each directive."""
        return [(token.start, token.end) for token in self.tokens if token.kind == "directive"]

    @functools.cached_property
    def starts(self) -> list[int]:
        """Where each line starts."""
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    @functools.cached_property
    def declarations(self) -> tuple[Declaration, ...]:
        return tuple(self.scope(0, len(self.words), in_class=False))

    @functools.cached_property
    def closing(self) -> dict[int, int]:
        """The token that closes each bracket."""
        stack, partners = [], {}
        for at, word in enumerate(self.words):
            if word in OPENING:
                stack.append(at)
            elif word in CLOSING and stack and OPENING[self.words[stack[-1]]] == word:
                partners[stack.pop()] = at
        return partners

    # ---- declarations

    def scope(self, at: int, end: int, *, in_class: bool, namespace: str = "") -> Iterator[Declaration]:
        """The declarations of a namespace or class, whose tokens are from `at` to before `end`."""
        while at < end:
            if self.words[at] in (";", "}"):
                at += 1
            elif in_class and self.words[at] in ("public", "private", "protected") and self.word(at + 1) == ":":
                at += 2
            elif inner := self.opened(at, end):
                namespace_words = [
                    word for word in self.words[at:inner] if word not in ("inline", "namespace", "extern")
                ]
                prefix = namespace + (
                    "".join(namespace_words) + "::"
                    if namespace_words and not namespace_words[0].startswith('"')
                    else ""
                )
                yield from self.scope(inner + 1, self.closing.get(inner, end), in_class=False, namespace=prefix)
                at = self.closing.get(inner, end) + 1
            else:
                declaration = self.declaration(at, end, in_class=in_class)
                yield replace(declaration, namespace=namespace)
                at = declaration.last + 1

    def word(self, at: int) -> str:
        return self.words[at] if 0 <= at < len(self.words) else ""

    def opened(self, at: int, end: int) -> int | None:
        """The brace of `namespace X {` or `extern "C" {` that begins here."""
        start = at
        if self.words[at] == "inline":
            at += 1
        if self.word(at) == "namespace":
            while at < end and self.words[at] not in ("{", ";", "="):
                at = self.closing.get(at, at) + 1
            return at if self.word(at) == "{" else None
        if self.words[start] == "extern" and self.word(start + 1).startswith('"') and self.word(start + 2) == "{":
            return start + 2
        return None

    def declaration(self, first: int, end: int, *, in_class: bool) -> Declaration:
        """The declaration that begins at token `first`, with its kind and its members; it ends before `end`."""
        at, kind = first, "other"
        members: tuple[Declaration, ...] = ()
        assigned = False
        while at < end:
            word = self.words[at]
            if word == "template" and self.word(at + 1) == "<":
                at = self.angle(at + 1, end) + 1
                continue
            if word == "operator":
                at = self.parameters_of_operator(at, end)
                kind = "function"
                continue
            if word == ";":
                break
            if word == "=" and kind == "other":
                assigned = True
            if word in CLASSES and kind == "other" and not assigned and self.words[at - 1] != "enum":
                kind = "class"
            if word == "(" and not assigned and self.word(at - 1) not in BEFORE_BRACKETS:
                if self.call_of_macro(first, at):
                    return Declaration(first, self.closing.get(at, end - 1), "other", of_class=in_class)
                kind = "function"
            if word == "{":
                close = self.closing.get(at, end - 1)
                if kind == "function" and not assigned:
                    following = self.word(close + 1)
                    if not (following in (",", "{") and ":" in self.words[first:at]):  # an initialised member
                        at = close
                        break
                elif kind == "class" and not members:
                    members = tuple(self.scope(at + 1, close, in_class=True))
            at = self.closing.get(at, at) + 1
        return Declaration(first, min(at, end - 1), kind, members, in_class)

    def parameters_of_operator(self, at: int, end: int) -> int:
        """The bracket before the parameters of the operator whose word `operator` is at `at`."""
        at += 3 if self.word(at + 1) == "(" else 1  # operator()
        while at < end and self.words[at] not in ("(", ";", "{"):
            at += 1
        return at

    def call_of_macro(self, first: int, bracket: int) -> bool:
        """Whether NAME(...) at the start of a declaration is a call of a macro, after which another one begins."""
        following = self.closing.get(bracket, bracket) + 1
        return bracket == first + 1 and goes_on(self.words[following : following + 1])

    def angle(self, at: int, end: int) -> int:
        """The `>` that closes the `<` of a template."""
        depth = 0
        while at < end:
            depth += ANGLES.get(self.words[at], 0)
            if depth <= 0:
                return at
            at = self.closing.get(at, at) + 1
        return end - 1

    def between(self, first: int, last: int) -> str:
        """The text of the tokens from `first` to `last`, in one line."""
        return " ".join(self.text[self.spans[first][0] : self.spans[last][1]].split())

    @property
    def unconditional_includes(self) -> list[str]:
        """The files that the text includes outside of any #if."""
        names, depth = [], 0
        for first, last in self.directives:
            directive = DIRECTIVE.match(self.text[first:last])
            depth += {"if": 1, "ifdef": 1, "ifndef": 1, "endif": -1}.get(directive["name"], 0) if directive else 0
            if (
                directive
                and directive["name"] == "include"
                and not depth
                and (name := INCLUDED.match(directive["rest"]))
            ):
                names.append(name[1])
        return names

    # ---- what can be left out

    def without_launches(self) -> SourceText:
        """The text without the function main and the functions without a mark that launch a kernel by `<<<`, which are
        always for the host. Otherwise each kernel that they launch would be compiled."""
        if "main" not in self.text and "<<<" not in self.text:
            return self
        return self.edited(
            [
                self.blank(declaration)
                for declaration in self.declarations
                if declaration.kind == "function"
                and (self.is_main(declaration) or self.launches(declaration))
                and not self.fixed(declaration)
            ]
        )

    def is_main(self, declaration: Declaration) -> bool:
        return not declaration.namespace and self.name(declaration) == "main"

    def launches(self, declaration: Declaration) -> bool:
        """Whether it is a function without a mark whose body has `<<<`."""
        words = self.words[declaration.first : declaration.last + 1]
        return "{" in words and "<<<" in words[words.index("{") :] and not self.of_device(declaration)

    def without_bodies_of_kernels(self, marks: Collection[str]) -> SourceText:
        """The text with an empty body for each kernel. `marks`: `__global__` and macros that stand for it."""
        if not any(mark in self.text for mark in marks):
            return self
        edits = []
        for declaration in self.declarations:
            words = self.words[declaration.first : declaration.last + 1]
            if declaration.kind != "function" or "{" not in words or not self.balanced(declaration):
                continue
            opening = words.index("{")
            if not any(mark in words[:opening] for mark in marks):
                continue
            first, last = self.spans[declaration.first + opening], self.spans[declaration.last]
            edits.append(TextEdit(first[0], last[1], inserted=f"{{{self.spaces(first[1], last[0])}}}"))
        return self.edited(edits)

    def of_device(self, declaration: Declaration) -> bool:
        """Whether any part of it is marked for the device; of a function, its head, as its body may have lambdas."""
        words = self.words[declaration.first : declaration.last + 1]
        if declaration.kind == "function" and "{" in words:
            words = words[: words.index("{")] + [word for word in words if word == "__global__"]
        return any(word in OF_DEVICE or word in self.macros for word in words)

    def fixed(self, declaration: Declaration) -> bool:
        """Whether it may change what others mean, so that it must stay: a specialisation, an assertion; or whether its
        end is not known, because the number of its brackets depends on the preprocessor."""
        words = self.words[declaration.first : declaration.last + 1]
        if not self.balanced(declaration):
            return True
        if words[0] == "static_assert" or words[:3] == ["template", "<", ">"]:
            return True
        if declaration.kind != "class":
            return False
        head = words[: words.index("{")] if "{" in words else words
        at = next(index for index, word in enumerate(head) if word in CLASSES and head[index - 1] not in ("<", ","))
        return "<" in head[at : head.index(":", at) if ":" in head[at:] else None]

    def balanced(self, declaration: Declaration) -> bool:
        """Whether each of its brackets is closed."""
        places = range(declaration.first, declaration.last + 1)
        return all(at in self.closing for at in places if self.words[at] in OPENING)

    def path_to(self, error: CompilerError) -> list[Declaration]:
        """The declarations that contain the location of an error, the outermost first."""
        if not 1 <= error.line <= len(self.starts):
            return []
        offset = self.starts[error.line - 1] + error.column
        path: list[Declaration] = []
        candidates = self.declarations
        while True:
            last = next((inner for inner in candidates if self.contains(inner, offset)), None)
            if last is None:
                return path
            path.append(last)
            candidates = last.members

    def contains(self, declaration: Declaration, offset: int) -> bool:
        return self.spans[declaration.first][0] <= offset < self.spans[declaration.last][1]

    def edits(self, errors: Sequence[CompilerError], names_left_out: Collection[str] = ()) -> list[TextEdit]:
        """What to do about the errors of this text that are about host code."""
        by_extent: dict[tuple[int, int], list[CompilerError]] = {}
        paths = {}
        for error in errors:
            if path := self.path_to(error):
                extent = (path[-1].first, path[-1].last)
                by_extent.setdefault(extent, []).append(error)
                paths[extent] = path
        edits = (
            self.edit(paths[extent][0], paths[extent][-1], errors_there, names_left_out)
            for extent, errors_there in by_extent.items()
        )
        made = [edit for edit in edits if edit]
        return [*made, *self.member_functions(made, names_left_out)] if errors else []

    def member_functions(self, edits: Sequence[TextEdit], names_left_out: Collection[str]) -> Iterator[TextEdit]:
        """Leaves out the functions that belong to classes that were left out, and are defined after these, unless one
        of `edits` is about them. Of several such functions, NVRTC may report only the first."""
        for declaration in self.declarations:
            words = self.words[declaration.first : declaration.last + 1]
            head = words[: words.index("(")] if "(" in words else words
            if (
                declaration.kind == "function"
                and any(name in names_left_out and after == "::" for name, after in itertools.pairwise(head))
                and not self.of_device(declaration)
                and self.constant.isdisjoint(head)
                and self.balanced(declaration)
            ):
                blank = self.blank(declaration)
                if not any(blank.start <= edit.start < (blank.end or 0) for edit in edits):
                    yield blank

    def edit(
        self, outer: Declaration, inner: Declaration, errors: Sequence[CompilerError], names_left_out: Collection[str]
    ) -> TextEdit | None:
        """What to do about the errors in `inner`, which is `outer` or a member of it; None if nothing."""
        words = self.words[inner.first : inner.last + 1]
        of_variable = next((error for error in errors if error.text == OF_VARIABLE), None)
        # A function with a parameter of an unknown type is read as a variable.
        if of_variable and not any(due_to_host(error, names_left_out) for error in errors):
            return self.with_device_mark(of_variable)
        errors = [error for error in errors if error.text != OF_VARIABLE]
        of_host = any(error.of_host for error in errors)
        if (
            of_host
            and inner.kind == "function"
            and "{" in words
            and not self.of_device(inner)
            and not self.fixed(inner)
        ):
            head = words[: words.index("{")]  # a constexpr in the body is a variable or a condition
            if marks := [at for at, word in enumerate(head, inner.first) if word in self.constant]:
                return TextEdit(self.spans[marks[0]][0], None)
            if not (inner.of_class and self.special(inner)):
                edit = self.blank(inner)
                # Without a constructor its class still has its name.
                return replace(edit, name="") if inner.of_class and edit.name == self.name(outer) else edit
            # A class for kernels has to keep it, and so has a specialisation, which is not left out.
            if (self.of_device(outer) or self.fixed(outer)) and words[0] != "template":
                return TextEdit(self.spans[inner.first][0], None)
        # The first error that is not about the host decides: those after it may follow from it.
        others = [error for error in errors if not error.of_host]
        first = next((error for error in others if error.text != VOID), others[0] if others else None)
        if first and not due_to_host(first, names_left_out):
            return None
        if first and (name := names_nothing(first)) in names_left_out and self.can_be_constant(inner):
            return TextEdit(self.spans[inner.first][0], None, inserted=f"{UNDEFINED.format(name)} ")
        for declaration in (inner, outer):
            if declaration.of_class and (declaration.kind != "function" or self.special(declaration)):
                continue
            # A class with a member of the host's is the host's, even if some of its functions are marked.
            has_host_member = declaration.kind == "class" and inner.of_class and inner.kind == "other"
            if self.of_device(declaration) and not has_host_member:
                continue
            of_left_out = first is not None and self.specialises(declaration, names_nothing(first))
            if of_left_out or not self.fixed(declaration):
                return self.blank(declaration)
            if first and (body := self.body_of_specialisation(declaration)):
                return body
        return None

    def body_of_specialisation(self, declaration: Declaration) -> TextEdit | None:
        """Leaves out the body of a specialisation of a function without a mark; None if it is something else. The
        declaration stays, so that a kernel that calls it does not get the general template."""
        words = self.words[declaration.first : declaration.last + 1]
        head = words[: words.index("{")] if "{" in words else words
        if (
            declaration.kind != "function"
            or head == words
            or words[:3] != ["template", "<", ">"]
            or not self.constant.isdisjoint(head)
            or self.of_device(declaration)
            or not self.balanced(declaration)
        ):
            return None
        first, last = self.spans[declaration.first + len(head)], self.spans[declaration.last]
        return TextEdit(first[0], last[1], inserted=f";{self.spaces(first[0] + 1, last[1])}")

    def with_device_mark(self, error: CompilerError) -> TextEdit | None:
        """`__device__` in place of the mark that an error is about, or of the macro that stands for it."""
        offset = self.starts[error.line - 1] + error.column
        span = next((span for span in self.spans if span[0] == offset), None)
        return TextEdit(*span, inserted="__device__") if span else None

    def can_be_constant(self, declaration: Declaration) -> bool:
        """Whether it is a function of a namespace that the compiler may evaluate, so that a kernel can use the result
        without a call."""
        words = self.words[declaration.first : declaration.last + 1]
        return (
            declaration.kind == "function"
            and not declaration.of_class
            and "{" in words
            and not self.constant.isdisjoint(words[: words.index("{")])
        )

    def specialises(self, declaration: Declaration, name: str | None) -> bool:
        """Whether it is a specialisation of the function `name`, a template for the host that was left out."""
        words = self.words[declaration.first : declaration.last + 1]
        return (
            declaration.kind == "function"
            and words[:3] == ["template", "<", ">"]
            and name in words[: words.index("(")]
            and self.balanced(declaration)
        )

    def special(self, member: Declaration) -> bool:
        """Whether the class would differ without this member function: in its layout, or in how it is copied."""
        words = self.words[member.first : member.last + 1]
        copies = words[1:4] == ["(", "const", words[0]] or words[1:3] == ["(", words[0]]
        assigns = any(words[at : at + 3] == ["operator", "=", "("] for at in range(len(words)))
        return copies or assigns or bool({"virtual", "override", "~"} & set(words))

    def blank(self, declaration: Declaration) -> TextEdit:
        first, last = self.spans[declaration.first], self.spans[declaration.last]
        return TextEdit(first[0], last[1], self.name(declaration), inserted="")

    def name(self, declaration: Declaration) -> str:
        """The name that it declares; empty if that is not plain."""
        words = self.words[declaration.first : declaration.last + 1]
        if declaration.kind == "class":
            at = next(index for index, word in enumerate(words) if word in CLASSES and words[index - 1] not in "<,")
            return next((word for word in words[at + 1 :] if re.match(r"[A-Za-z_]", word)), "")
        if words[0] == "using":
            return words[1] if len(words) > 1 else ""
        if declaration.kind == "function":
            return self.name_of_function(words)
        at = next((index for index, word in enumerate(words) if word in "=;[{"), 0)
        return words[at - 1] if at else ""

    def name_of_function(self, words: Sequence[str]) -> str:
        """The name in the words of a function's declaration; empty if that is not plain. Another word after the
        brackets shows that they are a macro's, such as BOUNDS in `BOUNDS(256) f(int a)`."""
        depth, opening = 0, 0
        names: list[str] = []
        macros: list[str] = []
        for at, word in enumerate(words):
            if word == "(":
                opening = at if depth == 0 else opening  # inside are arguments, such as those of __launch_bounds__
                depth += 1
            elif word == ")":
                depth -= 1
                name = words[opening - 1] if depth == 0 and opening else ""
                # In `enable_if_t<(N > 0)> f()` the first brackets are part of a condition.
                in_condition = not re.match(r"[A-Za-z_]", name) or words[at + 1 : at + 2] in ([">"], [","], ["&"])
                if not in_condition and name not in BEFORE_BRACKETS:
                    (macros if goes_on(words[at + 1 : at + 2]) else names).append(name)
        return next(iter((*names, *macros)), "")

    def edited(self, edits: Sequence[TextEdit]) -> SourceText:
        """The text after the edits."""
        if not edits:
            return self
        text = self.text
        left_out, names = list(self.left_out), set(self.names_left_out)
        blanks = [edit for edit in edits if not edit.inserted]
        for edit in sorted(set(edits), key=lambda edit: edit.start, reverse=True):
            if edit.inserted:
                if not any(blank.start <= edit.start < (blank.end or 0) for blank in blanks):
                    text = text[: edit.start] + edit.inserted + text[edit.end or edit.start :]
                continue
            end = edit.end or edit.start
            text = text[: edit.start] + self.spaces(edit.start, end) + text[end:]
            left_out.append((bisect_right(self.starts, edit.start), bisect_right(self.starts, end - 1)))
            names.add(edit.name)
        return SourceText(text, self.macros, self.constant, left_out, names - {""})

    def spaces(self, start: int, end: int) -> str:
        """Spaces for this part of the text; its lines and what the preprocessor needs stay."""
        parts, at = [], start
        for first, last in (span for span in self.directives if start <= span[0] < end):
            parts.append(re.sub(r"[^\n]", " ", self.text[at:first]))
            directive = self.text[first:last]
            parts.append(re.sub(r"[^\n]", " ", directive) if re.match(r"\s*#\s*pragma", directive) else directive)
            at = last
        return "".join([*parts, re.sub(r"[^\n]", " ", self.text[at:end])])


def goes_on(following: Sequence[str]) -> bool:
    """Whether the word after a bracket, if there is one, begins or continues a declaration, so that the brackets are
    not those of a function's parameters."""
    return any(
        re.match(r"[A-Za-z_]", word) and word not in AFTER_PARAMETERS and not word.startswith("__attribute__")
        for word in following
    )


@dataclass(frozen=True)
class TextEdit:
    """Words in place of a part of a text, or at `start` if there is no `end`; spaces if there are no words."""

    start: int
    end: int | None
    name: str = ""
    """What the part declares."""
    inserted: str = "__host__ __device__ "
    """By default the marks of a function for host and device."""


def without_lambda_marks(text: str) -> str:
    """The text with spaces for the marks of lambdas. NVRTC refuses them; a lambda in a kernel needs none."""
    return LAMBDA_MARKS.sub(lambda marks: re.sub(r"\S", " ", marks[0]), text)
