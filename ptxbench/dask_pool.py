"""Tasks done by the workers of a Dask cluster. The only importer of dask and distributed.

Dask distributes the tasks, gives those of a lost worker to others, and keeps tasks for a GPU to the workers with the
resource `GPU`. What it transfers is pickled, so whoever can connect to a cluster can execute code on it.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import math
import multiprocessing
import os
import pickle
import queue
import secrets
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from ptxbench import backends, errors
from ptxbench.backends.base import Backend
from ptxbench.backends.driver import find_driver
from ptxbench.backends.gpu import GpuBackend
from ptxbench.errors import MachineError, PtxbenchError, ToolMissing, UsageError
from ptxbench.extras import require_extra
from ptxbench.fingerprint import Fingerprint, differences, fingerprint
from ptxbench.interrupts import without_interrupts
from ptxbench.pool import AHEAD, OnReport, Result, Task, TaskQueue, Work, ignore, usable_cores
from ptxbench.run_info import EMULATOR, Device

LOCAL = "local"
"""The address of a cluster on this machine, which is started and ended with the command."""

GPU = "GPU"
"""The resource of a worker that may use a GPU: one task at a time takes it."""

ALLOWED = "DASK_DISTRIBUTED__WORKER__DAEMON=False"
"""The setting with which a worker may start processes; kernels are timed in processes of their own."""

CONNECT_SECONDS = 10.0

WORKERS_SECONDS = 60.0
"""How long to wait for a worker while the cluster has none."""

LOOK_SECONDS = 1.0
"""Time between two checks of the cluster while no task ends."""


@dataclass(frozen=True)
class SentTask:
    """A task as it is sent. `session`: of the command; `home`: its current folder; `required`: the
    fingerprint that a worker must have.

    `wants_reports`: whether the reports of the work are sent. `gpu`: the GPU that the worker must have, without its
    identity; None if any one will do, or none.
    """

    work: Any
    task: Any
    number: int
    session: str
    home: str
    paths: tuple[Path, ...]
    required: Fingerprint
    wants_reports: bool
    gpu: Device | None = None


@dataclass(frozen=True)
class FailedTask:
    """A task that ended with an error of ptxbench: its class and its text, because not every error can be pickled."""

    name: str
    text: str


class RemoteGpu(GpuBackend):
    """The GPU of a worker, which only a worker can use: here it is only described."""

    def __init__(self, description: Device) -> None:
        super().__init__()
        self.description = description

    def device(self) -> Device:
        return self.description


class DaskPool:
    """The workers of a cluster. `paths`: files and folders that the work reads, which each worker needs too."""

    def __init__(self, client: Any, paths: Sequence[Path] = ()) -> None:
        self.client = client
        self.session = f"ptxbench-{secrets.token_hex(8)}"
        self.paths = tuple(paths)
        self.required = fingerprint(self.paths)
        self.home = str(Path.cwd())
        self.worker_gpu: Device | None = None
        """The GPU of every worker with the resource, as the last call of `gpu` found it."""
        self.count, self.counted = 0, -math.inf

    def map(
        self,
        work: Work[Task, Result],
        tasks: Iterable[Task],
        on_report: OnReport = ignore,
        *,
        endless: bool = False,
        gpu: bool = False,
    ) -> Generator[tuple[int, Result], None, None]:
        """See pool.Pool. `gpu`: whether each task needs a GPU for itself.

        Raises MachineError if a task has lost several workers, or if all workers are lost.
        """
        reports: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        futures: dict[int, Any] = {}
        numbers: dict[str, int] = {}
        topic = f"{self.session}-{secrets.token_hex(4)}"
        worker_gpu = self.worker_gpu if gpu else None
        wants_reports = on_report is not ignore
        intake = TaskQueue(tasks)
        if wants_reports:
            self.client.subscribe_topic(topic, lambda event: reports.put((-1, pickle.loads(event[1]))))
        try:
            while True:
                for number, task in intake.take(AHEAD * self.size if endless else None):
                    call = SentTask(
                        work, task, number, topic, self.home, self.paths, self.required, wants_reports, worker_gpu
                    )
                    future = self.client.submit(
                        perform, call, key=f"{topic}-{number}", pure=False, resources={GPU: 1} if gpu else None
                    )
                    futures[number], numbers[future.key] = future, number
                    future.add_done_callback(lambda done: reports.put((numbers.pop(done.key), done)))
                if intake.complete:
                    return
                number, answer = self.next(reports, gpu)
                if number < 0:
                    on_report(*answer)
                    continue
                intake.finish(number)
                result = self.result(answer)
                futures.pop(number).release()
                yield number, result
        finally:
            with contextlib.suppress(Exception):  # the cluster is lost
                if wants_reports:
                    self.client.unsubscribe_topic(topic)
                self.client.cancel([future for future in futures.values() if not future.done()], force=True)

    @property
    def size(self) -> int:
        """The number of workers, at least 1; looked up again after LOOK_SECONDS."""
        if time.monotonic() > self.counted + LOOK_SECONDS:
            self.count = len(workers(self.client))
            self.counted = time.monotonic()
        return max(1, self.count)

    def open_backend(
        self, name: str, arch: str | None = None, say: Callable[[str], None] = lambda sentence: None
    ) -> Backend:
        """The backend of the workers, as backends.open_backend gives that of this machine.

        Raises ToolMissing if a GPU is wanted and no worker has one, MachineError for GPUs that are not alike.
        """
        if name != EMULATOR and (device := self.gpu()):
            return RemoteGpu(device)
        if name == "gpu":
            raise ToolMissing(
                f"No worker of the Dask cluster has the resource {GPU}. On the machine with the GPU: "
                f"{ALLOWED} dask worker ADDRESS --nthreads 1 --resources {GPU}=1."
            )
        return backends.open_backend(EMULATOR, arch)

    def gpu(self) -> Device | None:
        """The GPU of the workers that have one; None if none has. Raises MachineError if they are not alike."""
        owners = workers(self.client, gpu=True)
        answers = self.client.run(gpu_here, workers=list(owners), on_error="return") if owners else {}
        devices: dict[str, Device] = {}
        for address, device in sorted(answers.items()):
            if not isinstance(device, Device):
                why = device.text if isinstance(device, FailedTask) else reason(device)
                raise MachineError(f"The Dask worker {address} has the resource {GPU}, and cannot use it: {why}")
            devices[address] = device
        if len({replace(device, uuid_hash=None) for device in devices.values()}) > 1:
            names = "; ".join(f"{address} has {device.name}" for address, device in devices.items())
            raise MachineError(
                f"The GPUs of the Dask workers differ in name or limits: {names}. "
                f"Give only workers with one kind of GPU the resource {GPU}."
            )
        require_apart(devices)
        self.worker_gpu = next((replace(device, uuid_hash=None) for device in devices.values()), None)
        return self.worker_gpu

    def next(self, reports: queue.SimpleQueue[tuple[int, Any]], gpu: bool) -> tuple[int, Any]:
        """What happens next. Raises MachineError if there are no workers for some time."""
        without_workers = 0.0
        while True:
            with contextlib.suppress(queue.Empty):
                return reports.get(timeout=LOOK_SECONDS)
            if self.client.status != "running":
                raise MachineError("The connection to the Dask scheduler is lost.")
            without_workers = 0.0 if workers(self.client, gpu=gpu) else without_workers + LOOK_SECONDS
            if without_workers > WORKERS_SECONDS:
                resource = f" with the resource {GPU}" if gpu else ""
                raise MachineError(f"The Dask cluster has had no worker{resource} for {WORKERS_SECONDS:g} s.")

    def result(self, future: Any) -> Any:
        """The result of a task that has ended. Raises its error."""
        from distributed import CancelledError, KilledWorker

        try:
            result = future.result()
        except KilledWorker as error:
            raise MachineError(
                f"{error.allowed_failures + 1} Dask workers ended while they did the same task, the last one "
                f"{error.last_worker.address}. Their logs may say why; a worker may have too little memory."
            ) from None
        except CancelledError:
            raise MachineError("The Dask scheduler has dropped a task: it was restarted, or it is lost.") from None
        if isinstance(result, FailedTask):
            raise rebuilt(result)
        return result


# ---- on a worker

ONE_AT_A_TIME = threading.Lock()
"""The emulator and the current folder belong to the whole process: a worker with several threads does one task."""


def perform(call: SentTask) -> Any:
    """Do a task. Runs on a worker."""
    from distributed import get_worker

    worker = get_worker()

    def report(event: Any) -> None:
        if call.wants_reports:
            worker.log_event(call.session, pickle.dumps((call.number, event)))

    with ONE_AT_A_TIME, folder(call.home):
        try:
            if differing := mismatch(worker.address, call.session, call.paths, pickle.dumps(call.required)):
                raise MachineError(differing)
            if call.gpu and (differing := gpu_difference(worker.address, call.gpu)):
                raise MachineError(differing)
            return call.work(call.task, report)
        except PtxbenchError as error:
            return FailedTask(type(error).__name__, str(error))


@contextlib.contextmanager
def folder(home: str) -> Iterator[None]:
    """The current folder of the command, so that paths mean the same; an empty one if this machine does not have it."""
    with (
        tempfile.TemporaryDirectory(prefix="ptxbench-") as empty,
        contextlib.chdir(home if Path(home).is_dir() else empty),
    ):
        yield


@cache
def mismatch(address: str, session: str, paths: tuple[Path, ...], required: bytes) -> str | None:
    """How this worker differs from the machine of the command; looked up once in a session."""
    return refusal(address, pickle.loads(required), fingerprint(paths))


def gpu_here() -> Device | FailedTask:
    """The GPU of this worker, or why it cannot be used."""
    if multiprocessing.current_process().daemon:
        return FailedTask("MachineError", f"it may not start processes. Start it with {ALLOWED}.")
    try:
        return backends.open_backend("gpu").device()
    except PtxbenchError as error:
        return FailedTask(type(error).__name__, str(error))


def gpu_difference(address: str, expected: Device) -> str | None:
    """How the GPU of this worker differs from those of the others; None if it does not."""
    device = gpu_here()
    if not isinstance(device, Device):
        return f"The Dask worker {address} has the resource {GPU}, and cannot use it: {device.text}"
    if replace(device, uuid_hash=None) == expected:
        return None
    return (
        f"The Dask worker {address} has {device.name}, which differs from the {expected.name} of the others, in name "
        f"or limits. Give only workers with one kind of GPU the resource {GPU}."
    )


def worker_fingerprint(home: str, paths: tuple[Path, ...]) -> Fingerprint:
    with ONE_AT_A_TIME, folder(home):
        return fingerprint(paths)


def refusal(address: str, required: Fingerprint, other: Fingerprint) -> str | None:
    """The sentence about a worker that differs; None for one that does not."""
    differing = "; ".join(differences(required, other))
    return f"The Dask worker {address} has {differing}. All machines need the same." if differing else None


def rebuilt(failed: FailedTask) -> PtxbenchError:
    """The error that a task ended with."""
    kind = getattr(errors, failed.name, PtxbenchError)
    error: PtxbenchError = kind.__new__(kind, failed.text)  # not kind(text): some classes take more arguments
    return error


# ---- clusters


@contextlib.contextmanager
def open_pool(address: str, paths: Sequence[Path] = ()) -> Iterator[DaskPool]:
    """The pool of the cluster whose scheduler has that address, or of a new one for LOCAL.

    Raises ToolMissing without the extra, UsageError if there is no scheduler, MachineError if a worker cannot be used.
    """
    require_extra("dask", "distributed", "cryptography")
    quiet()
    with contextlib.ExitStack() as opened:
        client = opened.enter_context(local_client() if address == LOCAL else connected(address))
        pool = DaskPool(client, paths)
        require_alike(pool)
        yield pool


def quiet() -> None:
    """Let Dask print nothing: what matters to a user is raised. A program that uses Dask itself keeps its own
    settings."""
    if "distributed" in sys.modules:
        return
    import dask

    silent = dict.fromkeys(("distributed", "distributed.client"), "critical")
    dask.config.set({"logging": silent})  # `distributed` reads it when it is imported


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """A client of a running scheduler."""
    from distributed import Client
    from distributed.comm import get_address_host_port

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other versions: `require_alike` says what matters
        try:
            get_address_host_port(address, strict=True)  # a client without an address that exists is hard to close
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TypeError, RuntimeError) as error:
            raise UsageError(
                f"No Dask scheduler at '{address}': {reason(error)}. "
                "Expected the address that `dask scheduler` prints, such as tcp://10.0.0.1:8786, or local."
            ) from None
    try:
        yield client
    finally:
        client.close(timeout=2)


def reason(error: BaseException) -> str:
    words = str(error).strip().splitlines()
    return words[-1][:200].rstrip(".") if words else type(error).__name__


@contextlib.contextmanager
def local_client() -> Iterator[Any]:
    """A client of a new cluster: one worker per core, and one per GPU that has the resource. Only this user can
    connect, by a certificate that exists for this command."""
    import dask
    from distributed import Client, Nanny, Scheduler, Security, SpecCluster

    if getattr(multiprocessing.current_process(), "_inheriting", False):  # a worker that imports the script
        raise SystemExit(1)
    security = Security.temporary()
    options = {"nthreads": 1, "memory_limit": 0, "security": security, "silence_logs": logging.CRITICAL}
    worker_options: list[dict[str, Any]] = [
        {"resources": {GPU: 1}, "env": {"CUDA_VISIBLE_DEVICES": name}} for name in gpus()
    ]
    if worker_options:
        dask.config.set({"distributed.worker.daemon": False})  # see ALLOWED
    worker_options += [{} for _ in range(max(1, usable_cores() - len(worker_options)))]
    try:
        with without_interrupts():  # the processes of the cluster, and what they start, end with this one
            cluster = SpecCluster(
                scheduler={
                    "cls": Scheduler,
                    "options": {
                        "protocol": "tls",
                        "host": "127.0.0.1",
                        "dashboard": False,
                        "dashboard_address": "127.0.0.1:0",  # any port: another cluster may have the usual one
                        "security": security,
                    },
                },
                workers={
                    number: {"cls": Nanny, "options": {**options, **of_worker, "name": number, "host": "127.0.0.1"}}
                    for number, of_worker in enumerate(worker_options)
                },
                security=security,
                silence_logs=logging.CRITICAL,
            )
    except Exception as error:
        raise MachineError(
            f"The Dask workers of this machine cannot be started: {reason(error)}. In a script in Python, start them "
            "below `if __name__ == '__main__':`, because each worker imports the script."
        ) from None
    try:
        with Client(cluster, security=security, set_as_default=False) as client:
            yield client
    finally:
        cluster.close(timeout=5)


def gpus() -> list[str]:
    """A value of CUDA_VISIBLE_DEVICES for each GPU that can be used here."""
    driver = find_driver()
    count = ctypes.c_int(0)
    if driver is None or driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(count.value)]
    return [name.strip() for name in names[: count.value]]


def workers(client: Any, *, gpu: bool = False) -> Mapping[str, Mapping[str, Any]]:
    """The workers by address; only those with a GPU if `gpu`."""
    all_workers: Mapping[str, Mapping[str, Any]] = client.scheduler_info(n_workers=-1)["workers"]
    return {
        address: worker
        for address, worker in all_workers.items()
        if not gpu or (worker.get("resources") or {}).get(GPU, 0)
    }


def require_apart(devices: Mapping[str, Device]) -> None:
    """Raises MachineError if two workers may have the same GPU, where each would slow down the other."""
    owners: dict[str, str] = {}
    for address, device in devices.items():
        if device.uuid_hash is None and len(devices) > 1:
            raise MachineError(
                f"The GPU of the Dask worker {address} cannot be identified, because NVML does not report its UUID. "
                f"So give only one worker the resource {GPU}."
            )
        first = owners.setdefault(device.uuid_hash or address, address)
        if first != address and not device.mig:  # the instances of MIG have one UUID
            raise MachineError(
                f"The Dask workers {first} and {address} have the same GPU. Start one worker for each GPU, with its "
                "number in CUDA_VISIBLE_DEVICES."
            )


def require_alike(pool: DaskPool) -> None:
    """Raises MachineError about the first worker that differs from this machine, or if no worker comes."""
    try:
        pool.client.wait_for_workers(1, timeout=WORKERS_SECONDS)
    except TimeoutError:
        raise MachineError(
            f"The Dask cluster has had no worker for {WORKERS_SECONDS:g} s. Start one: dask worker ADDRESS."
        ) from None
    answers = pool.client.run(partial(worker_fingerprint, pool.home, pool.paths), on_error="return")
    for address, other in sorted(answers.items()):
        if isinstance(other, ImportError):
            raise MachineError(f"The Dask worker {address} cannot import ptxbench: {reason(other)}.")
        if isinstance(other, BaseException):
            raise MachineError(f"The Dask worker {address} cannot be used: {reason(other)}.")
        if differing := refusal(address, pool.required, other):
            raise MachineError(differing)
