"""Finding, loading and listing pairs, and the message for each mistake in a pair."""

import json
import re
import subprocess
import sys

import pytest

from ptxbench import discovery
from ptxbench.device_shape import DeviceShape
from ptxbench.discovery import choose_pair, default_kernels, find_pairs, load, owner, select
from ptxbench.discovery.specialisation import target
from ptxbench.errors import IncompletePair, PairError, UsageError
from ptxbench.run_info import Device
from ptxbench.runner.case_data import pair_errors
from ptxbench.runner.plan import PairPlan
from tests.folders import PAIR, PTX, changed, kernels_folder


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return kernels_folder(tmp_path)


def test_a_pair_is_loaded_with_all_its_variants(kernels):
    (kernels / "cuda" / "scale.twice.cu").write_text("")
    (kernels / "ptx" / "scale.plain.ptx").write_text("")
    loaded = load(kernels, "scale")
    assert loaded.summary == "y = a * x, one element a thread, a ragged last block."
    assert loaded.pair.compulsory_bytes({"n": 10}) == 80
    assert [(source.variant, source.path.name, source.entry, source.flags) for source in loaded.sources] == [
        ("cuda",            "scale.cu",         "scale", ()),
        ("cuda@fast",       "scale.cu",         "scale", ("--use_fast_math",)),
        ("cuda.twice",      "scale.twice.cu",   "scale", ()),
        ("cuda.twice@fast", "scale.twice.cu",   "scale", ("--use_fast_math",)),
        ("ptx",             "scale.ptx",        "scale", ()),
        ("ptx.plain",       "scale.plain.ptx",  "scale", ()),
    ]  # fmt: skip


TILE_LAUNCHES = [
    # launches, what is said of it
    ("",
     "launches lacks 'tile', which kernels/tile/scale.tile.cu makes: its compiler chooses the threads and the shared "
     "memory. Write launches={'tile': lambda ...: Launch(grid=..., block=1)}."),
    ("launches={'tile': lambda n: Launch(grid=n, block=128)},",
     "the launch of 'tile' is Launch(grid=1, block=128, shared_bytes=0). Expected a grid, and a block of 1: its "
     "compiler chooses the threads and the shared memory."),
]  # fmt: skip


@pytest.mark.parametrize(("launches", "message"), TILE_LAUNCHES)
def test_a_tile_kernel_needs_a_launch_of_its_own_with_one_thread(kernels, launches, message):
    (kernels / "tile").mkdir()
    (kernels / "tile" / "scale.tile.cu").write_text("")
    path = kernels / "pairs" / "scale.py"
    path.write_text(path.read_text().replace("    exact_on_integers", f"    {launches}\n    exact_on_integers"))
    with pytest.raises(PairError, match=rf"scale\.py:\d+: {re.escape(message)}$"):
        load(kernels, "scale")
    path.write_text(path.read_text().replace(f"    {launches}\n", "    launches={'tile': lambda n: Launch(n, 1)},\n"))
    assert load(kernels, "scale").sources[-1].variant == "tile"


def with_requests(kernels, names):
    path = kernels / "pairs" / "scale.py"
    path.write_text(
        path.read_text().replace("    exact_on_integers", f"    by_request={names},\n    exact_on_integers")
    )


