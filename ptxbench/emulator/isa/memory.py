"""PTX ISA, Data Movement and Conversion Instructions: ld and st."""

from ptxbench.emulator.isa.table import Chapter

instruction = Chapter("Data Movement and Conversion Instructions: ld, st", counted="memory")

LD = "data-movement-and-conversion-instructions-ld"
LD_NC = "data-movement-and-conversion-instructions-ld-global-nc"
ST = "data-movement-and-conversion-instructions-st"
STORED = (*(f"{kind}{bits}" for kind in "bus" for bits in (8, 16, 32, 64)), "f32", "f64")
UP_TO_32 = tuple(name for name in STORED if not name.endswith("64"))
NO_CACHE = {"cop": "no cache is modelled", "nc": "no cache is modelled"}
NC_POLICIES = ("ca", "cg", "cs", "L1::no_allocate", "L1::evict_first", "L1::evict_last")
LOAD_POLICIES = (*NC_POLICIES, "lu", "cv")
STORE_POLICIES = ("wb", "cg", "cs", "wt", "L1::no_allocate")


@instruction("ld.space.type d, [a]", space=("param", "const", "shared", "local"), type=STORED, section=LD)
@instruction("ld.space{.cop}.type d, [a]", space=("global",), cop=LOAD_POLICIES, type=STORED, section=LD,
             ignored=NO_CACHE)  # fmt: skip
@instruction("ld.space.nc{.cop}.type d, [a]", space=("global",), cop=NC_POLICIES, type=STORED, section=LD_NC,
             ignored=NO_CACHE)  # fmt: skip
@instruction("ld.space.cop.nc.type d, [a]", space=("global",), cop=NC_POLICIES, type=STORED, section=LD_NC,
             ignored=NO_CACHE)  # fmt: skip
def ld(machine, space, a, type):
    return machine.load(space, a, type)


@instruction("ld.space.vec.type {d}, [a]", space=("param", "const", "shared", "local"), vec=("v2",), type=STORED,
             section=LD)  # fmt: skip
@instruction("ld.space.vec.type {d}, [a]", space=("param", "const", "shared", "local"), vec=("v4",), type=UP_TO_32,
             section=LD)  # fmt: skip
@instruction("ld.space{.cop}.vec.type {d}, [a]", space=("global",), cop=LOAD_POLICIES, vec=("v2", "v4"),
             type=STORED, section=LD, ignored=NO_CACHE)  # fmt: skip
@instruction("ld.space.nc{.cop}.vec.type {d}, [a]", space=("global",), cop=NC_POLICIES, vec=("v2", "v4"), type=STORED,
             section=LD_NC, ignored=NO_CACHE)  # fmt: skip
@instruction("ld.space.cop.nc.vec.type {d}, [a]", space=("global",), cop=NC_POLICIES, vec=("v2", "v4"), type=STORED,
             section=LD_NC, ignored=NO_CACHE)  # fmt: skip
def ld_vector(machine, space, a, type, vec):
    return machine.load(space, a, type, int(vec[1]))


@instruction("ld.type d, [a]", type=STORED, section=LD)
def ld_generic(machine, a, type):
    """The space is that of the window which the address lies in."""
    return machine.load("generic", a, type)


@instruction("ld.vec.type {d}, [a]", vec=("v2",), type=STORED, section=LD)
@instruction("ld.vec.type {d}, [a]", vec=("v4",), type=UP_TO_32, section=LD)
def ld_generic_vector(machine, a, type, vec):
    return machine.load("generic", a, type, int(vec[1]))


@instruction("st.space.type [a], b", space=("param", "shared", "local"), type=STORED, section=ST)
@instruction("st.space{.cop}.type [a], b", space=("global",), cop=STORE_POLICIES, type=STORED, section=ST,
             ignored=NO_CACHE)  # fmt: skip
def st(machine, space, a, b):
    machine.store(space, a, (b,))


@instruction("st.space.vec.type [a], {b}", space=("param", "shared", "local"), vec=("v2",), type=STORED, section=ST)
@instruction("st.space.vec.type [a], {b}", space=("param", "shared", "local"), vec=("v4",), type=UP_TO_32, section=ST)
@instruction("st.space{.cop}.vec.type [a], {b}", space=("global",), cop=STORE_POLICIES, vec=("v2", "v4"), type=STORED,
             section=ST, ignored=NO_CACHE)  # fmt: skip
def st_vector(machine, space, a, b, vec):
    machine.store(space, a, machine.all_of(b, int(vec[1])))


@instruction("st.type [a], b", type=STORED, section=ST)
def st_generic(machine, a, b):
    machine.store("generic", a, (b,))


@instruction("st.vec.type [a], {b}", vec=("v2",), type=STORED, section=ST)
@instruction("st.vec.type [a], {b}", vec=("v4",), type=UP_TO_32, section=ST)
def st_generic_vector(machine, a, b, vec):
    machine.store("generic", a, machine.all_of(b, int(vec[1])))
