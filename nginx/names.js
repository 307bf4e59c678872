/** PEP 503's normal form of a project's name, which nginx cannot make by itself: it has no lower case. */
function normalize(r) {
  return r.variables.spelling.replace(/[-_.]+/g, "-").toLowerCase();
}

/**
 * Return the reference to `below` (of /simple/ or /pypi/) that goes into Location.
 *
 * It is relative to the request if that was spelled plainly, so that it holds behind any proxy. Other spellings of the
 * path (//, %2F, /./) have no relative reference that all clients resolve alike: they get an absolute path, under the
 * path that a proxy in front says it has.
 */
function refer(r, root, asked, below) {
  const prefix = r.variables.prefix || "";
  const path = r.variables.request_uri.split("?", 1)[0];
  const up = "../".repeat(asked.split("/").length - 1);
  if (path === `${prefix}${root}${asked}`) {
    return up + below;
  }
  if (path === `${prefix}${root}${asked}/`) {
    return `../${up}${below}`;
  }
  return `${r.variables.forwarded_prefix}${prefix}${root}${below}`;
}

/** The page of $spelling. */
function page(r) {
  return refer(r, "/simple/", r.variables.spelling, `${normalize(r)}/`);
}

/** The legacy document of $spelling. */
function document(r) {
  return refer(r, "/pypi/", `${r.variables.spelling}/json`, `${normalize(r)}/json`);
}

export default { document, page };
