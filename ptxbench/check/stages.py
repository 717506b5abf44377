"""The stages of a judgement, each a method: what was done, and what was found. The first that rejects ends it.

Nothing of the candidate runs but its kernel, on the emulator. Whoever does not trust it runs this in a process with
limits (`contained`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ptxbench import toolchain
from ptxbench.check.codes import CODES, ERROR, UNJUDGED
from ptxbench.check.exam import HIDDEN, Exam
from ptxbench.check.findings import (
    NO_VERDICT,
    PASSED,
    REJECTED,
    SKIPPED,
    STAGES,
    WARNED,
    Finding,
    Judgement,
    StageResult,
    finding,
)
from ptxbench.check.launching import FUEL, POISON, Case, How, Kernel, Left, launch
from ptxbench.check.lint import lint
from ptxbench.check.source import SUFFIXES, problems
from ptxbench.discovery import Source
from ptxbench.emulator import parse as ptx_parser
from ptxbench.emulator.syntax import Module
from ptxbench.errors import (
    CompileError,
    Deadlock,
    EmulatorCrash,
    FuelExhausted,
    KernelError,
    KernelTrap,
    LaunchError,
    MemoryFault,
    PtxSyntaxError,
    SignatureMismatch,
    UnsupportedInstruction,
)
from ptxbench.execution import Program, model_notes
from ptxbench.portability import Subject, survey
from ptxbench.result import BuildReport
from ptxbench.signature import check_signature, read_headers
from ptxbench.toolchain import locate, ptxas, trial
from ptxbench.toolchain.trial import ASSEMBLES
from ptxbench.verify import same_bits

CANDIDATE = "candidate"

MOST_SHARED, MOST_LOCAL, MOST_MODULE = 1 << 20, 512 << 10, 16 << 20
"""Bytes of variables that are looked at at all: of a CTA, which ptxas then refuses; of a thread, as on any GPU; of the
module, which is written anew for each of some hundred launches."""

FAULTS: tuple[tuple[type[KernelError], str], ...] = (
    (UnsupportedInstruction, "unsupported"),
    (LaunchError, "launch-refused"),
    (MemoryFault, "memory-fault"),
    (KernelTrap, "trap"),
    (Deadlock, "deadlock"),
    (FuelExhausted, "endless"),
    (EmulatorCrash, "emulator-crash"),
)
"""What the code of an error is."""

WRONG = ("wrong-result", "output-unwritten")
"""Codes of a launch that ended well and left what it should not."""

PLACEMENTS = 4
"""Other places of the arrays that are tried."""

POISONS = (0x00, 0x5A)
"""Other bytes that outputs are filled with before a launch."""

FIGURES = {
    "sectors": ("ptx_global_load_sectors", "ptx_global_store_sectors"),
    "instructions": ("ptx_warp_instructions",),
    "wavefronts": ("ptx_shared_load_wavefronts", "ptx_shared_store_wavefronts"),
    "atomics": ("ptx_atomic_global_requests", "ptx_atomic_shared_requests"),
    "divergent": ("ptx_divergent_branches",),
}
"""What is told of the counts, each the sum of some counters; the first two rank candidates, in this order."""

UNTIMED = "no GPU: the counts stand for the time"
"""Why a time is not there; `timed` takes one where there is a GPU."""

RANKED = ("sectors", "instructions")

MORE = 1.005
"""From this ratio on a count is called more."""


class Skip(Exception):
    """A stage cannot be done here; the text says why."""


@dataclass(frozen=True)
class Told:
    """A stage that was done: in words, and what was found."""

    words: str
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Settings:
    """How to judge. `flags`: options of NVRTC; `targets`: what to assemble for beyond the architecture."""

    fuel: int = FUEL
    flags: Sequence[str] = ()
    targets: Sequence[str] = ()


@dataclass
class Judge:
    """One candidate on its way through the stages. `path` is where its text lies; its name is what messages say."""

    exam: Exam
    path: Path
    content: bytes
    settings: Settings = Settings()
    compared: dict[str, dict[str, Any]] = field(default_factory=dict)
    ratios: dict[str, dict[str, float]] = field(default_factory=dict)
    tried: dict[str, bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def judge(
        self,
        begin: Callable[[str], None] = lambda stage: None,
        done: Callable[[StageResult, Sequence[Finding]], None] = lambda result, found: None,
    ) -> Judgement:
        """Every stage in turn; `begin` hears of each, and `done` what came of it."""
        stages: list[StageResult] = []
        findings: list[Finding] = []
        for stage in STAGES:
            begin(stage)
            started = time.monotonic()
            found: Sequence[Finding] = ()
            try:
                told = getattr(self, stage)()
                words, found = told.words, told.findings
                verdict = verdict_of(found)
            except Skip as skip:
                words, verdict = str(skip), SKIPPED
            stages.append(StageResult(stage, verdict, words, round(time.monotonic() - started, 3)))
            findings += found
            done(stages[-1], found)
            if verdict in (REJECTED, NO_VERDICT):
                break
        return Judgement(
            file=self.path.name,
            language=self.language,
            pair=self.exam.found.name,
            arch=self.exam.arch,
            seed=self.exam.seed,
            stages=tuple(stages),
            findings=tuple(findings),
            compared=self.compared,
            ratios=self.ratios,
            targets=self.tried,
            notes=tuple(dict.fromkeys(self.notes)),
        )

    @property
    def language(self) -> str:
        return SUFFIXES[self.path.suffix]

    @property
    def source(self) -> Source:
        return Source(CANDIDATE, self.language, self.path, self.exam.entry, tuple(self.settings.flags))

    # ---- from text to machine code

    def parses(self) -> Told:
        if found := list(problems(self.content, self.language)):
            return Told("not read", found)
        try:
            module = self.module
        except CompileError as error:
            return Told("does not compile", list(self.compile_errors(str(error))))
        except (PtxSyntaxError, RecursionError, ValueError, OverflowError) as error:
            return self.unreadable(error)
        if excess := next(excessive(module), None):
            variable, told = excess
            return Told("not read", [self.at("parses", "too-much-memory", told, variable.line)])
        count = sum(len(each.instructions) for each in module.functions.values())
        kind = "PTX instructions of it" if self.language == "cuda" else "instructions"
        return Told(f"{count:,} {kind}")

    @cached_property
    def ptx(self) -> str:
        if self.language == "ptx":
            return self.content.decode("ascii")
        return toolchain.compiled(self.content, self.path, self.exam.arch, self.settings.flags)[0]

    @cached_property
    def module(self) -> Module:
        return ptx_parser.parse(self.ptx)

    @cached_property
    def program(self) -> Program:
        """Knows which line of the CUDA C each line of the PTX is of."""
        return Program(self.path, self.language, self.exam.arch, self.ptx)

    @property
    def kernel(self) -> Kernel:
        return Kernel(self.ptx, self.exam.entry, self.exam.arch)

    def compile_errors(self, message: str) -> Iterator[Finding]:
        """NVRTC's first errors, each by itself."""
        name = re.escape(self.path.name)
        pattern = rf"{name}:(\d+): (.*?)(?=; {name}:\d+: | and \d+ more\. NVRTC |\. NVRTC |$)"
        errors = re.findall(pattern, message, re.S) or [("0", message)]
        for line, told in errors:
            yield finding("parses", "does-not-compile", one_line(told), int(line) or None)

    def unreadable(self, error: Exception) -> Told:
        """The emulator cannot read the PTX: whether that is PTX, ptxas decides."""
        told = one_line(str(error))
        line = re.match(r"line (\d+): ", told)
        message = told[line.end() :] if line else told
        with_line = int(line[1]) if line else 0
        if isinstance(error, RecursionError):
            return Told("not read", [finding("parses", "nested-too-deep", "the text is nested too deep to be read.")])
        tool = locate.program("ptxas")
        if tool is None:
            return Told("not read", [self.at("parses", "syntax", message, with_line)])
        try:
            toolchain.assembled(tool, self.ptx, self.exam.arch)
        except ptxas.RefusedError as refused:
            told_by = [self.at("parses", "syntax", message, with_line)]
            told_by += [each for each in self.refusals(str(refused), "parses", "syntax") if each.line]
            return Told("no PTX", told_by)
        return Told("not read", [self.at("parses", "not-readable", message, with_line)])

    def refusals(self, messages: str, stage: str, code: str) -> Iterator[Finding]:
        """Each error of ptxas; one that quotes the beginning where it names no line."""
        found = trial.needs(messages, self.ptx, self.path, self.language)
        for need in found:
            instruction = f"{need.instruction}: " if need.instruction else ""
            needed = f"It requires {need.requires}." if need.requires else ""
            yield finding(stage, code, f"{instruction}{need.message}.", need.line, self.column(need.line), needed)
        if not found:
            yield finding(stage, code, f"ptxas makes no machine code of it: {one_line(messages)[:300]}")

    def assembles(self) -> Told:
        tool = locate.program("ptxas")
        if tool is None:
            raise Skip(f"ptxas is not there: {locate.INSTALL}")
        try:
            _, messages = toolchain.assembled(tool, self.ptx, self.exam.arch)
        except ptxas.RefusedError as refused:
            target = trial.directive(self.ptx, "target")
            if any(each in str(refused) for each in ptxas.MISMATCHES):
                told = f"its .target is {target}, which cannot be assembled for {self.exam.arch}."
                line = next((n for n, text in enumerate(self.ptx.splitlines(), 1) if ".target" in text), None)
                hint = f"Judge it with --arch {target}, or lower .target."
                found = finding("assembles", "wrong-target", told, line if self.language == "ptx" else None, 1, hint)
                return Told("refused", [found])
            return Told("refused", list(self.refusals(str(refused), "assembles", "refused")))
        if said := ptxas.notable(messages, self.ptx, self.path, self.language).strip():
            self.notes.append(f"ptxas says: {one_line(said)[:300]}")
        return Told(f"for {self.exam.arch}, ptxas {locate.version(tool)}")

    def signature(self) -> Told:
        pair, entry = self.exam.pair, self.exam.entry
        try:
            check_signature(self.ptx, entry, pair.args, self.path)
        except SignatureMismatch as error:
            known = any(header.name == entry for header in read_headers(self.ptx))
            place = re.match(rf"{re.escape(self.path.name)}(?::(\d+))?: ", str(error))
            line = int(place[1]) if place and place[1] else None
            told = str(error)[place.end() :] if place else str(error)
            code = "wrong-signature" if known else "no-entry"
            wanted = ", ".join(arg.name for arg in pair.args)
            hint = f"The pair's arguments are {wanted}, in this order." if known else f"Name the kernel '{entry}'."
            return Told("not those of the pair", [finding("signature", code, told, line, self.column(line), hint)])
        return Told(f"{len(pair.args)} parameters, as the pair has them")

    def lint(self) -> Told:
        found = [
            self.at("lint", each.code, each.message, each.line)
            for each in lint(self.module, self.exam.entry, self.exam.pair.args)
        ]
        if self.language == "cuda" and "// begin inline asm" in self.ptx:
            line = self.ptx[: self.ptx.index("// begin inline asm")].count("\n") + 2
            found.append(self.at("lint", "inline-asm", "the CUDA C has inline PTX.", line))
        once = list(dict.fromkeys(found))
        return Told("nothing found" if not once else f"{len(once)} found", once)

    # ---- launches

    def results(self) -> Told:
        return self.asked("results", self.exam.check, "check sizes")

    def hidden(self) -> Told:
        if not self.exam.hidden:
            raise Skip("the pair's functions take no other sizes")
        return self.asked("hidden", self.exam.hidden, "sizes", HIDDEN)

    def values(self) -> Told:
        if not self.exam.special:
            raise Skip("the pair's functions take no other data")
        return self.asked("values", self.exam.special, "kinds of data")

    def asked(self, stage: str, cases: Sequence[Case], noun: str, enough: int = 0) -> Told:
        """Launch once a case. One that a kernel of the pair's fails too does not count; `enough` that do will do."""
        counted, excused = [], 0
        for case in cases:
            found = self.ask(stage, case)
            # On odd data a kernel of the pair may be wrong; that is no leave to fault on them.
            strict = stage == "values" and found is not None and found.code not in WRONG
            if found and found.gravity == ERROR and self.exam.excuse(case, fault=strict):
                excused += 1
                continue
            if found:
                return Told(f"{case.label}", [found])
            counted.append(case.label)
            if len(counted) == enough:
                break
        beyond = f", {excused} beyond the pair" if excused else ""
        if stage == "results" and not counted:
            told = "the pair's own kernels fail at every check size too."
            return Told("nothing to judge by", [finding(stage, "nothing-counts", told)])
        labels = "; ".join(counted) if stage == "hidden" else f"{len(counted)} {noun}"
        return Told(f"{labels}{beyond}")

    def ask(self, stage: str, case: Case) -> Finding | None:
        """What is wrong with one launch; None if it is right."""
        try:
            left = self.launch(case, How(fuel=self.settings.fuel))
        except KernelError as error:
            return self.fault(stage, error, case)
        return self.wrong(stage, left, case)

    def launch(self, case: Case, how: How, kept: dict[str, bytes] | None = None) -> Left:
        return launch(self.kernel, self.exam.pair, case, how, kept)

    def wrong(self, stage: str, left: Left, case: Case, poison: int = POISON) -> Finding | None:
        """What is wrong with what a launch left."""
        if left.changed is not None:
            told = f"{case.label}: the kernel writes to '{left.changed}', which it is given to read."
            return finding(stage, "input-changed", told)
        if worst := self.exam.wrong(left, case):
            stale = self.exam.unwritten(left, case, poison)
            return finding(stage, "output-unwritten" if stale else "wrong-result", worst)
        return None

    def fault(self, stage: str, error: KernelError, case: Case) -> Finding:
        """A launch that did not end well."""
        code = next((code for kind, code in FAULTS if isinstance(error, kind)), "emulator-crash")
        if "not enough memory" in str(error) or "GB are free" in str(error):
            code = "memory-limit"
        told = re.sub(r"; its PTX is saved as .*", ".", str(error))
        line = re.match(r"line (\d+): ", told)
        message = told[line.end() :] if line else told
        return self.at(stage, code, f"{case.label}: {message}", int(line[1]) if line else 0)

    def sanitizer(self) -> Told:
        found: dict[tuple[str, int | None], Finding] = {}
        unmade: list[str] = []
        for case in self.exam.check:
            try:
                left = self.launch(case, How(sanitize=True, fuel=self.settings.fuel))
            except KernelError as error:
                return Told(case.label, [self.fault("sanitizer", error, case)])
            for each in left.findings:
                message = re.sub(r"^line \d+: ", "", each.message)
                told = self.at("sanitizer", each.kind, f"{case.label}: {message}", each.line)
                found.setdefault((told.code, told.line), told)
            unmade += left.notes
        self.notes += [f"sanitizer: {self.lines_of(each)}" for each in dict.fromkeys(unmade)]
        partly = ", with the checks that can be made" if unmade else ""
        return Told(f"{'clean' if not found else f'{len(found)} found'}{partly}", list(found.values()))

    def repeats(self) -> Told:
        """Launches on one set of data that differ in what must not matter, and later ones among others."""
        case, other, small = self.exam.repeated
        fuel = self.settings.fuel
        drawn = self.exam.drawn("placements")
        elsewhere = [How(placement=drawn.getrandbits(32), fuel=fuel) for _ in range(PLACEMENTS)]
        variations = [
            *(("depends-on-address", "with the arrays elsewhere", each) for each in elsewhere),
            *(("depends-on-output", f"outputs 0x{byte:02x} before", How(poison=byte, fuel=fuel)) for byte in POISONS),
            ("depends-on-threads", "with its CTAs in another order", How(threads=1, fuel=fuel)),
            ("depends-on-threads", "with its CTAs in another order", How(threads=3, fuel=fuel)),
        ]
        found: list[Finding] = []
        try:
            first = self.launch(case, How(fuel=fuel))
            for code, told, how in variations:
                left = self.launch(case, how)
                found += self.differs(code, first, left, case, told, how.poison)
            kept: dict[str, bytes] = {}
            for number, each in enumerate((small, case, other, case, small, other, case), 1):
                left = self.launch(each, How(fuel=fuel), kept)
                told = f"launch {number} of one module"
                found += self.differs("depends-on-launch", first if each is case else None, left, each, told)
        except KernelError as error:
            wrong = self.fault("repeats", error, case)
            return Told("another launch fails", [finding("repeats", "depends-on-launch", wrong.message, wrong.line)])
        worst = [each for each in found if each.gravity == ERROR] or found[:1]
        launches = 1 + len(variations) + 7
        return Told(f"{launches} launches, {'the same bits' if not found else 'not alike'}", worst[:1])

    def differs(
        self, code: str, first: Left | None, left: Left, case: Case, told: str, poison: int = POISON
    ) -> Iterator[Finding]:
        """What is unlike the first launch on the same data; None as `first` where there was none."""
        if wrong := self.wrong("repeats", left, case, poison):
            yield finding("repeats", code, f"{told}: {wrong.message}")
        elif first is not None and not same_bits(case.expected.outputs, first.outputs, left.outputs):
            yield finding("repeats", "bits-differ", f"{case.label}: other bits {told}.")

    # ---- beside the pair's own

    def resources(self) -> Told:
        if locate.program("ptxas") is None:
            raise Skip("ptxas is not there")
        build = toolchain.build(
            self.path,
            language=self.language,
            variant=CANDIDATE,
            entry=self.exam.entry,
            arch=self.exam.arch,
            flags=self.settings.flags,
        )
        own = self.exam.report(build)
        others = {variant: self.exam.report(each) for variant, each in self.exam.builds.items()}
        for name, report in {CANDIDATE: own, **others}.items():
            self.compared.setdefault(name, {}).update(figures(report))
        return Told(resource_words(own), list(self.heavier(own, others)))

    def heavier(self, own: BuildReport, others: Mapping[str, BuildReport]) -> Iterator[Finding]:
        """Where the candidate needs more than all of the pair's variants."""
        if own.occupancy == 0:
            told = f"{own.registers} registers a thread and {own.shared_bytes} bytes of shared memory do not fit."
            yield finding("resources", "cannot-launch", told)
        spilled = (own.spill_store_bytes or 0) + (own.spill_load_bytes or 0)
        if spilled:
            told = f"{own.spill_store_bytes} bytes are spilled and {own.spill_load_bytes} reloaded, a thread."
            yield finding("resources", "spills", told)
        known = [each.occupancy for each in others.values() if each.occupancy is not None]
        if own.occupancy and known and own.occupancy < min(known):
            told = f"{own.registers} registers: {own.occupancy:.0%} of an SM's warps, the pair's {min(known):.0%}."
            yield finding("resources", "more-registers", told)
        same = [name for name, each in others.items() if each.sass_sha256 and each.sass_sha256 == own.sass_sha256]
        if same:
            yield finding("resources", "same-code", f"the machine code is that of {', '.join(same)}.")

    def counts(self) -> Told:
        case = self.exam.repeated[0]
        left = self.launch(case, How(fuel=self.settings.fuel))
        own = figures_of(left.counters)
        self.notes += model_notes(left.models, self.exam.arch)
        if ideal := sorted(left.approximate):
            self.notes.append(f"{', '.join(ideal)}: ideal values here; a GPU's may be off as the manual allows")
        others = {variant: figures_of(counters) for variant, counters in self.exam.counts.items()}
        for name, figure in {CANDIDATE: own, **others}.items():
            self.compared.setdefault(name, {}).update(figure)
        self.ratios = {
            variant: {name: own[name] / each[name] for name in RANKED if each[name]} for variant, each in others.items()
        }
        more = [
            name
            for name in RANKED
            if self.ratios and all(each.get(name, 0) > MORE for each in self.ratios.values())
        ]  # fmt: skip
        if not more:
            return Told(f"at {case.label}")
        told = f"{case.label}: more {' and '.join(WORDS[name] for name in more)} than every variant of the pair."
        return Told(f"at {case.label}", [finding("counts", "slower-counts", told)])

    def time(self) -> Told:
        raise Skip(UNTIMED)

    def portability(self) -> Told:
        if not self.settings.targets:
            raise Skip("no other target was asked for")
        own = next(each for each in self.exam.found.sources if each.variant == "ptx")
        sources = (self.source, Source("ptx", own.language, own.path, own.entry))
        matrix = next(
            each
            for each in survey([Subject(CANDIDATE, sources, {})], self.settings.targets)
            if hasattr(each, "reaches")
        )
        reach = matrix.reaches[CANDIDATE]
        self.tried = {target: result.status == ASSEMBLES for target, result in reach.trials.items()}
        lost = [target for target in matrix.reaches["ptx"].assembling if not self.tried[target]]
        found = []
        if lost:
            result = reach.trials[lost[0]]
            need = result.needs[0] if result.needs else None
            told = f"{', '.join(lost)}: {need.message if need else result.reason or 'refused'}."
            line = need.line if need else None
            found = [finding("portability", "fewer-targets", one_line(told), line, self.column(line))]
        return Told(f"{len(reach.assembling)} of {len(self.tried)} targets", found)

    # ---- lines

    def at(self, stage: str, code: str, message: str, line: int) -> Finding:
        """A finding at a line of the PTX (0: at none), told as one of the candidate's file."""
        own = line or None
        if own is not None and self.language == "cuda":
            own = self.program.cuda_lines.get(own)
            if own is None:
                message = f"{message.removesuffix('.')} (line {line} of the PTX that NVRTC makes)."
        return finding(stage, code, self.lines_of(message), own, self.column(own))

    def lines_of(self, message: str) -> str:
        """`message` with the lines of the PTX that it names as those of the CUDA C."""
        if self.language == "ptx" or "that NVRTC makes" in message:
            return message
        lines = self.program.cuda_lines

        def own(match: re.Match[str]) -> str:
            line = lines.get(int(match[1]))
            return f"line {line}" if line else f"line {match[1]} of the PTX that NVRTC makes"

        return re.sub(r"\bline (\d+)", own, message)

    def column(self, line: int | None) -> int | None:
        """Where the text of a line begins, from 1."""
        text = self.content.splitlines()
        if not line or line > len(text):
            return None
        return len(text[line - 1]) - len(text[line - 1].lstrip()) + 1


