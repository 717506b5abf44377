"""Random functions that call each other, directly and through tables, against a model of them in Python."""

import random

import pytest

from ptxbench.toolchain import locate, ptxas
from tests.emulator.test_call_stack import run, text


def random_functions(draw, count):
    """(PTX, model): functions g0, g1, ... of (n, x) that call each other in divergent branches and loops, directly,
    through registers and by guards, with arguments in registers or variables; `model(k, n, x)` is what gk gives."""
    parts, tables, plans = [], [], []
    in_registers = [draw.random() < 0.5 for _ in range(count)]
    for k in range(count):
        plan = {
            "factor": draw.randrange(1, 1 << 16) | 1, "bit": draw.randrange(5), "then": draw.randrange(count),
            "through": [f for f in range(count) if in_registers[f] == in_registers[k]],
            "loops": draw.randrange(1, 3), "keep": draw.randrange(1 << 16),
        }  # fmt: skip
        plans.append(plan)
        formal = ".reg .u32 {}" if in_registers[k] else ".param .b32 {}"
        head = f"({formal.format('r')}) g{k}({formal.format('n')}, {formal.format('x')})"
        parts.append(f".func {head};")
        tables.append(f".const .u64 t{k}[{len(plan['through'])}] = {{{', '.join(f'g{f}' for f in plan['through'])}}};")
    for k, plan in enumerate(plans):
        formal = ".reg .u32 {}" if in_registers[k] else ".param .b32 {}"
        load = "mov.b32 %n, n; mov.b32 %x, x;" if in_registers[k] else "ld.param.b32 %n, [n]; ld.param.b32 %x, [x];"
        give = "mov.b32 r, %x;" if in_registers[k] else "st.param.b32 [r], %x;"
        other = plan["then"]
        shape = ".callprototype (F) _ (F, F);".replace("F", formal.format("_"))
        parts.append(f"""
.func ({formal.format("r")}) g{k}({formal.format("n")}, {formal.format("x")})
{{
    .reg .b32 %n, %x, %m, %y, %i, %keep; .reg .b64 %f, %at; .reg .pred %p, %end;
    .local .b32 own[4]; .param .b32 a, b, c;
    {load}
    setp.eq.u32 %end, %n, 0;
    @%end bra DONE;
    sub.u32 %m, %n, 1;
    xor.b32 %keep, %x, {plan["keep"]};
    st.local.b32 [own + 8], %keep;
    mov.u32 %i, 0;
LOOP:
    mad.lo.u32 %x, %x, {plan["factor"]}, %i;
    bfe.u32 %y, %x, {plan["bit"]}, 1;
    setp.eq.u32 %p, %y, 1;
    @!%p bra ELSE;
    {direct(other, in_registers[other])}
    bra JOIN;
ELSE:
    bfe.u32 %y, %x, 7, 8;
    rem.u32 %y, %y, {len(plan["through"])};
    mov.u64 %at, t{k};
    mad.wide.u32 %at, %y, 8, %at;
    ld.const.u64 %f, [%at];
    shape: {shape}
    {through(in_registers[k])}
JOIN:
    add.u32 %i, %i, 1;
    setp.lt.u32 %p, %i, {plan["loops"]};
    @%p bra LOOP;
    ld.local.b32 %y, [own + 8];
    add.u32 %x, %x, %keep;
    xor.b32 %x, %x, %y;
DONE:
    {give}
    ret;
}}""")

    def model(k, n, x):
        plan = plans[k]
        if n == 0:
            return x
        keep = x ^ plan["keep"]
        for i in range(plan["loops"]):
            x = (x * plan["factor"] + i) & 0xFFFFFFFF
            chosen = plan["then"] if x >> plan["bit"] & 1 else plan["through"][(x >> 7 & 0xFF) % len(plan["through"])]
            x = model(chosen, n - 1, x)
        return (x + keep & 0xFFFFFFFF) ^ keep

    return "\n".join([*parts[:count], *tables, *parts[count:]]) + "\n", model


def direct(k, in_registers):
    if in_registers:
        return f"call (%x), g{k}, (%m, %x);"
    return f"st.param.b32 [a], %m; st.param.b32 [b], %x; call.uni (c), g{k}, (a, b); ld.param.b32 %x, [c];"


def through(in_registers):
    if in_registers:
        return "call (%x), %f, (%m, %x), shape;"
    return "st.param.b32 [a], %m; st.param.b32 [b], %x; call (c), %f, (a, b), shape; ld.param.b32 %x, [c];"


@pytest.mark.parametrize("seed", range(3))
def test_random_functions_that_call_each_other_match_their_model(seed):
    draw = random.Random(seed)
    functions, model = random_functions(draw, 4)
    start = "rem.u32 %w, %i, 5; mad.lo.u32 %v, %i, 77777, 5; "
    first = "call (%v), g0, (%w, %v);"
    if ".func (.param .b32 r) g0" in functions:
        first = """{ .param .b32 p, q, s; st.param.b32 [p], %w; st.param.b32 [q], %v; call (s), g0, (p, q);
        ld.param.b32 %v, [s]; }"""
    if seed == 0:
        tool = locate.program("ptxas")
        assert tool is not None, locate.INSTALL
        ptxas.assemble(tool, text(functions, start + first), "sm_80")
    out, execution = run(functions, start + first, 64, sanitize=seed % 2 == 1)
    assert out == [model(0, i % 5, i * 77777 + 5) for i in range(64)]
    assert execution.findings == ()
