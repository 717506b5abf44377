"""Launch conditions vary within the range that a GPU allows, and only on request."""

import re

import ml_dtypes
import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import accuracy
from ptxbench.emulator.runtime.conditions import SHARED_ORIGIN
from ptxbench.emulator.variation import ORIGINS, Variation, addresses
from ptxbench.errors import KernelError
from tests.emulator import batch
from tests.emulator.samples import FORMS, SEED, edges
from tests.folders import changed

FUNCTIONS = {
    "rcp": np.reciprocal, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "sin": np.sin, "cos": np.cos,
    "lg2": np.log2, "ex2": np.exp2, "tanh": np.tanh, "div": np.divide,
}  # fmt: skip
TYPES = {"f64": np.float64, "f32": np.float32, "f16": np.float16, "bf16": ml_dtypes.bfloat16}
OPCODES = (
    "rcp.approx.f32", "rcp.approx.ftz.f32", "sqrt.approx.f32", "rsqrt.approx.f32", "sin.approx.f32", "cos.approx.f32",
    "lg2.approx.f32", "ex2.approx.f32", "ex2.approx.ftz.f32", "tanh.approx.f32", "div.approx.f32", "div.full.f32",
    "ex2.approx.f16", "ex2.approx.ftz.bf16", "tanh.approx.f16", "tanh.approx.bf16", "rcp.approx.ftz.f64",
    "rsqrt.approx.ftz.f64", "rsqrt.approx.f64",
)  # fmt: skip
ROWS = 1500


def cases():
    """Each opcode on numbers of an ordinary size, and on the edges of its type."""
    rng = np.random.default_rng(SEED)
    every = []
    for opcode in OPCODES:
        name, kind = opcode.split(".")[0], opcode.rsplit(".", 1)[1]
        count = 2 if name == "div" else 1
        span = {"sin": 300, "cos": 300, "ex2": 14, "tanh": 4}.get(name, 100)
        columns = []
        for _ in range(count):
            numbers = rng.uniform(-1 if name in ("sin", "cos", "ex2", "tanh", "div", "rcp") else 0, 1, ROWS) * span
            patterns = numbers.astype(TYPES[kind]).view(f"u{np.dtype(TYPES[kind]).itemsize}").astype(np.uint64)
            columns.append(np.concatenate([patterns, rng.permuted(np.array(edges(FORMS[kind]), np.uint64))]))
        register = "b16" if kind in ("f16", "bf16") else kind
        every.append(batch.Case(opcode, register, [register] * count, columns))
    return every


def values(patterns, kind):
    with np.errstate(invalid="ignore"):
        return patterns.astype(f"u{np.dtype(TYPES[kind]).itemsize}").view(TYPES[kind]).astype(np.float64)


def test_approximate_results_vary_within_their_documented_error():
    every = cases()
    usual, first, first_again, second = (
        batch.execute(every, "sm_90", variation=Variation(approximate=seed)) for seed in (None, 1, 1, 2)
    )
    for number, case in enumerate(every):
        opcode, kind = case.opcode, case.opcode.rsplit(".", 1)[1]
        assert first[number].tolist() == first_again[number].tolist(), opcode
        assert first[number].tolist() != second[number].tolist(), opcode
        ideal, varied = values(usual[number], kind), values(first[number], kind)
        with np.errstate(all="ignore"):
            exact = FUNCTIONS[opcode.split(".")[0]](*(values(column, kind) for column in case.columns))
            error = np.abs(varied - exact)
        limit = accuracy.bound(opcode).at(exact)
        if opcode.startswith(("sin", "cos")):
            angles = np.abs(values(case.columns[0], kind))
            limit[angles < 6.28] = 2.0**-20.5
            limit[angles > 100 * np.pi] = limit_beyond(angles[angles > 100 * np.pi])
        differs = varied != ideal
        differs &= ~(np.isnan(varied) & np.isnan(ideal))
        assert (error[differs] <= limit[differs]).all(), opcode
        assert differs[:ROWS].mean() > 0.2, (opcode, differs[:ROWS].mean())
        special = ~np.isfinite(ideal) | (ideal == 0) | (np.abs(ideal) == 1) & (exact == ideal)
        assert not differs[special].any(), opcode


