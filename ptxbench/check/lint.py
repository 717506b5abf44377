"""Problems of a kernel that launches may not show, read from its text. Knows PTX, and of pairs only the arguments.

A rule is a function from a kernel to its complaints; RULES lists them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from ptxbench.check.lint_subject import WRITES, LintSubject, address_roots, specials, subjects_of
from ptxbench.check.polls import ATOMIC, polls
from ptxbench.check.reached import several_ctas
from ptxbench.check.roots import FETCHED, NO_RESULT, Roots, written_registers
from ptxbench.emulator.callgraph import is_call
from ptxbench.emulator.register_pool import limit_of
from ptxbench.emulator.syntax import Address, Function, Instruction, Module, Register, Symbol, Vector, registers
from ptxbench.emulator.variables import WORKSPACE_REGISTERS
from ptxbench.pair import Argument, In, Parameter

FULL_MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class LintFinding:
    """A finding code, the line of the PTX, and a message."""

    code: str
    line: int
    message: str


def lint(
    module: Module,
    entry: str,
    args: Sequence[Parameter],
    cluster: tuple[int, int, int] | None = None,
    *,
    one_cta: bool = False,
    members: Sequence[Argument] = (),
) -> list[LintFinding]:
    """The complaints of all rules, without duplicates, in the order of the lines. `cluster`: of the pair's launch.
    `one_cta`: whether the pair's grids have one CTA. `members`: the arguments in structs."""
    return complaints_about(subjects_of(module, entry, args, cluster, one_cta=one_cta, members=members))


def complaints_about(subjects: Sequence[LintSubject]) -> list[LintFinding]:
    """`lint` of a kernel and the functions that it calls."""
    complaints = {complaint for subject in subjects for rule in RULES for complaint in rule(subject)}
    return sorted(complaints, key=lambda complaint: (complaint.line, complaint.code, complaint.message))


def loads_past_writes(subject: LintSubject) -> Iterator[LintFinding]:
    """A .nc load of an array that the kernel writes: `.nc` promises that nothing writes it while the kernel runs."""
    written = {
        name: instruction.line for instruction, names in subject.writes for name in names & subject.arrays.keys()
    }
    for instruction, roots in subject.addressed:
        if instruction.opcode.startswith("ld.global") and ".nc" in instruction.opcode:
            for name in sorted(roots & written.keys()):
                yield LintFinding(
                    "nc-of-written",
                    instruction.line,
                    f"{instruction.opcode} of '{subject.display_name({name})}', which line {written[name]} writes.",
                )


def written_inputs(subject: LintSubject) -> Iterator[LintFinding]:
    """A write to an address that is computed only from inputs."""
    for instruction, roots in subject.writes:
        if instruction.opcode.startswith("discard"):  # `discards` reports it
            continue
        arrays = [subject.arrays[name] for name in sorted(roots & subject.arrays.keys())]
        if arrays and all(isinstance(arg, In) for arg in arrays):
            names = " or ".join(f"'{arg.name}'" for arg in arrays)
            yield LintFinding("input-written", instruction.line, f"{instruction.opcode} to {names}, which is an input.")


def state(subject: LintSubject) -> Iterator[LintFinding]:
    """Module variables that are written, each at its first write."""
    seen: set[str] = set()
    for instruction, names in subject.writes:
        for name in sorted(names & subject.state - seen):
            seen.add(name)
            yield LintFinding(
                "writable-module-state", instruction.line, f"{instruction.opcode} writes the module variable '{name}'."
            )


