"""`ptxbench serve`, as its clients see it."""

import json
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from ptxbench.cli import serve
from tests.check.judging import SEED
from tests.documents import problems

ROOT = Path(__file__).parents[2]
HOSTILE = ROOT / "tests" / "check" / "hostile"
LANGUAGES = {".ptx": "ptx", ".cu": "cuda"}
SECONDS = 120


def candidate(path):
    return {"text": path.read_text("utf-8", "replace"), "language": LANGUAGES[path.suffix], "file": path.name}


def header_value(path, what):
    return re.search(rf"^// {what}: (.*)$", path.read_text("utf-8", "replace"), re.M)[1]


def submission(*paths, pair="triad", **options):
    return {"pair": pair, "candidates": [candidate(path) for path in paths], **options}


def streamed(url, document):
    """The judgements of a submission, by file."""
    with httpx.stream("POST", f"{url}/verdicts", json=document, timeout=SECONDS) as answer:
        assert answer.status_code == 200, answer.read()
        documents = [json.loads(line) for line in answer.iter_lines()]
    assert [problem for document in documents for problem in problems(document)] == []
    assert len(documents) == len(document["candidates"])
    return {document["file"]: document for document in documents}


def outcome(judgement):
    verdict = judgement["verdict"]
    return f"{verdict['stage']} {verdict['code']}" if verdict["code"] else verdict["verdict"]


