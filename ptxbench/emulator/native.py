"""LLVM IR -> machine code of this CPU, cached on disk. Only this module imports llvmlite.

A cached object is executed when it is loaded, so the cache refuses a folder that other users can write. An object
contains no addresses of this process, so that any process with the same CPU, emulator and LLVM can load it. A function
that kernels share has an entry of its own, and a process loads it once.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import llvmlite.binding as llvm

from ptxbench.cache import code_version, known, remember, remember_once, replace
from ptxbench.emulator import layout
from ptxbench.emulator.host_cpu import HostCpu
from ptxbench.emulator.layout import Translation
from ptxbench.emulator.modules import defined_by, unquoted
from ptxbench.emulator.parse import choose, parsed
from ptxbench.emulator.runtime.access import INLINED, MOST_INLINED
from ptxbench.emulator.runtime.conditions import ALIGNMENT, BYTES, SYMBOL
from ptxbench.emulator.translate import translate

QUICK, OPTIMISED = 0, 1
"""Levels of LLVM's code generation. There are no IR passes: they took time without a gain. A kernel's own code is QUICK
at first: it has no vectors, and compiles in a sixth to half of the time. It calls functions that kernels share, which
are always OPTIMISED. So the kernel takes 1 to 1.5 times as long as optimised code, and 3 times if it does little
between its loads and stores."""


SCHEDULER = "run_ctas."
"""The start of the name of the function that runs a kernel (runtime/scheduler.py)."""

SLOW_SECONDS = 0.25
SLOW_SECONDS_A_BYTE = 2e-5
"""A kernel is compiled again with optimisation after so many CPU seconds of launches, or as many for each byte of its
own quick code if that is more. It takes 4e-6 to 9e-6 a byte. In these seconds, optimised code would have saved about
that much."""


class NativeKernel:
    """Machine code of one kernel, loaded. `run(context address)` releases the GIL and returns 0, or 1 after a fault.

    `compiled`: the result of `compile_kernel`. `compile_again`: compiles the kernel at another level.

    Its launches set `marked`, the buffers (by index) whose loads and updates must be recorded, and `shares`, whether
    CTAs of the last launch touched the same bytes, and add to `seconds`, their CPU time so far. These affect how the
    next launch runs, not its results.
    """

    def __init__(self, compiled: bytes, compile_again: Callable[[int], bytes]) -> None:
        self.compile_again = compile_again
        self.marked: set[int] = set()
        self.shares = False
        self.seconds = 0.0
        self.load(compiled)

    def load(self, compiled: bytes) -> None:
        level, described, own_code = compiled.split(b"\n", 2)
        self.level = int(level)
        self.translation = layout.from_json(described.decode())
        if not found_shared(self.translation.functions):
            self.compile_again(self.level)  # loads them
        self.own_bytes = len(own_code)
        self.engine = loaded(own_code, near_calls=True)
        self.warp = self.engine.get_function_address("warp")
        self.prepare_warp = self.engine.get_function_address("prepare_warp")
        scheduler = next(name for name in self.translation.functions if name.startswith(SCHEDULER))
        self.run: Any = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(llvm.address_of_symbol(scheduler))

    def ran_for(self, seconds: float) -> None:
        """Note the CPU time of a launch, on all host threads."""
        self.seconds += seconds
        self.expect(0.0)

    def expect(self, seconds: float) -> None:
        """Note that the current launch will take this many more CPU seconds. If all launches together take long, use
        optimised code from now on, in this process and in later ones."""
        slow = max(SLOW_SECONDS, SLOW_SECONDS_A_BYTE * self.own_bytes)
        if self.seconds + seconds > slow and self.level == QUICK:
            self.load(self.compile_again(OPTIMISED))


@functools.lru_cache(maxsize=64)
def kernel(ptx: str, entry: str | None, arch: str, mode: str = "plain", clustered: bool = False) -> NativeKernel:
    """The kernel `entry` of `ptx` for `arch`, translated or from the cache. `clustered`: for clusters of several CTAs.

    Raises PtxSyntaxError, UnsupportedInstruction, and LaunchError if the entry does not exist.
    """
    flavour = f"{mode} clustered" if clustered else mode
    key = ("emulator", version(), cpu_name(), cpu_features(), str(first_level()), arch, flavour, entry or "", ptx)

    def compile_at(level: int) -> bytes:
        return compile_kernel(ptx, entry, arch, mode, level, clustered)

    compiled = remember(key, lambda: compile_at(first_level()))
    return NativeKernel(compiled, lambda level: replace(key, compile_at(level)))


def compile_kernel(
    ptx: str, entry: str | None, arch: str, mode: str = "plain", level: int = QUICK, clustered: bool = False
) -> bytes:
    """A line with the level, a line with the kernel's layout without IR (as JSON), and the object of its own code.

    The functions that it shares with other kernels are loaded.

    Raises PtxSyntaxError, UnsupportedInstruction, and LaunchError if the entry does not exist.
    """
    module = parsed(ptx)
    function = choose(module, entry)
    translation = translate(
        module, function, arch=arch, cpu=host_cpu(), mode=mode, clustered=clustered, vectors=level != QUICK
    )
    own_code = (
        compile_module(translation.ir, level, near_calls=True) if level == QUICK else compile_inlined(translation)
    )
    functions = {unquoted(defined_by(text)): text for text in translation.functions}
    not_loaded = [name for name in functions if name not in SHARED]
    load_shared({name: shared_object(name, functions[name]) for name in not_loaded})
    return b"%d\n%s\n%s" % (level, layout.to_json(translation, tuple(functions)).encode(), own_code)


def compile_module(ir: str, level: int, *, near_calls: bool = False) -> bytes:
    """The object code of an LLVM module. `near_calls`: see `target_machine`."""
    code: bytes = compiler(level, near_calls=near_calls).emit_object(llvm.parse_assembly(ir))
    return code


def compile_inlined(translation: Translation) -> bytes:
    """The optimised code of a kernel's own module. If it has few loads and stores, their quick paths are inlined."""
    quick = [text for text in translation.functions if INLINED in text]
    if sum(translation.ir.count(f"@{defined_by(text)}(") - 1 for text in quick) > MOST_INLINED:
        return compile_module(translation.ir, OPTIMISED)
    module = llvm.parse_assembly(translation.ir)
    for text in quick:
        body = text.replace("define ", "define available_externally ", 1)
        module.link_in(llvm.parse_assembly(body.replace(INLINED, " alwaysinline {", 1)))
    machine = compiler(OPTIMISED)
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_sroa_pass()  # the masks of lanes become registers
    passes.add_dead_code_elimination_pass()  # of vectors that only interleaved.py made needless
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    with without_hoisting():
        code: bytes = machine.emit_object(module)
    return code


