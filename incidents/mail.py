"""A notice as an e-mail: text and HTML, one thread per incident, a link that ends it."""

from __future__ import annotations

from smtplib import SMTPException

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from incidents.models import Delivery, Notice
from incidents.outbox_rules import Event
from incidents.outbox_words import Words
from incidents.subscriptions import stop_token
from incidents.webhooks import words_for
from majorops.lib.blocks import blocks_of
from majorops.lib.outgoing import NotSent


def send(delivery: Delivery, notice: Notice) -> None:
    """Hands it to the mail server. Raises NotSent."""
    try:
        message_of(delivery, notice).send()
    except (OSError, SMTPException, ValueError) as error:
        code = getattr(error, "smtp_code", "")
        raise NotSent(
            f"The mail server did not take it ({type(error).__name__}{f' {code}' if code else ''})."
        ) from None


def message_of(delivery: Delivery, notice: Notice) -> EmailMultiAlternatives:
    words = words_for(notice, delivery.person)
    stop = stop_link(delivery, notice)
    message = EmailMultiAlternatives(
        subject=" ".join(words.subject.split()),
        body=as_text(words, stop),
        to=[delivery.person.email if delivery.person else delivery.address],
        headers=headers_of(delivery, notice, stop),
    )
    message.attach_alternative(as_html(notice, words, stop), "text/html")
    return message


def headers_of(delivery: Delivery, notice: Notice, stop: str) -> dict[str, str]:
    """A thread has a root that was never sent, so that everybody's begins alike, whenever they joined."""
    host = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip("<> ") or "majorops.invalid"
    headers = {"Message-ID": f"<{delivery.message_id}@{host}>", "Auto-Submitted": "auto-generated"}
    if notice.incident_id:
        root = f"<incident-{notice.incident_id}@{host}>"
        headers |= {"In-Reply-To": root, "References": root}
    if stop:
        headers |= {"List-Unsubscribe": f"<{stop}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return headers


def stop_link(delivery: Delivery, notice: Notice) -> str:
    """Where this person ends it; empty for an address that nobody subscribed, or without an address of this site."""
    base = settings.MAJOROPS_PUBLIC_URL.rstrip("/")
    if not (base and delivery.person and notice.incident_id):
        return ""
    return base + reverse("stop", args=[stop_token(delivery.person, notice.incident_id)])


def as_html(notice: Notice, words: Words, stop: str) -> str:
    """What people wrote stays as they wrote it; a report of ours has headings and tables."""
    blocks = list(blocks_of(words.text)) if notice.event == Event.MESSAGE else []
    return render_to_string("incidents/mail.html", {"words": words, "blocks": blocks, "stop": stop})


def as_text(words: Words, stop: str) -> str:
    """Built here: a template would escape it."""
    facts = "\n".join(f"{label}: {value}" for label, value in words.facts)
    parts = [words.headline, words.text, facts, words.link, f"Stop these messages: {stop}" if stop else ""]
    return "\n\n".join(part for part in parts if part) + "\n"
