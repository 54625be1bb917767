"""Jobs over HTTP: how a request becomes one, and the routes that tell of it."""
