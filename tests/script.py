"""Python in a separate process, for what concerns a whole process: signals, its end."""

from __future__ import annotations

import subprocess
import sys

from patience import PATIENCE


def run_script(script: str) -> subprocess.CompletedProcess[str]:
    """Run a script, and return what it said and how it ended."""
    return subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
