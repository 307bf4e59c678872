import fs from "fs";

const HEAD_BYTES = 64; // enough for {"last_serial":9223372036854775807,

/**
 * Return the serial at the start of a legacy document. A separate file for it could belong to another publication.
 */
function serial(r) {
  let file;
  try {
    file = fs.openSync(`/srv/mirror/pypi/web/pypi/${r.variables.directory}/json`, "r");
  } catch (_) {
    return ""; // nginx's own answer shows the error
  }
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    const read = fs.readSync(file, head, 0, HEAD_BYTES, 0);
    const match = /^\{"last_serial":(\d+)[,}]/.exec(head.toString("utf8", 0, read));
    return match ? match[1] : "";
  } finally {
    fs.closeSync(file);
  }
}

export default { serial };
