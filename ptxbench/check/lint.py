"""What is wrong with a kernel that no launch may show: read from its text. Knows PTX, and of pairs only the arguments.

A rule is a function from a kernel to its complaints; RULES lists them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ptxbench.check.calls import reachable, roots_of
from ptxbench.check.polls import polls
from ptxbench.check.roots import FETCHED, NOTHING, BlockStates, Roots, Used, constants, registers
from ptxbench.emulator.callgraph import is_call
from ptxbench.emulator.isa import find
from ptxbench.emulator.syntax import (
    Address,
    Dual,
    Function,
    Group,
    Immediate,
    Instruction,
    Module,
    Operand,
    Register,
    Special,
    Symbol,
    Variable,
    Vector,
)
from ptxbench.pair import Argument, ArrayArgument, In

FULL_MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class Complaint:
    """A code, the line of the PTX, and what was found there."""

    code: str
    line: int
    message: str


@dataclass(frozen=True)
class LintSubject:
    """A kernel of the candidate, or a function that it calls, and what the rules ask of it.

    `arrays`: those of the pair, by the name of the kernel's parameter. `used`: of each instruction.
    """

    module: Module
    function: Function
    arrays: Mapping[str, Argument]
    used: Sequence[Used]

    @cached_property
    def rooted(self) -> list[tuple[Instruction, Used]]:
        """Each instruction, with what its operands and its guard are computed from."""
        return list(zip(self.function.instructions, self.used, strict=True))

    @cached_property
    def addressed(self) -> list[tuple[Instruction, Roots]]:
        """Each instruction, with what the first address that it names is computed from; nothing where it names none."""
        return [(each, address_roots(each, used)) for each, used in self.rooted]

    @cached_property
    def constants(self) -> dict[str, int]:
        return constants(self.function)

    @cached_property
    def state(self) -> frozenset[str]:
        """The variables that outlive a launch."""
        return frozenset(name for name, each in self.variables.items() if each.space == "global")

    @cached_property
    def variables(self) -> dict[str, Variable]:
        return {**self.module.variables, **self.function.variables}

    def named(self, roots: Collection[str]) -> str:
        """One of some arrays and variables, as the pair or the module names it."""
        name = min(roots)
        return self.arrays[name].name if name in self.arrays else name

    @cached_property
    def blocks(self) -> BlockStates:
        return BlockStates(self.function)

    def value(self, operand: Operand) -> int | None:
        """The whole number that an operand always is; None where that is not known."""
        if isinstance(operand, Immediate):
            return operand.value if isinstance(operand.value, int) else None
        return self.constants.get(operand.name) if isinstance(operand, Register) else None


def address_roots(instruction: Instruction, used: Used) -> Roots:
    operands = zip(instruction.operands, used.operands, strict=True)
    return next((roots for operand, roots in operands if isinstance(operand, Address)), NOTHING)


def lint(module: Module, entry: str, args: Sequence[Argument]) -> list[Complaint]:
    """The complaints of every rule, each once, in the order of the lines."""
    if entry not in module.functions:
        return []
    kernel = module.functions[entry]
    functions = {name: ordered(each) for name, each in reachable(module, kernel).items()}
    arrays = {
        param.name: arg for param, arg in zip(kernel.params, args, strict=False) if isinstance(arg, ArrayArgument)
    }  # fmt: skip
    used = roots_of(module, functions, entry)
    subjects = [
        LintSubject(module, function, arrays, used[name]) for name, function in functions.items() if name in used
    ]
    found = {complaint for subject in subjects for rule in RULES for complaint in rule(subject)}
    return sorted(found, key=lambda each: (each.line, each.code, each.message))


def ordered(function: Function) -> Function:
    """The function with the modifiers of each instruction in the manual's order, which the rules match."""
    entries = [find(each) for each in function.instructions]
    instructions = [
        replace(each, opcode=entry.opcode) if entry else each
        for each, entry in zip(function.instructions, entries, strict=True)
    ]
    return replace(function, instructions=instructions)


