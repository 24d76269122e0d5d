"""The exception for input that a user has to correct."""


class DataError(ValueError):
    """Input that cannot be used; the message names the file, the cause and the cure."""
