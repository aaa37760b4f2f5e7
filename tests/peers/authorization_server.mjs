// A real OAuth 2.0 authorization server on loopback: the certified `oidc-provider`.
//
//   node authorization_server.mjs [PORT]          PORT 0 or absent: any free port
//
// Environment
//   PORT             the port, where no argument names it
//   TOKEN_LIFETIME   seconds that an access token lives; default 60
//   REDIRECT_URI     where persons come back to after their consent; without it there is no `person`
//   CLIENT_JWKS      public keys of `keys`, a JWK Set; without it there is no such client
//   TLS_CERT, TLS_KEY, TLS_CLIENT_CA   PEM files; with them it speaks TLS, and `certificate` shows one of that authority
//
// When it accepts connections it writes one line of JSON to standard output, and nothing else ever:
//
//   {"issuer": "http://127.0.0.1:PORT", "token_endpoint": "…/token", "introspection_endpoint": "…/token/introspection",
//    "authorization_endpoint": "…/auth", "revocation_endpoint": "…/token/revocation", "scope": "devices.read devices.write",
//    "clients": {"basic": {"client_id", "client_secret", "token_endpoint_auth_method"}, "post": {…}, …}}
//
// `basic` and `post` may use the client_credentials grant, each with its own way to authenticate and no other
// (`invalid_client`). Identifiers and secrets hold characters that RFC 6749 §2.3.1 wants form-encoded before they are put into
// HTTP Basic, so that a client that skips the step is refused. `api` may only introspect tokens (RFC 7662);
// protected_api.mjs is it.
//
// `jwt` and `keys` may use it with a JWT (RFC 7523), `certificate` with a certificate whose subject is `CN=certified_client`
// (RFC 8705 §2.1). The library `jose` verifies the JWTs. Where a key in CLIENT_JWKS has a certificate (`x5c`), the header of the
// JWT must name it (`x5t#S256`, RFC 7515 §4.1.8), as some vendors demand.
//
// `person` may use the authorization_code grant, with PKCE (S256), and refresh tokens. Any name and password log in, on the
// pages that oidc-provider has for developers. Every refresh brings a new refresh token; one that comes again ends the
// whole login (`invalid_grant`).
//
// `device` may use the device authorization grant (RFC 8628) and refresh tokens; it is a public client. So may `keys`.
//
// `exchange` may exchange an access token of another client for one of its own (RFC 8693). oidc-provider has no such grant:
// the one below is registered with its `registerGrantType`, and the library does the rest (authentication, dispatch, storage).
//
// Every client may ask for tokens for `https://devices.example` and `https://reports.example` (RFC 8707), and for no other
// resource (`invalid_target`). A request for a token takes one of them, the authorization request and the exchange take both.
//
// Access tokens are opaque; tokens are kept in memory. It ends with status 0 at SIGTERM or SIGINT, and when standard input
// closes, so that it never outlives the test that started it: give it a pipe and keep it open (`</dev/null` ends it at once).
// Diagnostics go to standard error.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import Provider, { errors } from "oidc-provider";
import { endWithParent } from "./lifetime.mjs";

// oidc-provider writes its notices with console.info: standard output is for the one line above.
console.info = console.error;
console.log = console.error;

const SCOPE = "devices.read devices.write";
// The scopes that each resource knows.
const RESOURCES = { "https://devices.example": "devices.read", "https://reports.example": "devices.write" };
const TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";

const DEVICE = {
  grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
  application_type: "native",
};
const KEYS_GRANTS = ["client_credentials", ...DEVICE.grant_types];

