"""Functions that are called and not inlined: recursion, function pointers, the stack, and how deep it is."""

import re

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.emulator import callgraph
from ptxbench.emulator.parse import parse
from ptxbench.errors import FuelExhausted, MemoryFault, PtxSyntaxError, UnsupportedInstruction
from ptxbench.toolchain import locate, ptxas

HEAD = ".version 8.0\n.target sm_80\n.address_size 64\n"
KERNEL = """
.visible .entry k(.param .u64 out)
{
    .reg .b32  %i, %v, %w;
    .reg .b64  %out, %at, %f;
    .reg .pred %p;
    mov.u32        %i, %tid.x;
    ld.param.u64   %out, [out];
    mul.wide.u32   %at, %i, 4;
    add.u64        %at, %at, %out;
    BODY
    st.global.b32  [%at], %v;
    ret;
}
"""
FIB = """
.func (.param .b32 r) fib(.param .b32 n)
{
    .reg .b32 %n, %a, %b;
    .reg .pred %small;
    .param .b32 p; .param .b32 q;
    ld.param.b32 %n, [n];
    setp.lt.u32  %small, %n, 2;
    @%small bra  DONE;
    sub.u32      %a, %n, 1;
    st.param.b32 [p], %a;
    call.uni (q), fib, (p);
    ld.param.b32 %a, [q];
    sub.u32      %b, %n, 2;
    st.param.b32 [p], %b;
    call.uni (q), fib, (p);
    ld.param.b32 %b, [q];
    add.u32      %n, %a, %b;
DONE:
    st.param.b32 [r], %n;
    ret;
}
"""
FEW = """
.func (.reg .u32 r) more(.reg .u32 a) { add.u32 r, a, 1; ret; }
.func (.reg .u32 r) twice(.reg .u32 a) { add.u32 r, a, a; ret; }
.func (.reg .u32 r) square(.reg .u32 a) { mul.lo.u32 r, a, a; ret; }
.func (.reg .u32 r) sum(.reg .u32 a, .reg .u32 b) { add.u32 r, a, b; ret; }
"""
SHAPE = "shape: .callprototype (.reg .u32 _) _ (.reg .u32 _);"


def text(functions, body):
    return HEAD + functions + KERNEL.replace("BODY", body)


def run(functions, body, threads=40, **settings):
    out = np.zeros(threads, np.uint32)
    execution = emulator.run(text(functions, body), grid=1, block=threads, args=[out], **settings)
    return out.tolist(), execution


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


CALL_FIB = "{ .param .b32 p; .param .b32 q; st.param.b32 [p], %v; call (q), fib, (p); ld.param.b32 %v, [q]; }"


@pytest.mark.parametrize("sanitize", [False, True])
def test_each_lane_recurses_as_deep_as_its_own_argument_asks(sanitize):
    out, execution = run(FIB, "and.b32 %v, %i, 7;" + CALL_FIB, sanitize=sanitize)
    assert out == [fibonacci(i & 7) for i in range(40)]
    assert (execution.findings, execution.notes) == ((), ())


def test_functions_may_call_each_other_and_the_registers_of_each_survive():
    pair = """
    .func (.reg .u32 r) odd(.reg .u32 a);
    .func (.reg .u32 r) even(.reg .u32 a)
    { .reg .pred %z; .reg .u32 %b; setp.eq.u32 %z, a, 0; mov.u32 r, 1; @%z ret; sub.u32 %b, a, 1; call (r), odd, (%b);
      mad.lo.u32 r, a, 16, r; ret; }
    .func (.reg .u32 r) odd(.reg .u32 a)
    { .reg .pred %z; .reg .u32 %b; setp.eq.u32 %z, a, 0; mov.u32 r, 0; @%z ret; sub.u32 %b, a, 1; call (r), even, (%b);
      @!%z mad.lo.u32 r, a, 16, r; ret; }
    """
    out, _ = run(pair, "call (%v), even, (%i);")
    assert out == [(i % 2 == 0) + 16 * sum(range(i + 1)) for i in range(40)]


def test_arguments_change_places_without_losing_one():
    swap = """
    .func (.reg .u32 r) gcd(.reg .u32 a, .reg .u32 b)
    { .reg .pred %z; .reg .u32 %m; setp.eq.u32 %z, b, 0; mov.u32 r, a; @%z ret; rem.u32 a, a, b;
      call (r), gcd, (b, a); ret; }
    """
    out, _ = run(swap, "add.u32 %v, %i, 12; call (%v), gcd, (%i, %v);")
    assert out == [int(np.gcd(i, i + 12)) for i in range(40)]


