"""Finds kernel pairs by the names of their files, and loads the requested ones.

Knows the layout of a folder of kernels (`pairs/NAME.py`, `cuda/NAME.cu`, `ptx/NAME.ptx`, ...), but not what is done
with a pair. Imports no NumPy until a pair is loaded, so that finding pairs is quick.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import ptxbench
from ptxbench.device_shape import DeviceShape
from ptxbench.discovery.specialisation import (
    best_target,
    order,
    other_architecture,
    require_matching_target,
    split,
    target,
)
from ptxbench.documents import display_value
from ptxbench.errors import IncompletePair, NoSuchPair, PairError, UsageError, suggestion
from ptxbench.languages import LANGUAGES, REQUIRED, has_own_threads
from ptxbench.result import LIBRARY

if TYPE_CHECKING:
    from ptxbench.discovery.text import PairText
    from ptxbench.libraries import Gemm
    from ptxbench.pair import Launch, Pair

SUFFIXES = {language.name: language.suffix for language in REQUIRED.values()}
"""The file suffix of each language that a pair needs; its folder has the language's name."""
BY_SUFFIX = {suffix: language for language, suffix in SUFFIXES.items()}


@dataclass(frozen=True)
class Source:
    """One variant of a pair: a file, its entry, its options of NVRTC, and changed values of its knobs."""

    variant: str
    """`cuda`, `ptx`, `cuda.passes`, `cuda@fast`, `cuda.passes@fast`, ..."""
    language: str
    path: Path
    entry: str
    flags: tuple[str, ...] = ()
    defines: tuple[tuple[str, int], ...] = ()
    """Values of the pair's knobs that differ from those in the file."""
    specialisations: tuple[tuple[str, Path], ...] = ()
    """Targets with their own file (NAME.sm_90a.ptx), and these files."""
    contained: bool = False
    """Whether the text is not trusted, so that NVRTC may read only CUDA's headers."""
    library: Gemm | None = None
    """The call of a vendor's library, if this is one instead of a kernel; `path` is then the pair's file."""
    launch: Launch | None = None
    """Its own launch, if it is not that of the pair."""
    signature: tuple[tuple[str, str], ...] = ()
    """Name and type of each argument (`Pair.signature`), if in this language the pair decides them."""

    def on(self, arch: str) -> Source:
        """The variant with its file for `arch`."""
        files = dict(self.specialisations)
        chosen = best_target(files, arch)
        return replace(self, path=files[chosen] if chosen else self.path, specialisations=())

    @property
    def forms(self) -> tuple[Source, ...]:
        """The variant with its plain file, and with each of its specialised files."""
        return tuple(replace(self, path=path, specialisations=()) for path in dict.fromkeys(self.files))

    @property
    def files(self) -> tuple[Path, ...]:
        return (self.path, *(path for _, path in self.specialisations))


@dataclass(frozen=True)
class LoadedPair:
    """A loaded pair, with the variants of its files."""

    name: str
    summary: str
    pair: Pair
    sources: tuple[Source, ...]
    path: Path
    open_question: str | None = None
    """The first open question of the pair file. Such a pair has kernels that can be built, but it cannot be run."""

    @property
    def libraries(self) -> tuple[Source, ...]:
        """The calls of vendors' libraries that a GPU runs with the variants: `library.cublas`."""
        return tuple(
            Source(f"{LIBRARY}.{name}", LIBRARY, self.path, name, library=call)
            for name, call in self.pair.libraries.items()
        )

    @property
    def default_sources(self) -> tuple[Source, ...]:
        """The variants of a run by default."""
        return tuple(source for source in self.sources if source.variant not in self.pair.by_request)

    @property
    def right_sources(self) -> tuple[Source, ...]:
        """The variants of a run by default whose results are right."""
        return tuple(source for source in self.default_sources if source.variant not in self.pair.must_fail)

    def arch(self, usual: str, *, any_gpu: bool) -> str:
        """The architecture to build for if the user named none: `usual`, or what the pair's PTX exists for.

        `any_gpu`: whether that may be another GPU than `usual` says, as on the emulator.
        """
        ptx_source = next((source for source in self.sources if source.variant == "ptx"), None)
        targets = dict(ptx_source.specialisations) if ptx_source else {}
        return (
            other_architecture(targets, usual, any_gpu=any_gpu)
            if ptx_source and ptx_source.path in targets.values()
            else usual
        )

    @property
    def targets(self) -> dict[str, str | None]:
        """The lowest architecture of each PTX variant, by name; None if the file names none.

        Raises PairError if a file cannot be read.
        """
        ptx_sources = [source for source in self.sources if source.language == "ptx"]
        return {source.variant: target(display_path(source.path)) for source in ptx_sources}


