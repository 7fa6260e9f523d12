"""From disk to a table of photos."""


class UserError(Exception):
    """Something a person can put right; the message is one line that names the value and the remedy."""


class WrongUsageError(UserError):
    """A command that can never be followed, whatever the files hold."""
