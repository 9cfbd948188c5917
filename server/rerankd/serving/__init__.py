"""Runs the service: composition, worker processes, reload, engine versions, gauges."""
