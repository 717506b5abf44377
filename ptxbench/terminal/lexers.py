"""Lexers of PTX and SASS for Pygments, and the colours of both and of CUDA C.

Pygments has a lexer for PTX, which takes a guard such as @%p1 for an error, and none for SASS.
"""

from __future__ import annotations

from typing import ClassVar

from pygments.lexer import Lexer, RegexLexer, bygroups, words
from pygments.lexers.c_like import CudaLexer
from pygments.lexers.python import PythonLexer
from pygments.token import (
    Comment,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
    Token,
    Whitespace,
    _TokenType,
)
from rich.style import Style
from rich.syntax import ANSISyntaxTheme, Syntax


class PtxLexer(RegexLexer):  # type: ignore[misc]  # Pygments has no types
    """PTX: opcodes with their modifiers are keywords, directives and types attributes, registers variables."""

    name = "PTX"
    aliases = ("ptx",)
    filenames = ("*.ptx",)
    tokens: ClassVar = {
        "root": [
            (r"\s+", Whitespace),
            (r"//.*", Comment.Single),
            (r"/\*", Comment.Multiline, "comment"),
            (r'"[^"\n]*"?', String),
            (r"@!?%[\w$]+", Operator.Word),  # a guard
            (r"\[", Punctuation),
            (r"%[\w$]+(?:\.[xyzw]\b)?", Name.Variable),
            (r"\$?[A-Za-z_$][\w$]*:(?!:)", Name.Label),
            (r"\.[A-Za-z]\w*(?:::\w+)*", Name.Attribute),  # a directive, or a type
            (r"0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}", Number.Float),
            (r"0[xX][0-9a-fA-F]+U?", Number.Hex),
            (r"\d+\.\d*(?:[eE][+-]?\d+)?", Number.Float),
            (r"\d+U?", Number.Integer),
            (r"[a-z]\w*(?:\.[\w:]+)+", Keyword),  # an opcode with its modifiers
            (words(("bra", "ret", "exit", "trap", "call", "brx"), suffix=r"\b"), Keyword),
            (r"[A-Za-z_$][\w$]*", Name),
            (r"[-+*/|&^!~=<>?:]", Operator),
            (r"[\](){},;.]", Punctuation),
            (r".", Text),
        ],
        "comment": [(r"\*/", Comment.Multiline, "#pop"), (r"[^*]+", Comment.Multiline), (r"\*", Comment.Multiline)],
    }


class SassLexer(RegexLexer):  # type: ignore[misc]
    """SASS as nvdisasm prints it, without addresses; labels may precede an instruction, each with its colon."""

    name = "SASS"
    aliases = ("nv-sass",)
    filenames = ()
    tokens: ClassVar = {
        "root": [
            (r"\s+", Whitespace),
            (r"(\.L_\w+)(:)", bygroups(Name.Label, Punctuation)),
            (r"@!?U?P\w+", Operator.Word),  # a guard
            (r"[A-Z]\w*(?:\.\w+)*", Keyword, "operands"),
        ],
        "operands": [
            (r"\n", Whitespace, "#pop"),
            (r"\s+", Whitespace),
            (r"\.L_\w+", Name.Label),
            (r"!?\bU?P(?:\d+|T)\b", Operator.Word),
            (r"\b(?:U?R(?:\d+|Z)|S?B\d+|SR_\w+(?:\.\w+)*|SRZ|c)\b", Name.Variable),
            (r"0x[0-9a-f]+", Number.Hex),
            (r"\d+(?:\.\d+)?(?:e[+-]?\d+)?|[+]?(?:INF|QNAN)\b", Number),
            (r"\.\w+", Name.Attribute),
            (r"\w+", Name),
            (r".", Punctuation),
        ],
    }


COLOURS: dict[_TokenType, Style] = {
    Token: Style(),
    Comment: Style(dim=True),
    Comment.Preproc: Style(color="bright_cyan"),
    Keyword: Style(color="bright_blue"),
    Keyword.Type: Style(color="bright_cyan"),
    Name.Attribute: Style(color="blue"),
    Name.Builtin: Style(color="bright_cyan"),
    Name.Function: Style(color="bright_green"),
    Name.Label: Style(color="yellow"),
    Name.Variable: Style(color="cyan"),
    Number: Style(color="green"),
    Operator.Word: Style(color="magenta"),
    String: Style(color="yellow"),
}
"""Colours of the terminal's own palette, so that they suit a dark and a light one, and vanish without colours."""

THEME = ANSISyntaxTheme(COLOURS)


def colouring(lexer: Lexer) -> Syntax:
    """The highlighter of a text in that language."""
    return Syntax("", lexer, theme=THEME)


PTX, SASS, CUDA = (colouring(lexer(stripnl=False)) for lexer in (PtxLexer, SassLexer, CudaLexer))
PYTHON = colouring(PythonLexer(stripnl=False))
SOURCES = {"cuda": CUDA, "tile": CUDA, "numba": PYTHON, "triton": PYTHON}
"""The highlighters of the languages that are compiled."""
