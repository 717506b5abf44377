"""Two kernels of files: launched once each on the emulator with the same arguments, and their outputs compared.

There is no reference: that both agree does not show that either is right.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.arguments import ElementType, Parsed
from ptxbench.arguments.binding import names_of as parameter_names
from ptxbench.arguments.binding import signature
from ptxbench.arrays import bf16, is_float
from ptxbench.emulator.syntax import Function, Variable
from ptxbench.errors import UsageError
from ptxbench.exec_program import ExecProgram
from ptxbench.executed import Executed
from ptxbench.execution import EXIT_STATUSES as STATUSES_OF_ONE
from ptxbench.execution import FAULT, FINDING, UNSUPPORTED, ExecLaunch, ExecOutcome, Output, execute
from ptxbench.exit_status import ExitStatus
from ptxbench.pair import EXACT, close
from ptxbench.verify import common_of, errors, finite, flat_parts, number, output_errors

SAME, DIFFERENT, NAN, NOTHING = "same", "different", "nan", "nothing compared"
EXIT_STATUSES = {
    **STATUSES_OF_ONE,
    SAME: ExitStatus.GOOD,
    DIFFERENT: ExitStatus.WRONG_KERNEL,
    NAN: ExitStatus.WRONG_KERNEL,
    NOTHING: ExitStatus.NO_VERDICT,
}


@dataclass(frozen=True)
class Kernel:
    """A kernel of a file. `name`: its name in the comparison, which differs from that of the second kernel."""

    name: str
    program: ExecProgram
    function: Function


def names_of(paths: Sequence[Path], entries: Sequence[str]) -> tuple[str, str]:
    """Names that distinguish two kernels: of the file, with as many folders as that takes, or with the kernel.

    The same kernel of the same file gets a number.
    """
    a, b = paths
    if a.resolve() == b.resolve():
        first, second = (f"{a.name}:{entry}" for entry in entries)
        return (first, second) if first != second else (a.name, f"{a.name} (2)")
    parts = [path.resolve().parts for path in paths]
    count = next(count for count in range(1, max(map(len, parts)) + 1) if parts[0][-count:] != parts[1][-count:])
    first, second = ("/".join(part[-count:]) for part in parts)
    return first, second


# ---- signatures


def unlike_signatures(a: Kernel, b: Kernel) -> str | None:
    """A sentence on how the parameters differ, in number, size, kind or what they point to; None if they do not."""
    same_kinds = len(a.function.params) == len(b.function.params) and all(
        kind_of(x) == kind_of(y) or (is_bits(x, y) and kind_of(x)[:2] == kind_of(y)[:2])
        for x, y in zip(a.function.params, b.function.params, strict=True)
    )
    if same_kinds and not any(None not in (x, y) and x != y for x, y in zip(pointees(a), pointees(b), strict=True)):
        return None
    return f"The parameters differ: {a.name} has {parameters_in_words(a)}, {b.name} has {parameters_in_words(b)}."


def kind_of(param: Variable) -> tuple[int, bool, bool]:
    """Size, whether it is a struct, whether it is a float."""
    return param.size_bytes, param.array or param.vector > 1, param.type.floating


def pointees(kernel: Kernel) -> list[str | None]:
    """The type of the numbers that each parameter points to, if CUDA C declares it."""
    declared = kernel.program.declared(kernel.function)
    if declared is None:
        return [None] * len(kernel.function.params)
    return [parameter.type.pointee.number if parameter.type.pointee else None for parameter in declared]


def is_bits(*params: Variable) -> bool:
    """Whether one of them is declared as bits, such as .b32, which may be a float."""
    return any(param.type.kind == "b" for param in params)


def parameters_in_words(kernel: Kernel) -> str:
    """`2 (x .u64, n .u32)`."""
    function = kernel.function
    count = len(function.params)
    return f"{count} ({signature(function, kernel.program.declared(function))})" if count else "none"


# ---- outputs


@dataclass(frozen=True)
class Closeness:
    """How far a float of B may be from that of A: |B - A| <= atol + rtol * |A|."""

    rtol: float = 0.0
    atol: float = 0.0

    @classmethod
    def read(cls, text: str) -> Closeness:
        """The value of --tolerance, `1e-5` or `1e-5,1e-8`. Raises UsageError for anything else."""
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            values = []
        if not 1 <= len(values) <= 2 or not all(0 <= value < math.inf for value in values):
            raise UsageError(
                f"--tolerance is '{text}'; write the relative tolerance, or both: RTOL,ATOL, such as 1e-5 or 1e-5,1e-8."
            )
        return cls(*values)

    @property
    def exact(self) -> bool:
        return not (self.rtol or self.atol)

    @property
    def describe(self) -> str:
        """`rtol 1e-05, atol 1e-08`, or `exact`."""
        return EXACT.describe if self.exact else close(self.rtol, self.atol).describe.removeprefix("close: ")

    def bound(self, expected: NDArray[Any]) -> NDArray[Any]:
        """The greatest difference from each of these elements: 0 for whole numbers."""
        if expected.dtype.kind != "f" or self.exact:
            return np.broadcast_to(0.0, expected.shape)
        result: NDArray[Any] = close(self.rtol, self.atol).bound(expected, {})
        return result


@dataclass(frozen=True)
class ArrayComparison:
    """One array as the kernels A and B left it.

    `unlike`: elements whose bits differ. `outside`: elements of B that are not within the tolerance of A's; the worst
    of them is at `worst`, with the values `values` in words. `greatest`: the greatest |B - A|; `relative`: the greatest
    |B - A| / |A|; each None if it is not finite, or if the elements are not numbers. `scale`: the greatest |A| that is
    finite. `nan`: the NaNs of either; `both_nan`: elements that are NaN in both. These are within every tolerance, but
    agree only in that no number was computed.
    """

    name: str
    type: ElementType
    shape: tuple[int, ...]
    changed: tuple[bool, bool]
    unlike: int
    outside: int
    greatest: float | None
    relative: float | None
    scale: float
    nan: tuple[int, int]
    both_nan: int = 0
    worst: tuple[int, ...] | None = None
    values: tuple[str, str] | None = None
    region: str = ""
    """The part that has all elements outside, if it says more than their number (`mismatch.region_of`)."""

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def compare_arrays(a: Output, b: Output, closeness: Closeness) -> ArrayComparison:
    """B's array relative to A's."""
    left, right = numbers_of(a), numbers_of(b)
    bits = sum(
        int((x != y).sum())
        for _, (x, y) in flat_parts(*(array.view(f"u{array.itemsize}") for array in (as_bits(left), as_bits(right))))
    )
    changed = a.changed, b.changed
    name = b.name if a.name.startswith("#") else a.name
    if not is_number(left.dtype):
        return ArrayComparison(name, a.type, left.shape, changed, bits, bits, None, None, 0.0, (0, 0))
    floating = is_float(left.dtype)
    expected = left.astype(np.float64) if floating else left
    bound = closeness.bound(expected)
    judged = output_errors(right, expected, bound)
    worst = tuple(int(index) for index in np.unravel_index(judged.worst, left.shape)) if judged.outside else None
    return ArrayComparison(
        name,
        a.type,
        left.shape,
        changed,
        bits,
        judged.outside,
        finite(judged.greatest),
        *relative_error(expected, right),
        (nans(left), nans(right)),
        int((np.isnan(left) & np.isnan(right)).sum()),
        worst,
        None if worst is None else (number(left[worst], left.dtype), number(right[worst], right.dtype)),
        common_of(right, expected, bound).region if judged.outside else "",
    )


def numbers_of(output: Output) -> NDArray[Any]:
    """The array with elements that NumPy compares as numbers."""
    return output.array.view(bf16) if output.type.name == "bf16" else output.array


def is_number(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iu" or is_float(dtype)


def as_bits(array: NDArray[Any]) -> NDArray[Any]:
    """The array as whole numbers of its elements' bits; of their bytes if an element has more than 8."""
    return array if array.itemsize in (1, 2, 4, 8) else array.reshape(-1).view(np.uint8)


