"""Tensor maps as arguments of a pair: their values at a size, invalid maps, and the launches of backends."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptxbench.arrays import bf16, e4m3, e5m2, f16, f32, f64, s8, s16, s32, s64, u8, u16, u32, u64, ue8m0
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.check.suite import CheckSuite
from ptxbench.discovery import load
from ptxbench.discovery.knobs import with_knobs
from ptxbench.errors import LaunchUnavailable, PairError, UsageError
from ptxbench.pair import Launch
from ptxbench.result import BuildReport
from ptxbench.tensor_map import TensorMap, TiledMap, problem
from ptxbench.toolchain import Build
from ptxbench.verify import expect
from tests.folders import PAIR, changed

BYTES = 1 << 20
GOOD = TiledMap("x", "f16", (512, 256), (1024,), (64, 128), (1, 1), swizzle=128)


# change of the map, the error
PROBLEMS = [
    ({},                                            None),
    ({"shape": (512,), "strides": (), "box": (64,), "element_strides": (1,)}, None),
    ({"element": "s8"},                             "element is 's8'; it may be u8, u16, "),
    ({"swizzle": 96},                               "swizzle is 96; it may be 0, 32, 64, 128."),
    ({"l2_promotion": 32},                          "l2_promotion is 32; it may be 0, 64, 128, 256."),
    ({"fill": "one"},                               "fill is 'one'; it may be zeros, nan."),
    ({"shape": (1,) * 6},                           "it has 6 dimensions; expected 1 to 5."),
    ({"shape": ()},                                 "it has 0 dimensions; expected 1 to 5."),
    ({"interleave": 16},                            "it has 2 dimensions; expected 3 to 5."),
    ({"box": (64,)},                                "box is (64,); expected 2 numbers for 2 dimensions."),
    ({"strides": (1024, 1024)},                     "strides is (1024, 1024); expected 1 numbers for 2 dimensions."),
    ({"element_strides": (1, 9)},                   "element_strides is (1, 9); each must be 1 to 8."),
    ({"box": (64, 257)},                            "box is (64, 257); each must be 1 to 256."),
    ({"shape": (0, 256)},                           "shape is (0, 256); each must be 1 to 4294967296."),
    ({"strides": (1032,)},                          "strides is (1032,); each must be a multiple of 16 bytes"),
    ({"strides": (1 << 40,)},                       "strides is (1099511627776,); each must be a multiple of 16"),
    ({"box": (63, 128)},                            "a row of the box has 126 bytes; expected a multiple of 16."),
    ({"box": (128, 128)},                           "a row of the box has 256 bytes; a swizzle of 128 bytes takes"),
    ({"box": (128, 128), "swizzle": 0},             None),
    ({"atom": 32},                                  None),
    ({"atom": 32, "swizzle": 64, "box": (32, 1)},   "atom is 32 and swizzle 64; only a swizzle of 128 has other atoms"),
    ({"fill": "nan"},                               None),
    ({"fill": "nan", "element": "u16"},             "fill is nan, and element u16 is a whole number."),
    ({"fill": "nan", "element": "s32", "box": (32, 1)}, "fill is nan, and element s32 is a whole number."),
    ({"shape": (512, 1025)},                        "it covers 1,049,600 bytes; 'x' has 1,048,576."),
    ({"shape": (8, 8, 4), "strides": (64, 512), "box": (8, 8, 1), "element_strides": (1, 1, 1), "interleave": 32,
      "swizzle": 64},                               "interleave is 32 and swizzle 64; an interleave of 32 needs"),
    ({"shape": (8, 8, 4), "strides": (16, 512), "box": (8, 8, 1), "element_strides": (1, 1, 1), "interleave": 32,
      "swizzle": 32},                               "strides is (16, 512); each must be a multiple of 32 bytes"),
    ({"shape": (8, 8, 4), "strides": (16, 512), "box": (4, 8, 1), "element_strides": (1, 1, 1), "interleave": 16,
      "swizzle": 0},                                None),
]  # fmt: skip


@pytest.mark.parametrize(("change", "wrong"), PROBLEMS)
def test_an_invalid_map_is_reported_in_one_sentence(change, wrong):
    message = problem(replace(GOOD, **change), BYTES)
    assert message is None if wrong is None else message.startswith(wrong)


def test_by_default_a_map_covers_the_whole_array_with_the_fastest_dimension_first():
    plain = TensorMap("map_x", "x", box=(32, 8))
    assert plain.at({"n": 3}, (5, 7, 48), f32) == TiledMap(
        "x", "f32", shape=(48, 7, 5), strides=(192, 1344), box=(32, 8), element_strides=(1, 1, 1)
    )
    assert plain.at({}, (4,), s32).element == "s32"
    custom = TensorMap(
        "map_x", "x", lambda n: (n, 1), shape=lambda n: (8 * n, n), strides=lambda n: (64 * n,), element="tf32",
        element_strides=(1, 2), swizzle=64, l2_promotion=256, fill="nan",
    )  # fmt: skip
    assert custom.at({"n": 4}, (64, 16), f32) == TiledMap(
        "x", "tf32", (32, 4), (256,), (4, 1), (1, 2), swizzle=64, l2_promotion=256, fill="nan"
    )


@pytest.mark.parametrize(
    ("dtypes", "elements"),
    [
        ([f16, bf16, f32, f64], ["f16", "bf16", "f32", "f64"]),
        ([u8, u16, u32, u64], ["u8", "u16", "u32", "u64"]),
        ([s8, s16, s32, s64], ["u8", "u16", "s32", "s64"]),  # a map has no signed type of one or two bytes
        ([e4m3, e5m2, ue8m0], ["u8", "u8", "u8"]),
    ],
)
def test_by_default_the_element_is_that_of_the_array(dtypes, elements):
    plain = TensorMap("map_x", "x", box=(32,))
    assert [plain.at({}, (4,), dtype).element for dtype in dtypes] == elements


WITH_MAP = changed(
    PAIR,
    '        Scalar("n", u32, lambda n: n),\n',
    '        Scalar("n", u32, lambda n: n),\n        TensorMap("map_x", of="x", box=(16,), l2_promotion=128),\n',
).replace("import EXACT", "import EXACT, TensorMap")


@pytest.fixture
def mapped(kernels):
    (kernels / "pairs" / "scale.py").write_text(WITH_MAP)
    return kernels


def test_maps_are_arguments_of_the_pair_but_not_of_the_reference(mapped):
    pair = load(mapped, "scale").pair
    arguments = pair.make_arguments({"n": 1024}, seed=1)
    assert list(arguments) == ["x", "y", "a", "n", "map_x"]
    assert arguments["map_x"] == TiledMap("x", "f32", (1024,), (), (16,), (1,), l2_promotion=128)
    assert expect(pair, arguments).outputs["y"].shape == (1024,)
    assert pair.compulsory_bytes({"n": 1024}) == 8192
    assert with_knobs(load(mapped, "scale"), {}).pair.make_arguments({"n": 8}, 1)["map_x"].shape == (8,)


def test_the_values_of_knobs_reach_the_functions_of_a_map(mapped):
    text = changed(WITH_MAP, "box=(16,)", "box=lambda n, TILE=16: (TILE,)").replace(
        "flops=lambda n: n,", 'flops=lambda n: n, knobs=[Knob("TILE", 16, (16, 32))],'
    )
    (mapped / "pairs" / "scale.py").write_text(
        f"from ptxbench.knobs import Knob\n{text}".replace('"""scale', '"""s', 1)
    )
    pair = load(mapped, "scale").pair
    assert pair.with_knobs({"TILE": 32}).make_arguments({"n": 64}, 1)["map_x"].box == (32,)
    assert pair.make_arguments({"n": 64}, 1)["map_x"].box == (16,)


MISTAKES = [
    ('of="x"', 'of="n"', "TensorMap 'map_x' is of 'n'. It must be of an array: x, y."),
    ("box=(16,)", "box=16", "TensorMap 'map_x' has box 16. It must be a tuple of whole numbers or a function"),
    ("box=(16,)", "box=('n',)", "TensorMap 'map_x' has box ('n',). It must be a tuple of whole numbers or a function"),
    ("box=(16,)", "box=(16,), element=[]", "TensorMap 'map_x' has element []. It must be a type such as 'f16', or be"),
    ("box=(16,)", "box=(16,), element_strides=1", "TensorMap 'map_x' has element_strides 1. It must be a tuple of"),
    ("box=(16,)", "box=(16,), element_strides=(1.5,)", "TensorMap 'map_x' has element_strides (1.5,). It must be a"),
    ("box=(16,)", "box=(16,), shape=(1,)", "TensorMap 'map_x' has shape (1,). It must be a function of the size"),
    ("box=(16,)", "box=lambda n: n", "the box of 'map_x' at n=1 is 1. It must be a tuple of whole numbers"),
    ("box=(16,)", "box=(3,)", "the tensor map 'map_x' at n=1: a row of the box has 12 bytes; expected a multiple"),
    (
        "box=(16,)",
        "box=(16,), shape=lambda n: (n + 1,)",
        "the tensor map 'map_x' at n=1: it covers 8 bytes; 'x' has 4.",
    ),
]


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES)
def test_a_mistake_in_a_map_is_reported_when_the_pair_is_loaded(mapped, right, wrong, message):
    (mapped / "pairs" / "scale.py").write_text(changed(WITH_MAP, right, wrong))
    with pytest.raises(PairError) as caught:
        load(mapped, "scale")
    assert message in str(caught.value)


def test_the_emulator_and_check_refuse_unknown_maps_with_one_sentence(mapped):
    build = Build("ptx", "ptx", "scale", "sm_90", Path("scale.ptx"), "", None, BuildReport("", ""))
    words = (
        "its tensor map 'map_x' runs on a GPU only: element is tf32; how a GPU changes the values is not documented. "
        "Use f32."
    )
    arguments = {"x": np.zeros(16, f32), "map_x": replace(GOOD, element="tf32")}
    with pytest.raises(LaunchUnavailable) as caught:
        EmulatorBackend("sm_90").run(build, Launch(1, 32), arguments, ())
    assert str(caught.value) == f"scale.ptx: {words}"
    (mapped / "pairs" / "scale.py").write_text(changed(WITH_MAP, "box=(16,)", 'box=(16,), element="tf32"'))
    with pytest.raises(UsageError) as caught:
        CheckSuite(load(mapped, "scale"), "sm_90", 1)
    assert str(caught.value) == f"'scale' cannot be checked: {words}"


def test_the_list_shows_maps_to_writers_of_kernels(mapped, ptxbench):
    (pair,) = json.loads(ptxbench("list", "scale", "--kernels", "kernels", "--json").out)
    shown = pair["arguments"][-1]
    assert (shown["name"], shown["kind"], shown["dtype"]) == ("map_x", "tensor map", None)
    assert shown["ptx"] == ".align 64 .b8 [128]"
    listed = pair["launches"][-1]["tensor_maps"]["map_x"]
    assert (listed["of"], listed["shape"], listed["box"], listed["l2_promotion"]) == ("x", [4096], [16], 128)


ROW = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry row(.param .u64 x, .param .align 64 .b8 map_x[128], .param .u64 y)
{
    .reg .u64 %map, %y;
    .reg .u32 %v;
    .reg .pred %done;
    .shared .align 128 .b8 tile[64];
    .shared .align 8 .b64 full;
    mov.b64 %map, map_x;
    cvta.param.u64 %map, %map;
    ld.param.u64 %y, [y];
    mbarrier.init.shared::cta.b64 [full], 1;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 64;
    cp.async.bulk.tensor.1d.shared::cluster.global.mbarrier::complete_tx::bytes [tile], [%map, {2}], [full];
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;
    @!%done bra WAIT;
    ld.shared.u32 %v, [tile+4];
    st.global.u32 [%y], %v;
    ret;
}
"""


def test_the_emulator_launches_a_pair_with_a_map():
    build = Build("ptx", "ptx", "row", "sm_90", Path("row.ptx"), ROW, None, BuildReport("", ""))
    x = np.arange(16, dtype=f32)
    arguments = {"x": x, "map_x": TiledMap("x", "f32", (16,), (), (16,), (1,)), "y": np.zeros(1, f32)}
    outcome = EmulatorBackend("sm_90").run(build, Launch(1, 1), arguments, ("y",))
    assert outcome.outputs["y"].tolist() == [3.0]
    assert outcome.counts["ptx_tma_filled_bytes"] == 8
