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
        "type_agreement": ("Article type right, by the judge", "higher"),
        "best.type_agreement": ("Article type right: best candidate", "higher"),
        # Of photos that no version draws: they tell what the judge can see at all.
        "real.type_agreement": ("Article type right: real photos", None),
        "colour_agreement": ("Base colour right, by the judge", "higher"),
        "best.colour_agreement": ("Base colour right: best candidate", "higher"),
        "real.colour_agreement": ("Base colour right: real photos", None),
        "named.colour_agreement": ("Base colour right, where the title names it", "higher"),
        "real.named.colour_agreement": ("Base colour right, where the title names it: real photos", None),
        "fid": ("Frechet distance to real photos, in the judge's features", "lower"),
        "real.fid": ("Frechet distance: real photos to real photos", None),
        "kid": ("Kernel distance to real photos", "lower"),
        "real.kid": ("Kernel distance: real photos to real photos", None),
        "score": ("Score", "higher"),
        "best.score": ("Score: best candidate", "higher"),
        "real.score": ("Score: real photos", None),
        "memorised": ("Best candidates that count as copies of training photos", "lower"),
        "real.memorised": ("Real photos that would count as copies", None),
        "nearest_distance": ("Distance to the nearest training photo, median: best candidate", None),
        "real.nearest_distance": ("Distance to the nearest training photo, median: real photos", None),
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
