"""HTML that cannot be broken out of."""

import pytest

from playground.html import Markup, el, joined


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onclick='x", "a & b"])
def test_text_is_escaped_inside_and_in_attributes(text: str) -> None:
    made = el("p", text, title=text)
    for sign in ("<script", "<img", "' onclick", '">' + "<"):
        assert sign not in made
    assert "&" in made


def test_elements_stand_as_they_are_in_others() -> None:
    assert el("ul", el("li", 1), None, Markup("<li>2</li>"), class_="a") == '<ul class="a"><li>1</li><li>2</li></ul>'
    assert el("img", src="a", alt="") == '<img src="a" alt="">'
    assert joined(["a<", el("b", 1.5)]) == "a&lt;<b>1.5</b>"


def test_attributes_are_named_as_html_names_them() -> None:
    assert el("i", aria_label="x", hidden=True, class_=None, disabled=False) == '<i aria-label="x" hidden></i>'
