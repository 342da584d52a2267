"""Where this machine has a Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path


def chromium() -> str | None:
    usual = Path("/usr/bin/chromium")
    return str(usual) if usual.exists() else shutil.which("chromium") or shutil.which("google-chrome")
