"""A hook of Hatch: the README as a package index shows it. Relative links do not work there, so they become absolute.

The links point to `Source` of `[project.urls]`, in GitHub's form. Without a Source the README stays as it is.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(!?)(\[[^\]]*\]\()(?!https?://|#)")


def absolute(text: str, source: str) -> str:
    """The Markdown with links to the repository at `source` in place of relative ones: pictures raw, files as pages."""
    return RELATIVE.sub(lambda link: f"{link[1]}{link[2]}{source}/{'raw' if link[1] else 'blob'}/HEAD/", text)


class ReadmeHook(MetadataHookInterface):
    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        source = metadata.get("urls", {}).get("Source")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, source) if source else text}
