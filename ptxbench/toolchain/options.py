"""How a CUDA C file is compiled: the options -I, -D, --std, --flag and --entry of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptxbench import kernel_names
from ptxbench.errors import UsageError, suggestion
from ptxbench.languages import CUDA, PTX
from ptxbench.toolchain.kernel_templates import KernelTemplate, kernel_templates

STANDARDS = ("c++17", "c++20", "c++23")
"""The values of --std: libcu++ needs at least C++17."""

EXPRESSION = "--name-expression="
"""The option before a kernel to instantiate, such as ns::k<float, 4>. An option of ptxbench, not of NVRTC."""

DEFINE = re.compile(r"[A-Za-z_]\w*(\(\w*(,\s*\w+)*\))?(=.*)?", re.S)


@dataclass(frozen=True)
class SourceOptions:
    """Options of one command for the .cu files that it reads. `entry`: the kernel, also for a .ptx file.

    Raises UsageError for a value that no compiler can take.
    """

    entry: str | None = None
    include: tuple[Path, ...] = ()
    """Folders to search for #include, first to last."""
    defines: tuple[str, ...] = ()
    """Macros: NAME or NAME=VALUE."""
    standard: str | None = None
    flags: tuple[str, ...] = ()
    """Further options of NVRTC."""

    def __post_init__(self) -> None:
        for folder in self.include:
            if not folder.is_dir():
                raise UsageError(f"-I {folder}: {'this is not a folder' if folder.exists() else 'no such folder'}.")
        for define in self.defines:
            if not DEFINE.fullmatch(define):
                raise UsageError(f"-D '{define}': expected NAME or NAME=VALUE, such as BLOCK=256.")
        if self.standard and self.standard not in STANDARDS:
            hint = suggestion(self.standard, STANDARDS) or f" Expected {', '.join(STANDARDS)}."
            raise UsageError(f"--std: unknown standard '{self.standard}'.{hint}")

    @property
    def first_cuda_option(self) -> str | None:
        """The first option that only CUDA C can have, as on the command line; None if there is none."""
        by_option = {"-I": self.include, "-D": self.defines, "--std": self.standard, "--flag": self.flags}
        return next((name for name, value in by_option.items() if value), None)

    @property
    def first_option(self) -> str | None:
        """The first option that was given, as on the command line; None if there is none."""
        return "--entry" if self.entry else self.first_cuda_option

    @property
    def words(self) -> tuple[str, ...]:
        """The options as on the command line."""
        by_option = {
            "--entry": [self.entry] if self.entry else [],
            "-I": self.include,
            "-D": self.defines,
            "--std": [self.standard] if self.standard else [],
            "--flag": self.flags,
        }
        return tuple(word for name, values in by_option.items() for value in values for word in (name, str(value)))

    def for_file(self, path: Path, paths: Iterable[Path]) -> SourceOptions:
        """The options of one file of a command with these files: those of CUDA C are for the .cu files, if there are
        any."""
        are_for_others = path.suffix == PTX.suffix and any(other.suffix == CUDA.suffix for other in paths)
        return SourceOptions(self.entry) if are_for_others else self

    def flags_for(self, content: bytes, folder: Path) -> tuple[str, ...]:
        """All of them as options of `toolchain.compiled` and `toolchain.build`, for CUDA C that was read in
        `folder`."""
        standard = (f"--std={self.standard}",) if self.standard else ()
        instantiation = kernel_names.expression(self.entry) if self.entry else None
        return (
            *standard,
            *(f"-I{folder.absolute()}" for folder in self.include),
            *(f"-D{define}" for define in self.defines),
            *self.flags,
            *(
                [EXPRESSION + qualified(instantiation, kernel_templates(content, folder, self.include))]
                if instantiation
                else []
            ),
        )


def qualified(expression: str, templates: Sequence[KernelTemplate]) -> str:
    """An instantiation with the namespace of its template, if it is written without one and one template fits."""
    name = expression.partition("<")[0].strip()
    names = [template.name for template in templates if template.name.split("::")[-1] == name]
    return expression.replace(name, names[0], 1) if len(names) == 1 and name not in names else expression


AS_IT_IS = SourceOptions()
"""No option at all."""


def include_folders(flags: Iterable[str]) -> list[Path]:
    """The folders of the options -IDIR among `flags`."""
    return [Path(flag[2:]) for flag in flags if flag.startswith("-I") and len(flag) > 2]


def defined_macros(flags: Iterable[str]) -> set[str]:
    """The names of the options -DNAME and -DNAME=VALUE among `flags`."""
    return {re.split(r"[=(]", flag[2:])[0].strip() for flag in flags if flag.startswith("-D")}