def limit_beyond(angles):
    """The manual states 2^-14.7 up to 100 pi and nothing beyond: here it grows with the angle, up to 1."""
    return np.minimum(2.0**-14.7 * angles / (100 * np.pi), 1) * (1 + 1e-6)


@pytest.mark.parametrize(("name", "function"), [("sin", np.sin), ("cos", np.cos)])
def test_the_error_of_a_large_angle_grows_with_it(name, function):
    angles = np.geomspace(320, 1e9, 4000).astype(np.float32)
    case = batch.Case(f"{name}.approx.f32", "f32", ["f32"], [angles.view(np.uint32).astype(np.uint64)])
    [varied] = batch.execute([case], "sm_90", variation=Variation(approximate=1))
    error = np.abs(values(varied, "f32") - function(angles.astype(np.float64)))
    share = error / limit_beyond(angles.astype(np.float64))
    assert (share <= 1).all()
    assert np.mean(share > 0.45) > 0.5  # the others would be beyond 1


FOUND = (
    "shared", "generic shared", "unwritten shared", "local", "generic local", "unwritten local", "variable", "stored",
    "nsmid", "smid", "gridid", "nwarpid", "warpid", "clock", "timer", "unwritten register", "nan", "from shared",
    "parameter", "from parameter",
)  # fmt: skip
FINDS = """
.version 7.8
.target sm_80
.address_size 64
.global .align 8 .u64 variable[4];
.visible .entry finds(.param .u64 out)
{
    .reg .u32 %a, %near, %never;
    .reg .u64 %out, %start, %x;
    .reg .f32 %f;
    .shared .align 16 .b32 tile[64];
    .local .align 8 .b32 own[4];
    ld.param.u64 %out, [out];
    mov.u64 %start, %out;
    mov.u32 %near, tile;
    KEEP32(%near)
    cvt.u64.u32 %x, %near;
    cvta.shared.u64 %x, %x;
    KEEP
    ld.u32 %a, [%x+4];
    KEEP32(%a)
    mov.u64 %x, own;
    KEEP
    cvta.local.u64 %x, %x;
    KEEP
    ld.u32 %a, [%x];
    KEEP32(%a)
    mov.u64 %x, variable;
    KEEP
    st.global.u64 [variable+8], 77;
    ld.global.u64 %x, [%x+8];
    KEEP
    KEEP32(%nsmid)
    KEEP32(%smid)
    mov.u64 %x, %gridid;
    KEEP
    KEEP32(%nwarpid)
    KEEP32(%warpid)
    mov.u64 %x, %clock64;
    KEEP
    mov.u64 %x, %globaltimer;
    KEEP
    KEEP32(%never)
    mov.f32 %f, 0f7F800000;
    sub.f32 %f, %f, %f;
    mov.b32 %a, %f;
    KEEP32(%a)
    st.shared.u32 [tile+8], 5;
    ld.shared.u32 %a, [%near+8];
    KEEP32(%a)
    mov.b64 %x, out;
    KEEP
    ld.param.u64 %x, [%x];
    sub.u64 %x, %x, %start;
    KEEP
    ret;
}
"""
KEEP = "st.global.u64 [%out], %x; add.u64 %out, %out, 8;"


def finds(**options):
    """The values that one thread reads."""
    text = re.sub(r"KEEP32\((\S+)\)", r"mov.u32 %a, \1; cvt.u64.u32 %x, %a; KEEP", FINDS).replace("KEEP", KEEP)
    out = np.zeros(len(FOUND), np.uint64)
    emulator.run(text, grid=1, block=1, args=[out], **options)
    return dict(zip(FOUND, map(int, out), strict=True))


