"""Any text gets a verdict: legal text is judged, broken text is refused with a line."""

import codecs
import random
import re
from pathlib import Path

import pytest

from ptxbench.check.finding_codes import CODES, ERROR, UNJUDGED
from ptxbench.check.findings import Skip, verdict_of
from ptxbench.check.reading import has_unclosed_brace
from ptxbench.check.stages import Checker
from ptxbench.toolchain import locate, ptxas
from tests.check.judging import KERNELS, judged, outcome, suite
from tests.folders import changed

PTX = (KERNELS / "ptx" / "triad.ptx").read_text()
CUDA = (KERNELS / "cuda" / "triad.cu").read_text()

BESIDE_PTX = r"""
.pragma "nounroll";
.file 1 "a file.cu"
.extern .func (.param .b32 printed) vprintf (.param .b64 format, .param .b64 values);
.extern .func (.param .b32 result) declared_and_never_called (.param .b64 pointer);
.extern .func without_parameters;
.global .align 1 .b8 format[4] = {104, 105, 10, 0};
.const .f32 pi = 0f40490FDB;
.weak .global .u32 weak_variable;
.visible .global .u32 visible_variable;
.extern .shared .b8 dynamic[];
.visible .func real() { ret; }
.visible .func other_name();
.alias other_name, real;
.func (.param .b32 result) half(.param .b32 value)
{
    .reg .u32 %value;
    ld.param.u32 %value, [value];
    shr.u32 %value, %value, 1;
    st.param.b32 [result], %value;
    ret;
}
.weak .entry aaa_first(.param .u32 n) { trap; }
.visible .entry triad_2(.param .u64 a) .maxntid 1, 1, 1
{
    .shared .align 16 .b8 large[40000];
    .reg .u32 %at;
    mov.u32 %at, large;
    st.shared.u32 [%at], %at;
    ret;
}
"""

PRINTS_PTX = """
    {
    .reg .b64 %format, %generic;
    .reg .b32 %printed;
    .param .b64 first; .param .b64 second; .param .b32 answer;
    mov.u64 %format, format;
    cvta.global.u64 %generic, %format;
    st.param.b64 [first], %generic;
    st.param.b64 [second], 0;
    call.uni (answer), vprintf, (first, second);
    ld.param.b32 %printed, [answer];
    }
"""

LEGAL_PTX = (
    changed(PTX, ".version 6.3", ".version 6.4")
    .replace(".visible .entry", BESIDE_PTX + ".weak .entry", 1)
    .replace("    ret;", PRINTS_PTX + "    ret;", 1)
    .replace("\n", "\r\n")
    + "// a last line \u2014 without an end \\"
)

BESIDE_CUDA = r"""
template <class T, int N> __device__ T times(T x) { return x * N; }
struct Base { __device__ virtual float of(float x) const { return x; } };
struct Derived : Base { __device__ float of(float x) const override { return times<float, 1>(x); } };
namespace inner { static __device__ int never_written; __constant__ float table[2] = {1, 2}; }
extern "C" __device__ int defined_elsewhere(int);
extern "C" __global__ void aaa_first(float* p) { p[0] = inner::table[1]; }
__global__ void mangled(int* p) { *p = 1; }
template <class T> __global__ void of_any(T* p) { *p = 1; }
template __global__ void of_any<float>(float*);
#line 7 "another.cu"
"""

LEGAL_CUDA = (
    "#pragma once\n#warning careful\n"
    + CUDA.replace('extern "C" __global__', BESIDE_CUDA + 'extern "C" __global__', 1).replace(
        "\n{\n", '\n{\n    assert(n < 4000000000u);\n    if (n == 3) printf("%u %s\\n", n, "threads");\n', 1
    )
    + "\f// caf\xe9 \\"
).encode("latin-1")
LEGAL_CUDA = codecs.BOM_UTF8 + LEGAL_CUDA


@pytest.mark.parametrize(("name", "content"), [("legal.ptx", LEGAL_PTX.encode()), ("legal.cu", LEGAL_CUDA)])
def test_unusual_legal_text_is_accepted(name, content):
    """printf, functions without a body, several kernels, aliases, templates, other ends of lines."""
    judgement = judged(Path(name), "triad", content)
    assert outcome(judgement) == "accepted", judgement.decisive


def marked(text, encoding, mark=b""):
    return mark + text.encode(encoding)