def until_idle(url):
    """The health of the service once nothing waits or runs."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        health = httpx.get(f"{url}/health").json()
        if health["waiting"] == health["running"] == 0:
            return health
        time.sleep(0.05)
    raise AssertionError(health)


FEW = ["races.ptx", "reads_a_file.cu", "traps.ptx", "not_ascii.ptx", "honest.ptx"]


def test_hostile_candidates_get_the_verdicts_of_check_in_one_stream(service):
    paths = [HOSTILE / name for name in FEW]
    by_file = streamed(service, submission(*paths, seed=SEED))
    assert {path.name: outcome(by_file[path.name]) for path in paths} == {
        path.name: header_value(path, "judged") for path in paths
    }
    assert {document["verdict"]["seed"] for document in by_file.values()} == {SEED}


def test_numbers_that_are_whole_are_integers(service):
    """By JSON Schema 3.0 is an integer, and a program in JavaScript may send it."""
    document = submission(ROOT / "kernels" / "ptx" / "triad.ptx", seed=3.0, max_loop_iterations=1e6)
    [judgement] = streamed(service, document).values()
    assert (outcome(judgement), judgement["verdict"]["seed"]) == ("accepted", 3)


def test_a_judgement_can_be_read_by_its_id_and_waited_for(service):
    answer = httpx.post(f"{service}/judgements", json=submission(HOSTILE / "traps.ptx"))
    assert answer.status_code == 202
    [submitted] = answer.json()
    assert (submitted["verdict"], problems(submitted)) == (None, [])
    address = f"{service}/judgements/{submitted['id']}"
    judgement = httpx.get(address, params={"wait": 60}, timeout=SECONDS).json()
    assert (judgement["state"], outcome(judgement), problems(judgement)) == ("complete", "results trap", [])
    assert httpx.delete(address).json() == judgement  # it has ended: nothing to cancel


def test_cancelled_judgements_and_those_of_a_disconnected_client_end_immediately(service):
    never = submission(*[HOSTILE / "never_ends.ptx"] * 3, max_loop_iterations=1 << 30)
    submitted = httpx.post(f"{service}/judgements", json=never).json()
    with httpx.stream("POST", f"{service}/verdicts", json=never):
        health = httpx.get(f"{service}/health").json()
        assert (health["running"], health["waiting"]) == (2, 4)
    for accepted in submitted:
        assert httpx.delete(f"{service}/judgements/{accepted['id']}").json()["state"] == "cancelled"
    assert until_idle(service)["judged"] == health["judged"]


REFUSED: list[tuple[dict, int, str]] = [
    ({"content": b"{"}, 400, "The body:1: not JSON"),
    ({"content": b"\xff"}, 400, "The body is not UTF-8."),
    ({"content": b"[" * 900 + b"]" * 900}, 400, "The body is nested too deeply"),
    ({"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "The body must be JSON."),
    ({"content": b" " * (17 << 20)}, 413, "The body has more than 16 MiB."),
    ({"content": b"[" + b"{}," * 1_000_000 + b"{}]"}, 413, "The body has 2,000,002 values; expected at most 1,000."),
    ({"content": b'[NaN, "' + b'\\"' * 1_000_000}, 400, "The body:1: NaN is not JSON"),
    ({"content": b"[" + b"1" * 1_000_000 + b"]"}, 400, "The body:1: a number of 1,000,000 digits is too large"),
    ({"json": {"candidates": [{"text": ""}]}}, 422, "the document: the key 'pair' is missing."),
    ({"json": {"pair": "triadd", "candidates": [{"text": ""}]}}, 422, "Unknown pair 'triadd'. Did you mean 'triad'?"),
    ({"json": {"pair": "*", "candidates": [{"text": ""}]}}, 422, "pair: expected the name of a pair, found '*'."),
    ({"json": {"pair": "triad", "candidates": []}}, 422, "candidates: expected at least 1 of them, found 0."),
    ({"json": {"pair": "triad", "candidates": [{"text": "x" * (2 << 20) + "x"}]}}, 422,
     "candidates[0].text: expected at most 2097152 characters, found 2097153."),
    ({"json": {"pair": "triad", "candidates": [{"text": "", "path": "/x"}]}}, 422, "candidates[0]: unknown key 'path'"),
    ({"json": {"pair": "triad", "candidates": [{"text": ""}], "flags": ["--pre-include=/etc/passwd"]}}, 422,
     "flags[0]: expected --use_fast_math, "),
    ({"json": {"pair": "triad\n", "candidates": [{"text": ""}]}}, 422, "pair: expected the name of a pair, found "),
    ({"json": {"pair": "triad", "candidates": [{"text": ""}], "arch": "sm_9999"}}, 422, "Unknown architecture"),
    ({"json": {"pair": "triad", "candidates": [{"text": ""}], "arch": "sm_90f"}}, 422, "ptxas "),
    ({"json": {"pair": "triad", "candidates": [{"text": ""}], "flags": ["-DX=1\n"]}}, 422, "flags[0]: expected "),
    ({"json": {"pair": "triad", "candidates": [{"text": ""}], "seed": -1}}, 422,
     "seed: expected at least 0, found -1."),
    ({"json": {"pair": "triad", "candidates": [{"text": ""}]}, "headers": {"Host": "evil.example"}}, 403,
     "The host of the request is not this machine"),
]  # fmt: skip


@pytest.mark.parametrize("path", ["judgements", "verdicts"])
def test_a_bad_request_is_answered_with_one_sentence(service, path):
    for request, status, message in REFUSED:
        headers = {"Content-Type": "application/json", **request.get("headers", {})}
        answer = httpx.post(f"{service}/{path}", **{**request, "headers": headers}, timeout=SECONDS)
        document = answer.json()
        assert (answer.status_code, problems(document)) == (status, []), document
        assert document["error"].startswith(message), document["error"]


def test_an_unknown_path_or_method_or_judgement_is_answered_with_what_to_do(service):
    for method, path, status, message in (
        ("GET", "nothing", 404, "Unknown path. GET /openapi.json describes all requests."),
        ("GET", "health/", 404, "Unknown path. GET /openapi.json describes all requests."),
        ("GET", "judgements", 405, "The path does not take GET. GET /openapi.json describes all requests."),
        (
            "GET",
            f"judgements/{'x' * 22}",
            404,
            "Unknown judgement. A judgement is kept for 600 seconds after its end; a restart of "
            "the service removes it. Submit the kernel again.",
        ),
    ):
        answer = httpx.request(method, f"{service}/{path}")
        assert (answer.status_code, answer.json()["error"]) == (status, message)


def started_by(pid):
    """The processes that a process has started, and those that these have started."""
    children = [child for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    return children + [pid for child in children for pid in started_by(child)]


@pytest.mark.parametrize(
    ("sent", "status", "printed"),
    [(signal.SIGINT, 130, "\n"), (signal.SIGHUP, -signal.SIGTERM, "\n")],
    ids=["Ctrl-C", "a closed terminal"],
)
def test_a_signal_ends_the_service_and_a_judgement_that_runs(start_service, sent, status, printed):
    running = start_service("--jobs", "1")
    document = submission(HOSTILE / "never_ends.ptx", max_loop_iterations=1 << 30)
    with httpx.stream("POST", f"{running.url}/verdicts", json=document, timeout=SECONDS) as answer:
        while httpx.get(f"{running.url}/health").json()["running"] == 0:
            time.sleep(0.05)
        deadline = time.monotonic() + SECONDS
        while not (children := started_by(running.process.pid)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.process.send_signal(sent)
        [line] = answer.iter_lines()
    assert json.loads(line)["state"] == "cancelled"
    _, errors = running.process.communicate(timeout=SECONDS)
    assert (running.process.returncode, errors) == (status, printed)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def documented(name):
    """A function of the documentation."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "serve.md").read_text(), re.S)
    names = {}
    exec(next(block for block in blocks if f"def {name}(" in block), names)
    return names[name]


