"""A CUDA C file to PTX: by NVRTC as it is, else by NVRTC without its host code, else by nvcc.

The first way that works decides, so a file that NVRTC compiles gives the same PTX on every machine. Each answer of a
compiler is cached by everything that it depends on.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from ptxbench import cache, foreign_text, kernel_names
from ptxbench.containment import HEADERS, mode
from ptxbench.containment.compiler import Compilation
from ptxbench.containment.nvrtc_library import COMPILATION, SUCCESS
from ptxbench.errors import CompileError, PtxbenchError, ToolMissing, UsageError
from ptxbench.toolchain import (
    ambiguous_math,
    compiler_errors,
    host_code,
    locate,
    macros,
    nvcc,
    nvrtc,
    pasted,
    stand_ins,
    tool_hashes,
    torch_headers,
)
from ptxbench.toolchain.compiler_errors import CompilerError, names_nothing
from ptxbench.toolchain.encoding import encoding_problem, without_mark
from ptxbench.toolchain.host_code import SourceText
from ptxbench.toolchain.kernel_templates import templates_in
from ptxbench.toolchain.nvrtc import CompilerOutput
from ptxbench.toolchain.options import defined_macros, include_folders
from ptxbench.toolchain.user_files import UserFile, has_file, user_files, with_distinct_names

ROUNDS = 12
"""Compilations without host code: leaving out a type makes errors in what uses it, which are found by the next one."""

LARGE = 1_000_000
"""Characters of a source and its files that have the kernels of a large library of templates, such as CUTLASS."""

UNUSED = "--diag-suppress=177"
"""Suppresses the warning about unused constants: only host code used them."""

AS_BY_NVCC = (f"--pre-include={stand_ins.PRELUDE}", UNUSED)
"""The options that give NVRTC what nvcc has in every file."""

AS_DEVICE_WORDS = ", with functions without a mark as device functions"

MARK_IT = "mark a function __device__, and keep the C++ library out of a class"
RANGES_SHOWN = 4
"""The most ranges of lines that are named for a file."""
HEADERS_SHOWN = 2
"""The most headers whose lines are named."""
INCLUDES = re.compile(r"-I|--?include|--?pre-include|-include")
ENTRY = re.compile(r"^\s*(?:\.(?:visible|weak)\s+)?\.entry\s+([\w$]+)", re.M)
"""A kernel; one that is static, or in an unnamed namespace, is not visible."""
ERRORS = re.compile(r"^.*: error: .*$", re.M)
AT_END = "At end of source"
"""Where NVRTC reports a brace or a declaration that is never closed."""

AS_DEVICE = "--device-as-default-execution-space"
"""NVRTC's option that makes functions without a mark device functions, for headers from which nothing can be left
out."""

INT128 = "--device-int128"
"""NVRTC's option for `__int128`, which its error names; nvcc always has the type."""

CODE = ("toolchain/nvrtc.py", "containment")
"""The parts of the package that call NVRTC."""

NO_NAME = re.compile(r"identifier \"(\w+)\" is undefined")


def translate(
    source: bytes,
    path: Path,
    arch: str,
    flags: Sequence[str],
    *,
    contained: bool = False,
    signatures: bool = False,
) -> CompilerOutput:
    """The PTX of CUDA C, which was read from `path`.

    `contained`: whether the source is untrusted. Then NVRTC sees CUDA's headers alone, and nvcc is not started.
    `signatures`: whether only the declarations of the kernels matter, in the debugging information that an option asks
    for. Then kernels have no body where ptxbench sees it: with -G, that of a large template takes minutes.

    Raises CompileError with the first errors; ToolMissing if NVRTC does not work or its headers are missing; UsageError
    if it does not know `arch`; PairError if one of `flags` is unknown or is not allowed.
    """
    source = without_mark(source)
    if problem := encoding_problem(source):
        raise CompileError(f"{path.name}:1: {problem.sentence} {problem.remedy}")
    job = Job(source, path, arch, tuple(flags), contained, signatures)
    key = job.key(translating_code(job), source)
    if key is None:
        return output_of(job)
    if stored := cache.known(key):
        return CompilerOutput(*json.loads(stored))
    output = output_of(job)
    # The text as it is and what nvcc makes have other keys. Without a kernel, nvcc is asked once it is installed.
    if output.how.startswith("NVRTC") and ENTRY.search(output.ptx):
        cache.replace(key, json.dumps(output).encode())
    return output


