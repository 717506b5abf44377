"""Parameters that are structs: their layout, what a kernel gets, and what is said of mistakes."""

import ctypes
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptxbench import Judge, discovery
from ptxbench.backends import buffers
from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.check.lint import lint
from ptxbench.discovery import load
from ptxbench.emulator.chain import run_steps
from ptxbench.emulator.parse import parsed
from ptxbench.emulator.tensor_maps import bind
from ptxbench.errors import PairError, SignatureMismatch
from ptxbench.pair import EXACT, Chain, In, Launch, Out, Pair, Scalar, f32, s32, u8, u32
from ptxbench.signature import check_signature
from ptxbench.structs import Struct, layout
from ptxbench.tensor_map import TiledMap
from ptxbench.toolchain import build_source
from tests import struct_pair
from tests.folders import changed


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return struct_pair.write(tmp_path_factory.mktemp("kernels"))


# ---- layout

C_TYPES = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}

SHAPES = st.recursive(
    st.sampled_from(list(C_TYPES)), lambda inner: st.lists(inner, min_size=1, max_size=5), max_leaves=20
)


def structs_of(shape, name="p"):
    """The same struct twice: of ptxbench, with sizes as members' dtypes, and of ctypes. `shape`: nested lists."""
    if not isinstance(shape, list):
        return Scalar(name, np.dtype(f"u{shape}"), 0), C_TYPES[shape]
    pairs = [structs_of(part, f"{name}_{number}") for number, part in enumerate(shape)]
    fields = [(f"m{number}", c_type) for number, (_, c_type) in enumerate(pairs)]
    return Struct(name, [member for member, _ in pairs]), type("S", (ctypes.Structure,), {"_fields_": fields})


def offsets_of(c_type, start=0):
    if not hasattr(c_type, "_fields_"):
        return [start]
    fields = [(getattr(c_type, name).offset, inner) for name, inner in c_type._fields_]
    return [offset for at, inner in fields for offset in offsets_of(inner, start + at)]


@given(st.lists(SHAPES, min_size=1, max_size=5))
def test_the_layout_is_that_of_c(shape):
    struct, c_type = structs_of(shape)
    placed = layout(struct, lambda member: member.dtype.itemsize)
    assert (placed.size_bytes, placed.align) == (ctypes.sizeof(c_type), ctypes.alignment(c_type))
    assert [*placed.offsets.values()] == offsets_of(c_type)
    assert [*placed.offsets] == [member.name for member in struct.arguments]


def test_a_vector_type_is_aligned_to_its_size():
    vector = Struct("v", [Scalar(name, f32, 0) for name in "xyzw"], align=16)
    placed = layout(Struct("p", [Scalar("n", s32, 0), vector, Scalar("m", s32, 0)]), lambda arg: arg.dtype.itemsize)
    assert placed.offsets == {"n": 0, "x": 16, "y": 20, "z": 24, "w": 28, "m": 32}
    assert (placed.size_bytes, placed.align) == (48, 16)


# ---- what a kernel gets


def test_the_members_are_arguments_of_the_pair(kernels):
    pair = load(kernels, "affine").pair
    assert [arg.name for arg in pair.args] == [
        *("first", "a", "b", "c", "d", "x", "n", "y", "negate", "s", "t", "shift")
    ]
    assert [parameter.name for parameter in pair.parameters] == ["p", "seed", "shift"]
    assert pair.outputs == ("y",)
    assert len({pair.launch(n=1), pair.launch(n=2), pair.launch(n=1000)}) == 2  # a launch can be a key
    assert pair.compulsory_bytes({"n": 10}) == 80


@pytest.mark.parametrize("variant", ["cuda", "ptx"])
def test_a_kernel_gets_its_structs(kernels, variant):
    loaded = load(kernels, "affine")
    size, pair = {"n": 300}, loaded.pair
    arguments = pair.make_arguments(size, seed=1) | {"a": f32.type(3), "s": u32.type(9), "negate": u8.type(0)}
    [source] = [source for source in loaded.sources if source.variant == variant]
    outcome = EmulatorBackend("sm_90").run(build_source(source, "sm_90"), pair.launch(**size), arguments, pair.outputs)
    np.testing.assert_allclose(outcome.outputs["y"], 3 * arguments["x"] + 1 + (9 ^ 3) + 0.5, rtol=1e-6)


