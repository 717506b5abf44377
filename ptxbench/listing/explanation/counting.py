"""Executions of a variant line by line on the emulator: the counters that findings about executions need."""

from __future__ import annotations

from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.discovery import LoadedPair
from ptxbench.errors import LaunchUnavailable, UnsupportedInstruction
from ptxbench.executed import Counted
from ptxbench.pair import Size
from ptxbench.runner.case_data import largest, pair_errors, too_large
from ptxbench.runner.plan import PairPlan
from ptxbench.toolchain import Build


def size_of(loaded: LoadedPair) -> Size:
    """The default size for counting a pair: its check size with the most bytes.

    The first one is often a single element, where nothing coalesces and nothing conflicts.
    """
    return largest(PairPlan(loaded, loaded.sources, ()))


def count(loaded: LoadedPair, build: Build, size: Size) -> Counted:
    """The emulator's counts by line of the build's PTX, for one launch at that size.

    Raises KernelError, such as UnsupportedInstruction, for what cannot be executed; PairError if the pair's own
    functions fail, UsageError if the data do not fit in memory.
    """
    pair, plan = loaded.pair, PairPlan(loaded, loaded.sources, (size,))
    with pair_errors(plan, size):
        arguments = pair.make_arguments(size, seed=1)
    try:
        launch = build.launched(pair.launch_of(build.variant)(**size))
        outcome = EmulatorBackend(build.arch).run(build, launch, arguments, pair.outputs)
    except LaunchUnavailable as error:
        raise UnsupportedInstruction(str(error)) from None
    except MemoryError:
        raise too_large(plan, size) from None
    lines = {
        line: {name: int(value) for name, value in counts.items()} for line, counts in (outcome.by_line or {}).items()
    }
    return Counted(lines, launch.warps, outcome.loops or {})
