"""All reads of the dashboard, and all its caching."""
