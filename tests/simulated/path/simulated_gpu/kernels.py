"""Modules and their kernels: the source of a cubin, the checks of a launch, and its execution on the emulator."""

from __future__ import annotations

import gc
import hashlib
import json
import math
import os
import pickle
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ptxbench import emulator, errors, toolchain
from ptxbench.emulator.parse import parsed
from ptxbench.emulator.syntax import Function, Variable
from ptxbench.tensor_map import MAP_ALIGN, MAP_BYTES
from ptxbench.toolchain import cubin, locate, ptxas
from simulated_gpu.description import Device, Script
from simulated_gpu.errors import Failure
from simulated_gpu.memory import Block, Chunk, Memory, Region, chunk

FUEL = 1 << 24
"""Loop iterations of a warp from which on a kernel counts as endless."""

DEFAULT_SHARED_BYTES = 48 << 10
MAX_THREADS, SM_REGISTERS = 1024, 65536
MOST_CTAS = (2**31 - 1, 65535, 65535)
MAX_DYNAMIC_SHARED, NON_PORTABLE_CLUSTER = 8, 14
"""From CUfunction_attribute."""


# ---- which PTX a cubin was made of


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def remember_cubins(folder: Path) -> None:
    """From now on every process knows the PTX of each cubin from ptxas or the cache."""
    original = toolchain.assembled
    if hasattr(original, "folders"):
        original.folders.add(folder)
        return

    def assembled(tool: Path, ptx: str, arch: str) -> tuple[bytes, str]:
        image, messages = original(tool, ptx, arch)
        for folder in assembled.folders:  # type: ignore[attr-defined]
            store(folder / "cubins" / sha256(image), json.dumps([ptx, arch, messages]).encode())
        return image, messages

    assembled.folders = {folder}  # type: ignore[attr-defined]
    toolchain.assembled = assembled


def store(path: Path, content: bytes) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        unfinished.write_bytes(content)
        unfinished.replace(path)


def load(image: bytes, script: Script) -> Module:
    """cuModuleLoadData of an image, with the zero byte after it. Raises Failure."""
    image = image.removesuffix(b"\0")
    device = script.device
    if not image.startswith(b"\x7fELF"):
        return Module(*translated(image.decode("ascii"), script))
    recorded = Path(script.folder) / "cubins" / sha256(image)
    if not recorded.exists():
        raise LookupError("The simulated device knows no PTX of this cubin: it was not made by ptxbench.toolchain.")
    ptx, arch, messages = json.loads(recorded.read_bytes())
    major, minor = (int(group) for group in re.fullmatch(r"sm_(\d+)(\d)[af]?", arch).groups())  # type: ignore[union-attr]
    exact = not arch[-1].isdigit()
    if major != device.capability[0] or minor > device.capability[1] or (exact and minor != device.capability[1]):
        raise Failure(209)
    if not cubin.read(image).entries:
        raise Failure(200)
    return Module(ptx, messages)


def translated(ptx: str, script: Script) -> tuple[str, str]:
    """The result of the driver's assembler for PTX; ptxas replaces it."""
    if not script.jit:
        raise Failure(221)
    version = re.search(r"^\s*\.version\s+(\d+)\.(\d+)", ptx, re.M)
    if version is None:
        raise Failure(218)
    if (int(version[1]), int(version[2])) > ptx_version(script.driver):
        raise Failure(222)
    tool = locate.program("ptxas")
    assert tool is not None, "the simulated driver needs ptxas"
    try:
        _, messages = toolchain.assembled(tool, ptx, script.device.arch + ("a" if script.device.clusters else ""))
    except (errors.PtxbenchError, ptxas.RefusedError):
        raise Failure(218) from None
    return ptx, messages


def ptx_version(driver: int) -> tuple[int, int]:
    """The newest PTX of a driver that speaks this CUDA: 9.0 of 13.0, 8.0 of 12.0."""
    major, minor = driver // 1000, driver % 1000 // 10
    return (major - 4, minor)


@dataclass
class Module:
    """A loaded module. `kept`: its variables as the last launch left them."""

    ptx: str
    messages: str

    def __post_init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.loaded = True

    def kernel(self, name: str) -> Kernel:
        if name not in parsed(self.ptx).entries:
            raise Failure(500)
        gc.freeze()  # ptxbench collects garbage between cells; of a real device, Python would have nothing to search
        return Kernel(self, name)


