// What both clients of the TypeScript SDK do: list, call, be denied, and call again on the same session.

const reasonOf = (error) => {
  if (error.data?.reason) return error.data.reason;
  // Of an HTTP 403, 1.x gives the body inside the message, and 2.x what it made of the challenge.
  const reason = /"reason":"(\w+)"/.exec(error.message);
  if (reason) return reason[1];
  return error.message.startsWith("Insufficient scope:") ? "missing_scope" : `error: ${error.message}`;
};

export async function story(client, version, denied) {
  const echo = async (words) =>
    (await client.callTool({ name: "echo", arguments: { message: words } })).content[0].text;
  const told = { version: version(), denied: [] };
  told.tools = (await client.listTools()).tools.map((tool) => tool.name);
  told.before = await echo("before");
  for (const tool of denied.split(",")) {
    const call = client.callTool({ name: tool, arguments: { filename: "/elsewhere" } });
    const read = (result) => (result.isError && result._meta?.reason) || "no";
    told.denied.push(await call.then(read, reasonOf));
    told.after = await echo(`after ${tool}`);
  }
  await client.close();
  process.stdout.write(JSON.stringify(told));
}
