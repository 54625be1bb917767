"""Words that state a value in any catalogue: a closed list beside what each catalogue's own values teach.

Each entry is one value; a plural, a hyphen and case make no difference (`models.describer.facts.forms`).
"""

import shlex


def listed(text: str) -> tuple[str, ...]:
    """Entries of a list; those of several words stand in quotes."""
    return tuple(shlex.split(text))


COLOURS = """
aqua beige black blue bronze brown burgundy charcoal copper coral cream crimson cyan ecru emerald fuchsia fuschia gold
golden green grey indigo ivory khaki lavender lilac lime magenta mahogany maroon mauve mint multicoloured mustard navy
nude ochre olive orange peach pink plum purple red rust scarlet silver tan taupe teal turquoise violet white yellow
bluish greenish blackish whitish "navy blue" "off white" "sea green" "sky blue" "royal blue" "light blue" "dark blue"
"bottle green" "hot pink" "jet black" "rose gold"
"""
MATERIALS = """
cotton polyester nylon elastane spandex lycra viscose rayon linen wool woollen cashmere silk satin chiffon georgette
crepe denim leather leatherette suede nubuck canvas mesh velvet fleece corduroy lace jersey modal acrylic microfiber
microfibre rubber synthetic resin plastic acetate titanium steel brass alloy metal metallic silicone eva pu tpu pvc
jute straw bamboo khadi net tulle twill poplin terry fur faux crystal rhinestone pearl glass ceramic wood wooden cork
gel "stainless steel" dri-fit "faux leather" "synthetic leather" "cotton blend" "genuine leather" "patent leather"
polycotton chambray organza brocade jacquard zinc "base metal" gunmetal
"""
MODIFIERS = ("blend", "blended", "faux", "synthetic", "artificial", "imitation", "look", "mix", "like", "free")
"""Beside a material they make another one of it: "cotton" is not given by "cotton blend", nor "leather" by "faux leather"."""
CARE = """
wash washable bleach iron ironing tumble "dry clean" "dry flat" "line dry" detergent wipe soak wring "machine wash"
"hand wash" rinse
"""
GENDERS = {
    "men": ("men", "man", "mens", "male", "gentleman", "gentlemen", "guy"),
    "women": ("women", "woman", "womens", "female", "lady", "ladies", "feminine"),
    "boys": ("boy", "boys"),
    "girls": ("girl", "girls"),
    "unisex": ("unisex",),
}
FITS = """
"regular fit" "slim fit" "skinny fit" "loose fit" "comfort fit" "tight fit" "relaxed fit" slim skinny "low rise"
"mid rise" "high rise" bootcut "boot cut" "straight leg" tapered oversized
"""
PATTERNS = """
striped stripe stripes checked checks check checkered plaid floral printed print graphic abstract polka dots dotted
paisley argyle camouflage embroidered embroidery embellished sequinned sequin sequins beaded applique solid
"self design" typography colourblocked "colour block" ribbed quilted distressed washed faded melange
"""
DETAILS = """
pocket placket zip zipper zippered lining lined strap strappy sole outsole midsole insole footbed hood hooded collar
collared cuff hem button buttoned buckle drawstring waistband elasticated elastic "belt loop" loop eyelet lace-up
laced slip-on velcro tassel fringe ruffle pleat pleated gathers gathered slit vent panel yoke piping tape patch rivet
stud studded chain clasp dial bezel crystal hand chronograph bracelet lens frame rim temple polarised gradient heel
wedge platform toe "peep toe" "round toe" vamp "ankle strap" padded padding perforated cushioned compartment flap
handle sling sleeve sleeveless "short sleeve" "long sleeve" "three-quarter sleeve" "cap sleeve" raglan "round neck"
v-neck "crew neck" "polo neck" "scoop neck" "boat neck" neckline "mandarin collar" "spread collar" logo emblem swoosh
crest badge slogan text number analogue digital quartz automatic mechanical "water resistant" waterproof uv underwired
wired seamless sheer transparent backless halter spaghetti tie-up knot bow motif brooch hook pendant stone drop hoop
warranty guarantee fragrance notes spf hypoallergenic dermatologically tag seam stitch stitched stitching embossed engraved
branding closure tongue upper grip traction rise fly topstitch print-tape mesh-panel quarter overlay detailing
detail accent trim contrast signature monogram inner main key sequence layered curved bottom edge waist combed organic burnished
oiled cleat low recycled resistant
"""
NUMBERS = frozenset(listed("two three four five six seven eight nine ten twelve"))
"""Numbers in words; "one" is mostly none."""
SAYS_NOTHING = frozenset(
    listed(
        """na n/a none null - -- nan no yes other others regular basic basics single standard assorted hybrid unknown free
        "not applicable" "new basics\""""
    )
)
"""Values that state nothing, in one spelling."""

HEADINGS = frozenset(
    listed(
        """composition "wash care" "style note" "product details" "material and care" fitting fit care "size and fit" upper
        outsole midsole insole size "shoe care" "model statistics" width height depth warranty caution length dimensions quantity
        "product description" heel "materials and care" material materials fabric features "bag care" "sandal care" "sock care"
        "dial shape" "lens width" "frame colour" "lens colour" details description note"""
    )
)
"""What stands above a part of a description, and is no sentence."""
SKIPPED = frozenset(
    listed(
        """"wash care" care "size and fit" "shoe care" "model statistics" warranty caution size dimensions width height depth
        "bag care" "sandal care" "sock care" quantity length "material and care" "materials and care\""""
    )
)
"""Headings of parts that hold no sentence about the product as such."""
