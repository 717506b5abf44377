"""The memory of the process from which judgements are forked."""

import subprocess
import sys

import pytest

from ptxbench.check.huge_pages import HUGE_BYTES, huge_pages

MAPS = f"""\
{3 * HUGE_BYTES - 4096:x}-{6 * HUGE_BYTES + 4096:x} rw-p 00000000 00:00 0                          [heap]
{20 * HUGE_BYTES:x}-{21 * HUGE_BYTES:x} rw-p 00000000 00:00 0
{30 * HUGE_BYTES:x}-{31 * HUGE_BYTES - 4096:x} rw-p 00000000 00:00 0
{40 * HUGE_BYTES:x}-{41 * HUGE_BYTES:x} r--p 00000000 00:00 0
{50 * HUGE_BYTES:x}-{51 * HUGE_BYTES:x} rw-p 00000000 00:01 2                          /usr/lib/libc.so.6
{60 * HUGE_BYTES:x}-{61 * HUGE_BYTES:x} rw-s 00000000 00:01 2
"""


def test_huge_pages_are_used_only_for_private_memory_without_a_file():
    assert [address // HUGE_BYTES for address in huge_pages(MAPS)] == [3, 4, 5, 20]


COUNTED = """
import re
from pathlib import Path
from ptxbench.check import huge_pages

kept = [bytes(100) for _ in range(400_000)]
huge_pages.collapse()
assert all(len(content) == 100 for content in kept)
print(re.search(r"AnonHugePages: +(\\d+)", Path("/proc/self/smaps_rollup").read_text())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_the_memory_of_a_process_is_put_into_huge_pages_if_possible():
    program = [sys.executable, "-c", COUNTED]
    kib = int(subprocess.run(program, capture_output=True, text=True, check=True).stdout)
    if kib == 0:
        pytest.skip("this system has no huge pages, or none free")
    assert kib > 20_000