@pytest.mark.parametrize(
    ("kilobytes", "steps"), [(0, ORIGINS), (224, ORIGINS), (227, ORIGINS[:-1]), (253, (1, 2)), (255, (0,)), (900, (0,))]
)
def test_a_matrix_descriptor_can_address_all_of_shared_memory_wherever_it_starts(kilobytes, steps):
    seen = {addresses(seed, "sm_90", 0, kilobytes << 10)[SHARED_ORIGIN] // 1024 - 1 for seed in range(60)}
    assert seen == set(steps)


def test_launch_conditions_vary_only_where_variation_is_requested():
    usual, moved = finds(), finds(placement=4)
    one, other = (finds(variation=Variation(nans=seed, registers=seed, memory=seed)) for seed in (4, 5))
    assert finds() == usual
    assert (usual["nsmid"], usual["gridid"], usual["nan"], usual["unwritten shared"]) == (132, 1, 0x7FFFFFFF, 2**32 - 1)
    assert moved == finds(placement=4)
    changed = {name for name in FOUND if moved[name] != usual[name]}
    assert changed == {"shared", "generic shared", "local", "generic local", "variable", "parameter"}
    assert (moved["shared"] % 1024, moved["shared"] > usual["shared"]) == (0, True)
    changed = {name for name in FOUND if one[name] != usual[name]} | {
        name for name in FOUND if other[name] != one[name]
    }
    assert changed == set(FOUND) - {
        "shared", "generic shared", "local", "generic local", "variable", "stored", "from shared", "parameter",
        "from parameter",
    }  # fmt: skip
    for run in (one, other):
        assert run["smid"] < run["nsmid"]
        assert run["warpid"] < run["nwarpid"]
        assert run["nan"] & 0x7FC00000 == 0x7FC00000
    assert one["nsmid"] > usual["nsmid"] > other["nsmid"]


@pytest.mark.parametrize("placement", [None, *range(6)])
def test_a_generic_address_of_shared_memory_ends_in_the_address_in_shared_memory(placement):
    found = finds(placement=placement)
    assert found["generic shared"] % (1 << 32) == found["shared"] != 0


POLICY = """.version 7.4
.target sm_80
.address_size 64
.visible .entry policy(.param .u64 out)
{
    .reg .u64 %out, %policy;
    ld.param.u64 %out, [out];
    createpolicy.fractional.L2::evict_first.b64 %policy, 0.5;
    ld.global.L2::cache_hint.u64 %policy, [%out], %policy;
    createpolicy.fractional.L2::evict_first.b64 %policy, 0.5;
    st.global.u64 [%out], %policy;
    ret;
}
"""


def test_the_bits_of_a_cache_policy_vary_like_registers():
    def policy(seed):
        out = np.zeros(1, np.uint64)
        emulator.run(POLICY, grid=1, block=1, args=[out], variation=Variation(registers=seed))
        return int(out[0])

    assert policy(None) == 0
    assert policy(4) == policy(4) != 0
    assert policy(4) != policy(5)


STATE = """.version 7.1
.target sm_80
.address_size 64
.visible .entry state(.param .u64 out)
{
    .reg .u64 %out, %state;
    .reg .u32 %pending, %turns;
    .reg .pred %done;
    .shared .align 8 .u64 gate;
    ld.param.u64 %out, [out];
    mbarrier.init.shared.b64 [gate], 3;
    mbarrier.arrive.noComplete.shared.b64 %state, [gate], 1;
    mbarrier.arrive.shared.b64 %state, [gate];
    mbarrier.pending_count.b64 %pending, %state;
    st.global.u64 [%out], %state;
    st.global.u32 [%out+8], %pending;
    mbarrier.test_wait.shared.b64 %done, [gate], %state;
    selp.u32 %turns, 10, 20, %done;
    mbarrier.arrive.shared.b64 %state, [gate];
    mbarrier.test_wait.shared.b64 %done, [gate], %state;
    @%done add.u32 %turns, %turns, 1;
    st.global.u32 [%out+12], %turns;
    ret;
}
"""


def test_the_bits_of_the_state_of_an_mbarrier_vary_like_registers_and_mean_the_same():
    def state(seed):
        out = np.zeros(4, np.uint32)
        emulator.run(STATE, grid=1, block=1, args=[out], variation=Variation(registers=seed))
        assert out[2:].tolist() == [2, 21]
        return out[:2].tolist()

    assert state(4) == state(4) != state(5)
    assert state(None) not in (state(4), state(5))


UNDEFINED = """.version 7.0
.target sm_75
.address_size 64
.visible .entry undefined(.param .u64 out)
{
    .reg .u32 %t, %unwritten, %copy, %value;
    .reg .u64 %at;
    .reg .pred %low;
    ld.param.u64 %at, [out];
    mov.u32 %t, %tid.x;
    mad.wide.u32 %at, %t, 8, %at;
    mov.u32 %copy, %unwritten;
    setp.lt.u32 %low, %t, 8;
    mov.u32 %value, 0;
    SHUFFLE
    st.global.v2.u32 [%at], {%copy, %value};
    ret;
}
"""
SHUFFLES = {
    "constant": "@%low shfl.sync.bfly.b32 %value, %t, 12, 31, 0xff;",
    "computed": "or.b32 %value, %t, 8;\n@%low shfl.sync.idx.b32 %value, %t, %value, 31, 0xff;",
}


@pytest.mark.parametrize("shuffle", SHUFFLES.values(), ids=SHUFFLES)
def test_unwritten_registers_and_values_from_inactive_lanes_vary(shuffle):
    text = UNDEFINED.replace("SHUFFLE", shuffle)
    own = list(range(8))

    def results(variation):
        out = np.zeros((32, 2), np.uint32)
        emulator.run(text, None, grid=1, block=32, args=[out], variation=variation)
        return out

    usual = results(Variation())
    assert not usual[:, 0].any()
    assert usual[:8, 1].tolist() == own
    for seed in range(8):
        varied = results(Variation(memory=seed))
        numbers = varied[:, 0].copy().view(np.float32)
        assert (np.abs(numbers) > 100).all()
        assert np.isfinite(numbers).all()
        assert (varied[:8, 1] != own).all()
        assert varied[8:, 1].tolist() == usual[8:, 1].tolist()


TRIES = """.version 8.0
.target sm_90
.address_size 64
.visible .entry tries(.param .u64 out)
{
    .reg .u32 %cta, %tries;
    .reg .u64 %at;
    .reg .pred %done;
    .shared .align 8 .b64 met;
    ld.param.u64 %at, [out];
    mov.u32 %cta, %ctaid.x;
    mad.wide.u32 %at, %cta, 4, %at;
    mbarrier.init.shared::cta.b64 [met], 1;
    mbarrier.arrive.shared::cta.b64 _, [met];
    mov.u32 %tries, 0;
AGAIN:
    add.u32 %tries, %tries, 1;
    mbarrier.try_wait.parity.shared::cta.b64 %done, [met], 0;
    @!%done bra AGAIN;
    st.global.u32 [%at], %tries;
    ret;
}
"""


def test_waits_for_mbarriers_fail_some_times_where_that_is_requested_and_deadlocks_are_still_found():
    def tries(variation, text=TRIES):
        out = np.zeros(16, np.uint32)
        emulator.run(text, grid=16, block=1, args=[out], variation=variation)
        return out.tolist()

    assert tries(Variation()) == [1] * 16
    seeded = [tries(Variation(waits=seed)) for seed in (1, 2)]
    assert seeded[0] == tries(Variation(waits=1))
    assert seeded[0] != seeded[1]
    assert {1, 2, 3} <= {count for counts in seeded for count in counts}
    with pytest.raises(KernelError, match="deadlocked"):
        tries(Variation(waits=1), changed(TRIES, "[met], 1;", "[met], 2;"))
