"""What the sample shop sells: article types, brands, and how they are priced. Brands are invented."""

from dataclasses import dataclass, field

from catalog.sample.pen import COLOURS

ADULTS = ("Men", "Women")
EVERYONE = ("Men", "Women", "Unisex", "Boys", "Girls")


@dataclass(frozen=True)
class ArticleType:
    """An article type and the facts that its products draw from.

    Attributes:
        price: Median price of an ordinary brand.
        names: What titles call it; some are shared with another type, as in shops.
        materials: Material to price factor.
        attributes: Attribute to the values it takes.
        seasons: Weights of Summer, Fall, Winter, Spring.
    """

    name: str
    sub: str
    master: str
    price: float
    weight: float
    names: tuple[str, ...]
    genders: tuple[str, ...]
    materials: dict[str, float]
    attributes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seasons: tuple[float, float, float, float] = (4, 3, 2, 1)
    patterned: bool = False
    usages: tuple[str, ...] = ("Casual", "Casual", "Casual", "Party")


@dataclass(frozen=True)
class Brand:
    """A brand, its price factor and the master categories it sells."""

    name: str
    factor: float
    masters: tuple[str, ...]


_COTTON = {"Cotton": 1.0, "Linen": 1.3, "Polyester": 0.8, "Cotton Blend": 0.9}
_WOOL = {"Wool": 1.35, "Acrylic": 0.8, "Cashmere": 2.1, "Cotton": 0.95}
_BOTTOM = {"Cotton": 1.0, "Denim": 1.1, "Linen": 1.25, "Polyester": 0.8}
_UPPER = {"Leather": 1.5, "Synthetic": 0.8, "Canvas": 0.9, "Suede": 1.3}
_BAG = {"Leather": 1.7, "Canvas": 0.9, "Nylon": 0.8, "Synthetic": 0.75}
_SLEEVES = ("Short Sleeves", "Long Sleeves", "Three-Quarter Sleeves")
_FITS = ("Regular Fit", "Slim Fit", "Relaxed Fit")