def test_the_driver_gets_the_bytes_of_a_struct(kernels):
    pair = load(kernels, "affine").pair
    arguments = pair.make_arguments({"n": 3}, seed=1)
    launch = pair.launch(n=3)
    packed = launch.packed(buffers.pack(arguments, {"x": 0x1000, "y": 0x2000}))
    assert [value.nbytes for value in packed] == [64, 8, 4]
    content = packed[0].tobytes()
    assert np.frombuffer(content, f32)[4:8].tolist() == [2, 1, 0, 0]
    assert np.frombuffer(content, np.uint64)[[4, 6]].tolist() == [0x1000, 0x2000]
    assert (np.frombuffer(content, s32)[10], content[56]) == (3, 1)
    assert packed[1].tobytes() == bytes([5, 0, 0, 0, 3, 0, 0, 0])


STEP = """\
.version 6.3
.target sm_75
.address_size 64
.visible .entry step(.param .align 8 .b8 p[16])
{
    .reg .u64 %y;
    .reg .u32 %number, %old;
    ld.param.u64 %y, [p];
    ld.param.u32 %number, [p + 8];
    cvta.to.global.u64 %y, %y;
    griddepcontrol.wait;
    ld.global.u32 %old, [%y];
    mad.lo.u32 %old, %old, 10, %number;
    st.global.u32 [%y], %old;
    ret;
}
""".replace("6.3", "7.8").replace("sm_75", "sm_90")


@pytest.mark.parametrize("dependent", [False, True])
def test_the_number_of_a_launch_can_be_a_member(dependent):
    placed = layout(
        Struct("p", [Out("y", u32, lambda: (1,)), Scalar("number", u32, 0)]),
        lambda arg: 8 if isinstance(arg, Out) else arg.dtype.itemsize,
    )
    launch = Launch(grid=1, block=1, chain=Chain(4, "number", dependent=dependent), structs=(placed,))
    y = np.array([7], np.uint32)
    run_steps(STEP, "step", **launch.emulated({"y": y, "number": u32.type(0)}), arch="sm_90")
    assert y[0] == 70123


# ---- the lint

MEMBERS = Pair(
    purpose="Addresses in a struct.",
    args=[Struct("p", [Scalar("n", u32, 8), In("x", f32, lambda n: (n,)), Out("y", f32, lambda n: (n,))])],
    launch=lambda n: Launch(grid=1, block=32),
    reference=lambda n, x: {"y": x},
    tolerance=EXACT,
    check_sizes=[{"n": 8}],
    bench_sizes=[{"n": 8}],
    flops=lambda n: 0,
)
KERNEL = """.version 7.0
.target sm_75
.address_size 64
.visible .entry k(.param .align 8 .b8 q[24])
{{
    .reg .u32 %n;
    .reg .u64 %x, %y, %at;
    .reg .f32 %f;
    ld.param.u32 %n, [q];
    {loads}
    {body}
    ret;
}}
"""
APART = "ld.param.u64 %x, [q+8]; ld.param.u64 %y, [q+16];"


@pytest.mark.parametrize(
    ("loads", "body", "found"),
    [
        (APART, "ld.global.nc.f32 %f, [%x]; st.global.f32 [%y], %f;", []),
        (APART, "ld.global.f32 %f, [%x]; add.u64 %at, %x, 4; st.global.f32 [%at], %f;", ["input-written"]),
        ("ld.param.v2.u64 {%x, %y}, [q+8];", "st.global.f32 [%x], 0f00000000;", ["input-written"]),
        (APART, "st.global.f32 [%y], 0f00000000; ld.global.nc.f32 %f, [%y];", ["nc-of-written"]),
        ("mov.b64 %at, q; ld.param.u64 %x, [%at+8];", "st.global.f32 [%x], 0f00000000;", []),  # not followed
    ],
)
def test_the_lint_follows_addresses_in_a_struct(loads, body, found):
    module = parsed(KERNEL.format(loads=loads, body=body))
    complaints = lint(module, "k", MEMBERS.parameters, one_cta=True, members=MEMBERS.args)
    assert [complaint.code for complaint in complaints] == found
    assert all("of 'y'" in complaint.message or "to 'x'" in complaint.message for complaint in complaints)


# ---- judgements


