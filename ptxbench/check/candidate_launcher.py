"""Launches of a candidate's kernel. What is wrong with a result becomes a finding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ptxbench.arrays import is_float
from ptxbench.backends.buffers import POISON
from ptxbench.check.element_types import other_type
from ptxbench.check.findings import Finding, finding
from ptxbench.check.infinities import infinite_hint
from ptxbench.check.launching import (
    OTHER_POISON,
    CheckCase,
    CheckKernel,
    LaunchOptions,
    LaunchResult,
    launch,
    may_hide_unwritten,
)
from ptxbench.check.lint import LintFinding, complaints_about
from ptxbench.check.lint_subject import LintSubject, subjects_of
from ptxbench.check.pair_kernels import has_common, wrong_element
from ptxbench.check.polls import lines_of
from ptxbench.check.reading import CandidateText
from ptxbench.check.retries import unrepeated_wait
from ptxbench.check.split_carries import split_carry
from ptxbench.check.suite import CheckSuite
from ptxbench.check.swizzles import misplaced_tile
from ptxbench.check.unused import UNUSED_NAN
from ptxbench.emulator.analysis import analyse
from ptxbench.emulator.findings import SanitizerFinding
from ptxbench.emulator.syntax import Instruction
from ptxbench.errors import (
    Deadlock,
    EmulatorCrash,
    FuelExhausted,
    KernelError,
    KernelTrap,
    LaunchError,
    MemoryFault,
    PtxSyntaxError,
    UnsupportedInstruction,
)
from ptxbench.pair import TensorMap
from ptxbench.units import enumeration

FAULTS: tuple[tuple[type[KernelError], str], ...] = (
    (UnsupportedInstruction, "unsupported"),
    (PtxSyntaxError, "unsupported"),
    (LaunchError, "launch-refused"),
    (MemoryFault, "memory-fault"),
    (KernelTrap, "trap"),
    (Deadlock, "deadlock"),
    (FuelExhausted, "endless"),
    (EmulatorCrash, "emulator-crash"),
)
"""The finding code of each error class."""

MEMORY_LIMIT = "memory-limit"
"""The code of a launch that takes too much memory."""

NOT_RUN = ("unsupported", "launch-refused", "emulator-crash", "judge-failed", "nothing-counts")
"""Codes of launches that say nothing about the kernel's results. The text may not even be valid PTX. Without
MEMORY_LIMIT: no tool is started where memory has run out."""

BETWEEN_CTAS = "race-between-ctas"
"""The code of a race between two CTAs, which no barrier can order."""

WRONG = ("wrong-result", "output-unwritten")
"""Codes of a launch that completed with a wrong result."""


MBARRIER_HINT = (
    "Check the count of mbarrier.init, who arrives, the bytes that are expected, and the parity of the wait."
)
"""For threads that wait for a phase of an mbarrier forever."""

ONE_TRY_HINT = "In line {}, {} is not repeated when its result is false. Wait in a loop until it is true."
"""For the same, if the text has such a wait."""

CHAIN_HINT = "Let every thread that reads it wait: griddepcontrol.wait, in CUDA C cudaGridDependencySynchronize()."
"""For reads of what the previous launch of a chain stores."""

UPDATE_HINT = "If several threads update one element, use atomics, also to read it; otherwise add a barrier."
"""For a race with an atomic, and for one of a line with itself, which may be an addition to one element."""

PLAIN_LOAD, PLAIN_STORE = (
    re.compile(rf"{name}(?!.*\.(nc|volatile|relaxed|acquire|release|mmio)\b)(?!.*\.(shared|local|const|param)\b)")
    for name in (r"ld\b", r"st\b")
)
"""How the opcodes of plain accesses to global memory begin."""

SAME_STORE = re.compile(r"(^|: )st\S* by thread .*? writes byte [^;]*?, which st\S* by .*? at line (\d+) wrote")
"""Begins the message about two stores that are not ordered."""

SAME_STORE_HINT = (
    "Two CTAs store to one element. If each is to store only its own, check the index and the guard of that line; if "
    "both are to update it, use an atomic."
)

REFILL = re.compile(r"(^|: )cp\.async\S* by thread .*? writes byte [^;]*? shared memory")
"""Begins the message about a copy to shared memory that other accesses are not ordered with."""

REFILL_HINT = (
    "Before a copy fills memory again, wait until each thread that uses it has arrived after its last use: at a "
    "barrier, or at an mbarrier that the copying thread waits for."
)

GUARD_ADVICE = " Check its guard."
"""How the emulator's sentence about a bad access ends; the hint of its code says the same."""