def test_variants_by_request_are_loaded_but_are_not_default_ones(kernels):
    (kernels / "ptx" / "scale.plain.ptx").write_text("")
    with_requests(kernels, '["cuda@fast", "ptx.plain"]')
    loaded = load(kernels, "scale")
    assert [source.variant for source in loaded.sources] == ["cuda", "cuda@fast", "ptx", "ptx.plain"]
    assert [default_source.variant for default_source in loaded.default_sources] == ["cuda", "ptx"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ('["ptx.plane"]',  r"scale\.py:\d+: by_request names 'ptx\.plane', which no file defines\."),
        ('["cuda@fat"]',   r"names 'cuda@fat', which no file defines\. Did you mean 'cuda@fast'\?"),
        ('["ptx"]',        r"names 'ptx'\. Every run needs 'cuda' and 'ptx'"),
        ('"ptx.plain"',    r"by_request is 'ptx\.plain'\. It must list names of variants"),
        ("[1]",            r"by_request is \[1\]\. It must list"),
    ],
)  # fmt: skip
def test_impossible_variants_by_request_are_refused(kernels, names, message):
    with_requests(kernels, names)
    with pytest.raises(PairError, match=message):
        load(kernels, "scale")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("timed_on_integers=True", r"timed_on_integers is True without exact_on_integers\. Set both, or neither\."),
        ('by_rows=["y"]',          r"scale\.py:\d+: by_rows names 'y', expected inputs of the pair: x\."),
        ('by_rows="x"',            r"scale\.py:\d+: by_rows is 'x'\. It must list names of inputs, such as 'x'\."),
        ("by_rows=[3]",            r"by_rows is \[3\]\. It must list"),
        ("by_rows=None",           r"by_rows is None\. It must list"),
        ('exact_on_integers="no"', r"exact_on_integers is 'no'\. It must be True or False\."),
        ("timed_on_integers=None", r"timed_on_integers is None\. It must be True or False\."),
    ],
)  # fmt: skip
def test_impossible_fields_about_data_are_refused(kernels, fields, message):
    path = kernels / "pairs" / "scale.py"
    path.write_text(re.sub("    exact_on_integers=True", f"    {fields}", path.read_text()))
    with pytest.raises(PairError, match=message):
        load(kernels, "scale")


def test_a_stem_with_its_own_pair_file_is_a_pair_and_its_entry_has_underscores(tmp_path):
    kernels_folder(tmp_path)
    kernels = kernels_folder(tmp_path, name="scale.s32")
    assert find_pairs(kernels) == ("scale", "scale.s32")
    assert [source.variant for source in load(kernels, "scale").sources] == ["cuda", "cuda@fast", "ptx"]
    assert {source.entry for source in load(kernels, "scale.s32").sources} == {"scale_s32"}


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("a",       "a"),
        ("a.x",     "a"),
        ("a.b",     "a.b"),
        ("a.b.x",   "a.b"),
        ("ab",      None),     # a prefix, but not up to a dot
        ("c",       None),
    ],
)  # fmt: skip
def test_a_file_belongs_to_the_longest_pair_name_before_a_dot(stem, name):
    assert owner(stem, {"a", "a.b"}) == name


def test_hidden_and_private_files_do_not_count_as_kernels(kernels):
    (kernels / "pairs" / ".scale.py").write_text("nonsense(")
    (kernels / "pairs" / "_shared.py").write_text("nonsense(")
    (kernels / "ptx" / ".#scale.ptx").write_text("")
    assert find_pairs(kernels) == ("scale",)


def test_a_kernel_without_a_pair_file_is_reported(kernels):
    (kernels / "ptx" / "lonely.fast.ptx").write_text(PTX)
    assert find_pairs(kernels) == ("lonely", "scale")
    with pytest.raises(IncompletePair, match=r"^Pair 'lonely' lacks kernels/pairs/lonely\.py and kernels/cuda/lonely"):
        load(kernels, "lonely")


@pytest.mark.parametrize("lost", ["pairs/scale.py", "cuda/scale.cu", "ptx/scale.ptx"])
def test_a_missing_file_is_named(kernels, lost):
    (kernels / lost).unlink()
    with pytest.raises(IncompletePair) as caught:
        load(kernels, "scale")
    assert str(caught.value) == (
        f"Pair 'scale' lacks kernels/{lost}. A pair is pairs/scale.py, cuda/scale.cu and ptx/scale.ptx."
    )


def test_a_folder_without_pairs_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"Folder .* does not exist"):
        find_pairs(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="holds no pairs"):
        find_pairs(tmp_path)


def test_an_unreadable_folder_is_reported(kernels, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)  # the tests may run as root, to whom all is open
    with pytest.raises(UsageError, match=r"^Cannot read kernels/pairs: Permission denied\.$"):
        find_pairs(kernels)


