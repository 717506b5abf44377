"""A mistake in a function of a pair, which shows only when the pair's data are made: its file and line."""

import re

import numpy as np
import pytest

from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import load
from ptxbench.errors import PairError
from ptxbench.runner.case_data import prepare_case
from ptxbench.runner.plan import PairPlan
from ptxbench.runner.session import observed
from tests.folders import PAIR, changed, kernels_folder

REFERENCE = 'reference=lambda x, a, n: {"y": a * x}'
X = 'In("x", f32, lambda n: (n,))'
TOLERANCE = "tolerance=EXACT"

ABOVE = '''\
import numpy as np
from ptxbench.pair import Tolerance, close, relative, ulps


def doubled(x, a, n):
    """Two rows of y."""
    return {"y": np.tile(a * x, 2)}


def draw(rng, shape, n):
    size = shape[0]
    return rng.uniform(1, 0, size - "1")


PAIR = Pair('''
"""Fourteen lines more: args are at line 23, the reference at 30, the tolerance at 31."""

MISTAKES = [
    # the line is that of the function, or of the line in it that raised
    (REFERENCE, "reference=doubled",
     "11: at n=1, reference returns 'y' with the shape (2,); expected (1,)."),
    (REFERENCE, "reference=lambda x, a, n: {\n        'y': a * x[5],\n    }",
     "31: at n=1: IndexError: index 5 is out of bounds"),
    (X, 'In("x", f32, lambda n: (n,), draw)',
     "18: at n=1: TypeError: unsupported operand"),
    (X, 'In(\n            "x",\n            f32,\n            lambda n: (n,),\n            values=np.sort)',
     "23: at n=1: TypeError: sort() got an unexpected keyword argument 'n'."),
    (X, 'In("x", f32, lambda n: (n,), values=lambda rng, shape, n: 1)',
     "23: at n=1, values of 'x' returns the shape (); expected (1,)."),
    (X, 'In("x", f32, lambda n: (n,), values=lambda rng, shape, n: rng.random(shape) + 1j)',
     "23: at n=1, values of 'x' returns complex128; expected numbers."),
    # of a tolerance from ptxbench, the line of the field
    (TOLERANCE, "tolerance=relative(1e-6, of=lambda x, a, n: x[:0])",
     "31: at n=1, the tolerance of 'y' has the shape (0,); expected (1,), as its reference has, or one number."),
    (TOLERANCE, "tolerance=relative(lambda **inputs: np.nan, of=lambda x, a, n: abs(x))",
     "31: at n=1, the tolerance of y[0] is nan; expected 0 or more."),
    (TOLERANCE, "tolerance=relative(1e-6, of=lambda x, a, n: -abs(x))",
     "31: at n=1, the tolerance of y[0] is -"),
    (TOLERANCE, "tolerance=Tolerance('as NumPy', np.multiply)",
     "31: at n=1: TypeError: unsupported operand"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES)
def test_a_mistake_that_shows_when_data_are_made_has_the_line_of_its_function(
    tmp_path, monkeypatch, right, wrong, message
):
    monkeypatch.chdir(tmp_path)
    kernels = kernels_folder(tmp_path, pair=changed(changed(PAIR, right, wrong), "PAIR = Pair(", ABOVE))
    plan = PairPlan(load(kernels, "scale"), (), ({"n": 1},))
    with pytest.raises(PairError) as caught:
        prepare_case(plan, {"n": 1}, seed=1)
    assert str(caught.value).startswith(f"kernels/pairs/scale.py:{message}")


def test_check_names_the_line_of_data_that_cannot_be_drawn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = 'In("x", f32, lambda n: (n,), values=lambda rng, shape, n: 1 / 0)'
    loaded = load(kernels_folder(tmp_path, pair=changed(PAIR, X, wrong)), "scale")
    with pytest.raises(PairError, match=r"^kernels/pairs/scale\.py:10: at n=129: ZeroDivisionError"):
        CheckSuite(loaded, "sm_90", 1)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ('{"share": np.float64(0) / arrays["y"].size * np.inf}', "observe returns 'share': nan. It must return finite"),
        ("{3: 1}",                                                "observe returns 3: 1.0. It must return finite"),
        ("None",                                                  "observe returns <class 'NoneType'>. It must"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value")
def test_what_observe_returns_must_fit_a_result_file(tmp_path, monkeypatch, numbers, message):
    monkeypatch.chdir(tmp_path)
    pair = changed(PAIR, "    flops=", f"    observe=lambda arrays, size: {numbers},\n    flops=")
    pair = pair.replace("from ptxbench.pair", "import numpy as np\nfrom ptxbench.pair")
    plan = PairPlan(load(kernels_folder(tmp_path, pair=pair), "scale"), (), ())
    with pytest.raises(PairError) as caught:
        observed(plan, {"n": 1}, {"y": np.zeros(1)})
    assert re.match(rf"kernels/pairs/scale\.py:21: at n=1[:,] {re.escape(message)}", str(caught.value)), caught.value


def test_what_observe_returns_is_recorded_as_floats(tmp_path):
    pair = changed(PAIR, "    flops=", '    observe=lambda arrays, size: {"first": arrays["y"][0]},\n    flops=')
    plan = PairPlan(load(kernels_folder(tmp_path, pair=pair), "scale"), (), ())
    assert observed(plan, {"n": 1}, {"y": np.float32([3])}) == {"first": 3.0}
