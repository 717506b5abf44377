"""A pair with a tensor map and one launched in clusters, through the commands: judged, counted, gated, audited."""

import json

import pytest

from ptxbench import discovery
from ptxbench.audit.mutants import audit_mutants
from ptxbench.check.stages import Checker, CheckOptions
from ptxbench.check.suite import CheckSuite
from tests.check.hopper import RING_PTX, TILE_PTX, kernels_of_hopper
from tests.check.judging import outcome
from tests.folders import changed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return kernels_of_hopper(tmp_path_factory.mktemp("hopper"))


@pytest.fixture(scope="module")
def suites(folder):
    return {name: CheckSuite(discovery.load(folder, name), "sm_90", 1) for name in ("tile", "ring")}


def line_of(text, part):
    """The number of the line that has `part`."""
    (number,) = [number for number, line in enumerate(text.splitlines(), 1) if part in line]
    return number


END = "DONE:\n    ret;"
FIRST = "DONE:\n    setp.ne.u32 %first, %thread, 0;\n    @%first ret;\n    mov.u32 %i, box;\n"
WAIT_FOR_STORE = "    cp.async.bulk.commit_group;\n    cp.async.bulk.wait_group 0;\n    ret;"
BULK_STORE = "    cp.async.bulk.global.shared::cta.bulk_group [%y], [%i], 1024;\n"
FAR_AWAY = "    ld.param.u64 %y, [y];\n    cvta.to.global.u64 %y, %y;\n    add.u64 %y, %y, 4096000;\n"
BOX_STORE = "    cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%map_x, {%column, 0}], [%i];\n"
MEETING = "    barrier.cluster.arrive.release.aligned;\n    barrier.cluster.wait.acquire.aligned;\n"

OUTSIDE = changed(TILE_PTX, END, FIRST + FAR_AWAY + BULK_STORE + WAIT_FOR_STORE)
TO_AN_INPUT = changed(TILE_PTX, END, FIRST + BOX_STORE + WAIT_FOR_STORE)
LEAVES = RING_PTX.replace(f"{MEETING}    ret;", "    ret;")
BEFORE = RING_PTX.replace(f"{MEETING}\n", "\n", 1)

