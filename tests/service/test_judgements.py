"""The queue of the service: its limits, its order, its seeds, and what it keeps."""

import threading

import anyio
import anyio.to_thread
import httpx
import pytest

from ptxbench import discovery
from ptxbench.check.contained import CheckTask
from ptxbench.check.inputs import Candidate
from ptxbench.check.stages import CheckOptions
from ptxbench.service import application, openapi
from ptxbench.service import judgements as module
from ptxbench.service.application import Service, Settings
from ptxbench.service.judgements import CANCELLED, Judgements
from ptxbench.service.program import tokens
from ptxbench.service.refusal import Refused
from ptxbench.service.submission import Limits, Submission, read, task

KERNELS = discovery.default_kernels()
TASK = task({"pair": "triad"}, KERNELS, Limits())


def some(count, seeded=False):
    return Submission(tuple(Candidate(f"{i}", "ptx", b"") for i in range(count)), TASK, seeded)


def queue(**limits):
    """A queue that has not begun to judge."""
    return Judgements(**{"jobs": 2, "most_waiting": 5, "most_of_client": 3, **limits})


LIMITS = [
    (
        [("a", 3), ("a", 1)],
        429,
        "This client has 3 judgements that wait or run, and asks for 1 more; expected at most 3",
    ),
    ([("a", 3), ("b", 3)], 503, "The queue has 3 judgements, and 3 more are asked for; expected at most 5 in all."),
]


@pytest.mark.parametrize(("submitted", "status", "message"), LIMITS)
def test_too_many_judgements_are_refused_and_none_of_them_is_queued(submitted, status, message):
    judgements = queue()
    *before, (client, count) = submitted
    for sender, number in before:
        judgements.submit(sender, some(number))
    waiting = len(judgements.waiting)
    with pytest.raises(Refused) as refused:
        judgements.submit(client, some(count))
    assert (refused.value.status, len(judgements.waiting)) == (status, waiting)
    assert refused.value.sentence.startswith(message)
    assert refused.value.retry_after >= 1


def test_a_submission_that_is_always_too_large_is_not_to_be_tried_again():
    for limits in ({"most_of_client": 3}, {"most_waiting": 3, "most_of_client": 64}):
        with pytest.raises(Refused, match="has 4 candidates; this service takes at most 3") as refused:
            queue(**limits).submit("a", some(4))
        assert (refused.value.status, refused.value.retry_after) == (413, None)


def test_a_cancelled_judgement_makes_room(monkeypatch):
    judgements = queue()
    first, *_ = judgements.submit("a", some(3))
    judgements.cancel(first)
    assert (first.state, first.done.is_set(), len(judgements.waiting)) == (CANCELLED, True, 2)
    judgements.submit("a", some(1))


def test_a_seed_is_shared_until_a_verdict_reveals_it():
    """Otherwise a candidate could be fitted to data that its client knows."""
    judgements = queue(most_of_client=10, most_waiting=10)
    (first, second), (third,) = judgements.submit("a", some(2)), judgements.submit("b", some(1))
    assert first.task.seed == second.task.seed == third.task.seed
    judgements.reveal_seed(first.task)
    [fourth], [fifth] = judgements.submit("a", some(1)), judgements.submit("a", some(1, seeded=True))
    assert fourth.task.seed != first.task.seed
    assert fifth.task.seed == TASK.seed
    judgements.reveal_seed(first.task)  # that of a judgement which ends later changes nothing
    assert judgements.submit("a", some(1))[0].task.seed == fourth.task.seed


def test_ended_judgements_are_forgotten_later_and_their_texts_immediately(monkeypatch):
    monkeypatch.setattr(module, "MOST_ENDED", 2)
    judgements = queue()
    entries = judgements.submit("a", Submission((Candidate("one", "ptx", b"text"),) * 3, TASK, False))
    hashes = [entry.document()["sha256"] for entry in entries]
    for entry in entries:
        judgements.cancel(entry)
    assert [entry.candidate.content for entry in entries] == [b"", b"", b""]
    assert [entry.document()["sha256"] for entry in entries] == hashes
    assert list(judgements.ended) == [entry.id for entry in entries[1:]]
    assert not judgements.unfinished
    assert judgements.find(entries[1].id).document() == entries[1].document()
    monkeypatch.setattr(module, "KEEP_SECONDS", -1.0)
    with pytest.raises(Refused):
        judgements.find(entries[2].id)
    assert not judgements.ended