def discards(subject: LintSubject) -> Iterator[LintFinding]:
    """Contents that are lost on a GPU: those of an input, or of an output that may have been written before."""
    stores = [
        (index, roots)
        for index, (instruction, roots) in enumerate(subject.addressed)
        if WRITES.match(instruction.opcode) and not instruction.opcode.startswith("discard")
    ]
    for index, (instruction, roots) in enumerate(subject.addressed):
        if not instruction.opcode.startswith("discard"):
            continue
        discarded = {name: subject.arrays[name] for name in sorted(roots & subject.arrays.keys())}
        names = " or ".join(f"'{arg.name}'" for arg in discarded.values())
        if discarded and all(isinstance(arg, In) for arg in discarded.values()):
            yield LintFinding(
                "discards-input", instruction.line, f"{instruction.opcode} of {names}: its contents are lost."
            )
        elif any(
            roots & stored & discarded.keys() and subject.blocks.may_follow(before, index) for before, stored in stores
        ):
            yield LintFinding(
                "discards-output", instruction.line, f"{instruction.opcode} of {names}, after a store to it."
            )


def sleeps(subject: LintSubject) -> Iterator[LintFinding]:
    """nanosleep. Only the first one is reported, because a lock of libcu++ has many."""
    first = next(
        (instruction for instruction in subject.function.instructions if instruction.opcode.startswith("nanosleep")),
        None,
    )
    if first:
        yield LintFinding("sleeps", first.line, f"{first.opcode}: the kernel sleeps.")


def calls(function: Function, name: str) -> Iterator[Instruction]:
    """The calls of a function of the host."""
    for instruction in function.instructions:
        if is_call(instruction) and Symbol(name) in instruction.operands:
            yield instruction


def heap(subject: LintSubject) -> Iterator[LintFinding]:
    """Calls of malloc."""
    for instruction in calls(subject.function, "malloc"):
        yield LintFinding("uses-heap", instruction.line, "call of malloc: the heap outlives the launch.")


def debugging(subject: LintSubject) -> Iterator[LintFinding]:
    """Breakpoints and calls of printf; the first one."""
    breakpoints = [instruction for instruction in subject.function.instructions if instruction.opcode == "brkpt"]
    printed = calls(subject.function, "vprintf")
    complaints = [(instruction.line, f"{instruction.opcode}: a breakpoint.") for instruction in breakpoints]
    complaints += [(instruction.line, "call of printf: the kernel prints.") for instruction in printed]
    if complaints:
        yield LintFinding("for-debugging", *min(complaints))


def weak_polls(subject: LintSubject) -> Iterator[LintFinding]:
    """A loop that waits for a value with weak loads, as if no other thread wrote it."""
    outputs = {name for name, arg in subject.arrays.items() if not isinstance(arg, In)}
    for index in polls(subject.blocks, [roots for _, roots in subject.addressed]):
        instruction, roots = subject.addressed[index]
        if shared := roots & (outputs | subject.state | {FETCHED}):
            of_array = f" of '{subject.display_name(shared - {FETCHED})}'" if shared - {FETCHED} else ""
            yield LintFinding(
                "weak-poll", instruction.line, f"{instruction.opcode}{of_array} in a loop that waits for its value."
            )


NUMBERS_OF_CTAS = ("%ctaid", "%smid", "%clusterid", "%cluster_ctaid", "%gridid")
DIFFERS_BETWEEN_CTAS = (*NUMBERS_OF_CTAS, FETCHED)
"""Prefixes of the roots of values that may differ between CTAs."""


def common_addresses(subject: LintSubject) -> Iterator[LintFinding]:
    """A plain store to an address that is the same in every CTA, so that only one of the stored values remains; not
    where a comparison has left one CTA, by its number or by what atomics gave it."""
    if subject.one_cta:
        return
    outputs = {name for name, arg in subject.arrays.items() if not isinstance(arg, In)}
    has_tickets = any(ATOMIC.match(instruction.opcode) for instruction, _ in subject.rooted)
    chosen_by = DIFFERS_BETWEEN_CTAS if has_tickets else NUMBERS_OF_CTAS

    def differs(roots: Roots) -> bool:
        return any(root.startswith(chosen_by) for root in roots)

    several = several_ctas(subject.blocks, subject.used, differs)
    for index, (instruction, used) in enumerate(subject.rooted):
        if index not in several or not instruction.opcode.startswith("st."):
            continue
        roots = address_roots(instruction, used)
        own = any(root.startswith(DIFFERS_BETWEEN_CTAS) for root in roots | used.guard)
        if roots & outputs and not own:
            array = subject.display_name(roots & outputs)
            message = f"{instruction.opcode} to an address in '{array}' that is the same in every CTA."
            yield LintFinding("same-place", instruction.line, message)


