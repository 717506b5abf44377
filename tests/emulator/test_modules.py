"""A kernel in several modules, of which those of shared functions are compiled once."""

import re

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
def compiled(monkeypatch, tmp_path, forget_functions):
    """The modules that were compiled, in a process without shared functions whose cache is empty."""
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path))
    forget_functions()
    texts = []
    compile_module = native.compile_module

    def noted(ir, level, **options):
        texts.append(ir)
        return compile_module(ir, level, **options)

    monkeypatch.setattr(native, "compile_module", noted)
    return texts


def test_a_second_kernel_compiles_only_what_it_does_not_share(compiled, forget_functions):
    native.compile_kernel(KERNEL.replace("OPCODE", "add.u32"), None, "sm_90")
    first = list(compiled)
    assert len(first) > 10
    forget_functions()
    native.compile_kernel(KERNEL.replace("OPCODE", "mul.lo.u32"), None, "sm_90")
    own_code, multiplication = compiled[len(first) :]
    assert "@warp(" in own_code
    assert own_code not in first
    assert "mul <32 x i32>" in multiplication
    native.compile_kernel(KERNEL.replace("OPCODE", "div.u32"), None, "sm_90")
    own_code, call, division = compiled[len(first) + 2 :]
    assert re.search(r'define void @"lanes\.call\.\w+"', call)
    assert re.search(r'define .* @"divide_u32\.\w+"', division)


def test_a_process_loads_a_shared_function_once(compiled, monkeypatch):
    loaded = []
    load_shared = native.load_shared
    monkeypatch.setattr(native, "load_shared", lambda objects: loaded.append(set(objects)) or load_shared(objects))
    kernels = [
        native.kernel.__wrapped__(KERNEL.replace("OPCODE", f"{name}.u32"), None, "sm_90") for name in ("add", "sub")
    ]
    first, second = (set(kernel.translation.functions) for kernel in kernels)
    assert [names for names in loaded if names] == [first, second - first]
    assert 1 <= len(second - first) <= 2


def test_a_kernel_is_compiled_again_if_the_cache_has_lost_what_it_shares(compiled, forget_functions, monkeypatch):
    text = KERNEL.replace("OPCODE", "add.u32")
    native.kernel.__wrapped__(text, None, "sm_90")
    before = len(compiled)
    forget_functions()
    native.kernel.__wrapped__(text, None, "sm_90")
    assert len(compiled) == before  # all of it was in the cache
    forget_functions()
    monkeypatch.setattr(native, "function_key", lambda name: ("lost", name))
    again = native.kernel.__wrapped__(text, None, "sm_90")
    assert len(compiled) == 2 * before
    assert set(native.SHARED) == set(again.translation.functions)


def test_functions_that_call_different_ones_have_different_names():
    f = "define internal void @f() {\n  call void @g()\n  ret void\n}"
    g = "define internal void @g() {\n  REST\n  ret void\n}"
    own_code = "define void @warp() {\n  call void @f()\n  ret void\n}"
    nothing, barrier = (modules.split(own_code, [f, g.replace("REST", rest)], []) for rest in ("", "fence seq_cst"))
    assert modules.defined_by(nothing[1][0]) != modules.defined_by(barrier[1][0])
    assert modules.defined_by(nothing[1][0]) in nothing[0]


def test_shared_functions_are_optimised_once_for_both_levels(monkeypatch, tmp_path, forget_functions):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path))
    forget_functions()
    levels = {}
    compile_module = native.compile_module

    def noted(ir, level, **options):
        name = "warp" if "@warp(" in ir else modules.unquoted(modules.defined_by(ir))
        levels.setdefault(name, []).append(level)
        return compile_module(ir, level, **options)

    monkeypatch.setattr(native, "compile_module", noted)
    text = KERNEL.replace("OPCODE", "div.u32")
    quick, optimised = (
        native.NativeKernel(native.compile_kernel(text, None, "sm_90", level=level), None)
        for level in (native.QUICK, native.OPTIMISED)
    )
    both = set(quick.translation.functions) & set(optimised.translation.functions)
    assert any(name.startswith("divide_u32.") for name in both)
    assert levels.pop("warp")[0] == native.QUICK
    assert set(levels) == set(quick.translation.functions) | set(optimised.translation.functions)
    assert set(map(tuple, levels.values())) == {(native.OPTIMISED,)}


def test_optimised_code_with_few_loads_and_stores_calls_no_quick_ones(monkeypatch):
    def calls(kernel):
        own_code = native.compile_kernel(kernel, None, "sm_90", level=native.OPTIMISED).split(b"\n", 2)[2]
        return [name for name in (b"load_global_4_1", b"store_global_4_1") if name + b"_ordered." in own_code]

    kernel = KERNEL.replace("OPCODE", "add.u32")
    assert calls(kernel) == []
    monkeypatch.setattr(native, "MOST_INLINED", 1)
    assert calls(kernel) == [b"load_global_4_1", b"store_global_4_1"]


@pytest.mark.parametrize(("opcode", "result"), [("add.u32", 10), ("div.u32", 2), ("rem.u32", 1)])
def test_the_linked_objects_compute_the_result_of_the_kernel(compiled, opcode, result):
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
    assert modules.declaration(f"define internal {signature} {{\n  ret\n}}") == f"declare {declared}"


def test_a_module_declares_what_it_uses_and_does_not_define():
    f = "define internal void @f() {\n  call void @g()\n  ret void\n}"
    g = "define internal void @g() {\n  call void @llvm.trap()\n  ret void\n}"
    own_code, (first, second) = modules.split(
        "define i64 @run() {\n  call void @f()\n  ret i64 0\n}", [f, g], ["declare void @llvm.trap()"]
    )
    f_name, g_name = map(modules.defined_by, (first, second))
    assert [line for line in own_code.splitlines() if line.startswith("declare")] == [f"declare void @{f_name}()"]
    assert first.splitlines()[:2] == [f"declare void @{g_name}()", f"define void @{f_name}() {{"]
    assert second.splitlines()[:2] == ["declare void @llvm.trap()", f"define void @{g_name}() {{"]


EMPTY = "define internal void @{}(ptr %env, i32 %a) noinline {{\n  ; Says what it would do.\n  ret void\n}}"
CALLING = "define internal void @{}(ptr %env) {{\n  call void @{}(ptr %env,\n                i32 1)\n  ret void\n}}"
STORES = "define internal void @stores(ptr %env) {\n  store i32 1, ptr %env\n  ret void\n}"


@pytest.mark.parametrize(
    ("own_code", "shared", "left", "kept"),
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
def test_functions_that_do_nothing_are_left_out_with_their_calls(own_code, shared, left, kept):
    assert modules.without_empty(own_code, shared) == (own_code if left is None else left, [shared[i] for i in kept])
