"""A text that is not what it was given as is named, and a text that is right has no mark."""

import pytest

from ptxbench.foreign_text import foreign_mark
from tests.check.judging import KERNELS

KERNEL = 'extern "C" __global__ void k(float* x)\n{\n    x[0] = 1;\n}\n'
PTX = ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry k() { ret; }\n"
PYTHON = 'import torch\nfrom torch.utils.cpp_extension import load_inline\n\nsource = """\n' + KERNEL + '"""\n'
DIFF = "--- a/k.cu\n+++ b/k.cu\n@@ -1,3 +1,4 @@\n" + "".join(f"+{line}\n" for line in KERNEL.splitlines())
NUMBERED = "".join(f"{n:4d} | {line}\n" for n, line in enumerate(KERNEL.splitlines(), 1))

MARKS = [
    # the text, the language that it was given as, the line and the beginning of the advice
    ("It is:\n```cuda\n" + KERNEL + "```\n", "cuda", 2, "this is a fence of Markdown"),
    ("```ptx\n" + PTX + "```\n",              "ptx",  1, "this is a fence of Markdown"),
    ("// here\n" + PTX,                        "cuda", 2, "this is PTX, where CUDA C is expected"),
    ("\n" + KERNEL,                            "ptx",  2, "this is CUDA C, where PTX is expected"),
    (PYTHON,                                    "cuda", 1, "this is Python"),
    (KERNEL + "\nclass ModelNew(nn.Module):\n    pass\n", "cuda", 6, "this is Python"),
    ("@triton.jit\ndef add(x):\n    pass\n",        "cuda", 2, "this is Python"),
    ("\nimport triton.language as tl\n",       "ptx",  2, "this is Python"),
    (DIFF,                                      "cuda", 3, "this is a diff"),
    ("__kernel void k(__global float* x) {}\n", "cuda", 1, "this is OpenCL or Metal"),
    ('{"code": "int x;"}',                      "cuda", 1, "this is JSON"),
    ("<think>\nIt's fast.\n</think>\n" + KERNEL, "cuda", 1, "this line is a tag"),
    (KERNEL + "int f() { return 1 &lt; 2; }\n", "cuda", 5, "this is text of HTML"),
    (NUMBERED,                                  "cuda", 1, "the lines begin with their numbers"),
    ("Here is the optimized kernel:\n\n" + KERNEL, "cuda", 1, "this is text, not code"),
    ("Sure! It's fast, with `float4` loads (\"wide\").\n" + KERNEL, "cuda", 1, "this is text, not code"),
    (PTX + "\n**Note:** This kernel does nothing.\n", "ptx", 6, "this is text, not code"),
    (KERNEL + "\nIt uses a loop; it's faster.\n",   "cuda", 6, "this is text, not code"),
    ("### Kernel\n" + KERNEL,                   "cuda", 1, "this is text, not code"),
    (KERNEL + "**Why it is fast**\n",           "cuda", 5, "this is text, not code"),
    ("Here is the code:\n```\n" + PTX + "```",  "ptx",  2, "this is a fence of Markdown"),
    ("cuda\n" + KERNEL,                         "cuda", 1, "this is the language of a fence"),
    ("It\u2019s this:\n```\n" + KERNEL + "```", "cuda", 2, "this is a fence of Markdown"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "language", "line", "advice"), MARKS)
def test_a_mark_is_named_with_its_line(text, language, line, advice):
    found, sentence = foreign_mark(text, language)
    assert found == line
    assert sentence.startswith(advice)


NO_MARKS = [
    KERNEL,
    "/*\n```\nimport this\n*/ int x;",
    "// \u2019 &lt; ```\nint x;",
    'const char* name = "\u201c &lt; .version 8.0";\n',
    "/* Here is the kernel:\nIt adds two numbers. */ // This is it, too.\n",
    "__device__ int f() {\n    Pair of(1, 2);\nLOOP:\n    return 0;\n}\n",
    "int x; /* never closed\n```\n",
]


@pytest.mark.parametrize("text", NO_MARKS)
def test_comments_and_strings_have_no_marks(text):
    assert foreign_mark(text, "cuda") is None


@pytest.mark.parametrize("language", ["cuda", "ptx"])
def test_no_kernel_of_ptxbench_has_a_mark(language):
    for path in sorted((KERNELS / language).iterdir()):
        assert foreign_mark(path.read_text(), language) is None, path.name
