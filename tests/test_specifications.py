"""The table of published figures agrees with itself: a mistyped figure does not."""

from pathlib import Path

import pytest

from ptxbench.specifications import BY_ARCHITECTURE, BY_DEVICE, H100_SXM, MODELS, T4, of_architecture, of_device

SPECIFICATIONS = {
    specification.name: specification for specification in (*BY_DEVICE.values(), *BY_ARCHITECTURE.values())
}

LANES = [           # f32 lanes of an SM, and the tensor cores' rate over theirs, by the whitepapers
    ("GeForce RTX 2080 SUPER", 64, 4),
    ("RTX A6000",          128,   4),
    ("T4",                  64,   8),
    ("A100 PCIe 40GB",      64,  16),
    ("A100 PCIe 80GB",      64,  16),
    ("A100 SXM 40GB",       64,  16),
    ("A100 SXM 80GB",       64,  16),
    ("A10",                128,   4),
    ("GeForce RTX 3090",   128,   2),
    ("L4",                 128,   4),
    ("L40S",               128,   4),
    ("GeForce RTX 4090",   128,   2),
    ("H100 PCIe",          128,  16),
    ("H100 SXM",           128,  16),
    ("H200 SXM",           128,  16),
    ("B200",               128,  32),
    ("GeForce RTX 5090",   128,   2),
]  # fmt: skip


@pytest.mark.parametrize(("name", "lanes", "tensor_over_f32"), LANES)
def test_rates_are_lanes_multiplied_by_the_boost_clock(name, lanes, tensor_over_f32):
    spec = SPECIFICATIONS[name]
    assert spec.f32 == pytest.approx(spec.sms * lanes * 2 * spec.boost_mhz * 1e6, rel=0.01)
    # 8 %: of some GPUs the tensor cores' rate is published at a lower clock, 1.83 of 1.98 GHz for the H100
    assert spec.tensor == pytest.approx(tensor_over_f32 * spec.f32, rel=0.08)


def test_the_page_of_the_model_names_every_gpu_that_it_takes():
    page = (Path(__file__).parents[1] / "docs" / "model.md").read_text(encoding="utf-8")
    assert [name for name in MODELS if f"`{name}`" not in page] == []


def test_every_gpu_of_the_table_is_checked_and_says_where_its_figures_are_from():
    assert set(SPECIFICATIONS) == {name for name, _, _ in LANES}
    assert all(spec.source.startswith("NVIDIA ") for spec in SPECIFICATIONS.values())
    assert len({(name, spec.name) for name, spec in BY_DEVICE.items()}) == len(BY_DEVICE)


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("Tesla T4",                              T4),
        ("NVIDIA H100 80GB HBM3",                 H100_SXM),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb",      None),       # a slice
        ("NVIDIA GeForce RTX 4090 Laptop GPU",    None),
        ("NVIDIA A10G",                           None),       # has fewer tensor flops than the A10
        ("",                                      None),
    ],
)  # fmt: skip
def test_a_gpu_is_found_by_its_whole_name(name, spec):
    assert of_device(name) is spec


@pytest.mark.parametrize(
    ("arch", "spec"), [("sm_90", H100_SXM), ("sm_90a", H100_SXM), ("sm_75", T4), ("sm_70", None), ("sm_103a", None)]
)
def test_each_architecture_is_represented_by_one_gpu(arch, spec):
    assert of_architecture(arch) is spec
