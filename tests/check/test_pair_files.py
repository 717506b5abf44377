"""The hash of a pair's files: another one after each change, and no reading without one."""

import shutil

import pytest

from ptxbench.check import pair_files
from ptxbench.check.pair_files import hash_of_files

CHANGES = {
    "a file has other text": lambda kernels: (kernels / "ptx" / "scale.ptx").write_text("other"),
    "a file has other text of the same length": lambda kernels: (kernels / "ptx" / "scale.ptx").write_text("IJKL"),
    "a header has other text": lambda kernels: (kernels / "cuda" / "step.cuh").write_text("other"),
    "a header of a header has other text": lambda kernels: (kernels / "more.cuh").write_text("other"),
    "a header is removed": lambda kernels: (kernels / "more.cuh").unlink(),
    "a variant is added": lambda kernels: (kernels / "ptx" / "scale.fast.ptx").write_text("new"),
    "a variant is added in a new folder": lambda kernels: new_folder(kernels),
    "a file is removed": lambda kernels: (kernels / "ptx" / "scale.ptx").unlink(),
    "the folder is replaced": lambda kernels: replace(kernels),
}


def new_folder(kernels):
    (kernels / "triton").mkdir()
    (kernels / "triton" / "scale.py").write_text("new")


def replace(kernels):
    kernels.rename(kernels.with_name("old"))
    shutil.copytree(kernels.with_name("old"), kernels)
    (kernels / "pairs" / "scale.py").write_text("ABCD")


@pytest.fixture
def kernels(tmp_path):
    for folder, name, text in (
        ("pairs", "scale.py", "abcd"),
        ("cuda", "scale.cu", '#include "step.cuh"\n'),
        ("cuda", "step.cuh", '#include "../more.cuh"\n'),
        ("", "more.cuh", "mnop"),
        ("ptx", "scale.ptx", "ijkl"),
    ):
        (tmp_path / "kernels" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "kernels" / folder / name).write_text(text)
    return tmp_path / "kernels"


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_pair_gives_another_hash(change, kernels):
    before = hash_of_files("scale", kernels)
    CHANGES[change](kernels)
    after = hash_of_files("scale", kernels)
    assert after not in (before, hash_of_files("scale", kernels.parent))


def test_files_that_have_not_changed_are_not_read_again(kernels, monkeypatch):
    before = hash_of_files("scale", kernels)
    monkeypatch.setattr(pair_files, "hashed", None)
    assert hash_of_files("scale", kernels) == before


def test_a_file_of_another_pair_changes_nothing(kernels):
    before = hash_of_files("scale", kernels)
    (kernels / "ptx" / "triad.ptx").write_text("other")
    assert hash_of_files("scale", kernels) == before
