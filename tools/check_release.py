"""Print what a release still lacks, one item per line: `python -m tools.check_release`. Exit status 1 if it lacks any.

It reads the clone only. The recipe of a release in CONTRIBUTING.md says when to run it.
"""

import re
import sys
from pathlib import Path

import ptxbench
from tools.metadata_for_index import source_of

ROOT = Path(__file__).parents[1]


def missing(version: str, changelog: str, source: str | None) -> list[str]:
    """The missing parts of a release of this version. `source`: the address of the repository, if it is known."""
    lines = []
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        lines.append(f"ptxbench/__init__.py: expected a version such as 0.1.0, found {version}")
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.M):
        lines.append(f"CHANGELOG.md: no dated section '## [{version}] - YYYY-MM-DD'")
    if source is None:
        lines.append(
            "git remote: 'origin' has no address of https:// or SSH, such as https://example.org/owner/ptxbench. "
            "Without it the package has no address of its repository, and the links of its README are broken on a "
            "package index"
        )
    return lines


def main() -> int:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    lines = missing(ptxbench.__version__, changelog, source_of(ROOT))
    print("\n".join(lines) or f"Nothing is missing for a release of {ptxbench.__version__}.")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