WORDS = {"sectors": "global sectors", "instructions": "warp instructions"}


def verdict_of(found: Sequence[Finding]) -> str:
    gravities = {CODES[each.code].gravity for each in found}
    return REJECTED if ERROR in gravities else NO_VERDICT if UNJUDGED in gravities else WARNED if found else PASSED


def excessive(module: Module) -> Iterator[tuple[Any, str]]:
    """Variables that take more memory than any launch of a pair needs: the largest, and a sentence."""
    limits = {"shared": MOST_SHARED, "local": MOST_LOCAL, "global": MOST_MODULE, "const": MOST_MODULE}
    for function in [None, *module.functions.values()]:
        variables = (module if function is None else function).variables.values()
        for space, most in limits.items():
            own = [each for each in variables if each.space == space]
            total = sum(each.size_bytes for each in own)
            if total > most:
                largest = max(own, key=lambda each: each.size_bytes)
                told = f"'{largest.name}' makes it {total:,} bytes of {space} memory; {most:,} are the most."
                yield largest, told


def figures(report: BuildReport) -> dict[str, Any]:
    """What is told of a build."""
    return {
        "registers": report.registers,
        "spill_bytes": (report.spill_store_bytes or 0) + (report.spill_load_bytes or 0),
        "shared_bytes": report.shared_bytes,
        "sass": report.sass.get("total"),
        "occupancy": report.occupancy,
    }


def figures_of(counters: Mapping[str, float]) -> dict[str, float]:
    return {name: sum(counters[each] for each in parts) for name, parts in FIGURES.items()}


def resource_words(report: BuildReport) -> str:
    return f"{report.registers} registers, {report.shared_bytes} B shared, {report.sass.get('total', 0)} SASS"


def one_line(text: str) -> str:
    return " ".join(text.split())
