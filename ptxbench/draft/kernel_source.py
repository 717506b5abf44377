"""The kernel that a draft is made from, as its file has it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ptxbench import kernel_names
from ptxbench.draft import cuda
from ptxbench.emulator.syntax import Function
from ptxbench.emulator.variables import reads_workspace
from ptxbench.errors import UsageError
from ptxbench.exec_program import ExecProgram
from ptxbench.toolchain import cuda_c, parameters
from ptxbench.toolchain.options import SourceOptions
from ptxbench.toolchain.parameters import CudaParameter
from ptxbench.toolchain.user_files import UserFile, user_files

UNNAMED = "(anonymous namespace)::"


@dataclass(frozen=True)
class KernelSource:
    """A kernel of a file, unchanged."""

    path: Path
    text: str
    program: ExecProgram
    function: Function
    options: SourceOptions

    @property
    def displayed(self) -> str:
        return kernel_names.short(self.function.name)

    @property
    def plain_name(self) -> str:
        """The name without namespace and template arguments."""
        return kernel_names.unqualified(self.qualified_name)

    @property
    def qualified_name(self) -> str:
        """The name without template arguments, as the file can call it."""
        return kernel_names.without_arguments(self.displayed).replace(UNNAMED, "")

    @property
    def is_template(self) -> bool:
        return self.displayed.endswith(">")

    @property
    def is_unnamed(self) -> bool:
        """Whether the kernel is in an unnamed namespace, itself or by a template argument."""
        return UNNAMED in self.displayed

    @property
    def dynamic(self) -> bool:
        """Whether the file has shared memory whose size the launch decides."""
        variables = self.program.module.variables.values()
        return any(variable.count is None and variable.space == "shared" for variable in variables)

    @property
    def cooperative(self) -> bool:
        """Whether the kernel waits for the whole grid."""
        return reads_workspace(self.program.module, self.function)

    def device_marks(self) -> frozenset[str]:
        """The macros that stand for the mark of a device function."""
        return cuda_c.device_marks(
            [self.text, *(header.content.decode("utf-8", "replace") for header in self.headers())]
        )

    def headers(self) -> list[UserFile]:
        """The user's files that the file includes; none if a macro names one."""
        return user_files(self.text.encode(), self.path.parent, self.options.include) or []

    def parameters(self) -> tuple[CudaParameter, ...]:
        """The parameters as the compiler reads them. Raises UsageError if it gives no debugging information."""
        for text in (self.text, cuda.without_bodies(self.text)):  # with -G, NVRTC refuses some bodies
            by_kernel = parameters.of_source(text.encode(), self.path, self.program.arch, self.program.flags)
            declared = by_kernel.get(parameters.key(self.function.name))
            if declared is not None and len(declared) == len(self.function.params):
                return declared
        raise UsageError(
            f"{self.path.name}: the parameters of '{self.displayed}' could not be read, because the compiler gives no "
            "debugging information for this file. Use `ptxbench new` without --from, and copy the kernel."
        )
