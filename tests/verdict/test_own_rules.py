"""The gate rules of this repository, and their description in its page."""

import json
import re
from pathlib import Path

from ptxbench.result import from_json
from ptxbench.verdict.baseline import read_note, refusals
from ptxbench.verdict.config import parse
from ptxbench.verdict.gate import gate
from ptxbench.verdict.rules import RULES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def test_the_baselines_of_this_repository_pass_against_themselves_and_have_reasons():
    config = parse((ROOT / "ptxbench.toml").read_text(encoding="utf-8"))
    paths = list((ROOT / "baselines").glob("*.json"))
    assert paths
    for path in paths:
        text = path.read_text(encoding="utf-8")
        run = from_json(text, str(path))
        assert refusals(run) == []
        assert read_note(json.loads(text)).reason
        assert gate(run, run, config).exit_status == 0


def test_the_page_names_every_rule_and_its_example_is_read():
    table = PAGE[PAGE.index("### What the counters gate judges") :]
    for name in RULES:
        assert f"`{name}`" in table, name
    assert parse(re.search(r"```toml\n(.*?)```", PAGE, re.S)[1]).waivers
