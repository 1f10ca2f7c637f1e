// The TypeScript SDK's client, 1.x, as `test_clients` drives it: URL DENIED, the token in TOKEN.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { story } from "./story.mjs";

const [url, denied] = process.argv.slice(2);
const headers = { authorization: `Bearer ${process.env.TOKEN}` };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const client = new Client({ name: "tests", version: "1" });
await client.connect(transport);
await story(client, () => transport.protocolVersion, denied);
