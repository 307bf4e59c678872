import fs from "fs";

const CHAIN = "/etc/nginx/tls/fullchain.pem";
const COPY = "/logs/certificate.pem"; // control reads it
const BEGIN = "-----BEGIN CERTIFICATE-----";
const END = "-----END CERTIFICATE-----";

/** Keep a copy of the host's certificate, which is public, beside the access log: control tells when it ends. */
function copy() {
  try {
    const chain = fs.readFileSync(CHAIN, "utf8");
    // Whatever else the file holds, a private key for example, is not copied.
    const begin = chain.indexOf(BEGIN);
    const end = chain.indexOf(END, begin);
    const certificate = `${chain.slice(begin, end + END.length)}\n`;
    if (begin >= 0 && end >= 0 && certificate !== known()) {
      fs.writeFileSync(`${COPY}.new`, certificate);
      fs.renameSync(`${COPY}.new`, COPY);
    }
  } catch (_) {
    // no access log, no copy
  }
}

function known() {
  try {
    return fs.readFileSync(COPY, "utf8");
  } catch (_) {
    return "";
  }
}

export default { copy };
