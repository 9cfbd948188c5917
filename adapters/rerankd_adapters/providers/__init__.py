"""Adapters and declarations of the built-in providers, one file per provider's wire format; `registry` lists them."""
