"""Our HTTP client and the content codings that it shares with the listener."""
