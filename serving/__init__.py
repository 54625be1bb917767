"""The HTTP service: BentoML around one ASGI application, models that follow the registry, adaptive batching."""
