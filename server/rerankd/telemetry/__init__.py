"""Telemetry of the service: records of calls, metrics, log lines and spans."""
