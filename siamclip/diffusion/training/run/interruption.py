"""Ctrl-C between two steps of a training instead of anywhere in one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interruption:
    """A context manager: the first Ctrl-C sets `heard`, so that the step under way is finished and saved; a second
    one raises KeyboardInterrupt at once. Outside the main thread, where no signal can be handled, it does nothing.
    """

    def __init__(self) -> None:
        self.heard = False
        self._in_main_thread = False

    def __enter__(self) -> Interruption:
        self._in_main_thread = threading.current_thread() is threading.main_thread()
        if self._in_main_thread:
            self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._in_main_thread:
            signal.signal(signal.SIGINT, self._before)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, self._before)
        self.heard = True
