"""Runs a kernel: checks the arguments, has the emulator's process do it, and tells what happened."""

from __future__ import annotations

import atexit
import contextlib
import functools
import math
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench import errors
from ptxbench.emulator import counters, memory
from ptxbench.emulator.messages import Answer, Failure, Fault, Job
from ptxbench.emulator.parse import choose, parse
from ptxbench.emulator.runtime import context
from ptxbench.emulator.syntax import Function, Module, Variable
from ptxbench.emulator.variables import initial_bytes, lay_out_module, module_variables
from ptxbench.errors import Deadlock, EmulatorCrash, FuelExhausted, KernelTrap, LaunchError, MemoryFault

FUEL = 1 << 27
"""Loop iterations that a warp may run by default: half a second to a few seconds of an empty loop."""
MAX_THREADS = 1024
MAX_GRID = (2**31 - 1, 65535, 65535)
MAX_SHARED_BYTES = 227 * 1024
"""The most that a CTA can have on any GPU so far (sm_90, sm_100)."""


@dataclass(frozen=True)
class Execution:
    """What a launch did.

    `counters`: totals by name (docs/emulator.md). `by_line`: the same by line of the PTX, zeros left out.
    `order`: "ascending" where CTAs had to run one after the other, "any" where they ran in parallel.
    `printed`: what the kernel printed with printf.
    """

    counters: Mapping[str, float]
    by_line: Mapping[int, Mapping[str, int]]
    order: str
    printed: str = ""


def run(
    ptx: str,
    entry: str | None = None,
    *,
    grid: int | Sequence[int],
    block: int | Sequence[int],
    args: Sequence[Any],
    dynamic_shared_bytes: int = 0,
    arch: str = "sm_90",
    threads: int | None = None,
    fuel: int = FUEL,
) -> Execution:
    """Execute one launch of the kernel `entry` (None: the only one) of the module `ptx`.

    `grid` in CTAs and `block` in threads: x, or up to (x, y, z). `args` in the order of the `.param` list: a
    C-contiguous NumPy array is a pointer and is modified in place, a NumPy scalar is passed by value and must fit
    the parameter's type, None is a null pointer. `threads`: host threads, by default one a core; results and
    counters do not depend on it. `fuel`: loop iterations that a warp may run.

    Raises PtxSyntaxError, UnsupportedInstruction, LaunchError, MemoryFault, Deadlock, FuelExhausted,
    EmulatorCrash; TypeError for a Python number, which has no width.
    """
    module = parsed(ptx)
    function = choose(module, entry)
    extent_grid, extent_block = extent(grid, "grid"), extent(block, "block")
    check_launch(function, extent_grid, extent_block, dynamic_shared_bytes)
    arrays = check_arguments(function, args)
    module_addresses, start = lay_out_module(module)
    held = [
        memory.Buffer(variable.name, module_addresses[variable.name] - context.GLOBAL_BASE, variable.size_bytes)
        for variable in module_variables(module)
    ]
    layout = memory.lay_out([(name, array) for name, array in arrays.values()], held, start)
    addresses = dict(zip(arrays, layout.addresses, strict=True))
    job = Job(
        ptx,
        function.name,
        extent_grid,
        extent_block,
        pack(function, args, addresses),
        tuple((buffer.low, buffer.high) for buffer in layout.buffers),
        layout.size,
        dynamic_shared_bytes,
        threads or usable_cores(),
        fuel,
        arch,
    )
    process = emulator_process()
    process.arena.reserve(layout.size)
    for variable, buffer in zip(module_variables(module), held, strict=True):
        content = initial_bytes(variable, module_addresses)
        process.arena.bytes(buffer.offset, buffer.size)[:] = np.frombuffer(content, np.uint8)
    views = []
    for index, (_, array) in arrays.items():
        view = process.arena.bytes(addresses[index] - context.GLOBAL_BASE, array.nbytes)
        view[:] = array.reshape(-1).view(np.uint8)
        views.append((array, view))
    answer = process.ask(job)
    if isinstance(answer, Failure):
        raise getattr(errors, answer.name)(answer.message)
    if answer.fault is not None:
        raise explain(answer, answer.fault, layout, extent_grid, extent_block, fuel, dynamic_shared_bytes)
    for array, view in views:
        array.reshape(-1).view(np.uint8)[:] = view
    lines = counters.by_line(answer.counters, answer.translation)
    order = "ascending" if answer.translation.in_order else "any"
    return Execution(counters.total(lines, answer.phases), lines, order, answer.printed)


