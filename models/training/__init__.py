"""How every model trains."""
