"""The fixture `ptxbench_kernel`: what a test of a kernel gets when the kernel is right, and when something is wrong."""

import fnmatch
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.test_exec import RACY
from tests.folders import CUDA, PTX, changed

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/pytest.md").read_text(encoding="utf-8")
MODULE = "ptxbench.pytest_plugin"
INSTALLED = any(entry.value == MODULE for entry in metadata.entry_points(group="pytest11"))

FILES = {
    "scale.cu": CUDA,
    "scale.ptx": PTX,
    "racy.ptx": RACY,
    "broken.cu": changed(CUDA, "y[i]", "z[i]"),
    "refused.ptx": changed(PTX, "mul.rn.f32", "mul.rn.f99"),
    "two.cu": "__global__ void one(int* x) { *x = 1; }\n"
              "namespace ns { template <class T> __global__ void add(T* x, T y) { *x += y; } }\n",
    "inner/header.h": "#define TIMES 2\n",
    "inner/include.cu": '#include "header.h"\nextern "C" __global__ void k(int* x) { *x = TIMES * PLUS; }\n',
    "say.cu": 'extern "C" __global__ void say() { printf("hello\\n"); }\n',
    "bytes.cu": "struct Two { int a, b; };\n"
                'extern "C" __global__ void f(Two two, const Two* more, float* out) { *out = two.a + more->b; }\n',
}  # fmt: skip


HEAD = "import numpy as np\nimport pytest\n\nONCE = {once!r}\n\n\n"
TEST = """\
def test_{number}(ptxbench_kernel, monkeypatch):
    x, y = np.arange(1000, dtype=np.float32), np.zeros(1000, np.float32)
    {body}


"""
"""A test with a body, in which x is 0, 1, 2, ... and y is all 0."""


def file_of(bodies):
    tests = [TEST.format(number=number, body=body.replace("\n", "\n    ")) for number, body in enumerate(bodies)]
    return HEAD.format(once="") + "".join(tests)


def run_pytest(folder, cache, *arguments):
    """Run the tests of a folder in a process of their own: the failure of each by its file and name, "" if it passed.

    None in place of a dictionary if pytest did not run.
    """
    environment = {**os.environ, "PTXBENCH_CACHE": str(cache), "CUDA_VISIBLE_DEVICES": "", "PYTEST_ADDOPTS": ""}
    plugin = () if INSTALLED else ("-p", MODULE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *plugin, *arguments]
    report = folder / "report.xml"
    ran = subprocess.run(
        [*command, f"--junitxml={report}", f"--rootdir={folder}", str(folder)], cwd=folder, env=environment,
        capture_output=True, text=True,
    )  # fmt: skip
    if not report.exists():
        return None
    results = {}
    for case in ElementTree.parse(report).iter("testcase"):
        failures = [part.text for part in case if part.tag in ("failure", "error", "skipped")]
        results[f"{case.get('classname')}.{case.get('name')}"] = "\n".join(failures)
    assert results, ran.stdout
    return results


def write_kernels(folder):
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


SCALE = "args=[x, y, 2.5, 1000], grid=8, block=128"

RIGHT = [
    f'ptxbench_kernel("scale.cu")({SCALE}, sanitize=True)\nnp.testing.assert_array_equal(y, 2.5 * x)',
    f'ptxbench_kernel("scale.ptx")({SCALE})\nnp.testing.assert_array_equal(y, 2.5 * x)',
    # by name, in any order; the names of CUDA C
    'args = {"n": 1000, "a": np.float32(2.5), "y": y, "x": x}\n'
    'result = ptxbench_kernel("scale.cu")(args=args, grid=(8, 1), block=(128, 1, 1))\n'
    'assert result.arrays["y"] is y\nassert y[999] == 2497.5',
    # counts, and what follows from them
    f'result = ptxbench_kernel("scale.cu")({SCALE})\n'
    'assert result.counts["ptx_global_load_sectors"] == result.counts["ptx_global_sectors"] / 2 == 125\n'
    'assert result.counts["ptx_shared_conflicts"] == 0\nassert result.counts["ptx_weighted_instructions"] > 0\n'
    "assert result.executed.least <= result.executed.fit <= result.executed.most < 700",
    # kernels by name, and templates
    'v = np.array([5], np.int32)\nptxbench_kernel("two.cu", "one")(args=[v])\n'
    'ptxbench_kernel("two.cu", "ns::add<int>")(args=[v, -3])\nassert v[0] == -2',
    # relative to the file of the test
    'v = np.zeros(1, np.int32)\n'
    'ptxbench_kernel("inner/include.cu", include=["inner"], defines=["PLUS=4"], standard="c++20")(args=[v])\n'
    "assert v[0] == 8",
    'assert ptxbench_kernel("say.cu")(args=[], block=1).printed == "hello\\n"',
    # structures by value, and arrays of them
    'two = np.array((1, 2), np.dtype([("a", "i4"), ("b", "i4")]))\nout = np.zeros(1, np.float32)\n'
    'ptxbench_kernel("bytes.cu")(args=[two[()], two.reshape(1), out])\nassert out[0] == 3',
    # a kernel that must fail
    'from ptxbench.errors import UnsafeLaunch\n'
    'with pytest.raises(UnsafeLaunch, match="race: racy.ptx:12"):\n'
    '    ptxbench_kernel("racy.ptx")(args=[np.zeros(64, np.uint32)], block=64, sanitize=True)',
    # a check that was not made is a warning, and there is no number
    'from ptxbench.errors import PtxbenchError\nfrom ptxbench.toolchain import locate\n'
    'monkeypatch.setattr(locate, "program", lambda name: None)  # no ptxas\n'
    'with pytest.warns(UserWarning, match="^scale.ptx: not checked whether ptxas takes this PTX: "):\n'
    f'    result = ptxbench_kernel("scale.ptx")({SCALE})\n'
    'with pytest.raises(PtxbenchError, match="executed machine instructions is not known: ptxas is not installed."):\n'
    '    result.executed',
    'assert repr(ptxbench_kernel("two.cu", "ns::add<float>")).startswith("<kernel ns::add<float> of two.cu, sm_90")',
    'assert repr(ptxbench_kernel("scale.cu", arch="sm_80")) == "<kernel scale of scale.cu, sm_80, on the emulator>"',
]  # fmt: skip


