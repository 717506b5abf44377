"""Objects that are never freed, so that copies of a process do not write to them. Each in a process of its own."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from ptxbench.check import immortal

immortal.LEAST = {least}

def outer():
    def inner():
        return "returned by inner"
    return inner

code = outer.__code__
inner = next(one for one in code.co_consts if hasattr(one, "co_consts"))
constant = inner.co_consts[-1]
objects = [outer, code, inner, constant, sys.modules, "a string of the list", [1]]
immortal.make_immortal()
before = [*map(sys.getrefcount, objects)]
kept = [*objects] * 10
after = [*map(sys.getrefcount, objects)]
later = [outer]
print(before == after == [sys.getrefcount(None)] * len(objects), before != after, sys.getrefcount(later) < 10)
"""


def counted(least):
    program = PROGRAM.format(least=least)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no object is immortal")
def test_references_to_what_exists_are_no_longer_counted():
    assert counted("1 << 30") == ["True", "False", "True"]


def test_nothing_changes_where_none_is_not_immortal():
    assert counted("1 << 40") == ["False", "True", "True"]
