"""`.pragma "used_bytes_mask"`: the other bytes of the load may be padding of a structure, and have any value."""

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.emulator.used_bytes import EVERY_BYTE, pieces, used_bytes
from ptxbench.emulator.variation import Variation
from ptxbench.errors import PtxSyntaxError

KERNEL = """.version 8.3
.target sm_75
.address_size 64
.visible .entry k(.param .u64 out)
{
    .reg .u64 %out, %generic;
    .reg .b32 %number, %letter, %first;
    .shared .align 8 .b8 shared[8];
    .local .align 8 .b8 local[8];
    ld.param.u64 %out, [out];
    mov.u32 %first, 7;
    mov.u64 %generic, local;
    cvta.local.u64 %generic, %generic;
    st.shared.u32 [shared], %first;
    st.local.u32 [local], %first;
    MEMBER
    .pragma "used_bytes_mask MASK";
    ld.SPACE.v2.u32 {%number, %letter}, [ADDRESS];
    add.u32 %letter, %letter, 0;
    st.global.u32 [%out], %number;
    st.global.u32 [%out+4], %letter;
    ret;
}
"""
SPACES = [("shared", "shared"), ("local", "local"), ("", "%generic")]


def load(space, address, mask, member=True, **options):
    """The two words that are loaded from a structure of a number and a character, and the findings."""
    store = f"st.{space or 'local'}.u8 [{space or 'local'}+4], 65;" if member else ""
    text = KERNEL.replace("MEMBER", store).replace("MASK", mask).replace("ADDRESS", address)
    out = np.zeros(2, np.uint32)
    execution = emulator.run(text.replace("ld.SPACE", f"ld.{space}" if space else "ld"), grid=1, block=1,
                             args=[out], sanitize=True, **options)  # fmt: skip
    return out.tolist(), [finding.kind for finding in execution.findings]


@pytest.mark.parametrize(("space", "address"), SPACES)
def test_only_used_bytes_must_have_been_written(space, address):
    (number, letter), findings = load(space, address, "0x1f")
    assert (number, letter & 0xFF, findings) == (7, 65, [])
    assert load(space, address, "0x3f")[1] == load(space, address, "0x1f", member=False)[1] == ["uninitialised"]
    assert load(space, address, "15", member=False)[1] == []


@pytest.mark.parametrize(("space", "address"), SPACES)
def test_unused_bytes_are_those_of_memory_that_was_never_written(space, address):
    usual, other = (load(space, address, "0x12", variation=Variation(memory=seed))[0] for seed in (None, 3))
    for words in (usual, other):
        assert (words[0] & 0xFF00, words[1] & 0xFF) == (0, 65)
        assert words[0] & 0xFF == words[0] >> 16 & 0xFF == words[0] >> 24 == words[1] >> 8 & 0xFF == words[1] >> 24
    assert usual[0] & 0xFF != other[0] & 0xFF


def test_a_pragma_is_about_the_next_instruction_only():
    text = KERNEL.replace("MEMBER", "").replace("ADDRESS", "shared").replace("SPACE", "shared")
    text = text.replace('MASK";', '0x1";\n    mov.u32 %first, 0;')
    out = np.zeros(2, np.uint32)
    assert emulator.run(text, grid=1, block=1, args=[out], sanitize=True).findings[0].kind == "uninitialised"
    assert out[0] == 7


@pytest.mark.parametrize(
    ("number", "mask"), [("0x1F", 31), ("017", 15), ("65311", 65311), ("-1", EVERY_BYTE), ("0", 0)]
)
def test_masks_that_ptxas_takes(number, mask):
    assert used_bytes(f'"used_bytes_mask {number}"') == mask
    assert used_bytes('"nounroll"') == used_bytes(f'" used_bytes_mask {number}"') == EVERY_BYTE


@pytest.mark.parametrize("number", ["1x", "", "15U", "0b11"])
def test_other_masks_are_errors_with_their_line(number):
    text = KERNEL.replace("MEMBER", "").replace("MASK", number).replace("ADDRESS", "shared").replace("SPACE", "shared")
    with pytest.raises(PtxSyntaxError, match=rf"line 17: expected a number after used_bytes_mask, found '{number}'"):
        emulator.run(text, grid=1, block=1, args=[np.zeros(2, np.uint32)])


def test_pieces_are_aligned_and_cover_the_used_bytes():
    for mask in range(256):
        parts = [part for k in range(2) for part in pieces(mask, 4, k)]
        assert all(first % size == 0 for first, size in parts)
        assert sum((1 << size) - 1 << first for first, size in parts) == mask