TYPES: tuple[ArticleType, ...] = (
    ArticleType(
        "Tshirts",
        "Topwear",
        "Apparel",
        599,
        11,
        ("T-shirt", "Tee", "Top", "Crew T-shirt"),
        EVERYONE,
        _COTTON,
        {"Sleeve Length": _SLEEVES[:1], "Neck": ("Round Neck", "V-Neck", "Polo Collar"), "Fit": _FITS},
        (6, 2, 1, 2),
        True,
        ("Casual", "Casual", "Sports"),
    ),
    ArticleType(
        "Shirts",
        "Topwear",
        "Apparel",
        1199,
        9,
        ("Shirt", "Casual Shirt", "Button-Down", "Top"),
        EVERYONE,
        _COTTON,
        {"Sleeve Length": _SLEEVES, "Neck": ("Spread Collar", "Button-Down Collar"), "Fit": _FITS},
        (4, 3, 2, 2),
        True,
        ("Casual", "Formal", "Formal"),
    ),
    ArticleType(
        "Sweaters",
        "Topwear",
        "Apparel",
        1599,
        5,
        ("Sweater", "Pullover", "Knit", "Jumper"),
        EVERYONE,
        _WOOL,
        {"Sleeve Length": _SLEEVES[1:2], "Neck": ("Round Neck", "V-Neck")},
        (0, 3, 6, 1),
        True,
    ),
    ArticleType(
        "Jackets",
        "Topwear",
        "Apparel",
        2899,
        5,
        ("Jacket", "Bomber", "Layer", "Zip-Up"),
        EVERYONE,
        {"Polyester": 0.9, "Leather": 2.2, "Denim": 1.1, "Nylon": 1.0},
        {"Sleeve Length": _SLEEVES[1:2], "Closure": ("Zip", "Buttons"), "Neck": ("Stand Collar", "Lapel Collar")},
        (0, 3, 6, 1),
    ),
    ArticleType(
        "Jeans",
        "Bottomwear",
        "Apparel",
        1799,
        6,
        ("Jeans", "Denims", "Denim Bottoms"),
        EVERYONE,
        {"Denim": 1.0, "Stretch Denim": 1.15},
        {"Fit": _FITS, "Waist Rise": ("Mid-Rise", "Low-Rise", "High-Rise")},
        (2, 3, 3, 2),
    ),
    ArticleType(
        "Trousers",
        "Bottomwear",
        "Apparel",
        1499,
        5,
        ("Trousers", "Chinos", "Pants"),
        ADULTS,
        _BOTTOM,
        {"Fit": _FITS, "Waist Rise": ("Mid-Rise", "High-Rise")},
        (3, 3, 2, 2),
        True,
        ("Formal", "Formal", "Casual"),
    ),
    ArticleType(
        "Shorts",
        "Bottomwear",
        "Apparel",
        799,
        4,
        ("Shorts", "Bermudas", "Pants"),
        EVERYONE,
        _BOTTOM,
        {"Fit": _FITS, "Length": ("Above Knee", "Knee Length")},
        (8, 1, 0, 2),
        True,
        ("Casual", "Sports"),
    ),
    ArticleType(
        "Skirts",
        "Bottomwear",
        "Apparel",
        999,
        4,
        ("Skirt", "Pleated Skirt", "Flared Bottom"),
        ("Women", "Women", "Girls"),
        _BOTTOM,
        {"Length": ("Mini", "Knee Length", "Midi")},
        (5, 2, 1, 3),
        True,
    ),
    ArticleType(
        "Dresses",
        "Dress",
        "Apparel",
        1699,
        6,
        ("Dress", "Gown", "Frock"),
        ("Women", "Women", "Women", "Girls"),
        {"Cotton": 1.0, "Viscose": 1.1, "Silk": 2.0, "Polyester": 0.85},
        {"Length": ("Mini", "Knee Length", "Midi", "Maxi"), "Sleeve Length": ("Sleeveless", "Short Sleeves")},
        (5, 2, 1, 4),
        True,
        ("Casual", "Party", "Party"),
    ),
    ArticleType(
        "Sports Shoes",
        "Shoes",
        "Footwear",
        2999,
        7,
        ("Sports Shoes", "Running Shoes", "Trainers", "Shoes"),
        EVERYONE,
        _UPPER,
        {"Fastening": ("Lace-Ups", "Velcro"), "Ankle Height": ("Regular",), "Toe Shape": ("Round Toe",)},
        usages=("Sports",),
    ),
    ArticleType(
        "Formal Shoes",
        "Shoes",
        "Footwear",
        2799,
        4,
        ("Formal Shoes", "Oxfords", "Derbys", "Shoes"),
        ("Men", "Men", "Women"),
        _UPPER,
        {"Fastening": ("Lace-Ups", "Slip-On"), "Ankle Height": ("Regular",), "Toe Shape": ("Pointed Toe", "Round Toe")},
        usages=("Formal",),
    ),
    ArticleType(
        "Boots",
        "Shoes",
        "Footwear",
        3499,
        4,
        ("Boots", "Ankle Boots", "Shoes"),
        ADULTS,
        _UPPER,
        {"Fastening": ("Lace-Ups", "Zip"), "Ankle Height": ("High-Top", "Mid-Top"), "Toe Shape": ("Round Toe",)},
        (0, 4, 6, 1),
    ),
    ArticleType(
        "Heels",
        "Shoes",
        "Footwear",
        1999,
        5,
        ("Heels", "Stilettos", "Pumps"),
        ("Women",),
        _UPPER,
        {"Heel Height": ("2.5 inches", "3 inches", "4 inches"), "Toe Shape": ("Pointed Toe", "Open Toe")},
        usages=("Party", "Casual"),
    ),
    ArticleType(
        "Sandals",
        "Sandal",
        "Footwear",
        1299,
        4,
        ("Sandals", "Strappy Flats", "Flats"),
        EVERYONE,
        _UPPER,
        {"Fastening": ("Buckle", "Velcro", "Slip-On"), "Toe Shape": ("Open Toe",)},
        (8, 1, 0, 3),
    ),
    ArticleType(
        "Handbags",
        "Handheld Bags",
        "Bags",
        1899,
        5,
        ("Handbag", "Tote", "Shoulder Bag", "Bag"),
        ("Women",),
        _BAG,
        {"Closure": ("Zip", "Magnetic Snap"), "Compartments": ("1", "2", "3")},
    ),
    ArticleType(
        "Backpacks",
        "Back Bags",
        "Bags",
        1499,
        5,
        ("Backpack", "Rucksack", "Laptop Bag", "Bag"),
        ("Unisex", "Men", "Women", "Boys", "Girls"),
        _BAG,
        {
            "Closure": ("Zip", "Drawstring"),
            "Compartments": ("1", "2", "3"),
            "Laptop Size": ("None", "Up to 14 inch", "Up to 16 inch"),
        },
    ),
    ArticleType(
        "Watches",
        "Watches",
        "Watches",
        3999,
        6,
        ("Watch", "Analogue Watch", "Chronograph", "Timepiece"),
        ("Men", "Women", "Unisex"),
        {"Steel": 1.3, "Leather": 1.1, "Resin": 0.6},
        {"Display": ("Analogue",), "Water Resistance": ("30 m", "50 m", "100 m")},
    ),
    ArticleType(
        "Sunglasses",
        "Eyewear",
        "Eyewear",
        1799,
        4,
        ("Sunglasses", "Shades", "Aviators", "Eyewear"),
        ("Men", "Women", "Unisex"),
        {"Metal": 1.2, "Acetate": 1.0, "Plastic": 0.7},
        {"Lens": ("Polarised", "UV Protected"), "Frame Shape": ("Oval", "Round")},
        (8, 1, 1, 3),
    ),
    ArticleType(
        "Frames",
        "Eyewear",
        "Eyewear",
        1399,
        3,
        ("Frames", "Spectacle Frames", "Reading Glasses", "Eyewear"),
        ("Men", "Women", "Unisex"),
        {"Metal": 1.2, "Acetate": 1.0, "Plastic": 0.7},
        {"Frame Shape": ("Oval", "Round")},
    ),
    ArticleType(
        "Caps",
        "Headwear",
        "Accessories",
        499,
        4,
        ("Cap", "Baseball Cap", "Headgear"),
        ("Men", "Unisex", "Boys"),
        _COTTON,
        {"Closure": ("Strap Back", "Snapback")},
        (5, 2, 1, 2),
        True,
        ("Casual", "Sports"),
    ),
    ArticleType(
        "Hats",
        "Headwear",
        "Accessories",
        899,
        3,
        ("Hat", "Fedora", "Trilby", "Headgear"),
        ("Men", "Women", "Unisex"),
        {"Straw": 0.9, "Felt": 1.3, "Cotton": 0.85},
        {"Brim": ("Narrow", "Wide")},
        (5, 2, 2, 2),
    ),
    ArticleType(
        "Scarves",
        "Scarves",
        "Accessories",
        699,
        4,
        ("Scarf", "Stole", "Muffler"),
        ("Men", "Women", "Unisex"),
        _WOOL,
        {"Length": ("160 cm", "180 cm", "200 cm")},
        (0, 3, 7, 1),
        True,
    ),
    ArticleType(
        "Belts",
        "Belts",
        "Accessories",
        899,
        4,
        ("Belt", "Waist Belt", "Buckle Strap"),
        ADULTS,
        {"Leather": 1.4, "Canvas": 0.7, "Synthetic": 0.7},
        {"Buckle": ("Pin", "Plate")},
        usages=("Casual", "Formal"),
    ),
    ArticleType(
        "Necklaces",
        "Necklaces",
        "Jewellery",
        999,
        3,
        ("Necklace", "Pendant", "Chain"),
        ("Women", "Women", "Girls"),
        {"Brass": 0.6, "Silver": 1.6, "Steel": 0.8},
        {"Plating": ("Gold", "Silver", "None")},
        usages=("Casual", "Party", "Party"),
    ),
)

