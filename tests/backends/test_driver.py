"""The arguments of driver calls through ctypes (structures, attributes, parameters) match NVIDIA's cuda-bindings."""

import ctypes
import gc
import weakref
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ptxbench.backends import driver
from ptxbench.backends.device_limits import LaunchLimits
from ptxbench.backends.driver import Attribute, AttributeValue, LaunchConfig
from ptxbench.backends.launching import Launcher
from ptxbench.errors import LaunchUnavailable
from ptxbench.pair import Chain, Launch
from ptxbench.tensor_map import ELEMENT_BYTES, TiledMap


def test_the_structures_match_cuda_h():
    sizes = [(AttributeValue, 64), (Attribute, 72), (LaunchConfig, 56)]
    assert [(structure, ctypes.sizeof(structure)) for structure, _ in sizes] == sizes
    assert (Attribute.id.offset, Attribute.value.offset) == (0, 8)
    offsets = {name: getattr(LaunchConfig, name).offset for name, _ in LaunchConfig._fields_}
    assert offsets == {
        "grid": 0, "block": 12, "shared_bytes": 24, "stream": 32, "attributes": 40, "attribute_count": 48
    }  # fmt: skip


def test_a_config_has_the_bytes_of_nvidias_own_bindings():
    from cuda.bindings import driver as theirs

    names = theirs.CUlaunchAttributeID
    assert names.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION == driver.CLUSTER_DIMENSION
    assert names.CU_LAUNCH_ATTRIBUTE_COOPERATIVE == driver.COOPERATIVE
    assert names.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION == driver.PROGRAMMATIC_SERIALIZATION
    allowed = theirs.CUfunction_attribute.CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED
    assert allowed == driver.NON_PORTABLE_CLUSTER_SIZE_ALLOWED

    launch = Launch((8, 6, 5), (32, 4, 2), 100 << 10, cluster=(4, 3, 1), cooperative=True)
    ours = driver.config(launch, 0x1234, follows=True)
    config, cluster, cooperative, follows = theirs.CUlaunchConfig(), *(theirs.CUlaunchAttribute() for _ in range(3))
    cluster.id = names.CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION
    cluster.value.clusterDim.x, cluster.value.clusterDim.y, cluster.value.clusterDim.z = 4, 3, 1
    cooperative.id = names.CU_LAUNCH_ATTRIBUTE_COOPERATIVE
    cooperative.value.cooperative = 1
    follows.id = names.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
    follows.value.programmaticStreamSerializationAllowed = 1
    config.gridDimX, config.gridDimY, config.gridDimZ = 8, 6, 5
    config.blockDimX, config.blockDimY, config.blockDimZ = 32, 4, 2
    config.sharedMemBytes, config.hStream, config.numAttrs = 100 << 10, theirs.CUstream(0x1234), 3
    expected = ctypes.string_at(config.getPtr(), ctypes.sizeof(LaunchConfig))
    pointer = slice(LaunchConfig.attributes.offset, LaunchConfig.attributes.offset + 8)  # which is another address
    packed = bytearray(bytes(ours))
    packed[pointer] = expected[pointer]
    assert bytes(packed) == expected
    for mine, other in zip(ours.attributes[:3], (cluster, cooperative, follows), strict=True):
        assert bytes(mine)[:20] == ctypes.string_at(other.getPtr(), 20)


