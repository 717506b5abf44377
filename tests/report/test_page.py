"""The written page: well formed, complete, self-contained, and safe from markup in names and sources."""

import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from ptxbench import report, units
from ptxbench.discovery import Source
from ptxbench.portability.survey import Matrix, TargetResults
from ptxbench.report import collect, render
from ptxbench.report.charts import axis_of
from ptxbench.report.material import Material, wanted_pairs
from ptxbench.report.pairs import pair_views
from ptxbench.report.roofs import LABEL, LEFT, LETTER, roofline_of
from ptxbench.run_info import SourceInfo
from ptxbench.toolchain import locate
from ptxbench.toolchain.trial import ASSEMBLES, REFUSED, Requirement, TargetTrial
from tests.folders import CUDA, PTX, changed
from tests.quick import every
from tests.report.pages import LIMITS, page_of, read, timed_run
from tests.runs import run_of
from tests.terminal.test_table import COUNTED, FAILED

SM_90 = ["sm_90"]
HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(2)>\"' &amp;"


@pytest.fixture
def material(emulated):
    """The page data from the sources in the folder of the pair, which a test may edit."""

    def material(run=emulated.run):
        [result] = [step for step in collect([run], emulated.kernels, SM_90) if isinstance(step, Material)]
        return result

    return material


def sound(page):
    """The page, read; it is well formed, and nothing in it points elsewhere."""
    parsed = read(page)
    assert parsed.faults == []
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in parsed.elements:
        assert not {name for name in attributes if name.startswith("on") or name in ("src", "srcset", "data", "action")}
        if "href" in attributes:
            assert tag == "a"
            assert attributes["href"][0] == "#"
            assert attributes["href"][1:] in ids
    assert not {tag for tag, _ in parsed.elements} & {"link", "img", "iframe", "object", "embed", "base", "form", "use"}
    [style] = re.findall(r"<style>(.*?)</style>", page, re.S)
    assert not re.search(r"url\(|@import|https?:", style)
    assert len(parsed.all("script")) == 1
    assert len(page.encode()) < report.LIMIT
    return parsed


def test_a_run_on_the_emulator_has_all_its_parts_and_its_roofline_is_called_a_model(emulated, material):
    page, dropped = render([emulated.run], [material()], {"ptxas": "13.0"})
    parsed = sound(page)
    assert dropped == []
    for words in ("machine instructions that warps execute", "not times", "A model, not a measurement.", "y = a * x",
                  "Differences in machine code", "PTX runs on 1 of 1 target, CUDA C on 1", "seed"):  # fmt: skip
        assert words in parsed.text
    explained = {one.variant: one.findings for one in material().explained}
    assert explained["ptx"]
    assert explained["cuda@fast"]
    assert all(finding.text in parsed.text for finding in explained["ptx"])
    assert all(finding.line in parsed.text for finding in explained["cuda@fast"])
    assert "time / cuda" not in parsed.text
    assert [table["class"] for table in parsed.all("table") if "code" in table["class"]] == [
        "code cuda", "code ptx", "code cuda"
    ]  # fmt: skip
    assert "ld.global.f32 %value,[%at];" in parsed.text
    assert "y[i] = a * x[i];" in parsed.text


def test_a_run_with_times_has_verdicts_intervals_a_measured_roofline_and_its_noise():
    parsed = sound(page_of(timed_run()))
    for words in (
        "FASTER",
        "SLOWER",
        "SAME",
        "INCONCLUSIVE",
        "same code",
        "Noise floor",
        "as measured",
        "illegal_address",
    ):
        assert words in parsed.text
    assert "A model" not in parsed.text
    assert "Counts of PTX" not in parsed.text
    assert re.search(r"0\.80\d ±0\.00\d", parsed.text)
    assert "A/A control" not in parsed.text


def test_a_chart_of_times_has_an_interval_and_a_dot_a_round_and_one_of_counts_has_none(emulated, material):
    page = page_of(timed_run())
    rows = len(re.findall(r"<td class=plot", page))
    assert rows == 9  # a control and broken variants have none
    assert len(read(page).all("ellipse")) == 5 * rows
    assert read(render([emulated.run], [material()], {})[0]).all("ellipse") == []


