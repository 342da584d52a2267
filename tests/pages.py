"""What a page is held to, read from its HTML with the standard parser."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
FIELDS = {"input", "select", "textarea"}
#: End tags that HTML lets out.
OPTIONAL = {"li", "p", "dt", "dd", "option", "thead", "tbody", "tr", "th", "td"}


class Page(HTMLParser):
    """A page's elements, and everything that is wrong with it in `faults`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.labelled: set[str] = set()
        self.fields: list[dict[str, str]] = []
        self.references: list[str] = []
        self.actions: list[str] = []
        self.links: dict[str, str] = {}
        self.words: list[str] = []
        self._open: list[str] = []
        self._forms: list[dict[str, bool]] = []
        self.feed(html)
        self.close()
        self._judge()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags[tag if "svg" not in self._open else f"svg {tag}"] += 1  # a chart has a title of its own
        self._note(tag, given)
        self._refuse_inline(tag, given)
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open[-1] != tag and self._open[-1] in OPTIONAL:
            self._open.pop()
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")
        if tag == "form" and self._forms and (form := self._forms.pop())["post"] and not form["token"]:
            self.faults.append("a form posts without a CSRF token")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def _note(self, tag: str, given: dict[str, str]) -> None:
        if "id" in given:
            self.ids[given["id"]] += 1
        if tag == "label" and "for" in given:
            self.labelled.add(given["for"])
        if tag == "a":
            self.links[given.get("href", "")] = given.get("class", "")
        if tag == "form":
            self._forms.append({"post": given.get("method") == "post", "token": False})
            if given.get("method") == "post":
                self.actions.append(given.get("action", ""))
        if tag in FIELDS:
            if self._forms and given.get("name") == "csrfmiddlewaretoken":
                self._forms[-1]["token"] = True
            if given.get("type") != "hidden":
                self.fields.append({**given, "in_label": "yes" if "label" in self._open else ""})
        for name in ("aria-describedby", "aria-labelledby", "list", "for"):
            self.references += given.get(name, "").split()

    def _refuse_inline(self, tag: str, given: dict[str, str]) -> None:
        is_module = tag == "script" and given.get("type") == "module"
        is_own_module = is_module and given.get("src", "").startswith("/static/")
        if tag in ("style", "script", "iframe", "object", "embed") and not is_own_module:
            self.faults.append(f"<{tag}> is not allowed")
        for name, value in given.items():
            if name == "style" or name.startswith("on"):
                self.faults.append(f"{name}= on <{tag}>")
            if name in ("src", "href", "action") and value.strip().lower().startswith(("javascript:", "data:")):
                self.faults.append(f"{name}={value[:20]} on <{tag}>")
        if tag in ("link", "img") and "://" in given.get("href", given.get("src", "")):
            self.faults.append(f"<{tag}> loads from elsewhere")
        if tag == "img" and "alt" not in given:
            self.faults.append("<img> without alt")

    def _judge(self) -> None:
        self.faults += [f"<{tag}> stays open" for tag in self._open if tag not in OPTIONAL]
        self.faults += [f"{self.tags[tag]} <{tag}>" for tag in ("h1", "main", "title", "html") if self.tags[tag] != 1]
        self.faults += [f"id {name} is there {count} times" for name, count in self.ids.items() if count > 1]
        self.faults += [f"nothing has the id {name}" for name in set(self.references) - set(self.ids)]
        for field in self.fields:
            named = field.get("id") in self.labelled or field["in_label"] or field.get("aria-label")
            if not named:
                self.faults.append(f"field {field.get('name')} has no label")
