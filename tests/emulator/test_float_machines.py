"""Floats are the same bits on every CPU, and no code calls a library such as libm or one for half precision."""

import functools
import hashlib
import json
import os
import platform
import struct
import subprocess
import sys

import pytest

from ptxbench.emulator import native
from tests import quick
from tests.emulator import batch
from tests.emulator.samples import FORMS, operands

SIGNATURES = {
    "f32 f32 f32": "add.rm.f32 sub.rz.ftz.f32 mul.rp.f32 div.rz.f32 div.full.f32 div.approx.f32 min.f32 "
                   "max.xorsign.abs.f32",
    "f32 f32 f32 f32": "fma.rn.f32 fma.rp.sat.f32 fma.rn.ftz.f32",
    "f32 f32": "rcp.rm.f32 sqrt.rp.f32 rsqrt.approx.f32 sin.approx.f32 cos.approx.f32 lg2.approx.f32 ex2.approx.f32 "
               "tanh.approx.f32 cvt.rni.f32.f32 cvt.rzi.f32.f32 cvt.rmi.f32.f32 cvt.rpi.f32.f32",
    "f64 f64 f64": "add.rm.f64 mul.rz.f64 div.rp.f64 max.f64",
    "f64 f64 f64 f64": "fma.rn.f64 fma.rz.f64",
    "f64 f64": "sqrt.rm.f64 rsqrt.approx.f64 rcp.approx.ftz.f64 cvt.rni.f64.f64 cvt.rmi.f64.f64",
    "b16 b16 b16": "add.f16 mul.ftz.f16 add.bf16 mul.bf16 min.NaN.f16 max.bf16",
    "b16 b16 b16 b16": "fma.rn.f16 fma.rn.bf16 fma.rn.relu.f16",
    "b16 b16": "ex2.approx.f16 tanh.approx.bf16 neg.f16 cvt.rni.f16.f16 cvt.rz.bf16.f16",
    "b32 b32 b32 b32": "fma.rn.f16x2 fma.rn.bf16x2",
    "f32 b16": "cvt.f32.f16 cvt.f32.bf16",
    "b16 f32": "cvt.rn.f16.f32 cvt.rm.f16.f32 cvt.rn.bf16.f32",
    "b16 f64": "cvt.rn.f16.f64 cvt.rp.bf16.f64",
    "b16 f32 f32": "cvt.rn.satfinite.e4m3x2.f32 cvt.rn.satfinite.e5m2x2.f32",
    "b32 b16": "cvt.rn.f16x2.e4m3x2",
    "f32 u64": "cvt.rn.f32.u64 cvt.rz.f32.u64",
    "f64 s64": "cvt.rn.f64.s64 cvt.rm.f64.s64",
    "u64 f32": "cvt.rzi.u64.f32 cvt.rmi.u64.f32",
    "s32 f64": "cvt.rni.s32.f64 cvt.rpi.s32.f64",
    "b16 s64": "cvt.rn.f16.s64 cvt.rz.bf16.s64",
}  # fmt: skip
"""Register types of the result and the sources: opcodes, one at least for each way in which floats are computed."""


def cases():
    for signature, opcodes in SIGNATURES.items():
        result, *kinds = signature.split()
        for opcode in opcodes.split():
            form = FORMS[{16: "f16", 32: "f32", 64: "f64"}[int(kinds[0][1:])]]
            yield batch.Case(opcode, result, kinds, operands(form, len(kinds), 200))


@functools.cache
def digests():
    """A digest of the results of each opcode."""
    every = list(cases())
    results = batch.execute(every, "sm_90")
    return {case.opcode: hashlib.sha256(got.tobytes()).hexdigest() for case, got in zip(every, results, strict=True)}


def undefined_symbols():
    """The symbols that the loaded objects of all these opcodes use and that none of them defines."""
    objects = []
    original = native.loaded
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "loaded", lambda *loaded, **near: objects.extend(loaded) or original(*loaded, **near))
        every = list(cases())
        native.kernel(batch.module(every, batch.whole_blocks(every), "sm_90", "8.8"), "batch", "sm_90")
    defined, undefined = zip(*map(symbols, objects), strict=True)
    return sorted(set().union(*undefined) - set().union(*defined))


def symbols(code):
    """The names that an object defines, and those that it uses without defining them. (ELF: the symbol table.)"""
    start, size, count = (struct.unpack_from(kind, code, at)[0] for kind, at in (("<Q", 40), ("<H", 58), ("<H", 60)))
    headers = [struct.unpack_from("<IIQQQQIIQQ", code, start + size * index) for index in range(count)]
    defined, undefined = set(), set()
    for _, kind, _, _, offset, length, link, *_ in headers:
        if kind == 2:
            strings = headers[link][4]
            for at in range(offset, offset + length, 24):
                name, _, _, section = struct.unpack_from("<IBBH", code, at)
                if name:
                    symbol = code[strings + name : code.index(b"\0", strings + name)].decode()
                    (defined if section else undefined).add(symbol)
    return defined, undefined


def answers():
    return {"undefined_symbols": undefined_symbols(), "digests": digests()}


@functools.cache
def on(cpu, level):
    """`answers` of a process that makes code for `cpu` at a level of optimisation."""
    program = "import json; from tests.emulator import test_float_machines as t; print(json.dumps(t.answers()))"
    environment = dict(os.environ, PTXBENCH_EMULATOR_CPU=cpu, PTXBENCH_EMULATOR_LEVEL=str(level))
    command = [sys.executable, "-c", program]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


LESSER = ("x86-64", "x86-64-v2", "x86-64-v3") if platform.machine() == "x86_64" else ("generic",)


LEVELS = (native.QUICK, native.OPTIMISED)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("cpu", quick.every(len(LESSER), LESSER))
def test_every_cpu_gives_the_same_bits_at_each_level(cpu, level):
    expected = digests()
    assert {opcode for opcode, digest in on(cpu, level)["digests"].items() if digest != expected[opcode]} == set()


@pytest.mark.skipif(sys.platform != "linux", reason="reads ELF objects")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("cpu", quick.every(len(LESSER), LESSER))
def test_the_code_calls_no_library(cpu, level):
    # the scheduler clears memory, which every process can; the launch's conditions are a variable of the process
    assert set(on(cpu, level)["undefined_symbols"]) <= {"memset", "conditions"}
