"""How a describer writes: candidates that can state only what is given, and the choice among them."""
