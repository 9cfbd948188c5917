"""Metrics of the process: instruments, histograms, and their export over OTLP."""
