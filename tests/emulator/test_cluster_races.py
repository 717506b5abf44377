"""The sanitizer in clusters: each planted mistake is found at its line, and the right version of the kernel is clean.

A line that starts with `-` belongs to the mistaken kernel only, a line that starts with `+` to the right one.
"""

import functools
import re
from typing import NamedTuple

import numpy as np
import pytest

from ptxbench import emulator
from ptxbench.errors import Deadlock, MemoryFault
from ptxbench.toolchain import locate, ptxas
from tests.emulator import test_bulk_clusters as bulk
from tests.emulator.clusters import HEADER as OLD_HEADER
from tests.emulator.clusters import SYNC

HEADER = OLD_HEADER.replace("8.1", "8.6")  # for relaxed arrivals at mbarriers
STORE = "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32"
WAIT = """
WAIT_NUMBER:
    mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %done, [%bar], 0;
    @!%done bra WAIT_NUMBER;"""


class Section(NamedTuple):
    """The kinds of findings that a mistake may have, an instruction that one of them must be about, and the lines.

    A thread has %own, its word of the section in its CTA; %theirs, the same word in the next CTA; %bar, the section's
    mbarrier in its CTA, with ARRIVALS expected; %their_bar, the one in the next.
    """

    kinds: set[str]
    at: str
    text: str
    arrivals: int = 1