NEW_TYPES: tuple[ArticleType, ...] = (
    ArticleType(
        "Flip Flops",
        "Flip Flops",
        "Footwear",
        399,
        8,
        ("Flip Flops", "Slides", "Slippers"),
        EVERYONE,
        {"Rubber": 1.0, "EVA": 0.9},
        {"Toe Shape": ("Open Toe",)},
        (8, 1, 0, 2),
    ),
    ArticleType(
        "Perfumes",
        "Fragrance",
        "Personal Care",
        2499,
        8,
        ("Perfume", "Eau de Toilette", "Fragrance"),
        ("Men", "Women", "Unisex"),
        {"Glass": 1.0},
        {"Volume": ("30 ml", "50 ml", "100 ml")},
    ),
    ArticleType(
        "Umbrellas",
        "Umbrellas",
        "Accessories",
        899,
        8,
        ("Umbrella", "Rain Umbrella", "Parasol"),
        ("Men", "Women", "Unisex"),
        {"Polyester": 0.9, "Nylon": 1.0, "Pongee": 1.3},
        {"Opening": ("Automatic", "Manual"), "Ribs": ("8", "10", "16")},
        patterned=True,
    ),
)
"""What only a drifted delivery holds."""

_WEAR = ("Apparel",)
_ALL_OVER = ("Apparel", "Footwear", "Accessories", "Bags")
_SMALL = ("Accessories", "Jewellery", "Eyewear", "Watches")