def test_a_chart_of_counts_explains_its_third_colour_if_it_has_one():
    words = "the same, where the machine code is that of"
    assert words not in page_of(run_of([COUNTED]))
    cuda, ptx = COUNTED.variants["cuda"], COUNTED.variants["ptx"]
    same_code = replace(ptx, build=replace(ptx.build, sass_sha256=cuda.build.sass_sha256))
    assert words in page_of(run_of([replace(COUNTED, variants={**COUNTED.variants, "ptx": same_code})]))


def test_the_portability_of_a_pair_shows_refusals_and_the_file_of_each_target():
    source = Source("ptx", "ptx", Path("k.ptx"), "k", specialisations=(("sm_90a", Path("k.sm_90a.ptx")),))
    need = Requirement("k.ptx", 7, "cp.async.cg", "sm_80 or higher", "no")
    trials = {
        "sm_75": TargetTrial("sm_75", REFUSED, "7.0", "sm_80", needs=(need,)),
        "sm_90": TargetTrial("sm_90", ASSEMBLES, "7.0", "sm_80", 20),
        "sm_90a": TargetTrial("sm_90a", ASSEMBLES, "8.0", "sm_90a", 24),
    }
    matrix = Matrix(COUNTED.pair, tuple(trials), {"ptx": TargetResults(source, trials)})
    parsed = sound(render([run_of([COUNTED])], [Material(COUNTED.pair, matrix=matrix)], {})[0])
    assert "ptx on sm_90a is k.sm_90a.ptx" in parsed.text
    assert "ptx on sm_75: k.ptx:7: cp.async.cg needs sm_80 or higher" in parsed.text
    assert [box["class"] for box in parsed.all("td") if box.get("class") in ("no", "none")] == ["no"]


def test_a_wrong_result_has_no_time():
    run = timed_run()
    wrong = [
        replace(
            cell, variants={**cell.variants, "ptx": replace(cell.variants["ptx"], status="wrong", reason="out[2] is 1")}
        )
        for cell in run.cells
    ]
    page = page_of(replace(run, cells=[one for one in wrong if one.pair == "softmax"]))
    rows = [row for row in re.split(r"(?=<tr)", page) if re.match(r"<tr>(?:<td>|<th>)ptx<", row)]
    assert len(rows) == 4  # of two sizes, in the summary and in the pair's own tables
    for row in rows:
        row = row.split("</table>")[0]
        assert "wrong" in row
        assert not re.search(r"\d [µm]s|±|\d\.\d", row)


@pytest.mark.parametrize("lost", ["ptx", "cuda"])
def test_an_unverified_variant_is_not_in_a_chart_and_not_compared(lost):
    assert "other code" in page_of(run_of([COUNTED]))
    assert "<td class=plot" in page_of(run_of([COUNTED]))
    variants = {**COUNTED.variants, lost: replace(COUNTED.variants[lost], status="wrong", reason="out[2] is 1")}
    page = page_of(run_of([replace(COUNTED, variants=variants)]))
    assert "out[2] is 1" in page
    assert "other code" not in page
    assert "<td class=plot" not in page


def test_a_verdict_is_shown_by_sign_and_word_and_not_by_colour_alone():
    page = page_of(timed_run())
    for sign, word in (("▼", "FASTER"), ("▲", "SLOWER"), ("=", "SAME"), ("?", "INCONCLUSIVE"), ("≡", "same code")):
        assert f"<b aria-hidden=true>{sign}</b>{word}</span>" in page


def test_each_of_several_runs_has_a_summary_and_they_share_the_pairs():
    counted = run_of([COUNTED, replace(FAILED, pair="softmax")], "c0ffee")
    parsed = sound(page_of(timed_run(), counted))
    ids = {attributes.get("id") for _, attributes in parsed.elements}
    assert {"run-1", "run-2", "chart-1", "chart-2", "roofline-1", "roofline-2"} <= ids
    assert len(parsed.all("article")) == 4
    assert "Run 2: emulator-sm_90" in parsed.text
    assert "unknown instruction 'cp.x'" in parsed.text


def test_an_empty_run_has_a_page():
    parsed = sound(page_of(run_of([])))
    assert "0 pairs, 0 variants" in parsed.text
    assert "Not shown: the limits of this device are not known" in parsed.text


