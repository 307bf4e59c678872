import crypto from "crypto";
import fs from "fs";

const KEY = "/run/secrets/s3_key"; // ACCESSKEY:SECRETKEY
const WEB = "pypi/web";
const PAYLOAD = "UNSIGNED-PAYLOAD";
const SIGNED = "host;x-amz-content-sha256;x-amz-date";
const HEAD_BYTES = 64; // of a legacy document: enough for {"last_serial":9223372036854775807,
const FOREVER = "max-age=365000000, immutable, public";
const SHORTLY = "max-age=600, public";
const TYPES = {
  "text/html": "index.html",
  "application/vnd.pypi.simple.v1+html": "index.html",
  "application/vnd.pypi.simple.v1+json": "index.v1_json",
};

/** Send a page in the type and the coding that the edge asks for. */
async function page(r) {
  const type = r.headersIn.Accept || "text/html";
  await guarded(r, () => coded(r, `${WEB}/simple/${r.variables.directory}${TYPES[type] || "index.html"}`, type, SHORTLY));
}

/** Send a legacy document, with its serial. */
async function document(r) {
  await guarded(r, async () => {
    const key = `${WEB}/pypi/${r.variables.directory}/json`;
    const start = await ask(r, "GET", key, { Range: `bytes=0-${HEAD_BYTES - 1}` });
    const text = start.status < 300 ? await start.text() : "";
    const match = /^\{"last_serial":(\d+)[,}]/.exec(text);
    r.variables.object_serial = match ? match[1] : "";
    await coded(r, key, "application/json", "max-age=900, public");
  });
}

/** Send an object that no cache may keep. */
function uncached(r) {
  const isStatus = r.uri.endsWith(".json");
  send(r, isStatus ? `${WEB}/status.json` : "pypi/.changes", isStatus ? "application/json" : "text/plain", "no-cache");
}

/**
 * Send a file, or answer 403 with the text of its marker.
 *
 * The order is that of tree/packages.conf: the long path if there is something of its own, else the short one.
 */
async function file(r) {
  await guarded(r, async () => {
    const address = r.variables.address;
    const name = r.variables.file;
    const distribution = r.variables.distribution;
    if (address) {
      const full = `${WEB}/packages/${address}`;
      if (await refused(r, `${full}/.held/${distribution}`)) {
        return;
      }
      if (await exists(r, `${full}/${name}`)) {
        send(r, `${full}/${name}`, "application/octet-stream", FOREVER);
        return;
      }
      const itsOwn = name !== distribution && (await exists(r, `${full}/${distribution}`));
      if (itsOwn || (await exists(r, `${full}/.gone/${distribution}`))) {
        r.internalRedirect("/.error/absent");
        return;
      }
    }
    if (await refused(r, `${WEB}/packages/${r.variables.digits}/.held/${distribution}`)) {
      return;
    }
    // Not immutable by a long path: two digits do not identify a file that the mirror has not downloaded yet.
    const lifetime = address ? SHORTLY : FOREVER;
    send(r, `${WEB}/packages/${r.variables.digits}/${name}`, "application/octet-stream", lifetime);
  });
}

/** Answer 502 if the store does not answer, or refuses. */
async function guarded(r, answer) {
  try {
    await answer();
  } catch (failure) {
    r.error(`bucket: ${failure.message || failure}`);
    r.internalRedirect("/.error/store");
  }
}

/** Send an object, or its gzip twin if the client takes one and there is one. */
async function coded(r, key, type, lifetime) {
  const packed = /gzip/.test(r.headersIn["Accept-Encoding"] || "") && (await exists(r, `${key}.gz`));
  r.variables.object_coding = packed ? "gzip" : "";
  send(r, packed ? `${key}.gz` : key, type, lifetime);
}

/** Answer 403 with the text of a marker, and return true; return false without a marker. */
async function refused(r, marker) {
  const answer = await ask(r, "GET", marker, {});
  if (answer.status === 404) {
    return false;
  }
  const text = await answer.text();
  r.headersOut["Content-Type"] = "text/plain; charset=utf-8";
  r.headersOut["Cache-Control"] = "no-store";
  r.return(403, text);
  return true;
}

async function exists(r, key) {
  const answer = await ask(r, "HEAD", key, {});
  return answer.status !== 404;
}

/** Send a request to the store; any answer but success and 404 is an error. */
async function ask(r, method, key, headers) {
  const path = pathOf(r, key);
  const signed = sign(r, method, path);
  const answer = await ngx.fetch(`${r.variables.bucket_endpoint}${path}`, {
    method: method,
    headers: Object.assign({}, headers, {
      Host: r.variables.bucket_host,
      Authorization: signed.authorization,
      "x-amz-date": signed.date,
      "x-amz-content-sha256": PAYLOAD,
    }),
  });
  if (answer.status !== 404 && (answer.status < 200 || answer.status >= 300)) {
    throw new Error(`${method} ${key}: the store answers ${answer.status}`);
  }
  return answer;
}

/** Have nginx fetch an object and pass it on: bucket/object.conf. */
function send(r, key, type, lifetime) {
  const path = pathOf(r, key);
  const signed = sign(r, r.method, path);
  r.variables.object_path = path;
  r.variables.object_authorization = signed.authorization;
  r.variables.object_date = signed.date;
  r.variables.object_type = type;
  r.variables.object_lifetime = lifetime;
  r.internalRedirect("/.object");
}

/** Return the path of a key, in the one spelling that is signed: each byte but unreserved ones and slashes as %XX. */
function pathOf(r, key) {
  const encoded = encodeURIComponent(key)
    .replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%2F/g, "/");
  return `${r.variables.bucket_root}/${encoded}`;
}

/** Sign a request without a query by AWS's Signature Version 4. */
function sign(r, method, path) {
  const date = new Date().toISOString().replace(/[-:]|\.\d+/g, "");
  const day = date.slice(0, 8);
  const scope = `${day}/${r.variables.bucket_region}/s3/aws4_request`;
  const pair = fs.readFileSync(KEY, "utf8").trim();
  const colon = pair.indexOf(":");
  const headers = `host:${r.variables.bucket_host}\nx-amz-content-sha256:${PAYLOAD}\nx-amz-date:${date}\n`;
  const request = `${method}\n${path}\n\n${headers}\n${SIGNED}\n${PAYLOAD}`;
  const hash = crypto.createHash("sha256").update(request).digest("hex");
  let key = `AWS4${pair.slice(colon + 1)}`;
  [day, r.variables.bucket_region, "s3", "aws4_request"].forEach((part) => {
    key = crypto.createHmac("sha256", key).update(part).digest();
  });
  const signature = crypto.createHmac("sha256", key).update(`AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash}`).digest("hex");
  return {
    date: date,
    authorization: `AWS4-HMAC-SHA256 Credential=${pair.slice(0, colon)}/${scope}, SignedHeaders=${SIGNED}, Signature=${signature}`,
  };
}

export default { document, file, page, uncached };
