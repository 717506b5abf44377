"""The options of the commands that judge kernels for other programs, `serve` and `mcp`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ptxbench.cli._device import memory_option, timeout_option
from ptxbench.cli._kernels import kernels_option


def service_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--timeout, --memory and --kernels, as `timeout`, `memory` and `kernels`."""
    timeout = timeout_option("Stop the judgement of a kernel after this time; the kernel is then rejected.", 120.0)
    kernels = kernels_option("Take the pairs from this folder: it holds pairs/, cuda/ and ptx/.")
    return timeout(memory_option(kernels(command)))
