"""Shared loads that ptxas merges: they take the wavefronts of the merged load."""

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.toolchain.lines import annotate
from tests.emulator.harness import HEADER

KERNEL = """
.visible .entry k(.param .u64 places, .param .u64 out)
{{
    .reg .u64 %places, %out;
    .reg .u32 %thread, %at, %base;
    .reg .f32 %a, %b, %c, %d;
    .shared .align 16 .b8 tile[8192];
    mov.u32 %thread, %tid.x;
    ld.param.u64 %places, [places];
    ld.param.u64 %out, [out];
    mad.wide.u32 %places, %thread, 4, %places;
    mad.wide.u32 %out, %thread, 4, %out;
    ld.global.u32 %at, [%places];
    mov.u32 %base, tile;
    mad.lo.u32 %at, %at, 16, %base;
{loads}
    add.rn.f32 %a, %a, %b;
    add.rn.f32 %c, %c, %d;
    add.rn.f32 %a, %a, %c;
    st.global.f32 [%out], %a;
    ret;
}}
"""
APART = KERNEL.format(loads="".join(f"    ld.shared.f32 %{name}, [%at + {4 * i}];\n" for i, name in enumerate("abcd")))
PAIRS = KERNEL.format(loads="    ld.shared.v2.f32 {%a, %b}, [%at];\n    ld.shared.v2.f32 {%c, %d}, [%at + 8];\n")
WHOLE = KERNEL.format(loads="    ld.shared.v4.f32 {%a, %b, %c, %d}, [%at];\n")


def launched(text, places):
    out = np.zeros(places.size, np.float32)
    return emulator.run(HEADER + text, grid=1, block=places.size, args=[places, out])


@pytest.mark.parametrize("text", [APART, PAIRS], ids=["four", "two"])
def test_a_load_that_ptxas_merged_needs_the_wavefronts_of_the_wide_one(text, tmp_path):
    path = tmp_path / "k.ptx"
    path.write_text(HEADER + text)
    build = toolchain.build(path, language="ptx", variant="ptx", entry="k", arch="sm_90")
    [merged] = [instruction for instruction in annotate(build).instructions if "LDS" in instruction.text]
    assert "LDS.128 " in merged.text
    rng = np.random.default_rng(1)
    for places in (np.arange(64), np.arange(64) * 8 % 512, rng.integers(0, 512, 64), np.zeros(64)):
        places = places.astype(np.uint32)
        narrow, whole = launched(text, places), launched(WHOLE, places)
        assert narrow.wide_wavefronts[merged.line][16] == whole.counters["ptx_shared_load_wavefronts"]
        assert {line: wavefronts[16] for line, wavefronts in narrow.wide_wavefronts.items()} == dict.fromkeys(
            narrow.wide_wavefronts, whole.counters["ptx_shared_load_wavefronts"]
        )  # whichever of their lines ptxas notes