SECTIONS = {
    "a read before the wait": Section({"race", "uninitialised"}, "ld.shared::cluster", """
        st.shared.u32 [%own], %value;
        barrier.cluster.arrive;
      + barrier.cluster.wait;
        ld.shared::cluster.u32 %other, [%theirs];
      - barrier.cluster.wait;
    """),
    "a relaxed arrival": Section({"race"}, "ld.shared::cluster", """
        st.shared.u32 [%own], %value;
      - barrier.cluster.arrive.relaxed;
      + barrier.cluster.arrive.release;
        barrier.cluster.wait.acquire;
        ld.shared::cluster.u32 %other, [%theirs];
    """),
    "a fence of the CTA before a relaxed arrival": Section({"race"}, "ld.shared::cluster", """
        st.shared.u32 [%own], %value;
      - fence.acq_rel.cta;
      + fence.acq_rel.cluster;
        barrier.cluster.arrive.relaxed;
        barrier.cluster.wait;
        ld.shared::cluster.u32 %other, [%theirs];
    """),
    "a word that its CTA still reads": Section({"race"}, "st.shared::cluster", """
        st.shared.u32 [%own], %value;
        ld.shared.u32 %other, [%own];
      + barrier.cluster.arrive;
      + barrier.cluster.wait;
        st.shared::cluster.u32 [%theirs], %value;
    """),
    "a word that nobody wrote": Section({"uninitialised"}, "ld.shared::cluster", """
      + st.shared.u32 [%own], %value;
      + barrier.cluster.arrive;
      + barrier.cluster.wait;
        ld.shared::cluster.u32 %other, [%theirs];
    """),
    "an update next to a plain store": Section({"race", "uninitialised"}, "red.relaxed.cluster", """
        st.shared.u32 [%own], %value;
      + barrier.cluster.arrive;
      + barrier.cluster.wait;
        red.relaxed.cluster.shared::cluster.add.u32 [%theirs], 1;
    """),
    "updates of the scope of a CTA": Section({"race"}, "red.relaxed", """
        st.shared.u32 [%own], %value;
        barrier.cluster.arrive;
        barrier.cluster.wait;
      - red.relaxed.cta.shared::cluster.add.u32 [%theirs], 1;
      - red.relaxed.cta.shared::cluster.add.u32 [%own], 1;
      + red.relaxed.cluster.shared::cluster.add.u32 [%theirs], 1;
      + red.relaxed.cluster.shared::cluster.add.u32 [%own], 1;
    """),
    "a flag without a release": Section({"race"}, "ld.shared.u32", """
        @%first st.shared.u32 [%own + 124], 0;
        barrier.cluster.arrive;
        barrier.cluster.wait;
        @!%first bra MET_NUMBER;
        st.shared::cluster.u32 [%theirs], %value;
      - st.relaxed.cluster.shared::cluster.u32 [%theirs + 124], 1;
      + st.release.cluster.shared::cluster.u32 [%theirs + 124], 1;
    SPIN_NUMBER:
        ld.acquire.cluster.shared.u32 %flag, [%own + 124];
        setp.eq.u32 %done, %flag, 0;
        @%done bra SPIN_NUMBER;
        ld.shared.u32 %other, [%own];
    MET_NUMBER:
    """),
    "a relaxed arrival at another CTA's mbarrier": Section({"race"}, "ld.shared.u32", f"""
        st.shared::cluster.u32 [%theirs], %value;
      - mbarrier.arrive.relaxed.cluster.shared::cluster.b64 _, [%their_bar];
      + mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%their_bar];
        {WAIT}
        ld.shared.u32 %other, [%own];
    """, 32),
    "a relaxed arrival after a fence of the CTA": Section({"race"}, "ld.shared.u32", f"""
        st.shared::cluster.u32 [%theirs], %value;
      - fence.acq_rel.cta;
      + fence.acq_rel.cluster;
        mbarrier.arrive.relaxed.cluster.shared::cluster.b64 _, [%their_bar];
        {WAIT}
        ld.shared.u32 %other, [%own];
    """, 32),
    "a lane that arrives for its warp": Section({"race"}, "ld.shared.u32", f"""
        st.shared::cluster.u32 [%theirs], %value;
      + bar.warp.sync -1;
        @%first mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%their_bar];
        {WAIT}
        ld.shared.u32 %other, [%own];
    """),
    "an asynchronous store that is not waited for": Section({"pending-copy", "uninitialised"}, "ld.shared.u32", f"""
        @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 128;
        {STORE} [%theirs], %value, [%their_bar];
        barrier.cluster.arrive;
        barrier.cluster.wait;
      - ld.shared.u32 %other, [%own];
        {WAIT}
      + ld.shared.u32 %other, [%own];
    """),
    "too few bytes expected": Section({"race", "mbarrier"}, "ld.shared.u32", f"""
      - @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 4;
      + @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 128;
        {STORE} [%theirs], %value, [%their_bar];
        {WAIT}
        ld.shared.u32 %other, [%own];
    """),
    "an asynchronous store over what is read": Section({"race", "pending-copy"}, "st.async", f"""
        @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 128;
        st.shared.u32 [%own], %value;
        ld.shared.u32 %other, [%own];
      + barrier.cluster.arrive;
      + barrier.cluster.wait;
        {STORE} [%theirs], %value, [%their_bar];
        {WAIT}
    """),
    "two asynchronous stores to one word": Section({"race"}, "st.async", f"""
        @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 256;
        {STORE} [%theirs], %value, [%their_bar];
        mapa.shared::cluster.u32 %there, %own, %rank;
        mapa.shared::cluster.u32 %bar_there, %bar, %rank;
      - {STORE} [%there], %value, [%bar_there];
      + {STORE} [%there + 128], %value, [%bar_there];
        {WAIT}
    """),
    "an asynchronous update next to a plain store": Section({"race", "pending-copy", "uninitialised"}, "red.async", f"""
        @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 128;
        st.shared.u32 [%own], %value;
      + barrier.cluster.arrive;
      + barrier.cluster.wait;
        red.async.relaxed.cluster.shared::cluster.mbarrier::complete_tx::bytes.add.u32 [%theirs], %value, [%their_bar];
        {WAIT}
        ld.shared.u32 %other, [%own];
    """),
}  # fmt: skip
WORDS = 64
"""Words of a section: a thread has one, and one 32 further."""


def version(text, *, mistaken):
    """The lines of one of the two kernels."""
    sign, other = ("-", "+") if mistaken else ("+", "-")
    lines = (line.strip() for line in text.splitlines())
    return [line.removeprefix(sign).strip() for line in lines if line and not line.startswith(other)]


