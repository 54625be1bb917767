"""What a text states, what a listing gives, and texts that state only what is given."""
