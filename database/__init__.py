"""The application database: predictions and feedback, users' events, few-shot tasks, who promoted what, monitoring runs."""
