"""`ptxbench exec` on structs and arrays of pointers: the example of docs/exec.md, and the printed members."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "exec.md").read_text(encoding="utf-8")
SOURCE = re.search(r"^```cuda\n(.*?)^```", PAGE, re.M | re.S)[1]
COMMAND = shlex.split(re.search(r"^ptxbench (exec scale_view\.cu .*)$", PAGE, re.M)[1])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scale_view.cu").write_text(SOURCE)
    return tmp_path


def test_the_example_of_the_page_runs(folder, ptxbench):
    ran = ptxbench(*COMMAND, "--json", "--sanitize")
    [kernel] = json.loads(ran.out)["kernels"]
    assert (ran.status, kernel["status"]) == (0, "clean")
    expected = 2.5 * np.arange(16, dtype=np.float32)
    np.testing.assert_array_equal(np.load("y.npy"), expected)
    arrays = {each["name"]: each for each in kernel["arrays"]}
    assert {name: each["changed"] for name, each in arrays.items()} == {"view.x": True, "rows.y": True}
    assert arrays["rows.y"]["first"] == expected[:8].tolist()
    assert arrays["view.x"]["max"] == 37.5


def test_a_stray_access_names_the_member(folder, ptxbench):
    command = [word.replace("s32=16", "s32=32") for word in COMMAND]
    ran = ptxbench(*command)
    assert ran.status == 4
    assert "byte 128 of 'view.x', which has 128" in " ".join(ran.out.split())


QUEUE = """\
struct Queue { int* items; unsigned count; };
extern "C" __global__ void push(Queue* queue) { queue->items[atomicAdd(&queue->count, 1)] = threadIdx.x; }
"""


def test_a_number_in_a_struct_that_the_kernel_changes_is_shown(folder, ptxbench):
    (folder / "push.cu").write_text(QUEUE)
    ran = ptxbench(
        "exec", "push.cu", "--arg", "queue:&{items:s32[32]=-1, count:u32=0}", "--json", "--save", "count=c.npy"
    )
    [kernel] = json.loads(ran.out)["kernels"]
    assert [(each["name"], each["type"], each["first"][:3]) for each in kernel["arrays"]] == [
        ("queue.items", "s32", [0, 1, 2]),
        ("queue.count", "u32", [32]),
    ]
    assert np.load("c.npy").tolist() == [32]


def test_a_pointer_that_is_declared_as_bytes_takes_an_array(folder, ptxbench):
    (folder / "bytes.ptx").write_text(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .align 8 .b8 x[8])\n{\n"
        ".reg .u64 %x;\nld.param.u64 %x, [x];\nst.global.u32 [%x], 3;\nret;\n}\n"
    )
    ran = ptxbench("exec", "bytes.ptx", "--block", "1", "--arg", "u32[1]=zeros", "--json")
    assert (ran.status, json.loads(ran.out)["kernels"][0]["arrays"][0]["first"]) == (0, [3])
