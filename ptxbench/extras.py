"""Packages that ptxbench does not install by itself."""

from __future__ import annotations

import importlib.util

from ptxbench.errors import ToolMissing


def require_extra(extra: str, *modules: str) -> None:
    """Raises ToolMissing if a module of an extra is not installed; imports nothing."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise ToolMissing(f"The package {module} is not installed: pip install 'ptxbench[{extra}]'.")