def translating_code(job: Job) -> tuple[str, ...]:
    """What the PTX of a file depends on besides the file and the options: our code, NVRTC and CUDA's headers."""
    code = cache.code_version("toolchain", "containment", "kernel_names.py")
    kind = f"translation {mode() if job.contained else ''} {job.signatures}"
    folders = map(tool_hashes.folder_hash, locate.headers())
    return (kind, code, nvrtc_version(job.library), *nvrtc.FLAGS, *folders)


def output_of(job: Job) -> CompilerOutput:
    """The PTX of a file, by the first of the three ways that works. Raises the errors of `translate`."""
    source, path, contained = job.source, job.path, job.contained
    # Without Landlock only the text is checked, and not what the stand-ins would add to it.
    whole_only = contained and mode() == HEADERS
    if whole_only or not includes_host_header(job):
        answer = job.by_nvrtc(job.text_with_signatures() if job.signatures else source)
        if answer.status == SUCCESS:
            return CompilerOutput(answer.ptx, answer.log, *answer.lowered.values())
        if answer.status != COMPILATION or whole_only:
            raise refusal(job, answer._replace(log=compiler_errors.shortened(answer.log)))
    try:
        as_device = not contained and made_for_nvrtc(job)
        if as_device:
            texts, answer, more = without_host_code(job.with_flags((*job.flags, AS_DEVICE)), as_device=True)
        if not as_device or answer.status != SUCCESS:
            texts, answer, more = without_host_code(job)
    except nvrtc.CompilationDied as death:
        return by_nvcc_or_raise(job, death, "died of it", of_host=True, only_nvrtc=False)
    if answer.status not in (SUCCESS, COMPILATION):
        raise refusal(job, answer)
    if answer.status != SUCCESS:
        refuse_foreign(source, path)
        error_lines = {error.line for error in compiler_errors.errors(answer.log) if error.file == path.name}
        if left := pasted.problem(source.decode("utf-8", "replace"), error_lines):
            raise CompileError(f"{path.name}:{left[0]}: {left[1]}.")
        has_host_code = any(text.left_out for text in texts.values()) or bool(more)
        has_stand_ins = includes_host_header(job) or bool(stand_ins.names_of_std([source.decode("utf-8", "replace")]))
        return by_nvcc_or_refused(job, explained(job, answer, texts), has_host_code=has_host_code or has_stand_ins)
    translation = translation_of(job, texts, answer, more)
    has_kernel = ENTRY.search(translation.ptx)
    if not has_kernel:
        refuse_foreign(source, path)
    if not has_kernel and not contained and launches_kernels(job, texts[""]):
        # Templates of kernels, perhaps, which the launches in the host code instantiate.
        with contextlib.suppress(ToolMissing):
            by_host_compiler = by_nvcc(job, "only launches in the host code instantiate its kernels")
            return translation if isinstance(by_host_compiler, str) else by_host_compiler
    return translation


def launches_kernels(job: Job, text: SourceText) -> bool:
    """Whether the source launches kernels, or calls something of the user's files that may do so: `text` is the source
    without its host code."""
    if b"<<<" in job.source:
        return True
    calls = text.text.encode("utf-8", "surrogateescape") != job.source
    return calls and any(b"<<<" in content or b"cudaLaunchKernel" in content for content in job.contents())


def translation_of(job: Job, texts: Mapping[str, SourceText], answer: Compilation, more: str) -> CompilerOutput:
    """NVRTC's PTX, and in words how it was made: of which texts without host code, and `more`."""
    without = f", without host code{left_out(texts)}" if left_out(texts) or not more else ""
    description = f"NVRTC {nvrtc_version(job.library)}{without}{more}"
    return CompilerOutput(answer.ptx, answer.log, next(iter(answer.lowered.values()), None), description)


def refuse_foreign(source: bytes, path: Path) -> None:
    """Raise CompileError if the source is not CUDA C at all, with what it is."""
    if mark := foreign_text.foreign_mark(source.decode("utf-8", "replace"), "cuda"):
        line, advice = mark
        raise CompileError(f"{path.name}:{line}: {advice}.")


def includes_host_header(job: Job) -> bool:
    """Whether NVRTC cannot compile the text as it is, because it includes a header that NVRTC does not have."""
    user_names = {file.name for file in job.files or []}
    included = unconditional_includes(job.source)
    absent = [
        name
        for name in included
        if name not in user_names and not any(has_file(folder, name) for folder in locate.headers())
    ]
    return job.files is not None and any(stand_ins.has(name) for name in absent)


