"""Limits of a kernel and a launch: a request that is too large is refused before anything is built or allocated."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptxbench import emulator
from ptxbench.emulator import memory
from ptxbench.errors import KernelError, KernelTooLarge, LaunchError
from tests.emulator.harness import HEADER


def kernel(variables="", body="", params=""):
    return f"{HEADER}{variables}\n.visible .entry k({params})\n{{\n{body}\nret;\n}}\n"


def launch(text, *args, **options):
    return emulator.run(text, grid=1, block=1, args=list(args), **options)


MANY = "[2]" * 60

# the kernel, the whole sentence
TOO_LARGE = [
    (kernel(".global .b8 g[17179869184];"),
     "line 4: 'g' takes 17,179,869,184 bytes of global and constant memory; the maximum is 4,294,967,296."),
    (kernel(f".global .u32 g{MANY};"),
     "line 4: 'g' takes 4,611,686,018,427,387,904 bytes of global and constant memory; the maximum is 4,294,967,296."),
    (kernel(".global .b8 a[4000000000];\n.const .b8 b[300000000];"),
     "line 4: 'a' takes 4,000,000,000 bytes of global and constant memory, which makes 4,300,000,000 with the others; "
     "the maximum is 4,294,967,296."),
    (kernel(body=".local .b8 s[100000000];"),
     "line 7: 's' takes 100,000,000 bytes of local memory for each thread; the maximum is 524,288."),
    (kernel(".func f()\n{\n.local .b8 s[600000];\nret;\n}"),
     "line 6: 's' takes 600,000 bytes of local memory for each thread; the maximum is 524,288."),
    (kernel(".shared .b8 s[232449];"), "line 4: 's' takes 232,449 bytes of shared memory; the maximum is 232,448."),
    (kernel(".shared .b8 s[200000];", ".shared .b8 t[50000];"),
     "line 4: 's' takes 200,000 bytes of shared memory, which makes 250,000 with the others; the maximum is 232,448."),
    (kernel(params=".param .b8 p[40000]"), "line 5: 'p' takes 40,000 bytes of parameters; the maximum is 32,764."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), TOO_LARGE, ids=[row[1][:50] for row in TOO_LARGE])
def test_variables_that_are_too_large_are_refused(text, sentence):
    with pytest.raises(KernelTooLarge) as raised:
        launch(text, *([np.void(bytes(40000))] if "p[" in text else []))
    assert str(raised.value) == sentence


def test_the_local_memory_of_functions_counts_with_the_kernels():
    body = ".local .b8 {0}[400000];\n.reg .u64 %{0};\nmov.u64 %{0}, {0};\nst.local.u64 [%{0}], %{0};"
    text = kernel(f".func f()\n{{\n{body.format('s')}\nret;\n}}", f"{body.format('t')}\ncall f;")
    with pytest.raises(
        KernelTooLarge, match=r"that it calls take 800,\d\d\d bytes of local memory for each thread; the"
    ):
        launch(text)


SHARED = kernel(".shared .b8 s[200000];")


def test_shared_memory_of_the_module_and_of_the_launch_count_together():
    launch(SHARED, dynamic_shared_bytes=32_448)
    with pytest.raises(LaunchError, match="asks for 232449 bytes of shared memory; the maximum is 232448"):
        launch(SHARED, dynamic_shared_bytes=32_449)
    with pytest.raises(LaunchError, match="-1 bytes of dynamic shared memory; expected 0 or more"):
        launch(SHARED, dynamic_shared_bytes=-1)


PEEK = kernel(
    ".global .b8 large[1500000000];\n.global .u32 given[300000] = {1, 2, 3};",
    """
    .reg .u64 %large, %given, %out, %x;
    .reg .u32 %y;
    mov.u64 %large, large;
    ld.global.u64 %x, [%large+1200000000];
    st.global.u64 [%large+1200000000], %large;
    ld.param.u64 %out, [out];
    st.global.u64 [%out], %x;
    mov.u64 %given, given;
    ld.global.u32 %y, [%given+8];
    st.global.u32 [%out+8], %y;
    ld.global.u32 %y, [%given+1000000];
    st.global.u32 [%out+12], %y;
    st.global.u32 [%given+8], 9;
    st.global.u32 [%given+1000000], 9;
    """,
    ".param .u64 out",
)


def test_a_large_variable_starts_as_zeros_at_each_launch_and_takes_memory_where_it_is_written(monkeypatch):
    copied = []
    original = memory.Arena.put

    def put(arena, offset, content):
        copied.append(0 if memory.is_zeros(content) else content.size)
        return original(arena, offset, content)

    monkeypatch.setattr(memory.Arena, "put", put)
    for _ in range(2):
        out = np.full(4, 7, np.uint32)
        launch(PEEK, out)
        assert out.tolist() == [0, 0, 3, 0]
    assert max(copied) < 100


def test_the_second_schedule_is_skipped_if_memory_is_too_small_to_compare():
    execution = launch(PEEK, np.zeros(4, np.uint32), sanitize=True)
    assert "second schedule skipped: more than 1,024 MiB to compare; use a smaller size" in execution.notes


def test_very_large_limits_are_accepted():
    launch(SHARED, fuel=10**30, threads=10**9)


# lines of memory.max, memory.current and memory.stat, the free bytes
CONTAINERS = [
    ("1000", "400", "file 100\nshmem 0\n", 700),
    ("1000", "400", "anon 1\nfile 100\nshmem 100\n", 600),
    ("1000", "1400", "file 0\nshmem 0\n", 0),
]


@pytest.mark.parametrize(("limit", "used", "stat", "free"), CONTAINERS)
def test_the_memory_limit_of_a_container_is_respected(tmp_path, limit, used, stat, free):
    for name, text in (("max", limit), ("current", used), ("stat", stat)):
        (tmp_path / f"memory.{name}").write_text(text)
    assert memory.available_in_container(tmp_path) == free


TAKES = kernel(
    body=".reg .u64 %x;\n.reg .u32 %n;\nld.param.u64 %x, [x];\nld.param.u32 %n, [n];\nst.global.u32 [%x], %n;",
    params=".param .u64 x, .param .u32 n",
)
ODD = st.sampled_from(
    [None, 0, 1, -1, 2**31, 2**63, 2**200, 1.5, "x", b"x", (), (1,), (1, 2, 3, 4), [0], np.uint32(7), np.float32(1),
     np.float64(np.nan), np.bool_(True), np.void(b"1234"), np.zeros(1, np.uint32), np.zeros(0), np.zeros((2, 2)).T,
     np.zeros(3)[::2], np.zeros(1, ">u4"), np.array(["text"]), np.array([None, {}], object), np.zeros((1,) * 30),
     np.datetime64("2020"), np.zeros(1, "M8[s]"), emulator.Pointer(np.zeros(1)), emulator.Pointer(np.zeros(1), 2**70),
     emulator.Pointer, np.ma.zeros(1), np.zeros((), [("p", object)]), np.zeros((), [("p", object)])[()]]
)  # fmt: skip


@given(st.lists(ODD, max_size=3), ODD, ODD, ODD)
@settings(max_examples=150, deadline=None)
def test_odd_arguments_run_or_end_in_an_error_of_the_launch(arguments, grid, block, shared):
    small = (1, (1,), np.uint32(7))  # an odd grid may be a large one, which takes time and proves nothing
    options = {"grid": grid if not isinstance(grid, int) or grid in small else 1, "block": block}
    if isinstance(shared, int):
        options["dynamic_shared_bytes"] = shared
    with contextlib.suppress(KernelError, TypeError):
        emulator.run(TAKES, args=arguments, fuel=1000, **options)
