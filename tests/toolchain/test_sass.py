"""SASS instructions by class."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from ptxbench.errors import ToolMissing
from ptxbench.toolchain import locate, sass

CLASSES = [
    ("LDG.E",                        "LDG"),
    ("LDG.E.128.CONSTANT",           "LDG.128"),
    ("LDG.E.64.STRONG.GPU",          "LDG.64"),
    ("LDG.E.U8",                     "LDG.U8"),
    ("LDG.E.ENL2.256",               "LDG.256"),
    ("LDG.E.LTC128B.128",            "LDG.128"),   # a hint to L2 is not a width
    ("STG.E.EF.128",                 "STG.128"),
    ("LDS.128",                      "LDS.128"),
    ("LDC.64",                       "LDC.64"),
    ("ULDC.64",                      "ULDC.64"),
    ("LDGSTS.E.BYPASS.LTC128B.128",  "LDGSTS.128"),
    ("LDSM.16.M88.4",                "LDSM"),
    ("ATOMS.POPC.INC.32",            "ATOMS"),     # 4 bytes, as without a modifier
    ("ATOMG.E.ADD.64.STRONG.GPU",    "ATOMG.64"),
    ("RED.E.ADD.F32.FTZ.RN",         "RED"),
    ("REDG.E.ADD.F32x4.FTZ.RN",      "REDG.F32x4"),
    ("REDG.E.ADD.BF16x8.RN",         "REDG.BF16x8"),
    ("REDUX.SUM.S32",                "REDUX"),     # of registers
    ("MUFU.EX2",                     "MUFU.EX2"),
    ("MUFU.RCP64H",                  "MUFU.RCP64H"),
    ("FFMA.FTZ",                     "FFMA"),
    ("HMMA.16816.F32",               "HMMA"),
    ("IMAD.WIDE.U32",                "IMAD"),
    ("BAR.SYNC.DEFER_BLOCKING",      "BAR"),
    ("SHFL.BFLY",                    "SHFL"),
    ("LOP3.LUT",                     "LOP3"),
    ("LEA.HI.X",                     "LEA"),
]  # fmt: skip


@pytest.mark.parametrize(("opcode", "name"), CLASSES)
def test_an_opcode_is_classed_by_its_name_and_a_memory_access_by_its_width_too(opcode, name):
    assert sass.class_of(opcode) == name


def test_opcodes_with_their_modifiers_are_counted_by_class_the_most_frequent_first():
    counts = {"LDG.E.128.CONSTANT": 2, "IMAD.WIDE.U32": 1, "LDG.E.128": 3, "IMAD": 4}
    classes = sass.classes(counts)
    assert classes == {"total": 10, "IMAD": 5, "LDG.128": 5}
    assert list(classes) == ["total", "IMAD", "LDG.128"]
    assert list(sass.classes({"A": 1, "B": 2})) == ["total", "B", "A"]


VECTOR = """\
.version 6.3
.target sm_75
.address_size 64

.visible .entry vector(
    .param .u64 x
)
.maxntid 256, 1, 1
{
    .reg .u32     %thread, %lane;
    .reg .u64     %x, %x_at;
    .reg .f32     %a, %b, %c, %d;

    mov.u32               %thread, %tid.x;
    ld.param.u64          %x, [x];
    cvta.to.global.u64    %x, %x;
    mad.wide.u32          %x_at, %thread, 16, %x;
    ld.global.v4.f32      {%a, %b, %c, %d}, [%x_at];
    ex2.approx.ftz.f32    %a, %a;
    shfl.sync.bfly.b32    %b, %b, 16, 31, 0xffffffff;
    bar.sync              0;
    red.global.add.f32    [%x_at+8192], %c;
    st.global.v2.f32      [%x_at], {%a, %b};
    ret;
}
"""


def test_real_code_is_counted(build):
    report = build(VECTOR, "vector").report
    counts = report.sass
    expected = {"LDG.128": 1, "STG.64": 1, "MUFU.EX2": 1, "SHFL": 1, "BAR": 1, "EXIT": 1}
    assert {name: counts[name] for name in expected} == expected
    assert counts.get("RED", 0) + counts.get("REDG", 0) == 1
    assert counts["total"] == sum(count for name, count in counts.items() if name != "total")
    assert "NOP" not in counts
    assert report.opcodes["MUFU.EX2"] == 1
    assert counts == sass.classes(report.opcodes)


def test_nvdisasm_output_is_read_without_predicates():
    printed = """
        /*0000*/              @!P0 LDG.E.128 R4, desc[UR4][R2.64] ;
        /*0010*/                   @UP1 UMOV UR4, 0x1 ;
        /*10020*/                  EXIT ;
"""
    assert [sass.opcode(row["text"]) for row in sass.ROW.finditer(printed)] == ["LDG.E.128", "UMOV", "EXIT"]


def test_threads_that_ask_while_nvdisasm_runs_share_its_next_run(monkeypatch):
    disassembler = sass.Disassembler(Path("nvdisasm"), "sm_90")
    runs = []

    def texts(tool, arch, code):
        runs.append(code)
        while len(runs) == 1 and len(set(code)) + disassembler.requests.qsize() < 4:
            time.sleep(0.001)  # until all have asked
        return [f"OP{byte}" for byte in code[::16]]

    monkeypatch.setattr(sass, "texts", texts)
    codes = [bytes([number]) * 16 * number for number in range(1, 5)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(disassembler.texts, codes))
    assert answers == [[f"OP{number}"] * number for number in range(1, 5)]
    assert len(runs) <= 2


def test_targets_of_code_that_is_read_with_other_code_are_counted_from_its_own_start(monkeypatch):
    printed = ["@P0 BRA 0x10", "EXIT", "BSSY B0, 0x30", "WARPSYNC 0x20", "MOV R0, 0x20"]
    monkeypatch.setattr(sass, "texts", lambda tool, arch, code: printed)
    one, other = (bytes(32), Future()), (bytes(48), Future())
    sass.Disassembler(Path("nvdisasm"), "sm_90").run([one, other])
    assert one[1].result() == ["@P0 BRA 0x10", "EXIT"]
    assert other[1].result() == ["BSSY B0, 0x10", "WARPSYNC 0x20", "MOV R0, 0x20"]


def test_code_that_nvdisasm_cannot_read_does_not_affect_other_threads(monkeypatch):
    def texts(tool, arch, code):
        if b"bad" in code:
            raise ToolMissing("unreadable")
        return ["NOP"] * (len(code) // 16)

    monkeypatch.setattr(sass, "texts", texts)
    good, bad = (b"good" * 4, Future()), (b"bad!" * 4, Future())
    sass.Disassembler(Path("nvdisasm"), "sm_90").run([good, bad])
    assert good[1].result() == ["NOP"]
    assert str(bad[1].exception()) == "unreadable"


def test_an_nvdisasm_that_does_not_know_the_architecture_is_reported():
    with pytest.raises(ToolMissing, match=r"^nvdisasm cannot read the machine code: "):
        sass.texts(locate.program("nvdisasm"), "sm_10", bytes(16))


def test_an_nvdisasm_that_omits_instructions_is_detected(tmp_path):
    tool = tmp_path / "nvdisasm"
    tool.write_text("#!/bin/sh\necho '        /*0000*/                   EXIT ;'\n")
    tool.chmod(0o755)
    with pytest.raises(ToolMissing, match=r"^nvdisasm prints 1 of 3 instructions"):
        sass.texts(tool, "sm_90", bytes(48))