OFF_THE_START = re.compile(r"\bbyte -|, which is in no buffer\b")
"""In the message about an access that no guard at the end of an array prevents."""

MISALIGNED = "they must start at a multiple of"
"""In the emulator's sentence about an address that is not aligned."""

ADDRESS_HINT = "Check how that line computes its address, and its guard."

AS_THE_MESSAGE_SAYS = "Correct the line as the message says."


def with_one_advice(found: Finding) -> Finding:
    """A finding whose hint, if it is a bad access, neither repeats nor contradicts its message."""
    if found.code not in ("memory-fault", "out-of-bounds"):
        return found
    if found.message.endswith(GUARD_ADVICE):
        message = found.message.removesuffix(GUARD_ADVICE)
        return replace(found, message=message, hint=ADDRESS_HINT if OFF_THE_START.search(message) else found.hint)
    return replace(found, hint=AS_THE_MESSAGE_SAYS)


DYNAMIC_HINT = (
    "The pair's launch gives a CTA {} bytes of dynamic shared memory (extern __shared__). If that is too little, use "
    "an array of a fixed size."
)
"""For accesses beyond the shared memory of a kernel that uses dynamic shared memory."""

LAUNCH_HINT = "A candidate has the pair's launch, Launch(grid={grid}, block={block}) there. The pair's {variants}."
"""For a refused launch, if variants of the pair have other launches."""

UNWRITTEN_HINT = "Write every element of every output. The pair's launch is Launch(grid={grid}, block={block}) there."

UNUSED_HINT = (
    "The kernel reads elements on which no result depends, such as the padding after a short row. Skip them, or use "
    "zeros in their place: a NaN multiplied by 0 is a NaN."
)

CARRY_HINT = (
    "In line {}, inline PTX uses the carry flag of another asm statement. Unless all of them are volatile, the "
    "compiler may move or omit one. Write the chain of carries in one statement."
)

STOPPED = ("deadlock", "endless", "unsupported")
"""Codes of launches whose threads wait or loop for no reason that the code names."""

BETWEEN_LANES = ("shfl.", "mma.", "wmma.", "movmatrix.")
"""Opcodes of instructions that pass values from lane to lane, with a dot."""

EXITED = "which has exited at line"
"""In the emulator's sentence about an access to a CTA of the cluster that has exited: it may not have waited for the
copies of others, because its mbarrier expects too few bytes."""

OF_ONE_THREAD = ("uninitialised", "member-mask")
"""Kinds of the sanitizer's findings about what one thread does wrong, whatever the others do."""

FUEL_AFTER_FAULT = 1 << 12
"""Loop iterations of a warp in a sanitized launch of a kernel with a bad access: there it does not end the launch, and
what was read may keep a loop going. A million iterations take 20 seconds."""

ASYNCHRONOUS = ("cp.async", "cp.reduce.async", "st.async", "red.async", "wgmma.")
"""How the opcodes begin of what may be pending when an instruction has been executed."""


ACCESS = re.compile(r"(?!ld\.param)(ld|st|atom|red|shfl|cp|wgmma)")
"""How the opcodes begin of what uses memory or values of other lanes."""


