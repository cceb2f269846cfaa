"""One step as a process of its own: all that it prints goes to its log, the last line to the terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

from demo.run.steps import Step
from siamclip.errors import printable


@dataclass(frozen=True)
class Outcome:
    """How a step ended. `complaints`: what it wrote on stderr. `seconds`: wall time."""

    code: int
    complaints: str
    seconds: float


class Output:
    """Takes what a step prints, from both of its streams at once."""

    def __init__(self, log: IO[str]) -> None:
        self.last = ""  # the newest line that is not empty
        self.complaints: list[str] = []
        self.ended = threading.Event()  # set when both streams have ended
        self._open = 2
        self._log = log
        self._lock = threading.Lock()

    def take(self, stream: IO[str], complains: bool) -> None:
        for line in stream:
            with self._lock:
                self._log.write(line)
                self._log.flush()
                if complains:
                    self.complaints.append(line)
                if line.strip():
                    self.last = printable(line.strip())
        with self._lock:
            self._open -= 1
            if not self._open:
                self.ended.set()


def run_step(step: Step, log: Path, console: Console, number: int = 1, total: int = 1) -> Outcome:
    """Run it to its end, appending to `log`; on a terminal one line shows how far it is, and goes at the end.

    KeyboardInterrupt goes on after the step has ended: it saves what it can first.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ {step.command}    # {datetime.now():%Y-%m-%d %H:%M:%S}\n")
        file.flush()
        output = Output(file)
        with _live_line(console, output, number, total) as refresh, _started(step.arguments, output) as process:
            # Not join(): a Ctrl-C inside of it makes Python 3.11 believe that the thread has ended.
            while not output.ended.wait(0.1):
                refresh()
            code = process.wait()
    return Outcome(code, "".join(output.complaints), time.monotonic() - begun)


@contextmanager
def _started(arguments: Sequence[str], output: Output) -> Iterator[subprocess.Popen[str]]:
    """The process, which does not outlive the block, nor do its workers; `output` takes what it prints.

    On POSIX it has a session of its own, so that an interruption is passed on once, to it and its workers alike.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", errors="replace", env=environment(os.environ), start_new_session=os.name == "posix",
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    streams = ((process.stdout, False), (process.stderr, True))
    readers = [threading.Thread(target=output.take, args=stream, daemon=True) for stream in streams]
    try:
        for reader in readers:
            reader.start()
        yield process
    except KeyboardInterrupt:
        _send(process, signal.SIGINT)
        try:
            process.wait()  # it saves what it can
        except KeyboardInterrupt:
            _send(process, signal.SIGTERM)
        raise
    except BaseException:
        _send(process, signal.SIGTERM)
        raise
    finally:
        process.wait()
        for reader, (stream, _) in zip(readers, streams, strict=True):
            if reader.ident is not None:  # it was started
                reader.join()  # the last words of the step are for the log
            stream.close()


def _send(process: subprocess.Popen[str], number: int) -> None:
    if os.name == "posix":
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.killpg(process.pid, number)
    elif number != signal.SIGINT:  # Ctrl-C reaches everything on a console of Windows by itself
        process.terminate()


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """For a step: its lines arrive as they are printed, as UTF-8, and without colours."""
    kept = {name: value for name, value in ours.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}


@contextmanager
def _live_line(console: Console, output: Output, number: int, total: int) -> Iterator[Callable[[], None]]:
    rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    said = TextColumn("{task.fields[last]}", markup=False, table_column=rest)
    columns = (SpinnerColumn(), BarColumn(bar_width=16), MofNCompleteColumn(), TimeElapsedColumn(), said)
    shown = console.is_terminal
    with Progress(*columns, console=console, transient=True, expand=True, disable=not shown) as bar:
        task = bar.add_task("", total=total, completed=number - 1, last="")
        yield lambda: bar.update(task, last=output.last)
