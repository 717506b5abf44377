"""sm_partition: `copiers` of `sms` CTAs copy n bytes while the others compute, as on 20 of 132 SMs."""

import numpy as np

from ptxbench.knobs import Figure, Sweep
from ptxbench.pair import In, InOut, Launch, Pair, Scalar, Scratch, Tolerance, ceil_div, f32, u32, u64

BLOCK = 256
VECTOR = 16  # bytes of an access
PANEL = 8 * BLOCK  # floats that a tile reads: two float4 for each thread
PANEL_BYTES = 4 * PANEL
MOST_PANELS = 1024  # 8 MiB: fits into L2, far larger than an L1
LINE = 32  # 4-byte words in a cache line; the tickets of chunks, tiles and arrivals each have their own line

COPY, COMPUTE = 1, 2  # the bits of roles

SHARED_BYTES = 116 << 10
"""More than half of the shared memory of an SM of sm_80 (164 KiB), sm_90 and sm_100 (228 KiB), so that only one CTA
fits on an SM, and not more than a CTA may have."""


def power_of_two(panels):
    """The greatest power of two up to `panels`, so that a tile finds its panel with a mask."""
    return 1 << panels.bit_length() - 1


def panels_of(tiles):
    """Panels of the table, a power of two: half as many as tiles, so that each is read again; at most MOST_PANELS."""
    return min(MOST_PANELS, power_of_two(max(tiles // 2, 1)))


def sums(table, result, depth, steps, tiles, roles):
    """The results of all tiles: for each panel, `steps` times the sum of the outer product of a thread's two float4."""
    if not roles & COMPUTE:
        return result  # unchanged
    rows, columns = table.sum(axis=-1).transpose(1, 0, 2)
    first, products = depth * np.arange(tiles), rows * columns
    return steps * sum(products[(first + panel) % len(table)] for panel in range(int(depth)))


def bound(expected, inputs):
    """Zero for the copy. For a sum, one rounding a step of each panel, and four for the tree that joins 16 sums."""
    if expected.dtype != np.float64:
        return 0.0
    table, depth, steps, tiles, roles = (inputs[name] for name in ("table", "depth", "steps", "tiles", "roles"))
    magnitude = sums(np.abs(table), np.zeros_like(expected), depth, steps, tiles, roles)
    return ((1 + 2**-24) ** (int(depth * steps) + 4) - 1) * magnitude


def sizes(sms, copiers, n, chunk, tiles, steps, roles, depth=1, panels=None):
    return {
        "sms": sms, "copiers": copiers, "n": n, "chunk": chunk, "tiles": tiles, "panels": panels or panels_of(tiles),
        "depth": depth, "steps": steps, "roles": roles,
    }  # fmt: skip


def restriction(sms, copiers, n, chunk, tiles, panels, depth, steps, roles):
    """Why a launch of this size is not possible; None if it is."""
    if n % VECTOR or chunk % VECTOR or chunk <= 0 or n <= 0:
        return f"n and chunk must be multiples of {VECTOR}, the bytes of an access; n is {n}, chunk {chunk}."
    if not 0 <= copiers <= sms:
        return f"There are {sms} SMs, and copiers is {copiers}."
    if roles & COPY and copiers == 0:
        return "No SM would copy."
    if roles & COMPUTE and copiers == sms:
        return "No SM would compute."
    return "panels, depth and steps must be at least 1." if min(panels, depth, steps) < 1 else None


# ---- what a launch observes, and the figures of a sweep (docs/sm-partition.md)


def observe(arrays, size):
    """From the arrays after a launch: how many CTAs had each role, and the clocks of the slowest CTA of each role."""
    began, ended = arrays["clocks"].astype(np.int64).T
    longest = [int((ended - began)[arrays["taken"] == role].max(initial=0)) for role in (COPY, COMPUTE)]
    counts = [int((arrays["taken"] == role).sum()) for role in (COPY, COMPUTE)]
    return {
        "copiers": counts[0], "computers": counts[1], "copy_clocks": longest[0], "compute_clocks": longest[1]
    }  # fmt: skip


def role_seconds(launch, role):
    """Seconds that a role took: the launch's time times the clocks of the role's slowest CTA over those of the slowest.

    None if the CTAs took other roles than requested, because that is another experiment.
    """
    seen, size = launch.observed, launch.size
    slowest = max(seen["copy_clocks"], seen["compute_clocks"])
    as_requested = (seen["copiers"], seen.get("computers")) == (size["copiers"], size["sms"] - size["copiers"])
    return launch.time * seen[f"{role}_clocks"] / slowest if as_requested and slowest else None


def copy_bandwidth(both):
    seconds = role_seconds(both, "copy")
    return 2 * both.size["n"] / seconds if seconds else None


def compute_rate(both):
    seconds = role_seconds(both, "compute")
    return both.work["flops"] / seconds if seconds else None


def interference(both, compute):
    during_copy, alone = role_seconds(both, "compute"), role_seconds(compute, "compute")
    return during_copy / alone - 1 if during_copy and alone else None


def of_limit(both):
    """The lower bound of the time, from the copy's bytes and the computing SMs' flops, divided by the time."""
    if both.bytes_per_s is None or both.flops_per_s is None:
        return None
    computing = both.flops_per_s * (both.size["sms"] - both.size["copiers"]) / both.size["sms"]
    return max(2 * both.size["n"] / both.bytes_per_s, both.work["flops"] / computing) / both.time


def of_copier(copy, idle, *counters):
    """The average count of a copying SM: what the launch counts above a launch in which each CTA takes its role and
    exits."""
    return sum(copy.counts[counter] - idle.counts[counter] for counter in counters) / copy.size["copiers"]


def of_computer(compute, idle, *counters):
    """The same for a computing SM."""
    computers = compute.size["sms"] - compute.size["copiers"]
    return sum(compute.counts[counter] - idle.counts[counter] for counter in counters) / computers


INSTRUCTIONS = ("ptx_warp_instructions",)
SECTORS = ("ptx_global_load_sectors", "ptx_global_store_sectors")


def imbalance(both):
    """The most chunks of a copier over the mean, if copiers take chunks in turn."""
    chunks, copiers = ceil_div(both.size["n"], both.size["chunk"]), both.size["copiers"]
    return ceil_div(chunks, copiers) * copiers / chunks


CHUNK = 1 << 14


def with_roles(roles, **changes):
    """The launch of a point in which only these roles work."""
    return lambda **size: {**size, **changes, "roles": roles}


def reserved(sms):
    """The same share of `sms` SMs as 20 of 132."""
    return round(20 * sms / 132)


def swept(sms):
    """Copiers up to half of the SMs, including the share of 20 in 132; chunks of 4 to 64 KiB."""
    copiers = {0, 4, 8, 12, 16, 20, 24, 32, 48, 64, reserved(sms)}
    return {
        "copiers": sorted(count for count in copiers if count <= sms // 2),
        "chunk": [1 << k for k in range(12, 17)],
    }


SWEEP = Sweep(
    values=swept,
    size=lambda sms: sizes(sms, reserved(sms), 1 << 28, CHUNK, 8192, 256, COPY | COMPUTE),
    emulated=sizes(132, 20, 1 << 20, CHUNK, 132, 8, COPY | COMPUTE),
    parts={
        "both": with_roles(COPY | COMPUTE),
        "copy": with_roles(COPY),
        "compute": with_roles(COMPUTE, chunk=CHUNK),
        "idle": with_roles(0, chunk=CHUNK),
        "copy_all": lambda **size: {**size, "copiers": size["sms"], "roles": COPY},
        "compute_all": with_roles(COMPUTE, copiers=0, chunk=CHUNK),
    },
    figures=[
        Figure("total", "s", "lower", "times", ["both"], "time of both roles at the same time", lambda both: both.time),
        Figure("copy_bandwidth", "B/s", "higher", "times", ["both"], "bytes read and written, over the copiers' time",
               copy_bandwidth, enough=0.95),
        Figure("compute_rate", "flop/s", "higher", "times", ["both"], "flops over the computing SMs' time",
               compute_rate),
        Figure("compute_alone", "flop/s", "higher", "times", ["compute"], "the same, while no SM copies",
               lambda compute: compute.work["flops"] / compute.time),
        Figure("interference", "%", "lower", "times", ["both", "compute"],
               "the computing SMs' time during the copy over their time alone, minus 1", interference),
        Figure("over_serial", "×", "lower", "times", ["both", "copy_all", "compute_all"],
               "total over copying and then computing with all SMs",
               lambda both, copy_all, compute_all: both.time / (copy_all.time + compute_all.time)),
        Figure("of_limit", "%", "higher", "times", ["both"],
               "the least time that memory and the computing SMs' arithmetic allow, over total", of_limit),
        Figure("busiest_role", "", "lower", "counts", ["copy", "compute", "idle"],
               "average PTX instructions of the warps on an SM, for the role that has more of them",
               lambda copy, compute, idle: max(of_copier(copy, idle, *INSTRUCTIONS),
                                               of_computer(compute, idle, *INSTRUCTIONS))),
        Figure("copy_instructions", "", "lower", "counts", ["copy", "idle"], "PTX instructions of a copying SM's warps",
               lambda copy, idle: of_copier(copy, idle, *INSTRUCTIONS)),
        Figure("compute_instructions", "", "lower", "counts", ["compute", "idle"],
               "PTX instructions of a computing SM's warps",
               lambda compute, idle: of_computer(compute, idle, *INSTRUCTIONS)),
        Figure("copy_sectors", "", "lower", "counts", ["copy", "idle"], "32-byte sectors that a copying SM touches",
               lambda copy, idle: of_copier(copy, idle, *SECTORS)),
        Figure("imbalance", "×", "lower", "counts", ["both"],
               "the most chunks of a copier over the mean, if they draw in turn", imbalance),
    ],
    aliases={"comm_sms": "copiers"},
    cannot_know=(
        "Bandwidth, compute rate, total time and interference are times, and so is which CTA draws which chunk: "
        "only a GPU can tell them."
    ),
)  # fmt: skip


# ---- what limits the computing SMs, as (tiles, steps, depth): FFMA, or reads with one step each

FFMA, READS = (8192, 256, 1), (16384, 1, 16)


def beyond_l2(device):
    """Panels, a power of two, of a table that is at least four times as large as L2."""
    return 1 << (4 * device.l2_bytes // PANEL_BYTES - 1).bit_length()


def bench_sizes(device):
    """A small launch; then the roles together and alone, with computing limited by FFMA, by L2 and by DRAM."""
    sms, copiers, n = device.sms, reserved(device.sms), 1 << 28

    def launches(bound, panels, *roles):
        tiles, steps, depth = bound
        return [sizes(sms, copiers, n, CHUNK, tiles, steps, role, depth, panels) for role in roles]

    return [
        sizes(sms, copiers, 1 << 20, CHUNK, sms, 8, COPY | COMPUTE),
        *launches(FFMA, MOST_PANELS, COPY | COMPUTE, COPY, COMPUTE),
        *launches(READS, MOST_PANELS, COPY | COMPUTE, COMPUTE),
        *launches(READS, beyond_l2(device), COPY | COMPUTE, COMPUTE),
    ]


PAIR = Pair(
    purpose="Only PTX can read on which SM a CTA runs; a correct kernel must not depend on the answer.",
    expectation=(
        "The copy slows computing only a little, because 20 SMs with 16 KiB in flight each stay far below the rate of "
        "DRAM. Hints change that loss by 0 to 10 %. More copiers, larger chunks and bulk copies copy faster."
    ),
    args=[
        In("source", u64, lambda n, **_: (n // 8,), integers=(0, (1 << 24) - 1), widened=False),
        # Starts at 0, not poison: without the copy role it must stay unchanged.
        InOut("target", u64, lambda n, **_: (n // 8,)),
        In("table", f32, lambda panels, **_: (power_of_two(panels), 2, BLOCK, 4)),
        InOut("result", f32, lambda tiles, **_: (tiles, BLOCK)),
        Scratch("tickets", u32, lambda **_: (3 * LINE,)),
        Scratch("clocks", u64, lambda sms, **_: (sms, 2)),
        Scratch("taken", u32, lambda sms, **_: (sms,)),
        Scalar("vectors", u32, lambda n, **_: n // VECTOR),
        Scalar("chunk", u32, lambda chunk, **_: chunk // VECTOR),
        Scalar("chunks", u32, lambda n, chunk, **_: ceil_div(n, chunk)),
        Scalar("tiles", u32, lambda tiles, **_: tiles),
        Scalar("panels", u32, lambda panels, **_: power_of_two(panels)),
        Scalar("depth", u32, lambda depth, **_: depth),
        Scalar("steps", u32, lambda steps, **_: steps),
        Scalar("copiers", u32, lambda copiers, **_: copiers),
        Scalar("roles", u32, lambda roles, **_: roles),
    ],
    launch=lambda sms, **_: Launch(grid=sms, block=BLOCK, shared_bytes=SHARED_BYTES, resident=True),
    reference=lambda source, target, table, result, tiles, depth, steps, roles, **_: {
        "target": source if roles & COPY else target,
        "result": sums(table, result, depth, steps, tiles, roles),
    },
    tolerance=Tolerance("exact copies, (depth * steps + 4) 2^-24 of the sum of |terms|", bound),
    check_sizes=[
        sizes(4, 1, 262160, 4096, 17, 16, COPY | COMPUTE),
        sizes(4, 3, 244480, 65536, 5, 3, COPY | COMPUTE, depth=3),
        sizes(4, 3, 262160, 65536, 2, 1, COPY),
        sizes(4, 1, 16, 4096, 9, 1, COMPUTE),
        sizes(4, 4, 16400, 4096, 2, 1, COPY),
        sizes(4, 0, 16, 4096, 9, 1, COMPUTE),
        sizes(4, 1, 16, 4096, 5, 2, COMPUTE, depth=3, panels=1),
        sizes(4, 1, 16, 4096, 33, 1, COMPUTE, depth=9),
    ],
    bench_sizes=bench_sizes,
    flops=lambda tiles, depth, steps, roles, **_: tiles * BLOCK * (32 * depth * steps + 15) if roles & COMPUTE else 0,
    bytes=lambda n, tiles, panels, depth, roles, **_: (
        (2 * n if roles & COPY else 0)
        + (min(power_of_two(panels), tiles * depth) * PANEL_BYTES + 4 * tiles * BLOCK if roles & COMPUTE else 0)
    ),
    exact_on_integers=True,
    by_request=("ptx.bulk", "ptx.plain", "ptx.spread"),
    restriction=restriction,
    observe=observe,
    sweep=SWEEP,
)
