"""Kernels in Python to PTX: what comes out, what is refused and where, and the process that numba-cuda runs in."""

import os
import re
import subprocess
import sys

import pytest

from ptxbench import discovery, toolchain
from ptxbench.discovery.knobs import with_knobs
from ptxbench.errors import CompileError, PairError, TargetMismatch, ToolMissing
from ptxbench.toolchain import numba_cuda, origins

KERNELS = discovery.default_kernels()
SIGNATURE = (("x", "float32*"), ("y", "float32*"), ("n", "uint32"))

SCALE = """\
import math

from numba import cuda, float32


@cuda.jit(device=True)
def folded(value):
    sums = cuda.shared.array(32, float32)
    sums[cuda.threadIdx.x] = value
    cuda.syncthreads()
    return sums[31 - cuda.threadIdx.x] ** 3


@cuda.jit(launch_bounds=32)
def scale(x, y, n):
    i = cuda.grid(1)
    if i < n:
        y[i] = math.sqrt(folded(x[i]))
"""


def ptx(text, arch="sm_90", signature=SIGNATURE, **defines):
    return numba_cuda.translate(text.encode(), "scale.py", "scale", arch, signature, defines).ptx


def test_the_kernel_has_the_name_and_the_parameters_of_its_pair():
    text = ptx(SCALE)
    header = re.search(r"\.visible \.entry scale\((.*?)\)\n\.maxntid 32, 1, 1\n", text, re.S)[1]
    assert [line.split()[1] for line in header.strip().splitlines()] == [".u64", ".u64", ".u32"]
    assert ".target sm_90\n" in text
    assert "_ZN" not in text.replace("_ZN5scale", "")


def test_each_line_is_one_of_the_file_also_where_numba_or_a_device_function_is_inlined():
    rows = ptx(SCALE).splitlines()
    places = origins.places(rows, "scale.py")
    assert {file for file, _ in places.values()} == {"scale.py"}
    by_opcode = {rows[at - 1].split()[0]: line for at, (_, line) in places.items() if rows[at - 1].strip()}
    assert by_opcode["st.shared.f32"] in (9, 18)
    assert by_opcode["st.global.f32"] == by_opcode["sqrt.rn.f32"] == 18


def test_the_same_text_gives_the_same_ptx_whatever_was_compiled_before(tmp_path, monkeypatch):
    texts = []
    for number in range(2):
        monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / str(number)))
        if number:
            ptx(SCALE.replace("31 -", "30 -"))
        texts.append(ptx(SCALE))
    assert texts[0] == texts[1]


@pytest.mark.long
def test_options_of_numba_in_the_environment_change_nothing(tmp_path, monkeypatch):
    expected = ptx(SCALE)
    numba_cuda.PROCESS.stop()
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path))
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")
    monkeypatch.setenv("NUMBA_OPT", "0")
    assert ptx(SCALE) == expected


