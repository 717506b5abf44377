"""Pygments tokens of PTX and SASS: every character once, no error tokens, each word with its type."""

import pytest
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.token import Comment, Error, Keyword, Name, Number, Operator, Text, Whitespace

from ptxbench import toolchain
from ptxbench.discovery import default_kernels, load
from ptxbench.terminal.lexers import PtxLexer, SassLexer
from ptxbench.toolchain.lines import annotate


def tokens(lexer, text):
    return [(kind, word) for kind, word in lexer.get_tokens(text) if kind not in (Whitespace, Text)]


# line, its words and their types
PTX = [
    ("@!%p1 bra $L__BB0_2;", [(Operator.Word, "@!%p1"), (Keyword, "bra"), (Name, "$L__BB0_2")]),
    ("LEVEL: ret;", [(Name.Label, "LEVEL:"), (Keyword, "ret")]),
    ("ld.global.nc.L1::no_allocate.v4.f32 {%f2, %b_x}, [%rd8+-16];  // why 3 %p1",
     [(Keyword, "ld.global.nc.L1::no_allocate.v4.f32"), (Name.Variable, "%f2"), (Name.Variable, "%b_x"),
      (Name.Variable, "%rd8"), (Operator, "+"), (Operator, "-"), (Number.Integer, "16"),
      (Comment.Single, "// why 3 %p1")]),
    ("mov.f32 %x, 0f3F800000;", [(Keyword, "mov.f32"), (Name.Variable, "%x"), (Number.Float, "0f3F800000")]),
    ("mov.u32 %r1, %tid.x;", [(Keyword, "mov.u32"), (Name.Variable, "%r1"), (Name.Variable, "%tid.x")]),
    (".reg .u32 %n<4>;", [(Name.Attribute, ".reg"), (Name.Attribute, ".u32"), (Name.Variable, "%n"), (Operator, "<"),
                          (Number.Integer, "4"), (Operator, ">")]),
    (".version 6.3", [(Name.Attribute, ".version"), (Number.Float, "6.3")]),
    ("/* mov.u32\n %r1 */ ret;", [(Comment.Multiline, "/* mov.u32\n %r1 */"), (Keyword, "ret")]),
]  # fmt: skip
SASS = [
    ("LDG.E.128.CONSTANT R12, desc[UR6][R2.64+-0x80]",
     [(Keyword, "LDG.E.128.CONSTANT"), (Name.Variable, "R12"), (Name, "desc"), (Name.Variable, "UR6"),
      (Name.Variable, "R2"), (Name.Attribute, ".64"), (Number.Hex, "0x80")]),
    (".L_x_0: @!P0 BRA .L_x_1",
     [(Name.Label, ".L_x_0"), (Operator.Word, "@!P0"), (Keyword, "BRA"), (Name.Label, ".L_x_1")]),
    ("ISETP.GE.U32.AND P0, PT, R9, UR4, !PT",
     [(Keyword, "ISETP.GE.U32.AND"), (Operator.Word, "P0"), (Operator.Word, "PT"), (Name.Variable, "R9"),
      (Name.Variable, "UR4"), (Operator.Word, "!PT")]),
    ("FSETP.GEU.AND P1, PT, |R2|, 1.175494350822287508e-38, PT",
     [(Keyword, "FSETP.GEU.AND"), (Operator.Word, "P1"), (Operator.Word, "PT"), (Name.Variable, "R2"),
      (Number, "1.175494350822287508e-38"), (Operator.Word, "PT")]),
    ("S2R R0, SR_CTAID.X\nEXIT",
     [(Keyword, "S2R"), (Name.Variable, "R0"), (Name.Variable, "SR_CTAID.X"), (Keyword, "EXIT")]),
]  # fmt: skip


@pytest.mark.parametrize(("lexer", "text", "words"), [*((PtxLexer(), *row) for row in PTX),
                                                      *((SassLexer(), *row) for row in SASS)])  # fmt: skip
def test_each_word_has_its_token_type(lexer, text, words):
    result = tokens(lexer, text)
    joined = []
    for kind, word in result:  # a comment of several lines comes in pieces
        if joined and kind is Comment.Multiline is joined[-1][0]:
            joined[-1] = (kind, joined[-1][1] + word)
        elif kind.parent is not None and word.strip() and "Punctuation" not in str(kind):
            joined.append((kind, word))
    assert joined == words


@pytest.mark.parametrize("name", ["triad", "hgemm_mma", "scan"])
def test_the_tokens_of_the_shipped_kernels_are_complete_and_without_errors(name):
    for source in load(default_kernels(), name).sources[:2]:
        build = toolchain.build_source(source, "sm_90")
        sass = "\n".join(instruction.text for instruction in annotate(build).instructions)
        for lexer, text in ((PtxLexer(stripnl=False), build.ptx), (SassLexer(stripnl=False), sass)):
            result = list(lexer.get_tokens(text))
            assert "".join(word for _, word in result).rstrip("\n") == text.replace("\r\n", "\n").rstrip("\n")
            assert not [word for kind, word in result if kind is Error]


def test_the_page_in_a_browser_has_the_same_tokens():
    page = highlight("ld.global.u32 %r1, [%rd1];", PtxLexer(), HtmlFormatter())
    assert page.count('<span class="k">ld.global.u32</span>') == 1