KNOWN = ("histogram256", "reduce_sum", "reduce_sum.s32", "triad")


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        ([],                        KNOWN),
        (["triad"],                 ("triad",)),
        (["triad", "reduce_sum"],   ("reduce_sum", "triad")),
        (["reduce*"],               ("reduce_sum", "reduce_sum.s32")),
        (["*.s32", "h*"],           ("histogram256", "reduce_sum.s32")),
    ],
)  # fmt: skip
def test_pairs_are_chosen_by_name_or_glob(patterns, chosen):
    assert select(KNOWN, patterns) == chosen


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(UsageError, match=r"^Unknown pair 'traid'\. Did you mean 'triad'\?$"):
        select(KNOWN, ["triad", "traid"])
    with pytest.raises(UsageError, match=r"^Unknown pair 'x\*'\. Known are histogram256, reduce_sum, "):
        select(KNOWN, ["x*"])


def test_only_the_requested_pair_is_executed(kernels):
    (kernels / "pairs" / "bomb.py").write_text("raise RuntimeError('executed')")
    assert load(kernels, "scale").name == "scale"


def test_a_pair_file_may_define_dataclasses_and_functions(kernels):
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n@dataclass\nclass A:\n    x: int\n\n"
    )
    (kernels / "pairs" / "scale.py").write_text(text + PAIR)
    assert load(kernels, "scale").pair.launch(n=129).grid == 2