def test_a_predicate_that_lives_across_a_recursive_call_is_kept():
    function = """
    .func (.reg .u32 r) f(.reg .u32 a)
    { .reg .pred %z, %odd; .reg .u32 %b; setp.eq.u32 %z, a, 0; mov.u32 r, 0; @%z ret; and.b32 %b, a, 1;
      setp.ne.u32 %odd, %b, 0; sub.u32 %b, a, 1; call (r), f, (%b); @%odd add.u32 r, r, 1; ret; }
    """
    out, _ = run(function, "call (%v), f, (%i);")
    assert out == [(i + 1) // 2 for i in range(40)]


CHAIN = ".func c0() { ret; }" + "".join(f" .func c{k}() {{ call c{k - 1}; ret; }}" for k in range(1, 102)) + "\n"
"""More nested calls than are inlined: in a kernel that calls c101, all calls use the stack."""
SOME = """
.func (.param .b32 r) some(.param .b32 a, .reg .u32 b)
{ .reg .u32 %x; .reg .pred %p; ld.param.u32 %x, [a]; setp.gt.u32 %p, %x, 5; @%p bra BIG; call (%x), more, (%x);
  st.param.b32 [r], %x; ret;
  BIG: call (%x), sum, (%x, b);
  st.param.b32 [r], %x;
  @!%p ret; }
"""


def test_registers_of_every_width_live_across_a_recursive_call():
    function = """
    .func (.reg .u32 r) f(.reg .u32 a)
    { .reg .pred %z; .reg .u32 %b; .reg .b16 %h; .reg .b64 %d, %e; .reg .b128 %q; setp.eq.u32 %z, a, 0; mov.u32 r, 0;
      @%z ret; cvt.u16.u32 %h, a; mul.wide.u32 %d, a, 0x10001; not.b64 %e, %d; mov.b128 %q, {%d, %e};
      sub.u32 %b, a, 1; call (r), f, (%b); cvt.u32.u16 %b, %h; add.u32 r, r, %b; mov.b128 {%d, %e}, %q;
      add.u64 %d, %d, %e; cvt.u32.u64 %b, %d; add.u32 r, r, %b; ret; }
    """
    assert run(function, "call (%v), f, (%i);")[0] == [(sum(range(i + 1)) - i) % (1 << 32) for i in range(40)]


BY_BLOCK = "ptx_dependent_cycles"  # a model of basic blocks, which end at a call on the stack


@pytest.mark.parametrize("guard", ["", "setp.lt.u32 %p, %i, 9; @%p"])
def test_calls_count_the_same_inlined_and_on_the_stack(guard):
    body = f"""
    {{ .param .b32 p; .param .b32 q; st.param.b32 [p], %i; st.param.b32 [q], 7;
    {guard} call (q), some, (p, 3); ld.param.b32 %v, [q]; }}
    setp.gt.u32 %p, %i, 99;
    """
    functions = CHAIN + FEW + SOME
    module = parse(text(functions, body))
    assert callgraph.plan(module, module.entries["k"]).called == ()
    through = body + "@%p call c101;"
    module = parse(text(functions, through))
    assert {"some", "more", "sum", "c101"} < set(callgraph.plan(module, module.entries["k"]).called)
    (inlined, one), (called, other) = run(functions, body), run(functions, through)
    assert called == inlined
    last = max(one.by_line)
    before = [line for line in one.by_line if line < last - 1]  # the guarded call itself is a branch

    def counts(execution):
        return {line: {**execution.by_line[line], BY_BLOCK: 0} for line in before}

    assert counts(other) == counts(one)


@pytest.mark.parametrize("sanitize", [False, True])
def test_lanes_call_different_functions_at_once(sanitize):
    table = ".global .u64 table[4] = {more, twice, square, more};\n"
    body = """
    .reg .b64 %entry; and.b32 %w, %i, 3; mov.u64 %entry, table; mad.wide.u32 %entry, %w, 8, %entry;
    ld.global.u64 %f, [%entry]; SHAPE
    call (%v), %f, (%i), shape;
    """.replace("SHAPE", SHAPE)
    out, execution = run(FEW + table, body, sanitize=sanitize)
    assert out == [(i + 1, 2 * i, i * i, i + 1)[i & 3] for i in range(40)]
    line = next(line for line, count in execution.by_line.items() if count.get("ptx_divergent_branches"))
    assert execution.by_line[line]["ptx_warp_instructions_control"] == 2
    assert (execution.by_line[line]["ptx_branches"], execution.by_line[line]["ptx_divergent_branches"]) == (2, 2)
    assert (execution.findings, execution.notes) == ((), ())


def test_the_address_of_a_function_is_a_value_like_any_other():
    """The address goes through shared memory and a select; the call has a list of targets in place of a prototype."""
    body = """
    .shared .u64 slot[2]; .reg .b64 %g; .reg .b32 %slot;
    list: .calltargets square, twice;
    mov.u32 %slot, slot;
    mov.u64 %f, square; st.shared.u64 [%slot], %f; mov.u64 %f, twice; st.shared.u64 [%slot + 8], %f; bar.sync 0;
    ld.shared.u64 %f, [%slot]; ld.shared.u64 %g, [%slot + 8];
    setp.lt.u32 %p, %i, 5; selp.b64 %f, %f, %g, %p;
    mov.u32 %v, %i; setp.ne.u32 %p, %i, 0;
    @%p call.uni (%v), %f, (%i), list;
    """.replace("call.uni", "call")
    out, _ = run(FEW, body)
    assert out == [i * i if i < 5 else 2 * i for i in range(40)]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("mov.u64 %f, 0", "goes to address 0x0, which is not that of a function"),
        ("mov.u64 %f, out", "goes to address 0x3fffff00000, which is not that of a function"),
        ("mov.u64 %f, more; add.u64 %f, %f, 4", "goes to address 0x30000000004, which is not that of a function"),
        ("mov.u64 %f, sum", "goes to 'sum', which its .callprototype or .calltargets does not allow"),
        ("mov.u64 %f, twice", "goes to 'twice', which its .callprototype or .calltargets does not allow"),
    ],
)
@pytest.mark.parametrize("sanitize", [False, True])
def test_a_call_of_an_address_without_a_matching_function_is_a_fault(value, what, sanitize):
    body = f"""
    list: .calltargets more, square; mov.u32 %v, %i; {value}; setp.eq.u32 %p, %i, 33;
    @%p call (%v), %f, (%i), list;
    """
    message = f"line 21: call by thread 33 of CTA 0 {what}."
    with pytest.raises(MemoryFault, match=re.escape(message)):
        run(FEW, body, sanitize=sanitize)