const clients = {
  basic: {
    client_id: "basic client:1",
    client_secret: "s3cr:t/+ %26&=?~'",
    token_endpoint_auth_method: "client_secret_basic",
  },
  post: {
    client_id: "post client&2",
    client_secret: "p0st+s=cr&t %2B/~\"",
    token_endpoint_auth_method: "client_secret_post",
  },
  api: {
    client_id: "protected-api",
    client_secret: "introspection-only",
    token_endpoint_auth_method: "client_secret_basic",
  },
  jwt: {
    client_id: "jwt client:4",
    client_secret: "jwt-secret-of-at-least-256-bits: /+ %26&=?~'",
    token_endpoint_auth_method: "client_secret_jwt",
  },
  keys: {
    client_id: "keys client:5",
    token_endpoint_auth_method: "private_key_jwt",
  },
  certificate: {
    client_id: "certificate client:6",
    token_endpoint_auth_method: "tls_client_auth",
    tls_client_auth_subject_dn: "CN=certified_client",
  },
  person: {
    client_id: "person client:3",
    client_secret: "p3rs:n/+ %26&=?~'",
    token_endpoint_auth_method: "client_secret_basic",
  },
  device: {
    client_id: "device client:7",
    token_endpoint_auth_method: "none",
  },
  exchange: {
    client_id: "exchange client:8",
    client_secret: "exch:nge/+ %26&=?~'",
    token_endpoint_auth_method: "client_secret_basic",
  },
};

const port = wholeNumber("PORT", process.argv[2] ?? process.env.PORT ?? "0", 0, 65535);
const redirectUri = process.env.REDIRECT_URI;
const lifetime = wholeNumber("TOKEN_LIFETIME", process.env.TOKEN_LIFETIME ?? "60", 1, 86400);

const tls = process.env.TLS_CERT && {
  cert: readFileSync(process.env.TLS_CERT),
  key: readFileSync(process.env.TLS_KEY),
  ca: readFileSync(process.env.TLS_CLIENT_CA),
  requestCert: true,
  rejectUnauthorized: false,
};
const clientKeys = process.env.CLIENT_JWKS && JSON.parse(process.env.CLIENT_JWKS);

const server = tls ? createTlsServer(tls) : createServer();
endWithParent(server);
server.on("error", (error) => {
  console.error(`cannot listen on 127.0.0.1:${port}: ${error.message}`);
  process.exit(1);
});
server.listen(port, "127.0.0.1", () => {
  // The issuer names the port, so the provider is made once the port is known.
  const issuer = `${tls ? "https" : "http"}://127.0.0.1:${server.address().port}`;
  server.on("request", provider(issuer).callback());
  const ready = {
    issuer,
    token_endpoint: `${issuer}/token`,
    introspection_endpoint: `${issuer}/token/introspection`,
    authorization_endpoint: `${issuer}/auth`,
    revocation_endpoint: `${issuer}/token/revocation`,
    scope: SCOPE,
    clients,
  };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
});

function provider(issuer) {
  const made = new Provider(issuer, {
    clients: [
      registration(clients.basic, { grant_types: ["client_credentials"], scope: SCOPE }),
      registration(clients.post, { grant_types: ["client_credentials"], scope: SCOPE }),
      registration(clients.jwt, { grant_types: ["client_credentials"], scope: SCOPE }),
      ...(clientKeys ? [registration(clients.keys, { ...DEVICE, grant_types: KEYS_GRANTS, jwks: clientKeys })] : []),
      ...(tls ? [registration(clients.certificate, { grant_types: ["client_credentials"], scope: SCOPE })] : []),
      registration(clients.api, { grant_types: [] }),
      registration(clients.exchange, { grant_types: [TOKEN_EXCHANGE], scope: SCOPE }),
      registration(clients.device, DEVICE),
      ...persons(),
    ],
    scopes: ["openid", "offline_access", ...SCOPE.split(" ")],
    clientAuthMethods: [
      "client_secret_basic",
      "client_secret_post",
      "client_secret_jwt",
      "private_key_jwt",
      "none",
      ...(tls ? ["tls_client_auth"] : []),
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: [
        ...["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
        ...["ES256", "ES384", "EdDSA"],
      ],
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo: (_context, resource) => resourceServer(resource) },
      revocation: { enabled: true },
      ...(tls ? { mTLS: certificates } : {}),
      introspection: {
        enabled: true,
        allowedPolicy: (_context, client) => client.clientId === clients.api.client_id,
      },
    },
    ttl: { ClientCredentials: lifetime, AccessToken: lifetime },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    extraTokenClaims: refuseAnotherMethod,
  });
  made.registerGrantType(TOKEN_EXCHANGE, (context) => exchange(made, context), EXCHANGE_PARAMETERS, ["resource", "audience"]);
  made.on("server_error", (_context, error) => console.error(error));
  return made;
}

