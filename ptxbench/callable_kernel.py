"""One kernel of a file, launched on NumPy arrays: what the pytest fixture `ptxbench_kernel` gives. Knows no pairs."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import emulator, kernel_names, keywords
from ptxbench.arguments.elements import TYPES
from ptxbench.arrays import bf16, is_float
from ptxbench.backends import open_backend
from ptxbench.backends.base import Backend
from ptxbench.backends.device_errors import WITHOUT_TIMING
from ptxbench.emulator import Pointer
from ptxbench.emulator.arguments import extent
from ptxbench.emulator.launch import Execution
from ptxbench.emulator.pointers import reachable
from ptxbench.emulator.syntax import Function, Variable
from ptxbench.errors import PtxbenchError, ToolMissing, UnsafeLaunch, UsageError, suggestion
from ptxbench.exec_program import ExecProgram, located, read_program
from ptxbench.executed import Counted, Executed
from ptxbench.execution import ExecLaunch, derived, labelled, with_line
from ptxbench.launch_notes import legality_notes, model_notes
from ptxbench.metrics import METRICS
from ptxbench.pair import Launch
from ptxbench.result import VERIFIED, VariantResult
from ptxbench.toolchain.options import SourceOptions
from ptxbench.toolchain.parameters import CudaParameter
from ptxbench.units import plural

POINTER_BITS = 64

Extent = int | tuple[int, ...]

MOST_FINDINGS = 10
"""Findings of the sanitizer that a message lists."""


class UncheckedWarning(UserWarning):
    """Something about a launch was not checked, so its success does not show that everything is correct."""


def load_kernel(
    file: Path, options: SourceOptions, arch: str | None = None, backend: str = "emulator"
) -> CallableKernel:
    """The kernel of a .cu or .ptx file, compiled and ready to be launched.

    `backend`: emulator, gpu, or auto for the GPU if there is one. Raises PtxbenchError: a missing file or tool, a
    kernel that does not compile, or that ptxas refuses.
    """
    try:
        opened_backend = open_backend(backend, arch)
    except ToolMissing as missing:
        raise ToolMissing(f"{str(missing).removesuffix(WITHOUT_TIMING).rstrip()} Use the backend 'emulator'.") from None
    gpu = opened_backend if opened_backend.name == "gpu" else None
    if gpu is not None:
        device = gpu.device().sm
        if arch and arch.rstrip("af") != device:
            raise UsageError(f"The GPU is {device}, not {arch}. Leave out the architecture, or use the emulator.")
        arch = arch or device
    program = read_program(file, arch, options)
    function = program.choose(options.entry)
    if program.legality.refusal:
        raise program.legality.refusal
    return CallableKernel(program, function, gpu)


@dataclass(frozen=True)
class CallableKernel:
    """A kernel that can be called. `gpu`: None on the emulator."""

    program: ExecProgram
    function: Function
    gpu: Backend | None = None

    def __repr__(self) -> str:
        where = "the emulator" if self.gpu is None else "the GPU"
        return f"<kernel {self.name} of {self.program.path.name}, {self.program.arch}, on {where}>"

    def __call__(
        self,
        *,
        args: Sequence[Any] | Mapping[str, Any],
        grid: Extent = 1,
        block: Extent | None = None,
        shared_bytes: int = 0,
        sanitize: bool = False,
        max_loop_iterations: int | None = None,
        cluster: Extent | None = None,
    ) -> KernelResult:
        """Launch once. The arrays among `args` are changed in place, as the kernel leaves them.

        `args`: in the order of the parameters, or by their names. An array is passed by its address; a number is given
        the type of its parameter. `grid` in CTAs and `block` in threads: x, or up to (x, y, z); without `block`, what
        `.reqntid` says, else 32 threads. `shared_bytes`: dynamic shared memory of a CTA. `cluster`: CTAs
        of a cluster, by default what `.reqnctapercluster` says, else none. On the emulator alone:
        `sanitize` finds races, uninitialised reads and more, slower; `max_loop_iterations` of a warp.

        Raises KernelError for a fault, UnsafeLaunch for findings of the sanitizer, and UsageError or LaunchError for
        arguments or a launch that do not fit. Warns with UncheckedWarning about checks that could not be made.
        """
        __tracebackhide__ = True  # pytest then shows the line of the test
        try:
            values = self.values(args)
            launch = ExecLaunch(
                extent(grid, "grid"),
                None if block is None else extent(block, "block"),
                shared_bytes,
                keywords.truth("sanitize", sanitize),
                fuel=None
                if max_loop_iterations is None
                else keywords.whole("max_loop_iterations", max_loop_iterations, 1),
                cluster=None if cluster is None else extent(cluster, "cluster"),
            )
            result = self.on_emulator(values, launch) if self.gpu is None else self.on_gpu(self.gpu, values, launch)
        except PtxbenchError as error:
            raise error.with_traceback(None) from None
        for note in result.unchecked:
            warnings.warn(f"{self.program.path.name}: {note}", UncheckedWarning, stacklevel=2)
        return result

    @property
    def name(self) -> str:
        """Its name as C++ has it, without parameters."""
        return kernel_names.short(self.function.name)

    @cached_property
    def declared(self) -> Sequence[CudaParameter | None]:
        """The parameters as CUDA C declares them; None for each that is not known."""
        return self.program.declared(self.function) or [None] * len(self.function.params)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters: those of CUDA C if they are known, else those of the PTX."""
        both = zip(self.declared, self.function.params, strict=True)
        return tuple((declared.name if declared else None) or param.name for declared, param in both)

    @property
    def labels(self) -> Mapping[str, str]:
        """The names of the parameters and the kernel by their names in the PTX."""
        names = {param.name: name for param, name in zip(self.function.params, self.names, strict=True)}
        return {**names, self.function.name: self.name}

    # ---- arguments

    def values(self, args: Sequence[Any] | Mapping[str, Any]) -> dict[str, Any]:
        """Each parameter with its value, as the emulator takes it. Raises UsageError."""
        in_order = self.by_name(args) if isinstance(args, Mapping) else keywords.several("args", args)
        if len(in_order) != len(self.names):
            given = f"{plural(len(in_order), 'argument')} {'was' if len(in_order) == 1 else 'were'} given"
            raise UsageError(f"{self.described}; {given}.")
        values = {
            name: as_value(name, param, declared, value)
            for name, param, declared, value in zip(
                self.names, self.function.params, self.declared, in_order, strict=True
            )
        }
        try:
            reachable(values.items())
        except TypeError as error:  # an element of dtype object that is not an address
            raise UsageError(str(error)) from None
        return values

    def by_name(self, args: Mapping[str, Any]) -> list[Any]:
        for name in args:
            if name not in self.names:
                hint = suggestion(str(name), self.names)
                raise UsageError(f"unknown argument {name!r}.{hint} {self.described}.")
        if missing := [name for name in self.names if name not in args]:
            raise UsageError(f"no argument for {', '.join(map(repr, missing))}. {self.described}.")
        return [args[name] for name in self.names]

    @property
    def described(self) -> str:
        """`'saxpy' has 2 parameters: x, n`."""
        count = len(self.names)
        names = f": {', '.join(self.names)}" if self.names else ""
        return f"'{self.name}' has {count or 'no'} parameter{'' if count == 1 else 's'}{names}"

    # ---- launches

    def on_emulator(self, values: dict[str, Any], launch: ExecLaunch) -> KernelResult:
        """A launch on the emulator. Raises UnsafeLaunch for what the sanitizer finds, and the errors of `emulator.run`
        with the lines of the file."""
        try:
            with located(self.program):
                execution = emulator.run(
                    self.program.ptx,
                    self.function.name,
                    grid=launch.grid,
                    block=launch.block_of(self.function),
                    args=list(values.values()),
                    dynamic_shared_bytes=launch.shared_bytes,
                    cluster=launch.cluster,
                    arch=self.program.arch,
                    sanitize=launch.sanitize,
                    fuel=launch.fuel,
                )
        except PtxbenchError as error:
            raise type(error)(labelled(str(error), self.labels)) from None

        def words(message: str) -> str:
            return self.program.in_file(labelled(message, self.labels))

        if execution.findings:
            raise UnsafeLaunch(
                sanitizer_words([f"{finding.kind}: {words(with_line(finding))}" for finding in execution.findings])
            )
        unchecked = (*legality_notes(self.program.legality), *map(words, execution.unchecked))
        notes = (*map(words, execution.notes), *model_notes(execution.models, self.program.arch))
        return KernelResult(self, launch, arrays_of(values), execution.printed, notes, unchecked, execution)

    def on_gpu(self, gpu: Backend, values: dict[str, Any], launch: ExecLaunch) -> KernelResult:
        """A launch on a GPU; the arrays are copied there and back. Raises UsageError for what only the emulator can."""
        if launch.sanitize:
            raise UsageError("sanitize=True needs the emulator. Build the kernel with backend='emulator'.")
        if launch.fuel is not None:
            raise UsageError(
                "max_loop_iterations is an option of the emulator. Build the kernel with backend='emulator'."
            )
        if name := next((name for name, value in values.items() if isinstance(value, Pointer)), None):
            raise UsageError(f"'{name}' is a Pointer, which only the emulator supports.")
        if name := next((name for name, value in values.items() if has_addresses(value)), None):
            raise UsageError(f"'{name}' has the addresses of arrays, which only the emulator supports.")
        arrays = arrays_of(values)
        for (one, first), (other, second) in combinations(arrays.items(), 2):
            if np.may_share_memory(first, second):
                raise UsageError(f"'{one}' and '{other}' get the same memory, which only the emulator supports.")
        passed = {name: np.uint64(0) if value is None else value for name, value in values.items()}
        outputs = tuple(name for name, array in arrays.items() if array.flags.writeable)
        gpu_launch = Launch(launch.grid, launch.block_of(self.function), launch.shared_bytes, launch.cluster)
        outcome = gpu.run(self.program.build(self.function.name), gpu_launch, passed, outputs)
        for name in outputs:
            arrays[name][...] = outcome.outputs[name]
        return KernelResult(self, launch, arrays)


