"""Kernels in clusters for the tests: each thread has a word in its CTA's shared memory, and knows the next CTA's."""

import numpy as np

from ptxbench import emulator

HEADER = ".version 8.1\n.target sm_90\n.address_size 64\n"


def kernel(body):
    """Each thread has %t, %rank, %size, %mine (the address of its word in `cell`), and stores %value to `out`."""
    return f"""{HEADER}
.shared .align 16 .b32 cell[32];
.shared .align 16 .b32 wide[128];
.shared .align 8 .b64 bar;
.visible .entry k(.param .u64 out)
{{
    .reg .b32 %t, %rank, %size, %mine, %far, %value, %next, %cta, %n, %m, %far_bar, %at;
    .reg .b64 %out, %generic, %there, %state;
    .reg .pred %first, %done, %p, %q;
    mov.u32 %t, %tid.x;
    mov.u32 %rank, %cluster_ctarank;
    mov.u32 %size, %cluster_nctarank;
    mov.u32 %cta, %ctaid.x;
    setp.eq.u32 %first, %t, 0;
    mov.u32 %mine, cell;
    mad.lo.u32 %mine, %t, 4, %mine;
    add.u32 %next, %rank, 1;
    rem.u32 %next, %next, %size;
    mad.lo.u32 %value, %cta, 100, %t;
    {body}
    ld.param.u64 %out, [out];
    mad.lo.u32 %at, %cta, 32, %t;
    mad.wide.u32 %out, %at, 4, %out;
    st.global.u32 [%out], %value;
    ret;
}}
"""


SYNC = "barrier.cluster.arrive.aligned;\n    barrier.cluster.wait.aligned;"


ORDERS = ["usual", "last first", "by turns"]


def run(body, ctas_order="usual", cluster=4, **more):
    """The values that the 8 CTAs of a launch store, and the execution."""
    out = np.full((8, 32), 0xDEAD, np.uint32)
    launched = emulator.run(kernel(body), grid=8, block=32, cluster=cluster, args=[out], ctas=ctas_order, **more)
    return out.astype(np.int64), launched


def of_next(ctas=8, cluster=4):
    """For each CTA, the contents of `cell` in the next CTA of its cluster."""
    rank = np.arange(ctas)
    neighbour = rank // cluster * cluster + (rank % cluster + 1) % cluster
    return neighbour[:, None] * 100 + np.arange(32)


READS = {
    "ld.shared::cluster": "mapa.shared::cluster.u32 %far, %mine, %next;\n    ld.shared::cluster.u32 %value, [%far];",
    "a variable":
        "mapa.shared::cluster.u32 %far, cell, %next;\n    mad.lo.u32 %far, %t, 4, %far;\n"
        "    ld.relaxed.cluster.shared::cluster.u32 %value, [%far];",
    "generic":
        "cvt.u64.u32 %generic, %mine;\n    cvta.shared.u64 %generic, %generic;\n    mapa.u64 %there, %generic, %next;\n"
        "    ld.u32 %value, [%there];",
    "cvta.to and mapa of 64 bits":
        "cvt.u64.u32 %generic, %mine;\n    mapa.shared::cluster.u64 %there, %generic, %next;\n"
        "    cvta.shared::cluster.u64 %there, %there;\n    cvta.to.shared::cluster.u64 %there, %there;\n"
        "    ld.shared::cluster.u32 %value, [%there];",
}  # fmt: skip


WRITES = {
    "st.shared::cluster": "st.shared::cluster.u32 [%far], %value;",
    "a vector of one lane's bytes": "st.relaxed.cluster.shared::cluster.u32 [%far], %value;",
    "generic": "cvt.u64.u32 %there, %far;\n    cvta.shared::cluster.u64 %there, %there;\n    st.u32 [%there], %value;",
    "atom.exch": "atom.shared::cluster.exch.b32 %m, [%far], %value;",
    "generic atom":
        "cvt.u64.u32 %there, %far;\n    cvta.shared::cluster.u64 %there, %there;\n"
        "    atom.exch.b32 %m, [%there], %value;",
}  # fmt: skip


WAIT = """
WAIT:
    mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %done, [bar], 0;
    @!%done bra WAIT;
"""


def with_mbarrier(arrivals, body):
    """`body` between the initialisation of one mbarrier a CTA and a wait for it."""
    return (
        f"@%first mbarrier.init.shared::cta.b64 [bar], {arrivals};\n fence.mbarrier_init.release.cluster;\n{SYNC}\n"
        f"mapa.shared::cluster.u32 %far_bar, bar, %next;\n mapa.shared::cluster.u32 %far, %mine, %next;\n"
        f"{body}\n{WAIT}\n{SYNC}"
    )


STORES = {
    "u32":   (4,  "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%far], %value, [%far_bar];"),
    "weak":  (4,  "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%far], %value, [%far_bar];"),
    "scope": (4,  "st.async.cluster.shared::cluster.mbarrier::complete_tx::bytes.b32 [%far], %value, [%far_bar];"),
    "v2":    (8,  "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.s32 [%far], {%value, %n}, [%far_bar];"),
    "v4":    (16, "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.u32 [%far], {%value, %n, %n, %n}, "
                  "[%far_bar];"),
    "b64":   (8,  "mov.b64 %state, {%value, %n};\n"
                  "st.async.shared::cluster.mbarrier::complete_tx::bytes.b64 [%far], %state, [%far_bar];"),
    "v2.u64": (16, "mov.b64 %state, {%value, %n};\n"
                  "st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.u64 [%far], {%state, %state}, [%far_bar];"),
    "b128":  (16, "mov.b64 %state, {%value, %n};\n .reg .b128 %wide;\n mov.b128 %wide, {%state, %state};\n"
                  "st.async.shared::cluster.mbarrier::complete_tx::bytes.b128 [%far], %wide, [%far_bar];"),
    "generic": (4, "cvt.u64.u32 %there, %far;\n cvta.shared::cluster.u64 %there, %there;\n"
                  "cvt.u64.u32 %state, %far_bar;\n cvta.shared::cluster.u64 %state, %state;\n"
                  "st.async.mbarrier::complete_tx::bytes.u32 [%there], %value, [%state];"),
}  # fmt: skip
