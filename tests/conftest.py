"""Settings of the whole suite."""

from __future__ import annotations

import signal

from hypothesis import settings

# How long an example takes says something about the machine (the first one imports torch), nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# A shell starts what runs in its background with Ctrl-C ignored, and processes inherit that: tests that interrupt one
# would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
