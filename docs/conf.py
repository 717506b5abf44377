"""Sphinx: the documentation site, from the pages of this folder. `make site` builds it; a warning fails it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from ptxbench import __version__

project = "ptxbench"
release = version = __version__
project_copyright = "the authors of ptxbench"
html_title = f"ptxbench {version}"
html_theme = "furo"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["_build"]

myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # pages of GitHub may begin a section at any level

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_class_signature = "separated"

default_role = "code"
