"""A service in a process of its own, as a user starts it."""

import subprocess
import sys
from typing import NamedTuple

import pytest


class Running(NamedTuple):
    url: str
    process: subprocess.Popen


@pytest.fixture(scope="session")
def start_service(cache_of_the_tests):
    """Starts `ptxbench serve` with options; all are ended with the test run."""
    started = []

    def start(*options):
        command = [sys.executable, "-m", "ptxbench", "serve", "--port", "0", *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        line = process.stdout.readline()
        assert line.startswith("Listening on http://"), line + process.stderr.read()
        return Running(line.split()[2].rstrip(";"), process)

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def service(start_service):
    """The URL of a service that all tests share."""
    return start_service("--jobs", "2").url