def test_a_run_without_a_reference_or_without_builds_has_a_page():
    bare = replace(COUNTED, variants={"ptx": COUNTED.variants["ptx"]})
    unbuilt = replace(
        COUNTED, pair="scan", variants={name: replace(result, build=None) for name, result in COUNTED.variants.items()}
    )
    assert "scan" in sound(page_of(run_of([bare, unbuilt]))).text


# where a hostile text comes from
ODD = {
    "pair": lambda run: replace(run, cells=[replace(cell, pair=HOSTILE) for cell in run.cells]),
    "variant": lambda run: replace(run, cells=[
        replace(cell, variants={**cell.variants, f"ptx.{HOSTILE}": cell.variants["ptx"]}) for cell in run.cells]),
    "size": lambda run: replace(run, cells=[replace(cell, size={HOSTILE: 3}) for cell in run.cells]),
    "label": lambda run: replace(run, cells=[replace(cell, labels=[HOSTILE]) for cell in run.cells]),
    "reason": lambda run: replace(run, cells=[
        replace(cell, variants={"cuda": replace(cell.variants["cuda"], status="broken", reason=HOSTILE)})
        for cell in run.cells]),
    "device": lambda run: replace(run, device=replace(run.device, name=HOSTILE)),
    "command": lambda run: replace(run, run=replace(run.run, argv=["run", HOSTILE])),
    "id": lambda run: replace(run, run=replace(run.run, id=HOSTILE, started=HOSTILE)),
    "commit": lambda run: replace(run, source=SourceInfo(HOSTILE, dirty=False)),
    "setting": lambda run: replace(run, settings={HOSTILE: HOSTILE}),
}  # fmt: skip


@pytest.mark.parametrize("change", every(3, ODD.values()), ids=ODD)
def test_a_hostile_text_of_a_run_stays_text(change):
    plain = run_of([replace(COUNTED, limits=timed_run().cells[0].limits)], run={"argv": ["run"]})
    parsed = sound(page_of(change(plain)))
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in parsed.text
    assert {tag for tag, _ in parsed.elements} <= {tag for tag, _ in read(page_of(plain, timed_run())).elements}


def test_a_hostile_source_stays_text(emulated, material):
    [cell] = emulated.run.cells
    variants = dict(cell.variants)
    for name, text in (("cuda", CUDA), ("ptx", PTX)):
        content = changed(text, "one element a thread.", HOSTILE).encode()
        [path] = (emulated.kernels / name).iterdir()
        path.write_bytes(content)
        for variant, result in variants.items():
            if result.language == name:
                build = replace(result.build, source_sha256=sha256(content).hexdigest())
                variants[variant] = replace(result, build=build)
    run = replace(emulated.run, cells=[replace(cell, variants=variants)])
    parsed = sound(render([run], [material(run)], {})[0])
    assert parsed.text.count(HOSTILE) == 2  # cuda and ptx; cuda@fast has that line as cuda has it


@pytest.mark.parametrize(("frame", "sentence"), [
    ({"status": "interrupted"}, "Run 0a1b2c3d is not complete (interrupted): what was finished is shown."),
    ({"assembler": "driver"}, "Run 0a1b2c3d was assembled by the GPU's driver"),
])  # fmt: skip
def test_important_facts_on_a_run_are_at_the_top(frame, sentence):
    text = sound(page_of(timed_run(run=frame))).text
    assert sentence in text.split("Summary of", 1)[0].split("variants verified")[0]
    assert sentence not in read(page_of(timed_run())).text


def test_names_that_would_have_the_same_anchor_get_different_ones():
    names = [pair.anchor for pair in pair_views([Material("a b"), Material("a-b"), Material("a/b")])]
    assert names == ["pair-a-b", "pair-a-b-2", "pair-a-b-3"]


def test_a_page_that_is_too_large_omits_listings_of_further_variants_first_and_mentions_it(
    emulated, material, monkeypatch
):
    run, materials = emulated.run, [material()]
    complete, _ = render([run], materials, {})
    for limit, names in ((len(complete.encode()) - 1, {"cuda@fast"}), (1, {"cuda", "ptx", "cuda@fast"})):
        monkeypatch.setattr(report, "LIMIT", limit)
        page, [sentence] = render([run], materials, {})
        text = read(page).text
        assert sentence.split(" left out")[0] == ("1 listing" if len(names) == 1 else f"{len(names)} listings")
        assert sentence in text
        [left_out] = re.findall("The listing of (.+?) is left out", text)
        assert set(left_out.split(", ")) == names
        assert len(page.encode()) < len(complete.encode())


