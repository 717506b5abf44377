"""A kernel of a file on the GPU: arrays in place, what the backend checks, and what a GPU cannot report."""

import numpy as np
import pytest

from ptxbench.callable_kernel import load_kernel
from ptxbench.emulator import Pointer
from ptxbench.errors import UsageError, WrongResult
from ptxbench.toolchain.options import SourceOptions
from tests.folders import CUDA, PTX, changed


@pytest.fixture
def load(gpu, tmp_path):
    """Loads a kernel from its text."""

    def load(text, suffix=".ptx", **options):
        path = tmp_path / f"scale{suffix}"
        path.write_text(text)
        return load_kernel(path, SourceOptions(), backend="gpu", **options)

    return load


@pytest.fixture
def data():
    return np.arange(1000, dtype=np.float32), np.zeros(1000, np.float32)


@pytest.mark.parametrize(("text", "suffix"), [(PTX, ".ptx"), (CUDA, ".cu")])
def test_arrays_are_changed_in_place(load, data, text, suffix):
    x, y = data
    result = load(text, suffix)(args=[x, y, 2.5, 1000], grid=8, block=128)
    assert result.arrays["y"] is y
    np.testing.assert_array_equal(y, 2.5 * np.arange(1000, dtype=np.float32))
    np.testing.assert_array_equal(x, np.arange(1000, dtype=np.float32))


def test_a_write_outside_an_array_or_to_one_that_is_read_only_is_an_error(load, data):
    x, y = data
    unguarded = load(changed(PTX, "    @%past bra    DONE;\n", ""))
    with pytest.raises(WrongResult, match=r"scale.ptx writes outside its outputs: byte 4000 of 'y'"):
        unguarded(args=[np.zeros(1024, np.float32), y, 2, 1000], grid=8, block=128)
    assert y.any() == 0  # as before the launch
    y.setflags(write=False)
    with pytest.raises(WrongResult, match=r"element 1 of the input 'y' was 0\.0 and is 2\.0"):
        load(PTX)(args=[x, y, 2, 1000], grid=8, block=128)


def test_what_only_the_emulator_can_do_is_refused(load, data):
    x, y = data
    kernel = load(PTX)
    result = kernel(args=[x, y, 2, 1000], grid=8, block=128)
    for name in ("counts", "executed"):
        with pytest.raises(UsageError, match="A GPU does not count"):
            getattr(result, name)
    with pytest.raises(UsageError, match="sanitize=True needs the emulator"):
        kernel(args=[x, y, 2, 1000], grid=8, block=128, sanitize=True)
    with pytest.raises(UsageError, match="'x' is a Pointer"):
        kernel(args=[Pointer(x, 4), y, 2, 999], grid=8, block=128)
    with pytest.raises(UsageError, match="'x' and 'y' get the same memory"):
        kernel(args=[y, y, 2, 1000], grid=8, block=128)
    with pytest.raises(UsageError, match="max_loop_iterations is an option of the emulator"):
        kernel(args=[x, y, 2, 1000], grid=8, block=128, max_loop_iterations=9)


def test_another_architecture_is_refused(load, gpu):
    with pytest.raises(UsageError, match=f"The GPU is {gpu.device().sm}, not sm_70"):
        load(PTX, arch="sm_70")


def test_a_null_pointer_arrives_as_zero(load):
    kernel = load(
        ".version 6.3\n.target sm_75\n.address_size 64\n"
        ".visible .entry scale(.param .u64 p, .param .u64 out)\n{\n    .reg .u64 %p, %out;\n"
        "    ld.param.u64 %p, [p];\n    ld.param.u64 %out, [out];\n    cvta.to.global.u64 %out, %out;\n"
        "    st.global.u64 [%out], %p;\n    ret;\n}\n"
    )
    out = np.ones(1, np.uint64)
    kernel(args=[None, out], block=1)
    assert out[0] == 0
