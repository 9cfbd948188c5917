"""The HTTP listener: connections, their limits, content codings and cross-origin headers, around the gateway."""
