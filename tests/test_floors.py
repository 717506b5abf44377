"""Floors against published times, the claims that they allow, and that a floor never passes for a time."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest

from ptxbench import floors, pipes, specifications, units
from ptxbench.errors import UsageError
from ptxbench.floors import HIGHER, LOWER, NO_CLAIM, Claim, Floor, claim, seconds_text
from ptxbench.model import points, scores

POINTS = points.published()

NOTHING = {
    "warp_instructions": 0, "pipes": {}, "mma_fmas": 0, "shuffles": 0, "shared_wavefronts": 0, "l1_sectors": 0,
    "dram_bytes": 0, "ctas": 1 << 20,
}  # fmt: skip

ONE = replace(specifications.H100_SXM, sms=1, boost_mhz=1, bytes_per_s=1e6)
"""A GPU of one SM at 1 MHz: cycles are microseconds."""


def cycles(arch="sm_90", spec=ONE, **executed):
    seconds_of = floors.floors({**NOTHING, **executed}, arch, spec)
    return {name: round(seconds * 1e6, 6) for name, seconds in seconds_of.items()}


# architecture, executions, cycles of an SM by resource
EXECUTED = [
    ("sm_90",  {"warp_instructions": 400},                           {"issue": 100}),
    ("sm_90",  {"pipes": {"FMA": 400}},                              {"FMA": 100}),
    ("sm_90",  {"pipes": {"IMAD": 400}},                             {"FMA": 200}),   # half of the lanes
    ("sm_90",  {"pipes": {"FMA": 300, "IMAD": 100}},                 {"FMA": 100}),   # mixed, all of them work
    ("sm_80",  {"pipes": {"FMA": 300, "IMAD": 100}},                 {"FMA": 200}),
    ("sm_90",  {"pipes": {"ALU": 400}},                              {"ALU": 200}),
    ("sm_90",  {"pipes": {"XU": 400}},                               {"XU": 800}),
    ("sm_86",  {"pipes": {"FP64": 400}},                             {"FP64": 6400}),
    ("sm_86",  {"pipes": {"LSU": 400}},                              {"LSU": 800}),
    ("sm_86",  {"pipes": {"LSU": 400}, "shuffles": 400},             {"LSU": 400}),   # 32 results a cycle everywhere
    ("sm_86",  {"pipes": {"LSU": 400}, "shuffles": 100},             {"LSU": 700}),
    ("sm_90a", {"mma_fmas": 2048 * 50},                              {"tensor": 50}),
    ("sm_90",  {"shared_wavefronts": 7},                             {"shared": 7}),
    ("sm_90",  {"l1_sectors": 32},                                    {"L1": 2}),
    ("sm_90",  {"dram_bytes": 30},                                   {"DRAM": 30}),
    ("sm_90",  {"pipes": {"CTL": 9, "ADU": 9, "UNIFORM": 9}},        {}),             # their rates are unknown
]  # fmt: skip


@pytest.mark.parametrize(("arch", "executed", "expected"), EXECUTED)
def test_each_resource_needs_the_time_given_by_its_rate(arch, executed, expected):
    assert cycles(arch, **executed) == expected


def test_no_more_sms_work_than_there_are_ctas():
    ten = replace(ONE, sms=10)
    assert cycles(spec=ten, warp_instructions=400, ctas=1) == {"issue": 100}
    assert cycles(spec=ten, warp_instructions=400, ctas=5) == {"issue": 20}
    # not two waves: of eleven CTAs ten may do nothing
    assert cycles(spec=ten, warp_instructions=400, ctas=11) == {"issue": 10}


def test_an_architecture_without_rates_is_refused():
    with pytest.raises(UsageError, match=r"^No pipe rates for sm_70\. A model needs one of sm_75, sm_80"):
        cycles("sm_70", warp_instructions=4)


# ---- published times


def test_no_floor_is_above_a_published_time():
    assert len(POINTS) == 67
    over = {(point.name, name): point.seconds / seconds for point in POINTS for name, seconds in point.floors.items()}
    assert min(over.values()) >= 1
    assert min(over.values()) < 1.05  # they are floors, not noughts


def slower(arch, resource):
    """The points, with the rate of one resource of one architecture 30 % too slow."""
    raw = json.loads(points.FILE.read_text())
    with pytest.MonkeyPatch.context() as patch:
        if resource == "DRAM":
            gpus = {n: replace(s, bytes_per_s=0.7 * s.bytes_per_s) for n, s in points.GPUS.items()}
            patch.setattr(points, "GPUS", gpus)
        elif resource in ("shared", "L1", "issue"):
            name = {"shared": "SHARED_WAVEFRONTS", "L1": "L1_SECTORS", "issue": "ISSUE_SLOTS"}[resource]
            rate = getattr(pipes, name)
            factor = 1 / 0.7 if resource == "issue" else 0.7
            patch.setattr(pipes, name, replace(rate, cycles=factor * rate.cycles))
        else:
            table = dict(pipes.RATES[arch])
            for name in {"FMA": ("FMA", "IMAD"), "LSU": ("LSU", "SHUFFLE")}.get(resource, (resource,)):
                table[name] = replace(table[name], cycles=table[name].cycles / 0.7)
            patch.setattr(pipes, "RATES", {**pipes.RATES, arch: table})
        return points.read(copy.deepcopy(raw))


def test_a_rate_that_is_30_percent_too_slow_is_refuted_where_the_audit_states_that():
    assert scores.FACTOR == 0.7
    refuted = {key for key, least in scores.refutable(POINTS).items() if least < 1 / scores.FACTOR}
    for arch, resource in scores.refutable(POINTS):
        above = [floor for floor in slower(arch, resource) if floor.arch == arch and floor.over_floor < 1]
        assert bool(above) == ((arch, resource) in refuted), (arch, resource)
    # what a point rests on: the others none can refute, and docs/model.md lists them
    assert refuted == {
        ("sm_75", "FMA"), ("sm_75", "LSU"),
        ("sm_86", "FP16"), ("sm_86", "LSU"), ("sm_86", "shared"),
        ("sm_90", "LSU"), ("sm_90", "DRAM"),
    }  # fmt: skip


def test_claims_about_published_kernels_are_right_as_often_as_the_thresholds_promise():
    floor_scores = scores.of_points(POINTS)
    tally = {name: sum(floor.outcome == name for floor in floor_scores) for name in scores.OUTCOMES}
    assert len(floor_scores) == 289
    assert tally["wrong"] <= 1
    assert tally["within 2 %"] <= 2
    assert tally["silent"] <= 111 + 0.05 * 289
    apart = scores.by_distance(floor_scores)
    assert apart["5 to 30 %", "right"] >= 11


def test_the_page_states_the_errors_of_ratios_of_floors():
    off = []
    for a, b in points.pairs(POINTS):
        ratio = (b.highest.seconds / a.highest.seconds) / (b.seconds / a.seconds)
        off.append(max(ratio, 1 / ratio) - 1)
    page = " ".join((Path(__file__).parents[1] / "docs" / "model.md").read_text(encoding="utf-8").split())
    assert f"the ratio of the highest floors was off by {median(off):.0%} at".replace("%", " %") in page


# ---- claims


def sides(**resources):
    """Two sides' floors from `issue=(own, base)`."""
    return tuple({name: values[i] for name, values in resources.items() if values[i]} for i in (0, 1))


