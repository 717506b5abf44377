"""Every mistake of a user: the message, the exit status, and that no finished result is lost.

Each goes through the command line with its own kernels folder. Messages name the file, the line where there is
one, what was found and what to do.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ptxbench import cache
from tests.folders import CUDA, PAIR, PTX, changed, kernels_folder

RUN = ("run", "--kernels", "kernels", "--backend", "emulator")


def saved():
    """The runs below results/, as documents."""
    return [json.loads(path.read_text()) for path in sorted(Path("results").rglob("*.json"))]


def statuses(document):
    return {name: result["status"] for cell in document["cells"] for name, result in cell["variants"].items()}


def one_line(text):
    """`text` as one line, because wrapping does not change the meaning."""
    return " ".join(text.split())


def refused(ran, message):
    """The command ended with status 2 and one sentence, before anything ran."""
    assert ran.status == 2
    assert ran.out == ""
    assert ran.err == f"Error: {message}\n"
    assert not list(Path("results").rglob("*.json"))


# ---- names and pair files: reported before anything runs


def test_an_unknown_pair_gets_a_suggestion(kernels, ptxbench):
    refused(ptxbench(*RUN, "scael"), "Unknown pair 'scael' in 'kernels'. Did you mean 'scale'?")
    refused(ptxbench("run", "traid"), "Unknown pair 'traid'. Did you mean 'triad'?")


PLACES = [
    # the pair, the folder, what the message says after "Unknown pair '...'"
    ("scale",                  None,      ". The folder 'kernels' has it: use --kernels kernels for it."),
    ("scale",                  "empty",   " in 'empty'. The folder 'kernels' has it: use --kernels kernels for it."),
    ("triad",                  "kernels", " in 'kernels'. ptxbench's own kernels have it: leave out --kernels, and "
                                          "unset PTXBENCH_KERNELS."),
    ("kernels",                None,      ". This is a folder of kernels: use --kernels kernels instead."),
    ("empty/pairs",            None,      ". This is a folder without pairs: ptxbench exec and check"),
    ("kernels/pairs/scale.py", None,      ". This is a file of the pair 'scale': use scale --kernels kernels instead."),
    ("kernels/ptx/scale.ptx",  "kernels", " in 'kernels'. This is a file of the pair 'scale': use scale instead."),
    ("mine.ptx",               None,      ". This is a file: ptxbench exec, show, arch and check take .ptx and .cu "
                                          "files."),
    ("mine.txt",               None,      ". This is a file. Kernels are .cu and .ptx files: mine.txt is not one."),
    ("TRIAD",                  None,      ". Did you mean 'triad'?"),
    ("triad,softmax",          None,      ". Write triad softmax."),
    ("triad softmax",          None,      ". Write triad softmax."),
    ("out.json",               None,      ". It looks like a file for results: name it with --output, or -o."),
    ("mine",                   None,      ". Known are "),
]  # fmt: skip


@pytest.mark.parametrize(("pair", "folder", "message"), PLACES)
def test_a_pair_that_the_folder_lacks_is_found_elsewhere(kernels, ptxbench, pair, folder, message):
    Path("empty/pairs").mkdir(parents=True)
    Path("empty/pairs/other.py").touch()
    for name in ("mine.ptx", "mine.txt"):
        Path(name).write_text(PTX)
    ran = ptxbench("run", pair, *(("--kernels", folder) if folder else ()))
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"Error: Unknown pair '{pair}'{message}")


@pytest.mark.parametrize("command", [["show"], ["tune"], ["list"], ["profile"], ["check", "a.ptx", "--pair"]])
def test_every_command_that_takes_a_pair_finds_it_elsewhere(kernels, ptxbench, command):
    Path("a.ptx").write_text(PTX)
    refused(
        ptxbench(*command, "scale"), "Unknown pair 'scale'. The folder 'kernels' has it: use --kernels kernels for it."
    )


def test_a_pair_is_found_from_inside_the_folder_of_kernels(kernels, ptxbench, monkeypatch):
    monkeypatch.chdir(kernels)
    refused(ptxbench("run", "scale"), "Unknown pair 'scale'. The folder '.' has it: use --kernels . for it.")


@pytest.mark.parametrize("lost", ["pairs/scale.py", "cuda/scale.cu", "ptx/scale.ptx"])
def test_a_pair_that_lacks_a_file(kernels, ptxbench, lost):
    (kernels / lost).unlink()
    refused(
        ptxbench(*RUN),
        f"Pair 'scale' lacks kernels/{lost}. A pair is pairs/scale.py, cuda/scale.cu and ptx/scale.ptx.",
    )


def test_a_misspelled_field(kernels, ptxbench):
    (kernels / "pairs" / "scale.py").write_text(changed(PAIR, "tolerance=", "tolerence="))
    refused(ptxbench(*RUN), "kernels/pairs/scale.py:17: Pair has no field 'tolerence'. Did you mean 'tolerance'?")


def test_a_pair_file_with_a_syntax_error(kernels, ptxbench):
    (kernels / "pairs" / "scale.py").write_text(changed(PAIR, "BLOCK = 128", "BLOCK = = 128"))
    refused(ptxbench(*RUN), "kernels/pairs/scale.py:5: invalid syntax: BLOCK = = 128")


def test_a_pair_file_that_is_nested_too_deeply_for_python(kernels, ptxbench):
    (kernels / "pairs" / "scale.py").write_text(changed(PAIR, "BLOCK = 128", f"BLOCK = 1{' + 1' * 50_000}"))
    refused(ptxbench(*RUN), "kernels/pairs/scale.py is nested too deeply for Python. Write shorter expressions.")


def test_a_class_in_place_of_a_value(kernels, ptxbench):
    (kernels / "pairs" / "scale.py").write_text(changed(PAIR, 'Scalar("a", f32, 2)', 'Scalar("a", f32, Launch)'))
    ran = ptxbench(*RUN)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Error: kernels/pairs/scale.py:12: the value of 'a' does not take n=1")


def test_a_long_line_of_a_pair_file_is_quoted_in_part(kernels, ptxbench):
    (kernels / "pairs" / "scale.py").write_text(changed(PAIR, "BLOCK = 128", f"BLOCK = {'(' * 150}1{')' * 9000}"))
    refused(ptxbench(*RUN), f"kernels/pairs/scale.py:5: unmatched ')': BLOCK = {'(' * 112}")


def test_a_warning_about_a_pair_file_is_printed_once(kernels):
    (kernels / "pairs" / "scale.py").write_text(f"{PAIR}\nEMPTY = len(PAIR.args) is 0\n")
    command = [sys.executable, "-m", "ptxbench", "list", "--json", "--kernels", "kernels"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr.count("SyntaxWarning")) == (0, 1)


def test_a_low_limit_of_open_files_is_not_a_crash(kernels):
    command = f"ulimit -n 8; {shlex.quote(sys.executable)} -m ptxbench run --kernels kernels --backend emulator"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (
        2,
        "Error: Too many open files. Raise the limit (ulimit -n), or use fewer --jobs.\n",
    )


def test_a_value_of_kilobytes_is_quoted_in_part(kernels, ptxbench):
    for command in (["run", "x" * 900], ["check", "a.ptx", "--pair", "scale", "--timeout", "x" * 9000]):
        ran = ptxbench(*command)
        assert (ran.status, ran.out) == (2, "")
        assert f"{'x' * 60}" in ran.err
        assert max(map(len, ran.err.split())) < 200


UNPRINTABLE = """
class Unprintable(Exception):
    def __str__(self):
        raise ValueError


