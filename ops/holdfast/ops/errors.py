"""The one error that a person is meant to read."""


class CommandError(Exception):
    """Something that stops a command and that a person can cure.

    `cure` is what to do or type next; it may be empty if the message says it all.
    """

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.cure = cure
