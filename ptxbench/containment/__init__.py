"""Limits what a process with untrusted text may open: Linux's Landlock, and a filter of system calls.

A thread restricts itself permanently; the processes that it starts inherit the limits. It needs no privileges and no
helper program. Imports nothing of ptxbench, so that a process with only this task starts fast.
"""

from __future__ import annotations

import ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # these imports take longer than everything else here
    from collections.abc import Iterable
    from pathlib import Path

LANDLOCK, HEADERS = "landlock", "headers"
"""How candidates are contained: by the Linux kernel, or by an allow-list of CUDA's headers where it cannot."""

VARIABLE = "PTXBENCH_CONTAINMENT"
"""Environment variable: `headers` chooses the allow-list even where Landlock is available, to test it."""


def mode() -> str:
    """How candidates are contained here."""
    if os.environ.get(VARIABLE) == HEADERS or sys.platform != "linux":
        return HEADERS
    # 2: a filter is already active, as in most containers and in processes restricted here.
    filters = os.uname().machine in FILTERED and prctl(GET_SECCOMP) in (0, FILTER)
    return LANDLOCK if filters and version() > 0 else HEADERS


def restrict(*, read: Iterable[Path] = (), execute: Iterable[Path] = (), write: Iterable[Path] = ()) -> None:
    """From now on this thread, and what it starts, can open and run only files under these paths; no network.

    `read`: to read; `execute`: to read and run; `write`: all rights. Files that are already open stay open. Paths that
    do not exist are left out. Raises OSError if the kernel refuses.
    """
    if prctl(SET_NO_NEW_PRIVS, 1) != 0:
        raise kernel_error("no_new_privs")
    restrict_files({READ: read, READ | EXECUTE: execute, READ | WRITE: write})
    filter_calls()


# ---- files: Linux's userspace-api/landlock.rst; the numbers are from include/uapi/linux/landlock.h

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION = 1
PATH_BENEATH = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIRECTORY = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REFER, TRUNCATE, DEVICE_CONTROL = 1 << 13, 1 << 14, 1 << 15
READ = READ_FILE | READ_DIRECTORY
WRITE = WRITE_FILE | TRUNCATE | REFER | sum(1 << bit for bit in range(4, 13))  # make and remove each kind of file
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | DEVICE_CONTROL
"""Rights that apply to a file that is not a folder."""

SINCE = {1: (1 << 13) - 1, 2: REFER, 3: TRUNCATE, 5: DEVICE_CONTROL}
"""The rights that each version of Landlock added."""

TCP = 0b11  # bind and connect, since version 4
SCOPES = 0b11  # abstract sockets and signals to processes outside, since version 6


class Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class PathRule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """The kernel's version of Landlock; 0 or less if it has none."""
    return call(CREATE_RULESET, None, 0, ASK_VERSION)


def restrict_files(allowed: dict[int, Iterable[Path]]) -> None:
    """Allow only files under the given paths, with the rights of their key."""
    landlock_version = version()
    handled = sum(rights for since, rights in SINCE.items() if since <= landlock_version)
    rules = Ruleset(handled, TCP if landlock_version >= 4 else 0, SCOPES if landlock_version >= 6 else 0)
    size = 8 if landlock_version < 4 else 16 if landlock_version < 6 else 24  # older kernels know fewer fields
    ruleset = call(CREATE_RULESET, ctypes.byref(rules), size, 0)
    if ruleset < 0:
        raise kernel_error("landlock_create_ruleset")
    try:
        for rights, paths in allowed.items():
            for path in paths:
                add_rule(ruleset, path, rights & handled)
        if call(RESTRICT_SELF, ruleset, 0) != 0:
            raise kernel_error("landlock_restrict_self")
    finally:
        os.close(ruleset)


def add_rule(ruleset: int, path: Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rule = PathRule(rights if is_folder(handle) else rights & OF_A_FILE, handle)
        if call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0) != 0:
            raise kernel_error(f"landlock_add_rule of {path}")
    finally:
        os.close(handle)


def is_folder(handle: int) -> bool:
    return os.fstat(handle).st_mode & 0o170000 == 0o040000


# ---- calls that Landlock does not restrict: Linux's userspace-api/seccomp_filter.rst

GET_SECCOMP, SET_SECCOMP, SET_NO_NEW_PRIVS = 21, 22, 38
FILTER = 2
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | 1  # SECCOMP_RET_ALLOW; SECCOMP_RET_ERRNO with EPERM

LOAD_WORD, EQUAL, NOT_BELOW, RETURN = 0x20, 0x15, 0x35, 0x06  # classic BPF
CALL_AT, ARCHITECTURE_AT = 0, 4  # offsets in struct seccomp_data
OTHER_CALLS = 0x40000000  # x86-64: the x32 variants of the same calls

NAMES = (
    "socket", "io_uring_setup", "ptrace", "process_vm_readv", "process_vm_writev", "truncate", "add_key",
    "request_key", "keyctl", "bpf", "perf_event_open", "shmget", "shmat", "msgget", "mq_open",
)  # fmt: skip
"""The network, other processes' memory and queues, the user's keys; truncate, which old versions of Landlock allow."""

FILTERED = {
    "x86_64": (0xC000003E, (41, 425, 101, 310, 311, 76, 248, 249, 250, 321, 298, 29, 30, 68, 240)),
    "aarch64": (0xC00000B7, (198, 425, 117, 270, 271, 45, 217, 218, 219, 280, 241, 194, 196, 186, 180)),
}
"""By machine: the kernel's name for it (AUDIT_ARCH_), and the numbers of NAMES."""


class BpfInstruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16), ("if_true", ctypes.c_uint8), ("if_false", ctypes.c_uint8), ("k", ctypes.c_uint32)
    )  # fmt: skip


class BpfProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.POINTER(BpfInstruction)))


def filter_calls() -> None:
    """Refuse the calls of NAMES, and all calls of another architecture than this process's."""
    if prctl(SET_SECCOMP, FILTER, ctypes.byref(CALL_FILTER)) != 0:
        raise kernel_error("seccomp")


def call_filter(machine: str) -> BpfProgram:
    """The program of the filter, for a machine."""
    architecture, numbers = FILTERED[machine]
    count = len(numbers)
    refuse = count + 1  # instructions from the first comparison to the refusal
    program = [
        BpfInstruction(LOAD_WORD, 0, 0, ARCHITECTURE_AT),
        BpfInstruction(EQUAL, 0, refuse + 2, architecture),
        BpfInstruction(LOAD_WORD, 0, 0, CALL_AT),
        BpfInstruction(NOT_BELOW, refuse, 0, OTHER_CALLS),
        *(BpfInstruction(EQUAL, count - i, 0, number) for i, number in enumerate(numbers)),
        BpfInstruction(RETURN, 0, 0, ALLOW),
        BpfInstruction(RETURN, 0, 0, REFUSE),
    ]
    return BpfProgram(len(program), (BpfInstruction * len(program))(*program))


if sys.platform == "linux" and os.uname().machine in FILTERED:
    CALL_FILTER = call_filter(os.uname().machine)  # made here, so that a process forked from this one has it


# ---- the kernel


if sys.platform == "linux":
    LIBC = ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: object) -> int:
    """A system call by its number; -1 if it fails, with ctypes.get_errno()."""
    return int(LIBC.syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, *arguments: object) -> int:
    padded = [
        ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in (*arguments, 0, 0, 0, 0)
    ][:4]
    return int(LIBC.prctl(option, *padded))


def kernel_error(operation: str) -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{operation}: {os.strerror(code)}")