class Library:
    """A driver that records its arguments as the C function would read them."""

    def __init__(self):
        self.log = []

    def cuLaunchKernelEx(self, config, function, parameters, extra):  # noqa: N802
        launch_config = config._obj
        attributes = [
            (attribute.id, bytes(attribute.value)[:12])
            for attribute in launch_config.attributes[: launch_config.attribute_count]
        ]
        values = [ctypes.string_at(pointer, size) for pointer, size in zip(parameters, (8, 4, 128), strict=True)]
        self.log.append(
            (
                tuple(launch_config.grid),
                tuple(launch_config.block),
                launch_config.shared_bytes,
                launch_config.stream,
                function.value,
            )
        )
        self.log.append((attributes, values, [pointer % 64 for pointer in parameters], extra))
        return 0

    def cuTensorMapEncodeTiled(self, encoded, element, rank, address, shape, strides, box, steps, *modes):  # noqa: N802
        assert ctypes.addressof(encoded._obj) % 64 == 0
        self.log.append((element.value, rank.value, address.value))
        self.log.append((list(shape), list(strides)[: rank.value - 1], list(box), list(steps)))
        self.log.append([mode.value for mode in modes])
        encoded._obj.raw = bytes(range(128))
        return 0

    def cuOccupancyMaxActiveClusters(self, count, function, config):  # noqa: N802
        if function.value == 0xBAD:
            return 912
        count._obj.value = 17
        return len(config._obj.attributes[: config._obj.attribute_count]) - 1


def test_a_launch_reaches_the_driver_with_attributes_and_parameters():
    library, statuses = Library(), []
    content = [(0x7F00).to_bytes(8, "little"), b"\x01\x02\x03\x04", bytes(range(128))]
    launch = Launch(8, 96, 64, cluster=4, cooperative=True)
    enqueue = driver.launcher(library, statuses.append, 0xF00, launch, content, 7)
    assert library.log == []
    enqueue()
    cluster, cooperative = (4).to_bytes(4, "little") + b"\1\0\0\0" * 2, b"\1\0\0\0" + bytes(8)
    assert library.log == [
        ((8, 1, 1), (96, 1, 1), 64, 7, 0xF00),
        ([(4, cluster), (2, cooperative)], content, [0, 0, 0], None),
    ]
    enqueue()
    assert library.log[2:] == library.log[:2]
    assert statuses == [0, 0]
    assert driver.clusters_at_once(library, statuses.append, 0xF00, Launch(8, 96, cluster=4)) == 17
    assert statuses[2:] == [0]
    assert driver.clusters_at_once(library, statuses.append, 0xBAD, Launch(16, 96, cluster=16)) == 0
    assert statuses[2:] == [0]
    driver.clusters_at_once(library, statuses.append, 0xBAD, Launch(8, 96, cluster=4))  # not the size is at fault
    assert statuses[2:] == [0, 912]


def test_each_launch_of_a_chain_but_the_first_may_start_before_the_one_before_has_ended():
    log: list[Any] = []

    class Function:
        ptr = 0xF00

        def __call__(self, grid, block, parameters, shared_bytes, stream):
            log.append((grid, block, parameters))

    class Followed(Library):
        def cuLaunchKernelEx(self, config, function, parameters, extra):  # noqa: N802
            of = config._obj
            number = ctypes.string_at(parameters[0], 4)
            log.append(
                (
                    number,
                    [(attribute.id, attribute.value.programmatic) for attribute in of.attributes[: of.attribute_count]],
                )
            )
            return 0

    cuda = SimpleNamespace(driver=SimpleNamespace(check_status=[].append))
    launcher = Launcher(cuda, Followed(), LaunchLimits("H100", 132, 227 << 10), SimpleNamespace(ptr=7))
    steps = [[np.uint32(k)] for k in range(3)]
    launcher.bound(Function(), Launch(2, 32, chain=Chain(3, "k", dependent=True)), steps)()
    first = ((2, 1, 1), (32, 1, 1), (0,))
    assert log == [first, (b"\1\0\0\0", [(6, 1)]), (b"\2\0\0\0", [(6, 1)])]
    log.clear()
    launcher.bound(Function(), Launch(2, 32, chain=Chain(3, "k")), steps)()
    assert log == [(*first[:2], (k,)) for k in range(3)]


