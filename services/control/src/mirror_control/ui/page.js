// What the page can do beyond being read: charts, changes by the API, copying, and telling when control is silent.
"use strict";

document.documentElement.classList.add("scripted");

const element = (id) => document.getElementById(id);

// Where the mirror's root is, relative to this page: a proxy in front may give it a path of its own.
const root = document.documentElement.dataset.root;

// --- Changes: by the API, with the token, which is kept in memory alone. Storage and cookies belong to the whole origin,
// which other mirrors' files share: a script among them could read the token there at any time.

let knownToken = "";

function askForToken(error) {
  const dialog = element("ask");
  element("ask-error").textContent = error ?? "";
  element("ask-error").hidden = !error;
  element("token").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const given = element("token").value.trim();
      element("token").value = "";
      resolve(dialog.returnValue === "go" ? given : "");
    }, { once: true });
  });
}

async function change(wish) {
  let error = null;
  for (;;) {
    const token = (!error && knownToken) || (await askForToken(error));
    if (!token) return null;
    const answer = await fetch(`${root}/api/v1/runs`, {
      method: "POST",
      headers: { "Authorization": "Bearer " + token, "Content-Type": "application/json" },
      body: wish,
    });
    const said = await answer.json().catch(() => ({ detail: `Control is away (${answer.status}).` }));
    if (answer.status === 401) {
      knownToken = "";
      error = said.detail;
      continue;
    }
    knownToken = token;
    if (!answer.ok) throw new Error(said.detail ?? `Refused (${answer.status}).`);
    return said;
  }
}

function tell(text, run) {
  const told = element("told");
  told.textContent = text;
  if (run) {
    const link = document.createElement("a");
    link.href = `${root}/ui/runs/${encodeURIComponent(run.id)}`;
    link.textContent = run.id;
    told.append(" ", link);
  }
}

async function act(button) {
  button.disabled = true;
  try {
    const run = await change(button.dataset.run);
    if (run) tell(`The run is ${run.state}:`, run);
  } catch (error) {
    tell(error instanceof TypeError ? "Control does not answer." : error.message);
  } finally {
    button.disabled = false;
    button.focus();
  }
}

// --- Copying: over plain HTTP browsers have no clipboard for pages; what is selected can be copied all the same.

async function copy(button) {
  const text = element(button.dataset.copy);
  if (navigator.clipboard) await navigator.clipboard.writeText(text.textContent);
  else {
    getSelection().selectAllChildren(text);
    document.execCommand("copy");
  }
  tell("Copied.");
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("button");
  if (button?.dataset.run) act(button);
  if (button?.dataset.copy) copy(button).catch(() => tell("Not copied: select it by hand."));
});

// --- Charts: drawn from the table of the page.

let drawn = null;

function draw(force) {
  const place = element("charts");
  const rows = [...document.querySelectorAll("tr[data-at]")].reverse();
  const newest = rows.at(-1)?.dataset.at;
  if (!place || !window.uPlot || rows.length < 2 || (newest === drawn && !force && place.childElementCount)) return;
  drawn = newest;
  place.replaceChildren();
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.className = name;
    place.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const column = (name) => rows.map((row) => Number(row.dataset[name]));
  const span = (seconds) => (seconds < 120 ? `${seconds} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`);
  const moment = (_, ticks, __, ___, step) => ticks.map((seconds) => {
    const told = new Date(seconds * 1000).toISOString();
    return step >= 86400 || told.slice(11, 16) === "00:00" ? told.slice(5, 10) : told.slice(11, 16);
  });
  const figure = (...caption) => {
    const made = document.createElement("figure");
    const title = document.createElement("figcaption");
    title.append(...caption);
    made.append(title);
    place.append(made);
    return made;
  };
  const chart = (made, series, says) => {
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    new uPlot(
      {
        width: made.clientWidth, height: 160, legend: { show: false }, cursor: { show: false },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
        axes: [{ ...axis, values: moment }, { ...axis, size: 60, values: (_, ticks) => ticks.map(says) }],
        scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, 1)] } },
        series: [{}, ...series.map((name) => ({ stroke: colour(`${name}-line`), width: 2, points: { size: 5, fill: colour(`${name}-line`) } }))],
      },
      [column("at"), ...series.map(column)],
      made,
    );
    made.lastElementChild.setAttribute("aria-hidden", "true");
  };
  const word = (name) => Object.assign(document.createElement("b"), { textContent: name, className: `${name}-line` });
  // Both figures first: how wide one is depends on the other.
  const took = figure("How long each took");
  const counts = figure("Projects ", word("changed"), " and ", word("failed"));
  chart(took, ["took"], span);
  chart(counts, ["changed", "failed"], (count) => (Number.isInteger(count) ? count.toLocaleString("en") : ""));
}

addEventListener("DOMContentLoaded", () => draw());
addEventListener("resize", () => draw(true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));

// --- Live: htmx asks again; what it shows must not look fresh when nobody answers any more.

let heard = new Date();

function silent(reason) {
  const banner = element("silent");
  banner.hidden = !reason;
  banner.textContent = reason && `${reason} What you see is as of ${heard.toLocaleTimeString()}. Packages are served all the same.`;
}

document.addEventListener("htmx:after:request", ({ detail: { ctx } }) => {
  if (ctx.response.status >= 400) silent("Control or the syncer does not answer.");
  else {
    heard = new Date();
    silent("");
  }
});
document.addEventListener("htmx:error", () => silent("Control does not answer."));
document.addEventListener("htmx:after:swap", () => draw());
