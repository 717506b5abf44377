"""How the sanitizer takes each access and each fence: what it orders, and for which threads."""

import pytest

from ptxbench.emulator.ordering import fence_of, order_of, orders_partly, proxy_fence_of, sends_messages
from ptxbench.emulator.races import layout

SCOPES = {layout.STRONG_CTA: "cta", layout.STRONG_CLUSTER: "cluster", layout.STRONG_GPU: "gpu"}
SCOPE_FLAGS = {"cta": layout.OF_CTA, "cluster": layout.OF_CLUSTER, "gpu": 0}
PARTS = {
    "reads": layout.READS,
    "writes": layout.WRITES,
    "acquires": layout.ACQUIRES,
    "releases": layout.RELEASES,
}
FENCES = {
    "acquires": layout.FENCE_ACQUIRES,
    "releases": layout.FENCE_RELEASES,
    "sc": layout.FENCE_IS_SC,
    "cluster": layout.FENCES_CLUSTER,
    "gpu": layout.FENCES_GPU,
}


def words(flags, names):
    return " ".join(name for name, flag in names.items() if flags & flag)


# the scope, and what the access does; None: weak
ACCESSES = [
    ("ld.global.u32",                                None),
    ("ld.weak.global.u32",                           None),
    ("st.shared.u32",                                None),
    ("ld.relaxed.cta.global.u32",                    ("cta", "reads")),
    ("ld.relaxed.cluster.shared::cluster.u32",       ("cluster", "reads")),
    ("ld.relaxed.gpu.global.u32",                    ("gpu", "reads")),
    ("ld.relaxed.sys.global.u32",                    ("gpu", "reads")),
    ("ld.acquire.gpu.global.u32",                    ("gpu", "reads acquires")),
    ("ld.volatile.global.u32",                       ("gpu", "reads")),
    ("ld.mmio.relaxed.sys.global.u32",               ("gpu", "reads")),
    ("st.relaxed.cta.shared.u32",                    ("cta", "writes")),
    ("st.release.gpu.global.u32",                    ("gpu", "writes releases")),
    ("st.release.cluster.global.u32",                ("cluster", "writes releases")),
    ("st.volatile.shared.u32",                       ("gpu", "writes")),
    ("atom.global.add.u32",                          ("gpu", "reads writes")),
    ("atom.cta.shared.add.u32",                      ("cta", "reads writes")),
    ("atom.acquire.gpu.global.cas.b32",              ("gpu", "reads writes acquires")),
    ("atom.release.gpu.global.exch.b32",             ("gpu", "reads writes releases")),
    ("atom.acq_rel.gpu.global.add.u32",              ("gpu", "reads writes acquires releases")),
    ("atom.acq_rel.cluster.shared::cluster.add.u32", ("cluster", "reads writes acquires releases")),
    ("red.global.add.u32",                           ("gpu", "reads writes")),
    ("red.release.gpu.global.add.u32",               ("gpu", "reads writes releases")),
    ("red.relaxed.cta.global.add.u32",               ("cta", "reads writes")),
    ("add.u32",                                      None),
    ("bar.sync",                                     None),
]  # fmt: skip


@pytest.mark.parametrize(("opcode", "expected"), ACCESSES)
def test_an_access_has_the_order_and_the_scope_of_its_modifiers(opcode, expected):
    order = order_of(opcode)
    if expected is None:
        assert order is None
        return
    scope = SCOPES[order.strength]
    assert (scope, words(order.flags, PARTS)) == expected
    assert order.flags & (layout.OF_CTA | layout.OF_CLUSTER) == SCOPE_FLAGS[scope]


