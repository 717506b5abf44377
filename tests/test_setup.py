"""The scripts behind `make run` and `make test`: which Python, which extra, and the message if there is none."""

import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tools.cuda_extra import extra

ROOT = Path(__file__).parents[1]
MAKE_VENV = ROOT / "tools" / "make_venv.sh"

OLD = "import sys; sys.version_info = (3, 9, 18)"
WITHOUT_ENSUREPIP = "import sys; sys.version_info = (3, 12, 1); sys.modules['ensurepip'] = None"
GOOD = "import sys; sys.version_info = (3, 13, 0)"

BROKEN_SHIM = "#!/bin/sh\necho 'python: command not found' >&2\nexit 127\n"


def fake(prelude):
    """A Python with a false version that, called with -m, prints its arguments instead of running the module."""
    asked_to_evaluate = f'exec {sys.executable} -c "{prelude}; exec(sys.argv[1])" "$2"'
    return f'#!/bin/sh\n[ "$1" = -c ] || {{ echo "ran: $*"; exit 0; }}\n{asked_to_evaluate}\n'


@pytest.fixture
def make_venv(tmp_path):
    """Runs make_venv.sh with these Pythons on PATH and no others: status, stdout, stderr."""

    def run(pythons, *arguments):
        for name, text in pythons.items():
            path = tmp_path / name
            path.write_text(text, encoding="utf-8")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        done = subprocess.run(
            ["/bin/sh", str(MAKE_VENV), "folder", *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"PATH": str(tmp_path)},
        )
        return done.returncode, done.stdout, done.stderr

    return run


# Pythons on PATH, the request, the message
NO_PYTHON = [
    ({}, [],
     "ptxbench needs Python 3.11 or newer, and python3 is not there: install one (Debian, Ubuntu: apt install "
     "python3 python3-venv), or name it: make PYTHON=/path/to/python3.\n"),
    ({"python3": fake(OLD)}, [],
     "ptxbench needs Python 3.11 or newer, and python3 is 3.9: install one (Debian, Ubuntu: apt install "
     "python3 python3-venv), or name it: make PYTHON=/path/to/python3.\n"),
    ({"python3": fake(WITHOUT_ENSUREPIP)}, [],
     "python3 is Python 3.12, which lacks ensurepip and so cannot make a virtual environment: install it (Debian, "
     "Ubuntu: apt install python3.12-venv), or name another Python: make PYTHON=/path/to/python3.\n"),
    ({"python3": fake(GOOD)}, ["python9"],
     "ptxbench needs Python 3.11 or newer, and python9 is not there: install one (Debian, Ubuntu: apt install "
     "python3 python3-venv), or name it: make PYTHON=/path/to/python3.\n"),
    ({"python3.12": BROKEN_SHIM, "python3": fake(OLD)}, [],
     "ptxbench needs Python 3.11 or newer, and python3 is 3.9: install one (Debian, Ubuntu: apt install "
     "python3 python3-venv), or name it: make PYTHON=/path/to/python3.\n"),
]  # fmt: skip


@pytest.mark.parametrize(("pythons", "arguments", "sentence"), NO_PYTHON)
def test_without_a_suitable_python_there_is_one_sentence(make_venv, pythons, arguments, sentence):
    assert make_venv(pythons, *arguments) == (1, "", sentence)


# Pythons on PATH, the request, the chosen one
TAKEN = [
    ({"python3": fake(GOOD)}, [], "python3"),
    ({"python3": fake(OLD), "python3.13": fake(GOOD)}, [], "python3.13"),
    ({"python3": fake(GOOD), "python3.12": fake(WITHOUT_ENSUREPIP)}, [], "python3"),
    ({"python3": fake(GOOD), "python3.14": BROKEN_SHIM}, [], "python3"),
    ({"python3": fake(GOOD), "mine": fake(GOOD)}, ["mine"], "mine"),
]


@pytest.mark.parametrize(("pythons", "arguments", "chosen"), TAKEN)
def test_the_first_suitable_python_is_used(make_venv, pythons, arguments, chosen):
    printed = f"Making folder with {chosen} (Python 3.13).\nran: -m venv --clear folder\n"
    assert make_venv(pythons, *arguments) == (0, printed, "")


# platform, the driver's CUDA, the extra
EXTRAS = [
    ("linux", None, "cu13"),        # no driver: NVRTC and ptxas need none
    ("linux", 13020, "cu13"),
    ("linux", 13000, "cu13"),
    ("linux", 12090, "cu12"),
    ("darwin", None, ""),           # NVIDIA has no wheels for it
]  # fmt: skip


@pytest.mark.parametrize(("platform", "driver", "expected"), EXTRAS)
def test_the_extra_matches_the_driver(platform, driver, expected):
    assert extra(platform, driver) == expected


def test_the_extra_is_printed_for_make():
    script = MAKE_VENV.with_name("cuda_extra.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in {"cu12", "cu13", ""}


FORMS = [*ROOT.glob(".github/**/*.yml"), ROOT / ".pre-commit-config.yaml", ROOT / "CITATION.cff"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_files_for_a_hosting_service_can_be_read(path):
    assert yaml.safe_load(path.read_text())


def test_the_hosted_workflow_has_the_supported_versions_of_python():
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert lowest == f">={jobs['python']['strategy']['matrix']['python'][0]}"
