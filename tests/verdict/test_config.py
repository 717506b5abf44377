"""ptxbench.toml: valid entries, the messages for invalid ones, and that printed rules parse to the same rules."""

import os
import re
from datetime import date

import pytest

from ptxbench.errors import UsageError
from ptxbench.verdict.config import GateConfig, GateLimits, dump, load_config, parse

FULL = """\
version = 1
[gate]
mode = ["ratio", "counters"]
budget = 0.03
time_budget = 0.2
alpha = 0.01
min_rounds = 10
abs_floor_us = 1
inconclusive = "fail"
missing = "warn"
not_comparable = "warn"
first_run = "fail"
toolchain = { ptxas = "13.0.88" }
[[pair]]
match = "*"
ptx_over_cuda_max = 1.02
counters = { max_spills = 0, max_registers = 64 }
[[pair]]
match = "saxpy*"
variant = "ptx.*"
budget = 0.1
sm_90 = { budget = 0.2, min_speedup = 1.1, counters = { min_occupancy = 0.5, max_registers = 80 } }
[[waive]]
pair = "softmax"
metric = "ratio"
max = 0.12
until = 2027-01-31
reason = "issue 123: \\"rewrite\\" in progress"
"""


def test_every_valid_key_is_read():
    config = parse(FULL)
    assert config.modes == ("ratio", "counters")
    assert (config.budget, config.time_budget, config.alpha, config.abs_floor_us) == (0.03, 0.2, 0.01, 1.0)
    assert config.min_rounds == 10
    assert (config.inconclusive, config.missing, config.not_comparable, config.first_run) == (
        "fail",
        "warn",
        "warn",
        "fail",
    )
    assert config.toolchain == {"ptxas": "13.0.88"}
    [waiver] = config.waivers
    assert (waiver.pair, waiver.metric, waiver.max, waiver.until) == ("softmax", "ratio", 0.12, date(2027, 1, 31))
    assert waiver.reason == 'issue 123: "rewrite" in progress'


@pytest.mark.parametrize("document", [FULL, "version = 1"])
def test_printed_rules_parse_to_the_same_rules(document):
    config = parse(document)
    assert parse(dump(config)) == config


def test_the_defaults_are_those_without_a_file():
    assert parse("version = 1") == GateConfig(pairs=[], waivers=[])
    assert parse(dump(GateConfig())).modes is None


LIMITS = [
    ("triad", "ptx", "sm_90", GateLimits(None, None, 1.02, None, {"max_spills": 0, "max_registers": 64})),
    ("saxpy", "ptx", "sm_90", GateLimits(None, None, 1.02, None, {"max_spills": 0, "max_registers": 64})),
    # a later table wins by key, an architecture's own over its table
    ("saxpy", "ptx.v4", "sm_80", GateLimits(0.1, None, 1.02, None, {"max_spills": 0, "max_registers": 64})),
    ("saxpy_v", "ptx.v4", "sm_90", GateLimits(0.2, None, 1.02, 1.1, {"max_spills": 0, "max_registers": 80,
                                                                 "min_occupancy": 0.5})),
]  # fmt: skip


@pytest.mark.parametrize(("pair", "variant", "arch", "limits"), LIMITS)
def test_later_tables_and_architectures_win(pair, variant, arch, limits):
    assert parse(FULL).limits(pair, variant, arch) == limits


WAIVE = '[[waive]]\npair = "a"\nmetric = "spills"\nuntil = 2027-01-31\nreason = "r"\n'

