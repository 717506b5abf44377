"""The contents of global memory when a launch starts, and what is copied back when it is over."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptxbench.emulator import memory
from ptxbench.emulator.arguments import check_arguments, check_array, pack
from ptxbench.emulator.memory import Array, Bytes
from ptxbench.emulator.pointers import Pointer, as_bytes, decode, encode, reachable
from ptxbench.emulator.runtime import context
from ptxbench.emulator.syntax import Function, Module
from ptxbench.emulator.variables import (
    function_addresses,
    initial_bytes,
    lay_out_module,
    lay_out_provided,
    module_alignment,
    module_variables,
)
from ptxbench.emulator.variation import function_shift, module_shift
from ptxbench.errors import ReadOnlyArray


@dataclass(frozen=True)
class ImageArray:
    """An array of a launch: its name in messages, and its form with pointers as addresses."""

    name: str
    array: Array
    encoded: Array

    @property
    def content(self) -> Bytes:
        """Its bytes before the launch."""
        is_zero = isinstance(self.array, memory.ZeroArray)
        return memory.zeros(self.array.nbytes) if is_zero else as_bytes(self.encoded)

    @property
    def span(self) -> tuple[int, int]:
        """The range of its bytes on the host."""
        start = self.array.__array_interface__["data"][0]
        return start, start + self.array.nbytes


@dataclass
class TouchedMemory:
    """What a launch touched of each ZeroArray, by name; also if it fails.

    `pages`: numbers of the pages that it read or wrote; all of them if the system does not tell (memory.shows_pages).
    `stored`: what it stored to, as ranges of bytes in ascending order, shape (ranges, 2); None if that is not known,
    because its CTAs must run in order (flow.order_reason).
    """

    pages: dict[str, frozenset[int]] = field(default_factory=dict)
    stored: dict[str, NDArray[np.int64]] | None = None


@dataclass(frozen=True)
class Image:
    """`contents`: offset in the arena and bytes, in the order in which they are written: the module's variables
    (`variables`), their initialisers, the parameters if the kernel takes their address, and the arrays (`arrays`).
    `params`: the parameters' bytes. `module_shift`: by how many bytes the module's variables are shifted.
    """

    layout: memory.Layout
    contents: tuple[tuple[int, Bytes], ...]
    params: bytes
    variables: tuple[str, ...]
    arrays: tuple[ImageArray, ...]
    module_shift: int

    def copy_back(
        self, results: Sequence[Bytes], stored: Collection[int] | None, kept_variables: dict[str, bytes] | None
    ) -> None:
        """Copy the results of a launch (in the order of `contents`) to the arrays, and its variables to
        `kept_variables`.

        `stored`: the buffers that it stored to, by index; None: perhaps to all of them.
        Raises ReadOnlyArray, and changes nothing, if the launch has changed a read-only array.
        """
        first = len(results) - len(self.arrays)
        changed_arrays = [
            (image_array, result)
            for image_array, result, (offset, _) in zip(
                self.arrays, results[first:], self.contents[first:], strict=True
            )
            if self.may_differ(offset, stored) and not isinstance(image_array.array, memory.ZeroArray)
        ]
        for image_array, result in changed_arrays:
            if not image_array.array.flags.writeable:
                self.check_unchanged(image_array, result)
        for image_array, result in changed_arrays:
            if image_array.array.flags.writeable:
                decode(image_array.array, image_array.encoded, result)
        if kept_variables is not None:
            kept_variables.update(
                (name, content.tobytes()) for name, content in zip(self.variables, results, strict=False)
            )

    def note_touched(self, touched: TouchedMemory, arena: memory.Arena, stored: NDArray[np.int64] | None) -> None:
        """Note what a launch touched, before anything of the arena is read. `stored`: ranges of the arena."""
        offsets = [offset for offset, _ in self.contents[len(self.contents) - len(self.arrays) :]]
        named = [(held.name, offset, held.array.nbytes) for held, offset in zip(self.arrays, offsets, strict=True)]
        touched.pages = {name: arena.pages_with_data(offset, size) for name, offset, size in named}
        if stored is not None:
            within = {name: np.searchsorted(stored[:, 0], (offset, offset + size)) for name, offset, size in named}
            touched.stored = {name: stored[slice(*within[name])] - offset for name, offset, _ in named}

    def may_differ(self, offset: int, stored: Collection[int] | None) -> bool:
        """Whether a launch may have changed the contents at an offset, in the buffer there."""
        if stored is None:
            return True
        buffers = [self.layout.buffers[index] for index in stored]  # few, of the hundreds that a C++ library declares
        return any(buffer.offset <= offset <= buffer.offset + buffer.size for buffer in buffers)

    def changed(self, results: Sequence[Bytes], stored: Collection[int] | None) -> tuple[str, ...]:
        """The module's variables that a launch changed. `stored`: as in copy_back."""
        before = {}
        for offset, content in self.contents[: len(self.contents) - len(self.arrays)]:
            before[offset] = content  # an initialiser comes after the zeros
        names = []
        for name, (offset, _), result in zip(self.variables, self.contents, results, strict=False):
            start = before[offset]
            if not self.may_differ(offset, stored):
                continue
            if differ(result[: start.size], start) or differ(
                result[start.size :], memory.zeros(result.size - start.size)
            ):
                names.append(name)
        return tuple(names)

    def check_unchanged(self, image_array: ImageArray, result: Bytes) -> None:
        """Raise ReadOnlyArray if a read-only array differs from `result`, except where a writable one overlaps it."""
        start, _ = image_array.span
        changed = as_bytes(image_array.encoded) != result
        for other in self.arrays:
            if other.array.flags.writeable:
                low, high = (min(max(end - start, 0), changed.size) for end in other.span)
                changed[low:high] = False
        if changed.any():
            raise ReadOnlyArray(
                f"The kernel writes byte {int(changed.argmax())} of '{image_array.name}', whose array is read-only. "
                f"Pass a writable one.",
                image_array.name,
            )


