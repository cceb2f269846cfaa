"""Processes that decode, one pipe each: one that dies takes down neither the scan nor the others.

`concurrent.futures` gives up on all that is under way when one process dies. Here the scan knows what each process
was given: the files of a dead one are tried again one at a time, so that the guilty file is found.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from types import TracebackType

from siamclip.cleaning.scan.worker import Setup, Task, TaskResult, work

TASKS_AHEAD = 2  # a worker goes on while the scan embeds; what it has ready waits in it, so memory stays bounded
_MOST_ON_WINDOWS = 60  # handles that one wait can take there: 63
_THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# glibc gives the memory of every photo back to the system and asks for it again, page by page, for the next one. With
# these it keeps up to 64 MB: 12.3 ms a photo of 1260 x 840 instead of 15.6 (file, pixels, perceptual, laplacian and
# exposure), 7.2 instead of 7.9 for the hashes alone. Other C libraries do not read them.
_ENVIRONMENT = dict.fromkeys(_THREAD_LIMITS, "1") | {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}


def number_of_workers(wanted: int) -> int:
    """0 is one a core that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    number = wanted or cores
    return min(number, _MOST_ON_WINDOWS) if os.name == "nt" else number


class WorkerPool:
    """A context manager; `results` may be called once."""

    def __init__(self, setup: Setup, number: int) -> None:
        self._setup = setup
        self._number = number
        self._workers: list[_Worker] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end()

    def results(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, TaskResult | str]]:
        """Every task with its result, in whatever order they are done; with the reason in words, and the one file
        alone, where a process died of it. Raises RuntimeError where the workers do not even start."""
        ahead, again = iter(tasks), deque[Task]()
        while True:
            self._fill(again, ahead)
            busy = {worker.connection: worker for worker in self._workers if worker.tasks}
            if not busy:
                return
            for ready in wait(list(busy)):
                worker = busy[ready]  # type: ignore[index]
                try:
                    result = worker.receive()
                except (EOFError, OSError):
                    yield from self._bury(worker, again)
                    continue
                if result is not None:
                    yield worker.tasks.popleft(), result

    def _fill(self, again: deque[Task], ahead: Iterator[Task]) -> None:
        """Gives every worker something to do, and starts one as long as there are tasks for it."""
        for depth in range(1, TASKS_AHEAD + 1):
            for i in range(self._number):
                if i < len(self._workers) and len(self._workers[i].tasks) >= depth:
                    continue
                task = again.popleft() if again else next(ahead, None)
                if task is None:
                    return
                if i == len(self._workers):
                    self._workers.append(_Worker(self._setup))
                try:
                    self._workers[i].give(task)
                except OSError:  # it died while it had nothing to do
                    again.appendleft(task)
                    again.extendleft(reversed(self._replaced(self._workers[i])))

    def _bury(self, worker: _Worker, again: deque[Task]) -> Iterator[tuple[Task, str]]:
        lost = self._replaced(worker)
        if not worker.ready:
            raise RuntimeError(f"a process of the scan ended before it could work ({worker.cause()})")
        # Results come in order, so that it was at the first one. Whoever is innocent is read again.
        if len(lost[0]) == 1:
            yield lost[0], f"the decoder died ({worker.cause()})"
        else:
            again.extend(lost[0].single(i) for i in range(len(lost[0])))
        again.extend(lost[1:])

    def _replaced(self, worker: _Worker) -> list[Task]:
        """The tasks that a dead worker did not finish; another one stands in its place."""
        worker.end()
        self._workers[self._workers.index(worker)] = _Worker(self._setup)
        return list(worker.tasks)


class _Worker:
    def __init__(self, setup: Setup) -> None:
        context = multiprocessing.get_context("spawn")  # never fork: torch's threads do not survive it
        self.connection: Connection
        self.connection, theirs = context.Pipe()
        self.tasks: deque[Task] = deque()
        self.ready = False
        self._process = context.Process(target=work, args=(theirs, setup), daemon=True)
        with _quiet_start():
            self._process.start()
        theirs.close()  # so that its end shows as the end of the pipe

    def give(self, task: Task) -> None:
        self.connection.send(task)
        self.tasks.append(task)

    def receive(self) -> TaskResult | None:
        """None for the message that it is ready."""
        message = self.connection.recv()
        if isinstance(message, TaskResult):
            return message
        if message:
            raise RuntimeError(f"a scorer cannot be loaded:\n{message}")
        self.ready = True
        return None

    def cause(self) -> str:
        self._process.join()
        code = self._process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        self.connection.close()
        # It may sit in a decoder, or wait to send. A process that died by itself keeps its own exit code.
        self._process.terminate()
        self._process.join()


@contextmanager
def _quiet_start() -> Iterator[None]:
    """A new process inherits _ENVIRONMENT, with one thread for each library, and (where signals are inherited) deafness
    to Ctrl-C, which would otherwise print a traceback while it still imports."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    in_main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if in_main else None
    try:
        yield
    finally:
        if in_main:
            signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
