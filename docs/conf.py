"""Sphinx settings of the documentation: `make docs`."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])  # the kernels'
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # `!ranvier` in a page
os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")

import ranvier  # noqa: E402

project = "Ranvier"
author = "the Ranvier authors"
version = release = ranvier.__version__
extensions = [
    "myst_nb", "sphinx.ext.autodoc", "docs._extensions.mathml", "docs._extensions.api", "docs._extensions.gallery",
]  # fmt: skip
exclude_patterns = ["_build", "_extensions"]
nitpicky = False  # docstrings name attributes of other libraries

html_theme = "furo"
html_title = f"Ranvier {version}"
html_static_path = ["_static"]
html_css_files = ["ranvier.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 600  # s a cell; on a quiet machine all take less than 20
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
