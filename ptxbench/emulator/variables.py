"""The layout of the variables of a module and of a function, and the initial contents of the module's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ptxbench.emulator.heap import HEAP_BYTES
from ptxbench.emulator.runtime.context import CONST_WINDOW, FUNCTION_BASE, FUNCTION_BYTES, GLOBAL_BASE
from ptxbench.emulator.syntax import Function, Masked, Module, Symbol, Variable
from ptxbench.emulator.tokens import syntax_error

ALIGNMENT = 256
GAP = 4096
"""The least distance in bytes between two buffers, so that a stray access does not hit the next one."""
WORKSPACE_BYTES = 256
WORKSPACE_REGISTERS = ("%envreg1", "%envreg2")
"""The upper and the lower half of the address of the grid's workspace, in which cooperative groups count the CTAs
that have reached a grid barrier. The driver provides it to cooperative launches."""


def assign_offsets(variables: Iterable[Variable], offset: int = 0) -> tuple[dict[str, int], int]:
    """An offset for each variable from `offset` on, aligned as declared, and their end."""
    placed: dict[str, int] = {}
    for variable in variables:
        offset = -(-offset // variable.align) * variable.align
        placed[variable.name] = offset
        offset += variable.size_bytes
    return placed, offset


def shared_variables(module: Module, function: Function) -> list[Variable]:
    """The variables in the CTA's shared memory; arrays of unknown length come after the others."""
    variables = [v for v in (*module.variables.values(), *function.variables.values()) if v.space == "shared"]
    return sorted(variables, key=lambda v: v.count is None)


def local_variables(function: Function) -> list[Variable]:
    """The variables in a thread's local memory; the .param variables of calls come after the others."""
    variables = [v for v in function.variables.values() if v.space in ("local", "param")]
    return sorted(variables, key=lambda v: v.space == "param")


def lay_out_module(module: Module) -> tuple[dict[str, int], int]:
    """The generic address of each .global and .const variable, and the bytes of the arena that they take.

    They come before the arguments, so that their addresses are known at translation.
    """
    placed: dict[str, int] = {}
    end = 0
    for variable in module_variables(module):
        alignment = max(variable.align, ALIGNMENT)
        offset = -(-end // alignment) * alignment
        placed[variable.name] = GLOBAL_BASE + offset
        end = -(-(offset + variable.size_bytes + GAP) // ALIGNMENT) * ALIGNMENT
    return placed, end


def module_alignment(module: Module) -> int:
    """A multiple, in bytes, by which all of the module's variables can move."""
    return max([ALIGNMENT, *(variable.align for variable in module_variables(module))])


def own_addresses(module: Module) -> dict[str, int]:
    """The address of each .global and .const variable in its own space, as its name in an instruction means it."""
    spaces = {variable.name: variable.space for variable in module_variables(module)}
    placed, _ = lay_out_module(module)
    return {name: address - CONST_WINDOW * (spaces[name] == "const") for name, address in placed.items()}


def constant_ranges(module: Module) -> list[tuple[int, int]]:
    """The generic address and the bytes of each .const variable."""
    placed, _ = lay_out_module(module)
    return [(placed[v.name], v.size_bytes) for v in module_variables(module) if v.space == "const"]


def lay_out_parameters(function: Function) -> tuple[dict[str, int], int]:
    """The offset of each parameter of a kernel, aligned as its type requires, and their total bytes."""
    placed: dict[str, int] = {}
    offset = 0
    for param in function.params:
        offset = -(-offset // param.align) * param.align
        placed[param.name] = offset
        offset += param.size_bytes
    return placed, offset


@dataclass(frozen=True)
class ProvidedMemory:
    """Data in the arena between the module's variables and the arrays, each as (address, bytes); None if the module
    does not use it. `end`: the bytes of the arena up to here.
    """

    parameters: tuple[int, int] | None
    """A copy of the kernel's parameters, if an address of one is taken, as by `mov.b64 %p, k_param_0`."""
    workspace: tuple[int, int] | None
    """The grid's workspace, if %envreg1 or %envreg2 is read: a cooperative launch keeps its barrier there."""
    heap: tuple[int, int] | None
    """The heap of malloc and free."""
    end: int

    def moved(self, shift: int) -> ProvidedMemory:
        """A copy with all addresses `shift` bytes higher."""
        parameters, workspace, heap = (
            region and (region[0] + shift, region[1]) for region in (self.parameters, self.workspace, self.heap)
        )
        return ProvidedMemory(parameters, workspace, heap, self.end + shift)


def reads_workspace(module: Module, kernel: Function | None = None) -> bool:
    """Whether the kernel, or a function that it may call, reads the address of the grid's workspace; None: any
    kernel."""
    functions = (function for function in module.functions.values() if kernel in (None, function) or not function.entry)
    return any(not function.special_names.isdisjoint(WORKSPACE_REGISTERS) for function in functions)


def lay_out_provided(module: Module, function: Function) -> ProvidedMemory:
    """The addresses of the data that a launch of `function` provides."""
    names = {param.name for param in function.params}
    functions = module.functions.values()
    allocates = any(not device_function.symbol_names.isdisjoint(("malloc", "free")) for device_function in functions)
    offset = lay_out_module(module)[1]
    placed: list[tuple[int, int] | None] = []
    for is_used, size in (
        (not names.isdisjoint(function.symbol_names), lay_out_parameters(function)[1]),
        (reads_workspace(module), WORKSPACE_BYTES),
        (allocates, HEAP_BYTES),
    ):
        if is_used and size == HEAP_BYTES:  # a kernel may store in front of the first block (heap.COUNT_BYTES)
            offset = max(offset, ALIGNMENT)
        placed.append((GLOBAL_BASE + offset, size) if is_used else None)
        if is_used:
            offset = -(-(offset + size + GAP) // ALIGNMENT) * ALIGNMENT
    parameters, workspace, heap = placed
    return ProvidedMemory(parameters, workspace, heap, offset)


def function_addresses(module: Module, shift: int = 0) -> dict[str, int]:
    """The address of each function with a body: a number that only a call through a register accepts. `shift`: by how
    many bytes the launch moves them."""
    functions = [name for name, function in module.functions.items() if function.defined and not function.entry]
    return {name: FUNCTION_BASE + shift + FUNCTION_BYTES * k for k, name in enumerate(functions)}


def module_variables(module: Module) -> list[Variable]:
    """The .global and .const variables that a function or an initialiser needs: headers leave thousands of others."""
    variables = [v for v in module.variables.values() if v.space in ("global", "const")]
    return [v for v in variables if v.name in module.used_names]


def initial_bytes(variable: Variable, addresses: Mapping[str, int], constants: Collection[str] = ()) -> bytes:
    """The bytes of the variable's initialiser; the rest is zero. (PTX ISA, "Initializers".)

    `addresses`: of the module's variables and functions, generic ones; `constants`: the names of .const variables.
    """
    size = variable.type.bytes
    packed = bytearray()
    for value in variable.initial:
        shift = value.shift if isinstance(value, Masked) else 0
        value = value.value if isinstance(value, Masked) else value
        if isinstance(value, Symbol):
            if value.name not in addresses:
                raise syntax_error(
                    variable.line, f"initial value '{value.name}' is not a variable or function of the module."
                )
            own = CONST_WINDOW if value.name in constants and not value.generic else 0
            value = addresses[value.name] - own + value.offset
        packed += (value >> shift & (1 << 8 * size) - 1).to_bytes(size, "little")
    return bytes(packed)