MISTAKES = [
    ("tolerance=EXACT", "tolerence=EXACT",
     "17: Pair has no field 'tolerence'. Did you mean 'tolerance'?"),
    ('Scalar("a", f32, 2)', 'Scalar("a", f32, val=2)',
     "12: Scalar has no field 'val'. Did you mean 'value'?"),
    ("    flops=lambda n: n,\n", "",
     "7: Pair(...) lacks 'flops'. Give every field without a default."),
    ("BLOCK = 128", "BLOCK = 128 +",
     "5: invalid syntax: BLOCK = 128 +"),
    ("BLOCK = 128", "BLOCK = {}['x']",
     "5: KeyError: 'x'."),
    ("BLOCK = 128", "import sys; sys.exit(3)",
     "5: SystemExit: 3."),
    ("BLOCK = 128", "from nowhere import x",
     "5: ModuleNotFoundError: No module named 'nowhere'."),
    ("PAIR = Pair(", "PEAR = Pair(",
     "7: the file has no PAIR. It must end in PAIR = Pair(...)."),
    ("PAIR = Pair(", "PAIR = dict(",
     "7: the file makes PAIR"),
    ("lambda n: Launch(grid=ceil_div(n, BLOCK), block=BLOCK)", "BLOCK",
     "15: launch is 128. It must be a function."),
    ('In("x", f32, lambda n: (n,))', 'In("x", f32, (3,))',
     "10: In 'x' has shape (3,). It must be a function of the size."),
    ('In("x", f32, lambda n: (n,))', 'In("2x", f32, lambda n: (n,))',
     "10: In is named '2x', which is not a valid Python name. The reference takes it by name."),
    ('In("x", f32, lambda n: (n,))', 'In("x", float, lambda n: (n,))',
     "10: In 'x' has dtype <class 'float'>. Use f32, u32, ... of ptxbench.pair."),
    ('Scalar("a", f32, 2)', 'Scalar("a", f32, "2")',
     "12: Scalar 'a' is '2'. It must be a number, or a function of the size."),
    ('Scalar("a", f32, 2)', 'Scalar("a", u32, -1)',
     "12: Scalar 'a' is -1. It must be a whole number from 0 to 4294967295, as uint32 holds, or a function of the "
     "size."),
    ('Scalar("a", f32, 2)', 'Scalar("a", u32, lambda n: n / 2)',
     "12: the value of 'a' at n=1 is 0.5. It must be a whole number from 0 to 4294967295, as uint32 holds."),
    ('Out("y", f32, lambda n: (n,))', 'InOut("y", u32, lambda n: (n,), start=-1)',
     "11: InOut 'y' has start -1. It must be a whole number from 0 to 4294967295, as uint32 holds."),
    ('Out("y", f32, lambda n: (n,))', 'InOut("y", f32, lambda n: (n,), "0")',
     "11: InOut 'y' has start '0'. It must be a number."),
    ('Out("y", f32, lambda n: (n,))', 'Scratch("y", f32, (3,))',
     "11: Scratch 'y' has shape (3,). It must be a function of the size."),
    ('Out("y", f32, lambda n: (n,))', 'Scratch("y", f32, lambda n: (n,), None)',
     "11: Scratch 'y' has start None. It must be a number."),
    ('Out("y", f32, lambda n: (n,))', 'Scratch("y", f32, lambda n: (n,))',
     "9: no argument is an Out or InOut, so there is nothing to verify. Say what the kernel writes."),
    ('Out("y", f32, lambda n: (n,))', '"y"',
     "11: args holds 'y'. It may hold In, Out, InOut, Scratch, Scalar, TensorMap and Struct."),
    ('In("x", f32, lambda n: (n,))', 'In("x", "bf16", lambda n: (n,))',
     "10: In 'x' has dtype 'bf16'. Use f32, u32, ... of ptxbench.pair."),
    ("    args=[", "    expectation=3, args=[",
     "9: expectation is 3. It must be a sentence, or be left out."),
    ("    args=[", "    prediction='tie', args=[",
     "9: prediction is 'tie'. Use one of 'only way', 'wins', 'ties', 'a flag', 'loses', or a dict with one for each "
     "architecture."),
    ("    args=[", "    prediction={'sm_90': 'win'}, args=[",
     "9: prediction is 'win' for sm_90. Use one of 'only way', 'wins', 'ties', 'a flag', 'loses'."),
    ("    args=[", "    prediction={'hopper': 'wins'}, args=[",
     "9: prediction has the key 'hopper'. Use an architecture such as 'sm_90'."),
    ("    args=[", "    prediction=['wins'], args=[",
     "9: prediction is ['wins']. Use one of 'only way', 'wins', 'ties', 'a flag', 'loses', or a dict with one for each "
     "architecture."),
    ('Scalar("a", f32, 2)', 'Scalar("x", f32, 2)',
     "12: 2 arguments are named 'x'. Give each its own name."),
    ('Out("y", f32, lambda n: (n,))', 'In("y", f32, lambda n: (n,))',
     "9: no argument is an Out or InOut, so there is nothing to verify. Say what the kernel writes."),
    ("lambda x, a, n: {", "lambda x, n: {",
     "16: reference must take x, a, n: got an unexpected keyword argument 'a'."),
    ("tolerance=EXACT", "tolerance=1e-6",
     "17: tolerance is 1e-06. It must be EXACT, close(...), ulps(...) or relative(...)."),
    ("tolerance=EXACT", "tolerance=__import__('ptxbench.pair').pair.Tolerance('close', None)",
     "17: tolerance is Tolerance(describe='close', bound=None). It must be Tolerance(words, function)."),
    ("tolerance=EXACT", "tolerance=__import__('ptxbench.pair').pair.Tolerance(3, None)",
     "17: tolerance is Tolerance(describe=3, bound=None). It must be Tolerance(words, function)."),
    ("check_sizes=[dict(n=n) for n in (1, 127, 128, 129)]", "check_sizes=[]",
     "18: check_sizes is []. It must list at least one size, such as dict(n=1024)."),
    ("check_sizes=[dict(n=n) for n in (1, 127, 128, 129)]", "check_sizes=[1, 2]",
     "18: check_sizes holds 1. A size names whole numbers, such as dict(n=1024)."),
    ("check_sizes=[dict(n=n) for", "check_sizes=[dict(n=__import__('numpy').int64(n)) for",
     "18: check_sizes holds {'n': np.int64(1)}. A size names whole numbers, such as dict(n=1024). "
     "Write int(...) around a number of NumPy."),
    ("check_sizes=[dict(n=n)", "check_sizes=[dict(m=n)",
     "18: launch does not take m=1: missing a required argument: 'n'."),
    ("grid=ceil_div(n, BLOCK)", "grid=n // BLOCK",
     "15: launch at n=1 is Launch(grid=0, block=128, shared_bytes=0). "
     "The grid must be a positive whole number or a tuple of up to three."),
    ("BLOCK = 128", "BLOCK = 2048",
     "15: launch at n=1 is Launch(grid=1, block=2048, shared_bytes=0). A block holds at most 1024 threads."),
    ("block=BLOCK)", "block=BLOCK, cluster=2)",
     "15: launch at n=1 is Launch(grid=1, block=128, shared_bytes=0, cluster=2). The cluster must divide the grid."),
    ("grid=ceil_div(n, BLOCK), block=BLOCK)", "grid=64, block=BLOCK, cluster=(4, 2, 4))",
     "15: launch at n=1 is Launch(grid=64, block=128, shared_bytes=0, cluster=(4, 2, 4)). "
     "The cluster must divide the grid."),
    ("grid=ceil_div(n, BLOCK), block=BLOCK)", "grid=64, block=BLOCK, cluster=32)",
     "15: launch at n=1 is Launch(grid=64, block=128, shared_bytes=0, cluster=32). "
     "A cluster holds at most 16 CTAs."),
    ("block=BLOCK)", "block=BLOCK, cluster=0)",
     "15: launch at n=1 is Launch(grid=1, block=128, shared_bytes=0, cluster=0). "
     "The cluster must be a positive whole number or a tuple of up to three."),
    ("block=BLOCK)", "block=BLOCK, set_aside=101)",
     "15: launch at n=1 is Launch(grid=1, block=128, shared_bytes=0, set_aside=101). "
     "set_aside must be a percentage, a whole number of 0 to 100."),
    ("block=BLOCK)", "block=BLOCK, cooperative=1)",
     "15: launch at n=1 is Launch(grid=1, block=128, shared_bytes=0, cooperative=1). "
     "cooperative and resident must be True or False."),
    ("block=BLOCK)", "block=BLOCK, chain=8)",
     "15: launch at n=1 is Launch(grid=1, block=128, shared_bytes=0, chain=8). "
     "chain must be a Chain(launches, number), or be left out."),
    *(("block=BLOCK)", f"block=BLOCK, chain=__import__('ptxbench.pair').pair.{chain})",
       f"15: launch at n=1 is Launch(grid=1, block=128, shared_bytes=0, chain={shown}). {sentence}")
      for chain, shown, sentence in (
        ("Chain(1, 'n')", "Chain(launches=1, number='n', dependent=False)", "A chain has 2 launches or more."),
        ("Chain(2, 'n', 1)", "Chain(launches=2, number='n', dependent=1)", "dependent must be True or False."),
        ("Chain(2, 'a')", "Chain(launches=2, number='a', dependent=False)",
         "The number of a launch must be a Scalar of whole numbers of the pair: n."))),
    ("flops=lambda n: n", "flops=lambda n: n / 0",
     "20: flops fails at n=1: ZeroDivisionError: division by zero."),
    ("flops=lambda n: n", "flops=lambda n: n / 2",
     "20: flops at n=1 is 0.5. It must be a whole number."),
    ("flops=lambda n: n", "flops=lambda n: n << 64",
     "20: flops at n=1 is 18446744073709551616. It must be less than 2^64, the greatest number of a result file."),
    ('Out("y", f32, lambda n: (n,))', 'Out("y", f32, lambda n: n)',
     "11: the shape of 'y' at n=1 is 1. It must be a tuple of whole numbers, such as (n,)."),
    ('{"fast": ["--use_fast_math"]}', '{"fast": "--use_fast_math"}',
     "22: flags gives 'fast' '--use_fast_math'. It must be a list of NVRTC options."),
    ('{"fast": ["--use_fast_math"]}', '{"fast": None}',
     "22: flags gives 'fast' None. It must be a list of NVRTC options."),
    *(('In("x", f32, lambda n: (n,))', f'In("x", f32, lambda n: (n,), integers={integers})',
       f"10: In 'x' has integers {integers}, {problem}. It must be a range (low, high) of whole numbers, or None")
      for integers, problem in (
        ("3", "not two numbers"), ("(2, 1)", "not in order"), ("(1.5, 2)", "not whole numbers of int64"),
        ("(0, 9223372036854775808)", "not whole numbers of int64"))),
    ('In("x", f32, lambda n: (n,))', 'In("x", f32, lambda n: (n,), related=["y"])',
     "10: In 'x' has related ['y']. It must be True or False."),
    ('In("x", f32, lambda n: (n,))', 'In("x", f32, lambda n: (n,), widened=None)',
     "10: In 'x' has widened None. It must be True or False."),
    *(('In("x", f32, lambda n: (n,))', f'In("x", {dtype}, lambda n: (n,), legal={legal})',
       f"10: In 'x' has legal {legal}, {problem}. It must be a range (low, high) of whole numbers.")
      for dtype, legal, problem in (
        ("f32", "(0, 1)", "and holds floats"), ("u32", "3", "not two numbers"), ("u32", "(1, 2, 3)", "not two numbers"),
        ("u32", "(1, None)", "not two numbers"), ("u32", "(-1, 2)", "not whole numbers of uint32"))),
    *(('Out("y", f32, lambda n: (n,))', f'InOut("y", {dtype}, lambda n: (n,), {values}legal=(0, 1))',
       f"11: InOut 'y' has legal (0, 1), {problem}. It must be a range (low, high) of whole numbers.")
      for dtype, values, problem in (
        ("u32", "", "but no values"), ("f32", "values=lambda rng, shape, n: 0, ", "and holds floats"))),
    ('"The smallest pair that can go wrong at its edge."', "None",
     "8: purpose is None. It must be a sentence."),
    ('Scalar("a", f32, 2)', "Scalar('a', f32, 2, values=(-10**400, 0))",
     "12: Scalar 'a' has values (-1" + 400 * "0" + ", 0), not finite."),
    ('Scalar("a", f32, 2)', 'Scalar("a", f32, 2, values=(0, 10**400))',
     "12: Scalar 'a' has values (0, 1" + 400 * "0" + "), not finite."),
    ('Scalar("a", f32, 2)', 'Scalar("a", f32, 2, values=lambda n: 1)',
     "12: values of 'a' does not take n=1: "),
    ('Scalar("a", f32, 2)', 'Scalar("a", f32, 2, values=lambda rng, n: 1 / 0)',
     "12: values of 'a' fails at n=1: ZeroDivisionError: division by zero."),
    ('Scalar("a", f32, 2)', 'Scalar("a", f32, 2, values=lambda rng, n: None)',
     "12: values of 'a' at n=1 is None. It must be a number."),
    ('Scalar("n", u32, lambda n: n)', 'Scalar("n", u32, lambda n: n, values=lambda rng, n: -n)',
     "13: values of 'n' at n=1 is -1. It must be a whole number from 0 to 4294967295, as uint32 holds."),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES)
