import fs from "fs";

const LIST = "http://127.0.0.1:8079/changes.txt";
const CACHE = "/cache";
const CHANGED = `${CACHE}/changed`;
// One file with either name, because a full disk has no space for another: as if each file had a marker, or not.
const ALL = `${CHANGED}/all`;
const NOT_ALL = `${CHANGED}/not_all`;
const LOCKED = `${CACHE}/locked`;
const STATE = "/logs/edge.json"; // control reads it

const HEAD = /^pypi-mirror-changes 1 [0-9a-f]{16}$/;
const LINE = /^(\d{10,11}) (?:packages\/([0-9a-f]{2})\/(?:[0-9a-f]{2}\/[0-9a-f]{60}\/)?([^\/]+)|simple\/([a-z0-9](?:-?[a-z0-9]){0,250}))$/;
const MAX_LINES = 1000000; // the origin keeps fewer
const LINES_PER_TURN = 500; // then the worker serves its clients
const MAX_NAME_BYTES = 255; // of any file system, so no file has a longer name
const MAX_MARKERS = 500000; // inodes

const SECOND = 1000;
const COLD_SECONDS = 5;
const WARM_SECONDS = 60;
const PAGE_SECONDS = 3600; // longer than any page's lifetime
// For 30 days the list names a file. A copy that nobody gets leaves the cache after 30 days without a restart, or 31 days
// after its origin last confirmed it (checks/edge.sh).
const FILE_SECONDS = 62 * 86400;

/** Remember that an origin or the cache has a file, and when. */
function remember(r) {
  if (r.status >= 400) {
    ngx.shared.present.delete(r.variables.place);
  } else if (!isPresent(r)) {
    try {
      ngx.shared.present.add(r.variables.place, Date.now());
    } catch (_) {
      // the zone is full
    }
  }
}

/**
 * Return "present" if a file was there within the last hour, and "warm" if it is also surely in the page cache: it was
 * requested within the last minute, but so long ago that it was written or sent since then. A wrong answer only costs
 * time.
 */
function presence(r) {
  const since = ngx.shared.present.get(r.variables.place);
  if (since === undefined) {
    return "";
  }
  const seconds = (Date.now() - since) / SECOND;
  if (seconds > WARM_SECONDS) {
    ngx.shared.present.set(r.variables.place, Date.now());
    return "present";
  }
  return seconds > COLD_SECONDS ? "warm" : "present";
}

/** Return whether a file was there within the last hour. */
function isPresent(r) {
  return ngx.shared.present.has(r.variables.place) ? "yes" : "";
}

/** Read the origin's list of changes, and leave a marker for each changed page and withdrawn file. */
async function refresh() {
  const known = ngx.shared.edge;
  let error = "";
  try {
    const tag = known.get("tag");
    const answer = await ngx.fetch(LIST, { headers: tag ? { "If-None-Match": tag } : {} });
    let unmarked = "";
    if (answer.status === 200) {
      const text = await answer.text(); // njs cannot await within arguments
      unmarked = await read(text);
      known.set("tag", unmarked ? "" : answer.headers.get("ETag") || "");
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
    remove(LOCKED);
    // Only now: a marker that the list would renew must not leave before.
    clean();
    if (unmarked) {
      throw new Error(unmarked);
    }
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
  // However old the list is: a page without a marker is one of the cache, and soon expires.
  removeOlder(`${CHANGED}/simple`, PAGE_SECONDS);
}

/**
 * Mark what a list names, and return what went wrong with the markers. A list can only add markers, so that neither half
 * nor a forged one unblocks a file.
 */
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
  if (known.get("markers") === undefined) {
    const found = await count();
    known.set("markers", String(found));
  }
  let markers = Number(known.get("markers"));
  let unmarked = "";
  let next = lines.length;
  for (let at = start; at < lines.length; at += 1) {
    try {
      markers += mark(LINE.exec(lines[at]), oldest, markers);
    } catch (failure) {
      unmarked = unmarked || `markers are missing: ${failure.message || failure}`;
      next = Math.min(next, at);
    }
    if (at % LINES_PER_TURN === 0) {
      // nginx ends a reading that takes longer than the interval, and the next one begins here.
      keep(lines[0], Math.min(next, at), markers);
      await turn();
    }
  }
  keep(lines[0], next, markers);
  if (unmarked) {
    rename(NOT_ALL, ALL);
  } else {
    rename(ALL, NOT_ALL);
  }
  return unmarked;
}

/** Note which line the next reading begins with: the first one that failed, or a new one. */
function keep(head, line, markers) {
  ngx.shared.edge.set("head", head);
  ngx.shared.edge.set("lines", String(line));
  ngx.shared.edge.set("markers", String(markers));
}

/** Write the marker that a line calls for, and return how many files have one more. */
function mark(line, oldest, markers) {
  if (!line || /[\x00-\x1f\x7f]/.test(line[0]) || line[3] === "." || line[3] === "..") {
    return 0;
  }
  if (line[4] !== undefined) {
    if (Number(line[1]) > oldest) {
      fs.writeFileSync(`${CHANGED}/simple/${line[4]}`, "");
    }
    return 0;
  }
  if (Buffer.from(line[3]).length > MAX_NAME_BYTES) {
    return 0;
  }
  const directory = `${CHANGED}/packages/${line[2]}`;
  const isNew = !exists(`${directory}/${line[3]}`);
  if (isNew && markers >= MAX_MARKERS) {
    throw new Error(`there are ${markers} already`);
  }
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(`${directory}/${line[3]}`, "");
  return isNew ? 1 : 0;
}

function rename(path, other) {
  try {
    fs.renameSync(path, other);
  } catch (_) {
    // it was renamed before
  }
}

/** Return how many files have a marker. */
async function count() {
  let total = 0;
  for (let number = 0; number < 256; number += 1) {
    const found = list(`${CHANGED}/packages/${digits(number)}`).length;
    total += found;
    if (found > LINES_PER_TURN) {
      await turn();
    }
  }
  return total;
}

function turn() {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

function digits(number) {
  return `0${number.toString(16)}`.slice(-2);
}

function exists(path) {
  try {
    fs.statSync(path);
    return true;
  } catch (_) {
    return false;
  }
}

function list(directory) {
  try {
    return fs.readdirSync(directory);
  } catch (_) {
    return []; // it does not exist yet
  }
}

function remove(path) {
  try {
    fs.unlinkSync(path);
  } catch (_) {
    // it does not exist
  }
}

/** Without a password of its own, an edge would give what it has cached to everyone. */
function lock() {
  fs.writeFileSync(LOCKED, "");
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

/** Remove old markers of files below one of the 256 directories in turn. */
function clean() {
  const known = ngx.shared.edge;
  const number = Number(known.get("turn") || 0);
  known.set("turn", String((number + 1) % 256));
  const removed = removeOlder(`${CHANGED}/packages/${digits(number)}`, FILE_SECONDS);
  known.set("markers", String(Number(known.get("markers") || 0) - removed));
}

/** Remove what is older, and return how much. */
function removeOlder(directory, seconds) {
  const oldest = Date.now() - seconds * SECOND;
  let removed = 0;
  list(directory).forEach((name) => {
    try {
      if (fs.statSync(`${directory}/${name}`).mtimeMs < oldest) {
        fs.unlinkSync(`${directory}/${name}`);
        removed += 1;
      }
    } catch (_) {
      // it was removed by hand
    }
  });
  return removed;
}

export default { isPresent, presence, refresh, remember };