REFUSED = [
    ("version = 2", "c.toml: expected 'version = 1', found 2."),
    ("", "c.toml: expected 'version = 1', found no version."),
    ("version = true", "c.toml: expected 'version = 1', found True."),
    ("version = ", "c.toml is not TOML: Invalid value (at end of document)."),
    ("version = 1\n[gates]", "c.toml: unknown key 'gates'. Did you mean 'gate'?"),
    ("version = 1\n[gate]\nbugdet = 0.1", "c.toml: [gate]: unknown key 'bugdet'. Did you mean 'budget'?"),
    ("version = 1\n[gate]\nbudget = 5", "c.toml: [gate]: budget: expected a share between 0 and 1, such as 0.05, "
                                         "found 5."),
    ("version = 1\n[gate]\nbudget = true", "c.toml: [gate]: budget: expected a share between 0 and 1, such as 0.05, "
                                            "found True."),
    ("version = 1\n[gate]\nbudget = nan", "c.toml: [gate]: budget: expected a share between 0 and 1, such as 0.05, "
                                           "found nan."),
    ("version = 1\n[gate]\nmin_rounds = 4", "c.toml: [gate]: min_rounds: expected a whole number of at least 5 "
                                            "(fewer rounds cannot show how they differ), found 4."),
    ("version = 1\n[gate]\nmin_rounds = 7.5", "c.toml: [gate]: min_rounds: expected a whole number of at least 5 "
                                              "(fewer rounds cannot show how they differ), found 7.5."),
    ("version = 1\n[gate]\nmode = ['speed']", "c.toml: [gate]: mode: expected one or more of ratio, time, counters, "
                                               "found ['speed']."),
    ("version = 1\n[gate]\nmode = []", "c.toml: [gate]: mode: expected one or more of ratio, time, counters, "
                                        "found []."),
    ("version = 1\n[gate]\ninconclusive = 'ignore'",
     "c.toml: [gate]: inconclusive: expected 'warn' or 'fail', found 'ignore'."),
    ("version = 1\n[gate]\ntoolchain = { ptx = '1' }", "c.toml: [gate]: toolchain: unknown key 'ptx'. Did you "
                                                        "mean 'ptxas'?"),
    ("version = 1\ngate = 3", "c.toml: [gate]: expected a table, found 3."),
    ("version = 1\n[pair]\nmatch = 'a'", "c.toml: 'pair' must be an array of tables. Write it as [[pair]]."),
    ("version = 1\n[[pair]]\nbudget = 0.1", "c.toml: [[pair]] 1: 'match' is missing."),
    ("version = 1\n[[pair]]\nmatch = 'a'\nmin_speed = 2", "c.toml: [[pair]] 1: unknown key 'min_speed'. Did you "
                                                           "mean 'min_speedup'?"),
    ("version = 1\n[[pair]]\nmatch = 'a'\nmin_speedup = 0", "c.toml: [[pair]] 1: min_speedup: expected a number above "
                                                             "0, found 0."),
    ("version = 1\n[[pair]]\nmatch = 'a'\nmin_speedup = 1\nptx_over_cuda_max = 1",
     "c.toml: [[pair]] 1: ptx_over_cuda_max and min_speedup are the same limit. Remove one of them."),
    ("version = 1\n[[pair]]\nmatch = 'a'\nsm_90 = { mach = 1 }", "c.toml: [[pair]] 1: sm_90: unknown key 'mach'. "
     "The keys are budget, time_budget, ptx_over_cuda_max, min_speedup, counters."),
    ("version = 1\n[[pair]]\nmatch = 'a'\nsm90 = {}", "c.toml: [[pair]] 1: unknown key 'sm90'. The keys are match, "
     "variant, budget, time_budget, ptx_over_cuda_max, min_speedup, counters, sm_XX."),
    ("version = 1\n[[pair]]\nmatch = 'a'\ncounters = { max_register = 3 }",
     "c.toml: [[pair]] 1: counters: unknown key 'max_register'. Did you mean 'max_registers'?"),
    ("version = 1\n[[pair]]\nmatch = 'a'\ncounters = { max_registers = '3' }",
     "c.toml: [[pair]] 1: counters: max_registers: expected a number of at least 0, found '3'."),
    ("version = 1\n[gate]\nabs_floor_us = nan",
     "c.toml: [gate]: abs_floor_us: expected a number of at least 0, found nan."),
    ("version = 1\n[gate]\nabs_floor_us = 1" + 400 * "0",
     f"c.toml: [gate]: abs_floor_us: expected a number of at least 0, found 1{119 * '0'}...."),
    ("version = 1\n[[pair]]\nmatch = 'a'\nmin_speedup = inf",
     "c.toml: [[pair]] 1: min_speedup: expected a number above 0, found inf."),
    ("version = 1\n" + WAIVE.replace('reason = "r"\n', ""), "c.toml: [[waive]] 1: 'reason' is missing."),
    ("version = 1\n" + WAIVE.replace("until = 2027-01-31\n", ""), "c.toml: [[waive]] 1: 'until' is missing."),
    ("version = 1\n" + WAIVE.replace('"r"', '" "'), "c.toml: [[waive]] 1: reason: expected a non-empty "
                                                    "string, found ' '."),
    ("version = 1\n" + WAIVE.replace("2027-01-31", '"2027-01-31"'), "c.toml: [[waive]] 1: until: expected a date, such "
                                                                   "as 2027-01-31 without quotes, found '2027-01-31'."),
    ("version = 1\n" + WAIVE.replace("spills", "spill"), "c.toml: [[waive]] 1: metric: unknown metric 'spill'. "
                                                         "Did you mean 'spills'?"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "message"), REFUSED)
def test_an_unknown_entry_is_refused_with_its_position(document, message):
    with pytest.raises(UsageError) as raised:
        parse(document, "c.toml")
    assert str(raised.value) == message