@functools.lru_cache(maxsize=64)
def parsed(ptx: str) -> Module:
    return parse(ptx)


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---- what can be wrong with a launch


def extent(value: int | Sequence[int], name: str) -> tuple[int, int, int]:
    """x, or up to (x, y, z), as three whole numbers of at least 1."""
    given = (value,) if isinstance(value, int) else tuple(value)
    if not 1 <= len(given) <= 3 or any(each < 1 for each in given):
        raise LaunchError(f"{name} is {value}; it must be one to three numbers of at least 1.")
    x, y, z = (*map(int, given), 1, 1)[:3]
    return x, y, z


def check_launch(
    function: Function, grid: tuple[int, int, int], block: tuple[int, int, int], dynamic_shared_bytes: int
) -> None:
    """Limits of every GPU, and what the entry's directives ask for. (PTX ISA, "Performance-Tuning Directives".)"""
    threads = block[0] * block[1] * block[2]
    if threads > MAX_THREADS:
        raise LaunchError(f"A block of {threads} threads; the most is {MAX_THREADS}.")
    if any(each > most for each, most in zip(grid, MAX_GRID, strict=True)):
        raise LaunchError(f"A grid of {grid}; the most is {MAX_GRID}.")
    required = function.directives.get(".reqntid")
    if required and block != (*required, 1, 1)[:3]:
        raise LaunchError(f"'{function.name}' needs blocks of {required} (.reqntid); this one is {block}.")
    most = function.directives.get(".maxntid")
    if most and threads > math.prod(most):
        limit = math.prod(most)
        raise LaunchError(f"'{function.name}' takes blocks of {limit} threads at most (.maxntid); this has {threads}.")
    shared = sum(v.size_bytes for v in function.variables.values() if v.space == "shared") + dynamic_shared_bytes
    if shared > MAX_SHARED_BYTES:
        raise LaunchError(
            f"'{function.name}' asks for {shared} bytes of shared memory; the most is {MAX_SHARED_BYTES}."
        )


def check_arguments(function: Function, args: Sequence[Any]) -> dict[int, tuple[str, NDArray[Any]]]:
    """The arrays among `args` by position, with their parameters' names. Raises LaunchError and TypeError."""
    if len(args) != len(function.params):
        raise LaunchError(f"'{function.name}' has {len(function.params)} parameters; {len(args)} arguments were given.")
    arrays = {}
    for index, (param, arg) in enumerate(zip(function.params, args, strict=True)):
        if isinstance(arg, np.ndarray):
            if param.array or param.type.bits != 64 or param.type.floating:
                raise LaunchError(f"'{param.name}' is .{param.type}, which takes a NumPy scalar, not an array.")
            if not arg.flags.c_contiguous or not arg.flags.writeable:
                raise LaunchError(f"The array for '{param.name}' must be C-contiguous and writable.")
            arrays[index] = (param.name, arg)
        elif isinstance(arg, np.generic):
            check_scalar(param, arg)
        elif arg is not None:
            raise TypeError(f"{arg!r} for '{param.name}' has no width; use np.{numpy_name(param)}({arg!r}).")
    return arrays


def check_scalar(param: Variable, arg: np.generic[Any]) -> None:
    floating = arg.dtype.kind == "f"
    same_kind = param.array or param.type.kind == "b" or param.type.floating == floating
    if arg.dtype.itemsize != param.size_bytes or not same_kind:
        raise LaunchError(
            f"'{param.name}' is .{param.type} ({param.size_bytes} bytes), but its argument is {arg.dtype}."
        )


def numpy_name(param: Variable) -> str:
    """The NumPy scalar that a parameter takes."""
    kind = {"f": "float", "s": "int"}.get(param.type.kind, "uint")
    return f"{kind}{param.type.bits}"


def pack(function: Function, args: Sequence[Any], addresses: Mapping[int, int]) -> bytes:
    """The parameters' bytes, each aligned as its type asks."""
    packed = bytearray()
    for index, (param, arg) in enumerate(zip(function.params, args, strict=True)):
        packed.extend(bytes(-len(packed) % param.align))
        if index in addresses:
            packed.extend(addresses[index].to_bytes(8, "little"))
        else:
            packed.extend(bytes(param.size_bytes) if arg is None else arg.tobytes())
    return bytes(packed)


# ---- what can go wrong in one


