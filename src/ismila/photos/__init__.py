"""From disk to a table of photos."""


class UserError(Exception):
    """Something a person can put right; the message is one line that names the value and the remedy."""