@dataclass(frozen=True)
class KernelResult:
    """One launch. `arrays`: the arrays that were passed, by the parameter's name, as the kernel left them.

    `printed`: what the kernel printed with printf, on the emulator. `notes`: what to know about the result.
    `unchecked`: the checks that were not made, of which a warning was given.
    """

    kernel: CallableKernel
    launch: ExecLaunch = field(repr=False)
    arrays: Mapping[str, NDArray[Any]] = field(repr=False)
    printed: str = ""
    notes: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    execution: Execution | None = field(default=None, repr=False)

    @cached_property
    def counts(self) -> Mapping[str, float]:
        """What warps executed and requested, by the names of docs/counters.md and of `ptxbench run --columns`.

        An unknown name raises UsageError, and so does a launch on a GPU, which counts nothing.
        """
        return counts_of(self.counted)

    @cached_property
    def executed(self) -> Executed:
        """The machine instructions that warps executed: `least`, `most` and the likeliest number, `fit`.

        Raises PtxbenchError if the counts do not determine a range, or without ptxas and nvdisasm.
        """
        __tracebackhide__ = True
        counted, kernel = self.counted, self.kernel
        warps = self.launch.warps(kernel.function)
        executed = derived(kernel.program, kernel.function.name, Counted(counted.by_line, warps, counted.loops))
        if executed.least is None:
            raise PtxbenchError(f"The number of executed machine instructions is not known: {executed.reason}.")
        return executed

    @property
    def counted(self) -> Execution:
        __tracebackhide__ = True
        if self.execution is None:
            raise UsageError("A GPU does not count. Build the kernel with backend='emulator' to compare counts.")
        return self.execution


