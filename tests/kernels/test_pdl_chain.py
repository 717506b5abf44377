"""The pair pdl_chain."""

import dataclasses
import math
import re

import numpy as np
import pytest

from ptxbench.backends.emulator import EmulatorBackend
from ptxbench.emulator.chain import run_steps
from tests.kernels.harness import PAIRS, build, code, count, reports

PAIR = PAIRS["pdl_chain"].pair
SOURCES = {source.variant: source for source in PAIRS["pdl_chain"].sources}


def pdl_chain(x, w, share, eps, n, layer):
    outputs, v = [], x
    for weights in w:
        root = math.sqrt(math.fsum(value * value for value in v) / n + eps)
        v = [own + math.fsum(a * b for a, b in zip(row, v, strict=True)) / root
             for own, row in zip(v, weights, strict=True)]  # fmt: skip
        outputs.append(v)
    return {"y": outputs}


REFERENCE = (pdl_chain, {"n": 6, "layers": 3})
REGISTERS = 40  # on sm_120; 32 on sm_90

LAYER = [
    ("selp.b64 %v, %x, %v, %is_first;",                "mov.b64 %v, %x;"),
    ("mad.lo.u32 %of_row, %layer, %n, %row;",          "mad.lo.u32 %of_row, %layer, 256, %row;"),
    ("{%v_4, %v_5, %v_6, %v_7}, [%v_at + 512];",       "{%v_4, %v_5, %v_6, %v_7}, [%v_at];"),
]  # fmt: skip
MUTANTS = [
    *((f"pdl_chain{suffix}.ptx", *edit) for suffix in ("", ".first", ".late", ".none", ".prefetch") for edit in LAYER),
    ("pdl_chain.ptx", "griddepcontrol.wait;",                 ""),
    ("pdl_chain.first.ptx", "griddepcontrol.wait;",           ""),
    ("pdl_chain.ptx", "%other_squares, %squares, 1, 31",      "%other_squares, %squares, 2, 31"),
    ("pdl_chain.ptx", "fma.rn.f32 %mean, %squares, %share, %eps", "fma.rn.f32 %mean, %squares, 0f3b800000, %eps"),
    ("pdl_chain.ptx", "add.u64 %w_at, %w_at, 1024;",          ""),
]  # fmt: skip


# ---- what the page says of the machine code


def order(built):
    """The loads of vectors, and the two instructions of dependent launches, in the order of the machine code."""
    matches = [re.match(r"LDG\.E\.128|ACQBULK|PREEXIT", text) for text in code(built)]
    return [line[0] for line in matches if line]


def ahead(built):
    """How many loads of vectors precede the wait."""
    return order(built).index("ACQBULK") - order(built).count("PREEXIT")


AHEAD = {"cuda": 2, "cuda.restrict": 0, "ptx": 2, "ptx.first": 0, "ptx.late": 2, "ptx.prefetch": 2}


@pytest.mark.parametrize(
    ("arch", "variants"), [("sm_90", AHEAD), ("sm_100", ["cuda.restrict", "ptx"]), ("sm_120", ["cuda.restrict", "ptx"])]
)
def test_loads_of_weights_stay_before_the_wait_unless_they_are_of_constant_data(arch, variants):
    loads_ahead = {variant: ahead(build(SOURCES[variant], arch, "toolkit")) for variant in variants}
    assert loads_ahead == {variant: AHEAD[variant] for variant in variants}


def test_it_is_ptxas_that_moves_a_load_of_constant_data_behind_the_wait(tmp_path):
    own = SOURCES["ptx"]
    path = tmp_path / own.path.name
    text = own.path.read_text()
    before, wait, after = text.partition("griddepcontrol.wait;")
    path.write_text(before.replace("ld.global.v4", "ld.global.nc.v4") + wait + after)
    assert ahead(build(dataclasses.replace(own, path=path), "sm_90", "toolkit")) == 0


