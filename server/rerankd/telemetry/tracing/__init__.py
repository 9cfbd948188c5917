"""Traces: W3C context in and out, spans of calls, and the OpenTelemetry tracers that export them."""