REFUSED = [
    # PTX
    ("bom.ptx",      marked(PTX, "utf-8", codecs.BOM_UTF8),           "not-ascii", 1),
    ("16le.ptx",     marked(PTX, "utf-16-le", codecs.BOM_UTF16_LE),   "not-ascii", 1),
    ("16be.ptx",     marked(PTX, "utf-16-be", codecs.BOM_UTF16_BE),   "not-ascii", 1),
    ("16le.ptx",     marked(PTX, "utf-16-le"),                        "not-ascii", 1),
    ("16be.ptx",     marked(PTX, "utf-16-be"),                        "not-ascii", 1),
    ("32.ptx",       marked(PTX, "utf-32"),                           "not-ascii", 1),
    ("first.ptx",    b"\0" + PTX.encode(),                            "not-ascii", 1),  # at 0, which is not nothing
    ("last.ptx",     PTX.encode() + b"\0",                            "not-ascii", PTX.count("\n") + 1),
    ("latin.ptx",    PTX.encode() + b"caf\xe9\n",                     "not-ascii", PTX.count("\n") + 1),
    ("delete.ptx",   PTX.encode() + b"\x7f\n",                        "not-ascii", PTX.count("\n") + 1),
    ("empty.ptx",    b"",                                             "syntax", 1),
    ("comment.ptx",  b"// nothing else\n",                            "syntax", 1),
    ("open.ptx",     b"/* nothing else",                              "syntax", 1),
    ("returns.ptx",  PTX.replace("\n", "\r").encode(),                "not-ascii", 1),
    ("slash.ptx",    PTX.encode() + b"\\",                            "syntax", PTX.count("\n") + 1),
    # CUDA C, which may have any byte but 0
    ("16le.cu",      marked(CUDA, "utf-16-le", codecs.BOM_UTF16_LE),  "not-ascii", 1),
    ("16be.cu",      marked(CUDA, "utf-16-be"),                       "not-ascii", 1),
    ("zero.cu",      CUDA.encode() + b"\0",                           "not-ascii", CUDA.count("\n") + 1),
    ("open.cu",      b"/* nothing else",                              "does-not-compile", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "code", "line"), REFUSED)
