/** Return the project's normalized name (PEP 503); nginx itself cannot convert to lower case. */
function normalize(r) {
  return r.variables.spelling.replace(/[-_.]+/g, "-").toLowerCase();
}

/**
 * Return the URL reference for the Location header that leads to `target` below /simple/ or /pypi/.
 *
 * For a plainly spelled request, it is relative, so that it works behind any proxy. For other spellings of the path (//,
 * %2F, /./), clients resolve relative references differently. So these get an absolute path with the proxy's prefix.
 */
function refer(r, root, requested, target) {
  const prefix = r.variables.prefix || "";
  const path = r.variables.request_uri.split("?", 1)[0];
  const up = "../".repeat(requested.split("/").length - 1);
  if (path === `${prefix}${root}${requested}`) {
    return up + target;
  }
  if (path === `${prefix}${root}${requested}/`) {
    return `../${up}${target}`;
  }
  return `${r.variables.forwarded_prefix}${prefix}${root}${target}`;
}

/** Return the reference to the page of $spelling. */
function page(r) {
  return refer(r, "/simple/", r.variables.spelling, `${normalize(r)}/`);
}

/** Return the reference to the legacy document of $spelling. */
function document(r) {
  return refer(r, "/pypi/", `${r.variables.spelling}/json`, `${normalize(r)}/json`);
}

export default { document, page };
