// Features of the page that need JavaScript: changes through the API, copying, and a warning on lost contact.
"use strict";

document.documentElement.classList.add("scripted");

const element = (id) => document.getElementById(id);

// The mirror's root relative to this page; a proxy may serve the mirror under a path prefix.
const root = document.documentElement.dataset.root;

// --- Changes through the API. The token stays in memory: storage and cookies belong to the whole origin, so a script
// among the mirrored files could read it there at any time.

let knownToken = "";

function askForToken(error) {
  const dialog = element("token-dialog");
  element("token-error").textContent = error ?? "";
  element("token-error").hidden = !error;
  element("token").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const token = element("token").value.trim();
      element("token").value = "";
      resolve(dialog.returnValue === "go" ? token : "");
    }, { once: true });
  });
}

async function change(path, request, method = "POST") {
  let error = null;
  for (;;) {
    const token = (!error && knownToken) || (await askForToken(error));
    if (!token) return null;
    const answer = await fetch(`${root}/api/v1${path}`, {
      method,
      headers: { "Authorization": "Bearer " + token, "Content-Type": "application/json" },
      body: request,
    });
    const body = await answer.json().catch(() => ({ detail: `Control does not answer (HTTP ${answer.status}).` }));
    if (answer.status === 401) {
      knownToken = "";
      error = body.detail;
      continue;
    }
    knownToken = token;
    if (!answer.ok) throw new Error(body.detail ?? `Control refused the request (HTTP ${answer.status}).`);
    return body;
  }
}

function notify(text, run) {
  const notice = element("notice");
  notice.textContent = text;
  if (run) {
    const link = document.createElement("a");
    link.href = `${root}/ui/runs/${encodeURIComponent(run.id)}`;
    link.textContent = run.id;
    notice.append(" ", link);
  }
}

async function pressed(button, act) {
  button.disabled = true;
  try {
    await act();
  } catch (error) {
    notify(error instanceof TypeError ? "Control does not answer." : error.message);
  } finally {
    button.disabled = false;
    button.focus();
  }
}

// A form: without scripts, the browser sends it with the token to the page.
async function sendForm(form) {
  const [method, path] = form.dataset.call.split(" ");
  const { token: _, ...fields } = Object.fromEntries(new FormData(form));
  const body = method === "DELETE" ? undefined : form.dataset.body ?? JSON.stringify(fields);
  const done = await change(path, body, method);
  if (!done) return;
  const run = done.run ?? (done.state ? done.id : null);
  // A run that is requested may be one that is running already.
  notify([form.dataset.done || `The run is ${done.state}:`, ...(done.warnings ?? [])].join(" "), run && { id: run });
}

// --- Copying: over plain HTTP, browsers offer pages no clipboard, but the page can copy a selection.

async function copy(button) {
  const text = button.dataset.copy ? element(button.dataset.copy) : button.previousElementSibling;
  if (navigator.clipboard) await navigator.clipboard.writeText(text.textContent);
  else {
    getSelection().selectAllChildren(text);
    document.execCommand("copy");
  }
  notify("Copied.");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button");
  if (button?.dataset.copy !== undefined) copy(button).catch(() => notify("Copying failed; select the text and copy it."));
});

document.addEventListener("submit", (event) => {
  if (!event.target.dataset.call) return;
  event.preventDefault();
  pressed(event.submitter ?? event.target.querySelector("button"), () => sendForm(event.target));
});

// --- Live updates by htmx: if control stops answering, the page must say that it is outdated.

let updatedAt = new Date();

function showConnectionLost(reason) {
  const banner = element("connection-lost");
  banner.hidden = !reason;
  banner.textContent = reason && `${reason} This page shows the state at ${updatedAt.toLocaleTimeString()}. nginx still serves packages.`;
}

document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  if (ctx.response.status >= 400) showConnectionLost("Control or the syncer does not answer.");
  else {
    updatedAt = new Date();
    showConnectionLost("");
  }
});
document.addEventListener("htmx:error", () => showConnectionLost("Control does not answer."));
