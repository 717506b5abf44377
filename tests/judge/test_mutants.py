"""Shipped pairs, made worse in a known way, or edited in a way that means nothing: what the counters gate says."""

import re
import shutil
from pathlib import Path

import pytest

from ptxbench.discovery import default_kernels
from ptxbench.judge.config import Config
from ptxbench.judge.gate import gate
from ptxbench.result import from_json
from tests.folders import changed


def scalar_loads(text):
    """Every vector load of global memory as four loads of one float."""
    vector = re.compile(r"(@%\w+) ld\.global\.nc\.v4\.f32\s+\{(%\w+), (%\w+), (%\w+), (%\w+)\}, \[(%\w+)\];")
    parts = [0, 1, 2, 3]
    return vector.sub(
        lambda m: "\n".join(f"{m[1]} ld.global.nc.f32 {m[2 + i]}, [{m[6]} + {4 * i}];" for i in parts), text
    )


def unpadded(text):
    """Rows of 32 floats in shared memory, not 33."""
    text = changed(text, "tile[1056]", "tile[1024]")
    text = changed(
        changed(text, ", 132, %along_row", ", 128, %along_row"), ", 132, %along_column", ", 128, %along_column"
    )
    for old, new in ((1056, 1024), (2112, 2048), (3168, 3072)):
        text = changed(text, f"%along_row + {old}", f"%along_row + {new}")
    return text


def with_registers(count):
    return lambda text: changed(text, ".maxntid 256, 1, 1", f".maxntid 256, 1, 1\n.maxnreg {count}")


def second_barrier(text):
    return re.sub(r"(\n\s+bar\.sync[^\n]*)", r"\1\1", text, count=1)


SPILLS = {"spills", "stack", "sass.local"}

# pair, the edit, the counters that fail by it
MUTANTS = [
    ("sgemm_tiled", scalar_loads, {"ptx_global_load_sectors", "sass.width"}),
    ("sgemm_tiled", with_registers(64), SPILLS),
    ("sgemm_tiled", with_registers(128), set()),  # it needs no more: nothing spills
    ("transpose", unpadded, {"ptx_shared_load_conflicts"}),
    ("transpose", second_barrier, {"ptx_barriers"}),
    ("transpose", lambda text: text.replace("%in_8", "%second_in"), set()),
    ("transpose", lambda text: text.replace("// ", "//  "), set()),
]  # fmt: skip


def copied(pair, folder):
    """The pair's three files, without its variants."""
    for place, suffix in (("pairs", ".py"), ("cuda", ".cu"), ("ptx", ".ptx")):
        (folder / place).mkdir(parents=True)
        shutil.copy(default_kernels() / place / f"{pair}{suffix}", folder / place)
    return folder


@pytest.fixture(scope="module")
def bases():
    return {}


@pytest.mark.parametrize(("pair", "edit", "failing"), MUTANTS)
def test_a_known_cause_is_named_and_an_edit_that_means_nothing_is_not(pair, edit, failing, bases, ptxbench, tmp_path,
                                                                      monkeypatch, shared_cache):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PTXBENCH_CACHE", str(shared_cache))
    folder = copied(pair, Path("kernels"))

    def run():
        ran = ptxbench("run", "--backend", "emulator", "--kernels", folder, "--no-save", "--json")
        assert ran.status == 0, ran.err
        return from_json(ran.out, pair)

    if pair not in bases:
        bases[pair] = run()
    path = folder / "ptx" / f"{pair}.ptx"
    text = path.read_text()
    edited = edit(text)
    assert edited != text
    path.write_text(edited)
    found = gate(run(), bases[pair], Config())
    assert {each.row.metric for each in found.failing} == failing
    assert found.code == (3 if failing else 0)
