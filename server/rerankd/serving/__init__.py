"""The service's process life: composition, workers, reload, engine versions, gauges."""
