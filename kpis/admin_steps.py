"""Pages of the definition tool beside the form: preview, publish, versions, review, retire, import. One step each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

from accounts.models import User
from accounts.visibility import viewer_of
from kpis import actions, exchange
from kpis.actions import Editor, contents, draft_of, running_of
from kpis.admin_forms import CommitForm, FileForm, NoteForm, ReasonForm, TargetFormSet
from kpis.definitions import RUNNING
from kpis.differences import FieldChange, differences
from kpis.models import DefinitionStatus, KpiDefinition, KpiDefinitionVersion
from kpis.preview import preview
from majorops.lib.errors import DomainError
from majorops.lib.visibility import visible

TEMPLATES = "admin/kpis/kpidefinition"


@dataclass(frozen=True, slots=True)
class Step:
    """Something done to one or several definitions, with a sentence why."""

    title: str
    told: str
    button: str
    form: type[forms.Form]
    #: Does it to one definition. False: there was nothing to do.
    do: Callable[[KpiDefinition, Editor, str], object]
    done: str


STEPS = {
    "review": Step(
        "Mark reviewed",
        "You looked at the definition and it still holds. Editing is not reviewing: this changes nothing else.",
        "Mark reviewed",
        NoteForm,
        lambda definition, editor, note: actions.mark_reviewed(definition, editor, note=note),
        "Reviewed",
    ),
    "retire": Step(
        "Retire",
        "No more values are computed or stated. What is stored stays, with its definition, and can be read.",
        "Retire",
        ReasonForm,
        lambda definition, editor, reason: actions.retire(definition, editor, reason=reason),
        "Retired",
    ),
    "bring-back": Step(
        "Bring back",
        "The definition runs again from the next computation on.",
        "Bring back",
        ReasonForm,
        lambda definition, editor, reason: actions.bring_back(definition, editor, reason=reason),
        "Back",
    ),
}


class Steps(admin.ModelAdmin):
    """The pages, for the definition tool to inherit."""

    def get_urls(self) -> list[Any]:
        wrap, name = self.admin_site.admin_view, "kpis_kpidefinition"
        return [
            path("import/", wrap(self.import_view), name=f"{name}_import"),
            path("step/<slug:step>/", wrap(self.step_view), name=f"{name}_step"),
            path("add/preview/", wrap(self.preview_new_view), name=f"{name}_preview_new"),
            path("<path:object_id>/preview/", wrap(self.preview_view), name=f"{name}_preview"),
            path("<path:object_id>/publish/", wrap(self.publish_view), name=f"{name}_publish"),
            path("<path:object_id>/versions/", wrap(self.versions_view), name=f"{name}_versions"),
            *super().get_urls(),
        ]

    # --- Review, retire, bring back: one definition or several ---

    @admin.action(description="Mark reviewed…", permissions=["change"])
    def mark_reviewed(self, request: HttpRequest, chosen: QuerySet[KpiDefinition]) -> HttpResponse:
        return _to_step("review", chosen)

    @admin.action(description="Retire…", permissions=["change"])
    def retire(self, request: HttpRequest, chosen: QuerySet[KpiDefinition]) -> HttpResponse:
        return _to_step("retire", chosen)

    @admin.action(description="Bring back…", permissions=["change"])
    def bring_back(self, request: HttpRequest, chosen: QuerySet[KpiDefinition]) -> HttpResponse:
        return _to_step("bring-back", chosen)

    def step_view(self, request: HttpRequest, step: str) -> HttpResponse:
        """Asks why, then does it to every definition named by `of`."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        told, wanted = STEPS.get(step), request.GET.getlist("of") or request.POST.getlist("of")
        chosen = list(visible(KpiDefinition.objects.order_by("slug"), viewer_of(request)).filter(pk__in=wanted))
        if told is None or not chosen:
            raise Http404
        form = told.form(request.POST if request.method == "POST" else None)
        if form.is_valid():
            editor, why = editor_of(request), form.cleaned_data["reason"]
            done = [definition.slug for definition in chosen if told.do(definition, editor, why)]
            self._tell(request, f"{told.done}: {', '.join(done)}." if done else "Nothing to do.")
            return HttpResponseRedirect(self._list_or_form(chosen))
        context = {"step": told, "chosen": chosen, "form": form}
        return self._page(request, "step.html", told.title, context)

    def _list_or_form(self, chosen: list[KpiDefinition]) -> str:
        if len(chosen) == 1:
            return reverse("admin:kpis_kpidefinition_change", args=[chosen[0].pk])
        return reverse("admin:kpis_kpidefinition_changelist")

    # --- Preview and publish ---

    def preview_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What the posted, unsaved form would change. Writes nothing."""
        return self._previewed(request, self._definition(request, object_id))

    def preview_new_view(self, request: HttpRequest) -> HttpResponse:
        """The same of a definition that is not there yet."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return self._previewed(request, None)

    def _previewed(self, request: HttpRequest, stored: KpiDefinition | None) -> HttpResponse:
        definition = stored or KpiDefinition()
        was_personal = definition.is_personal
        form_class = self.get_form(request, stored, change=stored is not None)
        form = form_class(request.POST or None, instance=definition)
        formset = self._targets(request, definition)
        context: dict[str, Any] = {"original": stored, "form": form, "formset": formset}
        if request.method != "POST":
            context["problem"] = "Open the definition, change it, and press Preview there."
        elif not (_is_valid_but_reason(form) & formset.is_valid()):
            context["errors"] = [*_errors(form), *(line for each in formset.forms for line in _errors(each))]
        elif was_personal or definition.is_personal:
            context["problem"] = "This KPI measures single people. Their figures are shown to nobody, here neither."
        else:
            context |= self._compared(request, definition, form, formset)
        return self._page(request, "preview.html", f"Preview of {definition.slug or 'a new KPI'}", context)

    def _compared(self, request: HttpRequest, definition: KpiDefinition, form: Any, formset: Any) -> dict[str, Any]:
        try:
            found = preview(definition, form.running, formset.stated(), viewer=viewer_of(request), now=timezone.now())
        except DomainError as error:
            return {"problem": f"{error.field}: {error.message}" if error.field else error.message}
        return {"preview": found, "units": form.cleaned_data["units"]}

    def _targets(self, request: HttpRequest, definition: KpiDefinition) -> TargetFormSet:
        inline = next(each for each in self.get_inline_instances(request, definition) if each.formset is TargetFormSet)
        formset = inline.get_formset(request, definition)
        return cast(TargetFormSet, formset(request.POST or None, instance=definition, prefix="targets"))

    def publish_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Shows what would run instead, asks why, and publishes it; or drops the draft."""
        definition = self._definition(request, object_id)
        draft = draft_of(definition)
        form = ReasonForm(request.POST if request.method == "POST" and "discard" not in request.POST else None)
        if request.method == "POST" and "discard" in request.POST:
            dropped = actions.discard(definition, editor_of(request))
            self._tell(request, "The draft is dropped; what runs has not changed." if dropped else "There is no draft.")
            return HttpResponseRedirect(self._list_or_form([definition]))
        refused = ""
        if form.is_valid():
            try:
                done = actions.publish(definition, editor_of(request), reason=form.cleaned_data["reason"])
            except DomainError as error:
                refused = f"{error.field}: {error.message}" if error.field else error.message
            else:
                self._tell(request, done.in_words(definition))
                return HttpResponseRedirect(self._list_or_form([definition]))
        context = {
            "original": definition,
            "draft": draft,
            "is_new": definition.status == DefinitionStatus.DRAFT,
            "changes": _draft_changes(definition) if draft else [],
            "form": form,
            "refused": refused,
        }
        return self._page(request, "publish.html", f"Publish {definition.slug}", context)

    # --- Versions ---

    def versions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """All versions, what differs between two of them, and the way back to one."""
        definition = self._definition(request, object_id)
        versions = list(visible(definition.versions.select_related("changed_by"), viewer_of(request)))
        new = _chosen(versions, request.GET.get("new"), 0)
        old = _chosen(versions, request.GET.get("old"), min(1, len(versions) - 1))
        form, refused = ReasonForm(request.POST if request.method == "POST" else None), ""
        wanted = next((each for each in versions if each.number == request.POST.get("restore")), None)
        if wanted is not None and form.is_valid():
            try:
                saved = actions.restore(definition, wanted, editor_of(request), reason=form.cleaned_data["reason"])
            except DomainError as error:
                refused = error.message
            else:
                self._tell(request, _restored(wanted, saved))
                return HttpResponseRedirect(self._list_or_form([definition]))
        context = {
            "original": definition,
            "versions": versions,
            "old": old,
            "new": new,
            "changes": differences(contents(old), contents(new)),
            "form": form,
            "refused": refused,
        }
        return self._page(request, "versions.html", f"Versions of {definition.slug}", context)

    # --- Import ---

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Upload, look at what would change row by row, then save it: all or nothing."""
        if not (self.has_change_permission(request) and self.has_add_permission(request)):
            raise PermissionDenied
        context: dict[str, Any] = {"file_form": FileForm()}
        try:
            if request.method == "POST" and "told" in request.POST:
                if (done := self._commit(request, context)) is not None:
                    return done
            elif request.method == "POST":
                context["file_form"] = form = FileForm(request.POST, request.FILES)
                if form.is_valid():
                    context |= _planned(exchange.read_all(_uploaded(form.cleaned_data["file"])))
        except DomainError as error:
            context["refused"] = error.message
        return self._page(request, "import.html", "Import KPI definitions", context)

    def _commit(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse | None:
        told = exchange.read("plan.json", request.POST["told"].encode())
        context |= _planned(told, request.POST)
        form = context["form"]
        if not form.is_valid():
            return None
        if form.cleaned_data["shown"] != context["shown"]:
            context |= _planned(told)
            context["refused"] = "The definitions were changed meanwhile. Look at it again, then save it."
            return None
        why, publish_too = form.cleaned_data["reason"], form.cleaned_data["publish_too"]
        for line in exchange.commit(context["plan"], editor_of(request), reason=why, publish_too=publish_too):
            self._tell(request, line)
        return HttpResponseRedirect(reverse("admin:kpis_kpidefinition_changelist"))

    # --- What they share ---

    def _definition(self, request: HttpRequest, object_id: str) -> KpiDefinition:
        definition = self.get_object(request, object_id)
        if definition is None:
            raise Http404
        if not self.has_change_permission(request, definition):
            raise PermissionDenied
        return cast(KpiDefinition, definition)

    def _tell(self, request: HttpRequest, text: str, level: int = messages.INFO) -> None:
        self.message_user(request, text, level)

    def _page(self, request: HttpRequest, template: str, title: str, context: dict[str, Any]) -> TemplateResponse:
        told = {**self.admin_site.each_context(request), "title": title, "opts": self.opts, **context}
        return TemplateResponse(request, f"{TEMPLATES}/{template}", told)


def _to_step(step: str, chosen: QuerySet[KpiDefinition]) -> HttpResponse:
    query = {"of": sorted(chosen.values_list("pk", flat=True))}
    return HttpResponseRedirect(reverse("admin:kpis_kpidefinition_step", args=[step], query=query))


def editor_of(request: HttpRequest) -> Editor:
    return Editor(cast(User, request.user), timezone.now(), request)


def _is_valid_but_reason(form: Any) -> bool:
    """A preview needs no reason yet."""
    form.fields["reason"].required = False
    return bool(form.is_valid())


def _errors(form: Any) -> list[str]:
    return [
        f"{form.fields[name].label or name}: {sentence}" if name in form.fields else str(sentence)
        for name, sentences in form.errors.items()
        for sentence in sentences
    ]


def _draft_changes(definition: KpiDefinition) -> list[FieldChange]:
    draft = draft_of(definition)
    now = running_of(definition)
    then = running_of(draft) if draft else now
    old = {name: getattr(now, name) for name in RUNNING}
    return differences(old, {name: getattr(then, name) for name in RUNNING})


def _chosen(versions: list[KpiDefinitionVersion], number: str | None, otherwise: int) -> KpiDefinitionVersion:
    return next((version for version in versions if version.number == number), versions[otherwise])


def _restored(wanted: KpiDefinitionVersion, saved: actions.Saved) -> str:
    if not saved.changed:
        return f"Nothing differs from v{wanted.number}."
    what = "Its formula is a draft: publish it, and it runs." if saved.is_new_draft else "The numbers stay as they are."
    return f"Put back v{wanted.number}. {what}"


def _uploaded(files: list[Any]) -> Iterator[tuple[str, bytes]]:
    return ((file.name, file.read(exchange.MAX_BYTES + 1)) for file in files)


def _planned(told: list[Any], posted: Any = None) -> dict[str, Any]:
    """The plan, and the form that saves it."""
    plan = exchange.plan(told)
    text = json.dumps(told, ensure_ascii=False)
    said = json.dumps([[each.slug, each.state, each.error, *map(str, each.changes)] for each in plan])
    shown = hashlib.sha256(said.encode()).hexdigest()
    form = CommitForm(posted, initial={"told": text, "shown": shown})
    kinds = [each.state for each in plan]
    counts = [(state.value, kinds.count(state)) for state in exchange.State]
    is_ready = exchange.State.ERROR not in kinds and any(kind is not exchange.State.SAME for kind in kinds)
    return {"plan": plan, "form": form, "shown": shown, "counts": counts, "is_ready": is_ready}