BRANDS: tuple[Brand, ...] = (
    Brand("Alder & Finch", 1.1, _ALL_OVER),
    Brand("Nordlys", 1.5, _ALL_OVER),
    Brand("Casa Verano", 0.9, _ALL_OVER),
    Brand("Kestrel", 1.3, ("Footwear", "Apparel")),
    Brand("Mirabelle", 1.2, ("Apparel", "Jewellery", "Bags")),
    Brand("Plainweave", 0.65, _WEAR),
    Brand("Oakline", 0.8, _ALL_OVER),
    Brand("Strida", 1.4, ("Footwear", "Bags")),
    Brand("Tandem Denim", 1.15, _WEAR),
    Brand("Halcyon", 2.1, _SMALL),
    Brand("Pico", 0.55, _ALL_OVER),
    Brand("Lumière", 1.9, ("Eyewear", "Watches", "Jewellery")),
    Brand("Ferrow", 1.0, ("Footwear", "Bags", "Accessories")),
    Brand("Brightwater", 0.75, _WEAR),
    Brand("Corvo", 1.6, ("Footwear", "Bags", "Accessories")),
    Brand("Saffron Lane", 0.7, _ALL_OVER),
    Brand("Ticker & Co", 1.2, ("Watches", "Eyewear")),
    Brand("Meridian", 2.6, ("Watches", "Bags", "Eyewear")),
    Brand("Wren", 0.95, ("Apparel", "Accessories", "Jewellery")),
    Brand("Bluefin", 1.05, ("Footwear", "Watches", "Eyewear")),
    Brand("Juniper", 0.85, _ALL_OVER),
    Brand("Atlas Goods", 1.25, ("Bags", "Accessories")),
    Brand("Solène", 1.75, ("Apparel", "Bags", "Jewellery")),
    Brand("Peppermint", 0.6, ("Apparel", "Footwear", "Accessories")),
    Brand("Grand Tour", 1.35, ("Bags", "Eyewear", "Watches")),
    Brand("Inkwell", 0.9, _SMALL),
    Brand("Rook", 1.45, _WEAR),
    Brand("Mono", 1.0, _ALL_OVER),
)

NEW_BRANDS: tuple[Brand, ...] = (
    Brand("Zenit Lab", 1.3, (*_ALL_OVER, "Personal Care")),
    Brand("Volta", 1.5, (*_ALL_OVER, *_SMALL)),
    Brand("Hush", 1.0, (*_ALL_OVER, *_SMALL)),
    Brand("Kite Street", 1.2, (*_ALL_OVER, "Eyewear")),
    Brand("Ambra", 1.8, ("Personal Care", "Jewellery", "Bags", "Watches")),
)

SEASONS = ("Summer", "Fall", "Winter", "Spring")
PATTERNS = ("Solid", "Striped", "Checked", "Dotted", "Printed")
PATTERN_WEIGHTS = (0.46, 0.18, 0.14, 0.11, 0.11)
COLOUR_NAMES = tuple(COLOURS)
COLOUR_WEIGHTS = (20, 11, 14, 6, 8, 7, 8, 9, 6, 4, 4, 3, 5, 3, 2)
