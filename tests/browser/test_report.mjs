// The report's page as a person uses it: pointer, keyboard, finger, print, light and dark, wide and narrow. Run by run.sh.
//
// The predictions are a network's own, trained for a moment: poor, but whole. A second page is made of hostile names.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import axe from "axe-core";
import { chromium } from "playwright-core";

const [ichor, work, shots] = process.argv.slice(2);
const folder = (name) => join(work, name);

// -- what is looked at ---------------------------------------------------------------------------------------

function run(...words) {
  execFileSync(ichor, [...words, "--quiet"], { stdio: ["ignore", "ignore", "inherit"] });
}
function makeReport() {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  run("synth", folder("scans"), "--studies", "8", "--size", "96", "--seed", "4");
  run("pretrain", folder("scans"), "--out", folder("pretrained"), "--size", "32", "--epochs", "1", "--no-augment");
  run("finetune", folder("scans"), "--init", folder("pretrained"), "--out", folder("model"), "--epochs", "1");
  run("predict", folder("model"), folder("scans"), "--out", folder("predictions"), "--heatmaps");
  run("evaluate", folder("predictions"), folder("scans"), "--out", folder("figures"));
  run("report", folder("predictions"), "--out", folder("report"));
}
const HEADER = "study_id,n_slices,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural,seconds\n";
const HOSTILE = ['</script><img src=x onerror="alert(1)">', "<!--<script>", "a'b\"c & <i>d</i>", "x".repeat(300)];
function makeHostileReport() {
  mkdirSync(folder("hostile"), { recursive: true });
  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  writeFileSync(folder("hostile/studies.csv"), HEADER + HOSTILE.map((id, i) => `${quoted(id)},2,0.${9 - i},0,0,0,0,0,1\n`).join(""));
  writeFileSync(folder("hostile/slices.csv"), "study_id,slice_index,any,attention\n" +
    HOSTILE.map((id) => `${quoted(id)},3,0.5,0.25\n${quoted(id)},4,0.5,0.75\n`).join(""));
  writeFileSync(folder("hostile/skipped.csv"), `path,study_id,reason\nx,${quoted(HOSTILE[0])},${quoted(HOSTILE[1])}\n`);
  run("report", folder("hostile"), "--out", folder("hostile-report"));
}
/* Our own tables hold no quoted fields here. */
function readTable(path) {
  const [header, ...rows] = readFileSync(path, "utf8").trim().split("\n").map((line) => line.split(","));
  return rows.map((row) => Object.fromEntries(header.map((name, i) => [name, row[i]])));
}
const bySlice = (rows, key) => rows.reduce((best, row) => +row[key] > +best[key] ? row : best);

// -- the browser ---------------------------------------------------------------------------------------------

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });

