"""Products that are like another: the index of a version, what clients put over it, and the routes that ask."""
