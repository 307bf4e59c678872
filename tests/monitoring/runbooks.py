"""
The runbooks of docs/alerts.md as a page of control's, so that the URL of each alert leads to its own.

``python -m monitoring.runbooks`` writes it.
"""

import re

from markdown_it import MarkdownIt

from monitoring.promtool import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "alerts.md"
PAGE = REPOSITORY / "services/control/src/mirror_control/ui/alerts.html"

_HEAD = """\
{# scripts/generate writes this page from docs/alerts.md. Do not edit it by hand. #}
{% extends "base.html" %}
{% set here = "" %}
{% block title %}Alerts{% endblock %}
{% block content %}
"""


def page() -> str:
    """Return the page; links to other documents and hosts are text, since the mirror does not serve these."""
    text = re.sub(r"\[([^\]]+)\]\((?!#)[^)]+\)", r"\1", DOCUMENT.read_text())
    text = re.sub(r"<(https://[^>]+)>", r"`\1`", text)
    html = MarkdownIt().enable("table").render(text)
    html = re.sub(r"<h3>(\w+)</h3>", lambda name: f'<h2 id="{name[1].lower()}">{name[1]}</h2>', html)
    html = html.replace("<pre>", '<pre tabindex="0">')
    return f'{_HEAD}<div class="runbooks">\n{{% raw %}}\n{html}{{% endraw %}}\n</div>\n{{% endblock %}}\n'


if __name__ == "__main__":
    PAGE.write_text(page())
