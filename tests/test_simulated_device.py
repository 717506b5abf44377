"""The simulated device is as strict as a real one: it runs late, its errors are sticky, and it has limits."""

import ast
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ptxbench import toolchain
from tests import simulated

NAMES = """
import json, cupy
runtime, driver = cupy.cuda.runtime, cupy.cuda.driver
asked = json.loads({asked!r}) if {asked!r} else [
    [each for each in dir(part) if each.startswith(("cudaDevAttr", "CU_FUNC", "memcpy")) and "Async" not in each]
    for part in (runtime, driver)
] + [[name for name in vars(type(part)) if name[0] != "_"] for part in (runtime, driver)]
numbers = [{{name: int(getattr(part, name)) for name in names}} for part, names in zip((runtime, driver), asked[:2])]
errors = {{}}
for status in (1, 2, 46, 100, 209, 214, 221, 222, 226, 600, 700, 702, 716, 719, 720, 721, 810, 900, 901, 912, 999):
    try:
        raise runtime.CUDARuntimeError(status)
    except runtime.CUDARuntimeError as error:
        errors[status] = (error.status, str(error))
calls = {{
    "Stream": ("begin_capture", "end_capture", "synchronize"), "Event": ("record", "synchronize"),
    "MemoryPool": ("free_all_blocks", "free_bytes"), "MemoryPointer": ("memset_async",),
}}
there = [hasattr(getattr(cupy.cuda, kind), name) for kind, names in calls.items() for name in names]
there += [hasattr(cupy.cuda.function.Module, name) for name in ("load", "get_function")]
there += [hasattr(part, name) for part, names in zip((runtime, driver), asked[2:]) for name in names]
there += [issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError), callable(cupy.get_default_memory_pool)]
print(json.dumps([asked, numbers, errors, there]))
"""


def test_its_names_numbers_and_messages_match_cupy(tmp_path):
    def interface(asked, **environment):
        code = NAMES.format(asked=asked)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=os.environ | environment
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    ours = interface("", **simulated.environment(tmp_path))
    assert all(ours[3])
    assert interface(json.dumps(ours[0])) == ours


@pytest.fixture
def cuda(monkeypatch, tmp_path):
    """CuPy's layer over a device with this script."""

    def cuda(**script):
        simulated.install(monkeypatch, tmp_path / "device", **script)
        from cupy import cuda

        return cuda

    return cuda


def upload(cuda, stream, memory, array):
    cuda.runtime.memcpyAsync(memory.ptr, array.ctypes.data, array.nbytes, cuda.runtime.memcpyHostToDevice, stream.ptr)


def download(cuda, stream, memory, array):
    cuda.runtime.memcpyAsync(array.ctypes.data, memory.ptr, array.nbytes, cuda.runtime.memcpyDeviceToHost, stream.ptr)


def test_a_copy_reads_the_host_as_late_as_allowed(cuda):
    cuda = cuda()
    stream, memory = cuda.Stream(non_blocking=True), cuda.alloc(16)
    array, copied = np.arange(4, dtype=np.uint32), np.zeros(4, np.uint32)
    download(cuda, stream, memory, copied)
    stream.synchronize()
    assert copied.tolist() == [0xCDCDCDCD] * 4  # unwritten memory
    upload(cuda, stream, memory, array)
    array[:] = 7  # too early
    download(cuda, stream, memory, copied)
    assert copied.tolist() == [0xCDCDCDCD] * 4
    stream.synchronize()
    assert copied.tolist() == [7] * 4


def test_the_times_of_events_include_a_late_host(cuda):
    cuda = cuda(host_ns={"cudaMemsetAsync": 50_000}, device={"event_ns": 1})
    stream, memory = cuda.Stream(non_blocking=True), cuda.alloc(1 << 20)
    first, second, third = (cuda.Event() for _ in range(3))
    for event in (first, second, third):
        event.record(stream)
        memory.memset_async(0, 1 << 20, stream)
    with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorNotReady"):
        cuda.get_elapsed_time(first, third)
    third.synchronize()
    assert cuda.get_elapsed_time(first, second) > 0.05  # a fill takes the device a microsecond and a half


