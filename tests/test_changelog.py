"""The changelog is about the version that it is shipped with."""

from __future__ import annotations

import re
from pathlib import Path

from kitepolars._version import __version__

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def test_the_top_entry_is_the_version_of_the_package() -> None:
    entries = re.findall(r"^## (\S+)", CHANGELOG.read_text("utf-8"), flags=re.MULTILINE)
    assert entries[0] == __version__


def test_no_version_has_two_entries() -> None:
    entries = re.findall(r"^## (\S+)", CHANGELOG.read_text("utf-8"), flags=re.MULTILINE)
    assert len(entries) == len(set(entries))


def test_the_citation_names_the_version() -> None:
    citation = CHANGELOG.with_name("CITATION.cff").read_text("utf-8")
    assert f"\nversion: {__version__}\n" in citation
