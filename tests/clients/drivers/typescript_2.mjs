// The TypeScript SDK's client, 2.x, as `stories` drives it; its era is the mode of its negotiation.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { main } from "./stories.mjs";

await main(async (url, mode, headers) => {
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
  const client = new Client({ name: "tests", version: "1" }, { versionNegotiation: { mode } });
  await client.connect(transport);
  return { client, version: () => client.getNegotiatedProtocolVersion() };
});
