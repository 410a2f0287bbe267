"""The life of an inbound e-mail in a contact centre, as an explicit finite-state machine."""
