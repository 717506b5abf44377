"""`ptxbench exec` runs nothing that ptxas refuses, and says so if ptxas was not asked."""

import json

import pytest

from ptxbench.toolchain import locate

HEADER = ".version 8.0\n.target sm_80\n.address_size 64\n"
KERNEL = (
    ".visible .entry k(.param .u64 x)\n{{\n.reg .u64 %x;\nld.param.u64 %x, [x];\n{}\nst.global.u32 [%x], 3;\nret;\n}}\n"
)
ARGS = ("--block", "1", "--arg", "u32[1]=zeros")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_kernel_that_ptxas_refuses_is_not_executed(folder, ptxbench):
    (folder / "k.ptx").write_text(HEADER + KERNEL.format("frobnicate;"))
    ran = ptxbench("exec", "k.ptx", *ARGS, "--json")
    [kernel] = json.loads(ran.out)["kernels"]
    assert (ran.status, kernel["status"], kernel["arrays"]) == (4, "fault", [])
    assert kernel["error"]["kind"] == "AssembleError"
    assert kernel["error"]["message"].startswith("k.ptx:8: ")
    out = ptxbench("exec", "k.ptx", *ARGS).out
    assert ">  8 | frobnicate;" in out
    (folder / "good.ptx").write_text(HEADER + KERNEL.format(""))
    ran = ptxbench("exec", ".", *ARGS, "--json")
    assert {kernel["file"]: kernel["status"] for kernel in json.loads(ran.out)["kernels"]} == {
        "good.ptx": "clean", "k.ptx": "fault",
    }  # fmt: skip


def test_assembly_in_cuda_c_that_ptxas_refuses_is_not_executed(folder, ptxbench):
    (folder / "k.cu").write_text('extern "C" __global__ void k(unsigned* x)\n{\n    asm("frobnicate;");\n}\n')
    ran = ptxbench("exec", "k.cu", *ARGS)
    assert ran.status == 4
    assert "AssembleError: k.cu:" in ran.out


def test_without_ptxas_a_note_says_that_it_was_not_asked(folder, ptxbench, monkeypatch):
    (folder / "k.ptx").write_text(HEADER + KERNEL.format(""))
    find_program = locate.program
    monkeypatch.setattr(locate, "program", lambda name: None if name == "ptxas" else find_program(name))
    ran = ptxbench("exec", "k.ptx", *ARGS, "--json")
    [kernel] = json.loads(ran.out)["kernels"]
    assert (ran.status, kernel["status"]) == (0, "clean")
    assert kernel["notes"][0].startswith(
        "not checked whether ptxas takes this PTX: ptxas is not installed (pip install"
    )
    out = ptxbench("exec", "k.ptx", *ARGS).out
    assert "Not every check was made:\n- not checked whether ptxas takes this PTX" in out
    out = ptxbench("exec", "k.ptx", *ARGS, "--sanitize").out
    assert "No finding, but not every check was made:\n- not checked whether ptxas takes" in out
    assert "found nothing" not in out


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (
            ".reg .f32 %f<6>; .reg .pred %p; tex.2d.v4.f32.f32 {%f0, %f1, %f2, %f3}|%p, [%x, {%f4, %f5}];",
            "k.ptx:8: expected ';', found '|'",  # in the parser
        ),
        (".reg .b16 %h<4>; mov.v4.u16 {%h0, %h1, %h2, %h3}, %tid;", "k.ptx:8: '%tid.x' has 32 bits"),  # after it
    ],
)
def test_what_ptxas_accepts_and_the_emulator_cannot_read_is_not_supported(
    folder, ptxbench, statements, message, monkeypatch
):
    (folder / "k.ptx").write_text(HEADER + KERNEL.format(statements))
    ran = ptxbench("exec", "k.ptx", *ARGS)
    words = " ".join((ran.out + ran.err).split())
    assert ran.status == 5
    assert message in words
    assert "ptxas accepts it; the emulator does not know this form." in words
    find_program = locate.program
    monkeypatch.setattr(locate, "program", lambda name: None if name == "ptxas" else find_program(name))
    assert ptxbench("exec", "k.ptx", *ARGS).status == 4


def test_a_text_ends_at_its_first_nul_as_for_the_driver(folder, ptxbench):
    (folder / "k.ptx").write_bytes((HEADER + KERNEL.format("")).encode() + b"\0\xff junk")
    ran = ptxbench("exec", "k.ptx", *ARGS, "--json")
    assert (ran.status, json.loads(ran.out)["kernels"][0]["arrays"][0]["first"]) == (0, [3])
