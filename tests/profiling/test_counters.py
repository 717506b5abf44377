"""Nsight Compute's table as numbers, and its process: the messages with and without counts."""

import os
import time
from pathlib import Path

import pytest

from ptxbench.calibration.assessment import PASS, WARN
from ptxbench.errors import MachineError, ResultError
from ptxbench.firstrun.steps import judge_counters
from ptxbench.metrics import BY_NAME
from ptxbench.profiling import counters, table
from ptxbench.profiling import ncu as profiler
from ptxbench.profiling.counters import Agreement
from ptxbench.profiling.table import ProfiledLaunch

TABLE = """\
==PROF== Connected to process 21212 (/usr/bin/python3.13)
==PROF== Profiling "transpose": 0%....50%....100% - 2 passes
"ID","Process ID","Process Name","Host Name","Kernel Name","Context","Stream","Block Size","Grid Size","Device","CC","Section Name","Metric Name","Metric Unit","Metric Value"
"0","21212","python3.13","127.0.0.1","transpose","1","13","(32, 8, 1)","(32, 32, 1)","0","9.0","Command line profiler metrics","l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum","","0"
"0","21212","python3.13","127.0.0.1","transpose","1","13","(32, 8, 1)","(32, 32, 1)","0","9.0","Command line profiler metrics","l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum","sector","131,072"
"0","21212","python3.13","127.0.0.1","transpose","1","13","(32, 8, 1)","(32, 32, 1)","0","9.0","Command line profiler metrics","l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum","sector","n/a"
"1","21212","python3.13","127.0.0.1","transpose","1","13","(32, 8, 1)","(32, 32, 1)","0","9.0","Command line profiler metrics","smsp__inst_executed.sum","inst","860160"
==PROF== Disconnected from process 21212
"""  # noqa: E501  as ncu writes it


PLACE = ("transpose", (32, 32, 1), (32, 8, 1), "sm_90")


def test_the_table_is_read_launch_by_launch():
    assert table.read(TABLE) == [
        ProfiledLaunch(
            *PLACE,
            {
                "l1tex__data_bank_conflicts_pipe_lsu_mem_shared_op_ld.sum": 0,
                "l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum": 131072,
            },
        ),
        ProfiledLaunch(*PLACE, {"smsp__inst_executed.sum": 860160}),
    ]
    assert table.read("==ERROR== Failed\n") == table.read("") == []


RAW = """\
"ID","Kernel Name","Block Size","Grid Size","CC","smsp__inst_executed.sum","dram__bytes.sum"
"","","","","","inst","{unit}"
"0","transpose","(32, 8, 1)","(32, 32, 1)","9.0","860,160","1.5"
"""


def test_the_raw_page_of_a_report_is_read_too_but_rounded_numbers_are_refused():
    assert table.read(RAW.format(unit="byte")) == [
        ProfiledLaunch(*PLACE, {"smsp__inst_executed.sum": 860160, "dram__bytes.sum": 1.5})
    ]
    with pytest.raises(ResultError, match=r"dram__bytes\.sum is in Mbyte, which is rounded\. .*--print-units base"):
        table.read(RAW.format(unit="Mbyte"))
    with pytest.raises(ResultError, match=r"op_ld\.sum is in Ksector, which is rounded\."):
        table.read(TABLE.replace('"sector","131,072"', '"Ksector","131.07"'))


def test_a_launch_of_which_little_is_known_is_read():
    text = '"ID","Kernel Name","Grid Size","CC","Metric Name","Metric Value"\n"0","","?","x","inst.sum","3"\n'
    assert table.read(text) == [ProfiledLaunch(None, None, None, None, {"inst.sum": 3})]


def test_a_damaged_table_is_refused_in_a_sentence():
    with pytest.raises(ResultError, match=r"^The table of ncu is damaged: field larger than field limit"):
        table.read('"ID","Metric Name","Metric Unit","Metric Value"\n"0","' + "x" * 200_000)


def test_only_what_both_counted_is_compared():
    emulated = {"ptx_global_load_sectors": 8, "ptx_global_store_sectors": 0, "ptx_shared_load_conflicts": 4}
    measured = {LOADS: 9, STORES: 0, "smsp__inst_executed.sum": 5}
    (agreement,) = counters.agreements("p", "ptx", {}, emulated, measured)
    assert (agreement.counter, agreement.emulated, agreement.measured) == ("ptx_global_load_sectors", 8, 9)
    assert counters.agreements("p", "ptx", {}, emulated, {STORES: 1})[0].off == -1


AGREEMENTS = [
    # emulated, measured, least, most, whether they agree
    (100, 100, None, None, True),
    (101, 100, None, None, True),
    (102, 100, None, None, False),
    (0, 0, None, None, True),
    (90, 100, 80, 100, True),
    (100, 100, 80, 99, False),
    (100, 100, 101, 120, False),
]  # fmt: skip


