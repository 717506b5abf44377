"""Kernels whose accesses leave a variable and reach another one, harmlessly on the emulator: each must be rejected."""

import pytest

from tests.check.judging import KERNELS, judged

STAGES = ("parses", "assembles", "signature", "sanitizer")
B_SLAB = "*reinterpret_cast<float4*>(&b_slab[buffer][b_row][b_column]) = from_b;"
DRAWN = "drawn = atomicAdd(ticket, 1);"
LONG = pytest.mark.long

# file, right, wrong, what the finding names
BROKEN = [
    # into the padding of the next array: a third slab
    ("cuda/sgemm_tiled.cu", B_SLAB, f"{B_SLAB} a_slab[2 + buffer][b_row][128 + thread % 4] = 0;",
     "byte 8960 of 'sgemm_tiled::a_slab', which has 8448"),
    # into the bytes between two variables
    ("ptx/scan.ptx", "[drawn], %tile;", "[drawn], %tile;\n@%is_first st.shared.u32 [drawn + 4], 0;",
     "byte 4 of 'drawn', which has 4"),
    pytest.param("cuda/scan.cu", DRAWN, f"{DRAWN[:-1]}, (&drawn)[1] = 0;",
                 "byte 4 of 'scan::drawn', which has 4", marks=LONG),
    pytest.param("cuda/scan.cu", DRAWN, f"{DRAWN[:-1]}, totals[-1].w = 0;",
                 "byte -4 of 'scan::totals', which has 2304", marks=LONG),
    # one variable as if it followed another
    ("ptx/softmax.ptx", "mov.u32                %sums, warp_sums;", "add.u32 %sums, %maxima, 32;",
     "byte 32 of 'warp_maxima', which has 32"),
    *(
        pytest.param(f"ptx/{name}.ptx", right, wrong, f"byte {byte} of '{variable}'", marks=LONG)
        for name, right, wrong, byte, variable in (
            ("hgemm_wgmma.sm_90a", "mov.u32         %used, used;", "add.u32 %used, %filled, 32;", 32, "filled"),
            ("cluster_multicast.sm_90a", "mov.u32         %used, used;", "add.u32 %used, %filled, 32;", 32, "filled"),
            ("fp8_gemm_promoted.sm_90a", ".b64 bars[8];", ".b64 bars[4]; .shared .b64 used[4];", 32, "bars"),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("file", "right", "wrong", "place"), BROKEN)
def test_a_kernel_that_leaves_a_variable_is_rejected(file, right, wrong, place):
    path = KERNELS / file
    text = path.read_text()
    assert right in text
    judgement = judged(path, path.name.split(".")[0], text.replace(right, wrong, 1).encode(), stages=STAGES)
    assert judgement.decisive.code == "out-of-bounds", judgement.decisive
    assert place in judgement.decisive.message
