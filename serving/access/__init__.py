"""Who may ask, and how much: keys, scopes and rates, before anything of a request's body is read."""
