"""A release: its required parts, and the README as a package index shows it."""

import shutil
import subprocess

import pytest

from tools.check_release import ROOT, missing
from tools.metadata_for_index import IndexHook, absolute, page_of

SOURCE = "https://example.org/owner/ptxbench"
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-31\n\n- A change.\n"
NO_SECTION = "CHANGELOG.md: no dated section '## [{}] - YYYY-MM-DD'"
NO_SOURCE = (
    "git remote: 'origin' has no address of https:// or SSH, such as https://example.org/owner/ptxbench. Without it "
    "the package has no address of its repository, and the links of its README are broken on a package index"
)


# version, changelog, address of the repository, the missing parts
RELEASES = [
    ("0.2.0",      CHANGELOG,                               SOURCE, []),
    ("0.3.0",      CHANGELOG,                               SOURCE, [NO_SECTION.format("0.3.0")]),
    ("0.2.0",      CHANGELOG.replace(" - 2027-01-31", ""),  SOURCE, [NO_SECTION.format("0.2.0")]),
    ("0.2.0",      CHANGELOG,                               None,   [NO_SOURCE]),
    ("0.2.0.dev0", CHANGELOG,                               SOURCE,
     ["ptxbench/__init__.py: expected a version such as 0.1.0, found 0.2.0.dev0", NO_SECTION.format("0.2.0.dev0")]),
]  # fmt: skip


@pytest.mark.parametrize(("version", "changelog", "source", "lines"), RELEASES)
def test_the_missing_parts_of_a_release_are_named(version, changelog, source, lines):
    assert missing(version, changelog, source) == lines


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


# A remote of Git, its page on the web
REMOTES = [
    ("https://example.org/owner/ptxbench.git",           SOURCE),
    ("https://example.org/owner/ptxbench/",              SOURCE),
    ("https://name:secret@example.org/owner/ptxbench",   SOURCE),
    ("https://example.org:8443/owner/ptxbench",          "https://example.org:8443/owner/ptxbench"),
    ("git@example.org:owner/ptxbench.git",               SOURCE),
    ("ssh://git@example.org:2222/owner/ptxbench.git",    SOURCE),
    ("https://example.org/group/part/ptxbench",          "https://example.org/group/part/ptxbench"),
    ("http://example.org/owner/ptxbench",                None),
    ("/srv/git/ptxbench.git",                            None),
    ("../ptxbench",                                      None),
    ("file:///srv/git/ptxbench.git",                     None),
    ("",                                                 None),
]  # fmt: skip


@pytest.mark.parametrize(("remote", "page"), REMOTES)
def test_the_address_of_the_repository_is_the_page_of_a_remote(remote, page):
    assert page_of(remote) == page


@pytest.mark.parametrize("remote", ["", "git@example.org:owner/ptxbench.git"])
def test_the_package_has_the_address_of_the_clone_from_which_it_is_built(tmp_path, remote):
    shutil.copy(ROOT / "README.md", tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    if remote:
        subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", remote], check=True)
    metadata = {}
    IndexHook(str(tmp_path), {}).update(metadata)
    text = metadata["readme"]["text"]
    assert metadata["urls"].get("Source") == (SOURCE if remote else None)
    assert ("](docs/run.svg)" in text) is (not remote)
    assert (f"]({SOURCE}/raw/HEAD/docs/run.svg)" in text) is bool(remote)


def test_a_package_built_from_no_clone_has_no_address(tmp_path):
    shutil.copy(ROOT / "README.md", tmp_path)
    metadata = {}
    IndexHook(str(tmp_path), {}).update(metadata)
    assert metadata["urls"] == {}
