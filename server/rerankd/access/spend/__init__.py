"""Spend: what calls used and cost, summed by day, key, group, user and model, and kept in the store."""
