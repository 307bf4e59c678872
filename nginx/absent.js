import fs from "fs";

// Written by the syncer: volume/blocked_names.py describes the format.
const LIST = "/srv/mirror/pypi/.blocked";
const MAX_NAME_LENGTH = 255;
const MAX_LINE_BYTES = 1024; // a name, a tab, and 500 bytes of reason
const UNKNOWN = "404: not on this mirror\n";
const MAX_PATTERN_BYTES = 1000 * MAX_LINE_BYTES;

const NAME = /^[a-z0-9](?:[a-z0-9-]{0,120}[a-z0-9])?$/;
const WHEEL = /^([^-]+)-([^-]+)(?:-[^-]+)*\.(?:whl|egg)$/;
const SDIST = /^(.+)-([^-]+?)\.(?:tar\.gz|zip|tgz|tar\.bz2|tar\.xz|tar\.Z)$/;
const VERSION = /^[A-Za-z0-9][A-Za-z0-9.+!_]{0,60}$/;

/** Answer 404 to a project without a page, with the reason if its name is blocked, and where more is told. */
function page(r) {
  const name = r.variables.directory.replace("/", "");
  let reason;
  try {
    reason = find(name);
  } catch (_) {
    reason = null; // no list, or not a valid one
  }
  r.headersOut["Content-Type"] = reason ? "text/plain; charset=utf-8" : "text/plain";
  if (reason) {
    r.return(404, `404: blocked on this mirror: ${reason}\n`);
  } else {
    r.return(404, NAME.test(name) ? told(name, name, "") : UNKNOWN);
  }
}

/** Answer 404 to a file, with the page of its project, which says why it is missing. */
function file(r) {
  const parts = WHEEL.exec(r.variables.distribution) || SDIST.exec(r.variables.distribution);
  const name = parts ? parts[1].toLowerCase().replace(/[-_.]+/g, "-") : "";
  r.headersOut["Content-Type"] = "text/plain";
  if (!NAME.test(name)) {
    r.return(404, UNKNOWN);
  } else {
    const query = VERSION.test(parts[2]) ? `?version=${encodeURIComponent(parts[2])}` : "";
    r.return(404, told("this file", name, query));
  }
}

/** Return the text of a 404. A path, since only the client knows the host and a proxy's prefix before it. */
function told(what, name, query) {
  return `404: ${what} is not on this mirror; its page /ui/projects/${name}${query} says why and how to get it\n`;
}

function find(name) {
  // A planted symlink could expose a secret, and a pipe would block the worker.
  if (name.length > MAX_NAME_LENGTH || !fs.lstatSync(LIST).isFile()) {
    return null;
  }
  const file = fs.openSync(LIST, "r");
  try {
    const head = read(file, 0, MAX_LINE_BYTES);
    const start = head.indexOf(10) + 1;
    const lengths = /^(\d+) (\d+)\n$/.exec(head.slice(0, start).toString());
    if (!lengths || lengths[1] > MAX_PATTERN_BYTES) {
      return null;
    }
    const names = start + Number(lengths[1]);
    return (
      reasonOf(nearby(file, names, names + Number(lengths[2]), name), (listed) => listed === name) ||
      reasonOf(read(file, start, Number(lengths[1])).toString(), (pattern) => matches(pattern, name))
    );
  } finally {
    fs.closeSync(file);
  }
}

function read(file, position, length) {
  const buffer = Buffer.alloc(length);
  return buffer.slice(0, length && fs.readSync(file, buffer, 0, length, position));
}

/** Return the few lines among the sorted ones, from `low` to `high`, where the name's line would be. */
function nearby(file, low, high, name) {
  while (high - low > 4 * MAX_LINE_BYTES) {
    const middle = low + Math.floor((high - low) / 2);
    const chunk = read(file, middle, 2 * MAX_LINE_BYTES);
    const start = chunk.indexOf(10) + 1;
    const tab = chunk.indexOf(9, start);
    if (start === 0 || tab < 0) {
      throw new Error("a line is too long");
    }
    if (chunk.slice(start, tab).toString() <= name) {
      low = middle + start;
    } else {
      high = middle + start;
    }
  }
  return read(file, low, high - low).toString();
}

/** Return the reason of the first line whose name or pattern fits. */
function reasonOf(lines, fits) {
  const line = lines.split("\n").find((one) => one.indexOf("\t") > 0 && fits(one.split("\t", 1)[0]));
  return line === undefined ? null : line.slice(line.indexOf("\t") + 1);
}

/**
 * Return whether a name fits a pattern of Python's fnmatch. Without a regular expression, since that could take long:
 * a mismatch only goes back to the last star.
 */
function matches(pattern, name) {
  const parts = pattern.match(/\[!?\]?[^\]]*\]|./g);
  let part = 0;
  let star = -1;
  let mark = 0;
  let at = 0;
  while (at < name.length) {
    if (parts[part] === "*") {
      star = part;
      part += 1;
      mark = at;
    } else if (part < parts.length && fitsOne(parts[part], name[at])) {
      part += 1;
      at += 1;
    } else if (star >= 0) {
      part = star + 1;
      mark += 1;
      at = mark;
    } else {
      return false;
    }
  }
  return parts.slice(part).every((rest) => rest === "*");
}

function fitsOne(part, letter) {
  if (part.length === 1) {
    return part === "?" || part === letter;
  }
  const negated = part[1] === "!";
  const listed = part.slice(negated ? 2 : 1, -1);
  let found = false;
  for (let at = 0; at < listed.length; at += 1) {
    if (listed[at + 1] === "-" && at + 2 < listed.length) {
      found = found || (listed[at] <= letter && letter <= listed[at + 2]);
      at += 2;
    } else {
      found = found || listed[at] === letter;
    }
  }
  return found !== negated;
}

export default { file, page };