# what a fence orders, and for which threads beyond those of the CTA; None: not a fence of memory
ORDERS = [
    ("fence.acq_rel.cta",                                         "acquires releases"),
    ("fence.acq_rel.cluster",                                     "acquires releases cluster"),
    ("fence.acq_rel.gpu",                                         "acquires releases cluster gpu"),
    ("fence.acq_rel.sys",                                         "acquires releases cluster gpu"),
    ("fence.sc.cta",                                              "acquires releases sc"),
    ("fence.sc.gpu",                                              "acquires releases sc cluster gpu"),
    ("fence.acquire.gpu",                                         "acquires cluster gpu"),
    ("fence.release.gpu",                                         "releases cluster gpu"),
    ("fence.acquire.sync_restrict::shared::cluster.cluster",      "acquires cluster"),
    ("fence.release.sync_restrict::shared::cta.cluster",          "releases cluster"),
    ("membar.cta",                                                "acquires releases sc"),
    ("membar.gl",                                                 "acquires releases sc cluster gpu"),
    ("membar.sys",                                                "acquires releases sc cluster gpu"),
    ("fence.proxy.async",                                         None),
    ("fence.mbarrier_init.release.cluster",                       None),
    ("ld.acquire.gpu.global.u32",                                 None),
]  # fmt: skip


@pytest.mark.parametrize(("opcode", "expected"), ORDERS)
def test_a_fence_orders_what_its_modifiers_say(opcode, expected):
    flags = fence_of(opcode)
    assert (None if flags is None else words(flags, FENCES)) == expected


PROXIES = [
    ("fence.proxy.async",                                                          "shared global"),
    ("fence.proxy.async.global",                                                   "global"),
    ("fence.proxy.async.shared::cta",                                              "shared"),
    ("fence.proxy.async.shared::cluster",                                          "shared"),
    ("fence.proxy.async::generic.acquire.sync_restrict::shared::cluster.cluster",  "shared"),
    ("fence.mbarrier_init.release.cluster",                                        "start"),
    ("fence.proxy.alias",                                                          None),
    ("fence.proxy.tensormap::generic.release.gpu",                                 None),
    ("fence.acq_rel.gpu",                                                          None),
    ("cp.async.bulk.commit_group",                                                 None),
]  # fmt: skip


@pytest.mark.parametrize(("opcode", "expected"), PROXIES)
def test_a_fence_of_proxies_orders_the_spaces_that_it_names(opcode, expected):
    names = {"shared": layout.PROXY_SHARED, "global": layout.PROXY_GLOBAL, "start": layout.OF_START}
    flags = proxy_fence_of(opcode)
    assert (None if flags is None else words(flags, names)) == expected


PARTLY = [
    ("bar.sync",                                     False, False),
    ("bar.sync",                                     True,  True),    # of some of the CTA's warps
    ("barrier.sync.aligned",                         True,  True),
    ("ld.acquire.gpu.global.u32",                    False, True),
    ("st.release.gpu.global.u32",                    False, True),
    ("ld.relaxed.gpu.global.u32",                    False, False),
    ("ld.global.u32",                                False, False),
    ("atom.acq_rel.gpu.global.add.u32",              False, True),
    ("atom.global.add.u32",                          False, False),
    ("membar.gl",                                    False, True),
    ("fence.proxy.async",                            False, False),
    ("mbarrier.arrive.shared.b64",                   False, True),
    ("cp.async.mbarrier.arrive.shared.b64",          False, True),
    ("cp.async.ca.shared.global",                    False, False),
]  # fmt: skip


@pytest.mark.parametrize(("opcode", "counted", "expected"), PARTLY)
def test_some_instructions_order_a_part_of_a_cta(opcode, counted, expected):
    assert orders_partly(opcode, counted) == expected


@pytest.mark.parametrize(
    ("opcodes", "expected"),
    [
        (["ld.global.u32", "st.global.u32"], False),
        (["atom.global.add.u32"], False),
        (["atom.global.add.u32", "membar.gl"], True),
        (["membar.gl"], False),
        (["ld.acquire.gpu.global.u32"], True),
        (["st.release.gpu.global.u32"], True),
        (["ld.relaxed.gpu.global.u32", "st.relaxed.gpu.global.u32"], False),
        (["ld.relaxed.gpu.global.u32", "fence.acquire.gpu"], True),
    ],
)
def test_ctas_send_messages_by_strong_accesses_that_something_orders(opcodes, expected):
    assert sends_messages(opcodes) == expected