@functools.lru_cache(maxsize=256)
def unconditional_includes(source: bytes) -> tuple[str, ...]:
    """`SourceText.unconditional_includes`, found once: a text is compiled for several architectures and flags."""
    return tuple(SourceText(source.decode("utf-8", "replace")).unconditional_includes)


def refusal(job: Job, answer: Compilation) -> PtxbenchError:
    """The error for NVRTC's answer; with the templates of the file if it cannot instantiate the requested one."""
    if answer.status == COMPILATION and next(iter(ERRORS.findall(answer.log)), "").startswith(AT_END):
        last = len(job.source.rstrip().splitlines())
        return CompileError(f"{job.path.name}:{last}: the text ends inside a block or a declaration: is it cut off?")
    error = nvrtc.refusal(answer, job.library, job.path, job.arch, job.flags, contained=job.contained)
    if not nvrtc.only_instantiation_fails(answer.log):
        return error
    templates = templates_in([job.source, *(file.content for file in job.files or [])])
    (wanted,) = nvrtc.split(job.flags)[1]
    meant = [template for template in templates if template.name == kernel_names.without_arguments(wanted)] or templates
    if not meant:
        return error
    listed = kernel_names.some(f"{template.name}<{template.parameters}>" for template in meant)
    example = f"; an example is '{meant[0].example}'" if meant[0].example != wanted else ""
    return UsageError(f"{error} The file has {listed}{example}.")


class Job:
    """One file to compile, for one architecture, with its cached compilations."""

    def __init__(
        self, source: bytes, path: Path, arch: str, flags: tuple[str, ...], contained: bool, signatures: bool = False
    ) -> None:
        self.library = nvrtc.find()
        self.source, self.path, self.arch, self.flags, self.contained = source, path, arch, flags, contained
        self.signatures = signatures
        # Contained, it sees only CUDA's headers.
        self.files = [] if contained else user_files(source, path.parent, include_folders(flags), defined_macros(flags))

    def with_flags(self, flags: Sequence[str]) -> Job:
        """The same file with other flags, but the same -I and -D."""
        job = copy.copy(self)
        job.flags = tuple(flags)
        return job

    def text_with_signatures(self) -> bytes:
        """The source with kernels that have no body."""
        texts = [content.decode("utf-8", "surrogateescape") for content in (self.source, *self.contents())]
        text = SourceText(texts[0]).without_bodies_of_kernels(macros.kernel_marks(texts))
        return text.text.encode("utf-8", "surrogateescape")

    def contents(self) -> Iterator[bytes]:
        """What the user's files contain."""
        return (file.content for file in self.files or [])

    def by_nvrtc(
        self, text: bytes, headers: Mapping[str, bytes] | None = None, extra: Sequence[str] = (), *, apart: bool = False
    ) -> Compilation:
        """NVRTC's answer to the text, from the cache if nothing that it depends on has changed. `apart`: in a process
        of its own, because it may die."""
        flags = (*self.flags, *extra)

        def make() -> Compilation:
            return nvrtc.attempt(
                self.library, text, self.path, self.arch, flags, contained=self.contained, headers=headers, apart=apart
            )

        kind = f"nvrtc {mode()}" if self.contained else "nvrtc"
        hashed = [f"{name} {sha256(content)}" for name, content in (headers or {}).items()]
        # The version of CUDA's headers may differ from NVRTC's.
        folders = map(tool_hashes.folder_hash, locate.headers())
        tool = (kind, cache.code_version(*CODE), nvrtc_version(self.library), *nvrtc.FLAGS, *folders)
        answer = self.remembered((*tool, "headers", *hashed), text, make)
        if answer.status == COMPILATION and INT128 in answer.log and INT128 not in flags:
            return self.with_flags((*self.flags, INT128)).by_nvrtc(text, headers, extra, apart=apart)
        if answer.status == COMPILATION and nvrtc.only_instantiation_fails(answer.log):
            # The file may instantiate it with arguments that the user left out.
            others, (wanted,) = nvrtc.split(self.flags)
            other = self.with_flags(others).by_nvrtc(text, headers, extra, apart=apart)
            fitting = kernel_names.matching(wanted, ENTRY.findall(other.ptx))
            return other._replace(lowered={wanted: fitting[0]}) if len(fitting) == 1 else answer
        return answer

    def key(self, tool: Sequence[str], text: bytes) -> tuple[str, ...] | None:
        """The key of what `tool` makes of the text; None if that depends on files that are not known."""
        other_flags = [flag for flag in self.flags if not flag.startswith("-I") or len(flag) == 2]
        if self.files is None or any(INCLUDES.match(flag) for flag in other_flags):
            return None
        hashes = [sha256(text), *(f"{file.name} {sha256(file.content)}" for file in self.files)]
        return (*tool, self.path.name, self.arch, *self.flags, "files", *hashes)

    def remembered(self, tool: tuple[str, ...], text: bytes, make: Callable[[], Compilation]) -> Compilation:
        """`make`'s answer, from the cache, unless it depends on files that are not known."""
        if (key := self.key(tool, text)) is None:
            return make()

        def encoded_answer() -> bytes:
            answer = make()
            # A header that is missing today may be installed tomorrow, and any other status is a failure of the tool.
            if answer.status not in (SUCCESS, COMPILATION) or nvrtc.NO_HEADER.search(answer.log):
                raise UncachedAnswer(answer)
            return json.dumps(answer).encode()

        try:
            return Compilation(*json.loads(cache.remember(key, encoded_answer)))
        except UncachedAnswer as uncached:
            return uncached.answer


