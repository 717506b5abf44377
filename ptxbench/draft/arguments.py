"""The arguments of a pair from the parameters of a kernel and what it does with them, and the questions that remain."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ptxbench import kernel_names
from ptxbench.draft.access import Access
from ptxbench.draft.structs import MOST_MEMBERS, struct_of
from ptxbench.errors import UsageError
from ptxbench.structs import Struct
from ptxbench.toolchain.parameters import CudaParameter, CudaType
from ptxbench.units import plural

FLOATS = frozenset(("f32", "f64"))
"""Types that a load or a store shows: other elements may be loaded as integers, several at once."""

OPEN = "..."
"""What a pair file has in place of an open question's answer."""


@dataclass(frozen=True)
class DraftArgument:
    """An argument as text. `call`: `In("x", f32, ...)`; `question`: what its `...` asks for, empty without one.

    `note`: how the kernel declares it, and why the argument is of this kind.
    """

    name: str
    kind: str
    call: str
    question: str
    note: str
    dtype: str | None
    dimension: bool = False
    """Whether it is a whole number, which is proposed as a dimension of the size."""
    members: tuple[DraftArgument, ...] = ()
    """The arguments of a Struct; `call` is then what is before them, and `end` what is after them."""
    end: str = ""

    @property
    def flat(self) -> Iterator[DraftArgument]:
        """The argument, or the members of a struct and of the structs in it."""
        if not self.members:
            yield self
        for member in self.members:
            yield from member.flat


def names_of(parameters: Sequence[CudaParameter]) -> list[str]:
    """A name for each argument that Python accepts, all different."""
    names: list[str] = []
    for number, parameter in enumerate(parameters):
        name = parameter.name or f"argument_{number}"
        while keyword.iskeyword(name) or name in names or name.startswith("__"):
            name = f"{name.lstrip('_')}_"
        names.append(name)
    return names


def arguments_of(parameters: Sequence[CudaParameter], accesses: Sequence[Access | None]) -> list[DraftArgument]:
    """The arguments, in order. `accesses`: what the kernel does with the array of each parameter, None for a number.

    Raises UsageError for a parameter that no pair can pass.
    """
    names = names_of(parameters)
    wholes = (whole_numbers(name, parameter) for name, parameter in zip(names, parameters, strict=True))
    dimensions = [name for names_of_one in wholes for name in names_of_one] or ["n"]
    return [
        draft_of(name, parameter, access, number, dimensions)
        for number, (name, parameter, access) in enumerate(zip(names, parameters, accesses, strict=True), 1)
    ]


def whole_numbers(name: str, parameter: CudaParameter) -> list[str]:
    """The names of the whole numbers that a parameter is, or has as members."""
    if is_whole(parameter.type):
        return [name]
    struct = struct_of(parameter, name)
    return [member.name for member in (struct.arguments if struct else ()) if is_whole(member.declared.type)]


def draft_of(
    name: str, parameter: CudaParameter, access: Access | None, number: int, dimensions: Sequence[str]
) -> DraftArgument:
    """The argument of a pair for parameter `number`, from 1. Raises UsageError for one that no pair can pass."""
    cuda_type, declared = parameter.type, parameter.declaration
    if cuda_type.pointee is not None:
        if cuda_type.pointee.pointee is not None:
            raise refusal(number, declared, "a pointer to pointers. A pair passes arrays of numbers. Pass each array")
        return draft_array(name, declared, cuda_type.pointee, access or Access(escapes=True), dimensions)
    if cuda_type.text.endswith(("cudaTextureObject_t", "cudaSurfaceObject_t")):
        raise refusal(number, declared, "a texture or a surface, which a pair cannot pass. Pass its array")
    if "CUtensorMap" in cuda_type.text:
        question = f"the array that {name} describes, by its name, and the box of a copy, such as (64, 128)"
        return DraftArgument(name, "TensorMap", f'TensorMap("{name}", of={OPEN}, box={OPEN})', question, declared, None)
    if cuda_type.number is None and (struct := struct_of(parameter, name)):
        return draft_struct(struct, declared, number, dimensions)
    if cuda_type.number is None:
        text = declared.replace(cuda_type.text, kernel_names.demangled(cuda_type.text))  # a lambda's is mangled
        raise refusal(
            number, text, f"a structure of {plural(cuda_type.bytes, 'byte')}. {remedy_for_structure(cuda_type)}"
        )
    if is_whole(cuda_type):
        call = f'Scalar("{name}", {cuda_type.number}, lambda {", ".join(dimensions)}: {name})'
        note = f"{declared}. A proposal: a dimension of the size"
        return DraftArgument(name, "Scalar", call, "", note, cuda_type.number, dimension=True)
    example = "0 or 1" if cuda_type.text == "bool" else "0.7"
    question = f"the value of {name}, such as {example}, or a function of the size"
    return DraftArgument(
        name, "Scalar", f'Scalar("{name}", {cuda_type.number}, {OPEN})', question, declared, cuda_type.number
    )