class Counts(dict[str, float]):
    """Counts by name."""

    def __missing__(self, name: str) -> float:
        __tracebackhide__ = True
        similar = ", ".join(other for other in self if name in other)
        hint = f" Did you mean {similar}?" if similar else suggestion(name, list(self))
        raise UsageError(f"unknown count '{name}'.{hint or ' docs/counters.md has the names.'}")


def counts_of(execution: Execution) -> Counts:
    """The emulator's counters, and the metrics that follow from them."""
    opcodes: Counter[str] = Counter()
    for line in execution.opcodes.values():
        opcodes.update(line)
    result = VariantResult("ptx", VERIFIED, counts=execution.counters, opcodes=opcodes)
    no_cell: Any = None  # a metric that the emulator counts does not depend on the cell
    derived_counts = {
        metric.name: value
        for metric in METRICS
        if metric.counted_by == "emulator" and metric.name.startswith("ptx_")
        if (value := metric.formula(no_cell, "ptx", result)) is not None
    }
    return Counts({**derived_counts, **execution.counters})


def arrays_of(values: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}


def has_addresses(value: Any) -> bool:
    """Whether an argument is an array or a structure with elements of dtype object, which are addresses."""
    return isinstance(value, np.ndarray | np.void) and value.dtype.hasobject


