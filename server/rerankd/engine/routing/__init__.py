"""Routes calls: model groups, deployments, balancing, limiters, circuit breakers, retries, hedges."""
