"""L6. Adapters of the `Sink` port."""