def test_a_launch_keeps_its_function_whose_module_would_be_unloaded_with_it():
    class Function:
        ptr = 0xF00

    cuda = SimpleNamespace(driver=SimpleNamespace(check_status=[].append))
    launcher = Launcher(cuda, Library(), LaunchLimits("H100", 132, 227 << 10), SimpleNamespace(ptr=7))
    for launch in (Launch(1, 1), Launch(1, 1, cooperative=True)):
        function = Function()
        reference = weakref.ref(function)
        enqueue = launcher.bound(function, launch, [[np.uint32(1)]])
        del function
        gc.collect()
        assert reference() is not None
        del enqueue
        gc.collect()
        assert reference() is None


def test_a_tensor_map_reaches_the_driver_unchanged():
    library, statuses = Library(), []
    tiled = TiledMap(
        "x", "bf16", (512, 1 << 33, 3), (1024, 1 << 39), (64, 8, 1), (1, 2, 1), swizzle=128, atom=32, l2_promotion=256,
        fill="nan",
    )  # fmt: skip
    assert driver.encode_tiled(library, statuses.append, tiled, 0x7F0000001000) == bytes(range(128))
    assert library.log == [
        (9, 3, 0x7F0000001000),
        ([512, 1 << 33, 3], [1024, 1 << 39], [64, 8, 1], [1, 2, 1]),
        [0, 4, 3, 1],
    ]
    line = TiledMap("x", "u8", (512,), (), (64,), (1,))
    driver.encode_tiled(library, statuses.append, line, 16)
    assert library.log[3:] == [(0, 1, 16), ([512], [], [64], [1]), [0, 0, 0, 0]]
    assert statuses == [0, 0]


def test_the_numbers_of_tensor_maps_are_nvidias():
    from cuda.bindings import driver as theirs

    elements = {
        "u8": "UINT8", "u16": "UINT16", "u32": "UINT32", "s32": "INT32", "u64": "UINT64", "s64": "INT64",
        "f16": "FLOAT16", "f32": "FLOAT32", "f64": "FLOAT64", "bf16": "BFLOAT16", "f32.ftz": "FLOAT32_FTZ",
        "tf32": "TFLOAT32", "tf32.ftz": "TFLOAT32_FTZ",
    }  # fmt: skip
    of_them = {
        name: getattr(theirs.CUtensorMapDataType, f"CU_TENSOR_MAP_DATA_TYPE_{spelling}")
        for name, spelling in elements.items()
    }
    assert {name: int(value) for name, value in of_them.items()} == driver.ELEMENTS
    assert driver.ELEMENTS.keys() == ELEMENT_BYTES.keys()
    swizzles = {(0, 16): "NONE", (32, 16): "32B", (64, 16): "64B", (128, 16): "128B", (128, 32): "128B_ATOM_32B",
                (128, 64): "128B_ATOM_64B"}  # fmt: skip
    modes: list[tuple[Any, str, dict[Any, str], Mapping[Any, int]]] = [
        (theirs.CUtensorMapSwizzle, "SWIZZLE", swizzles, driver.SWIZZLES),
        (theirs.CUtensorMapInterleave, "INTERLEAVE", {0: "NONE", 16: "16B", 32: "32B"}, driver.INTERLEAVES),
        (theirs.CUtensorMapL2promotion, "L2_PROMOTION", {0: "NONE", 64: "L2_64B", 128: "L2_128B", 256: "L2_256B"},
         driver.PROMOTIONS),
        (theirs.CUtensorMapFloatOOBfill, "FLOAT_OOB_FILL", {"zeros": "NONE", "nan": "NAN_REQUEST_ZERO_FMA"},
         driver.FILLS),
    ]  # fmt: skip
    for kind, word, names, ours in modes:
        assert {key: int(getattr(kind, f"CU_TENSOR_MAP_{word}_{name}")) for key, name in names.items()} == ours


def test_a_driver_that_is_too_old_is_not_blamed_on_the_kernel():
    with pytest.raises(LaunchUnavailable, match=r"The driver has no cuLaunchKernelEx\. Update"):
        driver.launcher(object(), print, 0, Launch(1, 1, cluster=1), [], 0)


def test_a_plain_launch_has_no_attributes():
    assert driver.attributes(Launch(8, 96, 64, resident=True)) == []
