"""One module per family of clients: what it sends, what it expects back, and how it wants to hear of errors."""
