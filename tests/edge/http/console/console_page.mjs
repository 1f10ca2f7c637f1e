// The console in Chromium, as `test_browser` asks in JSON: { chromium, page, pictures }. Gives what was found.

import { chromium } from "playwright-core";

const asked = JSON.parse(process.argv[2]);
const QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"].concat(
  ["--disable-background-networking", "--disable-component-update", "--disable-sync"],
);
const VIEWS = {
  light: { viewport: { width: 1200, height: 900 }, colorScheme: "light" },
  dark: { viewport: { width: 1200, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light" },
};

// The lowest contrast of text and its background on the page (WCAG 2.2, 1.4.3), and whether the page is too wide.
const seen = () => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (colour) => {
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = light(getComputedStyle(document.body).backgroundColor);
  const texts = [...document.querySelectorAll("body *")].filter((each) =>
    [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim()),
  );
  const contrast = texts.map((each) => {
    const text = light(getComputedStyle(each).color);
    return (Math.max(text, page) + 0.05) / (Math.min(text, page) + 0.05);
  });
  const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
  return { contrast: Math.min(...contrast), wide, background: getComputedStyle(document.body).backgroundColor };
};

// Elements that a screen reader would call by no name.
const nameless = async (page) => {
  const tree = await page.locator("body").ariaSnapshot();
  return tree.split("\n").filter((line) => /^\s*- (link|button|img|combobox|textbox|region|heading|navigation)( \[.*\])?:?$/.test(line));
};

const browser = await chromium.launch({ executablePath: asked.chromium, args: QUIET });
const told = { views: {}, errors: [] };
try {
  for (const [name, view] of Object.entries(VIEWS)) {
    const page = await (await browser.newContext(view)).newPage();
    page.on("console", (line) => line.type() === "error" && told.errors.push(line.text()));
    await page.goto(`${asked.page}/?refresh=off`);
    if (asked.pictures) await page.screenshot({ path: `${asked.pictures}/console-${name}.png` });
    const facts = { ...(await page.evaluate(seen)), nameless: await nameless(page) };
    await page.goto(`${asked.page}/?view=who`);
    facts.nameless.push(...(await nameless(page)));
    told.views[name] = facts;
  }
  // With the keyboard alone: from the top to the denial's "why", and what stands there.
  const page = await (await browser.newContext(VIEWS.light)).newPage();
  await page.goto(`${asked.page}/?refresh=off`);
  for (let presses = 0; presses < 20; presses++) {
    await page.keyboard.press("Tab");
    if ((await page.evaluate(() => document.activeElement.innerText)).startsWith("why ")) break;
  }
  told.outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: /^Why / }).waitFor();
  told.why = await page.getByRole("region", { name: /^Why / }).innerText();
  // Who sees what, by labels as a screen reader has them.
  await page.getByRole("link", { name: "who sees what" }).click();
  await page.getByLabel(/^Claims/).fill(asked.claims);
  await page.getByRole("button", { name: "Show the lists" }).click();
  told.lists = await page.getByRole("group", { name: /^What this caller sees/ }).innerText();
} finally {
  await browser.close();
}
process.stdout.write(JSON.stringify(told));
