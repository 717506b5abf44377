"""setmaxnreg: the pool of registers, wrong uses, and the registers that ptxas chooses by the directives."""

import re

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator import register_pool
from ptxbench.emulator.parse import parsed
from ptxbench.errors import Deadlock, MemoryFault, PtxSyntaxError
from ptxbench.toolchain import locate, ptxas

HEADER = ".version 8.0\n.target sm_90a\n.address_size 64\n"
DEC, INC = "setmaxnreg.dec.sync.aligned.u32", "setmaxnreg.inc.sync.aligned.u32"

SYNC = "bar.sync %group, 128"
CASES = {
    "the others take what the first gives": (f"{INC} 232;", f"{DEC} 40;"),
    "it comes late":                        (f"{INC} 232;", f"{SYNC}; {SYNC}; {DEC} 40;"),
    "given back and taken again":           (f"{INC} 232; {SYNC}; {DEC} 168;", f"{DEC} 40; {SYNC}; {INC} 168;"),
    "the others give it back":              (f"{INC} 232; {SYNC}; {DEC} 168;", f"{DEC} 40;"),
    "to the same number":                   (f"{INC} 168;", f"{DEC} 168;"),
    "more than there are":                  (f"{INC} 240;", f"{DEC} 40;"),
    "none was given":                       (f"{INC} 176;", ""),
    "a smaller number by .inc":             (f"{INC} 160;", ""),
    "a larger number by .dec":              ("",            f"{DEC} 176;"),
    "some warps of a warpgroup":            ("",            f"@%half {DEC} 40;"),
    "another number":                       ("",            f"@%half {DEC} 40; @!%half {DEC} 48;"),
    "no synchronization before the second": ("",            f"{DEC} 40; {DEC} 32;"),
    "some threads of a warp":               ("",            f"@%few {DEC} 40;"),
    "some threads that branched away":      ("",            f"@%few bra END; {DEC} 40;"),
}  # fmt: skip
"""What threads 128 to 383 do, and the first 128. %half: threads 0 to 63; %few: 0 to 4; %group: 1 + the warpgroup.

The kernel starts with 168 registers per thread."""
WRONG = {
    "more than there are": (Deadlock,
        "warp 11 waits at line LINE, setmaxnreg.inc.sync.aligned.u32, for 72 more registers per thread; "
        "the pool has 256 registers, warps 0 to 3 have 40 per thread, warps 4 to 10 have 240 per thread, "
        "warp 11 has 168 per thread"),
    "none was given": (Deadlock,
        "for 8 more registers per thread; the pool has 0 registers, warps 0 to 11 have 168 per thread"),
    "a smaller number by .inc": (MemoryFault,
        "line LINE: setmaxnreg.inc.sync.aligned.u32 by thread 128 of CTA 0 asks for fewer registers than"),
    "a larger number by .dec": (MemoryFault, "thread 0 of CTA 0 asks for more registers than the warp has"),
    "some warps of a warpgroup": (MemoryFault,
        "by thread 64 of CTA 0 exits, but another warp of the warpgroup has not executed"),
    "another number": (MemoryFault,
        "by thread 64 of CTA 0 asks for another number of registers than another warp"),
    "no synchronization before the second": (MemoryFault,
        "by thread 0 of CTA 0 changes the registers again before every warp"),
    "some threads of a warp": (MemoryFault, "by thread 0 of CTA 0 is not executed by all threads of the warp"),
    "some threads that branched away": (MemoryFault, "by thread 5 of CTA 0 is not executed by all threads of the warp"),
}  # fmt: skip


def module():
    """All cases in one kernel, which the parameter `chosen` selects."""
    bodies = []
    for number, (rest, first) in enumerate(CASES.values()):
        bodies.append(f"CASE{number}: @%first bra FIRST{number};\n{rest}\nbra END;\nFIRST{number}:\n{first}\nbra END;")
    choices = "\n".join(
        f"setp.eq.u32 %here, %chosen, {number};\n@%here bra CASE{number};" for number in range(len(CASES))
    )
    return (
        HEADER
        + f"""
.visible .entry k(.param .u64 to, .param .u32 chosen)
.maxntid 384, 1, 1
.minnctapersm 1
{{
    .reg .u64 %to;
    .reg .u32 %t, %chosen, %group;
    .reg .pred %first, %half, %few, %here;
    mov.u32 %t, %tid.x;
    ld.param.u64 %to, [to];
    ld.param.u32 %chosen, [chosen];
    mad.wide.u32 %to, %t, 4, %to;
    shr.u32 %group, %t, 7;
    add.u32 %group, %group, 1;
    setp.lt.u32 %first, %t, 128;
    setp.lt.u32 %half, %t, 64;
    setp.lt.u32 %few, %t, 5;
{choices}
{chr(10).join(bodies)}
END:
    st.global.u32 [%to], %t;
    ret;
}}
"""
    )


TEXT = module()


def launch(case, **options):
    number = list(CASES).index(case)
    out = np.zeros(384, np.uint32)
    execution = emulator.run(
        TEXT, grid=1, block=384, args=[out, np.uint32(number)], arch="sm_90a", threads=1, **options
    )
    assert out.tolist() == list(range(384))
    return execution, number


def line_of(case):
    """The line of the first setmaxnreg of a case."""
    lines = TEXT.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"CASE{list(CASES).index(case)}:"))
    return next(i for i in range(start, len(lines)) if "setmaxnreg" in lines[i]) + 1


@pytest.mark.parametrize("case", [case for case in CASES if case not in WRONG])
def test_a_warp_gets_registers_that_others_have_given_back(case):
    execution, _ = launch(case)
    assert execution.notes == ()
    assert execution.opcodes[line_of(case)]["setmaxnreg.inc.sync.aligned.u32"] == 8  # however long warps wait


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_use_is_an_error_with_its_line(case):
    error, message = WRONG[case]
    with pytest.raises(error) as caught:
        launch(case)
    assert message.replace("LINE", str(line_of(case))) in str(caught.value)