def test_the_command_that_repeats_a_run_has_its_seed_and_is_quoted_for_a_shell():
    run = timed_run(run={"argv": ["run", "a b", "--rounds", "5"], "seed": 7})
    assert "ptxbench run 'a b' --rounds 5 --seed 7" in read(page_of(run)).text
    seeded = timed_run(run={"argv": ["run", "--seed=9"], "seed": 9})
    assert "--seed=9 --seed" not in read(page_of(seeded)).text
    assert "made again by it" not in read(page_of(timed_run())).text


def test_a_source_that_was_edited_after_the_run_has_no_listing_and_the_page_gives_the_reason(emulated, material):
    source = emulated.kernels / "ptx" / "scale.ptx"
    source.write_text(source.read_text() + "// edited\n")
    result = material()
    assert [listing.variant for listing in result.listings] == ["cuda", "cuda@fast"]
    assert result.matrix is None
    sentence = "No listing of ptx, and no portability: the source has changed since the run."
    assert result.omitted == (sentence,)
    assert sentence in sound(render([emulated.run], [result], {})[0]).text


def test_tools_that_make_other_machine_code_than_in_the_run_are_reported(emulated, material):
    [cell] = emulated.run.cells
    build = replace(cell.variants["ptx"].build, sass_sha256="0" * 64)
    other = replace(cell, variants={**cell.variants, "ptx": replace(cell.variants["ptx"], build=build)})
    sentence = (
        "The installed tools generate different machine code for ptx than the run's did; the listing shows theirs."
    )
    assert material(replace(emulated.run, cells=[other])).omitted == (sentence,)


def test_without_sources_the_findings_come_from_the_run_alone(emulated, material):
    run = emulated.run
    variants = dict(run.cells[0].variants)
    build = replace(variants["ptx"].build, sass_sha256="other", registers=99)
    variants["ptx"] = replace(variants["ptx"], build=build)
    for path in (emulated.kernels / "pairs").iterdir():
        path.unlink()
    result = material(replace(run, cells=[replace(run.cells[0], variants=variants)]))
    [explained] = [one for one in result.explained if one.variant == "ptx"]
    assert explained.similarity is None
    assert "ptx needs 99 registers" in " ".join(finding.text for finding in explained.findings)
    assert "ptx needs 99 registers" in sound(render([run], [result], {})[0]).text
    assert "lacks" in result.omitted[0]


def test_without_the_tools_the_page_lists_the_missing_parts(emulated, material, monkeypatch):
    monkeypatch.setattr(locate, "program", lambda name: None)
    result = material()
    assert result.listings == ()
    assert result.matrix is None
    text = sound(render([emulated.run], [result], {})[0]).text
    assert "No portability: ptxas, which alone knows what a target supports, is not installed" in text
    assert "No listing of ptx: ptxas, which listings of machine code need, is not installed" in text


def test_a_pair_is_shown_with_the_default_knobs_if_the_run_has_them():
    turned = replace(COUNTED, knobs={"BLOCK": 64})
    assert wanted_pairs([run_of([turned, COUNTED])])["triad"].cell is COUNTED
    assert wanted_pairs([run_of([turned])])["triad"].cell is turned
    assert "BLOCK = 64" in sound(page_of(run_of([turned, COUNTED]))).text


@pytest.mark.parametrize("name", ["../evil", "evil", "{kernels}/evil"])
def test_a_pair_that_is_not_in_the_folder_is_not_executed(kernels, name):
    (kernels / "evil.py").write_text("raise SystemExit('executed')")
    (kernels / "pairs" / "sub").mkdir()
    run = run_of([replace(COUNTED, pair=name.format(kernels=kernels.resolve()))])
    [material] = [step for step in collect([run], kernels, SM_90) if isinstance(step, Material)]
    assert material.omitted == (
        "No listings, findings or portability: there is no pair of that name in kernels; see --kernels.",
    )


