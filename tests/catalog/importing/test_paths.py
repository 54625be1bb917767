import pytest

from catalog.importing.mapping import SplitMapping
from catalog.importing.paths import split_path

LEVELS = ["master_category", "sub_category", "article_type"]


@pytest.mark.parametrize(
    ("text", "said", "levels"),
    [
        ("Clothing > Tops > Polo Shirts", {}, ("Clothing", "Tops", "Polo Shirts")),
        ("Kitchen|Cups|Mugs", {}, ("Kitchen", "Cups", "Mugs")),
        ("Home > Bed / Bath", {}, ("Home", "Bed / Bath", None)),
        ("Clothing > Headwear", {}, ("Clothing", "Headwear", None)),
        ("Clothing > Headwear", {"fill": True}, ("Clothing", "Headwear", "Headwear")),
        ("A > B > C > D > E", {}, ("A", "B", "E")),
        ("A > B > C > D", {"into": [None, "master_category", "article_type"]}, ("A", "B", "D")),
        ("Sale, Clothing > Tops > Tees, Gifts > Him", {"alternatives": ","}, ("Clothing", "Tops", "Tees")),
        (" > Tops > > Tees >", {}, ("Tops", "Tees", None)),
        ("Mugs", {"by": "::"}, ("Mugs", None, None)),
        ("A::B", {"by": "::"}, ("A", "B", None)),
        ('["A >> B >> C >> D"]', {"by": ">>"}, ("A", "B", "D")),
        ('["A", "B > C"]', {}, ("B", "C", None)),
        ("[new] > Tops", {}, ("[new]", "Tops", None)),
        ("[]", {}, ("[]", None, None)),
        ("Home &amp; Bed &gt; Kitchen &#62; Cups", {}, ("Home &amp; Bed", "Kitchen", "Cups")),
        ("Home &amp; Bed/Cups;Sale", {"alternatives": ";"}, ("Home & Bed", "Cups", None)),
        ("", {"fill": True}, (None, None, None)),
        (None, {}, (None, None, None)),
    ],
)
def test_paths(text: str | None, said: dict[str, object], levels: tuple[str | None, ...]) -> None:
    assert split_path(text, SplitMapping.model_validate({"into": LEVELS, **said})) == levels
