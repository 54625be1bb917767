"""The application database: predictions and what was said about them, users' events, who promoted what, monitoring runs."""
