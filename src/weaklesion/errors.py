"""The one exception that tells a user about bad input."""


class DataError(ValueError):
    """Input that cannot be used; the message names the file, the cause and the cure."""
