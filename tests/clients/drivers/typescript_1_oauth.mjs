// The TypeScript SDK's client, 1.x, with its OAuth.

import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { signingIn } from "./oauth.mjs";
import { main } from "./stories.mjs";

const make = (url, _, options) => ({
  transport: new StreamableHTTPClientTransport(url, options),
  client: new Client({ name: "tests", version: "1" }),
  version: (transport) => transport.protocolVersion,
});

await main(signingIn(make, UnauthorizedError));