def test_a_text_that_is_not_of_its_language_is_refused_at_its_line(name, content, code, line, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    refusal, *_ = Checker(suite("triad"), path).parses().findings
    assert (refusal.code, refusal.line, refusal.severity) == (code, line, ERROR)
    assert refusal.message.isprintable()


def test_the_header_of_an_unknown_name_is_a_hint(tmp_path):
    path = tmp_path / "scale.cu"
    path.write_text('extern "C" __global__ void triad(float* x) { *x = FLT_MAX; }')
    refusal, *_ = Checker(suite("triad"), path).parses().findings
    assert refusal.hint == "Add #include <cfloat>, which has FLT_MAX."


def test_many_beginnings_of_a_comment_without_an_end_are_read_once(tmp_path):
    """From each, the text was read to its end: more than an hour for this one."""
    path = tmp_path / "long.ptx"
    path.write_bytes(b"/* " * 600_000)
    refusal, *_ = Checker(suite("triad"), path).parses().findings
    assert refusal.code == "syntax"


RECURSIVE = b"""\
__device__ __noinline__ float sum(const float* x, unsigned n) { return n == 0 ? 0 : x[n - 1] + sum(x, n - 1); }
extern "C" __global__ void triad(float* a, const float* b, const float* c, float s, unsigned n) { a[0] = sum(b, n); }
"""


def test_a_kernel_whose_stack_ptxas_does_not_know_gets_a_warning():
    judgement = judged(Path("triad.cu"), "triad", RECURSIVE, stages=("parses", "assembles"))
    assert [(finding.stage, finding.code) for finding in judgement.findings] == [("assembles", "unknown-stack")]
    assert judgement.notes == ()


def test_cuda_c_without_a_kernel_has_no_entry(tmp_path):
    (path := tmp_path / "empty.cu").write_bytes(b"")
    judge = Checker(suite("triad"), path)
    assert judge.parses().findings == ()
    outcome = judge.signature()
    assert [finding.code for finding in outcome.findings] == ["no-entry"]
    assert outcome.words == "no kernel 'triad'"  # and not: other parameters


# the text of an honest kernel, changed; whether a brace of it certainly stays open
OPEN = [
    (lambda text: text, False),
    (lambda text: text[: len(text) // 2], True),
    (lambda text: text[: text.rindex("}")], True),
    (lambda text: text[: text.rindex("}")] + "// }", True),
    (lambda text: text[: text.rindex("}")] + '.pragma "}";', True),
    (lambda text: text + "/* {", False),          # ptxas knows where a comment ends
    (lambda text: text + '.pragma "{', False),
    (lambda text: text + '.pragma "\\" {"', False),
    (lambda text: text + "#define BEGIN {", False),
    (lambda text: text[: text.index("{")], False),
    (lambda text: text.replace("}", "} }"), False),
]  # fmt: skip


@pytest.mark.parametrize(("change", "cut"), OPEN)
def test_ptxas_is_not_started_for_a_text_whose_braces_stay_open(change, cut, monkeypatch, tmp_path):
    text = change(PTX)
    assert has_unclosed_brace(text) == cut
    if cut:
        with pytest.raises(ptxas.RefusedError):
            ptxas.accept(locate.program("ptxas"), text, "sm_90")
        monkeypatch.setattr(ptxas, "run", None)
        (path := tmp_path / "cut.ptx").write_text(text)
        assert [finding.code for finding in Checker(suite("triad"), path).parses().findings] == ["syntax"]


# ---- mutants

PIECES = (
    *"{}()[]<>;,%@!.0+\"'/\\$_|:=\x01\xe9\0\r",
    "-1", "0x", "0f", "//", "/*", "*/", "??/", "99999999999999999999", "1e400", "nan", "#if", "#include",
    ".reg", ".u32", ".param", ".extern", ".weak", ".alias", ".func", ".entry", ".loc", ".file", ".pragma", ".section",
    ".global", ".align", ".noreturn",
)  # fmt: skip
"""The verdict on a mutant."""


def mutate(drawn, content):
    """The text with some bytes, words or lines lost, doubled, swapped or replaced by others."""
    text = bytearray(content)
    for _ in range(drawn.choice((1, 1, 1, 2, 3, 8))):
        at, other = drawn.randrange(len(text)), drawn.randrange(len(text))
        words = [match.span() for match in re.finditer(rb"[\w.%$]+", text)] or [(0, 1)]
        (begin, end), (begin_2, end_2) = drawn.choice(words), drawn.choice(words)
        match drawn.randrange(6):
            case 0:
                text[at] = drawn.randrange(256)
            case 1:
                del text[at : at + drawn.choice((1, 2, 5, 30))]
            case 2:
                text[at:at] = drawn.choice(PIECES).encode("latin-1")
            case 3:
                text[at:at] = text[other : other + drawn.choice((3, 10, 40, 200))]
            case 4:
                text[begin:end] = text[begin_2:end_2]
            case 5:
                text[begin:end] = drawn.choice((b"0", b"-1", b"4294967296", b"1" * 30, b"3.5", b"65536"))
        text = text or bytearray(b"x")
    return bytes(text)


@pytest.mark.parametrize(("suffix", "language", "count"), [(".ptx", "ptx", 80), (".cu", "cuda", 8)])
def test_a_mutant_of_a_shipped_kernel_is_never_an_error_of_the_judge(suffix, language, count, tmp_path):
    """An exception here would make a judgement fail."""
    drawn = random.Random(f"mutants of {language}")
    paths = sorted((KERNELS / language).glob(f"*{suffix}"))
    ended = set()
    for number in range(count):
        origin = drawn.choice(paths)
        (path := tmp_path / f"{number}{suffix}").write_bytes(mutate(drawn, origin.read_bytes()))
        judge = Checker(suite(owner(origin)), path)
        for stage in (judge.parses, judge.assembles, judge.signature, judge.lint):
            try:
                findings = stage().findings
            except Skip:
                continue
            assert all(finding.code in CODES and finding.message for finding in findings)
            if verdict_of(findings) in ("rejected", "unjudged"):
                ended |= {finding.code for finding in findings if finding.severity in (ERROR, UNJUDGED)}
                break
    assert "judge-failed" not in ended
    assert ended  # most are refused, and that by a code


def owner(path):
    """The pair of a shipped kernel."""
    parts = path.stem.split(".")
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next(name for name in names if (KERNELS / "pairs" / f"{name}.py").exists())
