"""The atlas as static pages that work from the file system: an index, and one page a system."""

from ranvier.atlas.site._build import build, provenance

__all__ = ["build", "provenance"]