def test_a_mistake_in_a_pair_file_is_reported_with_its_line(kernels, right, wrong, message):
    text = changed(PAIR, right, wrong).replace("import EXACT", "import EXACT, InOut, Scratch")
    (kernels / "pairs" / "scale.py").write_text(text)
    with pytest.raises(PairError) as caught:
        load(kernels, "scale")
    shown = str(caught.value)
    assert shown.startswith(f"kernels/pairs/scale.py:{message}")
    assert caught.value.exit_status == 2


def test_what_is_unusual_and_right_is_accepted(kernels):
    text = changed(PAIR, "    args=[", "    prediction={'sm_90': 'wins', 'sm_100': 'ties'},\n    args=[")
    text = changed(text, "(1, 127, 128, 129)", "(0, 1)")  # arrays without elements
    text = changed(text, "grid=ceil_div(n, BLOCK)", "grid=ceil_div(n + 1, BLOCK)")
    text = changed(text, 'Scalar("a", f32, 2)', 'Scalar("a", f32, float("inf"), values=(2, 2))')
    (kernels / "pairs" / "scale.py").write_text(text)
    assert load(kernels, "scale").pair.prediction == {"sm_90": "wins", "sm_100": "ties"}


def test_a_range_may_have_numbers_of_numpy(kernels):
    text = changed(PAIR, 'Scalar("a", f32, 2)', 'Scalar("a", f32, 2, values=(np.float32(1), np.float64(2)))')
    (kernels / "pairs" / "scale.py").write_text(text.replace("from ptxbench", "import numpy as np\nfrom ptxbench"))
    load(kernels, "scale")  # warnings are errors