class UncachedAnswer(Exception):
    """An answer of a compiler that must not be cached."""

    def __init__(self, answer: Compilation) -> None:
        super().__init__()
        self.answer = answer


def nvrtc_version(library: Path) -> str:
    """NVRTC's version, without loading the library if the cache has it."""
    try:
        state = library.stat()
    except OSError:  # a bare name, which the loader finds in its own folders
        return nvrtc.version(library)
    key = ("nvrtc", str(library), str(state.st_size), str(state.st_mtime_ns))
    return cache.remember(key, lambda: nvrtc.version(library).encode()).decode()


# ---- without host code


def without_host_code(job: Job, *, as_device: bool = False) -> tuple[dict[str, SourceText], Compilation, str]:
    """NVRTC's last answer, and the texts that it read: of the source ("") and of the user's files, by name; and in
    words what else was done. `as_device`: whether the job has AS_DEVICE."""
    source, files = with_distinct_names(job.source, job.path.parent, job.files or [], include_folders(job.flags))
    aliases = second_names(files)
    contents = {"": source, **{file.name: file.content for file in files if file.name not in aliases}}
    decoded = {
        name: host_code.without_lambda_marks(content.decode("utf-8", "surrogateescape"))
        for name, content in contents.items()
    }
    marks, constant = device_marks([*decoded.values()]), macros.constant_macros([*decoded.values()])
    texts = {name: SourceText(text, marks, constant).without_launches() for name, text in decoded.items()}
    names_of_std = stand_ins.names_of_std(decoded.values())
    # The same is left out with and without debugging information, so it is found only once.
    plain_flags = [flag for flag in job.flags if flag not in nvrtc.DEBUG]
    plain = job if len(plain_flags) == len(job.flags) else job.with_flags(plain_flags)
    # Often only host code uses what the heavy headers have. Host functions are left out without them first: NVRTC dies
    # of some, such as one with a std::pair of a std::vector. Then they are needed only if kernels use them too.
    attempts = (True,) if as_device and made_for_nvrtc(job) else (False, True) if names_of_std else (False,)
    kernels = macros.kernel_marks([*decoded.values()])
    # Kernels have no body at first where that saves time: NVRTC would instantiate all that they call in every round.
    is_large = sum(map(len, decoded.values())) > LARGE
    for heavy, whole in itertools.product(attempts, (False, True) if is_large else (True,)):
        table = stand_in_headers(job, [*decoded.values()], heavy=heavy) | aliases
        for _ in range(ROUNDS):
            read = texts if whole else without_bodies(texts, kernels)
            answer = plain.by_nvrtc(*encoded(read, table), AS_BY_NVCC, apart=heavy)
            errors = compiler_errors.errors(answer.log) if answer.status == COMPILATION else []
            if not as_device and host_code_elsewhere(job, errors, texts):
                other = without_host_code(job.with_flags((*job.flags, AS_DEVICE)), as_device=True)
                others = compiler_errors.errors(other[1].log)
                if other[1].status == SUCCESS or any(not error.of_host and error in errors for error in others):
                    return other  # with an error that has nothing to do with the host
                as_device = True
            names_left_out = set().union(*(text.names_left_out for text in texts.values()))
            if names_of_std and not heavy:
                errors = [error for error in errors if error.of_host or names_nothing(error) in names_left_out]
            edits = {}
            for name, text in texts.items():
                of_text = [error for error in errors if error.file == (name or job.path.name)]
                edits[name] = text.edits(of_text, names_left_out) + ambiguous_math.edits(text, of_text)
            if not any(edits.values()):
                break
            texts = {name: text.edited(edits[name]) if edits[name] else text for name, text in texts.items()}
        if whole and answer.status == SUCCESS and "" not in names_of_std:
            break
    more = AS_DEVICE_WORDS if AS_DEVICE in job.flags else ""
    if plain is job:
        return texts, answer, more
    last = without_bodies(texts, kernels) if job.signatures else texts
    return texts, job.by_nvrtc(*encoded(last, table), AS_BY_NVCC, apart=heavy), more


