// The command page with a script: keys, drafts, posts without leaving the page, the reader's own zone.
// Everything here only enhances: each form and link works by itself, and on any trouble the browser does it plainly.

const desk = document.querySelector("[data-desk]");
const incident = desk?.dataset.desk ?? "";
const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

/** localStorage, or nothing where the browser forbids it. */
const store = {
  get: (name) => { try { return localStorage.getItem(name); } catch { return null; } },
  set: (name, text) => { try { localStorage.setItem(name, text); } catch { /* full or forbidden */ } },
  drop: (name) => { try { localStorage.removeItem(name); } catch { /* forbidden */ } },
};

// --- Going to a field: open what hides it, then focus ---

function reveal(element) {
  for (let box = element.closest("details"); box; box = box.parentElement?.closest("details")) box.open = true;
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "nearest" });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-open]");
  const target = link && document.getElementById(link.dataset.open);
  if (!target) return;
  event.preventDefault();
  reveal(target.matches("input, textarea, select, button") ? target : one("input:not([type=hidden]), button", target) ?? target);
});

// --- Texts to begin with ---

document.addEventListener("click", (event) => {
  const pick = event.target.closest("a[data-fill]");
  const field = pick && document.getElementById(pick.dataset.fill);
  if (!field) return;
  event.preventDefault();
  field.value = [field.value.trim(), pick.dataset.text].filter(Boolean).join("\n");
  field.dispatchEvent(new Event("input", { bubbles: true }));
  reveal(field);
});

// --- Drafts: what was typed is kept until the server has it ---

const draftName = (form) => `draft:${incident}:${form.dataset.draft}`;
const kept = (form) => all("textarea, input:not([type=hidden], [type=radio], [type=checkbox])", form);

function keepDraft(form) {
  const typed = Object.fromEntries(kept(form).map((field) => [field.name, field.value]).filter(([, text]) => text.trim()));
  if (Object.keys(typed).length) store.set(draftName(form), JSON.stringify(typed));
  else store.drop(draftName(form));
}

function restoreDraft(form) {
  const text = store.get(draftName(form));
  if (!text) return;
  const typed = JSON.parse(text);
  for (const field of kept(form)) if (!field.value && typed[field.name]) field.value = typed[field.name];
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-draft]");
  if (form) keepDraft(form);
});

// Without our fetch the page comes back by itself: a draft that was sent and succeeded is done with.
function settleDrafts() {
  const sent = store.get(`sent:${incident}`);
  store.drop(`sent:${incident}`);
  if (sent && one("#messages .success")) store.drop(sent);
  all("form[data-draft]").forEach(restoreDraft);
}

// --- Posts without leaving the page ---

const PATIENCE = 15_000; // milliseconds until a line counts as dead

const blocks = (root) => all("[data-block]", root);
const isDesk = (page) => one("[data-desk]", page)?.dataset.desk === incident;
const isTouched = (block) => block.contains(document.activeElement) && document.activeElement.matches("input, textarea, select");

/** Puts what came back in its place: every block, the messages, and the form's own container. */
function swap(page, form) {
  const own = form?.closest("[data-form]")?.dataset.form;
  const focused = document.activeElement?.id;
  const containers = own ? [one(`[data-form="${CSS.escape(own)}"]`)] : [];
  for (const block of blocks(document)) {
    const fresh = page.getElementById(block.id);
    const mine = form?.closest("[data-block]") === block;
    if (fresh && (mine || !isTouched(block))) block.replaceWith(document.adoptNode(fresh));
  }
  for (const box of containers) {
    const fresh = one(`[data-form="${CSS.escape(own)}"]`, page);
    if (fresh && box?.isConnected) box.replaceWith(document.adoptNode(fresh));
  }
  const messages = one("#messages", page);
  if (messages) one("#messages")?.replaceWith(document.adoptNode(messages));
  document.title = page.title;
  document.dispatchEvent(new CustomEvent("desk:swapped", { detail: { standing: one("[data-standing]", page)?.dataset.standing } }));
  refocus(own, focused);
}

function refocus(own, focused) {
  const box = own && one(`[data-form="${CSS.escape(own)}"]`);
  const wrong = box && one("[aria-invalid=true]", box);
  const next = wrong ?? (focused && document.getElementById(focused)) ?? (box && one("textarea, input:not([type=hidden])", box));
  if (next && !isTouched(document.body)) next.focus({ preventScroll: !wrong });
}

async function send(action, body, key) {
  const answer = await fetch(action, {
    method: "POST", body, credentials: "same-origin", headers: { Accept: "text/html", "Idempotency-Key": key },
    signal: AbortSignal.timeout?.(PATIENCE),
  });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return { answer, page };
}

