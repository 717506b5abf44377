"""A kernel in several modules, of which those of shared functions are compiled once."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import modules, native

KERNEL = """\
.version 6.3
.target sm_75
.address_size 64
.visible .entry k(.param .u64 x)
{
    .reg .u64 %x;
    .reg .u32 %v;
    ld.param.u64  %x, [x];
    ld.global.u32 %v, [%x];
    OPCODE        %v, %v, 3;
    st.global.u32 [%x], %v;
    ret;
}
"""


@pytest.fixture
def compiled(monkeypatch, tmp_path):
    """The modules that were compiled, in a process whose cache is empty."""
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path))
    texts = []
    compile_module = native.compile_module
    monkeypatch.setattr(native, "compile_module", lambda ir, level: texts.append(ir) or compile_module(ir, level))
    native.shared_object.cache_clear()
    yield texts
    native.shared_object.cache_clear()


def test_a_second_kernel_compiles_only_what_it_does_not_share(compiled):
    native.compile_kernel(KERNEL.replace("OPCODE", "add.u32"), None, "sm_90")
    first = list(compiled)
    assert len(first) > 10
    native.shared_object.cache_clear()  # as in another process
    native.compile_kernel(KERNEL.replace("OPCODE", "mul.lo.u32"), None, "sm_90")
    [own] = compiled[len(first) :]
    assert "@warp" in own
    assert own not in first
    native.compile_kernel(KERNEL.replace("OPCODE", "div.u32"), None, "sm_90")
    own, division = compiled[len(first) + 1 :]
    assert "define hidden" in division
    assert "@divide_u32(" in division


def test_each_level_has_its_own_objects(compiled):
    for level in (native.QUICK, native.OPTIMISED):
        native.compile_kernel(KERNEL.replace("OPCODE", "add.u32"), None, "sm_90", level=level)
    own, *shared = compiled[: len(compiled) // 2 + 1]
    assert compiled == [own, *shared, *shared]  # the optimised own code has other functions in it


def test_optimised_code_calls_no_quick_loads_and_stores_where_it_has_few(monkeypatch):
    def calls(kernel):
        code = native.compile_kernel(kernel, None, "sm_90", level=native.OPTIMISED)
        own, *_ = native.split_objects(*code.split(b"\n", 3)[2:])
        return [name for name in (b"load_global_4_1", b"store_global_4_1") if name + b"\0" in own]

    kernel = KERNEL.replace("OPCODE", "add.u32")
    assert calls(kernel) == []
    monkeypatch.setattr(native, "MOST_INLINED", 1)
    assert calls(kernel) == [b"load_global_4_1", b"store_global_4_1"]


@pytest.mark.parametrize(("opcode", "result"), [("add.u32", 10), ("div.u32", 2), ("rem.u32", 1)])
def test_the_objects_together_are_the_kernel(compiled, opcode, result):
    x = np.array([7], dtype=np.uint32)
    emulator.run(KERNEL.replace("OPCODE", opcode), grid=1, block=1, args=[x])
    assert x.tolist() == [result]


DECLARATIONS = [
    ("void @f(ptr %env)",                 "void @f(ptr)"),
    ("i32 @f(i32 %a, ptr %b.at) noinline cold", "i32 @f(i32, ptr)"),
    ("{ i32, i64 } @f({ i32, i64 } %a,\n    <32 x i64> %b)", "{ i32, i64 } @f({ i32, i64 }, <32 x i64>)"),
    ('<32 x float> @"ex2.float"(<32 x float> %a0) noinline', '<32 x float> @"ex2.float"(<32 x float>)'),
]  # fmt: skip


@pytest.mark.parametrize(("signature", "declared"), DECLARATIONS)
def test_a_definition_is_declared_without_the_names_of_its_parameters(signature, declared):
    assert modules.declaration(f"define internal {signature} {{\n  ret\n}}") == f"declare hidden {declared}"


def test_a_module_declares_what_it_uses_and_does_not_define():
    f = "define internal void @f() {\n  call void @g()\n  ret void\n}"
    g = "define internal void @g() {\n  call void @llvm.trap()\n  ret void\n}"
    own, (first, second) = modules.split(
        "define i64 @run() {\n  call void @f()\n  ret i64 0\n}", [f, g], ["declare void @llvm.trap()"]
    )
    assert [line for line in own.splitlines() if line.startswith("declare")] == ["declare hidden void @f()"]
    assert first.splitlines()[:2] == ["declare hidden void @g()", "define hidden void @f() {"]
    assert second.splitlines()[:2] == ["declare void @llvm.trap()", "define hidden void @g() {"]


EMPTY = "define internal void @{}(ptr %env, i32 %a) noinline {{\n  ; Says what it would do.\n  ret void\n}}"
CALLING = "define internal void @{}(ptr %env) {{\n  call void @{}(ptr %env,\n                i32 1)\n  ret void\n}}"
STORES = "define internal void @stores(ptr %env) {\n  store i32 1, ptr %env\n  ret void\n}"


@pytest.mark.parametrize(
    ("own", "shared", "left", "kept"),
    [
        ("a\n  call void @e(ptr %env, i32 2)\nb\n", [EMPTY.format("e")], "a\nb\n", []),
        ("  call void @f(ptr %env)\n", [EMPTY.format("e"), CALLING.format("f", "e")], "", []),
        ("  %p = getelementptr i8, ptr @e, i64 0\n", [EMPTY.format("e")], None, [0]),
        ("  call void @e(ptr %env, i32 add (i32 1, i32 1))\n", [EMPTY.format("e")], None, [0]),
        ("  call void @e.more(ptr %env, i32 1)\n", [EMPTY.format("e")], None, []),
        ("  call void @stores(ptr %env)\n", [STORES, EMPTY.format("e")], None, [0]),
    ],
    ids=["called", "in another", "pointer", "hard to read", "prefix of a name", "does something"],
)
def test_functions_that_do_nothing_are_left_out_with_their_calls(own, shared, left, kept):
    assert modules.without_empty(own, shared) == (own if left is None else left, [shared[i] for i in kept])
