"""The tokens of C++ text: words, literals, directives of the preprocessor and marks. It does not know macros."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

TOKEN = re.compile(
    r"""(?P<space>\s+|//(?:\\\n|[^\n])*|/\*(?:.*?\*/|.*))
      | (?P<directive>\#(?:\\\n|//[^\n]*|/\*(?:.*?\*/|.*)|[^\n])*)
      | (?P<literal>(?:u8|[uUL])?R"(?P<fence>[^(\s]*)\(.*?\)(?P=fence)"|(?:u8|[uUL])?"(?:\\.|[^"\\\n])*"
                   |'(?:\\.|[^'\\\n])+')
      | (?P<word>[A-Za-z_]\w*)
      | (?P<number>\.?\d(?:'?[\w.]|[eEpP][+-])*)
      | (?P<mark><<<|>>>|::|->|.)""",
    re.X | re.S,
)
KINDS = ("space", "directive", "literal", "word", "number", "mark")

OPENING, CLOSING = {"(": ")", "[": "]", "{": "}"}, frozenset(")]}")
ANGLES = {"<": 1, ">": -1, ">>>": -3}
"""What a mark adds to the depth of the brackets of a template."""


@dataclass(frozen=True)
class Token:
    """A token of a text; `start`: its position. `kind`: one of KINDS, except space."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens(text: str) -> Iterator[Token]:
    """Everything but white space and comments."""
    for match in TOKEN.finditer(text):
        kind = next(kind for kind in KINDS if match[kind] is not None)
        if kind != "space":
            yield Token(kind, match[0], match.start())
