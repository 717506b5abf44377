"""The tokens of CUDA C and their structure: brackets, template arguments, operands. Knows no bugs.

Not a parser of C++: just enough to find the operand of an operator and the arguments of a call.
"""

from __future__ import annotations

import re
from functools import cached_property

from ptxbench.toolchain.comments import without_comments

TOKEN = re.compile(
    r"""(?P<directive>^[ \t]*\#(?:[^\n\\]|\\.|\\\n)*)
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<number>\.?\d(?:[eEpP][+-]|[\w.'])*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<mark><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|::|[-+*/%&|^~!<>=?:;,.(){}\[\]])""",
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)

CLOSING = {"(": ")", "[": "]", "{": "}"}
CASTS = ("static_cast", "reinterpret_cast", "const_cast")
WORDS = {"return", "else", "do", "case", "throw", "if", "while", "for", "switch"}
"""Tokens after which an expression or a statement begins."""


class Tokens:
    """The tokens of a text, without comments and preprocessor lines."""

    def __init__(self, text: str) -> None:
        self.text = text
        matches = [match for match in TOKEN.finditer(without_comments(text)) if match.lastgroup != "directive"]
        self.words = [match[0] for match in matches]
        self.kinds = [match.lastgroup or "" for match in matches]
        self.spans = [match.span() for match in matches]

    def __len__(self) -> int:
        return len(self.words)

    def word(self, at: int) -> str:
        """The token at an index; empty beyond the ends."""
        return self.words[at] if 0 <= at < len(self.words) else ""

    def slice(self, first: int, last: int) -> str:
        """The text of the tokens from `first` to `last`, both included."""
        return self.text[self.spans[first][0] : self.spans[last][1]]

    @cached_property
    def partners(self) -> dict[int, int]:
        """The matching bracket of each bracket, template brackets included."""
        pairs: dict[int, int] = {}
        stack: list[int] = []
        for at, word in enumerate(self.words):
            if word in CLOSING:
                stack.append(at)
            elif word in CLOSING.values() and stack and CLOSING[self.words[stack[-1]]] == word:
                start = stack.pop()
                pairs[start], pairs[at] = at, start
        for at, word in enumerate(self.words):
            if word == "<" and (end := self.template_end(at)) is not None:
                pairs[at], pairs[end] = end, at
        return pairs

    def template_end(self, at: int) -> int | None:
        """The end of the template arguments that begin with this `<`; None for a comparison."""
        if self.kinds[at - 1 : at] != ["name"]:
            return None
        end = at + 1
        while self.word(end) and (self.kinds[end] in ("name", "number") or self.words[end] in ("::", "*", "&", ",")):
            end += 1
        if self.word(end) != ">" or self.words[at - 1] == "operator":
            return None
        takes_arguments = self.words[at - 1] in (*CASTS, "template")
        following = self.kinds[end + 1] if end + 1 < len(self) else ""
        return end if takes_arguments or self.word(end + 1) in ("(", "::", "*", "&") or following == "name" else None

    def operand_after(self, at: int) -> int | None:
        """The last token of the operand that begins at `at`: a name, a number or brackets, and what follows them."""
        while self.word(at) in ("-", "~", "!", "*", "&"):
            at += 1
        if self.word(at) in CASTS and self.word(at + 1) == "<":
            at = self.partners.get(at + 1, at) + 1
        if at >= len(self) or not (self.kinds[at] in ("name", "number") or self.words[at] == "("):
            return None
        end = self.partners.get(at, at)
        while True:
            following = self.word(end + 1)
            if following in (".", "->", "::"):
                end += 2
            elif following in ("(", "["):
                end = self.partners.get(end + 1, end + 1)
            else:
                return min(end, len(self) - 1)

    def operand_before(self, at: int) -> int | None:
        """The first token of the operand that ends at `at`."""
        if at < 0:
            return None
        while True:
            if self.word(at) in (")", "]", ">") and at in self.partners:
                at = self.partners[at] - 1
                if self.word(at + 1) in ("(", "[") and (self.word(at) == ">" or self.kinds[at] == "name"):
                    if self.words[at] not in WORDS:
                        continue
                    return at + 1
                if self.word(at + 1) == "[" or self.word(at + 1) == "<":
                    continue
                return at + 1
            if self.kinds[at] not in ("name", "number") or self.words[at] in WORDS:
                return None
            if self.word(at - 1) in (".", "->", "::"):
                at -= 2
                continue
            return at

    def arguments(self, at: int) -> list[tuple[int, int]]:
        """First and last token of each argument of the call whose bracket opens at `at`."""
        end = self.partners.get(at)
        if end is None or end == at + 1:
            return []
        spans, start, index = [], at + 1, at + 1
        while index < end:
            if self.words[index] in CLOSING or (self.words[index] == "<" and index in self.partners):
                index = self.partners.get(index, index)
            elif self.words[index] == ",":
                spans.append((start, index - 1))
                start = index + 1
            index += 1
        return [*spans, (start, end - 1)]

    def statement_end(self, at: int) -> int | None:
        """The `;` that ends the simple statement that begins at `at`; None if braces come first."""
        while at < len(self):
            if self.words[at] == ";":
                return at
            if self.words[at] in ("(", "[", "{"):
                at = self.partners.get(at, at)
            elif self.words[at] == "}":
                return None
            at += 1
        return None

    def begins_statement(self, at: int) -> bool:
        """Whether a statement may begin here."""
        before = self.word(at - 1)
        if before in (";", "{", "}", "else", "do"):
            return not self.in_header(at)
        if before == ")" and at - 1 in self.partners:
            return self.word(self.partners[at - 1] - 1) in ("if", "for", "while")
        return False

    def in_header(self, at: int) -> bool:
        """Whether the token is in the brackets of a `for`."""
        depth = 0
        for index in range(at - 1, -1, -1):
            if self.words[index] in (")", "]", "}"):
                depth += 1
            elif self.words[index] in CLOSING:
                depth -= 1
                if depth < 0:
                    return self.words[index] == "("
        return False