def test_the_two_instructions_are_the_same_in_c_and_in_ptx():
    sides = reports("pdl_chain", "sm_90")
    by_variant = {variant: count(report, "PREEXIT", "ACQBULK") for variant, report in sides.items()}
    plain = {"cuda.none": [0, 0], "ptx.none": [0, 0], "ptx.late": [0, 1]}
    assert by_variant == {variant: plain.get(variant, [1, 1]) for variant in sides}
    assert count(sides["ptx.prefetch"], "CCTL.E.PF2") == [1]


def test_an_unrolled_loop_in_c_takes_more_registers_than_eight_ctas_of_an_sm_have(tmp_path):
    own = SOURCES["cuda"]
    path = tmp_path / own.path.name
    kept, _, text = own.path.read_text().partition("#pragma unroll 1")
    path.write_text(kept + text.partition("\n")[2])
    assert 32 < build(dataclasses.replace(own, path=path), "sm_90", "toolkit").report.registers <= 40


def test_two_layers_of_4096_rows_fit_on_the_sms_of_an_h100():
    """8 CTAs of an SM have 65,536 registers and 2,048 threads: 1,056 CTAs, of which a layer has 512."""
    registers = {report.registers for report in reports("pdl_chain", "sm_90").values()}
    assert max(registers) <= 65536 // 2048
    assert 2 * math.prod(PAIR.launch(n=4096, layers=8).grid_xyz) <= 132 * 2048 // 256


# ---- what the emulator shows of a chain


def findings(right, wrong, size):
    """What the sanitizer finds in a chain of `ptx` with an edit: kinds, and whether it is about the launch before."""
    text = re.sub(" +", " ", SOURCES["ptx"].path.read_text())
    assert right in text
    launch, arguments = PAIR.launch(**size), PAIR.make_arguments(size, seed=1)
    execution = run_steps(
        text.replace(right, wrong, 1),
        None,
        steps=[list(step.values()) for step in launch.steps(arguments)],
        dependent=True,
        grid=launch.grid_xyz,
        block=launch.block_xyz,
        sanitize=True,
    )
    return {(finding.kind, "which the previous launch stores" in finding.message) for finding in execution.findings}


WAIT = "griddepcontrol.wait;"
FIRST = "ld.global.v4.f32 {%v_0, %v_1, %v_2, %v_3}, [%v_at];"
MISTAKES = [
    (WAIT, WAIT,                                                        set()),
    (WAIT, "",                                                          {("race", True)}),
    (WAIT, "setp.ne.u32 %leads, %lane, 0;\n @!%leads griddepcontrol.wait;", {("race", True)}),  # not the other lanes
    (WAIT, f"{FIRST}\n{WAIT}",                                          {("race", True)}),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "expected"), MISTAKES)
def test_the_sanitizer_finds_a_layer_that_reads_the_one_before_without_a_wait(right, wrong, expected):
    assert findings(right, wrong, {"n": 256, "layers": 2}) == expected


def test_a_chain_counts_each_of_its_launches():
    counts = []
    for layers in (2, 3):
        size = {"n": 256, "layers": layers}
        backend, built = EmulatorBackend("sm_90"), build(SOURCES["ptx"], "sm_90")
        outcome = backend.run(built, PAIR.launch(**size), PAIR.make_arguments(size, seed=1), PAIR.outputs)
        counts.append(outcome.counts["ptx_warp_instructions"] / layers)
    assert counts[0] == counts[1] > 0


def test_an_error_of_a_layer_stays_small():
    """A change of the input of 2^-10 of its size grows by less than a half in each layer."""
    size = {"n": 256, "layers": 8}
    arguments = {name: np.float64(value) for name, value in PAIR.make_arguments(size, seed=1).items()}
    x, w = arguments["x"], arguments["w"]
    y, changed = (PAIR.reference(x + change, w, 1 / 256, 1e-6, 256, 0)["y"] for change in (0, 2.0**-10))
    grown = np.abs(changed - y).max(axis=1)
    assert (grown < 2.0**-10 * 1.5 ** np.arange(1, 9)).all()