def test_a_launch_may_have_numbers_of_numpy(kernels):
    launch = "Launch(grid=__import__('numpy').int64(4), block=__import__('numpy').int32(64))"
    text = changed(PAIR, "Launch(grid=ceil_div(n, BLOCK), block=BLOCK)", launch)
    (kernels / "pairs" / "scale.py").write_text(text)
    recorded = load(kernels, "scale").pair.launch(n=1).recorded
    assert json.loads(json.dumps(recorded))["grid"] == [4, 1, 1]


@pytest.mark.parametrize(("n", "advice"), [(128, r"check size in kernels/pairs/scale\.py"), (512, "--size")])
def test_a_size_that_does_not_fit_in_memory_can_be_a_check_size(kernels, n, advice):
    plan = PairPlan(load(kernels, "scale"), (), ())
    message = rf"^'scale' at n={n} does not fit in memory\. Choose a smaller {advice}\.$"
    with pytest.raises(UsageError, match=message), pair_errors(plan, {"n": n}):
        raise MemoryError


def test_bytes_that_are_not_utf_8_are_reported(kernels):
    (kernels / "pairs" / "scale.py").write_bytes(b"x = 1\n\xff\xfe\n")
    with pytest.raises(PairError, match=r"^kernels/pairs/scale\.py:\d: "):
        load(kernels, "scale")
    (kernels / "pairs" / "scale.py").write_bytes(b"\0")
    with pytest.raises(PairError, match=r"^kernels/pairs/scale\.py:1: .*null bytes"):
        load(kernels, "scale")


