"""Where a request goes: models, deployments, balancing, limits, circuit breakers, retries, hedges."""
