"""HTML pages from templates: one environment for all."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def page_environment(package: str) -> Environment:
    """Of the folder `templates` of `package`; everything is escaped, and an unknown name is an error."""
    return Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def significant(value: float, digits: int) -> str:
    """A number as people write it: so many significant figures, and a true minus sign."""
    return f"{value:.{digits}g}".replace("-", "−")
