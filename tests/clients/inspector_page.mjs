// The MCP Inspector's web page in Chromium: connects and lists tools, as `test_inspector_page` says in JSON.
// { chromium, inspector: "0.16" | "2", page, proxy, reachable: "all" | "localhost", names, screenshot }
// The bearer token comes in TOKEN, empty for none. Gives { status, tools, reasons }: of the names those that the page
// shows, and the gateway's reasons that it writes to its console.

import { chromium } from "playwright-core";

const asked = JSON.parse(process.argv[2]);
const token = process.env.TOKEN;
const PATIENCE = 45_000;
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat(
  ["--disable-background-networking", "--disable-component-update", "--disable-sync"],
);

const settled = async (page, words) => {
  const status = page.getByText(words).first();
  await status.waitFor();
  return status.innerText();
};

const inspectors = {
  "0.16": {
    // Its page knows the address of its proxy from the URL alone, which it loses when it comes back from a login.
    before: (context) =>
      context.addInitScript((address) => {
        const config = JSON.parse(localStorage.getItem("inspectorConfig_v1") ?? "{}");
        config.MCP_PROXY_FULL_ADDRESS = { label: "", description: "", value: address, is_session_item: false };
        localStorage.setItem("inspectorConfig_v1", JSON.stringify(config));
      }, asked.proxy),
    connect: async (page) => {
      if (token) {
        await page.getByRole("button", { name: "Authentication" }).click();
        await page.getByLabel("Bearer Token").fill(token);
      }
      await page.getByRole("button", { name: "Connect", exact: true }).click();
      return settled(page, /^(Connected|Connection Error.*|Error Connecting.*)$/);
    },
    list: async (page) => {
      await page.getByRole("tab", { name: "Tools" }).click();
      await page.getByRole("button", { name: "List Tools" }).click();
    },
  },
  2: {
    before: () => {},
    connect: async (page) => {
      await page.getByRole("switch", { name: /Connect or disconnect/ }).click({ force: true });
      return settled(page, /^(Connected|Failed to connect.*|Error.*)$/);
    },
    list: (page) => page.getByText("Tools", { exact: true }).click(),
  },
};

const browser = await chromium.launch({ executablePath: asked.chromium, args: QUIET });
try {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const inspector = inspectors[asked.inspector];
  await inspector.before(context);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const reasons = new Set();
  page.on("console", (line) => {
    for (const [, reason] of line.text().matchAll(/"reason":"(\w+)"/g)) reasons.add(reason);
  });
  if (asked.reachable !== "all") {
    await page.route((url) => url.hostname !== asked.reachable, (route) => route.abort());
  }
  await page.goto(asked.page);
  const told = { status: await inspector.connect(page), tools: [] };
  if (told.status === "Connected") {
    await inspector.list(page);
    await page.getByText(asked.names[0], { exact: true }).first().waitFor();
    const text = await page.locator("body").innerText();
    told.tools = asked.names.filter((name) => text.includes(name));
  }
  await page.screenshot({ path: asked.screenshot, animations: "disabled" });
  told.reasons = [...reasons];
  process.stdout.write(JSON.stringify(told));
} finally {
  await browser.close();
}
