"""Measures of rankings, their comparison, intervals and summaries. Pure arithmetic."""