# floors of both sides, the sentence
CLAIMS = [
    (sides(issue=(96, 100)),                       Claim(LOWER)),
    (sides(issue=(100, 96)),                       Claim(HIGHER)),
    (sides(issue=(98, 100)),                       Claim(NO_CLAIM, "the highest floors differ by less than 3 %")),
    (sides(issue=(90, 100), LSU=(50, 50)),         Claim(LOWER)),
    (sides(issue=(90, 100), LSU=(50.2, 50)),       Claim(LOWER)),          # within 0.5 %
    (sides(issue=(90, 100), LSU=(51, 50)),         Claim(NO_CLAIM, "LSU higher, issue slots lower")),
    (sides(issue=(90, 100), LSU=(19, 1)),          Claim(LOWER)),          # does not matter
    (sides(issue=(90, 100), shared=(0, 50)),       Claim(LOWER)),
    (sides(issue=(90, 100), shared=(50, 0)),       Claim(NO_CLAIM, "shared memory higher, issue slots lower")),
    (sides(issue=(100, 100), DRAM=(80, 90)),       Claim(NO_CLAIM, "the highest floors differ by less than 3 %")),
    (({}, {}),                                     Claim(NO_CLAIM, "the highest floors differ by less than 3 %")),
]  # fmt: skip


@pytest.mark.parametrize(("both", "message"), CLAIMS)
def test_a_claim_needs_a_lower_floor_on_every_resource_that_matters(both, message):
    own, base = both
    assert claim(own, base) == message
    mirrored = {LOWER: HIGHER, HIGHER: LOWER}.get(message.verdict, NO_CLAIM)
    assert claim(base, own).verdict == mirrored


