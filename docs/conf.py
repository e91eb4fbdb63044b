"""The configuration of Sphinx. Nothing is fetched while the site is built or read.

`build.py` writes the pages, with their outputs, before Sphinx reads them.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

import kitepolars  # noqa: E402

project = "kitepolars"
author = "The kitepolars developers"
copyright = "The kitepolars developers, Apache-2.0"  # noqa: A001
version = release = kitepolars.__version__
language = "en"
_epoch = os.environ.get("SOURCE_DATE_EPOCH")
_built = dt.datetime.fromtimestamp(float(_epoch), dt.UTC) if _epoch else dt.datetime.now(dt.UTC)
today = f"{_built:%d %B %Y}"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",  # sources are in the site: there is no address to link to
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "reference",
]
root_doc = "index"
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["**/.ipynb_checkpoints"]

# -- pages -----------------------------------------------------------------------------------
nb_execution_mode = "off"  # _ext/execution.py has done it
nb_merge_streams = True
nb_render_text_lexer = "none"
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", 10)]
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
myst_links_external_new_tab = True
suppress_warnings = ["myst.strikethrough", "mystnb.unknown_mime_type"]

# RequireJS and the widget manager are served by the site; `widgets/` is where the manager looks
# for the module `anywidget` before it would ask a CDN.
nb_ipywidgets_js = {
    "require.js": {},
    "widgets-local.js": {},
    "embed-amd.js": {"data-jupyter-widgets-cdn": "./_static/widgets/"},
}

# -- reference -------------------------------------------------------------------------------
default_role = "py:obj"  # docstrings write `frame`
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {
    "Array": "numpy.ndarray",
    "Clock": "Clock",
    "Instrument": "Instrument",
    "Kinds": "ArrayLike",
    "Numbers": "ArrayLike",
    "SomeInstruments": "SomeInstruments",
}  # spelt out, they fill a screen
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
add_module_names = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# -- looks -----------------------------------------------------------------------------------
WIDE = (
    "howto/troubleshoot",
    "performance",
    "reference/costs",
    "reference/errors",
    "reference/limits",
    "reference/schemas",
    "reference/settings",
    "reliability",
)  # tables that need the room of the table of contents
html_theme = "pydata_sphinx_theme"
html_title = "kitepolars"
html_favicon = "_static/favicon.svg"
html_static_path = ["_static", "_build/assets"]
html_css_files = ["site.css"]
html_js_files = ["search-on-disk.js", ("widgets-theme.js", {"defer": "defer"})]
html_context = {"default_mode": "auto"}
html_show_sphinx = False
html_last_updated_fmt = "%d %B %Y"
html_sidebars: dict[str, list[str]] = {"index": [], "examples/index": []}
html_theme_options = {
    "logo": {"text": f"kitepolars {release}"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "search_as_you_type": True,
    "show_toc_level": 2,
    "footer_start": ["copyright", "version-and-date"],
    "footer_center": [],
    "footer_end": [],
    "secondary_sidebar_items": {"**": ["page-toc"], **{name: [] for name in WIDE}},
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
templates_path = ["_templates"]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
