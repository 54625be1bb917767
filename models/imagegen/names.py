"""How the metrics of an image generator read, in the order of the page."""

from models.evaluation.names import Names

PEERS = {
    "prior": "the linear prior alone, without the network",
    "nearest": "the average of the nearest photos' products",
}
"""What it is held against, by the prefix of its metrics."""

HELD = ("type_agreement", "colour_agreement", "fid", "kid")
"""Metrics that peers have as well."""

REAL = "real"
"""Prefix of what is measured of real photos."""

NAMES = Names(
    metrics={
        "type_agreement": ("The judge sees the article type that was asked for", "higher"),
        "best.type_agreement": ("The same of the best of several candidates, by score", "higher"),
        # Of photos that no version draws: they tell what the judge can see at all.
        "real.type_agreement": ("The same of the products' own photos", None),
        "colour_agreement": ("The judge sees the base colour", "higher"),
        "best.colour_agreement": ("The same of the best of several candidates", "higher"),
        "real.colour_agreement": ("The same of the products' own photos", None),
        "named.colour_agreement": ("The judge sees the base colour, where the title names it", "higher"),
        "real.named.colour_agreement": ("The same of the products' own photos", None),
        "fid": ("Frechet distance to photos of these products, in the judge's features", "lower"),
        "real.fid": ("The same of as many photos of other products", None),
        "kid": ("Kernel distance to photos of these products", "lower"),
        "real.kid": ("The same of as many photos of other products", None),
        "score": ("Score of the first candidate", "higher"),
        "best.score": ("Score of the best candidate", "higher"),
        "real.score": ("Score of the products' own photos", None),
        "memorised": ("Best candidates that count as copies of training photos", "lower"),
        "real.memorised": ("Unseen photos that would count as such", None),
        "nearest_distance": ("Distance of the best candidate to the nearest training photo: median", None),
        "real.nearest_distance": ("The same of the products' own photos", None),
        "judged_types": ("Prompts whose article type the judge knows", None),
        "judged_colours": ("Prompts whose base colour the judge knows", None),
        # Judged by gates only: two versions are timed at different moments of a busy machine.
        "draw_p50_ms": ("One image: median, ms", None),
        "draw_p95_ms": ("One image: 95th percentile, ms", None),
    },
    headline=("type_agreement", "best.type_agreement", "colour_agreement", "fid"),
    peers={metric: tuple(f"{peer}.{metric}" for peer in PEERS) for metric in HELD},
    does={f"{peer}.{metric}": what for peer, what in PEERS.items() for metric in HELD},
    slices={"master_category": "Department", "photos": "Training photos of the type"},
)
