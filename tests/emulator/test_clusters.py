"""Clusters: with one CTA they run, with more they are refused before anything runs."""

from pathlib import Path

import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.errors import UnsupportedInstruction

RANKS = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry ranks(.param .u64 out)
DIRECTIVES
{
    .reg .b32 %value, %place;
    .reg .b64 %out;
    .reg .pred %explicit;
    ld.param.u64 %out, [out];
    mov.u32 %place, %ctaid.x;
    mad.wide.u32 %out, %place, 32, %out;
    mov.u32 %value, %cluster_ctarank;       st.global.u32 [%out], %value;
    mov.u32 %value, %cluster_nctarank;      st.global.u32 [%out + 4], %value;
    mov.u32 %value, %clusterid.x;           st.global.u32 [%out + 8], %value;
    mov.u32 %value, %nclusterid.x;          st.global.u32 [%out + 12], %value;
    mov.u32 %value, %cluster_ctaid.x;       st.global.u32 [%out + 16], %value;
    mov.u32 %value, %cluster_nctaid.x;      st.global.u32 [%out + 20], %value;
    mov.pred %explicit, %is_explicit_cluster;
    selp.u32 %value, 1, 0, %explicit;       st.global.u32 [%out + 24], %value;
    ret;
}
"""


@pytest.mark.parametrize(
    ("directives", "ctas"),
    [
        (".reqnctapercluster 2, 1, 1",                             2),
        (".reqnctapercluster 2",                                   2),
        (".reqnctapercluster 1, 2, 4",                             8),
        (".explicitcluster .reqnctapercluster 2",                  2),
        (".reqntid 32 .blocksareclusters .reqnctapercluster 4",    4),
    ],
)  # fmt: skip
def test_a_kernel_that_needs_clusters_of_several_ctas_is_refused(directives, ctas):
    out = np.full(32, 7, np.uint32)
    with pytest.raises(UnsupportedInstruction, match=f"needs clusters of {ctas} CTAs"):
        emulator.run(RANKS.replace("DIRECTIVES", directives), grid=4, block=32, args=[out])
    assert (out == 7).all()


@pytest.mark.parametrize(
    ("directives", "explicit"),
    [("", 0), (".maxclusterrank 8", 0), (".explicitcluster", 1), (".reqnctapercluster 1, 1, 1", 1)],
)
def test_a_cluster_of_one_cta_runs(directives, explicit):
    out = np.zeros((4, 8), np.uint32)
    emulator.run(RANKS.replace("DIRECTIVES", directives), grid=4, block=32, args=[out])
    assert out.tolist() == [[0, 1, cta, 4, 0, 1, explicit, 0] for cta in range(4)]


def test_cuda_c_that_asks_for_clusters_is_refused():
    source = 'extern "C" __global__ void __cluster_dims__(2) k(unsigned* out) { out[0] = __clusterSizeInBlocks(); }'
    ptx, _ = toolchain.compiled(source.encode(), Path("k.cu"), "sm_90", ())
    with pytest.raises(UnsupportedInstruction, match=r"needs clusters of 2 CTAs .*__cluster_dims__"):
        emulator.run(ptx, grid=4, block=1, args=[np.zeros(1, np.uint32)])