WRITES = re.compile(r"(st|atom|red|discard)\b|cp\.(reduce\.)?async\.bulk\S*\.global\.shared")


def writes(subject: LintSubject) -> Iterator[tuple[Instruction, Roots]]:
    """The instructions that write to memory, and what the address is computed from."""
    for each, roots in subject.addressed:
        if WRITES.match(each.opcode) and not each.opcode.startswith("st.param"):
            yield each, roots


def loads_past_writes(subject: LintSubject) -> Iterator[Complaint]:
    """`.nc` promises that nobody writes the memory while the kernel runs."""
    written = {name: each.line for each, names in writes(subject) for name in names & subject.arrays.keys()}
    for each, roots in subject.addressed:
        if each.opcode.startswith("ld.global") and ".nc" in each.opcode:
            for name in sorted(roots & written.keys()):
                yield Complaint(
                    "nc-of-written",
                    each.line,
                    f"{each.opcode} of '{subject.named({name})}', to which line {written[name]} writes.",
                )


def written_inputs(subject: LintSubject) -> Iterator[Complaint]:
    """A write to an address that is computed from an input and from no other array."""
    for each, roots in writes(subject):
        if each.opcode.startswith("discard"):  # `discards` tells of it
            continue
        arrays = [subject.arrays[name] for name in sorted(roots & subject.arrays.keys())]
        if arrays and all(isinstance(arg, In) for arg in arrays):
            names = " or ".join(f"'{arg.name}'" for arg in arrays)
            yield Complaint("input-written", each.line, f"{each.opcode} to {names}, which the kernel is given to read.")


def state(subject: LintSubject) -> Iterator[Complaint]:
    """A variable of the module that is written, at the first place that writes it."""
    seen: set[str] = set()
    for each, names in writes(subject):
        for name in sorted(names & subject.state - seen):
            seen.add(name)
            yield Complaint("writable-module-state", each.line, f"module variable '{name}' written: {each.opcode}.")


def discards(subject: LintSubject) -> Iterator[Complaint]:
    """Contents that are lost on a GPU: those of an input, and those of an output that may have been written before."""
    stores = [
        (index, roots)
        for index, (each, roots) in enumerate(subject.addressed)
        if WRITES.match(each.opcode) and not each.opcode.startswith("discard")
    ]
    for index, (each, roots) in enumerate(subject.addressed):
        if not each.opcode.startswith("discard"):
            continue
        known = {name: subject.arrays[name] for name in sorted(roots & subject.arrays.keys())}
        names = " or ".join(f"'{arg.name}'" for arg in known.values())
        if known and all(isinstance(arg, In) for arg in known.values()):
            yield Complaint("discards-input", each.line, f"{each.opcode} of {names}: its contents are lost.")
        elif any(roots & other & known.keys() and subject.blocks.may_follow(before, index) for before, other in stores):
            yield Complaint("discards-output", each.line, f"{each.opcode} of {names}, after a store to it.")


def sleeps(subject: LintSubject) -> Iterator[Complaint]:
    """The first sleep; a lock of libcu++ has many."""
    first = next((each for each in subject.function.instructions if each.opcode.startswith("nanosleep")), None)
    if first:
        yield Complaint("sleeps", first.line, f"{first.opcode}: the kernel sleeps.")


def heap(subject: LintSubject) -> Iterator[Complaint]:
    for each in subject.function.instructions:
        if is_call(each) and any(isinstance(operand, Symbol) and operand.name == "malloc" for operand in each.operands):
            yield Complaint("uses-heap", each.line, "call of malloc: the heap outlives the launch.")


def weak_polls(subject: LintSubject) -> Iterator[Complaint]:
    """A loop that waits for a value, and loads it as if nothing else could write it."""
    outputs = {name for name, arg in subject.arrays.items() if not isinstance(arg, In)}
    for index in polls(subject.blocks, [roots for _, roots in subject.addressed]):
        each, roots = subject.addressed[index]
        if shared := roots & (outputs | subject.state | {FETCHED}):
            named = f" of '{subject.named(shared - {FETCHED})}'" if shared - {FETCHED} else ""
            yield Complaint("weak-poll", each.line, f"{each.opcode}{named} in a loop that waits for its value.")


