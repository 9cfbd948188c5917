"""Models that are reached over a network: credentials, discovery, refresh."""
