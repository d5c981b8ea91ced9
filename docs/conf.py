"""How `make docs` builds the pages: Sphinx, Markdown by MyST, the reference from the docstrings."""

from __future__ import annotations

from manifests.format.schema import SCHEMA_VERSION

project = "reid-synth"
author = "the reid-synth contributors"
version = f"schema {SCHEMA_VERSION}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_heading_anchors = 4  # names of headings as GitHub gives them
myst_links_external_new_tab = False

default_role = "py:obj"  # `name` in a docstring leads to its entry, where there is one
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "reid-synth"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": False}
