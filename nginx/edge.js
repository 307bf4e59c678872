import fs from "fs";

const LIST = "http://127.0.0.1:8079/changes.txt";
const CACHE = "/cache";
const CHANGED = `${CACHE}/changed`;
const LOCKED = `${CACHE}/locked`;
const STATE = "/logs/edge.json"; // control reads it

const HEAD = /^pypi-mirror-changes 1 [0-9a-f]{16}$/;
const LINE = /^(\d{10,11}) (?:packages\/([0-9a-f]{2})\/(?:[0-9a-f]{2}\/[0-9a-f]{60}\/)?([^\/]{1,255})|simple\/([a-z0-9](?:-?[a-z0-9]){0,250}))$/;
const MAX_LINES = 1000000; // the origin keeps fewer
const LINES_PER_TURN = 500; // then the worker serves its clients

const SECOND = 1000;
const WARM_SECONDS = 5;
const PAGE_SECONDS = 3600; // longer than any page's lifetime
// Longer than a cache keeps a file that nobody requests (inactive=30d), and nobody gets the cached copy of a listed file.
const FILE_SECONDS = 31 * 86400;

/**
 * Return whether a file is surely in the page cache: it was first requested within the last minute, but so long ago that
 * it was written or sent since then. A wrong answer only costs time. The zone is that of warm.js.
 */
function isRecentlySent(r) {
  const now = Date.now();
  const since = ngx.shared.warm.get(r.variables.place);
  if (since !== undefined) {
    return now > since ? "yes" : "";
  }
  try {
    ngx.shared.warm.add(r.variables.place, now + WARM_SECONDS * SECOND);
  } catch (_) {
    // the zone is full
  }
  return "";
}

/** Read the origin's list of changes, and leave a marker for each changed page and withdrawn file. */
async function refresh() {
  const known = ngx.shared.edge;
  let error = "";
  try {
    const tag = known.get("tag");
    const answer = await ngx.fetch(LIST, { headers: tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 200) {
      const text = await answer.text(); // njs cannot await within arguments
      await read(text);
      known.set("tag", answer.headers.get("ETag") || "");
    } else if (answer.status === 401) {
      lock();
      throw new Error("the origin requires a password: set MIRROR_ORIGIN_PASSWORD_FILE");
    } else if (answer.status === 404) {
      throw new Error("the origin has no list of changes: upgrade it first");
    } else if (answer.status === 502 || answer.status === 504) {
      throw new Error(`no origin answers: ${answer.status}`);
    } else if (answer.status !== 304) {
      throw new Error(`the origin refused the list: ${answer.status}`);
    }
    unlock();
    known.set("read", String(Math.floor(Date.now() / SECOND)));
    fs.writeFileSync(`${CACHE}/read`, known.get("read")); // the entrypoint compares its time
  } catch (failure) {
    error = String(failure.message || failure);
  }
  if (error !== (known.get("error") || "")) {
    ngx.log(ngx.WARN, error ? `list of changes: ${error}` : "list of changes: read again");
    known.set("error", error);
  }
  report(error);
  clean();
}

/** Mark what a list names. A list can only add markers, so that neither half nor a forged one unblocks a file. */
async function read(text) {
  const lines = text.split("\n");
  if (!HEAD.test(lines[0])) {
    throw new Error("the answer is not a list of changes");
  }
  if (lines.pop() !== "") {
    throw new Error("the list is incomplete");
  }
  if (lines.length > MAX_LINES) {
    throw new Error("the list is too long");
  }
  // Only lines are ever added, unless the list has a new head.
  const known = ngx.shared.edge;
  const start = known.get("head") === lines[0] ? Math.min(Number(known.get("lines")), lines.length) : 1;
  const oldest = Date.now() / SECOND - PAGE_SECONDS;
  for (let at = start; at < lines.length; at += 1) {
    mark(LINE.exec(lines[at]), oldest);
    if (at % LINES_PER_TURN === 0) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  known.set("head", lines[0]);
  known.set("lines", String(lines.length));
}

function mark(line, oldest) {
  if (!line || /[\x00-\x1f\x7f]/.test(line[0]) || line[3] === "." || line[3] === "..") {
    return;
  }
  if (line[4] === undefined) {
    fs.mkdirSync(`${CHANGED}/packages/${line[2]}`, { recursive: true });
    fs.writeFileSync(`${CHANGED}/packages/${line[2]}/${line[3]}`, "");
  } else if (Number(line[1]) > oldest) {
    fs.writeFileSync(`${CHANGED}/simple/${line[4]}`, "");
  }
}

/** Without a password of its own, an edge would give what it has cached to everyone. */
function lock() {
  fs.writeFileSync(LOCKED, "");
}

function unlock() {
  try {
    fs.unlinkSync(LOCKED);
  } catch (_) {
    // it was not locked
  }
}

function report(error) {
  const read = Number(ngx.shared.edge.get("read") || 0);
  try {
    fs.writeFileSync(`${STATE}.new`, JSON.stringify({ read, error }));
    fs.renameSync(`${STATE}.new`, STATE);
  } catch (_) {
    // no access log, no metrics
  }
}

/** Remove old markers: all of pages, and those of files below one of the 256 directories in turn. */
function clean() {
  const turn = ngx.shared.edge.get("turn") || "0";
  ngx.shared.edge.set("turn", String((Number(turn) + 1) % 256));
  const digits = `0${Number(turn).toString(16)}`.slice(-2);
  removeOlder(`${CHANGED}/simple`, PAGE_SECONDS);
  removeOlder(`${CHANGED}/packages/${digits}`, FILE_SECONDS);
}

function removeOlder(directory, seconds) {
  const oldest = Date.now() - seconds * SECOND;
  try {
    fs.readdirSync(directory).forEach((name) => {
      if (fs.statSync(`${directory}/${name}`).mtimeMs < oldest) {
        fs.unlinkSync(`${directory}/${name}`);
      }
    });
  } catch (_) {
    // it does not exist yet
  }
}

export default { isRecentlySent, refresh };
