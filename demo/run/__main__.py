"""The demo from end to end, as a user would type it: `python -m demo.run`, or `make demo`.

Renders vehicles, trains, evaluates, answers three questions, cleans a spoiled collection, fuses photos, and writes
index.html, which shows the results and links every report. A second run renders and trains nothing anew; after an
interruption it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from demo.run.console import Shown, shown_of
from demo.run.index import write_index
from demo.run.process import run_step
from demo.run.steps import DemoFolder, Step, demo_steps
from siamclip.errors import UserError, exit_on_user_error

WIDTH = 120  # columns at most
_ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # no hangup on Windows


@exit_on_user_error()
def main(arguments: list[str] | None = None) -> None:
    """The command line; ends with the exit code of the step that failed, if one did."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("demo_output"), help="folder to write (default demo_output)")
    out = parser.parse_args(arguments).out
    if not Path("train.py").is_file():
        raise UserError("", "train.py is not in this folder: run the demo in the folder of the project")
    for ending in _ENDINGS:  # the step that runs must end too, and has a session of its own
        if signal.getsignal(ending) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(ending, lambda number, _: sys.exit(128 + number))

    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    begun = time.monotonic()
    folder, steps = DemoFolder(out), demo_steps(out)
    run_demo(steps, folder, console)
    write_index(folder, steps)
    minutes, seconds = divmod(round(time.monotonic() - begun), 60)
    console.print(f"{len(steps)} steps in {minutes}:{seconds:02}; what each printed is in {folder.logs}/")
    console.print(f"[bold]The results, with a link to every report: {folder.index}", soft_wrap=True)


def run_demo(
    steps: Sequence[Step], folder: DemoFolder, console: Console, shown: Callable[[str, DemoFolder], Shown] = shown_of
) -> None:
    """The steps in order: the command of each, then what is `shown` of its results. Exits with the code of the first
    that fails, after its own error.
    """
    for number, (step, log) in enumerate(zip(steps, folder.step_logs(steps), strict=True), 1):
        for line in step.lines(console.width):
            console.print(Text(line, style="cyan"), soft_wrap=True)
        outcome = run_step(step, log, console, number, len(steps))
        if outcome.code:
            sys.stderr.write(outcome.complaints)
            print(f"step {number}, {step.name}, failed; all that it printed: {log}", file=sys.stderr)
            raise SystemExit(outcome.code if outcome.code > 0 else 128 - outcome.code)
        for renderable in shown(step.name, folder):
            console.print(Padding(renderable, (0, 0, 0, 4), expand=False))
        if outcome.complaints.strip():
            console.print(f"    warnings are in {log}", soft_wrap=True)


if __name__ == "__main__":
    main()
