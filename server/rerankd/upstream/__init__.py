"""Providers reached over the network: transports, authentication, and deployments that use both."""
