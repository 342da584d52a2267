// Keeps an open page true: takes over what changed, lets the clocks tick, and says so when it no longer hears anything.
// The page names its address and standing: data-live, data-standing, data-now.

const page = document.querySelector("[data-live]");
const AMBER = 15, RED = 60, POLL = 5000; // seconds, seconds, milliseconds
const parked = new Map(); // blocks that wait until nobody types in them
let standing = page?.dataset.standing;
let ahead = page ? Date.parse(page.dataset.now) - Date.now() : 0; // of our clock
let heardAt = Date.now(), paused = false, source = null, polling = null, stopped = "";
let pressed = null;
let isStreamGood = true, tryStreamAt = 0; // a stream that never says anything is not asked for every few seconds

// --- Blocks ---

function isBusy(block) {
  const active = document.activeElement;
  if (block.contains(pressed)) return true; // a button that is replaced under the finger is not clicked
  if (block.querySelector(".error, [aria-invalid=true]")) return true; // refused, and not yet sent again
  if (block.contains(active) && active.matches("input:not([type=hidden]), textarea, select")) return true;
  return [...block.querySelectorAll("input, textarea, select")].some(changed);
}

function changed(field) {
  if (field.type === "hidden") return false;
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  if (field.tagName === "SELECT") {
    const first = [...field.options].findIndex((option) => option.defaultSelected);
    return field.selectedIndex !== Math.max(first, 0);
  }
  return field.value !== field.defaultValue;
}

function pageToken() {
  const known = [...document.querySelectorAll("input[name=csrfmiddlewaretoken]")].map((field) => field.value);
  return known.find((value) => value && value !== "of-the-page") ?? "";
}

/** Puts in one block, unless somebody is writing in it: then it waits. Returns whether it is in. */
function take(name, html, { force = false } = {}) {
  const old = document.getElementById(`live-${name}`);
  if (!old) return true;
  if (!force && isBusy(old)) {
    parked.set(name, html);
    old.dataset.waiting = "";
    return false;
  }
  const fresh = parsed(html);
  if (!fresh) return true;
  for (const field of fresh.querySelectorAll("input[name=csrfmiddlewaretoken]")) field.value = pageToken();
  keepOpen(old, fresh);
  const spot = focusIn(old);
  const counted = name === "log" ? newEntries(old, fresh) : 0;
  const top = name === "log" ? old.getBoundingClientRect().top : 0;
  old.replaceWith(fresh);
  parked.delete(name);
  if (spot) fresh.querySelector(spot)?.focus({ preventScroll: true });
  if (counted) announce(counted, fresh, top < 0);
  tick();
  return true;
}

function keepOpen(old, fresh) {
  const details = [...fresh.querySelectorAll("details")];
  [...old.querySelectorAll("details")].forEach((was, index) => {
    if (was.open && details[index]) details[index].open = true;
  });
}

/** How to find the focused button or link again in the new block. */
function focusIn(block) {
  const active = document.activeElement;
  if (!block.contains(active)) return "";
  if (active.id) return `#${CSS.escape(active.id)}`;
  const form = active.closest("form");
  const inForm = form ? `form[action="${CSS.escape(form.getAttribute("action") ?? "")}"] ` : "";
  const name = active.getAttribute("name"), href = active.getAttribute("href");
  return inForm + active.tagName.toLowerCase() + (name ? `[name="${name}"]` : "") + (href ? `[href="${CSS.escape(href)}"]` : "");
}

function newEntries(old, fresh) {
  const known = new Set([...old.querySelectorAll("li[id]")].map((entry) => entry.id));
  const added = [...fresh.querySelectorAll("li[id]")].filter((entry) => !known.has(entry.id));
  for (const entry of added) entry.classList.add("fresh");
  return added.length;
}

function announce(count, log, isAbove) {
  const words = count === 1 ? "1 new entry" : `${count} new entries`;
  const polite = document.getElementById("live-said");
  if (polite) polite.textContent = words;
  const pill = document.getElementById("live-more");
  if (!pill || !isAbove) return;
  pill.hidden = false;
  pill.textContent = `${words} ↑`;
  pill.onclick = () => { pill.hidden = true; log.scrollIntoView(); };
}

export function apply(blocks) {
  for (const [name, html] of Object.entries(blocks)) take(name, html);
}

/** New entries come ahead of the blocks that will say the same. They go on top, below the day and phase they begin under. */
function takeEntries(entries) {
  const log = document.getElementById("live-log"), first = log?.querySelector("li.entry");
  const added = Object.values(entries).map(parsed).filter((entry) => entry && !document.getElementById(entry.id));
  if (!first || !added.length) return;
  for (const entry of added) entry.classList.add("fresh");
  first.before(...added);
  announce(added.length, log, log.getBoundingClientRect().top < 0);
}

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return template.content.firstElementChild;
}

/** What waited, once its form is sent, emptied or left as it was. */
function unpark() {
  for (const [name, html] of [...parked]) take(name, html);
}

document.addEventListener("pointerdown", (down) => { pressed = down.target; }, true);
for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => setTimeout(() => { pressed = null; unpark(); }, 50));
document.addEventListener("focusout", () => setTimeout(unpark, 50));
document.addEventListener("reset", () => setTimeout(unpark, 50));

// What a post brought back is newer than what waited, but an event may have come while it was under way,
// and a block in use was left as it is.
document.addEventListener("desk:swapped", (swapped) => {
  tick();
  for (const name of parked.keys()) if (!document.getElementById(`live-${name}`)?.hasAttribute("data-waiting")) parked.delete(name);
  const brought = swapped.detail?.standing;
  if (!page || !brought || (brought === standing && !parked.size)) return;
  standing = parked.size ? "" : brought; // all of it, or what is newer
  if (!paused) poll();
});

