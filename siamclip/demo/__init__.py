"""The demo lives in the top-level package `demo`; `python -m siamclip.demo` goes on working."""
