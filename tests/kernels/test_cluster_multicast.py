"""The pair cluster_multicast."""

import functools

import pytest

from ptxbench import emulator, toolchain, verify
from ptxbench.errors import KernelError
from ptxbench.toolchain import locate, ptxas
from tests.kernels.harness import PAIRS, build, count


def cluster_multicast(a, b, m, n, k):
    return {"c": [[sum(a[row][s] * b[column][s] for s in range(k)) for column in range(n)] for row in range(m)]}


REFERENCE = (cluster_multicast, {"m": 3, "n": 8, "k": 24})
REGISTERS = 64  # 32 sums: the shared memory of an SM, not its registers, sets how many CTAs it holds

PTX = {name: f"cluster_multicast{name}.sm_90a.ptx" for name in ("", ".single", ".square")}
EACH = [
    ("xor.b32 %chunk, %chunk, %swizzle", "mov.u32 %chunk, %chunk"),                      # of a: not the map's swizzle
    ("[%filled_at], 16384;",             "[%filled_at], 16400;"),                        # waits for 16 bytes too many
    ("{%a1x, %a1y, %a1z, %a1w}, {%b2x, %b2y}", "{%a1x, %a1y, %a1z, %a1w}, {%b2y, %b2x}"),
    ("setp.lt.u32 %more, %columns, 128", "setp.lt.u32 %more, %columns, 96"),
    ("setp.gt.s32 %has_row, %rows_left, 24", "setp.gt.s32 %has_row, %rows_left, 32"),
    ("add.u32 %steps, %slabs, 2",        "add.u32 %steps, %slabs, 1"),
]  # fmt: skip
MUTANTS = [
    *((file, *edit) for file in PTX.values() for edit in EACH),
    (PTX[""], "mov.u16 %both, 3;", "mov.u16 %both, 1;"),
    (PTX[""], "mad.lo.u32 %a_row, %rank, 32,", "mad.lo.u32 %a_row, %rank, 0,"),
    (PTX[""], "setp.lt.u32 %leads, %lane, 2;", "setp.lt.u32 %leads, %lane, 1;"),
    (PTX[".square"], "shl.b32 %mates, 5, %shift", "shl.b32 %mates, 3, %shift"),
    (PTX[".square"], "and.b32 %shift, %rank, 2", "and.b32 %shift, %rank, 1"),
    (PTX[".single"], "%lower_row}]", "%first_row}]"),
]

PAIR = PAIRS["cluster_multicast"].pair
SIDES = {source.variant: source for source in PAIRS["cluster_multicast"].sources}
SLABS = 10
SIZE = {"m": 128, "n": 128, "k": 64 * SLABS}  # four CTAs, and a stage is used three times


def launched(variant, text=None, *, sanitize=False):
    """The execution of a variant, whose result must be correct, or of `text` in its place, of which it may be wrong."""
    arguments, launch = PAIR.make_arguments(SIZE, seed=1), PAIR.launch_of(variant)(**SIZE)
    execution = emulator.run(
        text or build(SIDES[variant], "sm_90a").ptx,
        grid=launch.grid_xyz, block=launch.block_xyz, cluster=launch.cluster_xyz, arch="sm_90a",
        dynamic_shared_bytes=launch.shared_bytes, args=[*arguments.values()], names=[*arguments], sanitize=sanitize,
    )  # fmt: skip
    if text is None:
        assert verify.verify({"c": arguments["c"]}, verify.expect(PAIR, arguments), variant).worst is None
    return execution


@functools.cache
def counters(variant):
    return launched(variant).counters


@functools.cache
def report(variant):
    return build(SIDES[variant], "sm_90a", "toolkit").report


# ---- the machine code


@pytest.mark.parametrize(
    ("variant", "copies", "multicast"), [("ptx", 3, 1), ("ptx.single", 4, 0), ("ptx.square", 2, 2)]
)
def test_multicast_is_a_modifier_of_the_copy_and_all_else_is_the_same(variant, copies, multicast):
    assert count(report(variant), "UTMALDG", "UTMALDG.2D.MULTICAST") == [copies, multicast]
    assert count(report(variant), "HMMA.16816", "LDSM") == [32, 16]  # four steps of 16 columns: ptxas unrolls the loop
    assert count(report(variant), "UCGABAR_ARV", "UCGABAR_WAIT") == ([0, 0] if variant == "ptx.single" else [2, 2])