@contextlib.contextmanager
def without_hoisting() -> Iterator[None]:
    """LLVM moves nothing out of loops here. To it, all blocks of a kernel are one loop, in which `choose_lanes` selects
    the next block: each warp would first load the constants of all blocks and store most of them on the stack."""
    llvm.set_option("", "-disable-machine-licm=true")
    try:
        yield
    finally:
        llvm.set_option("", "-disable-machine-licm=false")


SHARED: dict[str, Any] = {}
"""The engines of the functions that kernels share, by name. They stay loaded for the next kernels of this process."""


def shared_object(name: str, ir: str) -> bytes:
    """The optimised code of a function that kernels share, from the cache if a kernel has needed it before."""
    return remember(function_key(name), lambda: compile_module(ir, OPTIMISED))


def function_key(name: str) -> tuple[str, ...]:
    """The name in the cache of a function that kernels share."""
    return "function", llvm_version(), cpu_name(), cpu_features(), name


def load_shared(objects: Mapping[str, bytes]) -> None:
    """Load these objects of shared functions, by name. None of them may be loaded already."""
    conditions_variable()
    if not objects:
        return
    engine = loaded(*objects.values())
    for name in objects:
        llvm.add_symbol(name, engine.get_function_address(name))
        SHARED[name] = engine


def found_shared(names: Sequence[str]) -> bool:
    """Load from the cache the functions that this process has not loaded yet; False if the cache lacks one."""
    objects = {name: known(function_key(name)) for name in names if name not in SHARED}
    found = {name: code for name, code in objects.items() if code is not None}
    if len(found) < len(objects):
        return False
    load_shared(found)
    return True


@functools.cache
def conditions_variable() -> int:
    """The address of the variable of runtime/conditions.py, which all kernels of this process read."""
    address = ctypes.addressof(VARIABLE) + -ctypes.addressof(VARIABLE) % ALIGNMENT
    llvm.add_symbol(SYMBOL, address)
    return address


VARIABLE = ctypes.create_string_buffer(BYTES + ALIGNMENT)


def set_conditions(conditions: bytes) -> None:
    """Set the conditions of the next launch: the bytes of that variable."""
    ctypes.memmove(conditions_variable(), conditions, len(conditions))


def loaded(*objects: bytes, near_calls: bool = False) -> Any:
    """An engine with loaded objects, which can be called as long as the engine is kept.

    `near_calls`: each object has its own pages, as near to each other as near calls need. Otherwise the objects share
    pages: a process with fewer ranges of memory is copied, and ends, in less time.
    """
    own_pages = True if near_calls and has_near_calls() else None  # None: LLVM's choice
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine(), use_lmm=own_pages)
    for code in objects:
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


@functools.cache
def compiler(level: int, *, near_calls: bool = False) -> Any:
    """The target machine that compiles modules. A new one takes a millisecond for its first module."""
    return target_machine(level, near_calls=near_calls)


