"""The backends, which run builds. BACKENDS is the table of them; base.py says what each must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ptxbench import keywords
from ptxbench.errors import ToolMissing

if TYPE_CHECKING:
    from ptxbench.backends.base import Backend

DEFAULT_ARCH = "sm_90"
"""The emulator's architecture by default: the oldest GPU with every instruction of the shipped kernels."""


def open_gpu(arch: str | None) -> Backend:
    from ptxbench.backends.gpu import GpuBackend

    return GpuBackend()


def open_emulator(arch: str | None) -> Backend:
    from ptxbench.backends.emulator import EmulatorBackend

    return EmulatorBackend(arch or DEFAULT_ARCH)


def instead(reason: str) -> str | None:
    """Why the emulator is used, in a sentence; None on a machine without a GPU, where it is obvious."""
    from ptxbench.backends.device_errors import NO_DRIVER, NONE_VISIBLE, WITHOUT_TIMING

    if reason in (NO_DRIVER, NONE_VISIBLE):
        return None
    return f"{reason.removesuffix(WITHOUT_TIMING).strip()} The emulator runs instead, without timing."


BACKENDS: dict[str, Callable[[str | None], Backend]] = {"gpu": open_gpu, "emulator": open_emulator}
"""By the value of `--backend`; `auto` takes the first that can run."""


def open_backend(name: str, arch: str | None = None, say: Callable[[str], None] = lambda sentence: None) -> Backend:
    """The backend of that name; for `auto`, the first that can run here.

    Raises UsageError for another name, and ToolMissing with the reason if the backend cannot run. `say`: gets the
    reason if a GPU is present but cannot be used.
    """
    keywords.choice("backend", name, ("auto", *BACKENDS))
    reason: str | None = None
    for tried in BACKENDS if name == "auto" else (name,):
        backend = BACKENDS[tried](arch)
        if reason and backend.name == "emulator" and (sentence := instead(reason)):
            say(sentence)
        if (reason := backend.unavailable()) is None:
            return backend
    assert reason is not None
    raise ToolMissing(reason)