PLACES = ("%ctaid", "%smid", "%clusterid", "%cluster_ctaid", "%gridid", FETCHED)
"""What may differ from CTA to CTA."""


def common_places(subject: LintSubject) -> Iterator[Complaint]:
    """A plain store of every CTA to one place of an array, which loses all of them but one."""
    outputs = {name for name, arg in subject.arrays.items() if not isinstance(arg, In)}
    for each, used in subject.rooted:
        roots = address_roots(each, used)
        varies = any(root.startswith(PLACES) for root in roots | used.guard)
        if each.opcode.startswith("st.") and roots & outputs and not varies:
            told = f"{each.opcode} to a place of '{subject.named(roots & outputs)}' that does not depend on the CTA."
            yield Complaint("same-place", each.line, told)


HANDS_ON = ("st.", "atom.", "red.", "shfl.")
"""Instructions from which a value goes where the rules cannot follow it."""


def handed_on(subject: LintSubject) -> Iterator[Complaint]:
    """The address of an array or of a variable of the module that is stored, or passed on."""
    known = subject.arrays.keys() | subject.state
    for each, used in subject.rooted:
        if not each.opcode.startswith(HANDS_ON) or each.opcode.startswith("st.param"):
            continue
        results = 0 if each.opcode.startswith(("st.", "red.")) else 1
        for operand, own in list(zip(each.operands, used.operands, strict=True))[results:]:
            if own & known and not isinstance(operand, Address):
                yield Complaint(
                    "hides-address", each.line, f"{each.opcode} of the address of '{subject.named(own & known)}'."
                )


def compared_addresses(subject: LintSubject) -> Iterator[Complaint]:
    """A comparison of an address with what is no address of the same array."""
    places = subject.arrays.keys() | subject.variables.keys()
    for each, used in subject.rooted:
        if not each.opcode.startswith("setp."):
            continue
        left, right = (roots & places for roots in used.operands[1:3])
        if left != right:
            told = f"{each.opcode} of the address of '{subject.named(left | right)}'."
            yield Complaint("compares-address", each.line, told)


CLOCKS = ("%clock", "%globaltimer", "%pm")
HARDWARE = (
    "%smid", "%nsmid", "%gridid", "%warpid", "%nwarpid", "%envreg", "%current_graph_exec", "%total_smem_size",
    "%aggr_smem_size", "%reserved_smem",
)  # fmt: skip


def parts(operand: Operand) -> Iterator[Operand]:
    """An operand, or those that it is made of."""
    if isinstance(operand, Vector | Group):
        for each in operand.parts:
            yield from parts(each)
    elif isinstance(operand, Dual):
        yield from (operand.first, operand.second)
    else:
        yield operand


def special(code: str, names: tuple[str, ...], told: str) -> Callable[[LintSubject], Iterator[Complaint]]:
    """A rule on predefined registers."""

    def rule(subject: LintSubject) -> Iterator[Complaint]:
        for each in subject.function.instructions:
            for operand in (part for own in each.operands for part in parts(own)):
                if isinstance(operand, Special) and operand.name.startswith(names):
                    yield Complaint(code, each.line, f"{operand.name} {told}.")

    return rule


def reads_hardware(module: Module) -> bool:
    """Whether anything in the module reads where it runs."""
    return any(
        isinstance(part, Special) and part.name.startswith(HARDWARE)
        for function in module.functions.values()
        for each in function.instructions
        for own in each.operands
        for part in parts(own)
    )


MASKED = re.compile(r"(shfl\.sync|vote\.sync|match\.(any|all)\.sync|redux\.sync|elect\.sync)\b|bar\.warp\.sync")