@pytest.mark.parametrize("sanitize", [False, True])
def test_recursion_without_an_end_is_a_fault_of_its_line(sanitize):
    loop = ".func again(.reg .u32 a)\n{ add.u32 a, a, 1;\n call again, (a); ret; }\n"
    message = "line 6: call by thread 3 of CTA 0 exceeds the thread's stack, which has 131,072 bytes."
    with pytest.raises(MemoryFault, match=re.escape(message)):
        run(loop, "setp.eq.u32 %p, %i, 3; @%p call again, (%i);", sanitize=sanitize)


def test_two_thousand_calls_within_each_other_fit_the_stack():
    down = """
    .func (.reg .u32 r) down(.reg .u32 a)
    { .reg .pred %z; .reg .u32 %b; setp.eq.u32 %z, a, 0; mov.u32 r, 0; @%z ret; sub.u32 %b, a, 1; call (r), down, (%b);
      add.u32 r, r, a; ret; }
    """
    out, _ = run(down, "call (%v), down, (2000);", threads=1)
    assert out == [2000 * 2001 // 2]


def test_a_thousand_blocks_are_reached():
    """More functions than one branch selects from; each function returns to the block of its caller."""
    chain = ".func (.reg .u32 r) a0(.reg .u32 a) { mov.u32 r, a; ret; }\n" + "".join(
        f".func (.reg .u32 r) a{k}(.reg .u32 a) {{ call (r), a{k - 1}, (a); add.u32 r, r, 1; ret; }}\n"
        for k in range(1, 340)
    )
    assert run(chain, "call (%v), a339, (%i);", 3)[0] == [339, 340, 341]


def test_many_calls_spend_fuel():
    """2^40 calls, without a loop or recursion."""
    functions = ".func d0() { ret; }\n" + "".join(
        f".func d{k}() {{ call d{k - 1}; call d{k - 1}; ret; }}\n" for k in range(1, 41)
    )
    with pytest.raises(FuelExhausted, match=r"warp 0 of CTA 0 ran 5,000 loop iterations"):
        run(functions, "call d40;", fuel=5000)


@pytest.mark.parametrize("sanitize", [False, True])
def test_local_memory_of_a_function_is_new_in_each_call(sanitize):
    """Stack data of an earlier call of another function is not visible and does not count as written."""
    functions = """
    .func (.reg .u32 r) dirty(.reg .u32 a)
    { .local .u32 x[8]; .reg .pred %z; .reg .u32 %b; st.local.u32 [x + 4], a; mov.u32 r, a; setp.eq.u32 %z, a, 0;
      @%z ret; sub.u32 %b, a, 1; call (r), dirty, (%b); ld.local.u32 r, [x + 4]; ret; }
    .func (.reg .u32 r) clean(.reg .u32 a)
    { .local .u32 x[8]; .reg .pred %z; .reg .u32 %b; ld.local.u32 r, [x + 4]; setp.eq.u32 %z, a, 0; @%z ret;
      sub.u32 %b, a, 1; call (r), clean, (%b); ret; }
    """
    out, execution = run(functions, "call (%v), dirty, (3); call (%w), clean, (3); xor.b32 %v, %v, %w;", 32,
                         sanitize=sanitize)  # fmt: skip
    assert out == [0xFFFFFFFF ^ 3] * 32
    assert [(finding.kind, finding.line) for finding in execution.findings] == [("uninitialised", 9)] * sanitize


@pytest.mark.parametrize(
    ("function", "lines"),
    [
        ("add.u32 r, a, %x; setp.eq.u32 %z, a, 0; @%z ret; sub.u32 %b, a, 1; call (r), f, (%b); ret;", [6]),
        (
            "setp.gt.u32 %z, a, 1; @%z mov.u32 %x, a; @!%z mov.u32 %x, 0; mov.u32 r, %x; setp.eq.u32 %z, a, 0; @%z ret;"
            " sub.u32 %b, a, 1; call (r), f, (%b); add.u32 r, r, %x; ret;",
            [],
        ),
    ],
    ids=["never written", "written by halves, before the call"],
)
def test_registers_that_were_never_written_are_found_in_recursion(function, lines):
    function = f".func (.reg .u32 r) f(.reg .u32 a)\n{{ .reg .pred %z; .reg .u32 %b, %x;\n {function} }}\n"
    out, execution = run(function, "call (%v), f, (3);", 32, sanitize=True)
    assert out == [0 if lines else 5] * 32
    assert [finding.line for finding in execution.findings] == lines


def test_an_aligned_variable_of_a_function_is_aligned_at_every_depth():
    function = """
    .func (.reg .u32 r) f(.reg .u32 a)
    { .local .align 128 .b8 x[16]; .reg .pred %z; .reg .u32 %b; .reg .u64 %x; mov.u64 %x, x; cvt.u32.u64 r, %x;
      and.b32 r, r, 127; setp.eq.u32 %z, a, 0; @%z ret; sub.u32 %b, a, 1; call (%b), f, (%b); or.b32 r, r, %b; ret; }
    """
    assert run(function, "call (%v), f, (5);", 1)[0] == [0]


@pytest.mark.parametrize(
    "load",
    [
        "ld.param.b32 %v, [%x];",
        "ld.param::func.b32 %v, [%x];",
        "ld.local.b32 %v, [%x];",
        "cvta.local.u64 %x, %x; ld.b32 %v, [%x];",
        "cvta.param.u64 %x, %x; ld.b32 %v, [%x];",
        "cvta.param.u64 %x, %x; cvta.to.param.u64 %x, %x; ld.param.b32 %v, [%x];",
    ],
)
def test_a_parameter_of_a_function_has_an_address(load):
    """The same function, inlined (f) and called (g, through a register)."""
    body = "(.param .b32 a) {{ .reg .b64 %x; .reg .b32 %v; mov.b64 %x, a; bra.uni NEXT; NEXT: {} {} }}\n"
    functions = "".join(
        f".func (.param .b32 r) {name}{body.format(load, 'st.param.b32 [r], %v; ret;')}" for name in "fg"
    )
    call = """
    shape: .callprototype (.param .b32 _) _ (.param .b32 _);
    { .param .b32 p; .param .b32 q; st.param.b32 [p], %i; call (q), f, (p); ld.param.b32 %v, [q]; mov.u64 %f, g;
      st.param.b32 [p], %v; call (q), %f, (p), shape; ld.param.b32 %v, [q]; }
    """
    assert run(functions, call)[0] == list(range(40))


def test_barriers_and_shuffles_inside_a_recursive_function_meet():
    function = """
    .func (.reg .u32 r) f(.reg .u32 a)
    { .reg .pred %z; .reg .u32 %b; setp.eq.u32 %z, a, 0; mov.u32 r, %tid.x; @%z ret; sub.u32 %b, a, 1;
      call (r), f, (%b); bar.sync 0; shfl.sync.bfly.b32 r, r, 1, 31, -1; add.u32 r, r, a; ret; }
    """
    out, execution = run(function, "call (%v), f, (3);", 64)
    assert out == [(i ^ 1) + 6 for i in range(64)]
    assert execution.counters["ptx_barrier_phases"] == 3


def test_the_stack_gives_memory_and_takes_it_back():
    """alloca with a different size for each lane; the memory of a function is freed when it returns."""
    functions = """
    .func (.reg .u64 r) taken() { .reg .u64 %x; alloca.u64 %x, 32; st.local.u32 [%x], 7; mov.u64 r, %x; ret; }
    """
    body = """
    .reg .u64 %a, %b, %c, %s, %size; .reg .u32 %d;
    call (%a), taken; call (%b), taken; sub.u64 %c, %a, %b; cvt.u32.u64 %v, %c;
    stacksave.u64 %s; mul.wide.u32 %size, %i, 4; alloca.u64 %a, %size, 64; st.local.u32 [%a], %i; and.b64 %c, %a, 63;
    cvt.u32.u64 %d, %c; add.u32 %v, %v, %d; stackrestore.u64 %s; alloca.u64 %b, 4, 64; sub.u64 %c, %a, %b;
    cvt.u32.u64 %d, %c; add.u32 %v, %v, %d; ld.local.u32 %d, [%b]; min.u32 %d, %d, 1; add.u32 %v, %v, %d;
    """
    assert run(functions, body)[0] == [1] * 40


@pytest.mark.parametrize("size", ["131080", "0xffffffffffffffff"])
def test_alloca_of_more_than_the_stack_is_a_fault(size):
    body = f".reg .u64 %size; mov.u64 %size, {size}; setp.eq.u32 %p, %i, 3; @%p alloca.u64 %f, %size;"
    message = "line 14: alloca.u64 by thread 3 of CTA 0 exceeds the thread's stack, which has 131,072 bytes."
    with pytest.raises(MemoryFault, match=re.escape(message)):
        run("", body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("call (%v), %f, (%i);", "line 19: a call through a register needs the label of a .callprototype"),
        ("call (%v), %f, (%i), nothing;", "line 19: 'nothing' is not the label of a .callprototype or .calltargets"),
        (SHAPE + "call (%v), %f, (%i, %i), shape;", "line 19: the prototype 'shape' takes 1 and returns 1; the"),
        ("l: .calltargets none; call (%v), %f, (%i), l;", "line 19: 'none' in the .calltargets 'l' is not a function"),
        ("alloca.u64 %f, 8, 3;", "line 19: expected an alignment that is a power of 2 up to 8,388,608"),
    ],
)  # fmt: skip
def test_an_impossible_call_is_a_syntax_error(body, message):
    with pytest.raises(PtxSyntaxError, match=re.escape(message)):
        run(FEW, body)


