"""The Jinja environment of every HTML page: what comes from data is escaped, and a misspelt name is an error."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def html_environment(package: str) -> Environment:
    """An environment whose templates are the `*.html.j2` files of a package.

    Args:
        package: the dotted name of the package that holds the templates.
    """
    return Environment(
        loader=PackageLoader(package, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