def target_machine(level: int = QUICK, *, near_calls: bool = False) -> Any:
    """A new target machine each time: an engine owns its own and destroys it with the kernel.

    `near_calls`: calls reach 2 GiB, and the loader adds stubs for calls that go further. LLVM selects the instructions
    of such calls more quickly. It has an effect only for ELF on x86-64: such calls were not tried elsewhere.
    """
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    model = {"codemodel": "small", "reloc": "pic"} if near_calls and has_near_calls() else {}
    return target.create_target_machine(cpu=cpu_name(), features=cpu_features(), opt=level, jit=True, **model)


def has_near_calls() -> bool:
    return sys.platform == "linux" and platform.machine() == "x86_64"


def first_level() -> int:
    """The level of a kernel's first code: QUICK, unless PTXBENCH_EMULATOR_LEVEL is 1."""
    return int(os.environ.get("PTXBENCH_EMULATOR_LEVEL", QUICK))


@functools.cache
def cpu_name() -> str:
    """The target CPU: this machine's, unless PTXBENCH_EMULATOR_CPU names another CPU, whose code must run here."""
    return os.environ.get("PTXBENCH_EMULATOR_CPU") or str(llvm.get_host_cpu_name())


@functools.cache
def cpu_features() -> str:
    """The CPU's features for LLVM, beyond its name; empty if the CPU was chosen by name."""
    return "" if "PTXBENCH_EMULATOR_CPU" in os.environ else str(llvm.get_host_cpu_features().flatten())


EVENT_LEVEL = 3
"""LLVM's optimisation level for the function of a sanitized launch, which is compiled once; as in numba by default."""

ENGINES: list[Any] = []
"""Keeps the code of a sanitized launch's function loaded."""


@functools.cache
def event_function() -> int:
    """The address of the machine code of races/events.py."""
    described, _, code = remember_once(event_key(), compile_events).partition(b"\n")
    entry, needed = json.loads(described)
    # numba's helpers for exceptions and reference counts. The function needs neither: a call of one is a bug here.
    abort = ctypes.cast(ctypes.CDLL(None).abort, ctypes.c_void_p).value
    for name in needed:
        if not llvm.address_of_symbol(name):
            llvm.add_symbol(name, abort)
    ENGINES.append(loaded(code))
    return int(ENGINES[-1].get_function_address(entry))


def has_event_function() -> bool:
    """Whether that machine code was made before; to make it takes 10 to 20 seconds."""
    return known(event_key()) is not None


def event_key() -> tuple[str, ...]:
    """The name of that code in the cache."""
    return "events", version("races", "runtime"), importlib.metadata.version("numba"), *host()


def host() -> tuple[str, str]:
    """This CPU's name and features, whatever the emulator's target is."""
    llvm.initialize_native_target()
    return str(llvm.get_host_cpu_name()), str(llvm.get_host_cpu_features().flatten())


def compile_events() -> bytes:
    """The name of the function and of numba's helpers that it refers to, as a line of JSON, and the object code."""
    with without_numbas_passes():
        from ptxbench.emulator.races import events  # imports numba, which takes half a second

    entry, text = events.compiled_event()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple()
    cpu, features = host()
    machine = target.create_target_machine(cpu=cpu, features=features, opt=EVENT_LEVEL, jit=True)
    module = llvm.parse_assembly(text)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=EVENT_LEVEL))
    builder.getModulePassManager().run(module, builder)
    needed = sorted(set(re.findall(r"^declare [^@]*@((?:numba|NRT)_\w+)", str(module), re.M)))
    code: bytes = machine.emit_object(module)
    return json.dumps([entry, needed]).encode() + b"\n" + code


@contextlib.contextmanager
def without_numbas_passes() -> Iterator[None]:
    """If numba is imported here, it optimises nothing: it would do so for each function, and again for its callers,
    which took half the time. (NUMBA_OPT, which numba reads once.)"""
    previous = os.environ.get("NUMBA_OPT")
    os.environ["NUMBA_OPT"] = "0"
    try:
        yield
    finally:
        del os.environ["NUMBA_OPT"]
        os.environ |= {} if previous is None else {"NUMBA_OPT": previous}


@functools.cache
def host_cpu() -> HostCpu:
    """What the target CPU has. A CPU that was chosen by name is one of x86-64, and its permutations are not used."""
    if "PTXBENCH_EMULATOR_CPU" in os.environ:
        return HostCpu(fma=cpu_name() not in ("x86-64", "x86-64-v2"))
    features = llvm.get_host_cpu_features()
    on_arm = llvm.get_default_triple().startswith(("aarch64", "arm64"))  # always fuses
    return HostCpu(fma=on_arm or features.get("fma", False), permutes=features.get("avx512f", False))


@functools.cache
def version(*folders: str) -> str:
    """A hash of the emulator's own source, or of these folders of it, with LLVM's version: if it changes, every object
    is compiled again."""
    names = [f"emulator/{folder_name}" for folder_name in folders] or ["emulator"]
    return f"{llvm_version()} {code_version(*names)}"


@functools.cache
def llvm_version() -> str:
    return ".".join(map(str, llvm.llvm_version_info))