PASSES_ON = ("st.", "atom.", "red.", "shfl.")
"""Instructions that pass a value to where the rules cannot follow it."""


def passed_addresses(subject: LintSubject) -> Iterator[LintFinding]:
    """The address of an array or a module variable that is stored or passed on."""
    tracked = subject.arrays.keys() | subject.state
    for instruction, used in subject.rooted:
        if not instruction.opcode.startswith(PASSES_ON) or instruction.opcode.startswith("st.param"):
            continue
        results = 0 if instruction.opcode.startswith(("st.", "red.")) else 1
        for operand, roots in list(zip(instruction.operands, used.operands, strict=True))[results:]:
            if roots & tracked and not isinstance(operand, Address):
                yield LintFinding(
                    "hides-address",
                    instruction.line,
                    f"{instruction.opcode} passes on the address of '{subject.display_name(roots & tracked)}'.",
                )


def compared_addresses(subject: LintSubject) -> Iterator[LintFinding]:
    """A comparison of an address with something other than an address of the same array."""
    names_in_memory = subject.arrays.keys() | subject.variables.keys() | subject.module.functions.keys()
    for instruction, used in subject.rooted:
        if not instruction.opcode.startswith("setp."):
            continue
        compared = [roots & names_in_memory for roots in used.operands[1:3]]
        if any(names != compared[0] for names in compared):
            message = f"{instruction.opcode} compares the address of '{subject.display_name(set().union(*compared))}'."
            yield LintFinding("compares-address", instruction.line, message)


def map_bytes(subject: LintSubject) -> Iterator[LintFinding]:
    """A load of bytes of a tensor map: the driver of a GPU encodes it otherwise than the emulator."""
    for instruction, roots in subject.addressed if subject.maps else ():
        if instruction.opcode.startswith("ld.") and (names := roots & subject.maps.keys()):
            message = f"{instruction.opcode} reads bytes of the tensor map '{subject.maps[min(names)].name}'."
            yield LintFinding("reads-hardware", instruction.line, message)


CLOCKS = ("%clock", "%globaltimer", "%pm")
HARDWARE = (
    "%smid", "%nsmid", "%gridid", "%warpid", "%nwarpid", "%envreg", "%current_graph_exec", "%total_smem_size",
    "%aggr_smem_size", "%reserved_smem",
)  # fmt: skip


def is_clock(name: str) -> bool:
    return name.startswith(CLOCKS)


def is_hardware(name: str) -> bool:
    """Whether a predefined register depends on the hardware. The address of the grid's workspace does not: no result
    may depend on it, as on any address, and it is 0 in a launch that is not cooperative."""
    return name.startswith(HARDWARE) and name not in WORKSPACE_REGISTERS


def special(code: str, applies: Callable[[str], bool], words: str) -> Callable[[LintSubject], Iterator[LintFinding]]:
    """A rule about predefined registers."""

    def rule(subject: LintSubject) -> Iterator[LintFinding]:
        for line, name in subject.specials:
            if applies(name):
                yield LintFinding(code, line, f"{name} {words}.")

    return rule


def reads_hardware(module: Module) -> bool:
    """Whether the module reads registers that depend on the hardware."""
    return any(is_hardware(name) for function in module.functions.values() for _, name in specials(function))


MASKED = re.compile(r"(shfl\.sync|vote\.sync|match\.(any|all)\.sync|redux\.sync|elect\.sync)\b|bar\.warp\.sync")


def masks(subject: LintSubject) -> Iterator[LintFinding]:
    """A constant lane mask without any lane of the warp. Of one with some, the launches show who executes it."""
    for instruction in subject.function.instructions:
        if not MASKED.match(instruction.opcode) or not instruction.operands:
            continue
        mask = subject.value(instruction.operands[0 if instruction.opcode.startswith("bar.") else -1])
        if mask is not None and not mask & FULL_MASK:
            yield LintFinding("empty-mask", instruction.line, f"{instruction.opcode} has the lane mask 0.")