def test_a_call_through_a_register_that_fits_no_function_is_a_fault():
    body = (
        "s: .callprototype _ (.param .b64 _); .param .b64 p; st.param.b64 [p], %out; mov.u64 %f, 64; call %f, (p), s;"
    )
    with pytest.raises(MemoryFault, match="goes to address 0x40, which is not that of a function"):
        run(FEW, body)


def test_the_address_of_a_function_without_a_body_is_refused_by_name():
    with pytest.raises(UnsupportedInstruction, match=r"line 15: 'missing' has no body in this file"):
        run(".extern .func missing();\n", "mov.u64 %f, missing;")


def test_ptxas_accepts_these_functions():
    tool = locate.program("ptxas")
    assert tool is not None, locate.INSTALL
    body = SHAPE + "mov.u64 %f, twice; call (%v), %f, (%i), shape;" + CALL_FIB
    ptxas.assemble(tool, text(FEW + FIB + SOME, body), "sm_80")


# ---- CUDA C


@pytest.fixture
def compiled(tmp_path):
    """The PTX by NVRTC of CUDA C with an entry `k`."""

    def compile_(source):
        return toolchain.compiled(source.encode(), tmp_path / "k.cu", "sm_90", ())[0]

    return compile_


def launch(ptx, *args, block=32):
    execution = emulator.run(ptx, grid=1, block=block, args=list(args), sanitize=True)
    assert execution.findings == ()
    return execution