def test_a_client_continues_when_the_service_is_killed_and_started_again(start_service):
    """The function of the documentation gets a verdict on each text; no process of the first service is left."""
    first = start_service("--jobs", "1")
    port = first.url.rpartition(":")[2]
    names = {"traps.ptx": "trap", "not_ascii.ptx": "not-ascii"}
    texts = {name: (HOSTILE / name).read_text("utf-8", "replace") for name in names}
    never = submission(HOSTILE / "never_ends.ptx", max_loop_iterations=1 << 30)
    with httpx.stream("POST", f"{first.url}/verdicts", json=never, timeout=SECONDS):
        while httpx.get(f"{first.url}/health").json()["running"] == 0:
            time.sleep(0.05)
        with ThreadPoolExecutor(1) as pool:
            verdicts = pool.submit(documented("verdicts"), first.url, "triad", texts)  # waits behind the first
            while httpx.get(f"{first.url}/health").json()["waiting"] < len(texts):
                time.sleep(0.05)
            children = started_by(first.process.pid)
            first.process.kill()
            first.process.wait()
            second = start_service("--port", port)
            assert {name: verdict["code"] for name, verdict in verdicts.result(SECONDS).items()} == names
    assert second.url == first.url
    assert httpx.get(f"{second.url}/health").json()["judged"] == len(texts)
    deadline = time.monotonic() + SECONDS
    while remaining := [child for child in children if Path(f"/proc/{child}").exists()]:
        assert time.monotonic() < deadline, remaining
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--host", "0.0.0.0"], "Error: Other machines can connect to 0.0.0.0, and no token is set. Name a file with "
         "--token-file, set PTXBENCH_TOKEN, or leave out --host.\n"),
        (["--host", "no.such.host.invalid"], "Error: Cannot listen on no.such.host.invalid port 0: "),
        (["--token-file", "empty"], "Error: empty has no token; expected one token per line.\n"),
        (["--token-file", "short"], "Error: short:2: a token of 5 characters; expected at least 16 "),
        (["--token-file", "missing"], "Error: Cannot read missing: No such file or directory.\n"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_served_are_usage_errors(ptxbench, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PTXBENCH_TOKEN", raising=False)
    Path("empty").write_text("\n")
    Path("short").write_text("\nguess\n")
    ran = ptxbench("serve", "--port", "0", *options)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(message)


def test_without_the_extra_the_command_names_it(ptxbench, monkeypatch):
    monkeypatch.setattr(serve, "MODULES", ("starlette", "not_installed"))
    ran = ptxbench("serve")
    assert ran == (2, "", "Error: The package not_installed is not installed: pip install 'ptxbench[serve]'.\n")