BY_DEVICE = "lambda device: [dict(n=device.ctas(BLOCK)), dict(n=device.l2_bytes // 4)]"
BENCH_SIZES = "[dict(n=1 << k) for k in (10, 12)]"


def test_bench_sizes_may_follow_the_device(kernels):
    (kernels / "pairs" / "scale.py").write_text(changed(PAIR, BENCH_SIZES, BY_DEVICE))
    rtx_4090 = DeviceShape.of(Device(sms=128, l2_bytes=72 << 20, threads_per_sm=1536))
    assert list(load(kernels, "scale").pair.bench_sizes) == [{"n": 132 * 16}, {"n": 50 << 18}]  # an H100
    there = load(kernels, "scale", rtx_4090).pair
    assert list(there.bench_sizes) == [{"n": 128 * 12}, {"n": 72 << 18}]
    assert there.with_knobs({}).on(DeviceShape()).bench_sizes == load(kernels, "scale").pair.bench_sizes
    assert DeviceShape.of(Device("emulator")) == DeviceShape() != rtx_4090
    assert DeviceShape().ctas(4096) == 132  # one an SM at the least


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("lambda device: None", "TypeError: bench_sizes(DeviceShape(sms="),
        ("lambda device: [] if device.sms == 1 else [dict(n=1)]", "bench_sizes is (). It must list at least one size"),
        ("lambda device: [dict(n=device.smz)]", "AttributeError: 'DeviceShape' object has no attribute 'smz'."),
        ("lambda device: [dict(n=1 // (device.sms - 1))]", "ZeroDivisionError: "),
    ],
)
def test_a_mistake_in_sizes_by_device_is_reported_with_its_line(kernels, written, message):
    (kernels / "pairs" / "scale.py").write_text(changed(PAIR, BENCH_SIZES, written))
    with pytest.raises(PairError) as caught:
        load(kernels, "scale", DeviceShape(sms=1))
    assert re.match(rf"kernels/pairs/scale\.py:\d+: {re.escape(message)}", str(caught.value)), caught.value


def test_the_target_of_a_ptx_file_is_read_from_its_directive(kernels):
    path = kernels / "ptx" / "scale.ptx"
    assert target(path) == "sm_75"
    path.write_text("// .target sm_10\n  .target sm_90a, debug\n")
    assert target(path) == "sm_90a"
    path.write_text("")
    assert target(path) is None


def test_finding_pairs_does_not_import_numpy(kernels):
    code = (
        "import sys; from pathlib import Path; from ptxbench.discovery import find_pairs;"
        f"find_pairs(Path({str(kernels)!r})); assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_in_a_checkout_the_shipped_kernels_are_next_to_the_package():
    assert discovery.default_kernels().name == "kernels"


def test_a_pattern_that_matches_several_pairs_lists_some_of_them():
    kernels = default_kernels()
    assert choose_pair(kernels, "tri*d") == "triad"
    with pytest.raises(UsageError, match=r"^'scan\*' matches 2 pairs: scan, scan\.s32\. Name one\.$"):
        choose_pair(kernels, "scan*")
    with pytest.raises(
        UsageError, match=r"^'\*' matches \d+ pairs: bigint_mul256, (\S+, ){2}\S+ and \d+ more\. Name one\.$"
    ):
        choose_pair(kernels, "*")
