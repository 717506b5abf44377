"""One launch of a candidate, or of a pair's own kernel, on the emulator: its options and its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ptxbench.arrays import Array, is_float, read_only
from ptxbench.backends.buffers import POISON
from ptxbench.emulator.chain import run_steps
from ptxbench.emulator.findings import SanitizerFinding
from ptxbench.emulator.messages import CtaOrder
from ptxbench.emulator.variation import NO_VARIATION, Variation
from ptxbench.errors import ReadOnlyArray
from ptxbench.pair import Launch, Out, Pair, Size
from ptxbench.verify import Expected

FUEL = 1 << 20
"""Loop iterations that a warp may run; no check size of a shipped pair needs a hundredth as many."""

OTHER_POISON = 0x5A
"""Fills outputs in place of POISON where that would not show whether a kernel wrote them. No float of it is NaN."""

THREADS = 2
"""The most host threads for a launch: each needs address space, which is limited, and check sizes are small."""


@dataclass(frozen=True)
class CheckKernel:
    """What is launched: an entry of a PTX text, for an architecture.

    `launch`: gives the kernel's own launch for a size; None if it uses that of the pair.
    """

    ptx: str
    entry: str
    arch: str
    launch: Callable[..., Launch] | None = None

    def launch_in(self, case: CheckCase) -> Launch:
        """The kernel's own launch at the size of a case; that of the case if it has none."""
        return self.launch_at(case.size, case.launch)

    def launch_at(self, size: Size, usual: Launch) -> Launch:
        """The kernel's own launch at a size; `usual` if it has none."""
        return self.launch(**size) if self.launch else usual


@dataclass(frozen=True, eq=False)
class CheckCase:
    """Data for one launch and the expected results. `label`: its name in messages, such as `n=257, with NaN`.
    Two cases are never equal, so that results of a case can be kept under it.

    `aliases`: inputs that share the memory of another, {second: first}; `size`: the dimensions.
    """

    label: str
    launch: Launch
    arguments: Mapping[str, Any]
    expected: Expected
    aliases: Mapping[str, str] = field(default_factory=dict)
    size: Size = field(default_factory=dict)


@dataclass(frozen=True)
class LaunchOptions:
    """What may vary between launches without changing the result of a correct kernel.

    `placement`: a seed for the addresses of the arrays; `poison`: the byte that fills outputs before a launch; `stale`:
    a case whose results they hold instead; `ctas` and `variation`: as in `emulator.run`. The payloads of NaNs in the
    inputs vary if those of arithmetic do.
    """

    placement: int | None = None
    poison: int = POISON
    stale: CheckCase | None = None
    sanitize: bool = False
    fuel: int = FUEL
    ctas: CtaOrder = "usual"
    variation: Variation = NO_VARIATION


@dataclass(frozen=True)
class LaunchResult:
    """The result of a launch: the outputs, an input that it changed, counts, and findings of the sanitizer.

    `approximate`, `models`, `notes`, `unchecked`, `remarks`, `unfreed`, `by_line`, `loops` and `old_values`: as
    in `emulator.Execution`; `state`: the module's variables that it changed.
    """

    outputs: Mapping[str, Array]
    changed: str | None
    counters: Mapping[str, float]
    findings: tuple[SanitizerFinding, ...]
    notes: tuple[str, ...]
    approximate: Mapping[str, int]
    models: Mapping[str, str]
    unchecked: tuple[str, ...]
    remarks: tuple[SanitizerFinding, ...] = ()
    state: tuple[str, ...] = ()
    unfreed: int = 0
    by_line: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    loops: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    old_values: tuple[SanitizerFinding, ...] = ()


def launch(
    kernel: CheckKernel, pair: Pair, case: CheckCase, options: LaunchOptions, kept: dict[str, bytes] | None = None
) -> LaunchResult:
    """Launch once on the case's arguments, which stay as they are. Raises KernelError as `emulator.run` does.

    `kept`: keeps the module's variables between launches; without it each launch starts with fresh ones.
    """
    values = {name: with_nans(value, options.variation.nans) for name, value in case.arguments.items()}
    try:
        return launch_on(values, kernel, pair, case, options, kept, copied=False)
    except ReadOnlyArray:  # rare: launched again on copies, which show what the kernel writes
        return launch_on(values, kernel, pair, case, options, kept, copied=True)