@pytest.mark.long
def test_a_right_candidate_is_accepted_and_wrong_ones_are_not(kernels):
    right = changed(
        struct_pair.CUDA, "p.scale.x * p.in.data[i] + p.scale.y", "fmaf(p.scale.x, p.in.data[i], p.scale.y)"
    )
    wrong = {
        "wrong-result": changed(right, "p.scale.y)", "p.scale.z)"),
        "memory-fault": changed(right, "i >= p.in.n", "i > p.in.n"),
        "input-written": changed(right, "p.out[i] =", "((volatile float*)p.in.data)[i] = p.in.data[i]; p.out[i] ="),
        "wrong-signature": changed(right, "float4 scale", "float2 scale"),
    }
    with Judge("affine", kernels=kernels) as judge:
        accepted = judge.judge(right, "cuda")
        [lint] = [stage.detail for stage in accepted.stages if stage.stage == "lint"]
        assert (accepted.verdict, lint) == ("accepted", "nothing found")
        for code, text in wrong.items():
            judgement = judge.judge(text, "cuda")
            assert (judgement.verdict, [finding.code for finding in judgement.findings]) == ("rejected", [code])
    assert "Struct('seed', 8 bytes: s at 0, t at 4)." in judgement.findings[0].hint


def test_a_parameter_of_another_size_is_named_with_the_members(kernels):
    pair = load(kernels, "affine").pair
    check_signature(struct_pair.PTX, "affine", pair.parameters, kernels / "ptx" / "affine.ptx")
    for old, new in (("p[64]", "p[60]"), (".align 16 .b8 p", ".align 8 .b8 p")):
        text = changed(struct_pair.PTX, old, new)
        with pytest.raises(SignatureMismatch) as raised:
            check_signature(text, "affine", pair.parameters, kernels / "ptx" / "affine.ptx")
        assert str(raised.value).endswith(
            "where its pair has Struct('p', 64 bytes: first at 0, a at 16, b at 20, c at 24, d at 28, x at 32, n at "
            "40, y at 48, negate at 56). It must be .align 16 .b8 [64]."
        )


def test_the_contract_says_where_a_member_is(ptxbench, kernels):
    ran = ptxbench("list", "affine", "--json", "--kernels", str(kernels))
    arguments = {argument["name"]: argument for argument in json.loads(ran.out)[0]["arguments"]}
    assert arguments["x"]["struct"] == {"name": "p", "offset": 32}
    assert arguments["x"]["ptx"] == ".align 16 .b8 [64]"
    assert arguments["shift"]["struct"] is None


# ---- mistakes

MISTAKES = [
    ("align=16", "align=12", "10: TypeError: Struct 'scale' has align 12, expected a power of two up to 128."),
    ('In("x", f32, lambda n: (n,)),', '"x",', "5: TypeError: Struct 'p' has the member 'x', expected Scalar, In,"),
    ('Scalar("shift"', 'Scalar("x"', "19: 2 arguments are named 'x'. Give each its own name."),
    ('Struct("seed"', 'Struct("shift"', "2 arguments are named 'shift'. Give each its own name."),
    (
        "lambda n: (n,)),\n                Scalar",
        "lambda n: n),\n                Scalar",
        "12: the shape of 'x' at n=1",
    ),
    ('Scalar("shift", f32, 0.5)', 'Scalar("shift", f32, ...)', "19: open question"),
    ('Scalar("negate", u8, 1', 'Scalar("negate", u8, 256', "16: Scalar 'negate' is 256."),
    ("launch=lambda n: Launch(grid=ceil_div(n, 128)", "launch=lambda n: Launch(grid=n // 128", "21: launch at n=1 is"),
    ("[Scalar(name, f32, value) for name", "[name for name", "expected Scalar, In, Out, InOut, Scratch or Struct"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_line(tmp_path, old, new, message):
    kernels = struct_pair.write(tmp_path)
    path = kernels / "pairs" / "affine.py"
    path.write_text(changed(struct_pair.PAIR, old, new))
    with pytest.raises(PairError) as raised:
        discovery.load(kernels, "affine")
    assert message in str(raised.value)


def test_no_kernel_in_python_can_have_a_struct(tmp_path):
    kernels = struct_pair.write(tmp_path)
    (kernels / "numba").mkdir()
    (kernels / "numba" / "affine.py").write_text("def affine(p, seed, shift): pass\n")
    with pytest.raises(PairError, match=r"a pair with a Struct can have no kernel in Python, but .*affine\.py is one"):
        discovery.load(kernels, "affine")


def test_a_tensor_map_can_be_of_an_array_in_a_struct():
    struct = Struct("p", [Scalar("n", u32, 4), In("x", f32, lambda: (16,))])
    placed = layout(struct, lambda arg: 8 if isinstance(arg, In) else arg.dtype.itemsize)
    x, tiled = np.zeros(16, f32), TiledMap("x", "f32", (16,), (), (16,), (1,))
    launch = Launch(grid=1, block=32, structs=(placed,)).emulated({"n": u32.type(4), "x": x, "map_x": tiled})
    [step] = launch["steps"]
    assert launch["names"] == ["", "map_x"]
    assert bind(launch["names"], step)[1].array is x
