"""How good a listing is by axis, and what would make it better."""
