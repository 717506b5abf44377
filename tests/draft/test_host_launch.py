"""The launch that host code of a file shows, in the words of a pair file."""

import pytest

from ptxbench.draft.host_launch import HostLaunch, find
from ptxbench.draft.pair_file import launch_lines

LAUNCHES = [
    # host code, the names of the parameters by position; grid, block, shared bytes
    ("k<<<(n + 255) / 256, 256>>>(x, n);",                           {1: "n"}, "ceil_div(n, 256)", "256", "0"),
    ("int t = 128, b = (m + t - 1) / t; k<<<b, t>>>(x, m);",         {1: "n"}, "ceil_div(n, 128)", "128", "0"),
    ("#define N (1 << 20)\nk<<<N / 256, 256>>>(x, N);",              {1: "n"}, "n // 256", "256", "0"),
    ("constexpr int B = 16; dim3 t(B, B); dim3 g((m - 1 + B) / B, 4);\nk<<<g, t, B * sizeof(float), s>>>(x, m);",
     {1: "n"}, "(ceil_div(n, 16), 4)", "(16, 16)", "64"),
    ("const dim3 t(32, 4), g((n + 31) / 32, 1);\nk<<<g, t>>>(x, n);", {1: "n"}, "(ceil_div(n, 32), 1)", "(32, 4)", "0"),
    ("k<float, 4><<<dim3{2, 3}, 0x40>>>(x);",                        {},       "(2, 3)", "64", "0"),
    ("k<<<blocks(n), 256>>>(x, n);",                                 {1: "n"}, None, "256", "0"),         # a call
    ("int b = 3; b += 1; k<<<b, 32>>>(x);",                          {},       None, "32", "0"),          # changed
    ("int b = 3; if (n) b = 4; k<<<b, 32>>>(x);",                    {},       None, "32", "0"),          # two values
    ("k<<<n / 2, 32, bytes>>>(x, n);",                               {1: "n"}, "n // 2", "32", None),
    ("k<<<n > 4 ? 1 : 2, 32>>>(x, n);",                              {1: "n"}, None, "32", "0"),
    ("int a = b; int b = a; k<<<a, 32>>>(x);",                       {},       None, "32", "0"),          # endless
    ("k<<<2.5, 32>>>(x);",                                           {},       None, "32", "0"),
    (f"k<<<1{' + n' * 20_000}, 32>>>(x, n);",                        {1: "n"}, None, "32", "0"),          # too long
    ("".join(f"int a{i} = a{i + 1} + a{i + 1};" for i in range(18)) + "int a18 = 1; k<<<a0, 32>>>(x);",
     {}, None, "32", "0"),
    (f"k<<<{'9' * 4000} * {'9' * 4000}, 32>>>(x);",                  {},       None, "32", "0"),          # too large
]  # fmt: skip


@pytest.mark.parametrize(("host", "dimensions", "grid", "block", "shared"), LAUNCHES, ids=lambda text: str(text)[:60])
def test_a_launch_is_read_as_far_as_it_is_certain(host, dimensions, grid, block, shared):
    launch = find(f"void run() {{\n{host}\n}}", "k", dimensions)
    assert (launch.grid, launch.block, launch.shared_bytes) == (grid, block, shared)


def test_the_text_of_the_launch_is_quoted_with_its_line():
    launch = find("int main()\n{\n    // k<<<9, 9>>>()\n    k<<<1,\n        32>>>(x);\n}", "k", {})
    assert (launch.line, launch.text) == (4, "k<<<1, 32>>>(x)")


@pytest.mark.parametrize("host", ["", "other<<<1, 2>>>(x);", "k<<<1, 32>>>(x); k<<<2, 32>>>(x);"])
def test_without_a_single_launch_of_the_kernel_none_is_proposed(host):
    assert find(host, "k", {}) is None