def test_virtual_functions_and_structures_by_value_run(compiled):
    ptx = compiled("""
    struct Shape { int tag; __device__ virtual float area() const = 0; };
    struct Square : Shape {
        float a;
        __device__ Square(float x) : a(x) {}
        __device__ float area() const { return a * a; }
    };
    struct Disc : Shape {
        float r;
        __device__ Disc(float x) : r(x) {}
        __device__ float area() const { return 3 * r * r; }
    };
    struct Pair { double sum; int count[3]; };
    __device__ __noinline__ Pair make(const Shape* s, int i) {
        Pair p;
        p.sum = s->area();
        for (int& c : p.count) c = i++;
        return p;
    }
    extern "C" __global__ void k(float* x) {
        Square square(2); Disc disc(5);
        const Shape* shape = threadIdx.x % 3 ? (const Shape*)&square : &disc;
        Pair p = make(shape, threadIdx.x);
        x[threadIdx.x] = p.sum + p.count[threadIdx.x % 3];
    }""")
    x = np.zeros(32, np.float32)
    launch(ptx, x)
    assert x.tolist() == [(4 if i % 3 else 75) + i + i % 3 for i in range(32)]


def test_the_padding_of_a_structure_by_value_causes_no_finding(compiled):
    ptx = compiled("""
    struct Inner { double a; char c; short s; };
    struct Outer { Inner inner; int n; char z; };
    __device__ __noinline__ int down(Outer o, int k) {
        return k == 0 ? (int)o.inner.a + o.inner.c + o.n + o.z : down(o, k - 1) + o.inner.s;
    }
    __device__ __noinline__ Outer make(int i) { return {{(double)i, 1, 2}, 3, 4}; }
    extern "C" __global__ void k(int* x) { x[threadIdx.x] = down(make(threadIdx.x), 3); }
    """)
    x = np.zeros(32, np.int32)
    launch(ptx, x)
    assert x.tolist() == [i + 8 + 6 for i in range(32)]


