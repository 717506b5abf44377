"""Reading JSON and TOML: every fault is one sentence with the file name, the line and the bad value."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from ptxbench import documents
from ptxbench.documents import json_text, parse_json, parse_toml, plain_data, read_json, read_text, toml_text
from ptxbench.errors import ResultError, UsageError

DEEP = 100_000
DIGITS = 5000 * "7"

# a text, the message
FAULTY_JSON = [
    ("",                            "x:1: not JSON: the file is empty."),
    (" \n",                         "x:1: not JSON: the file is empty."),
    ('{"a": ',                      "x:1: not JSON: the file is cut off."),
    ('{\n"a": "bc',                  "x:2: not JSON: the file is cut off."),
    ('{"a": }',                     "x:1: not JSON: Expecting value."),
    ('{"a": "NaN",\n"b": [NaN]}',   "x:2: NaN is not JSON: expected a number or null."),
    ("[1,\n\n-Infinity]",           "x:3: -Infinity is not JSON: expected a number or null."),
    ('{"a":\n1e999999}',            "x:2: 1e999999 is too large: expected below 2^1024."),
    (f'{{"a":\n-{DIGITS}}}',        "x:2: a number of 5,000 digits is too large: expected below 2^64."),
    (f'{{"a":\n{DIGITS}.5}}',       "x:2: a number of 5,001 digits is too large: expected below 2^1024."),
    ('["18446744073709551616",\n18446744073709551616]',
     "x:2: 18446744073709551616 is too large: expected below 2^64."),
    ('{"a": 1, "b": {"c": 1, "c": 2}}', "x: an object has two keys 'c': expected one."),
    (DEEP * "[",                    "x is nested too deeply: expected at most 100 levels."),
    (DEEP * '{"a":',                "x is nested too deeply: expected at most 100 levels."),
    (101 * "[" + 101 * "]",         "x is nested too deeply: expected at most 100 levels."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), FAULTY_JSON, ids=range(len(FAULTY_JSON)))
def test_a_fault_in_json_is_a_sentence(text, message):
    with pytest.raises(ResultError) as caught:
        parse_json(text, "x")
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["3", "null", '{"a": [1, -2.5e3, "\\ud800", {}], "b": 18446744073709551615}',
                                  100 * "[" + 100 * "]"])  # fmt: skip
def test_sound_json_is_read_as_the_standard_library_reads_it(text):
    assert parse_json(text, "x") == json.loads(text)


FAULTY_TOML = [
    ("a = ",                      "x is not TOML: Invalid value (at end of document)."),
    ("a = 1\na = 2",              "x is not TOML: Cannot overwrite a value (at end of document)."),
    (f"a = {DIGITS}",             "x is not TOML: a number has too many digits."),
    ("a = 2027-02-31",            "x is not TOML: Invalid date or datetime (at line 1, column 5)."),
    (f"a = {DEEP * '['}",         "x is nested too deeply: expected at most 100 levels."),
    (".".join(101 * ["a"]) + "=1", "x is nested too deeply: expected at most 100 levels."),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), FAULTY_TOML, ids=range(len(FAULTY_TOML)))
def test_a_fault_in_toml_is_a_sentence(text, message):
    with pytest.raises(UsageError) as caught:
        parse_toml(text, "x")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1}'.encode("utf-16"), "x is UTF-16: expected UTF-8. Save it as UTF-8."),
        (b'{"a":\n "\xff"}',          "x:2: not text: byte 0xff is not UTF-8."),
        (b"\x7fELF\x80",              "x:1: not text: byte 0x80 is not UTF-8."),
        (b"[" + 99 * b" " + b"]",     "x is too large: expected at most 0 MiB."),
    ],
)  # fmt: skip
def test_a_binary_or_too_large_file_is_refused_in_one_sentence(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(documents, "MOST_BYTES", 100)
    Path("x").write_bytes(content)
    for error in (ResultError, UsageError):
        with pytest.raises(error) as caught:
            read_text(Path("x"), error)
        assert str(caught.value) == message


def test_a_byte_order_mark_before_utf_8_is_accepted(tmp_path):
    (tmp_path / "x").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "x") == {"a": 1}


def test_a_written_document_is_ascii_reads_back_and_has_no_runner_command():
    value = {"##[error]x": ["\x7f\u202e\ud800µ", "###vso[a]", "#[", 0.5, None]}
    text = json_text(value)
    assert text.isascii()
    assert "##" not in text
    assert json.loads(text) == value
    words = 'a "b" \\ \x7f\x85\u202e\U000e0041 µ ###[c]'
    assert parse_toml(f"a = {toml_text(words)}", "x") == {"a": words}
    assert toml_text(words).isprintable()
    assert "##" not in toml_text(words)


def test_a_named_pipe_without_a_program_that_writes_to_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "WRITER_SECONDS", 0.05)
    os.mkfifo(path := tmp_path / "run.json")
    with pytest.raises(ResultError, match=r"run\.json: no program writes to this pipe\."):
        read_text(path)


def test_a_pipe_is_read_whole_also_if_its_program_is_slow(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "WRITER_SECONDS", 5.0)
    os.mkfifo(path := tmp_path / "run.json")

    def write():
        time.sleep(0.1)  # the reader is there first
        with path.open("w") as file:
            for part in ("[", "1" * 100_000, "]"):
                file.write(part)
                file.flush()
                time.sleep(0.05)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        assert len(read_text(path)) == 100_002
        writing.result()


@pytest.mark.parametrize("kind", ["pipe", "endless"])
def test_a_kernel_must_be_a_regular_file(tmp_path, kind):
    """It is read more than once; /dev/zero has no end."""
    path = tmp_path / "kernel.ptx"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(UsageError, match=r"kernel\.ptx is not a regular file\. Save the kernel as one\."):
        documents.read_bytes(path, UsageError)


def test_what_json_lacks_becomes_numbers_and_text():
    value = {"a": (np.int64(1), np.float32(0.5), np.bool_(True)), "b": [float("inf"), np.float16("nan"), 1j, None]}
    assert plain_data(value) == {"a": [1, 0.5, True], "b": ["inf", "nan", "1j", None]}
    assert json.loads(json_text(plain_data(value))) == plain_data(value)