def test_a_bug_ends_one_judgement_and_no_worker(monkeypatch, capsys):
    judgements = queue()

    async def judge():
        async with anyio.create_task_group() as group:
            group.start_soon(judgements.run)
            bad, good = judgements.submit("a", some(2))
            await bad.done.wait()
            await good.done.wait()
            judgements.close()
            return bad, good

    def broken(entry, server):
        if entry.candidate.file == "0":
            raise ZeroDivisionError

    monkeypatch.setattr(module.JudgementEntry, "judge", broken)
    bad, _ = anyio.run(judge)
    assert (judgements.running, judgements.judged) == (set(), 0)
    assert bad.document()["error"] == "ptxbench itself failed: ZeroDivisionError. Report a bug, with the candidate."
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_judgements_run_at_the_same_time_and_count_for_their_client_until_they_end(monkeypatch):
    judgements = queue(most_of_client=2)
    together = threading.Barrier(3)

    def meet(entry, server):
        together.wait(10)

    monkeypatch.setattr(module.JudgementEntry, "judge", meet)

    async def judge():
        async with anyio.create_task_group() as group:
            group.start_soon(judgements.run)
            entries = judgements.submit("a", some(2))
            while judgements.waiting:
                await anyio.sleep(0)
            with pytest.raises(Refused, match="This client has 2 judgements that wait or run"):
                judgements.submit("a", some(1))
            await anyio.to_thread.run_sync(together.wait, 10)
            for entry in entries:
                await entry.done.wait()
            assert len(judgements.submit("a", some(1))) == 1
            judgements.close()

    anyio.run(judge)


def test_a_client_is_asked_to_come_back_when_enough_judgements_may_have_ended():
    judgements = queue(jobs=2, most_waiting=5, most_of_client=4)
    judgements.seconds_each = 30.0
    judgements.submit("a", some(4))
    for client, seconds in (("a", 1 + 4 * 30 // 2), ("b", 1 + 4 * 30 // 2)):
        with pytest.raises(Refused) as refused:
            judgements.submit(client, some(2))
        assert refused.value.retry_after == seconds
    judgements.seconds_each = 1e6
    assert judgements.retry_seconds(4) == 600


def test_a_service_that_ends_takes_no_submission_and_begins_no_judgement():
    judgements = queue()
    [entry] = judgements.submit("a", some(1))
    judgements.close()
    assert entry.document()["state"] == CANCELLED
    with pytest.raises(module.Cancelled):
        entry.begin("text")
    with pytest.raises(Refused, match=r"The service is ending\.") as refused:
        judgements.submit("a", some(1))
    assert refused.value.status == 503


TOKENS = ("a" * 32, "b" * 32)


def test_a_token_of_the_environment_is_not_inherited_by_the_processes_of_candidates(tmp_path):
    environment = {"PTXBENCH_TOKEN": TOKENS[0], "HOME": "/"}
    (tmp_path / "tokens").write_text(f"\n{TOKENS[1]}\n")
    assert tokens(tmp_path / "tokens", environment) == TOKENS
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        (f"Bearer {'c' * 32}", 401),
        (f"Basic {TOKENS[0]}", 401),
        ("Bearer", 401),
        (f"Bearer {TOKENS[0]}x", 401),
        (f"Bearer {TOKENS[0]}", 404),  # of the judgement
        (f"bearer {TOKENS[1]}", 404),
    ],
)
def test_with_tokens_a_request_needs_one_of_them(header, status):
    app = Service(Settings(KERNELS, tokens=TOKENS), queue()).application()

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://any.example") as client:
            headers = {} if header is None else {"Authorization": header}
            answers = [await client.get(f"/judgements/{'x' * 22}", headers=headers)]
            answers.append(await client.post("/judgements", headers=headers, content=b"", timeout=5))
            answers.append(await client.get("/health"))
            return answers

    one, other, health = anyio.run(ask)
    assert one.status_code == status
    assert other.status_code == (401 if status == 401 else 415)
    assert (one.headers.get("WWW-Authenticate") == "Bearer") == (status == 401)
    assert health.status_code == 200


