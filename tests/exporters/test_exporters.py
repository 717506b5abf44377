"""Exports, compared whole where they are for people; an emulated result is among the rows."""

import csv
import dataclasses
import io
from pathlib import Path

import pytest

from ptxbench.errors import UsageError
from ptxbench.exporters import SUFFIXES, exporter, exporter_for, fragment, run_exporters
from ptxbench.metrics import METRICS
from ptxbench.result import RunDocument, from_json, to_json
from ptxbench.run_info import Device, HostInfo, RunInfo, SourceInfo, Toolchain, ToolInfo
from tests.terminal.test_table import COUNTED, FAILED, TIMED, verified
from tests.wording.test_findings import race

HEADING = (
    "| variant | status | max error | PTX instr. | instr. / cuda (×) | sectors | conflicts | regs | spills (B) | SASS "
    "| occup. (%) |"
)


def run_of(*cells):
    info = RunInfo("12ab", "2026-01-31T12:00:00Z")
    device = Device("emulator", "emulator-sm_90", "sm_90")
    return RunDocument(info, ToolInfo(), SourceInfo(), HostInfo(), device, Toolchain(), {}, {}, list(cells))


def test_markdown_can_be_pasted_into_an_issue():
    assert (
        exporter("markdown")(run_of(COUNTED, FAILED))
        == f"""\
ptxbench on emulator-sm_90, run 12ab, 2026-01-31T12:00:00Z

### triad, n=65536, sm_90

{HEADING}
|:--|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|
| `cuda` | verified | 6.0e-08 | 15,360 | 1.000 | 24,576 | 0 | 22 | 0 | 42 | 100 |
| `ptx` | verified | 0 | 13,824 | 0.900 | 24,576 | 0 | 22 | 0 | 40 | 100 |

ptx issues 10 % fewer PTX instructions than cuda, moves the same sectors and has 4.8 % fewer SASS instructions.

### triad, n=65536, sm_90

{HEADING}
|:--|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|
| `cuda` | verified | 6.0e-08 | 15,360 | 1.000 | 24,576 | 0 | 22 | 0 | 42 | 100 |
| `cuda@fast` | **skipped** | - | - | - | - | - | - | - | - | - |
| `ptx` | **wrong** | - | - | - | - | - | - | - | - | - |
| `ptx.tma` | **unsupported** | - | - | - | - | - | - | - | - | - |

- ptx is wrong: triad.ptx, n=3: a\\[2] is 1, expected 2; 1 of 3 elements is outside 1 ulp.
- ptx.tma is beyond the emulator: triad.tma.ptx:61: unknown instruction 'cp.x'.
- cuda@fast is skipped: NVRTC is not there. Install ptxbench\\[cu13].
"""
    )


@pytest.mark.parametrize(("cell", "word"), [(COUNTED, "differs"), (TIMED, "why")])
def test_markdown_has_the_first_finding_below_the_table(cell, word):
    variants = {"cuda": verified("cuda", code="A"), "ptx": verified("ptx", code="B", spilled=8)}
    text = exporter("markdown")(run_of(dataclasses.replace(cell, variants=variants)))
    assert f"|\n\n{word}: Spilled registers go through memory: ptx 16 bytes a thread, stores and loads.\n\n" in text


def test_csv_has_every_metric_in_base_units_and_empty_fields_for_absent_ones():
    rows = list(csv.DictReader(io.StringIO(exporter("csv")(run_of(COUNTED, TIMED, FAILED)))))
    assert len(rows) == 8
    assert [row["time [s]"] for row in rows[:4]] == ["", "", "4e-06", "3e-06"]
    assert [row["ptx_warp_instructions"] for row in rows[:4]] == ["15360", "13824", "", ""]
    assert rows[6]["reason"].endswith("1 of 3 elements is outside 1 ulp.")
    assert len(rows[0]) == 9 + len(METRICS)


def test_json_is_the_run_document():
    run = run_of(dataclasses.replace(COUNTED, pair="scan"), TIMED)  # a cell is in a run once
    text = exporter("json")(run)
    assert to_json(from_json(text, "x")) == text


def test_the_suffix_chooses_the_format(tmp_path):
    assert exporter_for(Path("A.CSV"), run_exporters()) is exporter("csv")
    *others, last = SUFFIXES
    with pytest.raises(UsageError) as refused:
        exporter_for(Path("out.d/run"), run_exporters())
    assert str(refused.value) == f"Unknown suffix of 'run'. Name a file that ends in {', '.join(others)} or {last}."


def test_benchstat_gets_a_line_for_each_variant_and_round():
    rounds = [dataclasses.replace(TIMED.rounds[0], round=number) for number in range(2)]
    text = exporter("benchstat")(run_of(dataclasses.replace(TIMED, rounds=rounds), COUNTED, FAILED))
    assert (
        text
        == """\
goos: unknown
gpu: emulator-sm_90
BenchmarkTriad/n=65536/cache=cold/impl=cuda 1 4000 ns/op
BenchmarkTriad/n=65536/cache=cold/impl=cuda 1 4000 ns/op
BenchmarkTriad/n=65536/cache=cold/impl=ptx 1 3000 ns/op
BenchmarkTriad/n=65536/cache=cold/impl=ptx 1 3000 ns/op
"""
    )
    nowhere = dataclasses.replace(run_of(dataclasses.replace(TIMED, rounds=rounds)), host=HostInfo(os=""))
    assert exporter("benchstat")(nowhere).startswith("goos: unknown\n")
    wrong = {**TIMED.variants, "ptx": dataclasses.replace(TIMED.variants["ptx"], status="wrong")}
    one = run_of(dataclasses.replace(TIMED, variants=wrong))
    text = exporter("benchstat")(dataclasses.replace(one, host=HostInfo(os="Linux 6.1")))
    assert text.splitlines() == [
        "goos: linux", "gpu: emulator-sm_90", "BenchmarkTriad/n=65536/cache=cold/impl=cuda 1 4000 ns/op",
    ]  # fmt: skip
    with pytest.raises(UsageError, match=r"^Run 12ab has no times"):
        exporter("benchstat")(run_of(COUNTED))


def test_sentences_clear_the_noise_of_the_control_and_compare_with_the_chosen_row():
    timed = race({"cuda": 50, "cuda@fast": 45, "ptx": 43})
    control = race({"cuda": 50, "ptx": 54})  # it differs from itself by 8 %
    control = dataclasses.replace(control, pair="control", control=True)
    for name in ("markdown", "notebook"):
        export = fragment.export if name == "notebook" else exporter(name)
        assert "FASTER" in export(run_of(timed))
        noisy = export(run_of(control, timed))
        assert "FASTER" not in noisy
        assert "control" not in noisy
    chosen = run_exporters("cuda")[".md"](run_of(timed))
    assert "less time" in chosen
    assert "fast, the fastest" not in chosen
