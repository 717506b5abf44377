"""Knobs in the files of a pair: every kernel follows them, with one default; turned, they reach all builds."""

import pytest

from ptxbench import toolchain
from ptxbench.discovery import load
from ptxbench.discovery.knobs import with_knobs
from ptxbench.errors import PairError
from tests.folders import CUDA, PAIR, PTX, changed, kernels_folder
from tests.tune.folders import KNOB_CUDA, KNOB_PAIR, KNOB_PTX, knobs_folder


def test_a_pair_with_knobs_loads_and_its_files_do_not_change(tmp_path):
    loaded = load(knobs_folder(tmp_path), "scale")
    assert [knob.name for knob in loaded.pair.knobs] == ["BLOCK"]
    assert {source.defines for source in loaded.sources} == {()}
    assert loaded.pair.launch(n=1000).grid == 8


def test_values_of_knobs_reach_the_functions_and_both_languages(tmp_path):
    turned = with_knobs(load(knobs_folder(tmp_path), "scale"), {"BLOCK": 64})
    assert turned.pair.launch(n=1000).grid == 16
    assert turned.pair.launch(n=1000).block == 64
    for source in turned.sources:
        if source.variant in ("cuda", "ptx"):
            built = toolchain.build_source(source, "sm_90", "driver")
            assert ".maxntid 64" in built.ptx, source.variant


def test_without_values_the_pair_is_unchanged(tmp_path):
    loaded = load(knobs_folder(tmp_path), "scale")
    assert with_knobs(loaded, {}) is loaded


# pair, CUDA C, PTX, the message
BAD = [
    (KNOB_PAIR, KNOB_CUDA, changed(KNOB_PTX, ".maxntid 128 /*=", ".maxntid 64 /*="),
     "scale.ptx:13: the literal is 64, and 'BLOCK' is 128 with BLOCK = 128."),
    (KNOB_PAIR, changed(KNOB_CUDA, "#define BLOCK 128", "#define BLOCK 256"), KNOB_PTX,
     "scale.cu:4: BLOCK is 256 here and 128 in the pair file."),
    (KNOB_PAIR, CUDA, KNOB_PTX, "scale.cu does not use the knob BLOCK"),
    (KNOB_PAIR, changed(KNOB_CUDA, "#ifndef BLOCK\n", "#if 1\n"), KNOB_PTX, "scale.cu does not use the knob BLOCK"),
    (KNOB_PAIR, KNOB_CUDA, PTX, "scale.ptx does not use the knob BLOCK"),
    (PAIR, CUDA, KNOB_PTX, "scale.ptx:13: 'BLOCK' names BLOCK, which is not a knob of the pair. The pair has none."),
    (changed(KNOB_PAIR, 'Knob("BLOCK"', 'Knob("n"'), CUDA, PTX, "the knob n has the name of a dimension of the size"),
    (changed(KNOB_PAIR, '[Knob("BLOCK", BLOCK, (32, 64, 128, 256, 2048), "threads of a CTA")]', '["BLOCK"]'), CUDA, PTX,
     "It must list Knob(...) of ptxbench.knobs."),
    (changed(KNOB_PAIR, "(32, 64, 128, 256, 2048)", "()"), KNOB_CUDA, KNOB_PTX, "Give whole numbers below 2^64."),
    (changed(KNOB_PAIR, "2048)", "__import__('numpy').int64(4))"), KNOB_CUDA, KNOB_PTX,
     "Give whole numbers below 2^64. Write int(...) around a number of NumPy."),
    (changed(KNOB_PAIR, "2048)", "1 << 64)"), KNOB_CUDA, KNOB_PTX, "Give whole numbers below 2^64."),
    (changed(KNOB_PAIR, 'Knob("BLOCK"', "Knob('a b'"), KNOB_CUDA, KNOB_PTX,
     "a Knob is named 'a b', which is not a valid Python name."),
    (changed(KNOB_PAIR, 'Knob("BLOCK"', "Knob(3"), KNOB_CUDA, KNOB_PTX,
     "a Knob is named 3, which is not a valid Python name."),
    (changed(KNOB_PAIR, '"threads of a CTA"', "None"), KNOB_CUDA, KNOB_PTX,
     "the knob BLOCK has the description None. It must be a text."),
    (changed(KNOB_PAIR, "knobs=[Knob", "restriction=3, knobs=[Knob"), KNOB_CUDA, KNOB_PTX, "It must be a function"),
]  # fmt: skip


@pytest.mark.parametrize(("pair", "cuda", "ptx", "message"), BAD, ids=lambda part: part[-40:] if len(part) < 99 else "")
def test_a_kernel_that_ignores_a_knob_is_reported_with_file_and_line(pair, cuda, ptx, message, tmp_path):
    with pytest.raises(PairError) as error:
        load(kernels_folder(tmp_path, pair=pair, cuda=cuda, ptx=ptx), "scale")
    assert message in str(error.value)


def test_a_file_for_one_target_follows_the_knobs_too(tmp_path):
    folder = knobs_folder(tmp_path)
    special = folder / "ptx" / "scale.sm_90a.ptx"
    special.write_text(PTX.replace(".target sm_75", ".target sm_90a"))
    with pytest.raises(PairError, match=r"scale\.sm_90a\.ptx does not use the knob BLOCK"):
        load(folder, "scale")
    special.write_text(KNOB_PTX.replace(".target sm_75", ".target sm_90a"))
    turned = with_knobs(load(folder, "scale"), {"BLOCK": 64})
    [ptx] = [source for source in turned.sources if source.variant == "ptx"]
    built = toolchain.build_source(ptx, "sm_90a", "driver")
    assert built.source == special
    assert ".maxntid 64" in built.ptx


def test_a_launch_only_knob_appears_in_no_kernel(tmp_path):
    loaded = load(kernels_folder(tmp_path, pair=KNOB_PAIR), "scale")
    assert with_knobs(loaded, {"BLOCK": 64}).pair.launch(n=1000).grid == 16