KERNELS_VARIABLE = "PTXBENCH_KERNELS"
"""The environment variable that names a folder of kernels."""


def default_kernels() -> Path:
    """The kernels that ptxbench ships: inside an installed wheel; otherwise next to the package."""
    package = Path(ptxbench.__file__).parent
    in_package = package / "kernels"
    return in_package if in_package.is_dir() else package.parent / "kernels"


def chosen_kernels(kernels: str | Path | None) -> Path:
    """The folder for the argument `kernels` of the Python API: by default that of PTXBENCH_KERNELS, else the one that
    ptxbench ships. Raises UsageError if the argument is not a path."""
    if kernels is not None and not isinstance(kernels, str | os.PathLike):
        raise UsageError(f"kernels is {display_value(kernels)}; expected the path of a folder.")
    chosen = kernels or os.environ.get(KERNELS_VARIABLE)
    return Path(chosen) if chosen else default_kernels()


def find_pairs(kernels: Path) -> tuple[str, ...]:
    """The names of all pairs under `kernels`, sorted. Nothing is executed.

    A kernel file without a pair file counts as a pair, so that loading it reports what is missing. Raises UsageError if
    there is nothing to find.
    """
    if not kernels.is_dir():
        problem = f"{kernels} is not a folder" if kernels.exists() else f"Folder {kernels} does not exist"
        raise UsageError(f"{problem}. Choose one that holds pairs/, cuda/ and ptx/.")
    pairs = set(stems(kernels / "pairs", ".py"))
    files = [stem for language in LANGUAGES.values() for stem in stems(kernels / language.name, language.suffix)]
    orphans = {stem.partition(".")[0] for stem in files if owner(stem, pairs) is None}
    if not pairs | orphans:
        raise UsageError(f"{kernels} holds no pairs. A pair is pairs/NAME.py, cuda/NAME.cu and ptx/NAME.ptx.")
    return tuple(sorted(pairs | orphans))


def stems(folder: Path, suffix: str) -> list[str]:
    """The names of the files of `folder` without `suffix`; hidden and private ones (`.x`, `_x`) are left out.

    Empty if there is no such folder. Raises UsageError if it cannot be read.
    """
    try:
        names = os.listdir(folder)  # noqa: PTH208  a listing asks three times a pair, and pathlib takes four times as long
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UsageError(f"Cannot read {display_path(folder)}: {error.strerror}.") from None
    return sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix) and name[0] not in "._")


def owner(stem: str, names: Collection[str]) -> str | None:
    """The longest of `names` that is `stem` or a dotted prefix of it; None if there is none."""
    parts = stem.split(".")
    return next((name for i in range(len(parts), 0, -1) if (name := ".".join(parts[:i])) in names), None)


def choose_pairs(kernels: Path, patterns: Iterable[str]) -> tuple[str, ...]:
    """The pairs under `kernels` that match a name or glob of `patterns`; every pair without patterns.

    Raises UsageError as `find_pairs` and `select` do; the message names the folder unless it is that of ptxbench,
    and another folder that has the pair.
    """
    from ptxbench.discovery import suggestions

    where = "" if kernels == default_kernels() else f" in '{display_path(kernels)}'"
    return select(find_pairs(kernels), patterns, where=where, hint=lambda pattern: suggestions.hint(pattern, kernels))


MOST_NAMED = 4
"""The most pairs that are listed if a pattern matches several."""