CHUNK_BYTES = 1 << 20
"""Bytes that are compared at once: large variables need no second array of their size."""


def differ(left: Bytes, right: Bytes) -> bool:
    """Whether two arrays of one size hold different bytes."""
    return any(
        not np.array_equal(left[start : start + CHUNK_BYTES], right[start : start + CHUNK_BYTES])
        for start in range(0, left.size, CHUNK_BYTES)
    )


def build(
    module: Module,
    function: Function,
    args: Sequence[Any],
    placement: int | None,
    kept_variables: dict[str, bytes] | None,
    names: Sequence[str] | None = None,
) -> Image:
    """The image for a launch of `function` with `args`. `placement` and `names`: as in launch.run; `kept_variables` is
    `kept` there.

    Raises LaunchError and TypeError for arguments that do not fit the parameters.
    """
    arrays = reachable(check_arguments(function, args, names))
    for name, array in arrays:
        check_array(name, array)
    shift = module_shift(placement, module_alignment(module))
    module_addresses = {name: address + shift for name, address in lay_out_module(module)[0].items()}
    variables = module_variables(module)
    variable_buffers = [
        memory.Buffer(variable.name, module_addresses[variable.name] - context.GLOBAL_BASE, variable.size_bytes)
        for variable in variables
    ]
    provided = lay_out_provided(module, function).moved(shift)
    for name, span in (("the parameters", provided.parameters), ("the grid's workspace", provided.workspace)):
        if span is not None:
            variable_buffers.append(memory.Buffer(name, span[0] - context.GLOBAL_BASE, span[1]))
    start = -(-provided.end // mmap.PAGESIZE) * mmap.PAGESIZE  # arrays have the same pages in all modules
    layout = memory.lay_out(arrays, variable_buffers, start, placement)
    addresses = {id(array): address for (_, array), address in zip(arrays, layout.addresses, strict=True)}

    def address_of(value: Any) -> int:
        if isinstance(value, Pointer):
            return (addresses[id(value.array)] + value.offset) % (1 << 64)
        return addresses[id(value)] if isinstance(value, np.ndarray) else int(value or 0)

    params = pack(function, args, address_of)
    encoded = tuple(ImageArray(name, array, encode(array, address_of)) for name, array in arrays)
    earlier = {} if kept_variables is None else kept_variables
    symbol_addresses = {**module_addresses, **function_addresses(module, function_shift(placement))}
    constants = {variable.name for variable in variables if variable.space == "const"}
    starting, initialised = [], []
    for variable, buffer in zip(variables, variable_buffers, strict=False):
        kept_bytes = earlier.get(variable.name)
        starting.append(
            (buffer.offset, memory.zeros(buffer.size) if kept_bytes is None else np.frombuffer(kept_bytes, np.uint8))
        )
        if kept_bytes is None and variable.initial:
            initial = initial_bytes(variable, symbol_addresses, constants)
            initialised.append((buffer.offset, np.frombuffer(initial, np.uint8)))
    if provided.parameters is not None:
        initialised.append((provided.parameters[0] - context.GLOBAL_BASE, np.frombuffer(params, np.uint8)))
    if provided.workspace is not None:
        initialised.append((provided.workspace[0] - context.GLOBAL_BASE, memory.zeros(provided.workspace[1])))
    contents = (
        *starting,
        *initialised,
        *((addresses[id(image_array.array)] - context.GLOBAL_BASE, image_array.content) for image_array in encoded),
    )
    return Image(layout, contents, params, tuple(variable.name for variable in variables), encoded, shift)
