"""How shards reach workers; a module an engine."""