def choose_pair(kernels: Path, pattern: str) -> str:
    """The only pair that a name or glob matches. Raises UsageError as `choose_pairs` does, and if several match."""
    names = choose_pairs(kernels, [pattern])
    if len(names) > 1:
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        raise UsageError(f"'{pattern}' matches {len(names)} pairs: {', '.join(names[:MOST_NAMED])}{more}. Name one.")
    return names[0]


def select(
    known: Sequence[str],
    patterns: Iterable[str],
    noun: str = "pair",
    *,
    where: str = "",
    hint: Callable[[str], str] = lambda pattern: "",
) -> tuple[str, ...]:
    """The names of `known` that match a name or glob of `patterns`, in the order of `known`; all without patterns.

    Raises UsageError if a pattern matches nothing; it says `where`, and the `hint`, a near name, or all names.
    """
    wanted: set[str] = set()
    for pattern in patterns:
        matches = {name for name in known if fnmatchcase(name, pattern)}
        if not matches:
            advice = hint(pattern) or several(pattern, known, noun) or suggestion(pattern, known)
            advice = advice or f" Known are {', '.join(known)}."
            message = f"Unknown {noun} '{pattern}'{where}.{advice}"
            raise NoSuchPair(message, pattern) if noun == "pair" else UsageError(message)
        wanted |= matches
    return tuple(name for name in known if not wanted or name in wanted)


def several(pattern: str, known: Sequence[str], noun: str) -> str:
    """A sentence if the pattern is more than one known name in one word."""
    names = re.split(r"[,;\s]+", pattern.strip())
    if len(names) < 2 or not set(names) <= set(known):
        return ""
    return f" Write {' '.join(names)}." if noun == "pair" else " Repeat the option for each name."


def load(
    kernels: Path,
    name: str,
    device: DeviceShape = DeviceShape(),  # noqa: B008  it is frozen
    *,
    unfinished: bool = False,
) -> LoadedPair:
    """Execute `pairs/NAME.py`, check its PAIR with its sizes on `device`, and list the variants of the pair.

    `unfinished`: accept a pair with open questions, whose other fields are then not checked.

    Raises IncompletePair if one of the three files is missing, PairError for everything else that is wrong with
    the pair file, naming file, line and what to do.
    """
    from ptxbench.discovery.execute import execute
    from ptxbench.discovery.knobs import check_knobs
    from ptxbench.discovery.questions import open_question, require_answers
    from ptxbench.discovery.text import PairText
    from ptxbench.discovery.validate import check, check_for_builds

    path = require_files(kernels, name)
    text = PairText.read(path)
    pair = execute(text, device)
    if unfinished and (question := open_question(pair, text)):
        check_for_builds(pair, text)
        return LoadedPair(name, text.summary, pair, sources(kernels, name, pair.flags, pair.signature), path, question)
    require_answers(pair, text)
    check(pair, text)
    variants = sources(kernels, name, pair.flags, pair.signature)
    for field in ("by_request", "must_fail", "launches"):
        require_known(field, getattr(pair, field), variants, text)
    require_own_launches(pair, variants, text)
    require_no_structs(pair, variants, text)
    # A kernel whose compiler chooses its threads need not use a knob of threads.
    shared = [source for source in variants if not has_own_threads(source.language)]
    check_knobs(pair, tuple(form for source in shared for form in source.forms))
    return LoadedPair(name, text.summary, pair, variants, path)


def require_known(field: str, names: Iterable[str], variants: Sequence[Source], text: PairText) -> None:
    """Raise PairError for a variant that a field of the pair names, and that has no file."""
    known = [source.variant for source in variants]
    for name in names:
        if name not in known:
            hint = suggestion(name, known) or f" Known are {', '.join(known)}."
            raise PairError(f"{text.at_field(field)}: {field} names '{name}', which no file defines.{hint}")


