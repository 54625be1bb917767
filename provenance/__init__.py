"""Where a result came from, and whether it still holds: source, data, configuration."""
