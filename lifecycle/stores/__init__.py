"""L6. Adapters of the `Store` port."""
