"""The points of a sweep: their launches, impossible points with reasons; a build is checked only once."""

import pytest

from ptxbench import discovery
from ptxbench.discovery import load
from ptxbench.errors import PairError, UsageError
from ptxbench.runner import plan_pairs
from ptxbench.tune import spec_of, sweep_of
from tests.folders import PAIR, changed, kernels_folder
from tests.tune.folders import KNOB_PAIR, knobs_folder

PARTITION = load(discovery.default_kernels(), "sm_partition")


def swept_of(loaded, kind="counts", values=None, size=None, **options):
    sources = tuple(source for source in loaded.sources if source.variant in ("cuda", "ptx"))
    return sweep_of(loaded, sources, kind, values=values or {}, size=size or {}, **options)


@pytest.fixture
def scale(tmp_path):
    return load(knobs_folder(tmp_path), "scale")


def test_by_default_the_knobs_of_the_pair_are_swept_at_its_first_bench_size(scale):
    swept = swept_of(scale)
    assert [point.at for point in swept.points] == [{"BLOCK": block} for block in (32, 64, 128, 256, 2048)]
    assert {tuple(point.parts["point"].items()) for point in swept.points if point.possible} == {(("n", 1024),)}


def test_the_other_dimensions_are_those_of_a_middle_bench_size_on_a_gpu_and_of_the_first_elsewhere():
    softmax = load(discovery.default_kernels(), "softmax")
    first, middle = (softmax.pair.bench_sizes[number] for number in (0, len(softmax.pair.bench_sizes) // 2))
    assert first != middle
    assert swept_of(softmax, "counts", {"rows": (1, 2)}).size == first
    assert swept_of(softmax, "times", {"rows": (1, 2)}).size == middle


def test_two_knobs_are_swept_together_by_default(tmp_path):
    more = ', Knob("OTHER", 1, (1, 2), "a second one"), Knob("THIRD", 1, (1, 2), "a third one")]'
    pair = changed(KNOB_PAIR, '"threads of a CTA")]', f'"threads of a CTA"){more}')
    pair = changed(pair, "BLOCK=BLOCK", "BLOCK=BLOCK, OTHER=1, THIRD=1")
    assert [*swept_of(load(kernels_folder(tmp_path, pair=pair), "scale")).values] == ["BLOCK", "OTHER"]


def test_a_dimension_may_be_fixed_by_its_alias():
    swept = swept_of(PARTITION, values={"chunk": (8192,)}, size={"comm_sms": 7})
    assert (swept.size["copiers"], "comm_sms" in swept.size) == (7, False)


def test_sweeps_of_other_values_or_sizes_are_not_the_same(scale):
    def spec(**changes):
        return spec_of(swept_of(scale, **changes))

    assert spec() == spec()
    assert spec() != spec(size={"n": 2048})
    assert spec() != spec(values={"BLOCK": (32,)})


def test_a_value_that_is_declared_twice_is_swept_once(tmp_path):
    pair = changed(KNOB_PAIR, "(32, 64, 128, 256, 2048)", "(64, 32, 64)")
    assert swept_of(load(kernels_folder(tmp_path, pair=pair), "scale")).values == {"BLOCK": (64, 32)}


def test_an_impossible_launch_has_a_reason_and_no_job(scale):
    swept = swept_of(scale)
    assert [point.reason for point in swept.points if not point.possible] == [
        "launch at n=1024 is Launch(grid=1, block=2048, shared_bytes=0). A block holds at most 1024 threads."
    ]
    assert [dict(pair_plan.knobs) for pair_plan in swept.pair_plans()] == [
        {"BLOCK": block} for block in (32, 64, 128, 256)
    ]


def test_dimensions_and_knobs_are_swept_together_and_a_build_is_a_job(scale):
    swept = swept_of(scale, values={"n": (64, 100, 200), "BLOCK": (32, 64)})
    assert [tuple(point.at.values()) for point in swept.points] == [
        (64, 32), (64, 64), (100, 32), (100, 64), (200, 32), (200, 64)
    ]  # fmt: skip
    assert [(dict(pair_plan.knobs), pair_plan.sizes) for pair_plan in swept.pair_plans()] == [
        ({"BLOCK": 32}, ({"n": 64}, {"n": 100}, {"n": 200})),
        ({"BLOCK": 64}, ({"n": 64}, {"n": 100}, {"n": 200})),
    ]


def test_a_restriction_is_reported_in_the_words_of_the_pair(tmp_path):
    pair = changed(
        KNOB_PAIR,
        "    knobs=[",
        '    restriction=lambda n, BLOCK=BLOCK: "Too few." if n < BLOCK else None,\n    knobs=[',
    )
    swept = swept_of(load(kernels_folder(tmp_path, pair=pair), "scale"), values={"n": (64, 100), "BLOCK": (32, 96)})
    assert [point.reason for point in swept.points] == [None, "Too few.", None, None]


FAULTS = [
    ("restriction=lambda n: 1 // 0,", ":23: restriction fails: ZeroDivisionError: "),
    ("restriction=lambda n, k: None,", "restriction fails: TypeError"),
    ("sweep=Sweep(values=lambda sms: 1 // 0, size=dict, emulated={'n': 64}),", "the sweep's values fails: Zero"),
    ("sweep=Sweep(values=lambda sms: {'n': [1]}, size=dict, emulated={'n': 64}, parts={'a': lambda n: x}),",
     "the part 'a' fails: NameError"),
    *((f"sweep=Sweep(values=lambda sms: {values}, size=dict, emulated={{'n': 64}}),",
       f":23: the sweep's values returns {values}. Expected a dict of whole numbers to try, such as "
       "dict(BLOCK=(64, 128)).")
      for values in ("3", "{}", "{'n': 3}", "{'n': ()}", "{'n': (64, 1.5)}", "{'n': (True,)}")),
    ("sweep=Sweep(values=lambda sms: {'n': [1]}, size=dict, emulated={'n': 64}, parts={'a': lambda n: n}),",
     ":23: the part 'a' returns 1. Expected a dict of whole numbers, such as dict(n=1024)."),
]  # fmt: skip


@pytest.mark.parametrize(("field", "message"), FAULTS)
def test_an_exception_in_a_pairs_functions_has_file_and_line(field, message, tmp_path):
    pair = changed(KNOB_PAIR, "    knobs=[", f"    {field}\n    knobs=[").replace("import Knob", "import Knob, Sweep")
    loaded = load(kernels_folder(tmp_path, pair=pair), "scale")
    with pytest.raises(PairError) as error:
        swept_of(loaded)
    assert "scale.py:" in str(error.value)
    assert message in str(error.value)


# values, size, the message
BAD = [
    ({"BLOK": (1,)}, {}, "'scale' has no knob and no dimension 'BLOK'. Did you mean 'BLOCK'?"),
    ({"m": (1,)}, {}, "'scale' has no knob and no dimension 'm'. It has BLOCK, n."),
    ({}, {"BLOCK": 3}, "'scale' has no knob and no dimension 'BLOCK'. It has n."),
    ({"n": (1,)}, {"n": 3}, "n is set both by --knob and by --size."),
    ({"n": range(100), "BLOCK": range(1, 100)}, {}, "n and BLOCK make 9,900 points."),
    ({"n": (1,), "BLOCK": (1,), "k": (1,)}, {}, "n, BLOCK, k are 3 knobs. Sweep at most 2."),
]  # fmt: skip


@pytest.mark.parametrize(("values", "size", "message"), BAD)
def test_an_invalid_sweep_is_reported(scale, values, size, message):
    with pytest.raises(UsageError) as error:
        swept_of(scale, values=values, size=size)
    assert str(error.value).startswith(message)


def test_a_pair_without_knobs_says_which_dimensions_it_has():
    with pytest.raises(UsageError, match=r"'softmax' declares no knobs\. .* it has rows, columns"):
        swept_of(load(discovery.default_kernels(), "softmax"))


# ---- sm_partition


@pytest.mark.parametrize(("sms", "reserved", "most"), [(132, 20, 64), (108, 16, 48), (148, 22, 64), (8, 1, 4)])
def test_the_sweep_of_sm_partition_scales_with_the_sms_of_the_gpu(sms, reserved, most):
    swept = swept_of(PARTITION, "times", sms=sms)
    copiers, chunks = swept.values["copiers"], swept.values["chunk"]
    assert (copiers[0], copiers[-1]) == (0, most)
    assert reserved in copiers
    assert chunks == (4096, 8192, 16384, 32768, 65536)
    assert {size["sms"] for pair_plan in swept.pair_plans() for size in pair_plan.sizes} == {sms}
    assert swept.size["copiers"] == reserved


def test_a_point_of_sm_partition_has_the_launches_that_its_figures_need():
    def roles(swept):
        return {name: (size["roles"], size["copiers"]) for name, size in swept.points[-1].parts.items()}

    assert roles(swept_of(PARTITION, "times")) == {
        "both": (3, 64), "compute": (2, 64), "copy_all": (1, 132), "compute_all": (2, 0)
    }  # fmt: skip
    assert roles(swept_of(PARTITION)) == {"both": (3, 64), "copy": (1, 64), "compute": (2, 64), "idle": (0, 64)}


def test_without_copiers_only_the_others_are_launched():
    point = swept_of(PARTITION).points[0]
    assert point.at == {"copiers": 0, "chunk": 4096}
    assert point.parts.keys() == {"compute", "idle"}
    assert point.reason == "No SM would copy."


def test_comm_sms_is_another_name_for_copiers():
    assert swept_of(PARTITION, values={"comm_sms": (4,)}).values == {"copiers": (4,)}


def test_launches_that_points_share_are_made_once():
    swept = swept_of(PARTITION, "times", values={"chunk": (4096, 8192), "copiers": (8, 16)})
    [pair_plan] = swept.pair_plans()
    alone = [size for size in pair_plan.sizes if size["roles"] == 2]
    assert [size["copiers"] for size in alone] == [8, 0, 16]  # whatever the chunk


def test_a_pair_without_knobs_and_dimensions_has_nothing_to_sweep(tmp_path):
    pair = changed(changed(PAIR, "[dict(n=n) for n in (1, 127, 128, 129)]", "[{}]"),
                   "[dict(n=1 << k) for k in (10, 12)]", "[{}]")  # fmt: skip
    loaded = load(kernels_folder(tmp_path, pair=pair.replace("lambda n:", "lambda n=129:")), "scale")
    with pytest.raises(UsageError, match=r"^'scale' has no knobs and no dimensions to sweep\.$"):
        swept_of(loaded)
    with pytest.raises(UsageError, match=r"^'scale' has no knob and no dimension 'n'\. It has none\.$"):
        swept_of(loaded, values={"n": (1, 2)})
    with pytest.raises(UsageError, match=r"^No selected pair has the size n=3: 'scale' has no dimensions\.$"):
        plan_pairs(tmp_path / "kernels", ["scale"], [], ["n=3"], emulated=True)
