"""The message for each mistake in the Sweep of a pair, and in its figures."""

import pytest

from ptxbench.discovery import load
from ptxbench.errors import PairError
from tests.folders import changed, kernels_folder
from tests.tune.folders import KNOB_PAIR

FIGURE = 'Figure("f", "s", "higher", "counts", ["a"], "words", lambda a: 1, 0.9)'
SWEEP = f"""\
    sweep=Sweep(
        values=lambda sms: {{"n": (64, 128)}},
        size=lambda sms: {{"n": 64}},
        emulated={{"n": 64}},
        parts={{"a": lambda n: {{"n": n}}}},
        figures=[
            {FIGURE},
        ],
        aliases={{"length": "n"}},
        cannot_know="A sentence.",
    ),
"""

MISTAKES = [
    # right, wrong, the line after that of `sweep=`, what is said of it
    ('lambda sms: {"n": (64, 128)}', '{"n": (64,)}',
     1, "values of the sweep is {'n': (64,)}. It must be a function of the number of SMs."),
    ('lambda sms: {"n": 64}', '{"n": 64}',
     2, "size of the sweep is {'n': 64}. It must be a function of the number of SMs."),
    ('emulated={"n": 64}', 'emulated={"n": 6.4}',
     3, "emulated of the sweep is {'n': 6.4}. It must name whole numbers, such as dict(n=1024)."),
    ('{"a": lambda n: {"n": n}}', '{"a": 3}',
     4, "parts of the sweep is {'a': 3}. It must be a dict of functions of the size."),
    ('aliases={"length": "n"}', "aliases=['length']",
     8, "aliases of the sweep is ['length']. It must be a dict of dimensions by their other names."),
    ('cannot_know="A sentence."', "cannot_know=None",
     9, "cannot_know of the sweep is None. It must be a sentence."),
    (FIGURE, "3",
     5, "figures of the sweep is [3]. It must list Figure(...)."),
    (FIGURE, f"{FIGURE}, {FIGURE}",
     5, "2 figures are named 'f'. Give each its own name."),
    ('"s", "higher"', 'None, "higher"',
     6, "a Figure has the unit None. It must be a text."),
    ('"higher"', '"up"',
     6, "the figure 'f' has better 'up'. Use 'lower' or 'higher' or 'neither'."),
    ('"counts"', '"clocks"',
     6, "the figure 'f' has of 'clocks'. Use 'times' or 'counts'."),
    ('["a"]', '["point"]',
     6, "the figure 'f' needs ['point']. It must list parts of the sweep: 'a'."),
    ('["a"]', '"a"',
     6, "the figure 'f' needs 'a'. It must list parts of the sweep: 'a'."),
    ('["a"]', "[]",
     6, "the figure 'f' needs []. It must list parts of the sweep: 'a'."),
    ("lambda a: 1", "1",
     6, "the figure 'f' has formula 1. It must be a function."),
    ("0.9)", "90)",
     6, "the figure 'f' has enough 90. It must be a share over 0, up to 1."),
    ("0.9)", "0)",
     6, "the figure 'f' has enough 0. It must be a share over 0, up to 1."),
    ('"higher"', '"lower"',
     6, "the figure 'f' has enough, which is only for figures that are better if higher."),
]  # fmt: skip


def loaded(folder, sweep):
    pair = changed(KNOB_PAIR, "    knobs=[", f"{sweep}    knobs=[").replace("import Knob", "import Figure, Knob, Sweep")
    return load(kernels_folder(folder, pair=pair), "scale")


def test_a_right_sweep_is_accepted(tmp_path):
    assert loaded(tmp_path, SWEEP).pair.sweep
    without_parts = changed(changed(SWEEP, '{"a": lambda n: {"n": n}}', "{}"), '["a"]', '["point"]')
    assert loaded(tmp_path / "without", changed(without_parts, "0.9", "1")).pair.sweep


@pytest.mark.parametrize(("right", "wrong", "line", "message"), MISTAKES)
def test_a_mistake_in_a_sweep_is_reported_with_its_line(tmp_path, monkeypatch, right, wrong, line, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PairError) as caught:
        loaded(tmp_path, changed(SWEEP, right, wrong))
    first = KNOB_PAIR.splitlines().index(
        '    knobs=[Knob("BLOCK", BLOCK, (32, 64, 128, 256, 2048), "threads of a CTA")],'
    )
    assert str(caught.value) == f"kernels/pairs/scale.py:{first + 1 + line}: {message}"
