"""HTML pages from the templates in this package's folders."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline.visible import visible


def render_template(name: str, **values: Any) -> str:
    """A page as HTML. Everything is escaped except Markup, and hidden characters are shown."""
    environment = Environment(
        loader=PackageLoader("pipeline.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    return environment.get_template(name).render(values)


def _visible(value: Any) -> Any:
    """Texts without characters that would hide or reorder what stands around them."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return visible(value, keep_lines=True) if is_text else value
