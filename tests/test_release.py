"""A release: its required parts, and the README as a package index shows it."""

import pytest

from tools.check_release import ROOT, missing
from tools.readme_for_index import ReadmeHook, absolute

SOURCE = "https://example.org/owner/ptxbench"
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-31\n\n- A change.\n"
URLS = {"urls": {"Source": SOURCE}}
NO_SECTION = "CHANGELOG.md: no dated section '## [{}] - YYYY-MM-DD'"
NO_SOURCE = (
    "pyproject.toml: no Source in [project.urls], the address of the repository. Without it the links of the "
    "README are broken on a package index"
)


# version, changelog, table of the project, the missing parts
RELEASES = [
    ("0.2.0",      CHANGELOG,                               URLS, []),
    ("0.3.0",      CHANGELOG,                               URLS, [NO_SECTION.format("0.3.0")]),
    ("0.2.0",      CHANGELOG.replace(" - 2027-01-31", ""),  URLS, [NO_SECTION.format("0.2.0")]),
    ("0.2.0",      CHANGELOG,                               {},   [NO_SOURCE]),
    ("0.2.0.dev0", CHANGELOG,                               URLS,
     ["ptxbench/__init__.py: expected a version such as 0.1.0, found 0.2.0.dev0", NO_SECTION.format("0.2.0.dev0")]),
]  # fmt: skip


@pytest.mark.parametrize(("version", "changelog", "project", "lines"), RELEASES)
def test_the_missing_parts_of_a_release_are_named(version, changelog, project, lines):
    assert missing(version, changelog, project) == lines


# A link of the README, the same on a package index
LINKS = [
    ("![What `run` prints](docs/run.svg)", f"![What `run` prints]({SOURCE}/raw/HEAD/docs/run.svg)"),
    ("see [the page](docs/ci.md#top).",    f"see [the page]({SOURCE}/blob/HEAD/docs/ci.md#top)."),
    ("[below](#in-ci)",                    "[below](#in-ci)"),
    ("[a site](https://example.com/x)",    "[a site](https://example.com/x)"),
    ("ratio[0] (see below)",               "ratio[0] (see below)"),
]  # fmt: skip


@pytest.mark.parametrize(("link", "expected"), LINKS)
def test_links_of_the_readme_are_absolute_on_a_package_index(link, expected):
    assert absolute(link, SOURCE) == expected


@pytest.mark.parametrize("project", [{}, URLS])
def test_the_readme_of_the_package_has_relative_links_only_where_no_source_is_known(project):
    metadata = dict(project)
    ReadmeHook(str(ROOT), {}).update(metadata)
    assert ("](docs/run.svg)" in metadata["readme"]["text"]) is (project == {})
    assert (f"]({SOURCE}/raw/HEAD/docs/run.svg)" in metadata["readme"]["text"]) is (project == URLS)
