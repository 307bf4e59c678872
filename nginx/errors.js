// Headers that nginx has already set for the file and that are wrong for the error; headers of every answer would appear
// twice.
const FILE_HEADERS = [
  "Access-Control-Allow-Origin",
  "Access-Control-Expose-Headers",
  "Cache-Control",
  "Content-Encoding",
  "Content-Security-Policy",
  "ETag",
  "Last-Modified",
  "Vary",
  "X-Content-Type-Options",
  "X-PyPI-Last-Serial",
];

/** Answer 416: nginx only detects a range past the end after it has set all headers of the file. */
function range(r) {
  FILE_HEADERS.forEach((name) => delete r.headersOut[name]);
  r.headersOut["Content-Type"] = "text/plain";
  r.return(416, "416: the range starts after the end of the file\n");
}

export default { range };
