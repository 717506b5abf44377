"""A kernel that is called with NumPy arrays: arguments that do not fit, and a launch on a scripted GPU."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from ptxbench import callable_kernel
from ptxbench.backends.base import LaunchOutcome
from ptxbench.callable_kernel import load_kernel
from ptxbench.emulator import Pointer
from ptxbench.errors import ToolMissing, UsageError
from ptxbench.run_info import Device
from ptxbench.toolchain.options import SourceOptions
from tests.folders import CUDA, PTX

SHAPE = {"grid": 8, "block": 128}


@dataclass
class ScriptedGpu:
    """A GPU that writes 7 to every output, and keeps what it was given."""

    passed: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    name: str = "gpu"

    def device(self):
        return Device("gpu", sm="sm_90")

    def run(self, build, launch, passed, outputs):
        self.passed, self.outputs = dict(passed), outputs
        return LaunchOutcome({name: np.full_like(passed[name], 7) for name in outputs})


@pytest.fixture
def data():
    return np.arange(1000, dtype=np.float32), np.zeros(1000, np.float32)


@pytest.fixture(params=[".cu", ".ptx"])
def path(request, tmp_path):
    file = tmp_path / f"scale{request.param}"
    file.write_text(CUDA if request.param == ".cu" else PTX)
    return file


@pytest.fixture
def gpu(monkeypatch):
    scripted = ScriptedGpu()
    monkeypatch.setattr(callable_kernel, "open_backend", lambda backend, arch: scripted)
    return scripted


@pytest.mark.parametrize(
    ("a", "n", "message"),
    [
        (1e300,    1000,  r"^'a' is \.f32, which cannot hold 1e\+300\."),
        (-1e39,    1000,  r"^'a' is \.f32, which cannot hold -1e\+39\."),
        (10**400,  1000,  r"^'a' is \.f32, which cannot hold 1000"),
        (None,     1000,  r"^'a' is (\.f32|declared as float a); expected a number, found None, which is for"),
        (2,        None,  r"^'n' is (\.u32|declared as unsigned int n); expected a number, found None"),
        (2,        1 << 32,         r"^'n' has 32 bits, which cannot hold 4294967296\."),
        (2,        -(1 << 31) - 1,  r"^'n' has 32 bits, which cannot hold -2147483649\."),
        (2,        1.5,   r"^'n' is \.u32; expected a whole number, found 1\.5\."),
    ],
)  # fmt: skip
def test_a_number_that_does_not_fit_its_parameter_is_refused(path, data, a, n, message):
    with pytest.raises(UsageError, match=message):
        load_kernel(path, SourceOptions())(args=[*data, a, n], **SHAPE)


def test_infinity_and_the_greatest_float_fit(path, data):
    x, y = data
    kernel = load_kernel(path, SourceOptions())
    for a in (float("inf"), -float("inf"), float(np.finfo(np.float32).max)):
        kernel(args=[x, y, a, 1000], **SHAPE)
        assert y[1] == np.float32(a)


def test_a_launch_may_have_numbers_of_numpy(path, data):
    x, y = data
    kernel = load_kernel(path, SourceOptions())
    kernel(
        args=[x, y, 2, 1000], grid=np.int64(8), block=np.int32(128), shared_bytes=np.prod([4, 16]), sanitize=np.True_
    )
    assert y[3] == 6


@pytest.mark.parametrize("sanitize", ["no", 0, 1, None, "yes"])
def test_sanitize_is_true_or_false(path, data, sanitize):
    with pytest.raises(UsageError, match=rf"^sanitize is .*{sanitize}.*; expected True or False\.$"):
        load_kernel(path, SourceOptions())(args=[*data, 2, 1000], **SHAPE, sanitize=sanitize)


@pytest.mark.parametrize(("element", "quote"), [(2.5, r"2\.5"), ("a", "'a'"), (-1, "-1")])
def test_an_array_of_objects_that_are_no_addresses_is_refused(tmp_path, data, element, quote):
    file = tmp_path / "scale.ptx"
    file.write_text(PTX)
    kernel = load_kernel(file, SourceOptions())
    objects = np.array([None, element], object)
    with pytest.raises(UsageError, match=rf"^'x\[1\]' is {quote}; expected an a"):
        kernel(args=[objects, data[1], 2, 1000], **SHAPE)


@pytest.mark.parametrize("name", ["X", 0, ""])
def test_an_unknown_argument_is_named(path, data, name):
    x, y = data
    with pytest.raises(UsageError, match=rf"^unknown argument {name!r}\..* 'scale' has 4 parameters: x, y, a, n\.$"):
        load_kernel(path, SourceOptions())(args={"x": x, "y": y, "a": 2, "n": 1000, name: 1}, **SHAPE)


def test_on_a_gpu_arrays_that_are_not_read_only_are_outputs(path, data, gpu):
    x, y = data
    x.setflags(write=False)
    result = load_kernel(path, SourceOptions())(args=[x, y, 2, 1000], **SHAPE)
    assert gpu.outputs == ("y",)
    assert result.arrays["y"] is y
    assert set(y) == {7}
    assert [type(value) for value in gpu.passed.values()] == [np.ndarray, np.ndarray, np.float32, np.uint32]
    with pytest.raises(UsageError, match=r"^A GPU does not count\."):
        _ = result.counted
    load_kernel(path, SourceOptions())(args=[None, y, 2, 1000], **SHAPE)
    assert gpu.passed["x"] == np.uint64(0)


def test_on_a_gpu_what_only_the_emulator_can_do_is_refused(path, data, gpu):
    x, y = data
    kernel = load_kernel(path, SourceOptions())
    with pytest.raises(UsageError, match=r"^sanitize=True needs the emulator\."):
        kernel(args=[x, y, 2, 1000], sanitize=True, **SHAPE)
    with pytest.raises(UsageError, match=r"^max_loop_iterations is an option of the emulator\."):
        kernel(args=[x, y, 2, 1000], max_loop_iterations=5, **SHAPE)
    with pytest.raises(UsageError, match=r"^'x' is a Pointer, which only the emulator supports\."):
        kernel(args=[Pointer(x, 4), y, 2, 1000], **SHAPE)
    for second in (x, x[:], x[1:]):
        with pytest.raises(UsageError, match=r"^'x' and 'y' get the same memory, which only the emulator supports\."):
            kernel(args=[x, second, 2, 999], **SHAPE)
    assert not gpu.passed


def test_a_gpu_takes_no_array_of_addresses(tmp_path, data, gpu):
    file = tmp_path / "scale.ptx"
    file.write_text(PTX)
    with pytest.raises(UsageError, match=r"^'x' has the addresses of arrays, which only the emulator supports\."):
        load_kernel(file, SourceOptions())(args=[np.array([None], object), data[1], 2, 1000], **SHAPE)
    assert not gpu.passed


def test_an_architecture_must_be_that_of_the_gpu(path, gpu, monkeypatch):
    with pytest.raises(UsageError, match=r"^The GPU is sm_90, not sm_80\. Leave out the architecture"):
        load_kernel(path, SourceOptions(), arch="sm_80")
    assert load_kernel(path, SourceOptions()).program.arch == "sm_90"
    assert load_kernel(path, SourceOptions(), arch="sm_90a").program.arch == "sm_90a"
    monkeypatch.undo()
    with pytest.raises(ToolMissing, match=r"^No GPU: .*\. Use the backend 'emulator'\.$"):
        load_kernel(path, SourceOptions(), backend="gpu")


def test_an_unknown_count_names_similar_ones(path, data):
    result = load_kernel(path, SourceOptions())(args=[*data, 2, 1000], **SHAPE)
    with pytest.raises(UsageError, match=r"^unknown count 'store_sectors'\. Did you mean ptx_global_store_sectors, "):
        result.counts["store_sectors"]
    with pytest.raises(UsageError, match=r"^unknown count 'ptx_barrierz'\. Did you mean 'ptx_barriers'\?$"):
        result.counts["ptx_barrierz"]