# one of two waits is not repeated
GIVES_UP = changed(
    changed(TILE_PTX, "    @!%waits bra  WAIT;\n", "    @!%waits bra  ON;\nON:\n"),
    "DONE:\n",
    "DONE:\nLAST:\n    mbarrier.try_wait.parity.shared::cta.b64  %waits, [filled], 0;\n    @!%waits bra  LAST;\n",
)
# pair, text, the outcome, the line that the message is about, what it has
CANDIDATES = [
    ("tile", TILE_PTX, "accepted", None, ""),
    ("tile", OUTSIDE, "results memory-fault", line_of(OUTSIDE, "[%y], [%i]"),
     "writes byte 4096000 of 'y', which has 16"),
    ("tile", TO_AN_INPUT, "results input-changed", None, "the kernel writes to 'x', which is an input."),
    ("tile", changed(TILE_PTX, "{%column, %row}", "{%row, %column}"), "results wrong-result", None, "y["),
    ("tile", changed(TILE_PTX, "[%filled_at], 1024;", "[%filled_at], 2048;"), "results deadlock",
     line_of(TILE_PTX, "try_wait"), "1,024 bytes missing"),
    ("tile", changed(TILE_PTX, "    @!%waits bra  WAIT;\n", ""), "lint wait-unchecked",
     line_of(TILE_PTX, "try_wait"), "no instruction reads its result"),
    ("tile", changed(TILE_PTX, "    @!%waits bra  WAIT;\n", "    @!%waits bra  ON;\nON:\n"), "repeats wait-gives-up",
     line_of(TILE_PTX, "try_wait"), "with some results of mbarrier.try_wait or test_wait false"),
    ("tile", GIVES_UP, "repeats wait-gives-up", line_of(TILE_PTX, "try_wait"),
     "with some results of mbarrier.try_wait or test_wait false"),
    ("ring", RING_PTX, "accepted", None, ""),
    ("ring", LEAVES, "results memory-fault", line_of(RING_PTX, "ld.shared::cluster"), "which has exited at line"),
    ("ring", BEFORE, "results wrong-result", None, "y[0] is nan"),
    ("ring", changed(RING_PTX, "and.b32       %rank, %rank, 3", "and.b32       %rank, %rank, 7"),
     "results memory-fault", line_of(RING_PTX, "ld.shared::cluster"), "of the CTA of rank 4 in the cluster"),
    ("ring", changed(RING_PTX, ".maxntid 64\n", ".maxntid 64\n.reqnctapercluster 2\n"), "lint needs-clusters", 5,
     ".reqnctapercluster 2: the pair's launch has clusters of 4, 1, 1."),
    ("ring", changed(RING_PTX, ".maxntid 64\n", ".maxntid 64\n.reqnctapercluster 4\n"), "accepted", None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("pair", "text", "expected", "line", "message"), CANDIDATES)
def test_a_candidate_is_accepted_or_its_mistake_is_named_with_its_line(
    pair, text, expected, line, message, suites, tmp_path
):
    path = tmp_path / f"{pair}.ptx"
    path.write_text(text)
    judgement = Checker(suites[pair], path, CheckOptions()).judge()
    assert outcome(judgement) == expected
    if judgement.decisive:
        assert judgement.decisive.line == line
        assert message in judgement.decisive.message


HINTS = [
    ("tile", changed(TILE_PTX, "%waits, [%filled_at], 0;", "%waits, [%filled_at], 1;"), "wrong-result",
     f"The sanitizer finds pending-copy in line {line_of(TILE_PTX, 'ld.shared')}: ld.shared.f32 by thread 0"),
    ("ring", BEFORE, "wrong-result", "The sanitizer finds race"),
    ("ring", LEAVES, "memory-fault", "Correct the line as the message says."),
    ("tile", OUTSIDE, "memory-fault", "Check the guard of that line."),
    ("tile", changed(TILE_PTX, "[%filled_at], 1024;", "[%filled_at], 2048;"), "deadlock", "Check the count"),
    ("tile", changed(TILE_PTX, "{%column, %row}", "{%row, %column}"), "wrong-result", "See the element and the size"),
]  # fmt: skip


@pytest.mark.parametrize(("pair", "text", "code", "hint"), HINTS)
def test_the_hint_of_a_result_or_a_fault_is_its_cause_where_it_is_known(pair, text, code, hint, suites, tmp_path):
    path = tmp_path / f"{pair}.ptx"
    path.write_text(text)
    decisive = Checker(suites[pair], path, CheckOptions()).judge(stages=("parses", "assembles", "results")).decisive
    assert decisive.code == code
    assert decisive.hint.startswith(hint)


def test_a_bulk_store_outside_an_array_is_contained_in_its_process(folder, ptxbench, tmp_path):
    (tmp_path / "outside.ptx").write_text(OUTSIDE)
    ran = ptxbench("check", tmp_path / "outside.ptx", "--pair", "tile", "--kernels", folder, "--seed", 1)
    assert ran.status == 4
    assert "writes byte 4096000 of 'y'" in " ".join(ran.out.split())


@pytest.fixture(scope="module")
def cells(folder, tmp_path_factory):
    from ptxbench import notebook

    done = notebook.run(kernels=folder, backend="emulator")
    assert done.verified
    return {cell.pair: cell.variants["ptx"] for cell in done.document.cells}


# pair, counter, its value, the line that has most of it
COUNTED = [
    ("tile", "ptx_tma_boxes",             32,         "cp.async.bulk.tensor"),   # of 4 x 8 CTAs
    ("tile", "ptx_async_bytes",           32 * 1024,  "cp.async.bulk.tensor"),
    ("tile", "ptx_tma_filled_bytes",      8 * 8 * 28 * 4, "cp.async.bulk.tensor"),  # the last 28 of 128 columns
    ("tile", "ptx_global_load_sectors",   32 * (13 + 16), "cp.async.bulk.tensor"),  # odd rows begin within one
    ("ring", "ptx_cluster_load_requests", 64 * 2,     "ld.shared::cluster"),
    ("ring", "ptx_cluster_load_bytes",    64 * 256,   "ld.shared::cluster"),
]  # fmt: skip


@pytest.mark.parametrize(("pair", "counter", "value", "opcode"), COUNTED)
def test_a_run_has_the_counters_and_their_hot_lines(pair, counter, value, opcode, cells):
    text = {"tile": TILE_PTX, "ring": RING_PTX}[pair]
    assert cells[pair].counts[counter] == value
    assert cells[pair].hot_lines[counter] == line_of(text, opcode)


def test_show_counts_the_lines_of_both(folder, ptxbench):
    for pair, opcode in (("tile", "UTMALDG"), ("ring", "UCGABAR_ARV")):
        shown = ptxbench("show", pair, "--kernels", folder, "--variant", "ptx", "--counts")
        assert shown.status == 0
        assert opcode in shown.out


@pytest.mark.parametrize("pair", ["tile", "ring"])
def test_a_gate_catches_a_worse_kernel_and_passes_an_equal_one(pair, folder):
    edits = ("an extra barrier", "registers renamed", "labels renamed", "other comments")
    outcomes = list(audit_mutants(folder, None, [pair], edits, ["ptx"]))
    assert {mutant.edit: mutant.skipped for mutant in outcomes} == dict.fromkeys({mutant.edit for mutant in outcomes})
    assert {"an extra barrier", "registers renamed", "other comments"} <= {mutant.edit for mutant in outcomes}
    assert all(mutant.holds for mutant in outcomes)


def test_a_gate_warns_of_more_bytes_outside_the_tensor(folder, ptxbench, tmp_path):
    ptx_file = folder / "ptx" / "tile.ptx"
    base, head = tmp_path / "base.json", tmp_path / "head.json"
    options = ("--kernels", folder, "--backend", "emulator", "--variant", "ptx", "--no-save", "-o")
    # two boxes of four rows, the second of which is partly outside of x with 4 more columns to the right
    shifted = changed(
        changed(TILE_PTX, "%state, [%filled_at], 1024;", "%state, [%filled_at], 2048;"),
        "READY:\n    bar.sync",
        "    add.u32 %i, %column, 4096;\n    mov.u32 %rows, other;\n"
        "    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
        "[%rows], [%map_x, {%i, %row}], [%filled_at];\nREADY:\n    bar.sync",
    )
    shifted = changed(
        shifted, ".shared .align 8 .b64 filled;", ".shared .align 8 .b64 filled;\n.shared .align 128 .b8 other[1024];"
    )
    try:
        ptxbench("run", "tile", *options, base)
        ptx_file.write_text(shifted)
        assert ptxbench("run", "tile", *options, head).status == 0
    finally:
        ptx_file.write_text(TILE_PTX)
    judged = json.loads(ptxbench("gate", head, "--base", base, "--mode", "counters", "--json").out)
    verdicts = {row["metric"]: (row["verdict"], row["base"], row["head"]) for row in judged["rows"]}
    assert verdicts["ptx_tma_boxes"] == ("REGRESSED", 32, 64)
    assert verdicts["ptx_tma_filled_bytes"] == ("REGRESSED", 7168, 7168 + 32 * 1024)
    assert verdicts["ptx_cluster_load_requests"][0] in ("SAME-CODE", "NO-REGRESSION")
    outcomes = {row["metric"]: row["outcome"] for row in judged["rows"] if "outcome" in row}
    assert outcomes.get("ptx_tma_filled_bytes", "warn") == "warn"
