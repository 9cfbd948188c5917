"""Limits and budgets: settings, meters, ledgers, and the service that holds calls to them."""
