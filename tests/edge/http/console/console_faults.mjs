// The console in Chromium, as `test_accessibility` asks in JSON: { chromium, page, axe, denied }. Gives axe's findings for
// each view on each screen, and what a person reads on the way to three answers, with the clicks that it took.

import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const asked = JSON.parse(process.argv[2]);
const axe = readFileSync(asked.axe, "utf8");
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat(
  ["--disable-background-networking", "--disable-component-update", "--disable-sync"],
);
const SCREENS = {
  light: { viewport: { width: 1200, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1200, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light" },
};

const faults = async (page) => {
  await page.evaluate(axe); // not as an element of the page, whose security policy allows no script
  const found = await page.evaluate(() => window.axe.run());
  return {
    passed: found.passes.length,
    faults: found.violations.map((each) => `${each.id}: ${each.nodes.map((node) => node.target).join(", ")}`),
  };
};

const told = { views: {}, read: {}, clicks: 0 };
const browser = await chromium.launch({ executablePath: asked.chromium, args: QUIET });
try {
  for (const [name, screen] of Object.entries(SCREENS)) {
    const page = await (await browser.newContext(screen)).newPage();
    const look = async (view) => (told.views[`${view}, ${name}`] = await faults(page));
    await page.goto(`${asked.page}/?refresh=off`);
    await look("overview");
    await page.getByRole("link", { name: /^why / }).first().click();
    await look("why");
    await page.goto(`${asked.page}/?view=who`);
    await look("who");
    await page.getByRole("button", { name: "Show the lists" }).click();
    await look("lists");
    await page.goto(`${asked.page}/?why=0123`);
    await look("why of nothing");
  }
  // From the address alone, as an operator at night; each click is counted.
  const page = await (await browser.newContext(SCREENS.light)).newPage();
  const click = async (target) => {
    told.clicks += 1;
    await target.click();
  };
  const region = (name) => page.getByRole("region", { name }).first().innerText();
  await page.goto(asked.page);
  told.read.keys = await region("What worries me");
  const row = page.getByRole("row").filter({ hasText: asked.denied });
  told.read.row = await row.first().innerText();
  await click(row.first().getByRole("link", { name: /^why / }));
  await page.getByRole("heading", { name: /^Why / }).waitFor();
  told.read.why = await region(/^Why /);
  told.read.keysBesides = await region("What worries me");
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(told));