@functools.cache
def kernel(mistaken):
    """All sections one after the other, each between barriers of the cluster; and the lines of each, from to."""
    head = f"""{HEADER}
.shared .align 16 .b32 words[{WORDS * len(SECTIONS)}];
.shared .align 8 .b64 bars[{len(SECTIONS)}];
.visible .entry k(.param .u64 out)
{{
    .reg .b32 %t, %rank, %value, %own, %theirs, %bar, %their_bar, %next, %other, %flag, %there, %bar_there;
    .reg .b64 %out;
    .reg .pred %first, %done;
    mov.u32 %t, %tid.x;
    mov.u32 %rank, %cluster_ctarank;
    setp.eq.u32 %first, %t, 0;
    xor.b32 %next, %rank, 1;
    mad.lo.u32 %value, %rank, 100, %t;"""
    lines = head.splitlines()
    for number, section in enumerate(SECTIONS.values()):
        lines.append(f"@%first mbarrier.init.shared::cta.b64 [bars + {8 * number}], {section.arrivals};")
    lines.append("fence.mbarrier_init.release.cluster;")
    places = {}
    for number, (name, section) in enumerate(SECTIONS.items()):
        first = len(lines) + 1
        lines += [
            *SYNC.splitlines(),
            f"mad.lo.u32 %own, %t, 4, {4 * WORDS * number};",
            "mov.u32 %other, words;",
            "add.u32 %own, %own, %other;",
            "mapa.shared::cluster.u32 %theirs, %own, %next;",
            f"mov.u32 %bar, bars + {8 * number};",
            "mapa.shared::cluster.u32 %their_bar, %bar, %next;",
            *version(section.text.replace("NUMBER", str(number)), mistaken=mistaken),
        ]
        places[name] = range(first, len(lines) + 1)
    lines += [*SYNC.splitlines(), "ret;", "}", ""]
    return "\n".join(lines), places


@functools.cache
def launched(mistaken):
    out = np.zeros(1, np.uint32)
    return emulator.run(kernel(mistaken)[0], grid=4, block=32, cluster=2, args=[out], sanitize=True, fuel=1 << 16)


@pytest.mark.parametrize("name", SECTIONS)
def test_a_mistake_is_found_at_its_line(name):
    text, places = kernel(True)
    section, lines = SECTIONS[name], text.splitlines()
    findings = [finding for finding in launched(True).findings if finding.line in places[name]]
    assert findings
    assert {finding.kind for finding in findings} <= section.kinds
    assert any(section.at in lines[finding.line - 1] for finding in findings), findings


@pytest.mark.parametrize("mistaken", [False, True])
def test_ptxas_accepts_the_kernel(mistaken):
    ptxas.assemble(locate.program("ptxas"), kernel(mistaken)[0], "sm_90")


def test_every_finding_is_at_a_mistake():
    inside = {line for lines in kernel(True)[1].values() for line in lines}
    assert {finding.line for finding in launched(True).findings} <= inside


def test_the_right_kernel_is_checked_and_has_no_finding():
    assert launched(False).findings == ()
    assert launched(False).unchecked == ()


LIVES = {
    "a CTA that may not have started": ("cluster-not-started", "st.shared::cluster", """
      + barrier.cluster.arrive.relaxed;
      + barrier.cluster.wait;
        st.shared::cluster.u32 [%theirs], %value;
        barrier.cluster.arrive;
        barrier.cluster.wait;
    """),
    "a lane that waits for its warp": ("cluster-not-started", "st.shared::cluster", """
        barrier.cluster.arrive;
      - @%first barrier.cluster.wait;
      + barrier.cluster.wait;
        st.shared::cluster.u32 [%theirs], %value;
      - @!%first barrier.cluster.wait;
        barrier.cluster.arrive;
        barrier.cluster.wait;
    """),
    "a CTA that may exit before it is read": ("cluster-exited", "ld.shared::cluster", """
        st.shared.u32 [%own], %value;
        barrier.cluster.arrive;
        barrier.cluster.wait;
        ld.shared::cluster.u32 %other, [%theirs];
      + barrier.cluster.arrive;
      + barrier.cluster.wait;
    """),
    "a relaxed arrival before the exit": ("cluster-exited", "ld.shared::cluster", """
        st.shared.u32 [%own], %value;
        barrier.cluster.arrive;
        barrier.cluster.wait;
        ld.shared::cluster.u32 %other, [%theirs];
      - barrier.cluster.arrive.relaxed;
      + barrier.cluster.arrive;
        barrier.cluster.wait;
    """),
    "an arrival at the mbarrier of a CTA that does not wait for it": ("cluster-exited", "mbarrier.arrive.release", """
        @%first mbarrier.init.shared::cta.b64 [bar], 1;
        barrier.cluster.arrive;
        barrier.cluster.wait;
        @%first mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%their_bar];
      + WAIT:
      + mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %done, [bar], 0;
      + @!%done bra WAIT;
    """),
}  # fmt: skip


