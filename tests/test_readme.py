"""The README's walk-through as a reader does it, and its commands on files that are not in the repository.

The commands and the texts are those of the README, so that it cannot promise what does not work.
"""

import re
import shlex
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WALK = README.partition("## Is my kernel worth PTX?\n")[2].partition("\n## ")[0]


BLOCK = re.compile(r"^(?:<!-- (?P<comment>.*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


def blocks(language="", after=None):
    """The code blocks of the walk-through, of one language, or after one comment."""
    matches = [block for block in BLOCK.finditer(WALK) if block["language"] == language]
    return [block["text"] for block in matches if after is None or block["comment"] == after]


def commands():
    """Its command lines, each as words."""
    lines = "".join(blocks()).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def answered(pair_file, answers, before_pair=""):
    """The pair file with its open questions answered, as the walk-through says, and further lines above PAIR."""
    for answer in answers:
        # `In("a", u32` or `reference=`: what the question begins with
        start = re.match(r"(?:In|Out|Scalar)\(\"\w+\", \w+|\w+=", answer)[0]
        [line] = [line for line in pair_file.splitlines() if line.strip().startswith(start) and "..." in line]
        pair_file = pair_file.replace(line, f"    {answer.rstrip(',')},", 1)
    return pair_file.replace("\nPAIR = ", f"\n{before_pair}\n\nPAIR = ")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the examples, as the current folder."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path / "examples"


def test_every_command_of_the_walk_through_leads_to_its_answer(folder, ptxbench, monkeypatch):
    printed = []
    for program, *words in commands():
        if program == "cd":
            monkeypatch.chdir(words[0])
        elif program == "cp":
            path = Path("kernels/pairs/add256.py")
            answers = re.findall(r"^ +((?:In|Out)\(.*|\w+=[^\[\n]+),$", blocks("python", "the answers")[0], re.M)
            path.write_text(answered(path.read_text(), answers, blocks("python", "above PAIR")[0]))
            shutil.copy(*words)
        else:
            assert program == "ptxbench"
            ran = ptxbench(*words)
            assert ran.status == 0, (words, ran.err, ran.out)
            printed.append(ran.out)
    executed, listed, compared, new, verified = printed
    assert "The sanitizer found nothing" in executed
    assert "SASS" in listed
    promised = re.sub(r"\s+", " ", blocks("text")[0].strip())
    assert promised in re.sub(r"\s+", " ", compared), compared
    assert "touches 31.2 sectors, and its bytes would fit in 3.91" in compared
    assert "7 open questions" in new or "6 open questions" in new
    assert "1 cell, 2 variants: 2 verified." in verified
    assert "executes 14 % fewer machine instructions than cuda" in re.sub(r"\s+", " ", verified)


def test_the_pair_is_refused_while_a_question_is_open(folder, ptxbench, monkeypatch):
    monkeypatch.chdir(folder)
    assert ptxbench("new", "add256", "--from", "add256.cu").status == 0
    ran = ptxbench("run", "add256", "--kernels", "kernels")
    assert (ran.status, "open question" in ran.err, "verified" in ran.out) == (2, True, False), ran.err


def test_a_wrong_carry_is_found_by_both_comparisons(folder, ptxbench, monkeypatch):
    """The broken case: one carry of the example is dropped."""
    monkeypatch.chdir(folder)
    text = Path("add256.ptx").read_text()
    assert "addc.cc.u32  %sum_4" in text
    Path("add256.ptx").write_text(text.replace("addc.cc.u32  %sum_4", "add.cc.u32   %sum_4"))
    [_, *words] = next(line for line in commands() if line[:2] == ["ptxbench", "show"] and "add256.ptx" in line)
    ran = ptxbench(*words)
    assert (ran.status, "Same outputs" in ran.out) == (4, False), ran.out


# ---- the same commands with files that the repository does not have

WITH_MAIN = """\
#include <cstdio>
#include <cstdlib>
#include <cmath>
#include <string>
#include <cuda_runtime.h>

#define CHECK(call) do { cudaError_t e = (call); if (e != cudaSuccess) { \\
    std::fprintf(stderr, "%s\\n", cudaGetErrorString(e)); std::exit(1); } } while (0)

__global__ void clamp_scale(const float* in, float* out, float factor, int n)
{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = fminf(factor * in[i], 1.0f);
}

int main(int argc, char** argv)
{
    const int n = argc > 1 ? std::stoi(argv[1]) : 1000;
    float *in, *out;
    CHECK(cudaMalloc(&in, n * sizeof(float)));
    CHECK(cudaMalloc(&out, n * sizeof(float)));
    clamp_scale<<<(n + 127) / 128, 128>>>(in, out, 3.0f, n);
    CHECK(cudaDeviceSynchronize());
}
"""

TEMPLATE = """\
#include <cstdint>
#include <type_traits>

namespace mine {

template <typename T, int FACTOR>
__global__ void clamp_scale(const T* in, T* out, T factor, int32_t n)
{
    static_assert(std::is_floating_point<T>::value, "floats only");
    int32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        out[i] = min(FACTOR * factor * in[i], T(1));
}

}  // namespace mine
"""

LAUNCH = ("--grid", "8", "--block", "128", "--arg", "f32[1000]=random", "--arg", "f32[1000]=zeros", "--arg", "f32=3",
          "--arg", "s32=1000")  # fmt: skip


def by_numba():
    """The same kernel as another compiler writes it, and its name."""
    from numba import float32, int32, types

    from tests.emulator.foreign.numba_cuda import cuda

    def clamp_scale(source, out, factor, n):
        i = cuda.grid(1)
        if i < n:
            out[i] = min(factor * source[i], float32(1))

    pointer = types.CPointer(float32)
    text, _ = cuda.compile_ptx(clamp_scale, (pointer, pointer, float32, int32), cc=(9, 0))
    return text, re.search(r"\.entry\s+(\w+)", text)[1]


def test_files_that_ptxbench_has_never_seen_lead_to_a_verified_comparison(tmp_path, ptxbench, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("main.cu").write_text(WITH_MAIN)
    Path("template.cu").write_text(TEMPLATE)
    text, kernel = by_numba()
    Path("numba.ptx").write_text(text)
    instance = "mine::clamp_scale<float, 1>"
    one = ptxbench("exec", "main.cu", *LAUNCH, "--sanitize")
    assert (one.status, "The sanitizer found nothing" in one.out) == (0, True), one.err
    assert ptxbench("show", "template.cu", "--entry", instance).status == 0
    for pair in (["main.cu", "numba.ptx"], ["template.cu", "numba.ptx", "--entry", instance, "--entry", kernel]):
        ran = ptxbench("show", *pair, *LAUNCH)
        assert (ran.status, "Same outputs, bit by bit" in ran.out) == (0, True), (ran.err, ran.out[-2000:])
    assert ptxbench("new", "clamp_scale", "--from", "main.cu").status == 0
    path = Path("kernels/pairs/clamp_scale.py")
    answers = [
        'In("in_", f32, lambda n: (n,))',
        'Out("out", f32, lambda n: (n,))',
        'Scalar("factor", f32, 3)',
        'reference=lambda in_, factor, n: {"out": np.minimum(factor * in_, 1)}',
        "tolerance=close(rtol=1e-6, atol=0)",
        "flops=lambda n: 2 * n",
    ]
    path.write_text(answered(path.read_text(), answers))
    ran = ptxbench("run", "clamp_scale", "--kernels", "kernels")
    assert (ran.status, "2 verified" in ran.out) == (0, True), (ran.err, ran.out)
