/** PEP 503's normal form of a project's name, which nginx cannot make by itself: it has no lower case. */
function normalize(r) {
  return r.variables.spelling.replace(/[-_.]+/g, "-").toLowerCase();
}

export default { normalize };
