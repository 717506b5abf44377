"""A Dask cluster of two worker processes, for tests: `python -m tests.dask_cluster` prints its address and runs until
its standard input ends. The first worker says that it has a GPU; with the argument 2 both do, each another one."""

import os
import sys
import time

OPTIONS = {"nthreads": 1, "memory_limit": 0, "host": "127.0.0.1"}
WORKERS = [{"resources": {"GPU": 1}, "env": {"CUDA_VISIBLE_DEVICES": str(number)}} for number in range(2)]


def main():
    import dask
    from distributed import Nanny, Scheduler, SpecCluster

    owners = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.worker.daemon": False})
    with SpecCluster(
        scheduler={
            "cls": Scheduler,
            "options": {"host": "127.0.0.1", "dashboard": False, "dashboard_address": "127.0.0.1:0"},
        },
        workers={
            number: {"cls": Nanny, "options": {**OPTIONS, **options, "name": number}}
            for number, options in enumerate([*WORKERS[:owners], *[{}] * (2 - owners)])
        },
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()


# ---- tasks


def process_id(task, tell):
    """The process of a worker; slow enough that both workers get tasks."""
    time.sleep(0.05)
    tell(("did", task))
    return os.getpid()


def end_the_worker(task, tell):
    os.kill(os.getpid(), 9)


if __name__ == "__main__":
    main()