def test_a_wait_spoils_a_capture_which_then_can_end(cuda):
    cuda = cuda()
    stream, memory = cuda.Stream(non_blocking=True), cuda.alloc(16)
    stream.begin_capture()
    with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorStreamCaptureUnsupported"):
        stream.synchronize()
    with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated"):
        memory.memset_async(1, 16, stream)
    with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorStreamCaptureInvalidated"):
        stream.end_capture()
    stream.begin_capture()
    memory.memset_async(1, 16, stream)
    graph, copied = stream.end_capture(), np.zeros(16, np.uint8)
    download(cuda, stream, memory, copied)
    stream.synchronize()
    assert copied[0] == 0xCD  # captured, not run
    graph.launch(stream)
    download(cuda, stream, memory, copied)
    stream.synchronize()
    assert copied.tolist() == [1] * 16


def test_memory_is_limited_and_the_pool_returns_its_blocks(cuda):
    cuda = cuda(device={"memory_bytes": 1 << 20})
    kept = [cuda.alloc(1 << 18) for _ in range(3)]
    with pytest.raises(cuda.memory.OutOfMemoryError, match="allocating 524,288 bytes"):
        cuda.alloc(1 << 19)
    del kept
    assert cuda.runtime.memGetInfo()[0] == 1 << 18
    assert cuda.MemoryPool.free_bytes() == 3 << 18
    half = cuda.alloc(1 << 19)
    assert cuda.runtime.memGetInfo()[0] == 1 << 19
    del half
    part = cuda.alloc(1 << 18)
    cuda.MemoryPool.free_all_blocks()
    assert cuda.runtime.memGetInfo()[0] == 1 << 19  # a region in use stays whole
    del part


def test_an_error_stays_or_passes_as_cuda_says(cuda, tmp_path):
    faults = [
        {"call": "cudaMemGetInfo", "at": 2, "status": 2},
        {"call": "cudaMemGetInfo", "at": 4, "status": 719},
    ]
    cuda = cuda(faults=faults)
    answers = []
    for _ in range(5):
        try:
            answers.append(cuda.runtime.memGetInfo()[1] > 0)
        except cuda.runtime.CUDARuntimeError as error:
            answers.append(error.status)
    assert answers == [True, 2, True, 719, 719]
    with pytest.raises(cuda.runtime.CUDARuntimeError, match="cudaErrorLaunchFailure"):
        cuda.alloc(16)


def test_a_device_for_one_process_is_busy_for_another(cuda, tmp_path):
    cuda(exclusive=True).runtime.memGetInfo()
    code = "import cupy; print(cupy.cuda.runtime.getDeviceCount()); cupy.cuda.runtime.memGetInfo()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "1\n"  # who only asks needs no context
    assert "CUDARuntimeError: cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy" in done.stderr


def test_a_foreign_cubin_is_refused(cuda):
    module = cuda().function.Module()
    with pytest.raises(LookupError, match="knows no PTX of this cubin"):
        module.load(b"\x7fELF of somebody else\0")


def test_the_simulated_device_is_small():
    """Lines of code: without blank lines, comments and docstrings."""
    code = 0
    for path in simulated.PATH.parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        docstrings = {
            line
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            for line in range(node.lineno, node.end_lineno + 1)
        }
        lines = enumerate(text.splitlines(), 1)
        code += sum(1 for i, line in lines if i not in docstrings and line.strip() and not line.strip().startswith("#"))
    assert code < 1260


def test_the_simulated_device_leaves_nothing_behind(tmp_path):
    before, assembled = dict(sys.modules), toolchain.assembled
    with pytest.MonkeyPatch.context() as patch:
        simulated.install(patch, tmp_path)
        import cupy

        assert cupy.cuda.runtime.getDeviceCount() == 1
        assert toolchain.assembled is not assembled
    assert toolchain.assembled is assembled
    names = {module for module in before | sys.modules if module.partition(".")[0] in ("cupy", "simulated_gpu")}
    assert all(sys.modules.get(name) is before.get(name) for name in names)