def without_bodies(texts: Mapping[str, SourceText], kernels: Collection[str]) -> dict[str, SourceText]:
    """The texts with kernels that have no body. `kernels`: the marks of kernels."""
    return {name: text.without_bodies_of_kernels(kernels) for name, text in texts.items()}


def made_for_nvrtc(job: Job) -> bool:
    """Whether the user's headers ask if NVRTC compiles them, as those of libraries for both compilers do."""
    return any(b"__CUDACC_RTC__" in content for content in job.contents())


def stand_in_headers(job: Job, texts: Sequence[str], *, heavy: bool) -> dict[str, bytes]:
    """The headers that replace those of the host for these texts, without what the user or CUDA has."""
    user_names = {file.name for file in job.files or []}
    installed = {name for name in stand_ins.OF_DEVICE if any(has_file(folder, name) for folder in locate.headers())}
    table = stand_ins.table(texts, heavy=heavy)
    if made_for_nvrtc(job) and "cmath" in table:
        # libcu++'s defines macros, such as FP_NAN, that these headers define for NVRTC too.
        table["cmath"] = stand_ins.table((), heavy=False)["cmath"]
    return {name: text for name, text in table.items() if name not in user_names | installed}


def host_code_elsewhere(job: Job, errors: Sequence[CompilerError], texts: Mapping[str, SourceText]) -> bool:
    """Whether there is host code in a file of the user from which none can be left out, such as one that a macro
    names."""
    known = {job.path.name, *texts}
    of_cuda = tuple(f"{folder}/" for folder in locate.headers())
    return any(error.of_host and error.file not in known and not error.file.startswith(of_cuda) for error in errors)


def encoded(texts: Mapping[str, SourceText], table: Mapping[str, bytes]) -> tuple[bytes, dict[str, bytes]]:
    """The source and the headers, as NVRTC reads them."""
    content = {name: text.text.encode("utf-8", "surrogateescape") for name, text in texts.items()}
    return content.pop(""), {**table, **content}


def device_marks(texts: Sequence[str]) -> frozenset[str]:
    """The macros that stand for the mark of a device function, in texts that are compiled as one."""
    return macros.device_macros([*texts, torch_headers.TEXT])


def second_names(files: Sequence[UserFile]) -> dict[str, bytes]:
    """The text for each name of a file but the first. NVRTC does not know that two names are one file, which may have
    #pragma once."""
    first: dict[Path, str] = {}
    return {
        file.name: f'#include "{name}"\n'.encode()
        for file in files
        if (name := first.setdefault(file.path.resolve(), file.name)) != file.name
    }


def left_out(texts: Mapping[str, SourceText]) -> str:
    """The lines that were left out, such as ` (lines 3, 7-12)`; of many headers, only how many there are."""
    words: list[str] = []
    headers = [name for name, text in texts.items() if name and text.left_out]
    many = len(headers) > HEADERS_SHOWN
    for name, text in texts.items():
        if name and many:
            continue
        ranges: list[tuple[int, int]] = []
        for first, last in sorted(text.left_out):
            if ranges and first <= ranges[-1][1] + 1:
                ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
            else:
                ranges.append((first, last))
        shown = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
        if len(shown) > RANGES_SHOWN:
            shown[RANGES_SHOWN:] = [f"{len(shown) - RANGES_SHOWN} more"]
        if shown:
            noun = "line" if shown == [str(ranges[0][0])] else "lines"
            words.append(f"{f'{name}: ' if name else ''}{noun} {', '.join(shown)}")
    words += [f"parts of {len(headers)} headers"] if many else []
    return f" ({'; '.join(words)})" if words else ""


