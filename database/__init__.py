"""The application database: what was predicted, what people said about it, who promoted what, what monitoring saw."""