def explain(
    answer: Answer,
    fault: Fault,
    layout: memory.Layout,
    grid: tuple[int, int, int],
    block: tuple[int, int, int],
    fuel: int,
    dynamic_shared_bytes: int,
) -> errors.KernelError:
    """The error that a fault is, with its line, thread and CTA."""
    translation = answer.translation
    if fault.kind == context.DEADLOCK:
        return Deadlock(f"CTA {coordinates(fault.cta, grid)} cannot go on: {describe_waiting(answer)}.")
    if fault.kind == context.OUT_OF_FUEL:
        first = next(step for step in translation.steps if step.block == fault.slot // 2)
        return FuelExhausted(
            f"line {first.line}: warp {fault.warp} of CTA {coordinates(fault.cta, grid)} ran {fuel:,} loop iterations, "
            f"the last of them here. An endless loop? If not, give more fuel."
        )
    site = next(site for site in translation.sites if site.slot == fault.slot)
    step = translation.steps[site.step]
    if fault.kind == context.TRAPPED:
        who = f"thread {coordinates(32 * fault.warp + fault.lane, block)} of CTA {coordinates(fault.cta, grid)}"
        return KernelTrap(f"line {step.line}: {who}: {answer.assertion}.")
    verb = {"load": "reads", "store": "writes", "atomic": "updates"}[site.kind]
    thread = 32 * fault.warp + fault.lane
    who = (
        f"line {step.line}: {step.opcode} by thread {coordinates(thread, block)} of CTA {coordinates(fault.cta, grid)}"
    )
    if site.space == "global":
        where = memory.nearest(layout.buffers, fault.address, site.bytes)
    else:
        size = {"shared": translation.shared_bytes + dynamic_shared_bytes, "local": translation.local_bytes}[site.space]
        where = f"byte {fault.address} of {site.space} memory, which has {size}"
    if fault.kind == context.MISALIGNED:
        return MemoryFault(
            f"{who} {verb} {site.bytes} bytes at {where}; they must start at a multiple of {site.bytes}."
        )
    return MemoryFault(f"{who} {verb} {where}. Check its guard.")


def coordinates(rank: int, extents: tuple[int, int, int]) -> str:
    """A rank as "7", or as "(1, 2, 0)" where there is more than one dimension."""
    if extents[1] == extents[2] == 1:
        return str(rank)
    return f"({rank % extents[0]}, {rank // extents[0] % extents[1]}, {rank // extents[0] // extents[1]})"


def describe_waiting(answer: Answer) -> str:
    """Where each warp waits."""
    steps = answer.translation.steps
    found = []
    for warp, lanes, block in answer.waiting:
        here = [step for step in steps if step.block == block and step.flow in ("sync", "aligned")]
        before = [step for step in steps if step.block == block - 1 and step.flow == "barrier"]
        step = (here or before or [steps[0]])[0]
        found.append(f"warp {warp} (lanes {lanes:#010x}) waits at line {step.line}, {step.opcode}")
    return "; ".join(found)


# ---- the emulator's process


class Process:
    """A running `ptxbench.emulator.worker` and the arena that is shared with it."""

    def __init__(self) -> None:
        self.arena = memory.Arena()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ptxbench.emulator.worker", str(self.arena.handle)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self.arena.handle],
        )

    def ask(self, job: Job) -> Answer | Failure:
        """The answer to `job`. Raises EmulatorCrash; if interrupted, the process is ended with the job undone."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            pickle.dump(job, self.process.stdin)
            self.process.stdin.flush()
            answer: Answer | Failure = pickle.load(self.process.stdout)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            stop_process()
            raise EmulatorCrash(describe_crash(job, self.process.wait())) from None
        except BaseException:
            stop_process()
            raise
        return answer

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        with contextlib.suppress(BufferError):
            self.arena.close()


RUNNING: list[Process] = []


def emulator_process() -> Process:
    """The process that is kept for this one's launches; a new one where none runs."""
    if RUNNING and RUNNING[0].process.poll() is not None:
        stop_process()
    if not RUNNING:
        RUNNING.append(Process())
    return RUNNING[0]


@atexit.register
def stop_process() -> None:
    """End the emulator's process; the next launch starts another."""
    while RUNNING:
        RUNNING.pop().stop()


def describe_crash(job: Job, status: int) -> str:
    """What is known of a process that died: the signal, and where its PTX was saved."""
    cause = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    with tempfile.NamedTemporaryFile("w", prefix=f"{job.entry}-", suffix=".ptx", delete=False) as file:
        file.write(job.ptx)
    return (
        f"The emulator's process ended with {cause} while it ran '{job.entry}'; its PTX is saved as {Path(file.name)}."
    )
