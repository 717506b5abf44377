"""Tensor copies: boxes of 1 to 5 dimensions against NumPy, when they are done, their counts, and misuses."""

import ml_dtypes  # noqa: F401  NumPy's bfloat16
import numpy as np
import pytest

from ptxbench import emulator, toolchain
from ptxbench.errors import Deadlock, LaunchError, MemoryFault, PtxSyntaxError, UnsupportedInstruction
from ptxbench.tensor_map import TensorMap
from tests.emulator.modules import Modules

module = Modules()


def test_ptxas_accepts_these_kernels():
    module.assemble()


TILE_BYTES = 16384
START = """
    .reg .u64 %m, %y, %c, %at, %policy;
    .reg .u32 %c<5>, %v, %t, %i, %n, %dims, %way, %out;
    .reg .pred %first, %done, %past, %is;
    .shared .align 1024 .b8 tile[16384];
    .shared .align 8 .b64 full;
    mov.b64 %m, map_x;
    cvta.param.u64 %m, %m;
    ld.param.u64 %y, [y];
    ld.param.u64 %c, [c];
    ld.param.u32 %way, [way];
    ld.param.u32 %n, [n];
    mov.u32 %t, %tid.x;
    setp.eq.u32 %first, %t, 0;
    @%first mbarrier.init.shared::cta.b64 [full], 1;
    fence.mbarrier_init.release.cluster;
    bar.sync 0;
    ld.global.u32 %c0, [%c];
    ld.global.u32 %c1, [%c+4];
    ld.global.u32 %c2, [%c+8];
    ld.global.u32 %c3, [%c+12];
    ld.global.u32 %c4, [%c+16];
    createpolicy.fractional.L2::evict_first.b64 %policy;
"""
FILL_TILE = """
    mad.lo.u32 %i, %t, 4, 0;
FILL:
    cvt.u64.u32 %at, %i;
    add.u64 %at, %y, %at;
    mov.u32 %out, tile;
    add.u32 %out, %out, %i;
    ld.global.u32 %v, [%at];
    st.shared.u32 [%out], %v;
    add.u32 %i, %i, 128;
    setp.lt.u32 %is, %i, 16384;
    @%is bra FILL;
    fence.proxy.async.shared::cta;
    bar.sync 0;
"""
SHOW_TILE = """
    mad.lo.u32 %i, %t, 4, 0;
SHOW:
    cvt.u64.u32 %at, %i;
    add.u64 %at, %y, %at;
    mov.u32 %out, tile;
    add.u32 %out, %out, %i;
    setp.lt.u32 %is, %i, %n;
    mov.u32 %v, 0;
    @%is ld.shared.u32 %v, [%out];
    st.global.u32 [%at], %v;
    add.u32 %i, %i, 128;
    setp.lt.u32 %is, %i, 16384;
    @%is bra SHOW;
    ret;
"""
PARAMETERS = ".param .align 64 .b8 map_x[128], .param .u64 y, .param .u64 c, .param .u32 way, .param .u32 n"


def coordinates(dims):
    return "{" + ", ".join(f"%c{i}" for i in range(dims)) + "}"


def choice(number, lines):
    """`lines` by thread 0 if %way is `number`."""
    return f"""
    setp.ne.or.u32 %is, %way, {number}, %past;
    @%is bra NOT_{number};
    {lines}
NOT_{number}:"""


LOADS = "\n".join(
    choice(
        dims,
        f"""cp.async.bulk.prefetch.tensor.{dims}d.L2.global.tile [%m, {coordinates(dims)}];
    cp.async.bulk.tensor.{dims}d.shared::cluster.global{tile}.mbarrier::complete_tx::bytes{hint}
        [tile], [%m, {coordinates(dims)}], [full]{policy};""",
    )
    for dims, tile, hint, policy in (
        (1, "", "", ""), (2, ".tile", "", ""), (3, ".tile", ".L2::cache_hint", ", %policy"), (4, "", "", ""),
        (5, "", ".L2::cache_hint", ", %policy"),
    )
)  # fmt: skip
LOAD = module(f"""
.visible .entry load({PARAMETERS})
{{{START}
    setp.ne.u32 %past, %t, 0;
    prefetch.tensormap [%m];
    @%first mbarrier.arrive.expect_tx.shared::cta.b64 _, [full], %n;
    {LOADS}
WAIT:
    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;
    @!%done bra WAIT;
    {SHOW_TILE}
}}
""", ("8.0", "sm_90"))  # fmt: skip
OUT = "\n".join(
    choice(
        dims,
        f"""cp.async.bulk.tensor.{dims}d.global.shared::cta{tile}.bulk_group{hint}
        [%m, {coordinates(dims)}], [tile]{policy};""",
    )
    for dims, tile, hint, policy in (
        (1, "", "", ""), (2, ".tile", "", ""), (3, "", ".L2::cache_hint", ", %policy"), (4, "", "", ""),
        (5, "", "", ""),
    )
)  # fmt: skip
OPERATIONS = ("add", "min", "max", "inc", "dec", "and", "or", "xor")
UPDATES = "\n".join(
    choice(
        number, f"cp.reduce.async.bulk.tensor.2d.global.shared::cta.{op}.tile.bulk_group [%m, {{%c0, %c1}}], [tile];"
    )
    for number, op in enumerate(OPERATIONS)
)