/* Runs `look` on a fresh page; whatever the page complains of or asks the network for is a failure. */
async function visit(report, options, look, hash = "") {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage(), trouble = [];
  page.on("console", (message) => trouble.push(message.text()));
  page.on("pageerror", (error) => trouble.push(error.message));
  page.on("dialog", (dialog) => { trouble.push("a dialog opened"); dialog.dismiss(); });
  page.on("request", (request) => { if (!/^(file|data|blob):/.test(request.url())) trouble.push(request.url()); });
  await page.goto(pathToFileURL(folder(`${report}/index.html`)).href + hash);
  await look(page);
  assert.deepEqual(trouble, []);
  await context.close();
}
const NARROW = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const rowNames = (page) => page.locator("#rows li:not([hidden]) .name").allTextContents();
const title = (page) => page.locator("#study-title").textContent();
/* The slice that the picture shows, once it has been drawn. */
async function expectSlice(page, index) {
  await page.waitForFunction((wanted) => document.querySelector("#picture")?.dataset.slice === String(wanted), index);
}
/* Mean of each colour over the picture. */
const means = (page) => page.evaluate(() => {
  const picture = document.querySelector("#picture"), sums = [0, 0, 0];
  const copy = new OffscreenCanvas(picture.width, picture.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(picture, 0, 0);
  const { data } = copy.getImageData(0, 0, picture.width, picture.height);
  data.forEach((value, i) => { if (i % 4 < 3) sums[i % 4] += value; });
  return sums.map((sum) => sum / (data.length / 4));
});
/* The picture after a change, which is drawn a moment later. */
async function meansAfter(page, before, change) {
  await change();
  for (let i = 0; i < 100; i++) {
    const now = await means(page);
    if (now.some((value, c) => Math.abs(value - before[c]) > 0.05)) return now;
    await page.waitForTimeout(20);
  }
  assert.fail("the picture did not change");
}
const place = async (page) => +(await page.locator("#slider").inputValue());

// -- what must hold ------------------------------------------------------------------------------------------

const tests = {
  async "the worklist is sorted, searched and filtered"() {
    const studies = readTable(folder("predictions/studies.csv"));
    // the page holds four digits: studies may be alike
    const values = (names, column) => names.map((id) => (+studies.find((row) => row.study_id === id)[column]).toPrecision(4));
    const falls = (list) => assert.deepEqual(list, [...list].sort((a, b) => b - a));
    await visit("report", {}, async (page) => {
      const expected = await rowNames(page);
      assert.deepEqual([...expected].sort(), studies.map((row) => row.study_id).sort());
      falls(values(expected, "any"));
      await page.getByLabel("Find a study").fill(expected[3].toUpperCase());
      assert.deepEqual(await rowNames(page), [expected[3]]);
      assert.equal(await page.locator("#count").textContent(), "1 of 8 studies");
      await page.getByLabel("Find a study").fill("");
      await page.getByLabel("Show").selectOption("not suspected");
      assert.deepEqual(await rowNames(page), expected.filter((id) => studies.find((row) => row.study_id === id).any < 0.5));
      await page.getByLabel("Show").selectOption("all studies");
      await page.getByLabel("Order by").selectOption("subdural");
      falls(values(await rowNames(page), "subdural"));
      await page.getByLabel("Order by").selectOption("study");
      assert.deepEqual(await rowNames(page), [...expected].sort());
      await page.waitForFunction(() => { // thumbnails are drawn as they come into view
        const canvas = document.querySelector("#rows canvas");
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        return copy.getImageData(0, 0, canvas.width, canvas.height).data.some((v, i) => i % 4 < 3 && v > 60);
      });
    });
  },

  async "one click on a study shows its slice of most attention, one more any other"() {
    const slices = readTable(folder("predictions/slices.csv"));
    await visit("report", {}, async (page) => {
      const id = (await rowNames(page))[5], mine = slices.filter((row) => row.study_id === id);
      await page.locator("#rows button").nth(5).click();
      assert.equal(await title(page), id);
      await expectSlice(page, bySlice(mine, "attention").slice_index);
      const second = [...mine].sort((a, b) => b.attention - a.attention)[1];
      await page.locator("#jump button").nth(1).click();
      await expectSlice(page, second.slice_index);
      assert.equal(await page.locator("#jump button").nth(1).getAttribute("aria-pressed"), "true");
      assert.match(await page.locator("#caption").textContent(), new RegExp(`^Slice ${second.slice_index}: probability .*, attention 0\\.\\d{3}$`));
      const box = await page.locator("#chart").boundingBox(), at = 4; // the fifth bar from the foot
      await page.mouse.click(box.x + box.width * (at + 0.5) / mine.length, box.y + box.height / 2);
      assert.equal(await place(page), at);
    });
  },

  async "slices go by slider, keys, buttons, wheel and finger"() {
    await visit("report", {}, async (page) => {
      const slider = page.getByRole("slider", { name: "Slice" });
      await slider.focus();
      await page.keyboard.press("Home");
      assert.equal(await place(page), 0);
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("ArrowRight");
      assert.equal(await place(page), 2);
      assert.match(await slider.getAttribute("aria-valuetext"), /^Slice \d+: probability/);
      await page.getByRole("button", { name: "Slice before" }).click();
      assert.equal(await place(page), 1);
      await page.getByRole("button", { name: "Slice after" }).click();
      assert.equal(await place(page), 2);
      const box = await page.locator("#stage").boundingBox(), y = box.y + box.height / 2, x = box.x + box.width / 2;
      await page.mouse.move(x, y);
      await page.mouse.wheel(0, 100);
      await page.waitForFunction(() => document.querySelector("#slider").value === "3");
      await page.mouse.down();
      await page.mouse.move(x + box.width / 3, y, { steps: 5 });
      await page.mouse.up();
      assert.ok(await place(page) > 5);
      await page.keyboard.press("End"); // arrow keys go on from a click into the picture
      assert.equal(await place(page), +(await slider.getAttribute("max")));
    });
  },

  async "windows and heatmap opacity change the picture"() {
    await visit("report", {}, async (page) => {
      await page.waitForFunction(() => document.querySelector("#picture")?.dataset.slice);
      const brain = await means(page);
      assert.ok(brain[0] > 5);
      const bone = await meansAfter(page, brain, () => page.getByRole("radio", { name: /^Bone/ }).check());
      assert.ok(bone[0] !== brain[0]);
      await meansAfter(page, bone, () => page.getByRole("radio", { name: /^Brain/ }).check());
      const opacity = page.getByRole("slider", { name: "Heatmap" });
      const bare = await meansAfter(page, brain, () => opacity.fill("0"));
      assert.ok(Math.max(...bare) - Math.min(...bare) < 0.01, "without the heatmap all is grey");
      const hot = await meansAfter(page, bare, () => opacity.fill("100"));
      assert.ok(Math.abs(hot[0] - bare[0]) > Math.abs(brain[0] - bare[0]));
      assert.match(await page.locator("#picture").getAttribute("aria-label"), /brain window, heatmap at 100 %/);
    });
  },

  async "the keyboard alone is enough"() {
    await visit("report", {}, async (page) => {
      const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
      await page.keyboard.press("Tab");
      assert.equal(await focused(), "search");
      for (let i = 0; i < 3; i++) await page.keyboard.press("Tab");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      assert.equal(await title(page), (await rowNames(page))[2]);
      for (let i = 0; i < 40 && await focused() !== "slider"; i++) await page.keyboard.press("Tab");
      assert.equal(await focused(), "slider");
    });
  },

  async "a link leads to its study, and back goes back"() {
    const studies = readTable(folder("predictions/studies.csv"));
    await visit("report", {}, async (page) => {
      assert.equal(await title(page), studies[3].study_id);
      await page.locator("#rows button").first().click();
      assert.notEqual(await title(page), studies[3].study_id);
      await page.goBack();
      assert.equal(await title(page), studies[3].study_id);
    }, `#${studies[3].study_id}`);
  },

  async "a narrow screen shows worklist or study, nothing beside the page"() {
    await visit("report", NARROW, async (page) => {
      const fits = () => page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
      assert.ok(await page.locator("#list").isVisible() && await page.locator("#study").isHidden());
      assert.ok(await fits());
      await page.locator("#rows button").nth(1).tap();
      assert.ok(await page.locator("#list").isHidden() && await page.locator("#study").isVisible());
      assert.ok(await fits());
      await page.waitForFunction(() => document.querySelector("#picture")?.dataset.slice);
      const box = await page.locator("#chart").boundingBox();
      await page.touchscreen.tap(box.x + 2, box.y + box.height / 2);
      assert.equal(await place(page), 0);
      await page.getByRole("button", { name: "Worklist" }).tap();
      await page.locator("#list").waitFor();
      await page.goBack();
      await page.locator("#study").waitFor();
    });
  },

  async "figures, origin and limits are told"() {
    run("report", folder("predictions"), "--out", folder("judged"), "--evaluation", folder("figures"));
    await visit("judged", {}, async (page) => {
      assert.ok(await page.getByRole("heading", { name: "How to read it, and its limits" }).isVisible());
      assert.ok(await page.getByText("Not a medical device").isVisible());
      const about = await page.locator("#about").textContent();
      for (const word of ["resnet18", "learned from (fingerprint)", "Ichor "]) assert.ok(about.includes(word), word);
      await page.getByText("Recipe", { exact: true }).click();
      assert.match(await page.locator("#recipe pre").textContent(), /arch ?= ?resnet18/);
      for (const image of await page.locator("#plots img").all()) assert.ok(await image.evaluate((node) => node.naturalWidth > 100));
      assert.equal(await page.locator("#plots img").count(), 2);
      assert.match(await page.locator("#metrics tr").first().textContent(), /^AUC(\d\.\d{3}|– \()/);
    });
  },

  async "hostile names are text and nothing else"() {
    await visit("hostile-report", {}, async (page) => {
      assert.deepEqual(await rowNames(page), HOSTILE);
      assert.equal(await page.locator("img").count(), 0);
      assert.equal(await title(page), HOSTILE[0]);
      assert.match(await page.locator("#missing").textContent(), /^No picture/);
      assert.equal(await page.locator("#caption").textContent(), "Slice 4: probability 50\u00a0%, attention 0.750");
      await page.locator("#rows button").nth(2).click();
      assert.equal(await title(page), HOSTILE[2]);
      assert.ok((await page.locator("#skipped").textContent()).includes(HOSTILE[1]));
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    });
  },

  async "print has worklist, study and limits"() {
    await visit("report", NARROW, async (page) => {
      await page.emulateMedia({ media: "print" });
      for (const id of ["#rows", "#study-title", "#chart", "#limits-title"]) assert.ok(await page.locator(id).isVisible(), id);
      for (const id of ["#search", "#slider", "#back"]) assert.ok(await page.locator(id).isHidden(), id);
    });
  },
};
for (const report of ["report", "hostile-report"])
  for (const colorScheme of ["light", "dark"])
    for (const [width, options] of [["wide", {}], ["narrow", NARROW]])
      tests[`axe finds nothing: ${report}, ${width}, ${colorScheme}`] = () => visit(report, { ...options, colorScheme }, async (page) => {
        const check = async () => {
          const { violations } = await page.evaluate(() => axe.run());
          assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((node) => node.html.slice(0, 100)).join(" ")}`), []);
        };
        await page.evaluate(axe.source);
        await check();
        if (width === "wide") return;
        await page.locator("#rows button").first().tap();
        await check();
      });

async function takeShots() {
  mkdirSync(shots, { recursive: true });
  for (const [name, options] of [["report-1280", {}], ["report-390", { viewport: { width: 390, height: 844 } }]])
    await visit("report", options, async (page) => {
      if (name === "report-390") await page.locator("#rows button").first().click();
      await page.waitForFunction(() => document.querySelector("#picture")?.dataset.slice);
      await page.screenshot({ path: join(shots, `${name}.png`) });
    });
}

let failed = 0;
makeReport();
makeHostileReport();
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}
if (shots) await takeShots();
await browser.close();
process.exitCode = failed ? 1 : 0;
