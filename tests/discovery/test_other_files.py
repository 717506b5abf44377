"""A file that is neither PTX nor CUDA C: the message says whether it has a kernel, and what to do with it."""

from pathlib import Path

import pytest

from ptxbench.check.inputs import open_candidate
from ptxbench.discovery.other_files import missing_file, not_a_kernel
from ptxbench.discovery.suggestions import of_file

CUDA = "__global__ void k(float* x) { x[threadIdx.x] = 1; }"
PTX = ".version 8.0\n.target sm_90\n.visible .entry k() { ret; }"
HAS_CUDA = " It has CUDA C: save that alone as a .cu file."

FILES = [
    ("k.md",     f"# A kernel\n```cuda\n{CUDA}\n```\n", HAS_CUDA),
    ("k.py",     f'source = r"""\n{CUDA}\n"""\n',       HAS_CUDA),
    ("k.cuh",    CUDA,                                  HAS_CUDA),
    ("k.txt",    f"// made by hand\n{PTX}",             " It has PTX: save that alone as a .ptx file."),
    ("k.o",      "\x7fELF",                             " It has machine code: name the PTX or the CUDA C that it was "
                                                        "made from."),
    ("k.txt",    "The .entry of the .version",          ""),
    ("k.txt",    "",                                    ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "advice"), FILES)
def test_a_file_of_another_kind_says_what_to_do_with_its_kernel(name, text, advice, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    assert not_a_kernel(name, path) == f"{name} is neither a .ptx nor a .cu file.{advice}"
    assert of_file(path, tmp_path).endswith(f"{name} is not one.{advice}")
    assert open_candidate(path).message.endswith(f".{advice}")


PYTHON = [
    ("import triton\n\n@triton.jit\ndef k(): ...\n",
     " Kernels in Triton belong to a pair: triton/NAME.triton.py in its folder."),
    ("@cuda.jit\ndef k(): ...\n", " Kernels in Python belong to a pair: numba/NAME.py in its folder."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "advice"), PYTHON)
def test_kernels_in_python_belong_to_a_pair(text, advice, tmp_path):
    path = tmp_path / "k.py"
    path.write_text(text)
    assert not_a_kernel("k.py", path) == f"k.py is neither a .ptx nor a .cu file.{advice}"


MISSING = [
    ("add",         "There is no file add. Did you mean 'add.cu'?"),
    ("sub/ad.ptx",  "There is no file sub/ad.ptx. Did you mean 'sub/ad.cu'?"),
    ("sub/add.cu",  "There is no file sub/add.cu. Did you mean 'add.cu'?"),
    ("gone/ADD.CU", "There is no file gone/ADD.CU. Did you mean 'add.cu'?"),
    ("other.cu",    "There is no file other.cu."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "message"), MISSING)
def test_a_missing_file_has_the_one_that_may_be_meant(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for file in ("add.cu", "notes.md", "sub/ad.cu"):
        (tmp_path / file).touch()
    assert missing_file(Path(name)) == message


def test_a_file_that_cannot_be_read_has_no_kernel(tmp_path):
    assert not_a_kernel("gone.txt", tmp_path / "gone.txt") == "gone.txt is neither a .ptx nor a .cu file."