// --- Hearing of changes ---

function heard(now) {
  heardAt = Date.now();
  if (now) ahead = Date.parse(now) - heardAt;
  stopped = "";
  state();
}

function hear(message) {
  const told = JSON.parse(message.data);
  isStreamGood = true;
  if (isSomebodyElse(told.role)) return refused(403);
  heard(told.now);
  if (message.lastEventId) standing = message.lastEventId;
  if (told.entries) takeEntries(told.entries);
  if (told.blocks) apply(told.blocks);
}

/** A page is made for one role: what another one may do and read needs another page. */
const isSomebodyElse = (role) => Boolean(role && page.dataset.role && role !== page.dataset.role);

function listen() {
  if (!window.EventSource) return startPolling();
  stopPolling();
  isStreamGood = false;
  source = new EventSource(`${page.dataset.live}?has=${standing}`);
  for (const kind of ["viewer", "beat", "entries", "blocks"]) source.addEventListener(kind, hear);
  source.onerror = () => {
    // The browser tries again by itself, unless the server said no.
    if (source?.readyState === EventSource.CLOSED) ask();
  };
}

/** The stream is of no use now: ask instead, until it may be tried again. */
function ask() {
  source?.close();
  source = null;
  tryStreamAt = Date.now() + (isStreamGood ? 0 : RED * 1000);
  startPolling();
}

function startPolling() {
  polling ??= setInterval(poll, POLL);
  poll();
}

function stopPolling() {
  clearInterval(polling);
  polling = null;
}

async function poll() {
  const had = standing;
  try {
    const headers = { Accept: "application/json", "If-None-Match": `W/"${had}"` };
    const answer = await fetch(page.dataset.live, { headers, cache: "no-store" });
    if ([401, 403, 404].includes(answer.status)) return refused(answer.status);
    if (!answer.ok && answer.status !== 304) return;
    const told = answer.status === 304 ? {} : await answer.json();
    if (isSomebodyElse(told.role)) return refused(403);
    if (paused || stopped) return;
    if (standing !== had) return poll(); // an event overtook this answer
    standing = told.standing ?? standing;
    heard(told.now);
    apply(told.blocks ?? {});
    if (!source && Date.now() >= tryStreamAt) listen(); // the server is back
  } catch { /* the page says by itself how old it is */ }
}

function refused(status) {
  source?.close();
  source = null;
  stopPolling();
  stopped = status === 401 ? "You are signed out. Reload the page to sign in."
    : status === 403 ? "What you may do here has changed. This page is no longer kept up to date: reload it."
    : "You no longer see this incident.";
  state();
}

// --- How old is what you see ---

function state() {
  const age = Math.floor((Date.now() - heardAt) / 1000);
  if (age > AMBER && source && !paused) ask(); // connections also die without a word
  const level = stopped || age > RED ? "red" : age > AMBER ? "amber" : "ok";
  document.body.dataset.heard = paused ? "paused" : level;
  const pill = document.getElementById("live-state");
  const short = paused ? "paused" : level === "ok" ? "live" : `${spoken(age)} old`;
  if (pill && pill.textContent !== short) pill.textContent = short;
  const bar = document.getElementById("live-stale");
  if (!bar) return;
  bar.hidden = paused || level === "ok";
  if (bar.hidden) return;
  const words = stopped || `Nothing heard for ${spoken(age)}. What you see may be old; what you send still arrives when the line is back.`;
  const line = bar.querySelector("span") ?? bar;
  if (line.textContent !== words) line.textContent = words;
}

function pause() {
  paused = !paused;
  source?.close();
  source = null;
  stopPolling();
  if (!paused && !stopped) { heardAt = Date.now(); listen(); poll(); }
  document.getElementById("live-pause")?.setAttribute("aria-pressed", String(paused));
  state();
}

// --- Clocks ---

const two = (number) => String(number).padStart(2, "0");
const shapes = {
  clock: (s) => (s >= 86400 ? `${Math.floor(s / 86400)} d ${two(Math.floor(s / 3600) % 24)}:${two(Math.floor(s / 60) % 60)}`
    : `${two(Math.floor(s / 3600))}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`),
  short: (s) => (s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`),
  span: (s) => spoken(s),
};

function spoken(s) {
  if (s < 60) return `${s} s`;
  const minutes = Math.floor(s / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (minutes < 60) return `${minutes} min`;
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return hours % 24 && days < 14 ? `${days} d ${hours % 24} h` : `${days} d`;
}

function tick() {
  const now = Date.now() + ahead;
  for (const time of document.querySelectorAll("time[data-tick]")) {
    const gap = Math.floor((now - Date.parse(time.dateTime)) / 1000);
    const text = shapes[time.dataset.as ?? "span"](Math.max(0, time.dataset.tick === "until" ? -gap : gap));
    if (time.textContent !== text) time.textContent = text;
  }
}

if (page) {
  const button = document.getElementById("live-pause");
  if (button) { button.hidden = false; button.addEventListener("click", pause); }
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !paused && !stopped) poll(); });
  addEventListener("pagehide", () => source?.close());
  addEventListener("pageshow", (shown) => { if (shown.persisted && !paused && !stopped) listen(); });
  setInterval(() => { tick(); state(); }, 1000);
  tick();
  listen();
  later();
}

/** What stands beside the page and takes longer to find. Without it there is a link. */
async function later() {
  const place = document.querySelector("[data-later]");
  if (!place) return;
  try {
    const answer = await fetch(place.dataset.later);
    if (answer.ok && !answer.redirected) place.innerHTML = await answer.text();
  } catch { /* the link stays */ }
}
