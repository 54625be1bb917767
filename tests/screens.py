"""What stands on the first screen of an evaluation's page, without markup."""

import re
from html import unescape


def panel(html: str, title: str) -> list[str]:
    """Lines under one of its questions."""
    part = html.split(f'class="ask">{title}</h2>', 1)[1].split("</section>", 1)[0]
    return [plain(line) for line in re.findall(r"<li[^>]*>(.*?)</li>", part, flags=re.DOTALL)]


def beside(html: str) -> list[str]:
    """Examples side by side: title, what is true, and what both say."""
    part = html.split('<ol class="beside"', 1)[1].split("</ol>", 1)[0] if '<ol class="beside"' in html else ""
    return [plain(example) for example in re.findall(r"<li>(.*?)</li>", part, flags=re.DOTALL)]


def plain(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())
