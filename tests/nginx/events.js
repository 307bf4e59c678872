/** Server-sent events without an end, as a run's are while it runs. */
async function stream(r) {
  r.headersOut["Content-Type"] = "text/event-stream";
  r.headersOut["X-Accel-Buffering"] = "no";
  r.status = 200;
  r.sendHeader();
  for (let id = 0; ; id++) {
    r.send(`id: ${id}\ndata: {}\n\n`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** What came, once all of it has. */
function echo(r) {
  r.return(200, JSON.stringify({ uri: r.variables.request_uri, headers: r.rawHeadersIn, body: r.requestText || "" }));
}

export default { echo, stream };
