"""The pair histogram256."""

import pytest

from ptxbench.backends.emulator import EmulatorBackend
from tests.kernels.harness import PAIRS, build, count, reports


def histogram256(x, bins, n):
    for byte in x:
        bins[byte] += 1
    return {"bins": bins}


REFERENCE = (histogram256, {"n": 40, "percent": 40, "ctas": 1})
REGISTERS = 54  # on sm_75, with 1024 threads per SM; 32 up to sm_100, so that an SM holds 2048

MUTANTS = [
    ("histogram256.ptx", "%v3_w, 0x40000, 0",               "%v3_w, 0x400, 0"),            # a byte twice, one never
    ("histogram256.ptx", "shl.b32 %whole, %tiles, 14",      "shl.b32 %whole, %tiles, 13"),
    ("histogram256.ptx", "red.shared.add.u32 [%bin], 1",    "st.shared.u32 [%bin], 1"),
    ("histogram256.ptx", "red.global.add.u32",              "st.global.u32"),              # the last CTA's counts alone
    ("histogram256.ptx", "[%x_at + 12288]",                 "[%x_at + 8192]"),
    ("histogram256.warps.ptx", "[%own + 7168], 0",          "[%own + 6144], 0"),           # counters that start at -1
    ("histogram256.warps.ptx", "mad.lo.u32 %own_counts, %warp, 1024", "mad.lo.u32 %own_counts, %warp, 1020"),
    ("histogram256.warps.ptx", "ld.shared.u32 %count_k, [%own + 3072]", "ld.shared.u32 %count_k, [%own + 2048]"),
    ("histogram256.match.ptx", "popc.b32 %times, %same",    "popc.b32 %times, %before"),
    ("histogram256.match.ptx", "mov.u32 %below, %lanemask_lt", "mov.u32 %below, %lanemask_le"),   # no lane is the first
    ("histogram256.match.ptx", "and.b32 %before, %same, %below", "or.b32 %before, %same, %below"),
]  # fmt: skip

ARCHS = ["sm_75", "sm_90", "sm_120"]


@pytest.mark.parametrize("arch", ARCHS)
def test_atomic_add_and_red_are_the_same_shared_additions(arch):
    """65: four vectors of sixteen bytes, and one of the rest. sm_75 has no increment among its shared atomics."""
    by_variant = reports("histogram256", arch)
    for variant, report in by_variant.items():
        matches = "match" in variant
        addition = "ATOMS.ADD" if arch == "sm_75" or matches else "ATOMS.POPC.INC.32"
        assert count(report, "ATOMS")[0] - count(report, addition)[0] == (matches and arch != "sm_75")
        assert count(report, "ATOMS") == [65]  # and no compare-and-swap loop
        assert sum(count(report, "RED", "REDG")) == 1
        assert count(report, "IDP.4A") == [0 if "shifts" in variant else 64]
        assert count(report, "MATCH.ANY")[0] in ((64, 65) if matches else (0,))
    assert abs(by_variant["cuda"].sass["total"] - by_variant["ptx"].sass["total"]) <= 10
    assert by_variant["cuda.shifts"].sass["total"] > 1.3 * by_variant["cuda"].sass["total"]


def counted(variant, percent):
    """Lanes, and the most that meet in one bin summed over requests, per shared addition of a warp."""
    loaded = PAIRS["histogram256"]
    size = {"n": 1 << 16, "percent": percent, "ctas": 4}
    (source,) = (source for source in loaded.sources if source.variant == variant)
    arguments = loaded.pair.make_arguments(size, 1)
    counts = (
        EmulatorBackend("sm_90").run(build(source, "sm_90"), loaded.pair.launch(**size), arguments, ("bins",)).counts
    )
    requests = counts["ptx_atomic_shared_requests"]
    assert requests == (1 << 16) / 32
    return [counts[f"ptx_atomic_shared_{what}"] / requests for what in ("lanes", "serial")]


@pytest.mark.parametrize("language", ["cuda", "ptx"])
def test_lanes_meet_by_skew_and_those_that_match_first_never_do(language):
    """A histogram a warp does not change who meets: a request of additions is of one warp."""
    for variant in ("", ".warps"):
        assert counted(language + variant, 100) == [32, 32]
        lanes, serial = counted(language + variant, 0)
        assert lanes == 32
        assert 1.5 < serial < 2.5
    assert counted(f"{language}.match", 100) == [1, 1]
    lanes, serial = counted(f"{language}.match", 0)
    assert 29 < lanes < 31  # that many different bytes are there among 32
    assert serial == 1