def explained(job: Job, answer: Compilation, texts: Mapping[str, SourceText]) -> Compilation:
    """NVRTC's answer with a short sentence for host code; if kernels use what was left out, only with errors about
    that."""
    names_left_out = set().union(*(text.names_left_out for text in texts.values()))
    causes = []
    for error in compiler_errors.errors(answer.log):
        text = texts.get("" if error.file == job.path.name else error.file)
        unknown = NO_NAME.match(error.text)
        if not (text and unknown and unknown[1] in names_left_out):
            continue
        if any(text.of_device(declaration) and not text.fixed(declaration) for declaration in text.path_to(error)):
            message = f'"{unknown[1]}" is host code, and a kernel uses it: {MARK_IT}'
            causes.append(f"{error.file}({error.line}): error: {message}")
    return answer._replace(log="\n".join(dict.fromkeys(causes)) or compiler_errors.shortened(answer.log))


# ---- nvcc


def by_nvcc_or_refused(job: Job, refused: Compilation, *, has_host_code: bool) -> CompilerOutput:
    """The PTX by nvcc. Raises nvcc's errors if there is host code, or what replaces the host's headers; else those of
    NVRTC, which are about the same problem and easier to read."""
    error = refusal(job, refused)
    if not isinstance(error, CompileError):
        raise error
    of_host = compiler_errors.concerns_host(refused.log)
    only_nvrtc = nvrtc.NO_HEADER.search(refused.log) or not (of_host or has_host_code)
    return by_nvcc_or_raise(
        job, error, f"refuses {first_error(refused.log)}", of_host=of_host, only_nvrtc=bool(only_nvrtc)
    )


def by_nvcc_or_raise(job: Job, error: CompileError, why: str, *, of_host: bool, only_nvrtc: bool) -> CompilerOutput:
    """The PTX by nvcc, of a source for which NVRTC has given this error: `why` in short. Raises this error if nvcc is
    missing, or if `only_nvrtc` and nvcc refuses the source too; otherwise nvcc's errors."""
    if job.contained:
        raise CompileError(f"{error} nvcc is not used for untrusted text.") if of_host else error
    try:
        answer = by_nvcc(job, f"NVRTC {why}")
    except ToolMissing as missing:
        raise CompileError(f"{error} nvcc might compile it: {missing}.") if of_host else error from None
    if not isinstance(answer, str):
        return answer
    if only_nvrtc or not compiler_errors.errors(answer):
        raise error
    raise CompileError(nvrtc.diagnosis(answer, job.path, nvcc.description(*nvcc.find()), job.arch))


def by_nvcc(job: Job, why: str) -> CompilerOutput | str:
    """The PTX by nvcc, or its log if it refuses the source. Raises ToolMissing if nvcc or its host compiler is missing.

    `why`: the reason why NVRTC does not compile it.
    """
    tool, compiler = nvcc.find()
    words = nvcc.description(tool, compiler)
    flags, expressions = nvrtc.split(job.flags)

    def make() -> Compilation:
        ptx, log, names = nvcc.compiled(tool, job.source, job.path, nvrtc.options_for(job.arch, flags), expressions)
        lowered = dict(zip(expressions, names, strict=False))
        if ptx is None:
            return Compilation(COMPILATION, "", log, "", {})
        return Compilation(SUCCESS, "", log, nvrtc.FILE.sub(nvrtc.bare_name, ptx), lowered)

    settings = [f"{variable}={os.environ.get(variable)}" for variable in nvcc.VARIABLES]
    headers = tool_hashes.folder_hash(tool.parent.parent / "include")
    code = cache.code_version("toolchain/nvcc.py")
    key = ("nvcc", words, code, tool_hashes.file_hash(tool), headers, *nvrtc.FLAGS, *nvcc.LENIENT, *settings)
    answer = job.remembered(key, job.source, make)
    if answer.status != SUCCESS:
        return answer.log
    return CompilerOutput(answer.ptx, answer.log, next(iter(answer.lowered.values()), None), f"{words}; {why}")


def first_error(log: str) -> str:
    """File, line and text of the first error."""
    errors = compiler_errors.errors(log)
    return f"{errors[0].file}:{errors[0].line}: {errors[0].text}" if errors else "it"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
