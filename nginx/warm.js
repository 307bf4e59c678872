import fs from "fs";

const PACKAGES = "/srv/mirror/pypi/web/packages";
const LARGEST = 4 * 1024 * 1024; // beyond that, handing reads to threads costs little of a request
const SECONDS_PER_MEGABYTE = 3; // 64 clients of a disk that reads 20 MB/s

/**
 * Return whether a distribution is surely in the page cache: it is small, and it was first requested within the last
 * minute, but so long ago that even a slow disk has sent all of it. A wrong answer only costs time.
 */
function isWarm(r) {
  const now = Date.now();
  const since = ngx.shared.warm.get(r.variables.uri);
  if (since !== undefined) {
    return now > since ? "yes" : "";
  }
  try {
    const size = fs.statSync(`${PACKAGES}/${r.variables.digits}/${r.variables.distribution}`).size;
    const seconds = size > LARGEST ? Infinity : 1 + SECONDS_PER_MEGABYTE * (size / 1e6);
    ngx.shared.warm.add(r.variables.uri, now + 1000 * seconds);
  } catch (_) {
    // missing, or the zone is full
  }
  return "";
}

export default { isWarm };
