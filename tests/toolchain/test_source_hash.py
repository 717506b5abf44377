"""The hash of a kernel's source: of its text and of the headers that it includes, wherever they are."""

import dataclasses
import hashlib

import pytest

from ptxbench import toolchain
from ptxbench.discovery import load
from ptxbench.toolchain.source_hash import files_hash, hash_of_source, source_hash
from tests.folders import CUDA, PAIR, changed, kernels_folder


@pytest.fixture
def loaded(tmp_path):
    """The pair `scale`, whose factor is in a header that only its -I finds."""
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "factor.cuh").write_text('#include "one.cuh"\n')
    (tmp_path / "include" / "one.cuh").write_text("#define ONE 1\n")
    pair = changed(PAIR, '["--use_fast_math"]', f'["-I{tmp_path / "include"}"]')
    cuda = "#if __has_include(<factor.cuh>)\n#include <factor.cuh>\n#endif\n#ifndef ONE\n#define ONE 1\n#endif\n"
    cuda += changed(CUDA, "a * x[i]", "ONE * a * x[i]")
    return load(kernels_folder(tmp_path, pair=pair, cuda=cuda), "scale")


def hashes(loaded):
    return {source.variant: hash_of_source(source) for source in loaded.sources}


def test_a_changed_header_changes_the_variants_that_include_it(loaded, tmp_path):
    before = hashes(loaded)
    builds = {source.variant: toolchain.build_source(source, "sm_90").report for source in loaded.sources}
    assert {variant: report.source_sha256 for variant, report in builds.items()} == before
    (tmp_path / "include" / "one.cuh").write_text("#define ONE 2\n")
    after = hashes(loaded)
    assert {variant for variant in before if before[variant] != after[variant]} == {"cuda@fast"}
    (tmp_path / "include" / "other.cuh").write_text("#define ONE 3\n")
    assert hashes(loaded) == after


def test_without_headers_it_is_the_hash_of_the_text(loaded):
    texts = {source.variant: source.path.read_bytes() for source in loaded.sources}
    for variant in ("cuda", "ptx"):
        assert hashes(loaded)[variant] == hashlib.sha256(texts[variant]).hexdigest()


def test_it_does_not_depend_on_the_folders(tmp_path):
    found = set()
    for name in ("a", "b"):
        (tmp_path / name / "include").mkdir(parents=True)
        (tmp_path / name / "include" / "one.cuh").write_text("#define ONE 1\n")
        path = tmp_path / name / "k.cu"
        found.add(source_hash(b'#include "one.cuh"\n', path, [f"-I{path.parent / 'include'}"]))
    assert len(found) == 1
    assert found != {hashlib.sha256(b'#include "one.cuh"\n').hexdigest()}


def test_headers_that_are_not_known_are_left_out(tmp_path):
    text = b"#include NAME\n"
    assert source_hash(text, tmp_path / "k.cu", ["-DNAME=<a.cuh>"]) == hashlib.sha256(text).hexdigest()


def test_a_sweep_of_another_header_is_another_sweep(loaded, tmp_path):
    def found():
        return files_hash([loaded.path], loaded.sources)

    before = found()
    plain = [source for source in loaded.sources if not source.flags]
    assert files_hash([loaded.path], plain) == hashlib.sha256(loaded.path.read_bytes()).hexdigest()
    (tmp_path / "include" / "one.cuh").write_text("#define ONE 2\n")
    assert found() != before


def test_an_untrusted_text_has_the_hash_of_itself(loaded):
    [source] = [source for source in loaded.sources if source.variant == "cuda@fast"]
    contained = dataclasses.replace(source, flags=(), contained=True)
    assert (
        toolchain.build_source(contained, "sm_90").report.source_sha256
        == hashlib.sha256(source.path.read_bytes()).hexdigest()
    )