def stores(name, body):
    return module(f"""
.visible .entry {name}({PARAMETERS})
{{{START}{FILL_TILE}
    setp.ne.u32 %past, %t, 0;
    {body}
    cp.async.bulk.commit_group;
    cp.async.bulk.wait_group 0;
    ret;
}}
""", ("8.0", "sm_90"))  # fmt: skip


STORE, UPDATE = stores("store", OUT), stores("update", UPDATES)


# ---- the same in NumPy


def as_unsigned(array):
    """The elements of the array, as unsigned numbers of their size."""
    return array.view(f"u{array.itemsize}")


class Box:
    """The index arrays of the elements of the array that are in a box; `tiled` is the map."""

    def __init__(self, tiled, place):
        steps = (1, *tiled.element_strides[1:])  # the hardware ignores the element stride of dimension 0
        self.counts = [-(-box // step) for box, step in zip(tiled.box, steps, strict=True)]
        indices = [c + step * np.arange(n) for c, step, n in zip(place, steps, self.counts, strict=True)]
        self.inside = np.ones(self.counts[::-1], bool)
        self.index = []
        for dimension, (index, extent) in enumerate(zip(indices, tiled.shape, strict=True)):
            axis = [1] * len(self.counts)
            axis[len(self.counts) - 1 - dimension] = -1
            self.inside &= ((index >= 0) & (index < extent)).reshape(axis)
            self.index.append(np.clip(index, 0, extent - 1))
        self.place = np.ix_(*self.index[::-1])


def permuted(linear, swizzle, atom, back=False):
    """The bytes of a box with its chunks in each line of 128 bytes exchanged, as the manual's figures show them."""
    if not swizzle:
        return linear
    padded = np.zeros(-(-linear.size // 128) * 128, np.uint8)
    padded[: linear.size] = linear
    lines = padded.reshape(-1, 128 // atom, atom)
    result = lines.copy()
    for number in range(len(lines)):
        for chunk in range(lines.shape[1]):
            result[number, chunk ^ number % (swizzle // atom)] = lines[number, chunk]
    return result.reshape(-1)[: linear.size]


FILLED = {2: 0x7FFF, 4: 0x7FFFFFFF, 8: 0x7FFFFFFFFFFFFFFF}


def loaded(array, tiled, place):
    box = Box(tiled, place)
    nan = FILLED[array.itemsize] if tiled.fill == "nan" else 0
    values = np.where(box.inside, as_unsigned(array)[box.place], np.array(nan, f"u{array.itemsize}"))
    linear = np.frombuffer(values.astype(f"u{array.itemsize}").tobytes(), np.uint8)
    return permuted(linear, tiled.swizzle, tiled.atom)


TYPES = ("u1", "u2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "bfloat16")
SWIZZLES = ((0, 16), (32, 16), (64, 16), (128, 16), (128, 32), (128, 64))


def drawn(number):
    """A tensor, a map of it and a place, at random; the place may be partly or wholly outside."""
    random = np.random.default_rng(number)
    turn, dims = divmod(number, 5)
    kind = np.dtype(TYPES[turn % len(TYPES)])
    swizzle, atom = SWIZZLES[(turn + dims) % len(SWIZZLES)]
    dims += 1
    row = swizzle or 16 * int(random.integers(1, 4))
    box = [max(row // kind.itemsize, 1)]
    steps = [1]
    budget = TILE_BYTES // row
    for _ in range(1, dims):
        box.append(int(random.integers(1, min(budget, 7) + 1)))
        steps.append(int(random.integers(1, 4)))
        budget //= box[-1]
    unit = 16 // kind.itemsize
    shape = [unit * int(random.integers(1, 12)), *(int(random.integers(1, 9)) for _ in box[1:])]
    array = random.integers(0, 256, (*shape[::-1], kind.itemsize), np.uint8).view(kind).reshape(shape[::-1])
    map_shape = [max(extent - int(random.integers(0, 3)), 1) for extent in shape]
    tiled = TensorMap(
        "map_x", "x", box=tuple(box), shape=lambda: tuple(map_shape), element_strides=tuple(steps), swizzle=swizzle,
        atom=atom,
        strides=lambda: tuple(kind.itemsize * int(np.prod(shape[:i])) for i in range(1, dims)),
        fill="nan" if kind.kind in "fV" and number % 2 else "zeros",
    )  # fmt: skip
    place = [int(random.integers(-width, extent + 2)) for width, extent in zip(box, map_shape, strict=True)]
    return array, tiled, tuple(place)


def launch(text, array, tiled, place, tile, way, **options):
    coordinates = np.array([*place, *[7] * (5 - len(place))], np.int32)
    mapped = emulator.MapOf(array, tiled)
    arguments = [mapped, tile, coordinates, np.uint32(way), np.uint32(loaded(array, mapped.tiled, place).size)]
    return emulator.run(text, grid=1, block=32, args=arguments, **options)


@pytest.mark.parametrize("number", range(60))
def test_a_box_is_loaded_as_in_numpy(number):
    array, tiled, place = drawn(number)
    tile = np.zeros(TILE_BYTES, np.uint8)
    launch(LOAD, array, tiled, place, tile, len(place))
    expected = loaded(array, emulator.MapOf(array, tiled).tiled, place)
    assert tile[: expected.size].tolist() == expected.tolist()


@pytest.mark.parametrize("number", range(60))
def test_a_box_is_stored_as_in_numpy(number):
    array, tiled, place = drawn(number)
    settled = emulator.MapOf(array, tiled).tiled
    tile = np.random.default_rng(number).integers(0, 256, TILE_BYTES, np.uint8)
    box = Box(settled, place)
    expected, size = as_unsigned(array).copy(), loaded(array, settled, place).size
    values = permuted(tile[:size], settled.swizzle, settled.atom).view(f"u{array.itemsize}").reshape(box.inside.shape)
    for index in np.argwhere(box.inside):
        where = tuple(indices[i] for indices, i in zip(box.index[::-1], index, strict=True))
        expected[where] = values[tuple(index)]
    launch(STORE, array, tiled, place, tile, len(place))
    assert as_unsigned(array).tolist() == expected.tolist()


OF_TYPES = {
    "add": ("u4", "i4", "u8", "f2", "f4", "f8", "bfloat16"), "min": ("u4", "i4", "u8", "i8", "f2", "bfloat16"),
    "max": ("u4", "i4", "u8", "i8", "f2", "bfloat16"), "inc": ("u4",), "dec": ("u4",), "and": ("u4", "i8"),
    "or": ("i4", "u8"), "xor": ("u4", "u8"),
}  # fmt: skip
IN_NUMPY = {
    "add": np.add, "min": np.minimum, "max": np.maximum, "and": np.bitwise_and, "or": np.bitwise_or,
    "xor": np.bitwise_xor, "inc": lambda a, b: np.where(a >= b, 0, a + 1),
    "dec": lambda a, b: np.where((a == 0) | (a > b), b, a - 1),
}  # fmt: skip


@pytest.mark.parametrize(("operation", "kind"), [(op, kind) for op, kinds in OF_TYPES.items() for kind in kinds])
def test_a_box_updates_a_tensor_as_in_numpy(operation, kind):
    random, kind = np.random.default_rng(5), np.dtype(kind)
    high = 60 if kind.kind in "fV" else 6
    low = 0 if kind.kind == "u" else -high
    columns = 64 // kind.itemsize
    array = random.integers(low, high, (6, columns)).astype(kind)
    values = random.integers(low, high, (4, columns)).astype(kind)
    tile = np.zeros(TILE_BYTES, np.uint8)
    tile[:256] = np.frombuffer(values.tobytes(), np.uint8)
    expected = array.copy()
    expected[3:, : columns - 2] = IN_NUMPY[operation](array[3:, : columns - 2], values[:3, 2:])
    tiled = TensorMap("map_x", "x", box=(columns, 4))
    launch(UPDATE, array, tiled, (-2, 3), tile, OPERATIONS.index(operation))
    assert array.tolist() == expected.tolist()


# ---- when, and how it counts

LINE = {"load": "cp.async.bulk.tensor.2d.shared::cluster", "store": "cp.async.bulk.tensor.2d.global"}


def line(text, start):
    return 1 + text[: text.index(start)].count("\n")


X = np.arange(20 * 64, dtype=np.float16).reshape(20, 64)
MAP = TensorMap("map_x", "x", box=(64, 16), swizzle=128)


def counts(text, kind, place, array=X):
    execution = launch(text, array.copy(), MAP, place, np.zeros(TILE_BYTES, np.uint8), 2)
    counted = execution.by_line[line(text, LINE[kind])]
    return {name: value for name, value in counted.items() if "instruction" not in name and "cycles" not in name}


def test_a_load_counts_its_box_and_what_lies_inside():
    assert counts(LOAD, "load", (-8, 10)) == {
        "ptx_async_requests": 1, "ptx_async_bytes": 2048, "ptx_tma_boxes": 1,
        "ptx_tma_filled_bytes": 2048 - 10 * 112, "ptx_global_load_requests": 1, "ptx_global_load_bytes": 10 * 112,
        "ptx_global_load_sectors": 10 * 4, "ptx_global_load_lines": 10, "ptx_shared_store_requests": 1,
        "ptx_shared_store_bytes": 2048, "ptx_shared_store_wavefronts": 16,
    }  # fmt: skip


def test_a_store_counts_only_bytes_inside_as_global():
    assert counts(STORE, "store", (0, 12)) == {
        "ptx_async_requests": 1, "ptx_async_bytes": 2048, "ptx_tma_boxes": 1, "ptx_global_store_requests": 1,
        "ptx_global_store_bytes": 1024, "ptx_global_store_sectors": 32, "ptx_global_store_lines": 8,
        "ptx_shared_load_requests": 1, "ptx_shared_load_bytes": 2048, "ptx_shared_load_wavefronts": 16,
    }  # fmt: skip


def without(text, *lines):
    for line in lines:
        assert line in text, line
        text = text.replace(line, "")
    return text


def test_a_load_that_no_thread_waits_for_is_not_done():
    text = without(LOAD, "WAIT:\n    mbarrier.try_wait.parity.shared::cta.b64 %done, [full], 0;\n    @!%done bra WAIT;")
    tile = np.zeros(TILE_BYTES, np.uint8)
    launch(text, X.copy(), MAP, (0, 0), tile, 2)
    assert (tile[:2048] == 0xFF).all()
    execution = launch(text, X.copy(), MAP, (0, 0), tile, 2, sanitize=True)
    assert {finding.kind for finding in execution.findings} == {"pending-copy"}


@pytest.mark.parametrize("missing", ["cp.async.bulk.commit_group;", "cp.async.bulk.wait_group 0;"])
def test_a_store_that_no_thread_waits_for_is_not_done(missing):
    array = X.copy()
    launch(without(STORE, missing), array, MAP, (0, 0), np.zeros(TILE_BYTES, np.uint8), 2)
    assert array.tolist() == X.tolist()


def test_the_whole_box_counts_at_the_mbarrier():
    wrong = LOAD.replace("[full], %n;", "[full], 1120;")
    with pytest.raises(Deadlock, match=r"mbarrier\.try_wait"):
        launch(wrong, X.copy(), MAP, (-8, 10), np.zeros(TILE_BYTES, np.uint8), 2)


def test_right_kernels_have_no_findings():
    for text in (LOAD, STORE):
        execution = launch(text, X.copy(), MAP, (4, 3), np.zeros(TILE_BYTES, np.uint8), 2, sanitize=True)
        assert execution.findings == ()


def test_ctas_that_store_other_boxes_do_not_depend_on_their_order():
    text = STORE.replace("ld.global.u32 %c1, [%c+4];", "mov.u32 %c1, %ctaid.x;\n    shl.b32 %c1, %c1, 4;")
    array = np.zeros((64, 64), np.float16)
    tile = np.ones(TILE_BYTES // 2, np.float16).view(np.uint8)
    arguments = [emulator.MapOf(array, MAP), tile, np.zeros(5, np.int32), np.uint32(2), np.uint32(2048)]
    execution = emulator.run(text, grid=4, block=32, args=arguments, threads=2)
    assert execution.order == "any"
    assert (array == 1).all()


CUDA = """
#include <cuda/barrier>
#include <cuda.h>
using barrier = cuda::barrier<cuda::thread_scope_block>;
namespace cde = cuda::device::experimental;

extern "C" __global__ void twice(const __grid_constant__ CUtensorMap map_x, const __grid_constant__ CUtensorMap map_y) {
    __shared__ alignas(128) float tile[8][32];
    #pragma nv_diag_suppress static_var_with_dynamic_init
    __shared__ barrier bar;
    if (threadIdx.x == 0) { init(&bar, blockDim.x); cde::fence_proxy_async_shared_cta(); }
    __syncthreads();
    barrier::arrival_token token;
    if (threadIdx.x == 0) {
        cde::cp_async_bulk_tensor_2d_global_to_shared(&tile, &map_x, 32 * blockIdx.x, 8 * blockIdx.y, bar);
        token = cuda::device::barrier_arrive_tx(bar, 1, sizeof(tile));
    } else {
        token = bar.arrive();
    }
    bar.wait(std::move(token));
    for (int i = 0; i < 8; i++) tile[i][threadIdx.x] *= 2;
    cde::fence_proxy_async_shared_cta();
    __syncthreads();
    if (threadIdx.x == 0) {
        cde::cp_async_bulk_tensor_2d_shared_to_global(&map_y, 32 * blockIdx.x, 8 * blockIdx.y, &tile);
        cde::cp_async_bulk_commit_group();
        cde::cp_async_bulk_wait_group_read<0>();
    }
}
"""


@pytest.mark.long
def test_a_kernel_in_cuda_c_uses_the_wrappers_of_libcudacxx(tmp_path):
    ptx, *_ = toolchain.compiled(CUDA.encode(), tmp_path / "twice.cu", "sm_90", ())
    x = np.arange(20 * 72, dtype=np.float32).reshape(20, 72)
    y = np.zeros_like(x)
    maps = [emulator.MapOf(array, TensorMap("map", "x", box=(32, 8))) for array in (x, y)]
    execution = emulator.run(ptx, grid=(3, 3), block=32, args=maps, sanitize=True)
    assert execution.findings == ()
    assert (y == 2 * x).all()


# ---- misuses

BAD_WORD = {  # of the map, as 32-bit words: which, its value, the complaint
    "damaged": (13, 0, "uses a tensor map that is damaged"),
    "flip": (2, 0x00106310, "uses a tensor map that is damaged, or has a mode that the emulator does not support"),
    "narrow": (13, 31 << 24, "uses a tensor map whose swizzle is wider than a row of its box"),
    "dimensions": (2, 0x00006320, "has another number of coordinates than the tensor map, which has 3 dimensions"),
}


def passed(array, tiled, **changes):
    """The bytes of a map by value, as a GPU's driver would pass them, with the address of `array` in them."""
    words = np.frombuffer(emulator.MapOf(array, tiled).encoded(0), "<u4")[2:].copy()
    for word, value in changes.values():
        words[word - 2] = value
    record = np.zeros((), [("address", object), ("words", "<u4", 30)])
    record["address"], record["words"] = emulator.Pointer(array), words
    return record[()]


def bytes_launch(structure, text=LOAD, way=2):
    tile = np.zeros(TILE_BYTES, np.uint8)
    emulator.run(text, grid=1, block=32, args=[structure, tile, np.zeros(5, np.int32), np.uint32(way), np.uint32(2048)])
    return tile


def test_a_map_may_be_passed_as_bytes():
    tile = bytes_launch(passed(X, MAP))
    assert tile[:2048].tolist() == loaded(X, emulator.MapOf(X, MAP).tiled, (0, 0)).tolist()


@pytest.mark.parametrize("options", [{}, {"placement": 3}])
def test_the_address_of_a_map_may_be_in_a_register_of_32_bits(options):
    right = "mov.b64 %m, map_x;"
    assert right in LOAD
    tile = np.zeros(TILE_BYTES, np.uint8)
    launch(LOAD.replace(right, "mov.b32 %v, map_x;\n    cvt.u64.u32 %m, %v;"), X, MAP, (0, 0), tile, 2, **options)
    assert tile[:2048].tolist() == loaded(X, emulator.MapOf(X, MAP).tiled, (0, 0)).tolist()


@pytest.mark.parametrize("name", BAD_WORD)
def test_a_bad_map_is_a_fault(name):
    word, value, complaint = BAD_WORD[name]
    with pytest.raises(MemoryFault, match=f"cp.async.bulk.prefetch.tensor.* by thread 0 of CTA 0 {complaint}"):
        bytes_launch(passed(X, MAP, word=(word, value)))


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("cvta.param.u64 %m, %m;", "mov.u64 %m, 64;", "needs a tensor map there: 128 bytes of a parameter"),
        ("cvta.param.u64 %m, %m;", "", "the address of a parameter needs cvta.param"),
        ("[tile], [%m, {%c0, %c1}]", "[tile+64], [%m, {%c0, %c1}]", "needs shared memory at a multiple of 128 bytes"),
        ("[tile], [%m, {%c0, %c1}]", "[tile+14464], [%m, {%c0, %c1}]", "writes byte 16384 of shared memory, which has"),
    ],
)
def test_a_misused_load_is_a_fault(right, wrong, complaint):
    assert right in LOAD
    with pytest.raises(MemoryFault, match=complaint):
        launch(LOAD.replace(right, wrong), X.copy(), MAP, (0, 0), np.zeros(TILE_BYTES, np.uint8), 2)


def test_a_map_larger_than_its_array_is_a_fault_at_the_read_outside():
    with pytest.raises(MemoryFault, match=r"reads byte 2560 of 'map_x\.address', which has 2560"):
        bytes_launch(passed(X, MAP, rows=(9, 99)), LOAD.replace("ld.global.u32 %c1, [%c+4];", "mov.u32 %c1, 16;"))


def test_an_operation_that_the_type_does_not_have_is_a_fault():
    with pytest.raises(MemoryFault, match="is an operation that elements of the tensor map's type do not have"):
        launch(UPDATE, X.copy(), MAP, (0, 0), np.zeros(TILE_BYTES, np.uint8), OPERATIONS.index("inc"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"of": "z"}, "The tensor map 'map_x' is of 'z', which is not an array here: 'y', 'c'."),
        (
            {"of": "y", "element": "tf32", "shape": lambda: (64,)},
            "element is tf32; how a GPU changes the values is not documented",
        ),
        ({"of": "y", "box": (7,)}, "a row of the box has 7 bytes; expected a multiple of 16."),
        ({"of": "y", "box": (32,), "swizzle": 128}, "a row of the box has 32 bytes and swizzle is 128"),
        ({"of": "y", "box": (32,), "shape": lambda: (99999,)}, "it covers 99,999 bytes; 'y' has 16,384."),
    ],
)
def test_a_map_that_cannot_be_encoded_is_an_error_of_the_launch(change, message):
    tiled = TensorMap(**{"name": "map_x", "box": (16,), **change})
    arguments = [tiled, np.zeros(TILE_BYTES, np.uint8), np.zeros(5, np.int32), np.uint32(1), np.uint32(16)]
    with pytest.raises(LaunchError) as caught:
        emulator.run(LOAD, grid=1, block=32, args=arguments)
    assert message in str(caught.value)


def test_a_map_needs_a_parameter_of_its_size():
    y = np.zeros(TILE_BYTES, np.uint8)
    with pytest.raises(LaunchError, match="'y' has 8 bytes aligned to 8; a tensor map takes a parameter of 128 bytes"):
        emulator.run(LOAD, grid=1, block=32, args=[emulator.MapOf(X, MAP), emulator.MapOf(y, MAP), y,
                                                   np.uint32(1), np.uint32(16)])  # fmt: skip


@pytest.mark.parametrize(
    ("right", "wrong", "error", "message"),
    [
        ("{%c0, %c1}], [full]", "{%c0, %c1, %c2}], [full]", PtxSyntaxError, "takes 2 coordinates, not 3"),
        ("[tile], [%m, {%c0, %c1}], [full]", "[tile], [%m], {%c0, %c1}, [full]", PtxSyntaxError,
         "coordinates go into the brackets of the map"),
        ("2d.shared::cluster.global.tile.", "2d.shared::cluster.global.im2col.", UnsupportedInstruction, "im2col"),
    ],
)  # fmt: skip
def test_copies_that_ptxas_or_the_emulator_does_not_support_are_refused(right, wrong, error, message):
    assert right in LOAD
    with pytest.raises(error, match=message):
        launch(LOAD.replace(right, wrong), X.copy(), MAP, (0, 0), np.zeros(TILE_BYTES, np.uint8), 2)
