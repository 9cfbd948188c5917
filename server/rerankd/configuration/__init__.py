"""Typed settings from files and the environment, for any msgspec Struct."""