@pytest.mark.parametrize(
    ("type_name", "size"),
    [
        ("char", "1"), ("unsigned char", "1"), ("short int", "2"), ("unsigned", "4"), ("long long unsigned", "8"),
        ("long int", "8"), ("bool", "1"), ("std::size_t", "8"), ("uint8_t", "1"), ("std::int64_t", "8"),
        ("float2", "8"), ("float3", "12"), ("uchar4", "4"), ("double2", "16"), ("ulonglong2", "16"), ("long1", "8"),
        ("const float", "4"), ("float *", "8"), ("const struct node *", "8"), ("half", "2"), ("__nv_bfloat162", "4"),
        ("T", None), ("tile", None), ("*", None), ("", None), ("float5", None), ("long double", None),
        ("longfloat2", None), ("float[4]", None), ("n", None),
    ],
)  # fmt: skip
def test_the_size_of_a_type_is_followed_if_the_type_is_one_of_cuda(type_name, size):
    launch = find(f"void run(int n) {{ k<<<1, 32, 2 * (sizeof({type_name})) / 2>>>(x); }}", "k", {})
    assert launch.shared_bytes == size


NAMED = [
    ("typedef float real;",                                    "4"),
    ("using real = double;",                                   "8"),
    ("#define real unsigned short\n",                          "2"),
    ("using element = float4; typedef const element real;",    "16"),
    ("typedef struct node *real;",                             "8"),
    ("typedef float real; using real = float;",                "4"),    # the same type twice
    ("typedef float real; typedef double real;",               None),   # as in both branches of an #if
    ("using real = float; template <typename real> class t;",  None),   # it may be the parameter
    ("typedef struct { float x; } real;",                      None),
    ("typedef float real[4];",                                 None),
    ("typedef float other, real;",                             None),
    ("using real = real;",                                     None),
    ("using namespace real;",                                  None),
]  # fmt: skip


@pytest.mark.parametrize(("declaration", "size"), NAMED)
def test_the_size_of_a_type_that_the_file_names_is_followed_if_it_names_one(declaration, size):
    launch = find(f"{declaration}\nvoid run(int n) {{ k<<<1, 32, sizeof(real)>>>(x); }}", "k", {})
    assert launch.shared_bytes == size


GRID = "ceil_div(n, 256)"
KNOWN = f"launch=lambda n: Launch(grid={GRID}, block=256"
ASKED = f"such as lambda n: Launch(grid={GRID}, block=256)."
DYNAMIC = "It has dynamic shared memory: give shared_bytes, too."

PROPOSALS = [
    # grid, block and shared bytes of the host, threads of the kernel, dynamic, cooperative; what the pair file has
    ((GRID, "256", "0"),         None, False, False, f"{KNOWN}),"),
    ((GRID, "256", "1024"),      None, False, False, f"{KNOWN}, shared_bytes=1024),"),
    ((GRID, "256", "4 * n"),     None, True,  False, f"{KNOWN}, shared_bytes=4 * n),"),
    ((GRID, "256", "0"),         None, True,  False, DYNAMIC),          # the host may set it elsewhere
    ((GRID, "256", None),        None, False, False, ASKED),
    ((GRID, "256", "0"),         None, False, True,  "block=256, cooperative=True)."),
    ((None, "(16, 16)", "0"),    None, False, False, f"such as lambda n: Launch(grid={GRID}, block=(16, 16))."),
    ((GRID, None, "0"),          None, False, False, ASKED),
    ((GRID, None, "0"),          64,   False, False, "Launch(grid=ceil_div(n, 64), block=64). Line 7 of the host code "
     "has k<<<...>>>(x). The kernel allows 64 threads in a block."),
    (None,                       64,   False, False, "Launch(grid=ceil_div(n, 64), block=64). The kernel allows 64 "),
    (None,                       None, False, False, ASKED),
]  # fmt: skip


@pytest.mark.parametrize(("host", "threads", "dynamic", "cooperative", "text"), PROPOSALS)
def test_a_launch_is_proposed_if_all_of_it_is_known_and_asked_for_otherwise(host, threads, dynamic, cooperative, text):
    launch = host and HostLaunch(7, "k<<<...>>>(x)", *host)
    lines = list(launch_lines(["n"], launch, threads, dynamic=dynamic, cooperative=cooperative))
    assert text in " ".join(line.strip().removeprefix("# ") for line in lines)
    assert (lines[-1].strip() == "launch=...,") == (not text.startswith("launch="))
