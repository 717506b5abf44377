"""Open questions of a pair file: where they are reported, and that such a pair is never run."""

import pytest

from ptxbench.discovery import load
from ptxbench.errors import PairError
from tests.folders import CUDA, PAIR, changed, kernels_folder

ENDS = " Until then, only `ptxbench show scale` and `ptxbench arch scale` work."

LAUNCH = "launch=lambda n: Launch(grid=ceil_div(n, BLOCK), block=BLOCK)"

OPEN = [
    (   # the comment above it is the question
        [('        Out("y", f32, lambda n: (n,)),',
          '        # TODO: the shape of y,\n        # such as lambda n: (n,).\n        Out("y", f32, ...),')],
        "13: open question: the shape of y, such as lambda n: (n,). Replace the `...` there.",
    ),
    (   # without a comment, the line
        [("reference=lambda x, a, n: {\"y\": a * x}", "reference=...")],
        "16: open question: `reference=...`. Replace the `...` there.",
    ),
    (   # a comment that is not a question does not count
        [("    tolerance=EXACT", "    # exact\n    tolerance=...")],
        "18: open question: `tolerance=...`. Replace the `...` there.",
    ),
    (   # the first is told, and the lines of all others
        [("=EXACT", "=..."), (LAUNCH, "launch=..."), ('Scalar("a", f32, 2)', 'Scalar("a", f32, ...)')],
        '12: open question: `Scalar("a", f32, ...)`. Replace the `...` there. 2 more: lines 15, 17.',
    ),
    (   # inside sizes too
        [("check_sizes=[dict(n=n) for n in (1, 127, 128, 129)]",
          'check_sizes=[\n        {"n": 1},\n        {"n": ...},\n    ]')],
        '20: open question: `{"n": ...}`. Replace the `...` there.',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("edits", "message"), OPEN)
def test_an_open_question_is_reported_with_its_line_and_its_text(tmp_path, monkeypatch, edits, message):
    monkeypatch.chdir(tmp_path)
    text = PAIR
    for right, wrong in edits:
        text = changed(text, right, wrong)
    kernels = kernels_folder(tmp_path, pair=text)
    with pytest.raises(PairError) as caught:
        load(kernels, "scale")
    assert str(caught.value) == f"kernels/pairs/scale.py:{message}{ENDS}"
    assert load(kernels, "scale", unfinished=True).open_question == str(caught.value)


def test_a_pair_without_open_questions_is_always_checked(tmp_path):
    kernels = kernels_folder(tmp_path, pair=changed(PAIR, "tolerance=EXACT", "tolerance=1"))
    with pytest.raises(PairError, match="tolerance is 1"):
        load(kernels, "scale", unfinished=True)
    assert load(kernels_folder(tmp_path), "scale", unfinished=True).open_question is None


@pytest.mark.parametrize(
    "command",
    [
        ["run", "scale", "--backend", "emulator", "--no-save"],
        ["check", "kernels/ptx/scale.ptx", "--pair", "scale"],
        ["tune", "scale", "--knob", "n=1,2"],
        ["list", "scale"],
    ],
    ids=lambda command: command[0],
)
def test_no_command_that_needs_the_answer_goes_on(tmp_path, monkeypatch, ptxbench, command):
    monkeypatch.chdir(tmp_path)
    kernels_folder(tmp_path, pair=changed(PAIR, "tolerance=EXACT", "tolerance=..."))
    ran = ptxbench(*command, "--kernels", "kernels")
    assert (ran.status, ran.out.strip()) == (2, "")
    assert "kernels/pairs/scale.py:17: open question: `tolerance=...`." in ran.err


def test_arch_needs_no_answer(tmp_path, monkeypatch, ptxbench):
    monkeypatch.chdir(tmp_path)
    open_flag = changed(PAIR, LAUNCH, "launch=...")
    kernels_folder(tmp_path, pair=open_flag)
    ran = ptxbench("arch", "scale", "--kernels", "kernels", "--target", "sm_90")
    assert ran.status == 0
    assert "ptx" in ran.out
    kernels_folder(tmp_path, pair=changed(open_flag, '{"fast": ["--use_fast_math"]}', "3"), cuda=CUDA)
    assert "flags is 3" in ptxbench("arch", "scale", "--kernels", "kernels", "--target", "sm_90").err
