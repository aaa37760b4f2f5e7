// A protected API on loopback that asks the authorization server about every token (RFC 7662), as a resource server does.
//
//   node protected_api.mjs [PORT]                 PORT 0 or absent: any free port
//
// Environment
//   PORT                     the port, where no argument names it
//   INTROSPECTION_ENDPOINT   required: the URL that authorization_server.mjs prints
//   CLIENT_ID, CLIENT_SECRET required: its `api` client
//
// When it accepts connections it writes one line of JSON to standard output, and nothing else ever:
//
//   {"origin": "http://127.0.0.1:PORT"}
//
// GET /v1/devices   200 {"client_id": whose token it was, "scope", "aud": the resource, if it is for one (RFC 8707),
//                       "devices": […]}
//                   401 with WWW-Authenticate (RFC 6750 §3) without a Bearer token, with more than one Authorization field,
//                       or with a token that is not active
//                   403 insufficient_scope when the token's scope lacks devices.read
//                   503 when the authorization server cannot be asked
// anything else     404, and 405 for another method
//
// No answer of the authorization server is kept: a token that ended a second ago is refused. It ends as
// authorization_server.mjs does: at SIGTERM or SIGINT, and when standard input closes.

import { createServer } from "node:http";
import { endWithParent } from "./lifetime.mjs";

const port = Number(process.argv[2] ?? process.env.PORT ?? "0");
const endpoint = required("INTROSPECTION_ENDPOINT");
const credentials = basic(required("CLIENT_ID"), required("CLIENT_SECRET"));

const server = createServer((request, response) => {
  answer(request).then(
    ({ status, headers = {}, body }) => {
      const text = `${JSON.stringify(body)}\n`;
      response.writeHead(status, {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(text),
        ...headers,
      });
      response.end(text);
    },
    (error) => {
      console.error(error);
      response.destroy();
    },
  );
});
endWithParent(server);
server.on("error", (error) => {
  console.error(`cannot listen on 127.0.0.1:${port}: ${error.message}`);
  process.exit(1);
});
server.listen(port, "127.0.0.1", () => {
  process.stdout.write(`${JSON.stringify({ origin: `http://127.0.0.1:${server.address().port}` })}\n`);
});

async function answer(request) {
  const path = request.url.split("?", 1)[0];
  if (path !== "/v1/devices") return { status: 404, body: { error: "not_found" } };
  if (request.method !== "GET") {
    return { status: 405, headers: { allow: "GET" }, body: { error: "method_not_allowed" } };
  }

  const token = bearer(request);
  if (token === undefined) return unauthorized('Bearer realm="devices"', "no_token");

  const found = await introspect(token);
  if (found === undefined) return { status: 503, body: { error: "introspection_failed" } };
  if (found.active !== true) return unauthorized('Bearer realm="devices", error="invalid_token"', "invalid_token");

  const scope = found.scope ?? "";
  if (!scope.split(" ").includes("devices.read")) {
    const challenge = 'Bearer realm="devices", error="insufficient_scope", scope="devices.read"';
    return { status: 403, headers: { "www-authenticate": challenge }, body: { error: "insufficient_scope" } };
  }
  return {
    status: 200,
    body: {
      client_id: found.client_id,
      scope,
      aud: found.aud,
      devices: [
        { id: "device-1", name: "Van 12" },
        { id: "device-2", name: "Trailer 7" },
      ],
    },
  };
}

function unauthorized(challenge, error) {
  return { status: 401, headers: { "www-authenticate": challenge }, body: { error } };
}

// The raw list, since `request.headers` shows the first of two Authorization fields alone.
function bearer(request) {
  const values = request.rawHeaders.filter((_, i) => i % 2 === 1 && request.rawHeaders[i - 1].toLowerCase() === "authorization");
  return values.length === 1 ? /^Bearer +([\w.~+/-]+=*)$/i.exec(values[0])?.[1] : undefined;
}

// What the authorization server says of the token; undefined when it says nothing that can be used.
async function introspect(token) {
  try {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: { authorization: credentials },
      body: new URLSearchParams({ token }),
      redirect: "error",
      signal: AbortSignal.timeout(5000),
    });
    if (response.status === 200) return await response.json();
    console.error(`introspection: status ${response.status}`);
  } catch (error) {
    console.error(`introspection: ${error.message}`);
  }
  return undefined;
}

// RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
function basic(id, secret) {
  const encode = (text) => new URLSearchParams({ "": text }).toString().slice(1);
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString("base64")}`;
}

function required(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set`);
    process.exit(2);
  }
  return value;
}
