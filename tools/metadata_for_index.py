"""A hook of Hatch: what a package index shows of the repository, its addresses and the README.

The repository does not know its own address, so it is that of the remote `origin` of the clone from which the package
is built. Relative links of the README do not work on a package index, so they become absolute. Both have the form of
GitHub. Without an address there are no links to the repository, and the README stays as it is.
"""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(!?)(\[[^\]]*\]\()(?!https?://|#)")

REMOTE = re.compile(
    r"(?:https://(?:[^@/]*@)?(?P<https>[\w.-]+(?::\d+)?)/"
    r"|ssh://(?:[^@/]*@)?(?P<ssh>[\w.-]+)(?::\d+)?/"
    r"|[^@/:]+@(?P<scp>[\w.-]+):/?)"
    r"(?P<path>.+?)(?:\.git)?/?"
)
"""A remote that others can reach, with HTTPS or SSH: `git@host:path` is SSH too."""


def absolute(text: str, source: str) -> str:
    """The Markdown with links to the repository at `source` in place of relative ones: pictures raw, files as pages."""
    return RELATIVE.sub(lambda link: f"{link[1]}{link[2]}{source}/{'raw' if link[1] else 'blob'}/HEAD/", text)


def page_of(remote: str) -> str | None:
    """The page of a remote of Git on the web, without the name or password of a user; None if it is not an address of
    HTTPS or SSH, such as a folder."""
    match = REMOTE.fullmatch(remote)
    return f"https://{match['https'] or match['ssh'] or match['scp']}/{match['path']}" if match else None


def source_of(root: Path) -> str | None:
    """The page of the repository whose clone is the folder `root`; None if it is not known."""
    if not (root / ".git").exists() or not (git := shutil.which("git")):
        return None
    git_remote = subprocess.run([git, "-C", str(root), "remote", "get-url", "origin"], capture_output=True, text=True)
    return page_of(git_remote.stdout.strip())


def urls_of(source: str | None) -> dict[str, str]:
    """The table `[project.urls]` of a repository with this page."""
    if source is None:
        return {}
    return {"Source": source, "Issues": f"{source}/issues", "Changelog": f"{source}/blob/HEAD/CHANGELOG.md"}


class IndexHook(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        text, source = (root / "README.md").read_text(encoding="utf-8"), source_of(root)
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, source) if source else text}
        metadata["urls"] = urls_of(source)
