"""L6. Adapters of the `Mailer` port."""