def dropped_setmaxnreg(subject: LintSubject) -> Iterator[LintFinding]:
    if not subject.function.entry or limit_of(subject.function.directives, subject.module.target[0]):
        return
    for instruction in subject.function.instructions:
        if instruction.opcode.startswith("setmaxnreg"):
            yield LintFinding(
                "setmaxnreg-dropped", instruction.line, f"{instruction.opcode} in an entry without .minnctapersm."
            )


PHASE_WAIT = re.compile(r"mbarrier\.(try|test)_wait\b")


def unchecked_waits(subject: LintSubject) -> Iterator[LintFinding]:
    """Waits for a phase of an mbarrier with a result that no instruction reads: such a wait may end before the
    phase."""
    instructions = subject.function.instructions
    for number, wait in enumerate(instructions):
        if PHASE_WAIT.match(wait.opcode) and wait.operands and not is_read(subject, number):
            yield LintFinding("wait-unchecked", wait.line, f"{wait.opcode}: no instruction reads its result.")


WIDE_FENCE = re.compile(r"(fence(\.acq_rel|\.sc)?\.(cluster|gpu|sys)|membar\.(gl|sys))\b")
REMOTE_CHANGE = re.compile(r"(st|red|atom)\.(?!async)")


def narrow_scopes(subject: LintSubject) -> Iterator[LintFinding]:
    """Arrivals at mbarriers of other CTAs, and waits for them, without the scope of the cluster, where the kernel
    changes the memory of other CTAs. (PTX ISA, mbarrier.arrive and mbarrier.try_wait: the scope is .cta by default.)

    Not if one of them has that scope: the others may only say that memory was read.
    """
    instructions = [(instruction, instruction.opcode.split(".")) for instruction in subject.function.instructions]
    remote = [(instruction, parts) for instruction, parts in instructions if "shared::cluster" in parts]
    if any(WIDE_FENCE.match(instruction.opcode) for instruction, _ in instructions) or not any(
        REMOTE_CHANGE.match(instruction.opcode) for instruction, _ in remote
    ):
        return
    arrivals = [(instruction, parts) for instruction, parts in remote if parts[:2] == ["mbarrier", "arrive"]]
    waits = [(instruction, parts) for instruction, parts in instructions if PHASE_WAIT.match(instruction.opcode)]
    for messages in (arrivals, waits) if arrivals else ():
        if messages and not any("cluster" in parts for _, parts in messages):
            first = messages[0][0]
            yield LintFinding("narrow-scope", first.line, f"{first.opcode} has the scope .cta.")


def is_read(subject: LintSubject, number: int) -> bool:
    """Whether an instruction may read the predicate that instruction `number` writes, before it is written again."""
    instructions, blocks = subject.function.instructions, subject.blocks
    names = set(written_registers(instructions[number].operands[0]))
    waiting, seen = [number + 1], set()
    while waiting:
        index = waiting.pop()
        if index in seen or index >= len(instructions):
            continue
        seen.add(index)
        instruction = instructions[index]
        if reads(instruction, names):
            return True
        if instruction.operands and not instruction.guard and names <= set(written_registers(instruction.operands[0])):
            continue
        block = max(start for start in blocks.following if start <= index)
        waiting += blocks.successors(block) if blocks.following[block] == index + 1 else [index + 1]
    return False


def reads(instruction: Instruction, names: Collection[str]) -> bool:
    """Whether an instruction reads one of these predicates: as its guard, or as an operand after the first."""
    read = {instruction.guard.name} if instruction.guard else set()
    for operand in instruction.operands[1:]:
        read.update(registers(operand))
    return not read.isdisjoint(names)


def clusters(subject: LintSubject) -> Iterator[LintFinding]:
    """A cluster size in the entry that differs from the pair's launch. A launch without clusters uses the entry's."""
    required = subject.function.directives.get(".reqnctapercluster", ())
    if required and subject.cluster and (*required, 1, 1)[:3] != subject.cluster:
        launched = ", ".join(map(str, subject.cluster))
        message = f".reqnctapercluster {', '.join(map(str, required))}: the pair's launch has clusters of {launched}."
        yield LintFinding("needs-clusters", subject.function.line, message)