# the body, what the failure says
WRONG = [
    ('ptxbench_kernel("racy.ptx")(args=[np.zeros(64, np.uint32)], block=64, sanitize=True)',
     ["*UnsafeLaunch: The sanitizer found 3 errors:", "*race: racy.ptx:12: st.shared.u32 by thread 32 of CTA 0*",
      "*uninitialised: racy.ptx:14: *never written."]),
    ('ptxbench_kernel("scale.cu")(args=[x, y, 2.5, 999], grid=8, block=128)\n'
     "np.testing.assert_array_equal(y, 2.5 * x)", ["E*Mismatched elements: 1 / 1000*"]),
    ('ptxbench_kernel("scale.cu")(args=[x, y, 2.5, 1001], grid=8, block=128)',
     ["*MemoryFault: scale.cu:7 (PTX line *): ld.global.f32 by thread 104 of CTA 7 reads byte 4000 of 'x', which*"]),
    ('ptxbench_kernel("none.cu")', ["*UsageError: There is no file *none.cu."]),
    ('ptxbench_kernel("broken.cu")', ['*CompileError: broken.cu:7: identifier "z" is undefined*']),
    ('ptxbench_kernel("refused.ptx")', ["*AssembleError: refused.ptx:35: *"]),
    ('ptxbench_kernel("scale.cu", "scales")', ["*UsageError: scale.cu has no kernel 'scales'. Did you mean 'scale'?"]),
    ('ptxbench_kernel("two.cu", flags=["--std=c++99"])', ["*--std*"]),
    ('ptxbench_kernel("scale.cu")(args=[np.zeros(9), y, 2, 9])',
     ["*UsageError: 'x' is declared as const float* x; expected numpy.float32, found float64."]),
    ('ptxbench_kernel("scale.cu")(args=[3, y, 2, 9])',
     ["*UsageError: 'x' is declared as const float* x; expected an array, found 3."]),
    ('ptxbench_kernel("scale.cu")(args=[x, y, 2, 2.5])', ["*UsageError: 'n' is .u32; expected a whole number, found*"]),
    ('ptxbench_kernel("scale.cu")(args=[x, y, 2, 1 << 32])',
     ["*UsageError: 'n' has 32 bits, which cannot hold 4294967296."]),
    ('ptxbench_kernel("scale.cu")(args=[x, y, np.float64(2), 9])',
     ["*LaunchError: 'a' is .f32 (4 bytes), but its argument is float64."]),
    ('ptxbench_kernel("scale.cu")(args=[[1.0], y, 2, 9])', ["*UsageError: 'x' is a list; expected a NumPy array, or*"]),
    ('ptxbench_kernel("scale.cu")(args=[x[::2], y, 2, 9])',
     ["*LaunchError: The array for 'x' must be C-contiguous. Pass numpy.ascontiguousarray of it."]),
    ('ptxbench_kernel("bytes.cu")(args=[1, y, y])', ["*UsageError: 'two' is a structure of 8 bytes; expected an np*"]),
    ('ptxbench_kernel("scale.cu")(args=[x])',
     ["*UsageError: 'scale' has 4 parameters: x, y, a, n; 1 argument was given."]),
    ('ptxbench_kernel("scale.cu")(args=[x, y])',
     ["*UsageError: 'scale' has 4 parameters: x, y, a, n; 2 arguments were given."]),
    ('ptxbench_kernel("two.cu", "ns::add<float>")(args=[x])', ["*'ns::add<float>' has 2 parameters: x, y; 1*"]),
    ('ptxbench_kernel("say.cu")(args=[], block=2048)', ["*LaunchError: The block has 2048 threads; the maximum is*"]),
    ('ptxbench_kernel("scale.cu")(args={"x": x, "y": y, "a": 2, "m": 9})',
     ["*UsageError: unknown argument 'm'. 'scale' has 4 parameters: x, y, a, n."]),
    ('ptxbench_kernel("scale.cu")(args={"x": x, "y": y})', ["*UsageError: no argument for 'a', 'n'. 'scale' has 4*"]),
    ('ptxbench_kernel("scale.ptx")(args=[x, y, 2, 9], block=256)', ["*LaunchError: 'scale' allows at most 128*"]),
    ('ptxbench_kernel("scale.ptx")(args=[x, y, 2, 9], grid=0)', ["*LaunchError: grid is 0; expected one to three*"]),
    (f'y.setflags(write=False)\nptxbench_kernel("scale.cu")({SCALE})',
     ["*ReadOnlyArray: The kernel writes byte * of 'y', whose array is read-only. Pass a writable one."]),
    (f'ptxbench_kernel("scale.cu")({SCALE}).counts["conflicts"]',
     ["*UsageError: unknown count 'conflicts'. Did you mean ptx_shared_conflicts, ptx_shared_load_conflicts, *"]),
    (f'assert ptxbench_kernel("scale.cu")({SCALE}).counts["ptx_barriers"] == 1', ["E*assert 0 == 1"]),
    ('ptxbench_kernel("scale.cu")(args=x[0])', ["*UsageError: args is np.float32(*); expected a list."]),
    (f'ptxbench_kernel("scale.cu")({SCALE}, max_loop_iterations=0)',
     ["*UsageError: max_loop_iterations is 0; expected a whole number of at least 1."]),
    ('ptxbench_kernel("scale.cu", arch="sm_1")', ["*UsageError: *sm_1*"]),
    ('ptxbench_kernel("scale.cu", backend="cpu")', ["*UsageError: backend is 'cpu'; expected one of auto, *"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory, shared_cache):
    """Every test of this file and of the page, run once."""
    folder = tmp_path_factory.mktemp("kernels")
    write_kernels(folder)
    (folder / "test_right.py").write_text(file_of(RIGHT))
    (folder / "test_wrong.py").write_text(file_of([body for body, _ in WRONG]))
    [kernel] = re.findall(r"^```cuda\n(.*?)^```", PAGE, re.M | re.S)
    first, counts = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    for name, source in (("page", kernel), ("mistake", changed(kernel, "i < n", "i <= n"))):
        (folder / name).mkdir()
        (folder / name / "saxpy.cu").write_text(source)
        (folder / name / f"test_{name}.py").write_text(first)
        (folder / name / f"test_{name}_counts.py").write_text(counts)
    return run_pytest(folder, shared_cache)


@pytest.mark.parametrize("number", range(len(RIGHT)))
def test_a_kernel_that_is_right_passes(results, number):
    assert results[f"test_right.test_{number}"] == ""


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_is_wrong_fails_the_test_with_a_sentence_and_without_lines_of_ptxbench(results, number):
    failure = results[f"test_wrong.test_{number}"]
    for line in WRONG[number][1]:
        assert fnmatch.filter(failure.splitlines(), line.replace("[", "[[]")), failure
    assert not re.search(r"ptxbench/\S+\.py:\d+: ", failure), failure


def test_the_examples_of_the_page_pass(results):
    page = {name: failure for name, failure in results.items() if name.startswith("page.")}
    assert len(page) == 7
    assert set(page.values()) == {""}


def test_a_mistake_fails_the_example_as_the_page_says(results):
    expected = re.search(r"^```\n(E .*?)^```", PAGE, re.M | re.S)[1]
    failure = results["mistake.test_mistake.test_saxpy_agrees_with_numpy[1]"]
    assert re.sub(r"PTX line \d+", "PTX line", expected) in re.sub(r"PTX line \d+", "PTX line", failure)


# ---- the options


@pytest.mark.long
def test_the_options_choose_the_backend_and_the_architecture(tmp_path, shared_cache):
    write_kernels(tmp_path)
    (tmp_path / "test_options.py").write_text(
        file_of(['print(ptxbench_kernel("scale.cu"))\nassert 0', 'ptxbench_kernel("scale.cu", backend="gpu")'])
    )
    emulated, refused = run_pytest(tmp_path, shared_cache, "--ptxbench-arch=sm_80", "--ptxbench-backend=auto").values()
    assert "assert 0" in emulated
    assert re.search(r"E +ptxbench.errors.ToolMissing: No GPU: .*\. Use the backend 'emulator'\.", refused)


@pytest.mark.long
def test_an_unknown_backend_is_an_error_of_the_command_line(tmp_path, shared_cache):
    assert run_pytest(tmp_path, shared_cache, "--ptxbench-backend=cpu") is None


# ---- the plugin


def test_the_plugin_is_declared_and_costs_a_test_run_without_kernels_nothing():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"ptxbench": MODULE}
    assert not any(requirement.startswith("pytest") for requirement in project["dependencies"])
    source = f"import pytest, sys; before = set(sys.modules); import {MODULE}; print(*set(sys.modules) - before)"
    ran = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) <= {"ptxbench", MODULE, "importlib"}
