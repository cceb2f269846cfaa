"""Settings of the whole suite."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from siamclip.plotting import fonts

# How long an example takes says something about the machine (the first one imports torch), nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell starts what runs in its background with Ctrl-C ignored, and processes inherit that: tests that interrupt one
# would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For networks so small that several threads would wait for each other longer than they compute."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def no_chinese_font_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which text has the fonts alone that come with matplotlib and the project."""
    monkeypatch.setattr(fonts, "_installed", list)
    monkeypatch.setattr(fonts, "_installed_faces", list)
