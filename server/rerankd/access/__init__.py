"""Access: who may call, what and how much. Wraps the service, and knows no transport."""