def test_an_obstacle_and_a_wide_interval_silence_a_claim():
    own, base = sides(issue=(90, 100))
    assert claim(own, base, ["global atomics", "spins"]) == Claim(NO_CLAIM, "global atomics")
    assert claim(own, base, width=0.04) == Claim(LOWER)
    assert str(claim(own, base, width=0.06)) == "no claim: the executed instructions are an interval 6 % wide"
    near, base = sides(issue=(96.5, 100))
    assert claim(near, base, width=0.03) == Claim(LOWER)
    wide = claim(near, base, width=0.039)
    assert str(wide) == "no claim: the interval of executed instructions is wider than the difference"
    assert str(claim(own, base)) == "lower floor on every resource that matters"


# ---- a floor is not a time

TEXTS = [
    (4e-3,    "4.0 ms"),
    (3.99e-3, "3.9 ms"),   # rounded down: it stays a floor
    (12.9e-6, "12 µs"),
    (395e-6,  "395 µs"),
    (0.7,     "700 ms"),   # divided by 1e-3 it is 699.9999999999999
    (2.0,     "2.0 s"),
    (7e-10,   "0.7 ns"),
]  # fmt: skip


@pytest.mark.parametrize(("seconds", "text"), TEXTS)
def test_a_floor_is_marked_as_one_and_rounded_down(seconds, text):
    assert seconds_text(seconds) == text
    assert str(Floor("issue", seconds)) == f">= {text}"


def test_no_formatter_of_times_takes_a_floor_and_none_mixes_with_a_number():
    floor = Floor("issue", 4e-3)
    for attempt in (
        lambda: units.si(floor, "s"),
        lambda: units.column([4e-3, floor], "s"),
        lambda: units.fixed(floor, 2),
        lambda: floor < 5e-3,
        lambda: floor / 2,
        lambda: 1.0 - floor,
        lambda: float(floor),
        lambda: sorted([floor, Floor("LSU", 1e-3)]),
    ):
        with pytest.raises(TypeError):
            attempt()


# ---- published times


def test_every_published_point_counts_at_its_highest_floor():
    known = points.published()
    *by_resource, together = scores.spreads(known)
    assert (together.resource, together.points) == ("all", len(known))
    assert together.least == min(point.over_floor for point in known)
    assert sum(spread.points for spread in by_resource) == len(known)
    highest = {point.highest.resource for point in known}
    assert [spread.resource for spread in by_resource] == [
        floors.WORDS[name] for name in floors.WORDS if name in highest
    ]
    assert all(spread.least <= spread.median <= spread.most for spread in by_resource)


def test_claims_are_counted_by_how_far_the_times_differ():
    scored = [scores.ScoredClaim("", Claim(LOWER), seconds, 1e-3) for seconds in (1.04e-3, 0.8e-3, 0.79e-3, 0.2e-3)]
    assert scores.by_distance(scored) == {
        ("under 5 %", "wrong"): 1, ("5 to 30 %", "right"): 2, ("over 30 %", "right"): 1,
    }  # fmt: skip


# ---- the command

FORBIDDEN = re.compile(r"\b(?:faster|slower than|bound by|ties?|tied|predict\w*|speedup|estimated time)\b", re.I)


def test_the_audit_prints_its_result(ptxbench, tmp_path):
    ran = ptxbench("model", "audit", "--results", tmp_path, "--json")
    assert (ran.status, ran.err) == (0, "")
    printed = json.loads(ran.out)
    assert printed["published"]["confusion"]["lower"] == {"less": 171, "alike": 2, "more": 1}
    assert min(point["measured_over_floor"] for point in printed["points"]) > 1
    assert printed["measured"]["pairs"] == 0
    text = ptxbench("model", "audit", "--results", tmp_path).out
    assert text.count("\n") > 100
    assert not FORBIDDEN.search(text)
    assert "siboehm 5 2D tile" in text


def test_a_floor_above_a_published_time_fails_the_audit(ptxbench, tmp_path, monkeypatch):
    table = dict(pipes.RATES["sm_86"])
    table["LSU"] = replace(table["LSU"], cycles=16)
    monkeypatch.setattr(pipes, "RATES", {**pipes.RATES, "sm_86": table})
    points.published.cache_clear()
    try:
        assert ptxbench("model", "audit", "--results", tmp_path).status == 3
    finally:
        points.published.cache_clear()
