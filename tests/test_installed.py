"""The tests run against the installed package, and the repository holds what is documented."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import Distribution, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

import kitepolars

ROOT = Path(__file__).parents[1]
IMPORTED = Path(kitepolars.__file__).parent


def installed_package(installed: Distribution) -> Path:
    """Return the folder of the package that an installation provides.

    An editable installation provides the folder of the clone that it was made from (PEP 610).
    """
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return Path(url2pathname(urlsplit(origin["url"]).path)) / "kitepolars"
    return Path(str(installed.locate_file("kitepolars")))


def test_the_package_under_test_is_the_installed_one() -> None:
    expected = installed_package(distribution("kitepolars"))
    assert IMPORTED.samefile(expected), (
        f"the tests import {IMPORTED}, but {expected} is installed: "
        "run `make test`, or `python -P -m pytest` (-P keeps the current folder off the path)"
    )


def test_the_installed_version_is_the_one_under_test() -> None:
    assert distribution("kitepolars").version == kitepolars.__version__, "install it again: make"


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_contributing_names_everything_at_the_top_of_the_repository() -> None:
    command = ["git", "ls-tree", "--name-only", "HEAD"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("## The top of the repository")[1]
    table = section.split("\n## ")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.+?) \|", table, flags=re.MULTILINE)
        for name in re.findall(r"`([^`]+?)/?`", row)
    }
    assert named == set(listed.stdout.split())