def alone(text):
    """A kernel with these lines alone, sanitized."""
    ptx = f"""{HEADER}
.shared .align 16 .b32 words[64];
.shared .align 8 .b64 bar;
.visible .entry k(.param .u64 out)
{{
    .reg .b32 %t, %rank, %value, %own, %theirs, %their_bar, %next, %other;
    .reg .pred %first, %done;
    mov.u32 %t, %tid.x;
    mov.u32 %rank, %cluster_ctarank;
    setp.eq.u32 %first, %t, 0;
    xor.b32 %next, %rank, 1;
    mad.lo.u32 %value, %rank, 100, %t;
    mov.u32 %own, words;
    mad.lo.u32 %own, %t, 4, %own;
    mapa.shared::cluster.u32 %theirs, %own, %next;
    mapa.shared::cluster.u32 %their_bar, bar, %next;
    {text}
    ret;
}}
"""
    out = np.zeros(1, np.uint32)
    return ptx, emulator.run(ptx, grid=4, block=64, cluster=2, args=[out], sanitize=True)


def test_an_exchange_in_another_cta_whose_result_nothing_uses_is_no_read():
    launch = alone("""
    barrier.cluster.arrive;
    barrier.cluster.wait;
    atom.relaxed.cluster.shared::cluster.exch.b32 %other, [%theirs], %value;
    barrier.cluster.arrive;
    barrier.cluster.wait;
    """)[1]
    assert launch.findings == ()


@pytest.mark.parametrize("what", LIVES)
def test_accesses_before_the_start_or_after_the_exit_of_a_cta_are_found(what):
    kind, at, text = LIVES[what]
    ptx, launch = alone("\n".join(version(text, mistaken=True)))
    ptxas.assemble(locate.program("ptxas"), ptx, "sm_90")
    named = [ptx.splitlines()[finding.line - 1] for finding in launch.findings if finding.kind == kind]
    assert named
    assert all(at in line for line in named), named
    assert all("rank" in finding.message for finding in launch.findings if finding.kind == kind)
    assert alone("\n".join(version(text, mistaken=False)))[1].findings == ()


def test_a_finding_before_a_deadlock_is_reported_with_it():
    """The bytes that would complete the phase were sent to a CTA that does not exist."""
    text = f"""
    @%first mbarrier.init.shared::cta.b64 [bar], 1;
    {SYNC}
    @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 4;
    mapa.shared::cluster.u32 %theirs, %own, 2;
    mapa.shared::cluster.u32 %their_bar, bar, 2;
    @%first {STORE} [%theirs], %value, [%their_bar];
WAIT:
    mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %done, [bar], 0;
    @!%done bra WAIT;"""
    with pytest.raises(Deadlock, match=r"deadlocked: .* Found before: line \d+: st\.async.* of rank 2 in the cluster"):
        alone(text)


def test_a_result_that_depends_on_the_order_of_the_ctas_in_their_cluster_is_a_finding():
    """Relaxed stores do not race; the last one remains."""
    text = f"""
    mapa.shared::cluster.u32 %theirs, %own, 0;
    {SYNC}
    st.relaxed.cluster.shared::cluster.u32 [%theirs], %rank;
    {SYNC}
    .reg .b64 %out;
    ld.param.u64 %out, [out];
    mov.u32 %other, %ctaid.x;
    setp.eq.and.u32 %done, %other, 0, %first;
    @%done ld.shared.u32 %other, [words];
    @%done st.global.u32 [%out], %other;
    """
    _, launch = alone(text)
    assert [finding.kind for finding in launch.findings] == ["schedule"]
    assert alone(text.replace("[%theirs], %rank", "[%theirs], 7"))[1].findings == ()