function plainly(form, submitter) {
  form.dataset.plain = "yes";
  if (form.dataset.draft) store.set(`sent:${incident}`, draftName(form));
  form.requestSubmit(submitter);
}

document.addEventListener("submit", (event) => {
  const { target: form, submitter } = event;
  // Without the attribute, a button's own address is the page's.
  const action = submitter?.hasAttribute("formaction") ? submitter.formAction : form.action;
  if (!desk || form.method !== "post" || form.dataset.plain || !action.startsWith(`${location.origin}/incidents/`)) return;
  event.preventDefault();
  if (form.getAttribute("aria-busy") !== "true") post(form, submitter, action, crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`);
});

async function post(form, submitter, action, key) {
  const body = new URLSearchParams(new FormData(form, submitter));
  const line = "log" in form.dataset ? pending(form, body) : null;
  form.setAttribute("aria-busy", "true");
  try {
    const { answer, page } = await send(action, body, key);
    if (isDesk(page)) {
      if (answer.ok && form.dataset.draft) store.drop(draftName(form));
      line?.remove();
      swap(page, form);
    } else if (answer.redirected) location.assign(answer.url);
    else { line?.remove(); plainly(form, submitter); }
  } catch {
    if (!line) plainly(form, submitter);
    else { line.remove(); keepUnsent(form, body, action, key); }
  } finally {
    form.removeAttribute("aria-busy");
  }
}

// --- A log line shows at once, grey until the server has it ---

const firstLine = (text) => (text ?? "").trim().split("\n")[0];

function pending(form, body) {
  const text = firstLine(body.get("text"));
  if (!text) return null;
  const line = lineOf("sending", text);
  one("#live-log ol")?.prepend(line);
  return line;
}

function lineOf(state, text) {
  const line = document.createElement("li");
  line.className = `entry ${state}`;
  const at = document.createElement("span");
  at.className = "at";
  at.textContent = state === "unsent" ? "not sent" : state;
  const says = document.createElement("p");
  says.className = "now what";
  says.textContent = text;
  line.append(at, document.createElement("span"), says);
  return line;
}

// --- Lines that could not be sent wait below the composer, through reloads too, each with the key it was sent with ---

const boxName = `unsent:${incident}`;
const unsent = () => JSON.parse(store.get(boxName) ?? "[]");

function setUnsent(lines) {
  if (lines.length) store.set(boxName, JSON.stringify(lines));
  else store.drop(boxName);
  showUnsent();
}

function keepUnsent(form, body, action, key) {
  body.delete("csrfmiddlewaretoken");
  setUnsent([...unsent(), { action, key, body: body.toString() }]);
  if (!unsent().some((each) => each.key === key)) return; // no storage: what was typed stays in the form
  store.drop(draftName(form));
  form.reset();
}

function showUnsent() {
  one("#unsent")?.remove();
  const waiting = unsent();
  if (!waiting.length) return;
  const list = document.createElement("ol");
  list.id = "unsent";
  list.className = "card log";
  list.setAttribute("aria-label", "Not sent");
  list.append(...waiting.map(unsentLine));
  one("#compose")?.after(list);
}

function unsentLine(each) {
  const line = lineOf("unsent", firstLine(new URLSearchParams(each.body).get("text")));
  const buttons = document.createElement("p");
  buttons.className = "row";
  buttons.append(button("Retry", () => retry(each)), button("Discard", () => forget(each)));
  line.append(buttons);
  return line;
}

function button(label, act) {
  const made = document.createElement("button");
  made.className = "btn small";
  made.textContent = label;
  made.addEventListener("click", () => { made.disabled = true; act(); });
  return made;
}

const forget = (sent) => setUnsent(unsent().filter((each) => each.key !== sent.key));

/** The same line with the same key: the server takes it once. */
async function retry(each) {
  const body = new URLSearchParams(each.body);
  body.set("csrfmiddlewaretoken", one("[data-log] [name=csrfmiddlewaretoken]")?.value ?? "");
  try {
    const { answer, page } = await send(each.action, body, each.key);
    if (!isDesk(page)) return showUnsent();
    forget(each);
    swap(page, answer.ok ? null : one("form[data-log]"));
  } catch { showUnsent(); }
}

// --- Keys ---

const dialog = one("#keys");
const switchBox = one("#keys-on");
const areKeysOn = () => store.get("keys") !== "off";
const isTyping = (element) => element.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]");
let prefix = "";

function act(key) {
  const target = one(`[data-keys="${CSS.escape(key)}"] :is(textarea, input)`)
    ?? all(`[aria-keyshortcuts="${CSS.escape(key)}"]`).find((each) => each.checkVisibility?.() ?? true)
    ?? one(`[aria-keyshortcuts="${CSS.escape(key)}"]`);
  if (!target) return false;
  if (dialog?.open) dialog.close();
  if ("press" in target.dataset) target.click();
  else reveal(target);
  return true;
}

// Entries of the log for a milestone: x ticks the one that has the focus, or goes on to the next; c composes.
function pick() {
  const boxes = all(".pick input");
  const at = boxes.findIndex((box) => box.closest(".entry").contains(document.activeElement));
  const next = boxes[at + 1] ?? boxes[0];
  if (!next) return false;
  const isFresh = at >= 0 && document.activeElement !== boxes[at];
  const box = isFresh ? boxes[at] : next;
  box.focus();
  box.checked = !box.checked;
  box.dispatchEvent(new Event("change", { bubbles: true }));
  return true;
}

function composeFromLog() {
  const form = one("#compose-from");
  form?.requestSubmit();
  return Boolean(form);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
  // Where single keys do something, one has to get out of a field by keyboard.
  if (event.key === "Escape" && desk && isTyping(event.target)) event.target.blur();
  if (!areKeysOn() || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (dialog?.open && event.key !== "?") return;
  if ((event.key === "x" && pick()) || (event.key === "c" && composeFromLog())) return event.preventDefault();
  if (!desk) return;
  const key = prefix ? `${prefix} ${event.key}` : event.key;
  prefix = !prefix && event.key === "g" ? "g" : "";
  if (key === "?") { event.preventDefault(); showKeys(); }
  else if (act(key)) event.preventDefault();
});

function showKeys() {
  switchBox.checked = areKeysOn();
  dialog.showModal();
}

function prepareKeys() {
  const button = one("#show-keys");
  if (!dialog || !button) return;
  button.hidden = false;
  button.addEventListener("click", showKeys);
  switchBox.addEventListener("change", () => store.set("keys", switchBox.checked ? "on" : "off"));
  dialog.addEventListener("click", (event) => {
    const chosen = event.target.closest("[data-key]");
    if (event.target.closest("[data-close]")) dialog.close();
    else if (chosen) act(chosen.dataset.key);
  });
}

// --- The reader's own zone: a cookie, so that every page knows; the server writes UTC ---

const isLocal = () => /(?:^|; )zone=local/.test(document.cookie);
const zoneName = new Intl.DateTimeFormat([], { timeZoneName: "short" }).formatToParts(new Date()).find((part) => part.type === "timeZoneName").value;
const written = new WeakMap();

function inZone(time) {
  if (time.dataset.tick) return;
  if (!written.has(time)) written.set(time, time.textContent);
  const utc = written.get(time);
  const at = new Date(time.dateTime);
  if (!isLocal() || Number.isNaN(at.valueOf())) { time.textContent = utc; return; }
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (/\d:\d\d:\d\d/.test(utc)) parts.second = "2-digit";
  if (/[A-Za-z]{3} \d{4}/.test(utc)) Object.assign(parts, { day: "numeric", month: "short", year: "numeric" });
  time.textContent = `${new Intl.DateTimeFormat("en-GB", parts).format(at)}${utc.endsWith("UTC") ? ` ${zoneName}` : ""}`;
}

/** Clock times are typed in the zone that is shown: the form says which. */
function zoneForms(root = document) {
  for (const field of all("input[data-zone]", root)) {
    field.value = isLocal() ? new Intl.DateTimeFormat().resolvedOptions().timeZone : "";
    const label = one('label[for$="next_update_at"]', field.form ?? undefined);
    if (label) label.textContent = label.textContent.replace(/\([^)]*\)/, `(${isLocal() ? zoneName : "UTC"})`);
  }
}

function showZone() {
  zoneForms();
  const button = one("#zone");
  if (button) {
    button.hidden = false;
    one("span", button).textContent = isLocal() ? zoneName : "UTC";
    button.setAttribute("aria-pressed", String(isLocal()));
  }
  all("time[datetime]").forEach(inZone);
}

function prepareZone() {
  one("#zone")?.addEventListener("click", () => {
    document.cookie = `zone=${isLocal() ? "utc" : "local"}; path=/; max-age=31536000; samesite=lax`;
    showZone();
  });
  new MutationObserver((changes) => {
    for (const change of changes) for (const node of change.addedNodes) {
      if (!isLocal() || node.nodeType !== Node.ELEMENT_NODE) continue;
      all("time[datetime]", node).forEach(inZone);
      zoneForms(node);
    }
  }).observe(document.body, { childList: true, subtree: true });
  showZone();
}

settleDrafts();
showUnsent();
prepareKeys();
prepareZone();
document.addEventListener("desk:swapped", () => all("form[data-draft]").forEach(restoreDraft));