def launch_on(
    values: Mapping[str, Any],
    kernel: CheckKernel,
    pair: Pair,
    case: CheckCase,
    options: LaunchOptions,
    kept: dict[str, bytes] | None,
    *,
    copied: bool,
) -> LaunchResult:
    """Launch once on these arguments. `copied`: whether inputs are copied too; without it, writing one raises
    ReadOnlyArray."""
    copies: dict[str, Any] = {}
    for arg in pair.args:
        value = values[arg.name]
        if arg.name in case.aliases:
            copies[arg.name] = copies[case.aliases[arg.name]].reshape(value.shape)
        elif not isinstance(value, np.ndarray):
            copies[arg.name] = value
        elif copied or arg.name in pair.outputs or not is_alone(value, copies.values()):
            copies[arg.name] = value.copy()
        else:
            copies[arg.name] = read_only(value)
        if isinstance(arg, Out):
            fill_output(arg.name, copies[arg.name], options)
    kernel_launch = kernel.launch_in(case)
    execution = run_steps(
        kernel.ptx,
        kernel.entry,
        **kernel_launch.emulated(copies),
        arch=kernel.arch,
        sanitize=options.sanitize,
        most_threads=THREADS,
        fuel=options.fuel,
        placement=options.placement,
        kept=kept,
        ctas=options.ctas,
        variation=options.variation,
    )
    changed = next(
        (
            name
            for name, value in copies.items()
            if copied
            and isinstance(value, np.ndarray)
            and name not in pair.outputs
            and value.tobytes() != values[name].tobytes()
        ),
        None,
    )
    outputs = {name: copies[name] for name in pair.outputs}
    return LaunchResult(
        outputs=outputs,
        changed=changed,
        counters=execution.totals,
        findings=execution.findings,
        notes=execution.notes,
        approximate=execution.approximate,
        models=execution.models,
        unchecked=execution.unchecked,
        remarks=execution.remarks,
        state=execution.changed,
        unfreed=execution.unfreed,
        by_line=execution.by_line,
        loops=execution.loops,
        old_values=execution.old_values,
    )


def may_hide_unwritten(result: LaunchResult, case: CheckCase) -> bool:
    """Whether an element that must be NaN has the bytes of POISON, as one that is never written."""
    for name, expected in case.expected.outputs.items():
        actual = result.outputs[name]
        if not is_float(actual.dtype) or actual.shape != expected.shape:
            continue
        own_bytes = actual[np.isnan(expected)].view(np.uint8).reshape(-1, actual.itemsize)
        if (own_bytes == POISON).all(axis=1).any():
            return True
    return False


def fill_output(name: str, array: Array, options: LaunchOptions) -> None:
    """Give an output what it holds before a launch with these options."""
    before = None if options.stale is None else options.stale.expected.outputs[name]
    if before is None or before.shape != array.shape:
        array.reshape(-1).view(np.uint8)[:] = options.poison
        return
    with np.errstate(over="ignore"):
        array[...] = before.astype(array.dtype)


FRACTIONS = {"float8_e5m2": 2, "float16": 10, "bfloat16": 7, "float32": 23, "float64": 52}
"""Bits of the fraction of each type with a payload in its NaNs."""


def is_alone(array: Array, others: Iterable[Any]) -> bool:
    """Whether the array can be passed as it is: it is contiguous, and shares no memory with these."""
    return array.flags.c_contiguous and not any(
        isinstance(other, np.ndarray) and np.may_share_memory(array, other) for other in others
    )


def with_nans(value: Any, nans: int | None) -> Any:
    """An argument. `nans`: a seed for the sign and the payload of each quiet NaN in it; None keeps them."""
    if nans is None or not isinstance(value, np.ndarray) or not is_float(value.dtype):
        return value
    fraction = FRACTIONS.get(value.dtype.name)
    if fraction is None or not (is_nan := np.isnan(value)).any():
        return value
    copy: Array = value.copy()
    bits = copy.reshape(-1).view(f"u{value.itemsize}")
    rng = np.random.default_rng(nans)
    payloads = rng.integers(0, 1 << fraction - 1, is_nan.sum(), np.uint64)
    payloads[rng.random(payloads.size) < 0.25] = (1 << fraction - 1) - 1  # as in the NaN of CUDA's own arithmetic
    signs = rng.integers(0, 2, is_nan.sum(), np.uint64) << np.uint64(8 * value.itemsize - 1)
    quiet = ((1 << 8 * value.itemsize - 1) - 1) >> fraction - 1 << fraction - 1
    bits[is_nan.reshape(-1)] = (payloads | signs | np.uint64(quiet)).astype(bits.dtype)
    return copy
