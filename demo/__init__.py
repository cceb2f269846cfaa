"""The embedded data set: vehicles with number plates, rendered, with ground truth.

Imports of siamclip what it needs; siamclip imports nothing of it.
"""

from __future__ import annotations

from demo.build import DemoPaths, build_demo
from demo.contact_sheet import contact_sheet

__all__ = ["DemoPaths", "build_demo", "contact_sheet"]