def test_every_key_of_a_submission_counts():
    """The body may begin with a byte-order mark; half a character, which is not text, is left to the judgement."""
    body = b"""\xef\xbb\xbf{"pair": "triad", "arch": "sm_80", "seed": 3.0, "flags": ["--use_fast_math", "-DX=1"],
        "targets": ["sm_86"], "max_loop_iterations": 1e3, "thorough": true,
        "candidates": [{"text": "one\\ud800", "file": "one.cu", "language": "cuda"}, {"text": "two"}]}"""
    submission = read(body, KERNELS, Limits())
    assert submission == Submission(
        (Candidate("one.cu", "cuda", b"one\xed\xa0\x80"), Candidate("candidate", "ptx", b"two")),
        CheckTask("triad", KERNELS, "sm_80", 3, CheckOptions(1000, ("--use_fast_math", "-DX=1"), ("sm_86",), True)),
        seeded=True,
    )
    assert isinstance(submission.task.seed, int)


def test_the_operator_and_not_the_client_sets_the_limits_of_a_judgement():
    body = b'{"pair": "triad", "candidates": [{"text": "x"}], "thorough": true}'
    read_submission = read(body, KERNELS, Limits(7.0, 2.0))
    assert (read_submission.task.limits.seconds, read_submission.task.limits.memory_bytes) == (7.0, 2 << 30)
    assert (read_submission.task.settings.thorough, read_submission.seeded) == (True, False)


@pytest.mark.parametrize(
    ("limits", "status"), [({"most_of_client": 2}, 429), ({"most_of_client": 9, "most_waiting": 2}, 503)]
)
def test_a_refusal_over_http_says_when_to_try_again(limits, status):
    app = Service(Settings(KERNELS), queue(**limits)).application()
    document = {"pair": "triad", "candidates": [{"text": ""}, {"text": ""}]}

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            assert (await client.post("/judgements", json=document)).status_code == 202
            return [await client.post(path, json=document) for path in ("/judgements", "/verdicts")]

    for answer in anyio.run(ask):
        assert (answer.status_code, int(answer.headers["Retry-After"]) >= 1) == (status, True)
        assert answer.json()["error"]


def statuses(settings, requests, **limits):
    """The statuses of the answers to these requests, each the address of its client and the arguments of httpx."""
    app = Service(settings, queue(**limits)).application()

    async def ask(address, arguments):
        transport = httpx.ASGITransport(app, client=(address, 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return (await client.request(**arguments)).status_code

    async def ask_all():
        return [await ask(address, arguments) for address, arguments in requests]

    return anyio.run(ask_all)


def post(token=None, **arguments):
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    body = b'{"pair": "triad", "candidates": [{"text": ""}]}'
    return {"method": "POST", "url": "/judgements", "headers": headers, "content": body, **arguments}


def test_each_token_and_each_address_is_a_client_with_its_own_limit():
    one, other = "10.0.0.1", "10.0.0.2"
    requests = [(one, post(TOKENS[0])), (one, post(TOKENS[0])), (one, post(TOKENS[1])), (other, post(TOKENS[0]))]
    assert statuses(Settings(KERNELS, tokens=TOKENS), requests, most_of_client=1) == [202, 429, 202, 202]
    assert statuses(Settings(KERNELS), [(one, post()), (one, post()), (other, post())], most_of_client=1) == [
        202, 429, 202,
    ]  # fmt: skip


def test_a_body_of_unknown_length_is_read_up_to_the_limit(monkeypatch):
    monkeypatch.setattr(application, "MOST_BODY", 1000)

    async def parts(size):
        for _ in range(size // 100):
            yield b" " * 100
        yield post()["content"]

    requests = [("10.0.0.1", post(content=parts(size))) for size in (800, 1000)]
    assert statuses(Settings(KERNELS), requests) == [202, 413]


@pytest.mark.parametrize("wait", ["", "-1", "1.5", "x", str(openapi.MOST_WAIT + 1), "9" * 5000])
def test_a_client_waits_for_a_whole_number_of_seconds(wait):
    judgements = queue()
    [entry] = judgements.submit("a", some(1))
    app = Service(Settings(KERNELS), judgements).application()

    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get(f"/judgements/{entry.id}", params={"wait": wait}, timeout=5)

    answer = anyio.run(ask)
    assert (answer.status_code, "expected a whole number of seconds" in answer.json()["error"]) == (422, True)
