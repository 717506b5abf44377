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
    arrays = {array["name"]: array for array in kernel["arrays"]}
    assert {name: array["changed"] for name, array in arrays.items()} == {"view.x": True, "rows.y": True}
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
    assert [(array["name"], array["type"], array["first"][:3]) for array in kernel["arrays"]] == [
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


WITH_MAP = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry copy(.param .align 64 .b8 from[128], .param .align 64 .b8 to[128], .param .u64 x)
{
    .reg .u64 %from, %to;
    .reg .pred %done;
    .shared .align 128 .b8 tile[512];
    .shared .align 8 .b64 full;
    mov.b64 %from, from;
    cvta.param.u64 %from, %from;
    mov.b64 %to, to;
    cvta.param.u64 %to, %to;
    mbarrier.init.shared::cta.b64 [full], 1;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], 512;
    cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [tile], [%from, {4, 1}], [full];
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;
    @!%done bra WAIT;
    cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%to, {0, 0}], [tile];
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group 0;
    ret;
}
"""


def test_tensor_maps_are_arguments(folder, ptxbench):
    (folder / "copy.ptx").write_text(WITH_MAP)
    maps = ["map(&x, box=32x4)", "map(f32[4,32]=zeros, box=32x4)", "x:f32[4,64]=iota"]
    options = [word for tensor in maps for word in ("--arg", tensor)]
    ran = ptxbench("exec", "copy.ptx", "--grid", "1", "--block", "1", *options, "--save", "to=to.npy")
    assert ran.status == 0
    expected = np.zeros((4, 32), np.float32)
    expected[:3] = np.arange(256).reshape(4, 64)[1:, 4:36]
    np.testing.assert_array_equal(np.load("to.npy"), expected)


def test_a_map_that_no_gpu_accepts_gets_one_sentence(folder, ptxbench):
    (folder / "copy.ptx").write_text(WITH_MAP)
    options = [
        word for tensor in ("map(&x, box=3x4)", "map(&x, box=32x4)", "x:f32[4,64]=iota") for word in ("--arg", tensor)
    ]
    ran = ptxbench("exec", "copy.ptx", "--grid", "1", "--block", "1", *options)
    assert ran.status == 2
    assert "The tensor map 'from': a row of the box has 12 bytes; expected a multiple of 16." in " ".join(
        ran.err.split()
    )


IN_STRUCT = r"""
#include <cuda.h>
struct Tiles { int before; CUtensorMap map; int n; };
__device__ void copy(const CUtensorMap* map, float* out, int n)
{
    __shared__ alignas(128) float tile[512];
    __shared__ unsigned long long full;
    const unsigned at = __cvta_generic_to_shared(tile), gate = __cvta_generic_to_shared(&full);
    asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;\nfence.mbarrier_init.release.cluster;"
                 :: "r"(gate) : "memory");
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 2048;" :: "r"(gate) : "memory");
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {0, 8}], "
                 "[%2];" :: "r"(at), "l"(map), "r"(gate) : "memory");
    asm volatile("{ .reg .pred p;\nL: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], 0;\n@!p bra L; }"
                 :: "r"(gate) : "memory");
    for (int i = 0; i < n; i++)
        out[i] = tile[i];
}
__global__ void by_value(const __grid_constant__ Tiles tiles, float* out) { copy(&tiles.map, out, tiles.n); }
__global__ void by_address(const CUtensorMap* map, float* out) { copy(map, out, 512); }
"""


@pytest.mark.parametrize(("kernel", "proposed", "given"), [
    ("by_value", "tiles:{before:s32=1024, map:map(f32[64,64]=random, box=64x8), n:s32=1024}",
     "tiles:{before:s32=3, map:map(f32[64,64]=iota, box=64x8), n:s32=512}"),
    ("by_address", "map:&{map(f32[64,64]=random, box=64x8)}", "map:&{map(f32[64,64]=iota, box=64x8)}"),
])  # fmt: skip
def test_a_map_may_be_in_a_struct_or_in_global_memory(folder, ptxbench, kernel, proposed, given):
    (folder / "tiles.cu").write_text(IN_STRUCT)
    command = ("exec", "tiles.cu", "--entry", kernel, "--grid", "1", "--block", "1")
    assert f"--arg '{proposed}'" in ptxbench(*command).err
    options = ("--arg", given, "--arg", "out:f32[512]=zeros", "--save", "out=out.npy")
    assert ptxbench(*command, *options, "--sanitize").status == 0
    assert np.array_equal(np.load("out.npy"), np.arange(512, 1024, dtype=np.float32))
    ran = ptxbench(*command, "--arg", given.replace("box=64x8", "box=3x8"), "--arg", "out:f32[512]=zeros")
    assert ran.status == 2
    assert "a row of the box has 12 bytes; expected a multiple of 16." in ran.err


PREFETCHES = r"""
struct alignas(128) Descriptor { char bytes[128]; };
__global__ void fetch(const __grid_constant__ Descriptor rows, const Descriptor* others) {
    asm volatile("cp.async.bulk.prefetch.tensor.2d.L2.global.tile [%0, {0, 0}];" :: "l"(&rows));
}
"""


def test_a_map_may_have_a_type_of_the_source_and_messages_its_name_there(folder, ptxbench):
    (folder / "fetch.cu").write_text(PREFETCHES)
    proposed = " ".join(ptxbench("exec", "fetch.cu").err.split())
    assert "--arg 'rows:map(f32[64,64]=random, box=64x8)' \\ --arg 'others:s8[131072]=iota'" in proposed
    ran = ptxbench("exec", "fetch.cu", "--arg", "rows:map(f32[4,64]=zeros, box=3x4)", "--arg", "others:null")
    assert ran.status == 2
    assert "The tensor map 'rows': a row of the box has 12 bytes; expected" in " ".join(ran.err.split())