def relative_error(expected: NDArray[Any], actual: NDArray[Any]) -> tuple[float | None, float]:
    """The greatest |actual - expected| / |expected|, None if it is not finite; and the greatest finite |expected|."""
    greatest, scale = 0.0, 0.0
    for _, (x, y) in flat_parts(expected, actual):
        size = np.abs(x.astype(np.float64))
        scale = max(scale, float(np.max(size[np.isfinite(size)], initial=0.0)))
        error = errors(y, x)
        unlike = error > 0
        with np.errstate(all="ignore"):
            greatest = max(greatest, float(np.max(error[unlike] / size[unlike], initial=0.0)))
    return finite(greatest), scale


def nans(array: NDArray[Any]) -> int:
    return int(np.isnan(array).sum())


# ---- both launches


@dataclass(frozen=True)
class LaunchComparison:
    """Two launches with the same arguments. `arrays` is empty if one kernel did not run to its end."""

    kernels: tuple[Kernel, Kernel]
    outcomes: tuple[ExecOutcome, ExecOutcome]
    arrays: tuple[ArrayComparison, ...]
    closeness: Closeness

    @property
    def names(self) -> tuple[str, str]:
        return self.kernels[0].name, self.kernels[1].name

    @property
    def outputs(self) -> tuple[ArrayComparison, ...]:
        """The arrays that a kernel changed."""
        return tuple(array for array in self.arrays if any(array.changed))

    @property
    def status(self) -> str:
        """The most severe of what was found."""
        statuses = {outcome.status for outcome in self.outcomes}
        if any(array.outside for array in self.arrays):
            statuses.add(DIFFERENT)
        if any(array.both_nan for array in self.outputs):
            statuses.add(NAN)
        for status in (FAULT, DIFFERENT, NAN, FINDING, UNSUPPORTED):
            if status in statuses:
                return status
        return SAME if self.outputs else NOTHING

    def with_executed(self, executed: Sequence[Executed | None]) -> LaunchComparison:
        """The comparison with the machine instructions that warps executed."""
        a, b = (replace(outcome, executed=report) for outcome, report in zip(self.outcomes, executed, strict=True))
        return replace(self, outcomes=(a, b))


