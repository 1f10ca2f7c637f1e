// The TypeScript SDK's client, 2.x, with its OAuth; its era is the mode of its negotiation.

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { signingIn } from "./oauth.mjs";
import { main } from "./stories.mjs";

const make = (url, mode, options) => ({
  transport: new StreamableHTTPClientTransport(url, options),
  client: new Client({ name: "tests", version: "1" }, { versionNegotiation: { mode } }),
  version: (_, client) => client.getNegotiatedProtocolVersion(),
});

await main(signingIn(make, UnauthorizedError));
