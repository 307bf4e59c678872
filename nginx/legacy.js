import fs from "fs";

const BEGINNING = 64; // bytes: {"last_serial":9223372036854775807,

/**
 * The serial that a legacy document begins with. A file has no headers of its own, and one beside it could be of another
 * publication.
 */
function serial(r) {
  let file;
  try {
    file = fs.openSync(`/srv/mirror/pypi/web/pypi/${r.variables.directory}/json`, "r");
  } catch (_) {
    return ""; // nginx says why, by its answer
  }
  try {
    const beginning = Buffer.alloc(BEGINNING);
    const read = fs.readSync(file, beginning, 0, BEGINNING, 0);
    const match = /^\{"last_serial":(\d+)[,}]/.exec(beginning.toString("utf8", 0, read));
    return match ? match[1] : "";
  } finally {
    fs.closeSync(file);
  }
}

export default { serial };