def sanitizer_words(findings: Iterable[str]) -> str:
    """The findings of the sanitizer, one per line; of many, the first."""
    lines = list(findings)
    more = [f"and {len(lines) - MOST_FINDINGS} more"] if len(lines) > MOST_FINDINGS else []
    count = f"{len(lines)} error{'' if len(lines) == 1 else 's'}"
    return "\n  ".join([f"The sanitizer found {count}:", *lines[:MOST_FINDINGS], *more])


def as_value(name: str, param: Variable, declared: CudaParameter | None, value: Any) -> Any:
    """An argument as the emulator takes it. Raises UsageError if it cannot be passed."""
    if isinstance(value, np.ndarray):
        require_elements(name, declared, value)
        return value
    if value is None:
        require_pointer(name, param, declared)
        return value
    if isinstance(value, np.generic | Pointer):
        return value
    if isinstance(value, int | float):
        return as_number(name, param, declared, value)
    raise UsageError(f"'{name}' is a {type(value).__name__}; expected a NumPy array, or a number.")


def require_elements(name: str, declared: CudaParameter | None, array: NDArray[Any]) -> None:
    """Raise UsageError if the elements have another size or kind than those of the parameter in CUDA C."""
    pointee = declared.type.pointee if declared else None
    if declared is None or pointee is None or pointee.number is None:
        return
    wanted = TYPES[pointee.number]
    if wanted.name == "bf16":
        same_type = array.dtype in (bf16, np.uint16)
    else:
        same_type = array.dtype.itemsize == wanted.dtype.itemsize and is_float(array.dtype) == wanted.floating
        same_type &= array.dtype != bf16
    if not same_type:
        expected = "ml_dtypes.bfloat16" if wanted.name == "bf16" else f"numpy.{wanted.dtype.name}"
        raise UsageError(f"'{name}' is declared as {declared.declaration}; expected {expected}, found {array.dtype}.")


def require_pointer(name: str, param: Variable, declared: CudaParameter | None) -> None:
    """Raise UsageError for None, the null pointer, if the parameter is not a pointer."""
    is_pointer = declared.type.pointee is not None if declared else param.type.bits == POINTER_BITS
    if not is_pointer or param.type.floating:
        what = f"declared as {declared.declaration}" if declared else f".{param.type}"
        raise UsageError(f"'{name}' is {what}; expected a number, found None, which is for pointers.")


def as_number(name: str, param: Variable, declared: CudaParameter | None, value: float) -> Any:
    """A number of Python in the type of its parameter. Raises UsageError if it does not fit."""
    if param.array or param.vector > 1:
        raise UsageError(
            f"'{name}' is a structure of {plural(param.size_bytes, 'byte')}; expected an np.void of that size."
        )
    if declared is not None and declared.type.pointee is not None:
        raise UsageError(f"'{name}' is declared as {declared.declaration}; expected an array, found {value!r}.")
    bits = param.type.bits
    if param.type.floating:
        return as_float(name, param, value)
    if isinstance(value, float):
        raise UsageError(f"'{name}' is .{param.type}; expected a whole number, found {value!r}.")
    if not -(1 << bits - 1) <= value < 1 << bits:
        raise UsageError(f"'{name}' has {bits} bits, which cannot hold {value}.")
    return np.dtype(f"u{bits // 8}").type(value % (1 << bits))


def as_float(name: str, param: Variable, value: float) -> Any:
    """A number of Python, rounded to the float type of its parameter. UsageError if it is beyond the greatest."""
    inf = float("inf")
    try:
        with np.errstate(over="ignore"):
            rounded = np.dtype(f"f{param.type.bits // 8}").type(value)
    except OverflowError:  # a whole number beyond the greatest float64
        rounded = inf
    if abs(rounded) == inf and value not in (inf, -inf):
        raise UsageError(f"'{name}' is .{param.type}, which cannot hold {value}.")
    return rounded