def test_a_waiver_ends_after_its_day():
    config = parse("version = 1\n" + WAIVE)
    config.require_live(date(2027, 1, 31))
    with pytest.raises(UsageError, match=r"the waiver of 'a' \(spills: r\) ended on 2027-01-31"):
        config.require_live(date(2027, 2, 1))


# ---- pyproject.toml


def in_project(document):
    """The rules of a ptxbench.toml as tables of a pyproject.toml, among those of other programs."""
    tables = re.sub(r"^(\[+)", r"\1tool.ptxbench.", document, flags=re.M)
    return f'[project]\nname = "x"\n[tool.ruff]\nline-length = 99\n[tool.ptxbench]\n{tables}\n'


def test_a_pyproject_has_the_same_rules_in_its_own_tables():
    read = parse(in_project(FULL), "pyproject.toml")
    assert read == parse(FULL)
    assert (read.file, read.heading("waive")) == ("pyproject.toml", "[[tool.ptxbench.waive]]")
    assert (parse(FULL).file, parse(FULL).heading("waive")) == ("ptxbench.toml", "[[waive]]")


PROJECTS = [
    ("[tool.ptxbench]",                               "[tool.ptxbench]: expected 'version = 1', found no version."),
    ("[tool.ptxbench]\nversion = 1\n[tool.ptxbench.gates]",
                                                      "[tool.ptxbench]: unknown key 'gates'. Did you mean 'gate'?"),
    ("[tool.ptxbench]\nversion = 1\n[tool.ptxbench.gate]\nbugdet = 1",
                                              "[tool.ptxbench.gate]: unknown key 'bugdet'. Did you mean 'budget'?"),
    ("[tool.ptxbench]\nversion = 1\n[[tool.ptxbench.pair]]", "[[tool.ptxbench.pair]] 1: 'match' is missing."),
    ("[tool.ptxbench]\nversion = 1\n[tool.ptxbench.pair]", "'pair' must be an array of tables. Write it as "
                                                                 "[[tool.ptxbench.pair]]."),
    ("[tool]\nptxbench = 3",                         "[tool.ptxbench]: expected a table, found 3."),
]  # fmt: skip


@pytest.mark.parametrize(("document", "message"), PROJECTS)
def test_a_mistake_in_a_pyproject_names_its_table(document, message):
    with pytest.raises(UsageError) as caught:
        parse(document, "pyproject.toml")
    assert str(caught.value) == f"pyproject.toml: {message}"


def test_the_file_of_the_current_folder_that_has_rules(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config() == GateConfig()
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 99\n")
    assert load_config().file == "ptxbench.toml"  # where rules would be written
    (tmp_path / "ptxbench.toml").write_text("version = 1\n[gate]\nbudget = 0.02\n")
    assert load_config().budget == 0.02
    (tmp_path / "pyproject.toml").write_text(in_project("version = 1\n[gate]\nbudget = 0.03\n"))
    with pytest.raises(UsageError, match=r"^ptxbench\.toml and pyproject\.toml .* both have rules\. Keep one of them"):
        load_config()
    assert load_config(tmp_path / "pyproject.toml").budget == 0.03
    assert load_config(tmp_path / "ptxbench.toml").budget == 0.02
    (tmp_path / "ptxbench.toml").unlink()
    assert load_config().budget == 0.03


@pytest.mark.parametrize(("document", "message"), [
    ("[tool.ptxbench\n", r"^pyproject\.toml is not TOML: "),        # it may have rules
    ("tool = 3\n", r"^$"),
])  # fmt: skip
def test_a_pyproject_that_cannot_be_read_is_not_ignored(tmp_path, monkeypatch, document, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(document)
    if message == "^$":
        assert load_config() == GateConfig()
        return
    with pytest.raises(UsageError, match=message):
        load_config()


@pytest.mark.skipif(os.name == "nt", reason="a link needs a privilege there")
@pytest.mark.parametrize("name", ["ptxbench.toml", "pyproject.toml"])
@pytest.mark.parametrize("target", ["nowhere", "itself"])
def test_a_broken_link_is_not_passed_over(tmp_path, monkeypatch, name, target):
    """It may have had rules that are stricter than the defaults."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).symlink_to(name if target == "itself" else target)
    with pytest.raises(UsageError, match=rf"^Cannot read {name}: "):
        load_config()


def test_a_pyproject_that_is_named_must_have_rules(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool.ruff]\n")
    with pytest.raises(UsageError, match=r"pyproject\.toml has no \[tool\.ptxbench\]\. Write the rules there, or name"):
        load_config(path)
