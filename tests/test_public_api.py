"""The public API: docs/api.md lists it, `__all__` of each module is the same, and pair files need nothing else."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/api.md").read_text(encoding="utf-8")
PAIR_FILES = [*ROOT.glob("kernels/pairs/*.py"), *ROOT.glob("ptxbench/template/pairs/*.py")]


def documented():
    """Modules, and the names of each that the page lists: members, and the types of arguments in a sentence."""
    blocks = re.findall(r"automodule:: (\S+)\n +:members: (.*)", PAGE)
    names = {module: set(members.split(", ")) for module, members in blocks}
    [types] = re.findall(r"The types of arguments are (.*?),\s+named", PAGE, re.S)
    names["ptxbench.pair"] |= set(re.findall(r"`(\w+)`", types))
    return names


@pytest.mark.parametrize("module", sorted(documented()))
def test_the_page_lists_exactly_the_public_names_of_a_module(module):
    assert documented()[module] == set(import_module(module).__all__)


@pytest.mark.parametrize("path", PAIR_FILES, ids=lambda path: path.name)
def test_a_pair_file_imports_only_public_names(path):
    imports = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom)]
    for node in imports:
        if node.module.startswith("ptxbench"):
            assert {alias.name for alias in node.names} <= documented()[node.module]
