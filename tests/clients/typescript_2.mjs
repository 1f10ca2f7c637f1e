// The TypeScript SDK's client, 2.x, as `test_clients` drives it: URL MODE DENIED, the token in TOKEN.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { story } from "./story.mjs";

const [url, mode, denied] = process.argv.slice(2);
const headers = { authorization: `Bearer ${process.env.TOKEN}` };
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const client = new Client({ name: "tests", version: "1" }, { versionNegotiation: { mode } });
await client.connect(transport);
await story(client, () => client.getNegotiatedProtocolVersion(), denied);
