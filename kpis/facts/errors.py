"""What the ledger of facts refuses. The docstring is the message a person reads."""

from __future__ import annotations

from majorops.lib.errors import DomainError, Invalid


class BadFact(Invalid):
    """This fact cannot be stored."""

    code = "invalid_fact"


class UnknownKind(Invalid):
    """No kind of fact has this name. Define it first, in the admin or with mim fact kinds."""

    code = "unknown_kind"


class KindNotInUse(Invalid):
    """This kind of fact takes no facts now."""

    code = "kind_not_in_use"


class UnknownSubject(Invalid):
    """Nothing of this name is registered. Register it first, in the admin under Subjects."""

    code = "unknown_subject"


class UnknownFact(Invalid):
    """There is no fact of this id to correct."""

    code = "unknown_fact"


class BadKind(Invalid):
    """A fact kind cannot be defined like this."""

    code = "invalid_kind"


class BodyTooLarge(DomainError):
    """The body is too large. Send less at once."""

    code = "too_large"
    status = 413


class EmptyBody(Invalid):
    """The body has no line. Send one JSON object on each line."""

    code = "empty_body"


class UnknownAdapter(DomainError):
    """No adapter has this name."""

    code = "unknown_adapter"
    status = 404


class WrongSignature(DomainError):
    """Nothing proves who sent this: the signature, or the secret, is missing or wrong."""

    code = "wrong_signature"
    status = 401
