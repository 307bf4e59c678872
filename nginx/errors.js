// What nginx set for the file that was asked for, and an error is not: the file's tag, its coding, how long to keep it.
// Those that every answer has would be there twice.
const OF_THE_FILE = [
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

/** 416: nginx notices that a range lies past the end when all headers of the file are set already. */
function range(r) {
  OF_THE_FILE.forEach((name) => delete r.headersOut[name]);
  r.headersOut["Content-Type"] = "text/plain";
  r.return(416, "416: the range begins past the end of the file\n");
}

export default { range };