CONTRACTABLE = re.compile(r"(mul|add|sub)((?:\.ftz|\.sat)*)\.(f16|f16x2|bf16|bf16x2|f32|f32x2|f64)$")


Product = tuple[int, str]
"""The line and the type of a product."""


def contraction(subject: LintSubject) -> Iterator[LintFinding]:
    """A product without a rounding modifier that is added by an instruction without one.

    A register that other instructions write too, such as a sum that may be scaled, has a product only in the basic
    block of the multiplication: where paths join, no fma can replace the two.
    """
    instructions = subject.function.instructions
    written = [(product(instruction), written_by(instruction)) for instruction in instructions]
    others = {name for value, names in written if value is None for name in names}
    everywhere = {name: value for value, names in written if value for name in names if name not in others}
    for start in subject.blocks.starts:
        products: dict[str, Product | None] = dict(everywhere)
        for index in subject.blocks.indices(start):
            instruction, (value, names) = instructions[index], written[index]
            match = CONTRACTABLE.match(instruction.opcode)
            for operand in instruction.operands[1:] if match and value is None else ():
                added = products.get(operand.name) if isinstance(operand, Register) else None
                if match and added and added[1] == match[3]:
                    message = f"{instruction.opcode} adds the product of line {added[0]}."
                    yield LintFinding("contracts", instruction.line, message)
            products.update(dict.fromkeys(names, value))


def product(instruction: Instruction) -> Product | None:
    """The product that an instruction without a rounding modifier computes; None if it is another instruction."""
    match = CONTRACTABLE.match(instruction.opcode)
    return (instruction.line, match[3]) if match and match[1] == "mul" else None


def written_by(instruction: Instruction) -> Sequence[str]:
    """The registers that an instruction writes."""
    no_result = not instruction.operands or instruction.opcode.startswith(NO_RESULT)
    return () if no_result else written_registers(instruction.operands[0])


VECTOR = re.compile(r"\.v([248])\b.*\.[a-z]+(\d+)$")


def vectors(subject: LintSubject) -> Iterator[LintFinding]:
    """Vector accesses at addresses that are not, or may not be, a multiple of their size."""
    for instruction in subject.function.instructions:
        match = VECTOR.search(instruction.opcode)
        if (
            not match
            or not instruction.opcode.startswith(("ld.", "st.", "red.", "atom."))
            or ".param" in instruction.opcode
        ):
            continue
        size = int(match[1]) * int(match[2]) // 8
        if not any(isinstance(operand, Vector) for operand in instruction.operands) or not size:
            continue
        for address in (operand for operand in instruction.operands if isinstance(operand, Address)):
            base, offset = address.base, address.offset
            if isinstance(base, Symbol) and (variable := subject.variables.get(base.name)):
                offset += base.offset
                if offset % size or variable.align % size:
                    aligned = f"'{base.name}' + {offset}; '{base.name}' is aligned to {variable.align} bytes"
                    message = f"{instruction.opcode} of {size} bytes at {aligned}."
                    yield LintFinding("misaligned-vector", instruction.line, message)
            elif isinstance(base, Register) and offset % size:
                message = f"{instruction.opcode} of {size} bytes at an offset of {offset}."
                yield LintFinding("odd-vector-offset", instruction.line, message)


RULES = (
    written_inputs,
    loads_past_writes,
    state,
    discards,
    sleeps,
    heap,
    debugging,
    weak_polls,
    common_addresses,
    passed_addresses,
    compared_addresses,
    special("reads-clock", is_clock, "is a clock"),
    special("reads-hardware", is_hardware, "depends on where the kernel runs"),
    map_bytes,
    masks,
    dropped_setmaxnreg,
    unchecked_waits,
    narrow_scopes,
    clusters,
    contraction,
    vectors,
)