def draft_struct(struct: Struct, note: str, number: int, dimensions: Sequence[str]) -> DraftArgument:
    """The argument of a pair for a struct, whose members are drafted as parameters are."""
    members = tuple(
        draft_struct(member, "", number, dimensions)
        if isinstance(member, Struct)
        else draft_of(member.name, member.declared, None, number, dimensions)
        for member in struct.members
    )
    end = f"], align={struct.align})" if struct.align > 1 else "])"
    return DraftArgument(struct.name, "Struct", f'Struct("{struct.name}", [', "", note, None, members=members, end=end)


def is_whole(cuda_type: CudaType) -> bool:
    """Whether the parameter is a whole number, other than a bool or a handle."""
    number = cuda_type.number or "f32"
    return cuda_type.pointee is None and number[0] in "us" and cuda_type.text.split()[-1] not in ("bool", "char")


def refusal(number: int, declared: str, reason: str) -> UsageError:
    return UsageError(f"Parameter {number}, '{declared}', is {reason}.")


def remedy_for_structure(cuda_type: CudaType) -> str:
    """What to do about a parameter that is a structure, without a full stop."""
    if cuda_type.text.startswith(".align"):
        return (
            "PTX does not say what its members are. Write the pair with `ptxbench new NAME`, and this parameter as a "
            "Struct"
        )
    if cuda_type.bytes == 1 and not cuda_type.members and not cuda_type.text.startswith("_Z"):
        return "It has no members: leave it out, and make the object in the kernel"
    passed = "A pair passes structures of numbers, arrays and structures"
    if cuda_type.text.startswith("_Z"):
        return f"{passed}. Write a kernel with the body of the lambda"
    return f"{passed}, up to {MOST_MEMBERS}. Pass what the kernel needs of it as parameters"


def draft_array(
    name: str, declared: str, element: CudaType, access: Access, dimensions: Sequence[str]
) -> DraftArgument:
    """The argument of a pair for a pointer to `element`; what the type does not say is a question."""
    kind, reason = kind_of(element, access)
    dtype, length = words_of(element)
    if dtype is None and not element.bytes and len(access.types) == 1 and access.types <= FLOATS:
        (dtype,), length = access.types, 1  # what the kernel loads and stores by a pointer to void
    parameters = ", ".join(dimensions)
    example = ", ".join(dimensions) + ("," if len(dimensions) == 1 else "")
    if dtype is None:
        request = (
            f"the dtype and the shape of {name}, whose elements are {element.text.removeprefix('const ') or 'void'}"
        )
        size = f" of {plural(element.bytes, 'byte')}" if element.bytes else ""
        question = f"{request}{size}: one type of number, such as u32, and lambda {parameters}: ({example})"
    elif length > 1:
        example = f"{', '.join(dimensions)}, {length}"
        request = f"the shape of {name} in {dtype}, {length} for each {element.text}"
        question = f"{request}, such as lambda {parameters}: ({example})"
    else:
        question = f"the shape of {name}, such as lambda {parameters}: ({example})"
    if reason:
        question += f". {reason}"
    return DraftArgument(name, kind, f'{kind}("{name}", {dtype or OPEN}, {OPEN})', question, declared, dtype)


def kind_of(element: CudaType, access: Access) -> tuple[str, str]:
    """The kind of argument of an array, and the reason if it is not `const`."""
    if element.const:
        return "In", ""
    if access.escapes:
        return "InOut", "What the kernel does with it could not be read: is it an In, an Out, an InOut or a Scratch?"
    if access.updates or (access.loads and access.stores):
        how = "The kernel loads and stores it" if access.loads else "The kernel updates it with atomics"
        return "InOut", (
            f"{how}. An InOut starts with the same values in each launch; write Out if each element is stored before "
            "it is loaded, Scratch if its content does not matter after a launch"
        )
    if access.stores:
        return "Out", ""
    if access.loads:
        return "In", "The kernel only loads it, although it is not const"
    return "In", "The kernel does not use it"


def words_of(element: CudaType) -> tuple[str | None, int]:
    """The type of number that an element consists of, and how many: ("f32", 4) for a float4; (None, 0) if several."""
    if element.number:
        return element.number, 1
    if element.element is not None and element.count:
        dtype, length = words_of(element.element)
        return dtype, length * element.count
    parts = [words_of(member.type) for member in element.members]
    kinds = {dtype for dtype, _ in parts}
    if len(kinds) != 1 or None in kinds:
        return None, 0
    dtype = kinds.pop()
    count = sum(length for _, length in parts)
    width = int(str(dtype).lstrip("bfsu")) // 8
    return (dtype, count) if width * count == element.bytes else (None, 0)
