"""The only caching, and the only reads of the dashboard."""
