"""From disk to a table of photos."""


class UserError(Exception):
    """Something a person can put right; the message is one line that names the value and the remedy."""


class AwayError(UserError):
    """Another program that says no or does not answer; it may be there for the next call."""


class WrongUsageError(UserError):
    """A command that can never be followed, whatever the files hold."""
