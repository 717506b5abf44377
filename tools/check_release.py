"""Print what a release still lacks, one item per line: `python -m tools.check_release`. Exit status 1 if it lacks any.

It reads the repository only. The recipe of a release in CONTRIBUTING.md says when to run it.
"""

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import ptxbench

ROOT = Path(__file__).parents[1]


def missing(version: str, changelog: str, project: dict[str, Any]) -> list[str]:
    """The missing parts of a release of this version. `project`: the table [project] of pyproject.toml."""
    lines = []
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        lines.append(f"ptxbench/__init__.py: expected a version such as 0.1.0, found {version}")
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.M):
        lines.append(f"CHANGELOG.md: no dated section '## [{version}] - YYYY-MM-DD'")
    if "Source" not in project.get("urls", {}):
        lines.append(
            "pyproject.toml: no Source in [project.urls], the address of the repository. Without it the links of the "
            "README are broken on a package index"
        )
    return lines


def main() -> int:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = missing(ptxbench.__version__, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), project)
    print("\n".join(lines) or f"Nothing is missing for a release of {ptxbench.__version__}.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
