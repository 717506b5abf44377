"""docs/check.md names every code and stage as the program has them, and every code can come about."""

import re
from pathlib import Path

from ptxbench.check import comparison, findings
from ptxbench.check.comparison import FIGURES
from ptxbench.check.finding_codes import CODES, ERROR, UNJUDGED, WARNING
from ptxbench.check.findings import STAGES
from ptxbench.exporters.check import document

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "check.md").read_text()


def rows(section):
    """The cells of each row of the table in a section."""
    table = TEXT.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines() if line[:3] == "| `"]


def test_the_table_of_codes_matches_the_program():
    expected = [
        [f"`{code.name}`", code.stage.replace(" ", ", "), code.severity, code.meaning, code.hint]
        for code in CODES.values()
    ]
    assert rows("Codes") == expected


def test_the_table_of_stages_matches_the_program():
    assert [row[0].strip("`") for row in rows("Stages")][: len(STAGES)] == list(STAGES)


def test_every_code_has_an_existing_stage_and_is_used_in_the_program():
    sources = "\n".join(path.read_text() for path in (ROOT / "ptxbench" / "check").glob("*.py") if path.stem != "codes")
    kinds = "out-of-bounds misaligned uninitialised race divergent-barrier barrier-after-exit pending-copy"
    by_emulator = {
        *kinds.split(),
        "divergent-branch",
        "partial-warp",
        "cluster-exited",
        "cluster-not-started",
        "member-mask",
        "pending-mma",
        "missing-proxy-fence",
        "mbarrier",
        "schedule",
        "stray-prefetch",
    }  # a finding's kind is its code
    for name, code in CODES.items():
        assert set(code.stage.split()) <= {*STAGES, "any"}
        assert code.severity in (ERROR, WARNING, UNJUDGED)
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)
        assert f'"{name}"' in sources or name in by_emulator, name


def test_every_kind_of_the_sanitizer_is_a_code():
    from ptxbench.emulator.findings import KINDS

    assert {*KINDS.values(), "schedule"} <= CODES.keys()


def test_every_figure_and_key_is_explained():
    section = TEXT.partition("## `--json`\n")[2].partition("\n## ")[0]
    for name in (*FIGURES, *comparison.figures.__annotations__):
        assert f"`{name}`" in section or name in ("report", "return")
    judgement = findings.Judgement("mine.ptx", "0", "ptx", "softmax", "sm_90", 7)
    complete = document([judgement], pair="softmax", arch="sm_90", seed=7)
    for key in (*complete, *complete["candidates"][0]):
        assert f'"{key}"' in section