def test_a_structure_that_has_only_some_of_its_values_may_be_returned(compiled):
    ptx = compiled("""
    struct Found { bool exists; int at; };
    __device__ __noinline__ Found find(const int* x, int value) {
        Found result;
        result.exists = false;
        for (int i = 0; i < 8; ++i) if (x[i] == value) { result.exists = true; result.at = i; }
        return result;
    }
    extern "C" __global__ void k(const int* x, int* y) {
        Found found = find(x, threadIdx.x);
        y[threadIdx.x] = found.exists ? found.at : -1;
    }""")
    y = np.zeros(32, np.int32)
    launch(ptx, np.arange(0, 16, 2, dtype=np.int32), y)
    assert y.tolist() == [i // 2 if i < 16 and i % 2 == 0 else -1 for i in range(32)]


def test_a_recursive_sort_of_local_arrays_runs(compiled):
    ptx = compiled("""
    __device__ void sort(int* a, int low, int high) {
        if (low >= high) return;
        int pivot = a[high], i = low;
        for (int j = low; j < high; ++j) if (a[j] < pivot) { int t = a[i]; a[i] = a[j]; a[j] = t; ++i; }
        int t = a[i]; a[i] = a[high]; a[high] = t;
        sort(a, low, i - 1);
        sort(a, i + 1, high);
    }
    extern "C" __global__ void k(int* x) {
        int a[12];
        for (int j = 0; j < 12; ++j) a[j] = (threadIdx.x + 5) * (j + 1) * 37 % 101;
        sort(a, 0, 11);
        for (int j = 0; j < 12; ++j) x[12 * threadIdx.x + j] = a[j];
    }""")
    x = np.zeros((64, 12), np.int32)
    launch(ptx, x, block=64)
    assert x.tolist() == [sorted((i + 5) * (j + 1) * 37 % 101 for j in range(12)) for i in range(64)]


def test_printf_inside_recursion_prints_the_innermost_first(compiled):
    ptx = compiled(r"""
    __device__ __noinline__ int say(int n) {
        if (n == 0) return 0;
        int sum = say(n - 1) + n;
        printf("%d: %d of %d\n", threadIdx.x, n, sum);
        return sum;
    }
    extern "C" __global__ void k(int* x) { if (threadIdx.x % 16 == 3) x[threadIdx.x] = say(1 + threadIdx.x / 16); }
    """)
    x = np.zeros(32, np.int32)
    assert launch(ptx, x).printed == "3: 1 of 1\n19: 1 of 1\n19: 2 of 3\n"
    assert (x[3], x[19]) == (1, 3)
