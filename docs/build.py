"""Builds the documentation: ``make docs``, or ``python docs/build.py`` with the extra `docs`.

Pages are written into ``docs/_build/source`` with their cells executed, and Sphinx makes
``docs/_build/html`` of them. What has not changed since the last build is not executed again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

from sphinx.cmd.build import main as sphinx_build

import assets
import execution
import pages

DOCS: Final = Path(__file__).parent
BUILD: Final = DOCS / "_build"
JOBS: Final = "2"


def main() -> int:
    """Write the pages, execute them, build; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="execute only pages whose name contains one of")
    only = parser.parse_args().pages
    begun = time.perf_counter()
    assets.collect(BUILD / "assets")
    site = pages.stage(BUILD / "source")
    failures = execution.run(
        [page for page in site if not only or any(word in page.name for word in only)],
        source=BUILD / "source",
        cache=BUILD / "executed",
    )
    if failures:
        print("\n".join(failures), file=sys.stderr)
        return 1
    pages.write_generated(BUILD / "source")
    print(f"pages executed after {time.perf_counter() - begun:.0f} s", flush=True)
    arguments = ["-W", "--keep-going", "-q", "-j", JOBS, "-c", str(DOCS)]
    code = sphinx_build([*arguments, str(BUILD / "source"), str(BUILD / "html")])
    print(f"{BUILD / 'html' / 'index.html'} after {time.perf_counter() - begun:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
