// How a driver of the TypeScript SDKs plays its stories; `stories.py` says what they are and how they are told.

const PATIENCE = 20_000;

const words = (error) => `${error.constructor.name}: ${error.message}`;

const listed = async (client) => {
  const { tools } = await client.listTools();
  return `result: ${tools.map((tool) => tool.name).sort().join(", ")}`;
};

const one = async (client, name, args) => {
  const result = await client.callTool({ name, arguments: args });
  return `${result.isError ? "refused" : "result"}: ${result.content[0].text}`;
};

const late = () => new Promise((_, reject) => setTimeout(reject, PATIENCE, new Error("no answer")).unref());

const seen = (work) => Promise.race([work, late()]).catch((error) => `raised: ${words(error)}`);

const call = (client, [name, args]) => seen(one(client, name, args));

const on = async (client) => {
  const answer = await call(client, ["echo", { message: "still here" }]);
  if (!answer.includes("still here")) throw new Error(answer);
  return ["on"];
};

const step = async (client, asked) => {
  if (asked.do === "list") return [await seen(listed(client))];
  if (asked.do === "call") return Promise.all(asked.tools.map((tool) => call(client, tool)));
  return on(client);
};

const again = async (connect) => {
  const { client } = await connect();
  await on(client);
  await client.close();
  return "on, connected again";
};

async function play(connect, steps, told) {
  const outcomes = [];
  try {
    const { client, version } = await connect();
    told.version = version();
    for (const asked of steps) outcomes.push(...(await step(client, asked)));
    await client.close();
  } catch (error) {
    outcomes.push(`ended: ${words(error)}`, await again(connect).catch((lost) => `raised: ${words(lost)}`));
  }
  return outcomes;
}

// `connect(url, era, headers)` gives a connected client and a function that says its version.
export async function main(connect) {
  const [url, era, stories] = process.argv.slice(2);
  const told = { version: "", stories: {} };
  for (const [name, { headers, steps }] of Object.entries(JSON.parse(stories))) {
    const all = { authorization: `Bearer ${process.env.TOKEN}`, ...headers };
    told.stories[name] = await play(() => connect(new URL(url), era, all), steps, told);
  }
  process.stdout.write(JSON.stringify(told), () => process.exit(0));
}