@pytest.mark.parametrize(("emulated", "measured", "least", "most", "agree"), AGREEMENTS)
def test_counts_agree_within_a_percent_or_inside_the_range(emulated, measured, least, most, agree):
    assert Agreement("p", "ptx", {}, "sass_executed", "inst", emulated, measured, least, most).agrees == agree


def test_every_counter_is_one_of_the_emulator():
    assert {counter.emulated for counter in counters.COUNTERS} - {counters.EXECUTED} <= BY_NAME.keys()
    assert len({counter.hardware for counter in counters.COUNTERS}) == len(counters.COUNTERS)


LOADS, STORES = (f"l1tex__t_sectors_pipe_lsu_mem_global_op_{short}.sum" for short in ("ld", "st"))
INSTRUCTIONS = "smsp__inst_executed.sum"

# sectors by the emulator, by the GPU, status, a word of the finding
COUNTS = [
    (1000, 1000, PASS, "1 of 1 counters agree with the emulator"),
    (1000, 1009, PASS, "1 of 1"),
    (1000, 2000, WARN, "0 of 1 counters agree with the emulator. ptx_global_load_sectors: 2,000, emul"),
    (1000, 0,    WARN, "ptx_global_load_sectors: 0, emulator 1,000"),
    (0,    0,    PASS, "0 of 0"),
]  # fmt: skip


@pytest.mark.parametrize(("emulated", "measured", "status", "words"), COUNTS)
def test_counts_agree_within_a_hundredth(emulated, measured, status, words):
    both = {"ptx_global_load_sectors": emulated, "ptx_barriers": 10}, {LOADS: measured, INSTRUCTIONS: 20}
    agreements = counters.agreements("triad", "ptx", {"n": 4}, *both)
    line = judge_counters("counters: triad ptx", agreements)
    assert (line.status, words in line.found) == (status, True), line
    assert bool(line.advice) == (status == WARN)


@pytest.mark.parametrize(("measured", "status"), [(99, WARN), (100, PASS), (104, PASS), (105, WARN)])
def test_machine_instructions_lie_in_the_interval_that_the_emulator_leaves_open(measured, status):
    agreements = counters.agreements("triad", "ptx", {}, {"sass_executed": 102}, {INSTRUCTIONS: measured},
                                {"sass_executed": (100, 104)})  # fmt: skip
    assert judge_counters("counters: triad ptx", agreements).status == status


def test_how_far_a_count_is_off_has_no_number_where_the_gpu_counted_none():
    assert Agreement("a", "ptx", {}, "c", "h", 90, 100).off == pytest.approx(-0.1)
    assert Agreement("a", "ptx", {}, "c", "h", 90, 0).off is None


# ---- the process


TARGET = profiler.ProfileTarget(Path("no-such-folder"), "triad", "ptx", "triad", (("n", 4096),), "sm_90", 1)


def test_one_launch_is_counted(ncu):
    ncu("counts", {LOADS: 123_456, INSTRUCTIONS: 7})
    assert profiler.profile(profiler.find(), TARGET).counts == {LOADS: 123_456, INSTRUCTIONS: 7}


# what ncu does, whether it runs the launch, the message
FAILURES = [
    ("refused", False, "this user may not read the GPU's counters. Run as root, or load NVIDIA's kernel module with "
                       "NVreg_RestrictProfilingToAdminUsers=0"),
    ("busy", False, "another tool, such as DCGM, uses the GPU's counters. Stop it and run again"),
    ("nothing", False, "ncu counted no launch: it printed nothing"),
    ("nothing", True, "ncu counted no launch: Folder no-such-folder does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "runs", "message"), FAILURES)
def test_a_failure_of_counting_is_reported_in_one_sentence(ncu, mode, runs, message):
    ncu(mode, runs=runs)
    with pytest.raises(MachineError) as error:
        profiler.profile(profiler.find(), TARGET)
    assert str(error.value).startswith(message)


# what ncu and the command print between its first line and its last, the reason
PRINTED = [
    ("==ERROR== Unknown Error on device 0.\n", "Unknown Error on device 0"),
    ("hello\nError: There is no GPU.\n",      "There is no GPU"),
    ("",                                       "it printed nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("printed", "reason"), PRINTED)
def test_the_reason_is_the_error_of_ncu_or_the_last_line_of_the_command(printed, reason):
    text = f"==PROF== Connected to process 1\n{printed}==PROF== Disconnected from process 1\n"
    assert str(profiler.failure(text)) == f"ncu counted no launch: {reason}."


def test_a_profiler_that_hangs_is_ended_with_its_processes(ncu):
    pid = ncu("hangs")
    with pytest.raises(MachineError, match=r"ncu took longer than 1\.5 s"):
        profiler.profile(profiler.find(), TARGET, seconds=1.5)
    number = int(pid.read_text())
    for _ in range(50):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("it still runs")


def test_without_the_program_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match=r"Nsight Compute \(ncu\) is not on PATH"):
        profiler.find()
    with pytest.raises(MachineError, match="does not start"):
        profiler.perform([str(tmp_path / "ncu")], 1.0)
