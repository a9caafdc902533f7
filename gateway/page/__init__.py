"""The search page: static files, and the headers that they go out under."""