def launch_both(
    kernels: tuple[Kernel, Kernel],
    arguments: Sequence[Parsed],
    launches: Sequence[ExecLaunch],
    closeness: Closeness,
) -> LaunchComparison:
    """Launch each kernel once on the same data, even where a name binds an argument to parameters at different places.

    Raises UsageError that names the kernel for arguments or a launch that do not fit it.
    """
    arguments = in_order(kernels, arguments)
    for kernel in kernels:
        with errors_of(kernel):
            kernel.program.bind(kernel.function, arguments)  # before any launch, so that mistakes are reported at once
    a, b = kernels
    with errors_of(a):
        first = execute(a.program, a.function, arguments, launches[0])
    with errors_of(b):
        second = execute(b.program, b.function, arguments, launches[1], like=first.bound)
    return LaunchComparison(kernels, (first, second), tuple(compared(first, second, closeness)), closeness)


def in_order(kernels: tuple[Kernel, Kernel], arguments: Sequence[Parsed]) -> Sequence[Parsed]:
    """The arguments without names, if one kernel has lost those of its parameters: in the order of the other one.

    PTX from a compiler has lost them, such as what `show --emit ptx` writes.
    """
    nameless = [not any(names_of_parameters(kernel)) for kernel in kernels]
    if nameless[0] == nameless[1] or not any(argument.name for argument in arguments):
        return arguments
    named_kernel = kernels[nameless.index(False)]
    with errors_of(named_kernel):
        return [
            replace(bound.argument, name=None) for bound in named_kernel.program.bind(named_kernel.function, arguments)
        ]


def names_of_parameters(kernel: Kernel) -> list[str | None]:
    return parameter_names(kernel.function, kernel.program.declared(kernel.function))


def compared(first: ExecOutcome, second: ExecOutcome, closeness: Closeness) -> list[ArrayComparison]:
    """Each array of A with B's array of the same argument."""
    if first.error or second.error:
        return []
    arrays_of_second = arrays_by_argument(second)
    return [
        compare_arrays(a, b, closeness)
        for argument, arrays in arrays_by_argument(first).items()
        for a, b in zip(arrays, arrays_of_second[argument], strict=True)
    ]


def arrays_by_argument(outcome: ExecOutcome) -> Mapping[int, list[Output]]:
    """The arrays of each argument, by the identity of the argument."""
    result: dict[int, list[Output]] = defaultdict(list)
    argument_of = {bound.index: id(bound.argument) for bound in outcome.bound}
    for output in outcome.arrays:
        result[argument_of[output.index]].append(output)
    return result


class errors_of:  # noqa: N801  a context manager reads as a word
    """Names the kernel in a UsageError."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UsageError):
            raise UsageError(f"{self.kernel.name}: {error}") from None
