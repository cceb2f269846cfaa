"""Memory: the call is accepted where it exists, and large buffers are then reused. Precision: what a CPU gains by."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from siamclip import device
from siamclip.device import bf16_gains, device_precision
from siamclip.errors import UserError

PROGRAM = """
import resource, sys
import numpy as np
from siamclip.device import reuse_large_buffers
if sys.argv[1] == "reuse":
    assert reuse_large_buffers()
np.ones(2**26, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(2**26, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told")
def test_large_buffers_are_not_mapped_anew() -> None:
    faults = {
        mode: int(
            subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, check=True, text=True).stdout
        )
        for mode in ("default", "reuse")
    }
    assert faults["reuse"] * 10 < faults["default"]


def test_bf16_gains_follows_the_units_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for units, expected in (({"amx_bf16": True}, True), ({"avx512_bf16": True}, True), ({"avx512": True}, False)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda units=units: units)
        assert bf16_gains(torch.device("cpu")) is expected


def test_the_precision_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "bf16_gains", lambda device: True)
    assert device_precision("auto", torch.device("cpu")) == torch.bfloat16
    assert device_precision("auto", torch.device("cuda")) == torch.bfloat16
    assert device_precision("fp32", torch.device("cpu")) is None
    monkeypatch.setattr(device, "bf16_gains", lambda device: False)
    assert device_precision("auto", torch.device("cpu")) is None
    assert device_precision("auto", torch.device("cuda")) == torch.float16
    assert device_precision("bf16", torch.device("cpu")) == torch.bfloat16
    with pytest.raises(UserError, match="precision fp16: CPUs"):
        device_precision("fp16", torch.device("cpu"))
