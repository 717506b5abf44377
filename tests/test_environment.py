"""The environment that a run records."""

import platform
import subprocess

import pytest

import ptxbench
from ptxbench import environment
from ptxbench.run_info import SourceInfo, ToolInfo


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one committed kernel in kernels/, and git with no configuration of the user's."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "scale.ptx").write_text(".version 6.3\n")
    (tmp_path / "other.py").write_text("")
    run_git(tmp_path, "init", "-q")
    run_git(tmp_path, "add", ".")
    run_git(tmp_path, "-c", "user.name=n", "-c", "user.email=e", "commit", "-q", "-m", "m")
    return tmp_path


def run_git(folder, *arguments):
    return subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_the_tool_is_its_version_and_its_protocol():
    assert environment.tool() == ToolInfo(ptxbench.__version__, 1)


def test_the_source_is_the_commit_of_the_kernels(repository):
    commit = run_git(repository, "rev-parse", "HEAD")
    assert environment.source(repository / "kernels") == SourceInfo(commit, dirty=False)


CHANGES = [
    ("kernels/scale.ptx", True),   # the kernel itself
    ("kernels/new.ptx",   True),   # git has never seen it, and the commit lacks it
    ("other.py",          True),   # the tool may be in the same repository
    ("results/run.json",  False),  # a saved run does not make the source dirty
]  # fmt: skip


@pytest.mark.parametrize(("path", "dirty"), CHANGES)
def test_the_source_is_dirty_where_the_files_differ_from_the_commit(repository, path, dirty):
    (repository / path).parent.mkdir(exist_ok=True)
    (repository / path).write_text("changed\n")
    assert environment.source(repository / "kernels").dirty is dirty


def test_a_repository_around_an_installation_is_not_its_source(repository):
    installed = repository / ".venv" / "kernels"
    installed.mkdir(parents=True)
    (repository / ".gitignore").write_text(".venv\n")
    (installed / "scale.ptx").write_text("")
    assert environment.source(installed) == SourceInfo()


def test_without_a_commit_or_a_repository_or_git_the_source_is_not_known(tmp_path, monkeypatch):
    unknown = SourceInfo()
    assert environment.source(tmp_path) == unknown
    assert environment.source(tmp_path / "gone") == unknown
    run_git(tmp_path, "init", "-q")
    (tmp_path / "new.ptx").write_text("")
    run_git(tmp_path, "add", "new.ptx")
    assert environment.source(tmp_path) == unknown
    monkeypatch.setenv("PATH", "/nowhere")
    assert environment.source(tmp_path) == unknown


def test_the_host_is_described_without_a_user_or_a_host_name(monkeypatch):
    for variable in ("USER", "LOGNAME", "HOSTNAME"):
        monkeypatch.setenv(variable, "somebodys")
    monkeypatch.setattr(platform, "node", lambda: "somebodys")
    host = environment.host()
    assert host.python == platform.python_version()
    assert host.os.startswith(platform.system())
    assert host.cpu
    assert "somebodys" not in str(host)


def test_a_kernels_release_that_names_its_builder_is_cut_to_its_number(monkeypatch):
    monkeypatch.setattr(platform, "release", lambda: "6.8.0-45-alices-laptop")
    assert "6.8.0 " in environment.host().os
    assert "alice" not in environment.host().os


def test_a_processor_that_the_system_does_not_name_is_its_architecture(monkeypatch):
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_, **__: "processor: 0\n")
    monkeypatch.setattr(platform, "processor", lambda: "")
    assert environment.processor() == platform.machine()


def test_memory_is_limited_to_the_containers_share(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "CONTAINER_LIMIT", tmp_path / "memory.max")
    all_memory = environment.memory_bytes()
    assert all_memory > 1 << 28
    for written, memory in (("max\n", all_memory), ("4096\n", 4096), (f"{2**62}\n", all_memory)):
        (tmp_path / "memory.max").write_text(written)
        assert environment.memory_bytes() == memory