# ---- bulk copies: the kernel of test_bulk_clusters.py, whose CTA 0 sends to CTA 1

START, INIT = "release.cluster;\n    barrier.cluster.arrive;", "    @%leads fence.mbarrier_init.release.cluster;\n"
READ = bulk.COPY[bulk.COPY.index("GOT:") : bulk.COPY.rindex(bulk.TOGETHER)]
COPIES = {
    "no wait": (((bulk.WAIT, ""),), "pending-copy", "ld.shared.u32"),
    "a read before the wait": (
        ((READ, "GOT:\n"), (bulk.WAIT, READ.replace("GOT:", "") + bulk.WAIT)), "pending-copy", "ld.shared.u32",
    ),
    "no barrier before": ((("cluster;\n" + bulk.TOGETHER, "cluster;\n"),), "cluster-not-started", "WAY"),
    "a relaxed arrival before": (((START, START.replace("arrive;", "arrive.relaxed;")),), "race", "WAY"),
    "a relaxed arrival without fence.mbarrier_init": (
        ((INIT + "    barrier.cluster.arrive;", "    barrier.cluster.arrive.relaxed;"),), "race", "WAY",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", bulk.LATE)
@pytest.mark.parametrize("mistake", COPIES)
def test_a_mistake_with_a_bulk_copy_to_another_cta(mistake, way):
    changes, kind, at = COPIES[mistake]
    text = bulk.changed(*changes)
    message = ""
    try:
        execution, _ = bulk.copied(way, text=text, first=1, sanitize=True)
        message = "\n".join(finding.message for finding in execution.findings if finding.kind == kind)
    except MemoryFault as fault:  # the source of a copy between CTAs is gone
        message = str(fault).partition("Found before: ")[2]
    lines = {text.splitlines()[int(number) - 1] for number in re.findall(r"line (\d+): ", message)}
    assert any((bulk.WAYS[way] if at == "WAY" else at) in line for line in lines), message


@pytest.mark.parametrize("way", ["multicast", "tensor multicast"])
@pytest.mark.parametrize("fence", [True, False], ids=["fence.mbarrier_init", "no fence"])
def test_a_relaxed_arrival_lets_another_thread_issue_copies_to_an_initialised_mbarrier(way, fence):
    """As in CUTLASS: a thread of another warp has initialised it, with fence.mbarrier_init.release.cluster."""
    init = "    @%leads mbarrier.init.shared::cta.b64 [full], 1;\n"
    by_other = init.replace("%leads", "%other") + (INIT.replace("%leads", "%other") if fence else "")
    text = bulk.changed(
        (init + INIT, f"    setp.eq.u32 %other, %t, 32;\n{by_other}"),
        ("    barrier.cluster.arrive;", "    barrier.cluster.arrive.relaxed;"),
    )
    execution, y = bulk.copied(way, mask=0b1111, text=text, sanitize=True)
    assert (y == bulk.X).all()
    assert {finding.kind for finding in execution.findings} == (set() if fence else {"race", "missing-proxy-fence"})


def test_a_write_to_the_source_of_a_pending_copy_between_ctas_is_found():
    text = bulk.changed(("SENT:\n", "    st.shared.u32 [own], 77;\nSENT:\n"))
    execution, _ = bulk.copied("between", text=text, first=1, sanitize=True)
    assert [finding.kind for finding in execution.findings] == ["pending-copy"]
    assert "is still copying" in execution.findings[0].message


@pytest.mark.parametrize("way", bulk.WAYS)
def test_a_bulk_copy_to_other_ctas_is_clean(way):
    execution, _ = bulk.copied(way, mask=0b1110 if "multicast" in way else 0b0010, first=1, clusters=2, sanitize=True)
    assert execution.findings == execution.unchecked == ()
