"""Learning reviews, their follow-ups, and the survey. The rules are in review.py, follow_ups.py, survey.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from accounts.models import User
from incidents.actions.reviews import PUBLIC_LENGTH
from incidents.follow_ups import FollowUpState, FollowUpType, Priority
from incidents.forms.core import Form
from incidents.forms.fields import Prose
from incidents.models import ContributingFactor, FollowUp, LearningReview
from incidents.survey import BEST, WORST

SECTION = "section_"


class Somebody(forms.CharField):
    """A person by e-mail address; the browser suggests some. Empty is nobody."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.TextInput({"list": "people", "autocomplete": "off", "placeholder": "name@example.com"})
        super().__init__(max_length=254, widget=widget, **{"required": False, **kwargs})

    def prepare_value(self, value: Any) -> Any:
        return value.email if isinstance(value, User) else value

    def clean(self, value: Any) -> User | None:
        typed = str(super().clean(value)).strip().lower()
        if not typed:
            return None
        found = User.objects.filter(email=typed, is_active=True).first()
        if found is None:
            raise ValidationError("Nobody with an account has this address.")
        return found


class ReviewForm(Form):
    """The texts of one review, its owner and its factors. `version` is the one that was shown."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    owner = Somebody(label="Owner", help_text="Sees the review through. Needed before it goes on from draft.")

    def __init__(
        self, *args: Any, review: LearningReview, factors: Iterable[ContributingFactor], **kwargs: Any
    ) -> None:
        texts = {SECTION + str(each["key"]): each["text"] for each in review.sections}
        ticked = [each.slug for each in review.factors.all()]
        initial = {"version": review.version, "owner": review.owner, "factors": ticked, **texts}
        initial["public_text"] = review.public_text
        super().__init__(*args, initial=initial, **kwargs)
        for each in review.sections:
            self.fields[SECTION + str(each["key"])] = Prose(
                label=str(each["title"]), help_text=str(each["help"]), required=False, rows=4, max_length=20_000
            )
        self.fields["public_text"] = Prose(
            label="For the public status page",
            help_text="Anybody reads this once the review is published, if the incident is on that page. Nothing else "
            "of the review is shown there.",
            required=False, rows=4, max_length=PUBLIC_LENGTH,
        )  # fmt: skip
        self.known = {each.slug: each for each in factors}
        choices = [(each.slug, each.name) for each in self.known.values() if each.is_active or each.slug in ticked]
        if choices:
            self.fields["factors"] = forms.MultipleChoiceField(
                choices=choices, required=False, widget=forms.CheckboxSelectMultiple, label="Contributing factors",
                help_text="Tick what helped it come about. Counted over all reviews; it blames nobody.",
            )  # fmt: skip

    @property
    def sections(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith(SECTION)]

    @property
    def changes(self) -> dict[str, object]:
        """What was sent, as edit_review takes it."""
        said = self.cleaned_data
        texts = {name.removeprefix(SECTION): text for name, text in said.items() if name.startswith(SECTION)}
        changes: dict[str, object] = {"sections": texts, "owner": said["owner"], "public_text": said["public_text"]}
        if "factors" in self.fields:
            changes["factors"] = [self.known[slug] for slug in said["factors"]]
        return changes


class MoveForm(Form):
    state = forms.CharField(max_length=10)
    reason = forms.CharField(max_length=500, required=False, label="Why", help_text="The history keeps it.")
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)


class FollowUpForm(Form):
    title = forms.CharField(max_length=200, label="What will be different", error_messages={"required": "Write what."})
    type = forms.ChoiceField(label="Kind", choices=FollowUpType.choices)
    priority = forms.ChoiceField(label="Priority", choices=Priority.choices, initial=Priority.MEDIUM)
    owner = Somebody(label="Owner")
    due_on = forms.DateField(label="Due", required=False, widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"))
    details = Prose(label="How one sees that it is done", rows=2, required=False)


class FollowUpEditForm(FollowUpForm):
    """A follow-up as it stands, with its state."""

    state = forms.ChoiceField(label="State", choices=FollowUpState.choices)
    reason = forms.CharField(max_length=500, required=False, label="Why", help_text="Needed to drop it.")
    version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, follow_up: FollowUp, **kwargs: Any) -> None:
        names = ("title", "type", "priority", "owner", "due_on", "details", "state", "version")
        super().__init__(*args, initial={name: getattr(follow_up, name) for name in names}, **kwargs)

    @property
    def changes(self) -> dict[str, object]:
        return {name: value for name, value in self.cleaned_data.items() if name not in ("reason", "version")}


class AnswerSurveyForm(Form):
    """One tap, and a comment for those who have more to say."""

    score = forms.TypedChoiceField(
        label="How well were you kept informed?",
        choices=[(1, f"1 {WORST}"), (2, "2"), (3, "3"), (4, "4"), (5, f"5 {BEST}")],
        coerce=int,
        widget=forms.RadioSelect,
        error_messages={"required": "Choose a number from 1 to 5.", "invalid_choice": "Choose a number from 1 to 5."},
    )
    comment = Prose(
        label="What should we do differently?", rows=3, required=False, max_length=2000,
        help_text="Shown without your name, once three people have answered.",
    )  # fmt: skip


class AskForm(Form):
    person = Somebody(label="Ask somebody else", required=True, error_messages={"required": "Name somebody."})