@dataclass
class CandidateLauncher:
    """Launches the kernel of one candidate. `fuel`: the loop iterations that a warp may run.

    `launches`: how many launches there were so far. `last`: the result of the last case; None if it failed.
    """

    suite: CheckSuite
    text: CandidateText
    fuel: int
    launches: int = 0
    last: LaunchResult | None = None

    @cached_property
    def complaints(self) -> Sequence[LintFinding]:
        """What the lint finds in the candidate."""
        return complaints_about(self.lint_subjects)

    @cached_property
    def lint_subjects(self) -> Sequence[LintSubject]:
        suite, own = self.suite, self.suite.pair_kernels
        return subjects_of(
            self.text.module,
            suite.entry,
            suite.pair.parameters,
            own.cluster,
            one_cta=own.one_cta,
            members=suite.pair.args,
        )

    def launch(self, case: CheckCase, options: LaunchOptions, kept: dict[str, bytes] | None = None) -> LaunchResult:
        """Launch once, with this candidate's fuel. Raises KernelError as `launching.launch` does."""
        self.launches += 1
        kernel = CheckKernel(self.text.ptx, self.suite.entry, self.suite.arch)
        return launch(kernel, self.suite.pair, case, replace(options, fuel=self.fuel), kept)

    def run_case(self, stage: str, case: CheckCase) -> Finding | None:
        """Launch one case and return what is wrong; None if nothing is."""
        wrong = self.run_with(stage, case, LaunchOptions())
        if wrong is None and self.last and may_hide_unwritten(self.last, case):
            wrong = self.run_with(stage, case, LaunchOptions(poison=OTHER_POISON))
        return wrong

    def run_with(self, stage: str, case: CheckCase, options: LaunchOptions) -> Finding | None:
        """The same with these options."""
        self.last = None
        try:
            self.last = self.launch(case, options)
        except KernelError as error:
            return self.fault(stage, error, case)
        return self.wrong(stage, self.last, case, options.poison)

    def explained(self, wrong: Finding, case: CheckCase) -> Finding:
        """`wrong`, what is wrong with a launch of this case, with a cause as its hint if there is one."""
        caused = self.sanitized(wrong, case)
        return self.with_common(wrong, case) if caused is wrong and wrong.code == "wrong-result" else caused

    def sanitized(self, wrong: Finding, case: CheckCase) -> Finding:
        """`wrong` with the sanitizer's first finding there as its hint, or itself.

        After a wrong result only for kernels whose memory changes without a store of their own thread: what another
        thread, a copy or another CTA has not delivered yet is as good as unwritten, so the result does not say what is
        missing. Where only threads of a CTA exchange data, or all threads by plain accesses to one array, an output
        that is never written has another cause. For other kernels, for launches that fail, and if the kernel ended
        before its first access, only what one thread does wrong by itself, and what mbarriers do not expect, if a CTA
        of the cluster exits too early. If lanes wait for others that are not in their masks, this is the finding.
        """
        delivered = self.is_asynchronous or case.launch.cluster is not None or case.launch.chain is not None
        is_result = wrong.code == "wrong-result"
        exchanged = wrong.code in WRONG and (delivered or (is_result and (self.exchanges or self.loads_what_it_stores)))
        executed = self.last.by_line.keys() if self.last else frozenset()
        exchanged = exchanged and not executed.isdisjoint(lines_of(self.text.module, ACCESS))
        reads = wrong.code in (*WRONG, "memory-fault") and self.may_read_unwritten
        early = self.is_asynchronous and wrong.code == "memory-fault" and EXITED in wrong.message
        if not exchanged and not reads and not early and wrong.code not in STOPPED:
            return wrong
        kinds = ("member-mask",) if wrong.code == "unsupported" else OF_ONE_THREAD
        kinds = (*kinds, "mbarrier") if early else kinds
        causes = (raw for raw in self.sanitizer_findings(case, wrong.code) if exchanged or raw.kind in kinds)
        if (raw := next(causes, None)) is None:
            return wrong
        if wrong.code == "unsupported":
            return replace(self.sanitizer_finding(raw, f"{case.label}: "), stage=wrong.stage)
        cause = self.sanitizer_finding(raw)
        where = "" if cause.line is None else f" in line {cause.line}"
        advice = f" {cause.hint}" if cause.code in ("race", BETWEEN_CTAS) else ""
        return replace(wrong, hint=f"The sanitizer finds {cause.code}{where}: {cause.message}{advice}")

    def sanitizer_findings(self, case: CheckCase, code: str) -> Iterator[SanitizerFinding]:
        """What the sanitizer finds in a case whose plain launch ended with `code`."""
        launcher = self if code in WRONG else replace(self, fuel=min(self.fuel, FUEL_AFTER_FAULT))
        try:
            yield from launcher.launch(case, LaunchOptions(sanitize=True)).findings
        except KernelError as error:
            yield from (raw for raw in error.findings if isinstance(raw, SanitizerFinding))

    def with_common(self, wrong: Finding, case: CheckCase) -> Finding:
        """`wrong` with what the wrong elements of the largest check size have in common as its hint, if there is
        anything, if those of `case` have nothing in common, which the message would say, and if the hint is general."""
        largest = self.suite.largest
        is_general = wrong.hint == finding(wrong.stage, wrong.code, "").hint
        if not is_general or self.last is None or case is largest or has_common(self.last, case):
            return wrong
        try:
            result = self.launch(largest, LaunchOptions())
        except KernelError:
            return wrong
        if not has_common(result, largest):
            return wrong
        return replace(wrong, hint=f"The largest check size shows more: {wrong_element(result, largest)}")

    @cached_property
    def may_read_unwritten(self) -> bool:
        """Whether the text has a path to an instruction that reads a register which none on the path has written."""
        module = self.text.module
        return bool(analyse(module, module.functions[self.suite.entry]).blocks[0].live_in)

    @cached_property
    def is_asynchronous(self) -> bool:
        """Whether the candidate's text has asynchronous copies, stores or products."""
        return any(
            instruction.opcode.startswith(ASYNCHRONOUS)
            for function in self.text.module.functions.values()
            for instruction in function.instructions
        )

    @cached_property
    def exchanges(self) -> bool:
        """Whether threads of a CTA of the candidate may read values of others: it has shared memory, shuffles, or
        matrix instructions of a warp."""
        module = self.text.module
        functions = module.functions.values()
        scopes = (module.variables, *(function.variables for function in functions))
        return any(variable.space == "shared" for scope in scopes for variable in scope.values()) or any(
            instruction.opcode.startswith(BETWEEN_LANES)
            for function in functions
            for instruction in function.instructions
        )

    @cached_property
    def loads_what_it_stores(self) -> bool:
        """Whether plain loads and plain stores of the candidate may be of the same array of the pair, as in an addition
        without an atomic."""
        loaded, stored = (
            {
                root
                for subject in self.lint_subjects
                for instruction, roots in subject.addressed
                if pattern.match(instruction.opcode)
                for root in roots & subject.arrays.keys()
            }
            for pattern in (PLAIN_LOAD, PLAIN_STORE)
        )
        return not loaded.isdisjoint(stored)

    @cached_property
    def type_hint(self) -> str:
        """The array whose elements the candidate takes for another type, in words; empty if there is none."""
        found = next(filter(None, map(other_type, self.lint_subjects)), None)
        return self.text.locations.lines_of(f"In line {found[0]}, {found[1]}") if found else ""

    @cached_property
    def carry_hint(self) -> str:
        """Where inline PTX of the candidate uses the carry flag of another statement; empty if nowhere."""
        line = split_carry(self.text.ptx) if self.text.language == "cuda" else None
        return "" if line is None else self.text.locations.lines_of(CARRY_HINT.format(line))

    @cached_property
    def swizzle_hint(self) -> str:
        """A tile of the candidate that starts within a pattern of its swizzle, in words; empty if there is none."""
        kernel = self.text.module.functions[self.suite.entry]
        arguments = zip(kernel.params, self.suite.pair.parameters, strict=False)
        maps = {param.name: arg for param, arg in arguments if isinstance(arg, TensorMap)}
        found = (misplaced_tile(subject, maps, kernel) for subject in self.lint_subjects) if maps else iter(())
        return self.text.locations.lines_of(next(filter(None, found), ""))

    @cached_property
    def one_try(self) -> Instruction | None:
        """The first wait for an mbarrier that the candidate does not repeat; None if there is none."""
        return next(filter(None, (unrepeated_wait(subject.function) for subject in self.lint_subjects)), None)

    @cached_property
    def one_try_hint(self) -> str:
        """That wait, in words; empty if there is none."""
        wait = self.one_try
        return self.text.locations.lines_of(ONE_TRY_HINT.format(wait.line, wait.opcode)) if wait else ""

    @cached_property
    def has_dynamic_array(self) -> bool:
        """Whether the candidate declares an array whose length is that of the launch's dynamic shared memory."""
        module = self.text.module
        of_functions = (function.variables for function in module.functions.values())
        variables = (variable for scope in (module.variables, *of_functions) for variable in scope.values())
        return any(variable.space == "shared" and variable.count is None for variable in variables)

    def sanitizer_finding(self, raw: SanitizerFinding, label: str = "") -> Finding:
        """A finding of the sanitizer in the candidate's file; `label` begins its message."""
        message = re.sub(r"^line \d+: ", "", raw.message)
        failed = None if raw.line else re.search(r"\bline (\d+)", message)  # in the launch with another schedule
        located = self.text.locations.at(
            "sanitizer",
            BETWEEN_CTAS if raw.between_ctas else raw.kind,
            f"{label}{message}",
            int(failed[1]) if failed else raw.line,
        )
        if "which the previous launch stores" in message:
            return replace(located, hint=CHAIN_HINT)
        if located.code in ("race", BETWEEN_CTAS) and REFILL.search(located.message):
            return replace(located, hint=REFILL_HINT)
        same = SAME_STORE.search(located.message)
        if located.code == BETWEEN_CTAS and same and int(same[2]) == located.line:
            return replace(located, hint=SAME_STORE_HINT)
        if located.code == "race" and re.search(rf"\bat line {located.line}\b|\b(updates|updated)\b", located.message):
            return replace(located, hint=UPDATE_HINT)
        return with_one_advice(located)

    def wrong(self, stage: str, result: LaunchResult, case: CheckCase, poison: int = POISON) -> Finding | None:
        """What is wrong with the result of a launch; None if nothing is."""
        if result.changed is not None:
            message = f"{case.label}: the kernel writes to '{result.changed}', which is an input."
            return finding(stage, "input-changed", message)
        worst = wrong_element(result, case)
        if worst and not self.suite.is_explained(result, case, stage):
            if self.leaves_unwritten(result, case, poison):
                hint = UNWRITTEN_HINT.format(grid=case.launch.grid, block=case.launch.block)
                return finding(stage, "output-unwritten", worst, hint=hint)
            hint = UNUSED_HINT if UNUSED_NAN in case.label else self.type_hint or self.carry_hint or self.swizzle_hint
            hint = hint or infinite_hint(self.suite.pair, result, case)
            return finding(stage, "wrong-result", worst, hint=hint)
        return self.lasting(stage, result, case)

    def leaves_unwritten(self, result: LaunchResult, case: CheckCase, poison: int) -> bool:
        """Whether wrong elements still have their value from before the launch. A kernel may store -1 for "none": whole
        numbers must also have the value from before another launch."""
        name = self.suite.unwritten(result, case, poison)
        if name is None or is_float(result.outputs[name].dtype):
            return name is not None
        other = POISON if poison == OTHER_POISON else OTHER_POISON
        try:
            again = self.launch(case, LaunchOptions(poison=other))
        except KernelError:
            return True
        return self.suite.unwritten(again, case, other) is not None

    def lasting(self, stage: str, result: LaunchResult, case: CheckCase) -> Finding | None:
        """A change that outlives the launch, if no kernel of the pair makes such a change."""
        if result.state and not self.suite.pair_kernels.keeps_state:
            message = f"{case.label}: the launch changes the module variable '{result.state[0]}'."
            return finding(stage, "writable-module-state", message)
        if result.unfreed and not self.suite.pair_kernels.keeps_heap:
            blocks = "1 heap block" if result.unfreed == 1 else f"{result.unfreed:,} heap blocks"
            message = f"{case.label}: the launch leaves {blocks} allocated."
            return finding(stage, "heap-kept", message)
        return None

    def fault(self, stage: str, error: KernelError, case: CheckCase) -> Finding:
        """The finding for a launch that failed."""
        code = next((code for kind, code in FAULTS if isinstance(error, kind)), "emulator-crash")
        if "not enough memory" in str(error).lower() or "GB are free" in str(error):
            code = MEMORY_LIMIT
        words = re.sub(r"; its PTX is saved as .*", ".", str(error))
        words = re.sub(r"; [\d.]+ GB are free", "", words)  # a seed gives the same message on every machine
        line = re.match(r"line (\d+): ", words)
        message = words[line.end() :] if line else words
        line_match = line or re.search(r"\bwaits? at line (\d+)", words)  # in a deadlock: where the first warp waits
        line_number = int(line_match[1]) if line_match else 0
        located = self.text.locations.at(stage, code, f"{case.label}: {message}", line_number)
        if "names barrier" in message:
            return replace(located, hint=AS_THE_MESSAGE_SAYS)
        if code == "launch-refused" and (variants := sorted(self.suite.pair.launches)):
            others = (
                f"{enumeration(variants)} {'have launches of their own' if variants[1:] else 'has a launch of its own'}"
            )
            launch = case.launch
            return replace(located, hint=LAUNCH_HINT.format(grid=launch.grid, block=launch.block, variants=others))
        if " of shared memory, which has " in message and MISALIGNED not in message and self.has_dynamic_array:
            return replace(with_one_advice(located), hint=DYNAMIC_HINT.format(f"{case.launch.shared_bytes:,}"))
        if code == "memory-fault" and self.type_hint:
            return replace(with_one_advice(located), hint=self.type_hint)
        if code == "deadlock" and "the mbarrier at" in message:
            return replace(located, hint=self.one_try_hint or MBARRIER_HINT)
        return with_one_advice(located)