def test_an_axis_shows_one_and_all_values_and_has_some_ticks():
    for values in ([], [1.0], [0.99, 1.004], [0.5, 0.9], [0.3, 3.3], [1e-3, 40.0]):
        axis = axis_of(values)
        ats = [axis.at(value) for value in (*values, 1.0)]
        assert all(0 < at < 100 for at in ats)
        assert sum(tick.text == "1" for tick in axis.ticks) == 1
        assert 3 <= len(axis.ticks) <= 9
        assert [tick.at for tick in axis.ticks] == sorted(tick.at for tick in axis.ticks)


def test_the_labels_of_a_roofline_do_not_overlap_and_points_have_the_right_positions():
    picture = roofline_of([cell for cell in timed_run().cells if cell.limits])
    assert not picture.model
    labels = [point for point in picture.points if point.label]
    assert {point.label for point in labels} == {"triad", "softmax", "sgemm_tiled"}
    for i, one in enumerate(labels):
        for other in labels[i + 1 :]:
            assert abs(one.label_y - other.label_y) >= LABEL or abs(one.x - other.x) > 60
    memory = picture.roofs[0].points
    for point in picture.points:  # all are slower than memory allows, so lie below its roof
        (x0, y0), (x1, y1) = memory
        assert point.y > y0 + (y1 - y0) * (point.x - x0) / (x1 - x0)


def test_a_pair_without_times_is_not_shown_for_lack_of_times_and_a_reference_alone_has_its_name():
    run = timed_run()
    last = {cell.pair: cell for cell in run.cells}
    softmax = last["softmax"]
    only_cuda = replace(
        softmax,
        variants={name: result for name, result in softmax.variants.items() if name != "ptx"},
        rounds=[each for each in softmax.rounds if "ptx" not in each.contrast],
    )
    untimed = replace(last["sgemm_tiled"], rounds=())
    without_flops = replace(last["triad"], pair="copy", work={"flops": 0, "bytes": 1000})
    cells = [last["triad"], only_cuda, untimed, without_flops]
    picture = roofline_of(cells)
    assert {point.label for point in picture.points} == {"triad", "softmax", ""}
    assert [point.label for point in picture.points if point.title.startswith("softmax")] == ["softmax"]
    assert (picture.absent, picture.untimed) == (("copy",), ("sgemm_tiled",))
    text = sound(page_of(replace(run, cells=cells))).text
    assert "Not shown, for lack of flops or of a published rate for their arithmetic: copy." in text
    assert "Not shown, for lack of times of cuda and ptx: sgemm_tiled." in text


def test_a_roofline_has_the_largest_size_of_a_pair_that_was_timed():
    cell = next(cell for cell in timed_run().cells if cell.pair == "triad")
    small = replace(cell, size={"n": 1024}, work={name: amount // 4 for name, amount in cell.work.items()})
    untimed = replace(cell, rounds=(), work={name: 4 * amount for name, amount in cell.work.items()})
    [expected] = {point.title for point in roofline_of([cell]).points if point.label}
    picture = roofline_of([untimed, cell, small])
    assert [point.title for point in picture.points if point.label] == [expected]
    assert picture.untimed == ()


def test_a_point_of_a_model_is_on_the_roof_that_limits_it():
    cell = replace(COUNTED, limits=LIMITS, work={"flops": 250, "bytes": 1000})
    picture = roofline_of([cell])
    assert picture.model
    [point] = picture.points
    (x0, y0), (x1, y1) = picture.roofs[0].points
    assert point.y == pytest.approx(y0 + (y1 - y0) * (point.x - x0) / (x1 - x0), abs=0.2)
    assert point.title == f"{cell.pair}: 0.25 flop/byte, its limit {units.si(LIMITS.bytes_per_s / 4, 'flop/s')}"
    assert roofline_of([replace(cell, work={"flops": 0, "bytes": 1000})]) is None


def test_a_long_label_of_a_roofline_does_not_overlap_the_figures_of_its_axis():
    names = ["k", "short", "one_of_a_long_name.that_goes_on", "another_of_a_long_name.that_goes_on"]
    cells = [
        replace(COUNTED, pair=name, limits=LIMITS, work={"flops": 10 + i, "bytes": 100}) for i, name in enumerate(names)
    ]
    picture = roofline_of(cells)
    labels = [point for point in picture.points if point.label]
    assert [point.label for point in labels] == names
    assert any(point.above for point in labels)
    for point in labels:
        assert not point.above or point.x - LETTER * len(point.label) > LEFT
