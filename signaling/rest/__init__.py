"""The REST interface: routes on one screen (`routes`), thin handlers, one error table."""
