"""PTX ISA, Data Movement and Conversion Instructions: ld and st."""

from ptxbench.emulator.isa.table import Chapter

instruction = Chapter("Data Movement and Conversion Instructions: ld, st", counted="memory")

STORED = tuple(f"{kind}{bits}" for kind in "bus" for bits in (8, 16, 32, 64)) + ("f32", "f64")
PAIRS = tuple(name for name in STORED if not name.endswith("64"))
NO_CACHE = {"cop": "no cache is modelled", "nc": "no cache is modelled", "weak": "the default ordering"}
LOAD_POLICIES = ("ca", "cg", "cs", "lu", "cv", "L1::no_allocate", "L1::evict_first", "L1::evict_last")
STORE_POLICIES = ("wb", "cg", "cs", "wt", "L1::no_allocate")


@instruction("ld.param.type d, [a]", type=STORED, section="data-movement-and-conversion-instructions-ld")
def ld_param(machine, a, type):
    return machine.load("param", a, type)


@instruction("ld.global{.cop}{.nc}.type d, [a]", cop=LOAD_POLICIES, type=STORED, ignored=NO_CACHE,
             section="data-movement-and-conversion-instructions-ld")  # fmt: skip
@instruction("ld.global.nc.cop.type d, [a]", cop=LOAD_POLICIES, type=STORED, ignored=NO_CACHE,
             section="data-movement-and-conversion-instructions-ld-global-nc")  # fmt: skip
def ld_global(machine, a, type):
    return machine.load("global", a, type)


@instruction("ld.global{.cop}{.nc}.vec.type {d}, [a]", cop=LOAD_POLICIES, vec=("v2", "v4"), type=PAIRS, ignored=NO_CACHE,
             section="data-movement-and-conversion-instructions-ld")  # fmt: skip
@instruction("ld.global.nc.cop.vec.type {d}, [a]", cop=LOAD_POLICIES, vec=("v2", "v4"), type=PAIRS, ignored=NO_CACHE,
             section="data-movement-and-conversion-instructions-ld-global-nc")  # fmt: skip
def ld_global_vector(machine, a, type, vec):
    return machine.load("global", a, type, int(vec[1]))


@instruction("ld.global{.nc}.v2.type {d}, [a]", type=("b64", "u64", "s64", "f64"), ignored=NO_CACHE,
             section="data-movement-and-conversion-instructions-ld")  # fmt: skip
def ld_global_pair(machine, a, type):
    return machine.load("global", a, type, 2)


@instruction("ld.shared.type d, [a]", type=STORED, section="data-movement-and-conversion-instructions-ld")
def ld_shared(machine, a, type):
    return machine.load("shared", a, type)


@instruction("ld.shared.vec.type {d}, [a]", vec=("v2", "v4"), type=PAIRS,
             section="data-movement-and-conversion-instructions-ld")  # fmt: skip
def ld_shared_vector(machine, a, type, vec):
    return machine.load("shared", a, type, int(vec[1]))


@instruction("st.global{.cop}.type [a], b", cop=STORE_POLICIES, type=STORED, ignored=NO_CACHE,
             section="data-movement-and-conversion-instructions-st")  # fmt: skip
def st_global(machine, a, b):
    machine.store("global", a, (b,))


@instruction("st.global{.cop}.vec.type [a], {b}", cop=STORE_POLICIES, vec=("v2", "v4"), type=PAIRS, ignored=NO_CACHE,
             section="data-movement-and-conversion-instructions-st")  # fmt: skip
def st_global_vector(machine, a, b, vec):
    assert len(b) == int(vec[1])
    machine.store("global", a, b)


@instruction("st.shared.type [a], b", type=STORED, section="data-movement-and-conversion-instructions-st")
def st_shared(machine, a, b):
    machine.store("shared", a, (b,))


@instruction("st.shared.vec.type [a], {b}", vec=("v2", "v4"), type=PAIRS,
             section="data-movement-and-conversion-instructions-st")  # fmt: skip
def st_shared_vector(machine, a, b, vec):
    assert len(b) == int(vec[1])
    machine.store("shared", a, b)