raise Unprintable
"""


@pytest.mark.parametrize(("text", "message"), [
    (UNPRINTABLE, "kernels/pairs/scale.py:7: Unprintable."),
    ("raise BaseException('x')", "kernels/pairs/scale.py:1: BaseException: x."),
])  # fmt: skip
def test_any_exception_of_a_pair_file_is_one_sentence(kernels, ptxbench, text, message):
    (kernels / "pairs" / "scale.py").write_text(text)
    refused(ptxbench(*RUN), message)


def test_a_folder_without_kernels(kernels, ptxbench):
    refused(
        ptxbench("run", "--kernels", "nowhere"),
        "Folder nowhere does not exist. Choose one that holds pairs/, cuda/ and ptx/.",
    )


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("nowhere",  "Folder nowhere does not exist. Choose one that holds pairs/, cuda/ and ptx/."),
        ("README",   "README is not a folder. Choose one that holds pairs/, cuda/ and ptx/."),
        ("empty",    "empty holds no pairs. A pair is pairs/NAME.py, cuda/NAME.cu and ptx/NAME.ptx."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["run", "list"])
def test_a_variable_with_a_folder_without_kernels_is_reported_by_name(
    kernels, ptxbench, monkeypatch, command, named, message
):
    Path("empty").mkdir()
    Path("README").write_text("a file")
    monkeypatch.setenv("PTXBENCH_KERNELS", named)
    refused(ptxbench(command), f"PTXBENCH_KERNELS is '{named}'. {message} Or unset it.")
    assert ptxbench("list", "--kernels", "kernels").status == 0  # the option comes first


# ---- kernels: only the variant is lost, exit status 4

REFUSED_KERNELS = [
    ("CUDA C that does not compile",
     {"cuda": changed(CUDA, "a * x[i]", "b * x[i]")},
     "cuda", "broken", 'scale.cu:7: identifier "b" is undefined'),
    ("CUDA C whose kernel has a C++ name",
     {"cuda": changed(CUDA, 'extern "C" ', "")},
     "cuda", "broken", "extern \"C\""),
    ("CUDA C with other parameters",
     {"cuda": changed(CUDA, "float a, unsigned n", "double a, unsigned n")},
     "cuda", "broken",
     "scale.cu:3: parameter 3 of 'scale' is .f64, where its pair has Scalar('a', float32) (scale.py:12)."),
    ("PTX that ptxas refuses",
     {"ptx": changed(PTX, "mul.rn.f32 ", "mul.rn.f23 ")},
     "ptx", "broken", "scale.ptx:35: "),
    ("PTX whose entry has another name",
     {"ptx": changed(PTX, ".entry scale(", ".entry scael(")},
     "ptx", "broken", "scale.ptx"),
    ("PTX with a parameter too few",
     {"ptx": changed(PTX, "    .param .u64 y,\n", "").replace("[y]", "[x]")},
     "ptx", "broken", "scale.ptx:7: 'scale' has 3 parameters, its pair has 4: x, y, a, n."),
    ("PTX with a parameter of another size",
     {"ptx": changed(PTX, ".param .u32 n\n", ".param .u64 n\n")},
     "ptx", "broken",
     "scale.ptx:11: parameter 4 'n' of 'scale' is .u64, where its pair has Scalar('n', uint32) (scale.py:13)."),
    ("non-ASCII PTX",
     {"ptx": changed(PTX, "// scale: y = a * x", "×")},
     "ptx", "broken", "scale.ptx:1: column 1 is '×' (U+00D7, MULTIPLICATION SIGN), which is not ASCII."),
    ("PTX that reads one element past the end",
     {"ptx": changed(PTX, "setp.ge.u32   %past", "setp.gt.u32   %past")},
     "ptx", "broken", "scale.ptx:34: ld.global.f32 by thread 1 of CTA 0 reads byte 4 of 'x', which has 4."),
    ("PTX with an endless loop",
     {"ptx": changed(PTX, "    mul.wide.u32", "AGAIN:\n    bra AGAIN;\n    mul.wide.u32")},
     "ptx", "broken", "scale.ptx:"),
    ("PTX that writes NaN",
     {"ptx": changed(PTX, "mul.rn.f32          %value, %value, %a", "mov.f32 %value, 0f7fffffff")},
     "ptx", "wrong", "scale.ptx, n=1: y[0] is nan, expected "),
    ("PTX that does not write",
     {"ptx": changed(PTX, "st.global.f32       [%at], %value;", "")},
     "ptx", "wrong", "scale.ptx, n=1: y[0] is nan (0xFF bytes, as if never written), expected "),
    ("PTX with a wrong result in one element of the last tile",
     {"ptx": changed(PTX, "DONE:", "    setp.eq.u32 %past, %i, 128;\n    @%past st.global.f32 [%at], %a;\nDONE:")},
     "ptx", "wrong", "scale.ptx, n=129: y[128] is 2, expected "),
    ("PTX that writes to its input",
     {"ptx": changed(PTX, "    add.u64             %at, %y, %offset;\n", "")},
     "ptx", "wrong", "scale.ptx writes to 'x', which is an input."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "variant", "status", "message"),
    [row[1:] for row in REFUSED_KERNELS],
    ids=[row[0] for row in REFUSED_KERNELS],
)
def test_a_bad_kernel_affects_only_its_variant(tmp_path, kernels, ptxbench, texts, variant, status, message):
    kernels_folder(tmp_path, **texts)
    ran = ptxbench(*RUN)
    assert ran.status == 4
    assert f"{variant}" in ran.out
    assert one_line(message) in one_line(ran.out)
    (document,) = saved()
    assert document["run"]["status"] == "complete"
    status_of = statuses(document)
    assert status_of[variant] == status
    survivor = "ptx" if variant == "cuda" else "cuda"
    assert status_of[survivor] == "verified"
    assert message in document["cells"][0]["variants"][variant]["reason"]


def test_the_other_pairs_of_the_run_are_verified(tmp_path, kernels, ptxbench):
    kernels_folder(tmp_path, name="broken", cuda=CUDA.replace("scale", "broken"), ptx="nonsense\n")
    ran = ptxbench(*RUN)
    assert ran.status == 4
    (document,) = saved()
    assert [cell["pair"] for cell in document["cells"]] == ["broken", "scale"]
    assert set(statuses({"cells": document["cells"][1:]}).values()) == {"verified"}


def test_an_endless_loop_ends_within_seconds(tmp_path, kernels, ptxbench):
    kernels_folder(tmp_path, ptx=changed(PTX, "DONE:\n", "DONE:\n    bra DONE;\n"))
    start = time.monotonic()
    ran = ptxbench(*RUN, "--variant", "ptx")
    assert ran.status == 4
    assert time.monotonic() - start < 20
    assert "loop" in ran.out


# ---- no verdict: exit status 5


def test_an_instruction_that_the_emulator_lacks(tmp_path, kernels, ptxbench):
    # textures are not planned
    novel = changed(PTX, "DONE:\n", "    txq.width.b32 %n, [%y];\nDONE:\n")
    kernels_folder(tmp_path, ptx=novel)
    ran = ptxbench(*RUN)
    assert ran.status == 5
    assert "scale.ptx:38: 'txq.width.b32' is not supported: " in one_line(ran.out)
    assert statuses(saved()[0]) == {"cuda": "verified", "cuda@fast": "verified", "ptx": "unsupported"}


def test_a_form_that_ptxas_accepts_and_the_emulator_does_not_know(tmp_path, kernels, ptxbench):
    form = "    { .reg .b16 %h<4>; mov.v4.u16 {%h0, %h1, %h2, %h3}, %tid; }\nDONE:\n"
    kernels_folder(tmp_path, ptx=changed(PTX, "DONE:\n", form))
    ran = ptxbench(*RUN)
    assert ran.status == 5
    assert "scale.ptx:38: '%tid.x' has 32 bits" in one_line(ran.out)
    assert statuses(saved()[0])["ptx"] == "unsupported"


def test_nothing_that_could_be_verified(tmp_path, kernels, ptxbench):
    newer = changed(PTX, ".version 6.3", ".version 8.6").replace("sm_75", "sm_100a")
    kernels_folder(tmp_path, ptx=newer)
    ran = ptxbench(*RUN, "--variant", "ptx")
    assert ran.status == 5
    assert "sm_100a" in ran.out
    assert ptxbench(*RUN).status == 0  # the others were verified


# ---- options


BAD_OPTIONS = [
    (["--columns", "registrs"], "Unknown column 'registrs'. Did you mean 'registers'?"),
    (["--variant", "cude"], "Unknown variant 'cude'. Did you mean 'cuda'?"),
    (["--variant", "PTX"], "Unknown variant 'PTX'. Did you mean 'ptx'?"),
    (["--variant", "ptx,cuda"], "Unknown variant 'ptx,cuda'. Repeat the option for each name."),
    (["--variant", ""], "Argument 7 is empty. Is a variable of the shell not set?"),
    (["--results="], "'--results=' has no value. Is a variable of the shell not set?"),
    (["--size", "n=many"], "'n=many' is not a size. Write it as n=65536, or rows=3,columns=257, or all."),
    (["--size", "rows=3"], "No selected pair has the size rows=3: 'scale' has n."),
    (["--size", "rows=3", "--all-sizes"], "No selected pair has the size rows=3: 'scale' has n."),
    (["--output", "run.xlsx"], "Unknown suffix of 'run.xlsx'. Name a file that ends in .json, .csv or .md."),
    (["--assembler", "driver"],
     "The emulator has no driver to assemble PTX. Leave out --assembler, or use --backend gpu."),
    (["--arch", "hopper"], "Unknown architecture 'hopper'. Write it as sm_90 or sm_90a."),
    (["--arch", "sm90"], "Unknown architecture 'sm90'. Did you mean 'sm_90'?"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS)
def test_a_bad_option(kernels, ptxbench, options, message):
    refused(ptxbench(*RUN, *options), message)


# ---- what lies around it


def test_an_unwritable_results_folder_is_reported_before_the_work(kernels, ptxbench):
    Path("results").write_text("a file is in the way")
    ran = ptxbench(*RUN)
    assert ran.status == 2
    assert ran.out == ""
    assert ran.err == (
        "Error: Cannot write to results/emulator-sm_90: Not a directory. "
        "Name another folder with --results, or use --no-save.\n"
    )
    assert ptxbench(*RUN, "--no-save").status == 0


def test_an_unwritable_output_is_reported_before_the_work(kernels, ptxbench):
    Path("out").write_text("a file is in the way")
    ran = ptxbench(*RUN, "--output", "out/run.csv")
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("Error: Cannot write to out/run.csv: out is a file. ")
    assert ran.err.endswith("Name another file with --output.\n")


def test_a_run_that_cannot_be_saved_at_its_end_is_saved_elsewhere(kernels, ptxbench, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "rescue"))
    (tmp_path / "rescue").mkdir()
    monkeypatch.setattr("ptxbench.output_files.require_writable", lambda folder, remedy: None)
    Path("results").write_text("a file is in the way")
    ran = ptxbench(*RUN)
    assert ran.status == 2
    assert "verified" in ran.out
    assert "Cannot write results/emulator-sm_90/" in ran.err
    (rescued,) = (tmp_path / "rescue").rglob("*.json")
    assert f"The run is saved as {rescued}." in ran.err
    assert set(statuses(json.loads(rescued.read_text())).values()) == {"verified"}


def test_a_run_that_cannot_be_saved_anywhere_is_printed(kernels, ptxbench, monkeypatch):
    ptxbench(*RUN, "--no-save")  # this build makes the temporary folder unnecessary below
    monkeypatch.setattr("tempfile.tempdir", str(Path("results") / "nowhere"))
    monkeypatch.setattr("ptxbench.output_files.require_writable", lambda folder, remedy: None)
    Path("results").write_text("a file is in the way")
    ran = ptxbench(*RUN)
    assert ran.status == 2
    assert ran.err.endswith("The run is printed on stdout.\n")
    assert set(statuses(json.loads(ran.out[ran.out.index("{") :])).values()) == {"verified"}


@pytest.mark.long
def test_a_corrupted_build_cache_is_made_again(kernels, ptxbench, tmp_path, monkeypatch):
    monkeypatch.setenv("PTXBENCH_CACHE", str(tmp_path / "cache"))
    assert ptxbench(*RUN).status == 0
    entries = [path for path in cache.folder().rglob("*") if path.is_file()]
    assert entries
    for number, path in enumerate(entries):
        content = path.read_bytes()
        path.write_bytes((b"", content[: len(content) // 2], content[:-1] + b"!", b"garbage")[number % 4])
    ran = ptxbench(*RUN)
    assert ran.status == 0
    first, second = saved()
    assert first["cells"] == second["cells"]


def is_for_everyone():
    """Whether another user can run this Python with this project: either may be in the home folder of root."""
    folders = (Path(sys.base_prefix), Path(__file__).resolve().parent)
    return all(path.stat().st_mode & 0o1 for folder in folders for path in (folder, *folder.parents))


@pytest.mark.skipif(os.name == "nt", reason="folders have other rights there")
@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0 and not is_for_everyone(), reason="root may look everywhere")
@pytest.mark.parametrize("command", [
    ["exec", "locked/x.ptx", "--grid", "1", "--block", "1"], ["list", "--kernels", "locked/x"],
    ["compare", "locked/x.json", "latest"], ["run", "locked/x"],
])  # fmt: skip
def test_a_path_without_permission(tmp_path, command):
    (tmp_path / "locked").mkdir(mode=0)
    tmp_path.chmod(0o755)
    mine = "if os.geteuid() == 0: os.setuid(65534)\n"  # root may look at every folder
    program = f"import os, sys\nfrom ptxbench.cli import main\n{mine}sys.exit(main())"
    ran = subprocess.run([sys.executable, "-c", program, *command], cwd=tmp_path, capture_output=True, text=True,
                         check=False)  # fmt: skip
    (tmp_path / "locked").chmod(0o700)
    assert (ran.returncode, ran.stdout) == (2, "")
    named = next(word for word in command if word.startswith("locked"))
    assert ran.stderr == f"Error: Cannot use '{named}': Permission denied.\n"


@pytest.mark.skipif(os.name == "nt", reason="files have other rights there")
@pytest.mark.skipif(os.name != "nt" and os.geteuid() == 0 and not is_for_everyone(), reason="root may read every file")
@pytest.mark.parametrize("command", [
    "exec locked.ptx --grid 1", "show locked.ptx", "arch locked.ptx", "new pair --kernels k --from locked.ptx",
    "check locked.ptx --pair triad", "check other.ptx locked.ptx --pair triad",
])  # fmt: skip
def test_a_file_that_may_not_be_read(tmp_path, command):
    (tmp_path / "other.ptx").write_text("{")
    (tmp_path / "locked.ptx").write_text(PTX)
    (tmp_path / "locked.ptx").chmod(0)
    tmp_path.chmod(0o755)
    mine = "if os.geteuid() == 0: os.setuid(65534)\n"  # root may read every file
    program = f"import os, sys\nfrom ptxbench.cli import main\n{mine}sys.exit(main())"
    ran = subprocess.run([sys.executable, "-c", program, *command.split()], cwd=tmp_path, capture_output=True,
                         text=True, check=False)  # fmt: skip
    if "other.ptx" in command:  # it is judged
        assert ran.returncode == 4
        assert "other.ptx: rejected" in ran.stdout
        assert "locked.ptx: could not be judged" in ran.stdout
    else:
        assert (ran.returncode, ran.stdout) == (2, "")
        said = "'locked.ptx' cannot be read" if command.startswith("check") else "Cannot read locked.ptx"
        assert ran.stderr.endswith(f"Error: {said}: Permission denied.\n")


def test_a_current_folder_that_is_gone(tmp_path, ptxbench, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for command in (["new", "mine"], ["doctor"]):
        refused(ptxbench(*command), "The current folder does not exist any more. Change to another one.")
    assert ptxbench("list", "triad").status == 0


@pytest.mark.parametrize("columns", ["0", "1", "-5", "x"])
def test_a_terminal_without_a_useful_width_gets_a_whole_table(kernels, ptxbench, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    ran = ptxbench(*RUN, "--no-save")
    assert ran.status == 0
    assert re.search(r"SASS executed.*\nvariant.*\n─+\ncuda +✔", ran.out)
    assert "  does      a[i] = b[i]" in ptxbench("list", "triad").out


# ---- interruption and pipes


def start(*arguments, cwd, **options):
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; from ptxbench.cli import main; sys.exit(main())", *arguments],
        cwd=cwd, text=True, start_new_session=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )  # fmt: skip


@pytest.mark.skipif(os.name == "nt", reason="sends the signal of Ctrl-C to a group of processes")
def test_ctrl_c_keeps_the_cells_that_are_finished(tmp_path, kernels):
    waiting = textwrap.dedent("""
        import time
        def wait(x, a, n):
            open("waiting", "w").close()
            time.sleep(60)
        """)
    kernels_folder(tmp_path, name="slow", cuda=CUDA.replace("scale", "slow"), ptx=PTX.replace("scale", "slow"),
                   pair=changed(PAIR, "PAIR = Pair(", f"{waiting}\nPAIR = Pair(").replace(
                       'reference=lambda x, a, n: {"y": a * x}', "reference=wait"))  # fmt: skip
    process = start(*RUN, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "waiting").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted. 1 of 2 cells are finished.\n" in err
    assert "Traceback" not in err
    (document,) = saved()
    assert document["run"]["status"] == "interrupted"
    assert [cell["pair"] for cell in document["cells"]] == ["scale"]
    assert set(statuses(document).values()) == {"verified"}
    assert "ptx" in out


def test_a_fault_in_the_next_pair_keeps_the_cells_that_are_finished(tmp_path, kernels, ptxbench):
    kernels_folder(tmp_path, name="zebra", cuda=CUDA.replace("scale", "zebra"), ptx=PTX.replace("scale", "zebra"),
                   pair=changed(PAIR, '{"y": a * x}', '{"y": a * y}'))  # fmt: skip
    ran = ptxbench(*RUN)
    assert ran.status == 2
    assert "Error: kernels/pairs/zebra.py:16: at n=1: NameError: name 'y' is not defined.\n" in ran.err
    (document,) = saved()
    assert document["run"]["status"] == "interrupted"
    assert [cell["pair"] for cell in document["cells"]] == ["scale"]


def test_the_output_of_a_pair_file_does_not_mix_with_results(kernels, ptxbench):
    talkative = changed(PAIR, "BLOCK = 128", 'BLOCK = 128\nprint("loaded")')
    talkative = changed(talkative, '{"y": a * x}', 'print("called") or {"y": a * x}')
    (kernels / "pairs" / "scale.py").write_text(talkative)
    ran = ptxbench(*RUN, "--json", "--no-save")
    assert ran.status == 0
    assert json.loads(ran.out)["run"]["status"] == "complete"
    assert ran.err.startswith("loaded\ncalled\n")


def test_a_reference_that_exits_ends_the_run_with_its_line(kernels, ptxbench):
    (kernels / "pairs" / "scale.py").write_text(changed(PAIR, '{"y": a * x}', "exit(0)"))
    refused(ptxbench(*RUN), "kernels/pairs/scale.py:16: at n=1: SystemExit: 0.")


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_reader_that_closes_the_pipe_loses_no_finished_cell(tmp_path, kernels):
    kernels_folder(tmp_path, name="zebra", cuda=CUDA.replace("scale", "zebra"), ptx=PTX.replace("scale", "zebra"))
    process = start(*RUN, cwd=tmp_path)
    process.stdout.close()
    assert re.fullmatch(r"Saved results/emulator-sm_90/\S+\n", process.stderr.read())
    process.wait(timeout=30)
    process.stderr.close()
    (document,) = saved()
    assert document["run"]["status"] == "interrupted"
    assert [cell["pair"] for cell in document["cells"]] == ["scale"]


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_reader_that_closes_the_pipe_causes_no_error(tmp_path, kernels):
    process = start("list", "--kernels", "kernels", cwd=tmp_path)
    process.stdout.close()
    assert process.stderr.read() == ""
    process.wait(timeout=30)
    process.stderr.close()


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="needs a device that is always full")
def test_a_full_disk_behind_stdout_is_reported_and_not_called_a_bug(tmp_path, kernels):
    with FULL.open("w") as full:
        process = start("list", "--kernels", "kernels", cwd=tmp_path, stdout=full)
        assert (
            process.stderr.read()
            == "Error: Cannot write the whole output, or a temporary file (TMPDIR): No space left on device.\n"
        )
        assert process.wait(timeout=30) == 2
        process.stderr.close()