def masks(subject: LintSubject) -> Iterator[Complaint]:
    """A mask that is known and is not that of a whole warp."""
    for each in subject.function.instructions:
        if not MASKED.match(each.opcode) or not each.operands:
            continue
        mask = subject.value(each.operands[0 if each.opcode.startswith("bar.") else -1])
        if mask is not None and mask & FULL_MASK != FULL_MASK:
            code = "partial-mask" if mask & FULL_MASK else "empty-mask"
            yield Complaint(code, each.line, f"{each.opcode} names the lanes {mask & FULL_MASK:#010x}.")


def dropped_setmaxnreg(subject: LintSubject) -> Iterator[Complaint]:
    if subject.function.directives.keys() & {".minnctapersm", ".maxnreg"} or not subject.function.entry:
        return
    for each in subject.function.instructions:
        if each.opcode.startswith("setmaxnreg"):
            yield Complaint("setmaxnreg-dropped", each.line, f"{each.opcode} in an entry without .minnctapersm.")


def clusters(subject: LintSubject) -> Iterator[Complaint]:
    """The emulator runs CTAs one by one whatever the entry says, so that it would not notice."""
    wanted = subject.function.directives.get(".reqnctapercluster", ())
    if any(each > 1 for each in wanted):
        told = f".reqnctapercluster {', '.join(map(str, wanted))}: the pair's launch has no clusters."
        yield Complaint("needs-clusters", subject.function.line, told)


CONTRACTABLE = re.compile(r"(mul|add|sub)((?:\.ftz|\.sat)*)\.(f16|f16x2|bf16|bf16x2|f32|f32x2|f64)$")


def contraction(subject: LintSubject) -> Iterator[Complaint]:
    """A product without a rounding modifier that goes into a sum without one."""
    products: dict[str, tuple[int, str]] = {}
    for each in subject.function.instructions:
        if not (match := CONTRACTABLE.match(each.opcode)):
            continue
        if match[1] == "mul":
            products.update((name, (each.line, match[3])) for name in registers(each.operands[0]))
            continue
        for operand in each.operands[1:]:
            if isinstance(operand, Register) and products.get(operand.name, (0, ""))[1] == match[3]:
                line = products[operand.name][0]
                yield Complaint("contracts", each.line, f"{each.opcode} of the mul of line {line}.")


VECTOR = re.compile(r"\.v([248])\b.*\.[a-z]+(\d+)$")


def vectors(subject: LintSubject) -> Iterator[Complaint]:
    """Vector accesses at places that are not, or need not be, a multiple of their bytes."""
    for each in subject.function.instructions:
        match = VECTOR.search(each.opcode)
        if not match or not each.opcode.startswith(("ld.", "st.", "red.", "atom.")) or ".param" in each.opcode:
            continue
        size = int(match[1]) * int(match[2]) // 8
        if not any(isinstance(operand, Vector) for operand in each.operands) or not size:
            continue
        for address in (operand for operand in each.operands if isinstance(operand, Address)):
            base, offset = address.base, address.offset
            if isinstance(base, Symbol) and (variable := subject.variables.get(base.name)):
                offset += base.offset
                if offset % size or variable.align % size:
                    aligned = f"'{base.name}' + {offset}, which is aligned to {variable.align}"
                    told = f"{each.opcode} of {size} bytes at {aligned}."
                    yield Complaint("misaligned-vector", each.line, told)
            elif isinstance(base, Register) and offset % size:
                told = f"{each.opcode} of {size} bytes at an offset of {offset}."
                yield Complaint("odd-vector-offset", each.line, told)


RULES = (
    written_inputs,
    loads_past_writes,
    state,
    discards,
    sleeps,
    heap,
    weak_polls,
    common_places,
    handed_on,
    compared_addresses,
    special("reads-clock", CLOCKS, "tells the time"),
    special("reads-hardware", HARDWARE, "tells where the kernel runs"),
    masks,
    dropped_setmaxnreg,
    clusters,
    contraction,
    vectors,
)