def require_own_launches(pair: Pair, variants: Sequence[Source], text: PairText) -> None:
    """Raise PairError for a variant whose compiler chooses the threads of a CTA, and that has no fitting launch."""
    for source in variants:
        if not has_own_threads(source.language):
            continue
        wanted = f"launches={{'{source.variant}': lambda ...: Launch(grid=..., block=1)}}"
        why = "its compiler chooses the threads and the shared memory"
        if source.variant not in pair.launches:
            raise PairError(
                f"{text.at_field('launches')}: launches lacks '{source.variant}', which {display_path(source.path)} "
                f"makes: {why}. Write {wanted}."
            )
        for size in (*pair.check_sizes, *pair.bench_sizes):
            launch = pair.launch_of(source.variant)(**size)
            if (launch.block_xyz, launch.shared_bytes, launch.cluster) != ((1, 1, 1), 0, None):
                raise PairError(
                    f"{text.at_field('launches')}: the launch of '{source.variant}' is {launch!r}. Expected a grid, "
                    f"and a block of 1: {why}."
                )


def require_no_structs(pair: Pair, variants: Sequence[Source], text: PairText) -> None:
    """Raise PairError for a variant in Python if the pair has a Struct, which no kernel in Python can take."""
    for source in variants:
        if pair.structs and LANGUAGES[source.language].typed_by_pair:
            raise PairError(
                f"{text.at_field('args')}: a pair with a Struct can have no kernel in Python, but "
                f"{display_path(source.path)} is one. Remove it, or pass the struct's members as parameters."
            )


def require_files(kernels: Path, name: str) -> Path:
    """The pair file of `name`. Raises IncompletePair if it or one of the two kernels is missing.

    The PTX may exist for some targets only: NAME.sm_90a.ptx without NAME.ptx.
    """
    path = kernels / "pairs" / f"{name}.py"
    needed = [path, *(kernels / language / f"{name}{suffix}" for language, suffix in SUFFIXES.items())]
    special = (split(stem) for stem in stems(kernels / "ptx", ".ptx"))
    if any(base == name and target for base, target in special):
        needed.remove(kernels / "ptx" / f"{name}.ptx")
    if missing := [display_path(file) for file in needed if not file.is_file()]:
        raise IncompletePair(name, missing)
    return path


def sources(
    kernels: Path, name: str, flags: Mapping[str, Sequence[str]], signature: tuple[tuple[str, str], ...] = ()
) -> tuple[Source, ...]:
    """Every variant of the pair: each file with its name, and each CUDA C file once more for each of `flags`.

    `signature`: of the pair, for languages in which the pair decides the types of parameters.

    A PTX file whose name ends in a target is a specialisation of the variant without it, which may have no other file.
    Raises PairError if the file is not for that target.
    """
    names = stems(kernels / "pairs", ".py")
    entry = name.replace(".", "_")
    result = []
    for language, suffix, typed in ((item.name, item.suffix, item.typed_by_pair) for item in LANGUAGES.values()):
        types = signature if typed else ()
        stems_of_pair = [stem for stem in stems(kernels / language, suffix) if owner(stem, names) == name]
        variants: dict[str, dict[str, Path]] = {}
        for stem in stems_of_pair:
            base, target = split(stem) if language == "ptx" and stem != name else (stem, "")
            path = kernels / language / f"{stem}{suffix}"
            if target:
                require_matching_target(display_path(path), target)
            variants.setdefault(language + base.removeprefix(name), {})[target] = path
        rows = {"": (), **flags} if language == "cuda" else {"": ()}
        for variant, files in sorted(variants.items()):
            special = tuple((target, files[target]) for target in sorted(files.keys() - {""}, key=order))
            plain = files.get("") or special[0][1]
            result += [
                Source(
                    f"{variant}@{flag}" if flag else variant,
                    language,
                    plain,
                    entry,
                    tuple(options),
                    specialisations=special,
                    signature=types,
                )
                for flag, options in rows.items()
            ]
    return tuple(result)


def display_path(path: Path) -> Path:
    """`path` as a message should show it: relative to the current folder if it is below that."""
    try:
        return path.resolve().relative_to(Path.cwd())
    except (ValueError, OSError, RuntimeError):  # RuntimeError: a link to itself, before Python 3.13
        return path