def test_every_cta_starts_with_the_same_registers():
    """With the 40 of the CTA before, the first warpgroup would have nothing to give."""
    out = np.zeros(384, np.uint32)
    arguments = [out, np.uint32(list(CASES).index("the others give it back"))]
    emulator.run(TEXT, grid=3, block=384, args=arguments, arch="sm_90a", threads=1)


ONE = (
    HEADER
    + """
.visible .entry one() DIRECTIVES
{
    ACTION;
    ret;
}
"""
)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (f"{DEC} 20",  "expected a multiple of 8 from 24 to 256 registers, found 20"),
        (f"{INC} 100", "expected a multiple of 8 from 24 to 256 registers, found 100"),
        (f"{INC} 264", "expected a multiple of 8 from 24 to 256 registers, found 264"),
    ],
)  # fmt: skip
def test_a_number_that_ptxas_refuses_is_refused(action, message):
    with pytest.raises(PtxSyntaxError, match=message):
        emulator.run(ONE.replace("DIRECTIVES", "").replace("ACTION", action), grid=1, block=32, args=[], arch="sm_90a")


def test_a_kernel_whose_setmaxnreg_ptxas_drops_has_a_note():
    text = ONE.replace("DIRECTIVES", ".maxntid 128").replace("ACTION", f"{INC} 240")
    (note,) = emulator.run(text, grid=1, block=128, args=[], arch="sm_90a").notes
    assert note.startswith("line 7: setmaxnreg has no effect: the kernel has neither .maxnreg")


# Directives and changes; ptxas is asked what it makes of each.
DIRECTIVES = [
    ("",                             (f"{INC} 240",)),
    (".maxntid 384",                 (f"{INC} 240",)),
    (".minnctapersm 1",              (f"{DEC} 24",)),
    (".maxntid 384 .minnctapersm 1", (f"{INC} 240",)),
    (".maxntid 384 .minnctapersm 2", (f"{INC} 240",)),
    (".maxntid 384 .minnctapersm 3", (f"{DEC} 24",)),
    (".reqntid 384 .minnctapersm 1", (f"{DEC} 24",)),
    (".maxntid 360 .minnctapersm 2", (f"{DEC} 24",)),     # warps, not threads
    (".maxntid 416 .minnctapersm 1", (f"{DEC} 24",)),     # 13 warps: 4 in one part of the SM
    (".maxntid 416 .minnctapersm 3", (f"{DEC} 24",)),
    (".maxntid 160, 2, 2 .minnctapersm 1", (f"{DEC} 24",)),
    (".maxntid 1024 .minnctapersm 2", (f"{DEC} 24",)),
    (".maxntid 1024 .minnctapersm 3", (f"{DEC} 24",)),    # too many threads
    (".maxntid 32 .minnctapersm 1",  (f"{DEC} 24",)),     # 255, and 256 are allocated
    (".maxntid 128 .minnctapersm 1", (f"{DEC} 40", f"{INC} 232")),
    (".maxntid 384 .minnctapersm 1", (f"{DEC} 40", f"{INC} 160")),
    (".maxntid 1024",                (f"{DEC} 24",)),     # no second one fits on sm_120
    (".maxntid 768 .minnctapersm 3", (f"{DEC} 24",)),
    (".maxntid 32 .minnctapersm 24", (f"{DEC} 24",)),
    (".maxntid 32 .minnctapersm 32", (f"{DEC} 24",)),     # too many CTAs for sm_120
    (".maxntid 32 .minnctapersm 33", (f"{DEC} 24",)),     # and for sm_90
    (".maxnreg 128",                 (f"{INC} 240",)),
    (".maxnreg 128",                 (f"{INC} 24",)),
    (".maxnreg 128 .maxntid 384 .minnctapersm 1", (f"{INC} 240",)),
    (".maxnreg 100",                 (f"{INC} 240",)),    # 104 are allocated
    (".maxnreg 20",                  (f"{INC} 240",)),
]  # fmt: skip
ARCHES = ("sm_90a", "sm_120a")


@pytest.mark.parametrize("arch", ARCHES)
def test_a_kernel_starts_with_the_registers_that_ptxas_chooses(arch):
    entries = [
        f".visible .entry k{i}() {directives}\n{{\n    bar.sync 0; {'; bar.sync 0; '.join(changes)}; ret;\n}}\n"
        for i, (directives, changes) in enumerate(DIRECTIVES)
    ]
    text = "".join([HEADER.replace("sm_90a", arch).replace("8.0", "8.7"), *entries])
    _, log = ptxas.assemble(locate.program("ptxas"), text, arch)
    registers_of = {}
    for name, part in re.findall(r"Compiling entry function '(\w+)'(.*?Used \d+ registers)", log, re.DOTALL):
        registers_of[name] = int(re.search(r"Used (\d+)", part)[1])
    functions = parsed(text).functions
    dropped = "'setmaxnreg' ignored"
    assert log.count(dropped) == sum(1 for name in registers_of if at_entry(functions[name], arch) is None)
    for name, used in registers_of.items():
        ours = at_entry(functions[name], arch)
        assert ours == -(-used // 8) * 8 if ours is not None else used <= 24, (name, DIRECTIVES[int(name[1:])], used)


def at_entry(function, arch):
    limit = register_pool.limit_of(function.directives, arch)
    changes = [instruction for instruction in function.instructions if instruction.opcode.startswith("setmaxnreg")]
    return limit and register_pool.registers_at_entry(limit, changes)
