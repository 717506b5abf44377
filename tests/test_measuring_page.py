"""docs/measuring.md lists exactly the labels and the lines of the calibration that exist."""

import re
from pathlib import Path

from ptxbench import result
from ptxbench.calibration import assessment
from ptxbench.calibration.suite import CalibrationSuite
from ptxbench.firstrun.steps import STEPS
from ptxbench.measure import SETTINGS
from tests.calibrated import Probe, ScriptedGpu

PAGE = (Path(__file__).parents[1] / "docs" / "measuring.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, list[str]]:
    """The table under a heading, each row by its first column."""
    section = PAGE.split(f"## {heading}")[1].split("\n## ")[0]
    lines = [
        [column.strip() for column in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"
    ]
    return {line[0].strip("`"): line[1:] for line in lines[2:]}


def test_every_label_has_an_observation_and_advice():
    labels = {
        getattr(result, name)
        for name in re.findall(r"^([A-Z0-9_]+) = \"[A-Z0-9-]+\"$", Path(result.__file__).read_text(), re.MULTILINE)
    }
    documented = rows("Labels, and what to do about them")
    assert set(documented) == labels
    assert all(all(columns) for columns in documented.values())
    judged = {label for label, columns in documented.items() if columns[1].startswith("kept")}
    assert judged == labels - result.UNJUDGED


def test_every_line_of_the_calibration_is_documented():
    documented = rows("`ptxbench doctor --calibrate`")
    assert list(documented) == [check.subject for check in CalibrationSuite(ScriptedGpu(), Probe()).checks]


def test_every_step_of_the_first_run_is_documented():
    assert list(rows("`ptxbench doctor --first-run`")) == list(STEPS)


def test_the_thresholds_match_the_code():
    documented = rows("`ptxbench doctor --calibrate`")
    assert f"under {assessment.FLUSHES} times" in documented["flush"][1]
    assert f"± {assessment.WIDE:.1%}".replace("%", " %") in documented["A/A control"][2]
    assert f"over {SETTINGS.interaction:.0%}".replace("%", " %") in documented["interaction"][2]
    assert f"under {assessment.LEAST_BANDWIDTH:.0%}".replace("%", " %") in documented["bandwidth"][2]
    assert ", ".join(map(str, SETTINGS.looks[:-1])) in " ".join(PAGE.split())
