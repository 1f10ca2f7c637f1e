// The TypeScript SDK's client, 1.x, as `stories` drives it.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { main } from "./stories.mjs";

await main(async (url, _, headers) => {
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
  const client = new Client({ name: "tests", version: "1" });
  await client.connect(transport);
  return { client, version: () => transport.protocolVersion };
});
