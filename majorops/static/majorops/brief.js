// The briefs with a script: what is new stays marked when the page changes by itself, and the text goes to the clipboard.

const page = document.querySelector("[data-live]");
const since = page?.dataset.since ? Date.parse(page.dataset.since) : NaN;

/** What is pushed is the same for everybody, so that it is drawn once. What is new to this reader is marked here. */
function mark() {
  if (Number.isNaN(since)) return;
  for (const list of page.querySelectorAll(".told")) {
    const rows = [...list.querySelectorAll("li[data-at]")];
    for (const row of rows) row.classList.toggle("new", Date.parse(row.dataset.at) > since);
    const last = rows.filter((row) => row.classList.contains("new")).at(-1);
    if (!last || last === rows.at(-1) || last.nextElementSibling?.classList.contains("divider")) continue;
    const divider = document.createElement("li");
    divider.className = "divider";
    divider.textContent = "New since your last visit ↑";
    last.after(divider);
  }
}

const print = document.querySelector("[data-print]");
if (print) { print.hidden = false; print.addEventListener("click", () => window.print()); }

const copy = document.querySelector("[data-copy]");
if (copy && navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    const told = document.getElementById("copied");
    try {
      const answer = await fetch(copy.dataset.copy, { headers: { Accept: "text/plain" }, cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      await navigator.clipboard.writeText(await answer.text());
      told.textContent = copy.textContent = "Copied";
    } catch { told.textContent = copy.textContent = "Not copied: open “As text”"; }
    setTimeout(() => { copy.textContent = "Copy as text"; }, 4000);
  });
}

// A screen on a wall takes the page anew, if there is one: without the server it keeps what it has, and its time.
const wall = document.querySelector("[data-again]");
if (wall) setInterval(async () => {
  try { if ((await fetch(location.href, { cache: "no-store" })).ok) location.reload(); } catch { /* not now */ }
}, Number(wall.dataset.again) * 1000);

if (page) {
  mark();
  new MutationObserver(mark).observe(page, { childList: true });
}
