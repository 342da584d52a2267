/* A tap without network is kept with its time and sent once there is one again. Without this file the forms work as ever. */
const KEY = `taps:${location.pathname}`;
const said = document.getElementById("offline");
let isSending = false;

const kept = () => JSON.parse(localStorage.getItem(KEY) ?? "[]");
const keep = (taps) => (taps.length ? localStorage.setItem(KEY, JSON.stringify(taps)) : localStorage.removeItem(KEY));

function tell(sentence = "") {
  const waiting = kept().filter((tap) => tap.isLate);
  const sentences = waiting.map((tap) => `${tap.label}: kept at ${tap.at.slice(11, 19)} UTC, sent as soon as you are online.`);
  said.textContent = [sentence, ...sentences].join(" ").trim();
  said.hidden = !said.textContent;
}

/* Every form answers with a redirect; anything else is a refusal. Throws where there is no network. */
async function isTaken(tap) {
  const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
  const body = new URLSearchParams([...tap.fields, ["csrfmiddlewaretoken", token]]);
  if (tap.isLate) body.append("tapped_at", tap.at);
  // Under its key a tap counts once, also where only the answer was lost.
  const headers = { Accept: "text/html", ...(tap.key && { "Idempotency-Key": tap.key }) };
  const answer = await fetch(tap.address, { method: "POST", body, redirect: "manual", headers });
  if (answer.status >= 500) throw new Error("try again later");
  return answer.type === "opaqueredirect";
}

async function sendKept() {
  if (isSending || !kept().length) return;
  isSending = true;
  try {
    while (kept().length) {
      const [tap, ...rest] = kept();
      const taken = await isTaken(tap);
      keep(rest);
      if (!taken) return tell(`${tap.label} was refused. Load the page again.`);
    }
    location.reload();
  } catch {
    keep(kept().map((tap) => ({ ...tap, isLate: true })));
    tell();
  } finally {
    isSending = false;
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-keeps]")) return;
  event.preventDefault();
  const fields = [...new FormData(form, event.submitter)].filter(([name]) => name !== "csrfmiddlewaretoken");
  const label = form.dataset.keeps;
  const key = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  keep([...kept(), { address: form.action, fields, label, key, at: new Date().toISOString(), isLate: false }]);
  sendKept();
});
addEventListener("online", sendKept);
setInterval(sendKept, 15_000);
tell();
sendKept();