@dataclass
class Kernel:
    """An entry of a loaded module. `dynamic_bytes`: of shared memory, that were allowed to a launch."""

    module: Module
    name: str
    dynamic_bytes: int = 0
    most_cluster: int = 8

    @cached_property
    def function(self) -> Function:
        return parsed(self.module.ptx).entries[self.name]

    @cached_property
    def resources(self) -> ptxas.Resources:
        reported = ptxas.resources(self.module.messages, self.name)
        assert reported is not None
        return reported

    @cached_property
    def max_threads(self) -> int:
        """Threads of a block that the registers and the kernel's own bounds allow."""
        warp = -(-self.resources.registers * 32 // 256) * 256
        bounds = self.function.directives.get(".maxntid") or self.function.directives.get(".reqntid")
        return min(MAX_THREADS, SM_REGISTERS // max(warp, 1) * 32, math.prod(bounds) if bounds else MAX_THREADS)

    def resident(self, device: Device, threads: int, dynamic: int) -> int:
        """Blocks of this launch that an SM holds at once."""
        warps = -(-threads // 32)
        registers = SM_REGISTERS // (warps * max(-(-self.resources.registers * 32 // 256) * 256, 256))
        shared = device.sm_shared_bytes // (self.resources.shared_bytes + dynamic + 1024)
        return min(registers, shared, device.sm_threads // (32 * warps), device.sm_blocks)

    def allow(self, device: Device, attribute: int, value: int) -> None:
        """Implements cuFuncSetAttribute."""
        if attribute == MAX_DYNAMIC_SHARED and 0 <= value <= device.optin_shared_bytes - self.resources.shared_bytes:
            self.dynamic_bytes = value
        elif attribute == NON_PORTABLE_CLUSTER and device.clusters:
            self.most_cluster = 16 if value else 8
        else:
            raise Failure(1)

    def check(self, device: Device, grid: Sequence[int], block: Sequence[int], shared: int) -> None:
        """The immediate checks of cuLaunchKernel. Raises Failure."""
        threads = math.prod(block)
        extents = (*zip(grid, MOST_CTAS, strict=True), *zip(block, (1024, 1024, 64), strict=True))
        if any(not 1 <= extent <= most for extent, most in extents) or threads > MAX_THREADS:
            raise Failure(1)
        if shared > max(self.dynamic_bytes, DEFAULT_SHARED_BYTES - self.resources.shared_bytes):
            raise Failure(1)
        required = self.function.directives.get(".reqntid")
        if required and tuple(block) != (*required, 1, 1)[:3]:
            raise Failure(1)
        bounds = self.function.directives.get(".maxntid")
        if bounds and threads > math.prod(bounds):
            raise Failure(1)
        if threads > self.max_threads:
            raise Failure(701)


# ---- a launch on the emulator


@dataclass(frozen=True)
class Outcome:
    """The effect of a launch: new bytes of its blocks (index, start, content), and its cost."""

    status: int = 0
    hangs: bool = False
    changes: tuple[tuple[int, int, Chunk], ...] = ()
    kept: Mapping[str, bytes] | None = None
    sectors: int = 0
    instructions: int = 0
    printed: str = ""

    @cached_property
    def written(self) -> set[int]:
        """The blocks with new bytes."""
        return {index for index, _, _ in self.changes}


@dataclass(frozen=True)
class Parameter:
    """The bytes of a parameter. `addresses`: the offset of each address of memory in it, which is 0 in `content`, with
    the index of its block and the offset there. `value`: what the emulator takes if there are none."""

    content: bytes
    addresses: tuple[tuple[int, int, int], ...]
    value: Any

    def argument(self, contents: Sequence[Any]) -> Any:
        """What the emulator takes: with pointers to these bytes of the launch's blocks."""
        if not self.addresses:
            return self.value
        pointers = {at: emulator.Pointer(contents[index], offset) for at, index, offset in self.addresses}
        starts = [at for at in range(len(self.content)) if not any(word < at < word + 8 for word in pointers)]
        fields = [(str(at), object if at in pointers else np.uint8) for at in starts]  # packed
        return np.array([tuple(pointers.get(at, self.content[at]) for at in starts)], fields)[0]


@dataclass(frozen=True)
class Prepared:
    """A launch with its parameters."""

    kernel: Kernel
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    cluster: tuple[int, int, int] | None
    shared: int
    params: tuple[Parameter, ...]
    blocks: tuple[Block, ...]
    places: tuple[tuple[Region, int], ...]
    """The region of each block, and where in it."""

    @cached_property
    def identity(self) -> tuple[Any, ...]:
        """All that the effect depends on, but for memory."""
        return (
            self.kernel.module.ptx, self.kernel.name, self.grid, self.block, self.cluster, self.shared,
            tuple((param.content, param.addresses) for param in self.params),
        )  # fmt: skip

    @cached_property
    def reach(self) -> int:
        """The bytes of all blocks."""
        return sum(block.size for block in self.blocks)


def prepare(
    memory: Memory, kernel: Kernel, grid: Any, block: Any, shared: int, params: Sequence[bytes], cluster: Any = None
) -> Prepared:
    """A launch with the parameters' bytes. A word of 8 bytes that is an address in memory refers to the block there; of
    a tensor map, only the first one.

    Blocks are looked up now: an address still means that memory if its block is freed later.
    """
    blocks: list[Block] = []
    parameters = []
    for param, content in zip(kernel.function.params, params, strict=True):
        plain, addresses = bytearray(content), []
        is_map = param.array and (param.size_bytes, param.align) == (MAP_BYTES, MAP_ALIGN)
        for at in range(0, 1 if is_map else len(content) - 7, 8):
            word = int.from_bytes(content[at : at + 8], "little")
            if (target := memory.block(word)) is not None:
                blocks += [target] if target not in blocks else []
                addresses.append((at, blocks.index(target), word - target.address))
                plain[at : at + 8] = bytes(8)
        parameters.append(Parameter(bytes(plain), tuple(addresses), value_of(param, content)))
    places = tuple(memory.find(block.address, block.size) for block in blocks)
    return Prepared(kernel, tuple(grid), tuple(block), cluster, shared, tuple(parameters), tuple(blocks), places)  # type: ignore[arg-type]


def value_of(param: Variable, content: bytes) -> Any:
    """A parameter's bytes as the emulator takes them."""
    if len(content) != param.size_bytes:
        raise TypeError(f"'{param.name}' has {param.size_bytes} bytes; {len(content)} were passed.")
    if param.array or param.vector > 1:
        return np.frombuffer(content, np.dtype((np.void, len(content))))[0]
    return np.frombuffer(content, f"{'f' if param.type.floating else 'u'}{param.size_bytes}")[0]


class Launches:
    """The effects of earlier launches, by everything that they depend on; other processes use them too."""

    def __init__(self, script: Script) -> None:
        self.folder = Path(script.launches or Path(script.folder) / "launches")
        self.device = script.device
        self.known: dict[tuple[Any, ...], dict[Any, Outcome]] = {}
        """By the launch, then by what its memory holds."""

    def outcome(self, memory: Memory, launch: Prepared) -> Outcome:
        kernel, places = launch.kernel, launch.places
        if any(region.address not in memory.regions for region, _ in places):
            return Outcome(status=700)  # given back to the device meanwhile
        held = tuple(
            region.key(start, block.size) for (region, start), block in zip(places, launch.blocks, strict=True)
        )
        kept = tuple(sorted(kernel.module.kept.items()))
        known = self.known.get(launch.identity)
        if known is None:
            known = self.known[launch.identity] = {}
        if (held, kept) not in known:
            key = (self.device.arch, launch.identity, held, kept)
            path = self.folder / hashlib.sha256(repr(key).encode()).hexdigest()
            if not path.exists():
                contents = [r.read(s, block.size) for (r, s), block in zip(places, launch.blocks, strict=True)]
                store(path, pickle.dumps(self.emulate(launch, contents)))
            known[held, kept] = pickle.loads(path.read_bytes())
        return known[held, kept]

    def emulate(self, launch: Prepared, contents: list[Any]) -> Outcome:
        """Execute on the emulator, on these bytes of the launch's blocks."""
        kernel = launch.kernel
        before = [content.copy() for content in contents]
        kept = dict(kernel.module.kept)
        args = [param.argument(contents) for param in launch.params]
        try:
            ran = emulator.run(
                kernel.module.ptx, kernel.name, grid=launch.grid, block=launch.block, cluster=launch.cluster, args=args,
                dynamic_shared_bytes=launch.shared, arch=self.device.arch, fuel=FUEL, kept=kept,
            )  # fmt: skip
        except errors.MemoryFault as fault:
            return Outcome(status=716 if "align" in str(fault) else 700)
        except errors.KernelTrap as fault:
            return Outcome(status=719 if str(fault).endswith("trap.") else 710)
        except (errors.FuelExhausted, errors.Deadlock):
            return Outcome(hangs=True)
        changes = []
        for index, (was, now) in enumerate(zip(before, contents, strict=True)):
            changed = was != now
            if changed.any():
                low, high = int(changed.argmax()), changed.size - int(changed[::-1].argmax())
                changes.append((index, low, chunk(now[low:high].tobytes())))
        sectors, instructions = (
            sum(int(ran.counters.get(name, 0)) for name in names)
            for names in (("ptx_global_load_sectors", "ptx_global_store_sectors"), ("ptx_warp_instructions",))
        )
        return Outcome(0, False, tuple(changes), kept, sectors, instructions, ran.printed)
