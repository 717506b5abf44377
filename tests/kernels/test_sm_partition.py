"""The pair sm_partition."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.device_shape import DeviceShape
from ptxbench.errors import TargetMismatch
from tests.kernels.harness import PAIRS, build, code, count, executed

FOUND = PAIRS["sm_partition"]
SOURCES = {source.variant: source for source in FOUND.sources}


def sm_partition(source, target, table, result, vectors, chunk, chunks, tiles, panels, depth, steps, copiers, roles):
    def tile(number):
        sums = [0.0] * 256
        for panel in range(depth * number, depth * (number + 1)):
            rows, columns = table[panel % panels]
            for thread, (row, column) in enumerate(zip(rows, columns, strict=True)):
                sums[thread] += steps * sum(a * b for a in row for b in column)
        return sums

    return {
        "target": source if roles & 1 else target,
        "result": [tile(number) for number in range(tiles)] if roles & 2 else result,
    }


REFERENCE = (sm_partition, FOUND.pair.check_sizes[1])
SAME_BITS = False  # of the clocks; the test below is about the rest
REGISTERS = 40  # an SM has one CTA of 256 threads, and 256 registers for each

MUTANTS = [
    ("sm_partition.ptx", "[%place], %next;\n bar.sync 0;",     "[%place], %next;"),     # read before it is there
    ("sm_partition.ptx", "%next, [%tickets + 128], 1;\n\nTILE", "%next, [%tickets], 1;\n\nTILE"),  # a chunk's number
    ("sm_partition.ptx", "mul.lo.u32 %panel, %number, %depth", "add.u32 %panel, %number, %depth"),
    ("sm_partition.ptx", "add.u32 %panel, %panel, 1",          "add.u32 %panel, %panel, 2"),
    ("sm_partition.ptx", "add.u32 %end, %first, %count",      "add.u32 %end, %first, %chunk"),
    ("sm_partition.ptx", "min.u32 %count, %chunk, %rest",      "max.u32 %count, %chunk, %rest"),
    ("sm_partition.ptx", "[%source_at + 8192]",                "[%source_at + 4096]"),
    ("sm_partition.ptx", "[%table_at + 4096]",                 "[%table_at + 2048]"),
    ("sm_partition.ptx", "%s_21, %u_2, %v_1, %s_21",           "%s_21, %u_2, %v_1, %s_20"),
    ("sm_partition.ptx", "sub.u32 %wrap, %panels, 1",          "sub.u32 %wrap, %panels, 0"),
    ("sm_partition.block.ptx", "setp.lt.u32 %copies, %block",  "setp.gt.u32 %copies, %block"),
    ("sm_partition.block.ptx", "selp.u32 %role, 1, 2",         "selp.u32 %role, 2, 1"),
    ("sm_partition.block.ptx", "add.u32 %i, %i, 1024",         "add.u32 %i, %i, 2048"),
    ("sm_partition.block.ptx", "mad.wide.u32 %result_at, %number, 1024", "mad.wide.u32 %result_at, %number, 512"),
    ("sm_partition.plain.ptx", "setp.eq.u32 %copies, %role, 1", "setp.eq.u32 %copies, %role, 2"),
    ("sm_partition.plain.ptx", "sub.s32 %most, %most, %others", "sub.s32 %most, %most, %ctas"),    # no SM ever copies
    ("sm_partition.plain.ptx", "[%target_at + 12288], {%v3_x", "[%target_at + 12288], {%v2_x"),
    ("sm_partition.plain.ptx", "add.u64 %target_at, %target_at, 4096", "add.u64 %target_at, %target_at, 2048"),
    ("sm_partition.plain.ptx", "add.rn.f32 %high, %row_2, %row_3", "add.rn.f32 %high, %row_2, %row_2"),
    ("sm_partition.spread.ptx", "mad.wide.u32 %result_at, %number, 1024", "mad.wide.u32 %result_at, %number, 512"),
    ("sm_partition.spread.ptx", "add.u32 %i, %i, 1024",         "add.u32 %i, %i, 2048"),
    ("sm_partition.spread.ptx", "setp.ne.u32 %more, %deeper, 0", "setp.eq.u32 %more, %deeper, 0"),
    ("sm_partition.bulk.ptx", "mov.u32 %number, %next",         "add.u32 %number, %next, 1"),
    ("sm_partition.bulk.ptx", "%ignored, [%arrived_at], %size",    "%ignored, [%arrived_at], 16384"),  # too many bytes
    ("sm_partition.bulk.ptx", "arrive.expect_tx.shared::cta.b64 %ignored, [%arrived_at], %size",
     "arrive.shared::cta.b64 %ignored, [%arrived_at]"),         # none: the phase is over before the piece has come
    ("sm_partition.bulk.ptx", "shr.u32 %parity, %sent, 2",         "shr.u32 %parity, %sent, 1"),
    ("sm_partition.bulk.ptx", "[arrivals + 24], 1",                "[arrivals + 24], 2"),
    ("sm_partition.bulk.ptx", "and.b32 %stage, %sent, 3",          "and.b32 %stage, %sent, 1"),
    ("sm_partition.bulk.ptx", "@!%here bra ARRIVING",              "@%here bra ARRIVING"),
    ("sm_partition.bulk.ptx", "wait_group.read 1",                 "wait_group.read 4"),   # over unsent data
    ("sm_partition.bulk.ptx", "cp.async.bulk.wait_group 0",        "cp.async.bulk.wait_group 1"),
    ("sm_partition.bulk.ptx", "cp.async.bulk.commit_group;",       ""),
    ("sm_partition.bulk.ptx", "min.u32 %rest, %rest, %chunk",      "max.u32 %rest, %rest, %chunk"),
    ("sm_partition.bulk.ptx", "[%note_at], {%offset, %length}",    "[%note_at], {%length, %offset}"),
]  # fmt: skip


def buildable(arch):
    """The variants that `arch` can run: cp.async.bulk came with sm_90."""
    return [source for variant, source in SOURCES.items() if arch != "sm_80" or variant != "ptx.bulk"]


def opcodes(variant, arch):
    """The machine instructions of a variant, with all modifiers and operands."""
    return code(build(SOURCES[variant], arch, "toolkit"))


# ---- what it does


@pytest.mark.parametrize("variant", SOURCES)
@pytest.mark.parametrize(("copiers", "roles", "taken"), [
    (1, 3, [1, 2, 2, 2]),
    (3, 3, [1, 1, 1, 2]),
    (3, 1, [1, 1, 1, 2]),
    (1, 2, [1, 2, 2, 2]),
])  # fmt: skip
def test_each_cta_takes_its_role_and_the_time(variant, copiers, roles, taken):
    size = {**FOUND.pair.check_sizes[0], "copiers": copiers, "roles": roles}
    outputs, verdict = executed("sm_partition", SOURCES[variant], "sm_90", size)
    assert verdict is None
    assert outputs["taken"].tolist() == taken
    began, ended = outputs["clocks"].T
    assert ((began > 0) & (ended > began)).tolist() == [bool(role & roles) for role in taken]
    assert not outputs["clocks"][outputs["taken"] & roles == 0].any()


@pytest.mark.parametrize("variant", SOURCES)
def test_a_missing_copy_is_detected_without_copiers(variant):
    size = {**FOUND.pair.check_sizes[0], "copiers": 0}
    _, verdict = executed("sm_partition", SOURCES[variant], "sm_90", size)
    assert "target[" in verdict


SEATS = [
    ("mov.u32 %sm, 200",  [2, 2, 2, 1]),     # numbers that begin at 200: no SM copies
    ("mov.u32 %sm, 0",    [1, 1, 1, 2]),     # all on one SM: no SM computes
    ("mov.u32 %sm, %smid;\nshl.b32 %sm, %sm, 1", [1, 1, 2, 2]),     # gaps: fewer copy than were asked for
]  # fmt: skip


@pytest.mark.parametrize("variant", ["ptx", "ptx.bulk", "ptx.plain", "ptx.spread"])
@pytest.mark.parametrize(("reads", "taken"), SEATS)
def test_the_last_cta_does_the_remaining_work_for_any_numbering_of_the_sms(variant, reads, taken, tmp_path):
    source = SOURCES[variant]
    path = tmp_path / source.path.name
    text = re.sub(" +", " ", source.path.read_text())
    assert "mov.u32 %sm, %smid" in text
    path.write_text(text.replace("mov.u32 %sm, %smid", reads))
    size = {**FOUND.pair.check_sizes[0], "copiers": 3}
    for roles in (1, 2, 3):
        changed = dataclasses.replace(source, path=path)
        outputs, verdict = executed("sm_partition", changed, "sm_90", {**size, "roles": roles})
        assert verdict is None
        assert outputs["taken"].tolist() == taken


def test_all_variants_agree_bit_for_bit_but_for_the_clocks():
    for size in FOUND.pair.check_sizes:
        sides = [executed("sm_partition", source, "sm_90", size)[0] for source in SOURCES.values()]
        # Where all SMs copy, whether the last one still finds a chunk depends on how fast the others are.
        taken = () if size["copiers"] == size["sms"] else ("taken",)
        for output in ("target", "result", *taken):
            assert len({side[output].tobytes() for side in sides}) == 1


def test_every_panel_of_the_table_is_read():
    for size in (*FOUND.pair.check_sizes, *FOUND.pair.bench_sizes):
        arguments = {arg.name: arg for arg in FOUND.pair.args}
        panels, tiles, depth = (arguments[name].value(**size) for name in ("panels", "tiles", "depth"))
        assert panels & panels - 1 == 0
        assert panels <= tiles * depth <= 256 * panels
        assert arguments["table"].shape(**size)[0] == panels


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_100"])
def test_an_sm_has_one_cta(arch):
    (launch,) = {FOUND.pair.launch(**size).shared_bytes for size in FOUND.pair.bench_sizes}
    for source in buildable(arch):
        report = build(source, arch, "toolkit").report
        share = toolchain.occupancy(
            arch, threads=256, registers=report.registers, shared_bytes=launch + report.shared_bytes
        )
        assert share == 8 / 64  # warps


# ---- what the headers and the page say of the machine code

HINTS = {
    "cuda":      (r"LDG\.E\.EF\.128",                     r"STG\.E\.EF\.128"),
    "ptx":       (r"LDG\.E\.NA\.LTC256B\.128\.CONSTANT",  r"STG\.E\.NA\.128"),
    "ptx.block": (r"LDG\.E\.NA\.LTC256B\.128\.CONSTANT",  r"STG\.E\.NA\.128"),
    "ptx.plain": (r"LDG\.E\.128\.CONSTANT",               r"STG\.E\.128"),
    "ptx.spread": (r"LDG\.E\.NA\.LTC256B\.128\.CONSTANT", r"STG\.E\.NA\.128"),
}  # fmt: skip


@pytest.mark.parametrize("variant", HINTS)
def test_the_copy_has_its_hints_and_four_loads_under_way(variant):
    load, store = HINTS[variant]
    copies = "".join(
        "L" if re.match(load + " ", opcode) else "S" if re.match(store + " ", opcode) else ""
        for opcode in opcodes(variant, "sm_90")
    )
    assert copies.count("LLLLSSSS") == 1
    assert copies.count("S") == 5  # and one for the rest


@pytest.mark.parametrize("variant", SOURCES)
def test_only_ptx_knows_the_sm(variant):
    asks = any("SR_VIRTUALSMID" in opcode for opcode in opcodes(variant, "sm_90"))
    assert asks == (variant in ("ptx", "ptx.bulk", "ptx.plain", "ptx.spread"))


def test_every_sixth_sm_copies_where_20_of_132_do_and_other_counts_give_no_figure():
    """The emulator deals CTAs out to SMs in their order, so that there a CTA's number is its SM's."""
    size = {**FOUND.pair.bench_sizes[0], "n": 4096, "roles": 1}
    for copiers, stride in ((20, 6), (132, 1), (1, 132)):
        outputs, _ = executed("sm_partition", SOURCES["ptx.spread"], "sm_90", {**size, "copiers": copiers})
        first = np.flatnonzero(outputs["taken"] == 1)
        assert first.tolist() == list(range(0, stride * copiers, stride))[: min(copiers, 131)]
    seen = FOUND.pair.observe(outputs, size)
    assert (seen["copiers"], seen["computers"]) == (1, 131)
    role_seconds = FOUND.pair.observe.__globals__["role_seconds"]
    launch = SimpleNamespace(observed=seen, size={**size, "copiers": 1}, time=1.0)
    assert role_seconds(launch, "copy") == 1.0
    for other in ({"copiers": 2}, {"computers": 130}):  # of the latter, a check of copiers alone says nothing
        assert role_seconds(SimpleNamespace(**{**vars(launch), "observed": {**seen, **other}}), "copy") is None


def test_the_table_of_the_last_sizes_does_not_fit_in_l2():
    for l2_bytes in (4 << 20, 50 << 20, 96 << 20):
        pair = FOUND.pair.on(DeviceShape(l2_bytes=l2_bytes))
        sizes = [size for size in pair.bench_sizes if size["depth"] > 1]
        tables = {size["panels"] * 8192 for size in sizes}
        assert min(tables) == 8 << 20
        assert 4 * l2_bytes <= max(tables) <= 8 * l2_bytes
        assert {size["roles"] for size in sizes} == {2, 3}


def test_the_bulk_copy_is_two_instructions_and_takes_no_byte_through_a_register():
    report = build(SOURCES["ptx.bulk"], "sm_90", "toolkit").report
    assert [report.opcodes[opcode] for opcode in ("UBLKCP.S.G", "UBLKCP.G.S")] == [1, 1]  # in, and out
    assert count(report, "LDG", "LDG.128.CONSTANT") == [2, 2]  # the lines of the table
    assert count(report, "STG", "STG.128") == [4, 0]  # role, clocks and result


def test_without_bulk_copies_the_variant_names_the_missing_feature():
    with pytest.raises(TargetMismatch, match=r"sm_partition.bulk.ptx:\d+: needs sm_90; .* for sm_80"):
        build(SOURCES["ptx.bulk"], "sm_80", "toolkit")


def test_the_bulk_copy_waits_where_it_must_and_reads_nothing_too_soon():
    pair, text = FOUND.pair, SOURCES["ptx.bulk"].path.read_text()
    for size in pair.check_sizes:
        launch = pair.launch(**size)
        execution = emulator.run(
            text, grid=launch.grid_xyz, block=launch.block_xyz, dynamic_shared_bytes=launch.shared_bytes,
            args=list(pair.make_arguments(size, seed=1).values()), sanitize=True,
        )  # fmt: skip
        assert execution.findings == ()
        assert execution.counters["ptx_async_bytes"] == (2 * size["n"] if size["roles"] & 1 else 0)


@pytest.mark.parametrize("variant", SOURCES)
def test_every_variant_computes_in_a_loop_of_four_steps(variant):
    """Otherwise the rates would include loop overhead. ptxas unrolls the PTX's four steps, NVRTC the CUDA C's."""
    code = [opcode.split()[0] for opcode in opcodes(variant, "sm_90") if not opcode.startswith("NOP")]
    loops = "".join("F" if opcode == "FFMA" else "B" if opcode == "BRA" else "." for opcode in code).split("B")
    (longest,) = [loop for loop in loops if loop.count("F") == 64]
    assert len(longest.strip(".")) <= 72
