"""Pages and management routes: a Starlette application that the gateway mounts beside its rerank routes."""
