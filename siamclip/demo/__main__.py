"""`python -m siamclip.demo` is `python -m demo`."""

import runpy

runpy.run_module("demo", run_name="__main__")