function resourceServer(resource) {
  const scope = RESOURCES[resource];
  if (scope === undefined) throw new errors.InvalidTarget();
  return { scope, audience: resource, accessTokenFormat: "opaque" };
}

const EXCHANGE_PARAMETERS = [
  ...["subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type"],
  ...["resource", "audience", "scope"],
];

// RFC 8693 §2: the scope of the new token is what the resources in the request know.
async function exchange(made, context) {
  const { client, params } = context.oidc;
  if (params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest("subject_token_type is not supported");
  const subject = await made.ClientCredentials.find(params.subject_token ?? "");
  if (subject === undefined) throw new errors.InvalidRequest("subject_token is not valid");
  const scope = [params.resource ?? []].flat().map((resource) => resourceServer(resource).scope).join(" ");
  const token = new made.ClientCredentials({ client, scope });
  context.oidc.entity("ClientCredentials", token);
  context.body = {
    access_token: await token.save(),
    issued_token_type: ACCESS_TOKEN,
    token_type: token.tokenType,
    expires_in: token.expiration,
    scope,
  };
}

// RFC 8705 §2.1, out of the handshake itself.
const certificates = {
  enabled: true,
  tlsClientAuth: true,
  getCertificate: (context) => context.socket.getPeerX509Certificate()?.toString(),
  certificateAuthorized: (context) => context.socket.authorized,
  certificateSubjectMatches: (context, property, expected) =>
    property === "tls_client_auth_subject_dn" && context.socket.getPeerX509Certificate().subject === expected,
};

// oidc-provider takes a secret in the header and in the body alike, whatever the client registered. This hook is asked before
// each token is issued.
function refuseAnotherMethod(context) {
  demandThumbprint(context);
  // It keeps these apart itself.
  if (/_jwt$|^tls_|^none$/.test(context.oidc.client.clientAuthMethod)) return;
  const used = context.headers.authorization === undefined ? "client_secret_post" : "client_secret_basic";
  if (context.oidc.client.clientAuthMethod !== used) throw new errors.InvalidClient(`not registered for ${used}`);
}

// oidc-provider ignores the thumbprint in the header of a JWT.
function demandThumbprint({ oidc: { client, params } }) {
  const certificates = (client.jwks?.keys ?? []).flatMap((key) => key.x5c?.[0] ?? []);
  if (certificates.length === 0) return;
  const header = JSON.parse(Buffer.from(params.client_assertion.split(".")[0], "base64url").toString());
  const digest = (certificate) => createHash("sha256").update(Buffer.from(certificate, "base64")).digest("base64url");
  if (!certificates.map(digest).includes(header["x5t#S256"])) throw new errors.InvalidClient("x5t#S256 names no certificate");
}

function persons() {
  if (redirectUri === undefined) return [];
  const grants = ["authorization_code", "refresh_token"];
  const places = { redirect_uris: [redirectUri], response_types: ["code"] };
  return [registration(clients.person, { grant_types: grants, application_type: "native", ...places })];
}

function registration(client, more) {
  return { ...client, redirect_uris: [], response_types: [], ...more };
}

function wholeNumber(name, text, least, most) {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
  if (!(number >= least && number <= most)) {
    console.error(`${name} must be a whole number from ${least} to ${most}`);
    process.exit(2);
  }
  return number;
}
