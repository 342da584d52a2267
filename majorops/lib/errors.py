"""What the domain refuses, said so that a person knows what to do next."""

from __future__ import annotations

import inspect


class DomainError(Exception):
    """This was refused."""

    #: Stable name for scripts; the API shows it as `code`.
    code = "refused"
    #: What the API and the pages answer with.
    status = 409

    def __init__(self, message: str | None = None, *, field: str | None = None, **details: object) -> None:
        #: One or two sentences for a person. A subclass's docstring is its default message.
        self.message = message or inspect.cleandoc(self.__doc__ or "This was refused.")
        #: The input that caused the refusal, in snake_case, if one did.
        self.field = field
        #: Facts a program may want (the allowed values, the current state).
        self.details = details
        super().__init__(self.message)


class Invalid(DomainError):
    """The input cannot be accepted."""

    code = "invalid"
    status = 422