REFUSED = [
    # first: all others then need another process
    ("death",       ("import math", "import math, os; os._exit(7)"),
     r"scale\.py: numba-cuda's process ended with exit status 7 while it compiled this file\."),
    ("syntax",      ("    return sums", "   return sums"),
     r"scale\.py:11: IndentationError: unindent does not match any outer indentation level\."),
    ("no module",   ("import math", "import maths"), r"scale\.py:1: ModuleNotFoundError: No module named 'maths'\."),
    ("at import",   ("import math", "import math; 1 / 0"), r"scale\.py:1: ZeroDivisionError: division by zero\."),
    ("no Exception", ("import math", "import math; raise BaseException('x')"), r"scale\.py:1: BaseException: x\."),
    ("other name",  ("def scale", "def scales"),
     r"scale\.py has no function 'scale'; it has folded, scales\. Name it after its pair\."),
    ("parameters",  ("(x, y, n)", "(x, n)"),
     r"scale\.py:14: 'scale' has 2 parameters, its pair has 3: x, y, n\. They must agree, in order\."),
    ("no name",     ("folded(x[i])", "unfolded(x[i])"), r"scale\.py:18: NameError: name 'unfolded' is not defined\."),
    ("types",       ("folded(x[i])", "'a' + x[i]"), r"scale\.py:18: No implementation of function .*add.*float32\)\."),
    ("a list",      ("folded(x[i])", "[x[i]][0]"), r"scale\.py:18: .*\."),
    ("attribute",   ("folded(x[i])", "x[i].up"), r"scale\.py:18: Unknown attribute 'up' of type float32\."),
    ("size",        ("i < n", "i < x.size"),
     r"scale\.py:17: the 'size' of an array is not available: use a number that the pair passes\."),
    ("length",      ("i < n", "i < len(x)"),
     r"scale\.py:17: the length of an array is not available: use a number that the pair passes\."),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_fault_is_one_sentence_with_its_line(edit, message):
    assert edit[0] in SCALE
    with pytest.raises(CompileError, match=f"^{message}$"):
        ptx(SCALE.replace(*edit))


def test_output_of_a_file_is_not_treated_as_the_answer(capfd):
    assert ".entry scale" in ptx(SCALE.replace("import math", "import math; print('{}')"))
    assert capfd.readouterr().out == ""


def test_an_argument_without_a_type_of_numba_is_named():
    with pytest.raises(CompileError, match=r"no type for the argument 'x', which is float8_e4m3fn\.$"):
        ptx(SCALE, signature=(("x", "float8_e4m3fn*"), *SIGNATURE[1:]))


def test_a_file_that_is_not_utf_8_is_refused_with_its_line():
    with pytest.raises(CompileError, match=r"^k\.py:2: the file is not UTF-8\. Save it as UTF-8\.$"):
        numba_cuda.translate(b"#\n\xff", "k.py", "k", "sm_90", (), {})


def test_an_architecture_that_numba_does_not_know_is_not_a_fault_of_the_kernel():
    with pytest.raises(TargetMismatch, match=r"^scale\.py: not for this target: .*7\.0 is not supported"):
        ptx(SCALE, "sm_70")


def test_without_numba_cuda_the_sentence_names_the_extra(monkeypatch):
    monkeypatch.setattr(numba_cuda, "installed", lambda tool: None)
    with pytest.raises(ToolMissing) as missing:
        ptx(SCALE)
    assert str(missing.value) == (
        "scale.py: numba-cuda, which compiles Python, is not installed: pip install 'ptxbench[numba]'."
    )


def test_a_numba_cuda_that_lacks_a_module_is_not_a_fault_of_the_kernel(tmp_path, monkeypatch):
    modules = {
        "_numba_cuda_redirector.py": "",  # it would find the installed modules
        "numba/__init__.py": "float32 = None",
        "numba/cuda/__init__.py": "jit = lambda **options: lambda function: function",
        "numba/cuda/dispatcher.py": "",
    }
    for name, text in modules.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    numba_cuda.PROCESS.stop()
    try:
        with pytest.raises(ToolMissing, match=r"numba-cuda does not work here: ModuleNotFoundError: .* Reinstall it"):
            ptx(SCALE)
    finally:
        numba_cuda.PROCESS.stop()


@pytest.mark.long
def test_a_file_that_imports_a_module_of_its_author_is_compiled_again_each_time(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ".")  # the process has another current folder
    text = SCALE.replace("import math", "import math\nfrom factors import FACTOR").replace(
        "folded(x[i])", "x[i] * FACTOR"
    )
    numba_cuda.PROCESS.stop()
    texts = []
    for factor in (2.0, 3.0):
        (tmp_path / "factors.py").write_text(f"from numba import float32\nFACTOR = float32({factor})\n")
        os.utime(tmp_path / "factors.py", (factor, factor))  # Python compares times in whole seconds
        texts.append(ptx(text))
    numba_cuda.PROCESS.stop()
    assert "0f40400000" in texts[1]
    assert texts[0] != texts[1]


def test_a_knob_is_a_constant_at_the_top_level(tmp_path):
    loaded = with_knobs(discovery.load(KERNELS, "triad"), {"BLOCK": 512})
    row = next(source for source in loaded.sources if source.variant == "numba")
    assert ".maxntid 512, 1, 1" in toolchain.build_source(row, "sm_90", "driver").ptx


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("BLOCK = 128", r"triad\.py:1: BLOCK is 128 here and 256 in the pair file\. Make them equal\."),
        ("OTHER = 256", r"triad\.py does not use the knob BLOCK, but other kernels of the pair do\. "
                        r"Write BLOCK = 256 at the top level, and use it\."),
    ],
)  # fmt: skip
def test_a_knob_that_does_not_agree_is_reported(line, message, tmp_path):
    for path in KERNELS.glob("*/triad.*"):
        copy = tmp_path / path.relative_to(KERNELS)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text())
    (tmp_path / "numba" / "triad.py").write_text(f"{line}\n")
    with pytest.raises(PairError, match=message):
        discovery.load(tmp_path, "triad")


def test_numba_cuda_is_imported_only_by_its_process_and_only_for_a_kernel():
    text = "import sys; import ptxbench.toolchain, ptxbench.cli.run; print('numba' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
