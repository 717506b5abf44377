"""Whether a candidate's CTAs fit on an SM at each size of the pair, and those that must run at once on a GPU."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ptxbench.device_shape import DeviceShape
from ptxbench.pair import Pair, Size
from ptxbench.toolchain import Build, resident_ctas
from ptxbench.units import plural, size_words


def misfit(pair: Pair, build: Build, others: Iterable[Build]) -> str | None:
    """Why a candidate cannot be launched at a size at which a kernel of the pair (`others`) can; None if it can."""
    for size in (*pair.check_sizes, *pair.bench_sizes):
        lacking = what_lacks(pair, build, size)
        if lacking and any(what_lacks(pair, other, size) is None for other in others):
            return f"{size_words(size)}: {lacking}"
    return None


def what_lacks(pair: Pair, build: Build, size: Size) -> str | None:
    """Why a kernel cannot be launched at a size; None if it can, or if its registers or the SM are not known."""
    launch, registers = pair.launch_of(build.variant)(**size), build.report.registers
    if registers is None:
        return None
    shared = (build.report.shared_bytes or 0) + launch.shared_bytes
    threads = math.prod(launch.block_xyz)
    of_sm = resident_ctas(build.arch, threads=threads, registers=registers, shared_bytes=shared)
    needed = f"{registers} registers per thread and {plural(shared, 'byte')} of shared memory"
    if of_sm == 0:
        return f"{needed} do not fit on an SM."
    ctas, sms = math.prod(launch.grid_xyz), DeviceShape().sms
    if of_sm is not None and (launch.cooperative or launch.resident) and ctas > of_sm * sms:
        return f"all {ctas:,} CTAs must run at once; with {needed}, {sms} SMs hold {of_sm * sms:,}."
    return None
