"""Control codes: the bits of an instruction match nvdisasm's text of it and the rules of machine code.

The shipped kernels hold the rates of pipes too (tests/test_pipes.py), which is checked on the way.
"""

import re
import struct

import pytest

from ptxbench import pipes
from ptxbench.toolchain.control import ControlBits, codes, decode, text
from ptxbench.toolchain.lines import annotate
from tests.toolchain import shipped
from tests.toolchain.issue import require_rates

TARGETS = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_103", "sm_110", "sm_120")
"""All kernels are assembled for these. For sm_121, ptxas makes the machine code that it makes for sm_120."""

NOTHING = ControlBits(0, 0, None, None, (), 0)


def high(stall=0, yield_bit=0, write=7, read=7, waits=0, reuse=0):
    """The upper half of an instruction with these fields, and noise below them."""
    bits = stall | yield_bit << 4 | write << 5 | read << 8 | waits << 11 | reuse << 17
    return bits << 41 | 0x1_2345_6789


# fields, the decoded value, its text
FIELDS = [
    ({},                      {},                      "------ - - 0  0"),
    ({"stall": 15},           {"stall": 15},           "------ - - 0 15"),
    ({"yield_bit": 1},        {"yield_bit": 1},        "------ - - 1  0"),
    ({"write": 2, "read": 0}, {"write": 2, "read": 0}, "------ 0 2 0  0"),
    ({"waits": 0b100011},     {"waits": (0, 1, 5)},    "01---5 - - 0  0"),
    ({"reuse": 0b0101},       {"reuse": 5},            "------ - - 0  0"),
    ({"stall": 4, "write": 5, "waits": 4, "reuse": 8},
     {"stall": 4, "write": 5, "waits": (2,), "reuse": 8}, "--2--- - 5 0  4"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "changes", "shown"), FIELDS)
def test_each_field_is_decoded_from_its_own_bits(fields, changes, shown):
    expected = ControlBits(**{**NOTHING.__dict__, **changes})
    assert decode(high(**fields)) == expected
    assert decode(high(**fields) | 0b11 << 62) == expected  # above the code
    assert text(expected) == shown


def test_codes_are_in_the_upper_half_of_each_instruction_by_its_address():
    code = struct.pack("<4Q", high(stall=1), high(stall=2), high(stall=3), high(stall=4))
    assert {address: control_bits.stall for address, control_bits in codes(code).items()} == {0: 2, 16: 4}
    assert codes(b"") == {}


# ---- what the machine code of the shipped kernels must hold to

VARIABLE = re.compile(r"(?:@\S+ )?(LDG|LDS|LDSM|MUFU|SHFL|S2R|LDC|ATOMG|ATOMS|LDCU|S2UR)\S*\s+(?:P\w+,\s*)?(U?R\d+)\b")
"""Instructions with variable latency."""


def faults(runs):
    """(reuse flags without their bits, consumers that do not wait for their producer), with the numbers checked."""
    reuse, waits, flags, consumers = [], [], 0, 0
    for run in runs:
        for index, (body, control) in enumerate(run):
            wanted = body.count(".reuse")
            flags += wanted
            if wanted and control.reuse.bit_count() != wanted:
                reuse.append(body)
            produced = VARIABLE.match(body)
            if not produced or control.write is None:  # the result is unused, or a uniform load at the end
                continue
            uses, guard = re.compile(rf"(?<!\w){produced[2]}(?!\d)"), re.match(r"@(!?)(U?P\w+) ", body)
            opposite = f"@{'' if guard[1] else '!'}{guard[2]} " if guard else None  # of these two one is executed
            for last in range(index + 1, len(run)):
                if uses.search(run[last][0]) and not (opposite and run[last][0].startswith(opposite)):
                    consumers += 1
                    if not any(control.write in after.waits for _, after in run[index + 1 : last + 1]):
                        waits.append((body, run[last][0]))
                    break
    return reuse, waits, flags, consumers


def require_sound(arch, kernels):
    flags = consumers = 0
    for entry, runs in kernels.items():
        reuse, waits, some, more = faults(runs)
        assert (reuse, waits) == ([], []), f"{entry} on {arch}"
        flags, consumers = flags + some, consumers + more
    return flags, consumers


@pytest.mark.parametrize("arch", ["sm_75", "sm_121"])
def test_reuse_flags_and_waits_of_a_kernel_agree_with_the_bits(arch):
    flags, consumers = require_sound(arch, shipped.kernels(arch, shipped.modules("softmax", "sgemm_tiled")))
    assert flags > 10
    assert consumers > 30


@pytest.mark.long
@pytest.mark.parametrize("arch", TARGETS)
def test_reuse_flags_waits_and_rates_of_every_shipped_kernel_agree_with_the_bits(arch):
    kernels = shipped.kernels(arch, shipped.modules())
    flags, consumers = require_sound(arch, kernels)
    assert flags > 100
    assert consumers > 400
    if arch in pipes.RATES:
        require_rates(arch, kernels)


def test_every_architecture_with_rates_is_tested():
    assert set(pipes.RATES) <= set(TARGETS)


def test_a_bit_that_is_read_at_the_wrong_position_is_found(monkeypatch):
    from ptxbench.toolchain import control

    by_target = shipped.modules("softmax")
    ((_, runs),) = shipped.kernels("sm_75", by_target).items()
    assert faults(runs)[:2] == ([], [])
    monkeypatch.setattr(control, "FIRST_BIT", control.FIRST_BIT + 1)
    ((_, runs),) = shipped.kernels("sm_75", by_target).items()
    reuse, waits, *_ = faults(runs)
    assert waits
    assert len(reuse) + len(waits) > 3


def test_an_annotated_build_has_control_codes_on_request(build):
    from tests.toolchain.conftest import CUDA

    built = build(CUDA)
    assert {instruction.control for instruction in annotate(built).instructions} == {None}
    code = annotate(built, controls=True).instructions
    load = next(
        i for i, instruction in enumerate(code) if instruction.text.startswith("@!P0 LDG") or "LDG" in instruction.text
    )
    assert code[load].control.write is not None
    assert any(code[load].control.write in instruction.control.waits for instruction in code[load + 1 :])