def test_c_has_the_same_tensor_instructions_and_no_copy_of_the_tma():
    assert count(report("cuda"), "HMMA.16816", "LDSM", "UTMALDG") == [32, 16, 0]


def test_ptxas_warns_of_multicast_for_a_target_without_its_a():
    for variant, warns in (("ptx", True), ("ptx.single", False)):
        path = SIDES[variant].path
        text = path.read_text().replace(".target sm_90a", ".target sm_90")
        _, messages = toolchain.assembled(locate.program("ptxas"), text, "sm_90")
        assert ("substantially reduced performance" in ptxas.notable(messages, text, path, "ptx")) == warns


# ---- what the emulator counts

BYTES = {"cuda": 16384, "ptx": 12288, "ptx.single": 16384, "ptx.square": 8192}
"""What L2 gives for a slab of each CTA."""


@pytest.mark.parametrize("variant", BYTES)
def test_a_cluster_of_two_saves_a_quarter_of_the_sectors_and_one_of_four_a_half(variant):
    assert counters(variant)["ptx_global_load_sectors"] == BYTES[variant] // 32 * SLABS * 4
    shared = 2 * (16384 - BYTES[variant])  # bytes that come from a copy for two CTAs
    assert counters(variant)["ptx_multicast_sectors"] == shared // 32 * SLABS * 4


def test_the_tma_writes_the_swizzle_so_that_ldmatrix_has_no_bank_conflict():
    for variant in BYTES:
        assert counters(variant)["ptx_shared_load_conflicts"] == 0, variant


# ---- what the sanitizer finds


def edited(variant, *edits):
    text = SIDES[variant].path.read_text()
    for right, wrong in edits:
        assert right in text
        text = text.replace(right, wrong)
    return text


def of_own_warps(warps, lanes):
    """used[stage] counts the warps of its own CTA alone, and these arrive there alone."""
    return (f"], {warps};\n", "], 4;\n"), (f"%leads, %lane, {lanes};", "%leads, %lane, 1;")


AT_THE_START = (
    ("    barrier.cluster.arrive.release.aligned;     //", "    bar.sync 0;  //"),
    ("    barrier.cluster.wait.acquire.aligned;\n", ""),
)
AT_THE_END = (
    ("    barrier.cluster.arrive.release.aligned;\n\n", ""),
    ("    barrier.cluster.wait.acquire;\n", ""),
)
MISTAKES = [
    ("ptx", of_own_warps(8, 2), "race"),
    ("ptx.square", of_own_warps(12, 3), "race"),
    ("ptx", [("[%filled_at], 16384;", "[%filled_at], 12288;")], "cluster-exited"),  # only what the CTA asks for
    ("ptx", AT_THE_START, "cluster-not-started"),
    ("ptx", AT_THE_END, "cluster-exited"),
    ("ptx.square", AT_THE_END, "cluster-exited"),
    ("ptx", [("    bar.warp.sync    0xffffffff;", "")], "race"),
    ("ptx", [("    fence.mbarrier_init.release.cluster;\n", "")], "missing-proxy-fence"),
    ("ptx", [(".acquire.cluster.shared::cta.b64  %done", ".relaxed.cluster.shared::cta.b64  %done")], "race"),
]


@pytest.mark.parametrize(("variant", "mistake", "kind"), MISTAKES)
def test_the_sanitizer_names_what_is_missing_between_ctas(variant, mistake, kind):
    assert kind in {finding.kind for finding in launched(variant, edited(variant, *mistake), sanitize=True).findings}


def test_a_cta_of_a_square_that_announces_only_its_own_bytes_never_sees_its_stage_filled():
    text = edited("ptx.square", ("[%filled_at], 16384;", "[%filled_at], 8192;"))
    with pytest.raises(KernelError, match="bytes more than expected"):
        launched("ptx.square", text, sanitize=True)


@pytest.mark.parametrize("variant", BYTES)
def test_the_sanitizer_finds_nothing_in_a_variant_as_it_is(variant):
    assert launched(variant, sanitize=True).findings == ()
