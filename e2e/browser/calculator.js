// Looks at the calculator's page as a person would, in Debian's Chromium.
//
//   node calculator.js URL computes [PICTURE.png]
//   node calculator.js URL complains
//
// computes: sums are right, and the page shows who has computed them, and on which way.
// complains: add-svc is stopped, and the page says so, while it still subtracts.
import assert from "node:assert/strict"
import { chromium } from "playwright-core"

const [url, what, picture] = process.argv.slice(2)

const views = { computes, complains }
if (!(what in views)) throw new Error(`there is no view "${what}"; there are: ${Object.keys(views).join(", ")}`)

const output = (page) => page.locator("output")
const alert = (page) => page.locator("[role=alert]")
const hops = (page) => page.getByRole("list", { name: "path" }).getByRole("listitem")

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  // The first, since the tests run as root; the others keep it from talking to anybody.
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
})
try {
  const page = await browser.newPage({ viewport: { width: 860, height: 760 } })
  const mistakes = []
  page.on("pageerror", (e) => mistakes.push(e.message))
  await page.goto(url)
  await views[what](page)
  assert.deepEqual(mistakes, [])
} finally {
  await browser.close()
}

async function compute(page, a, operator, b) {
  await page.getByLabel("first number").fill(a)
  await page.getByLabel("operator").selectOption(operator)
  await page.getByLabel("second number").fill(b)
  const answered = page.waitForResponse((response) => response.url().includes("/api/"))
  await page.getByRole("button", { name: "Compute" }).click()
  await answered
}

async function reads(locator, want) {
  await locator.filter({ hasText: want }).first().waitFor({ timeout: 10000 })
}

async function computes(page) {
  await compute(page, "2", "sub", "3.5")
  await reads(output(page), /^-1\.5$/)
  await compute(page, "one", "add", "2")
  await reads(alert(page), "a is no number: 'one'")
  assert.equal(await output(page).textContent(), "")
  for (let n = 0; n < 8; n++) {
    await compute(page, "0.1", "add", "0.2")
    await reads(output(page), /^0\.3$/)
  }
  assert.equal(await alert(page).textContent(), "")

  const path = await hops(page).allInnerTexts()
  assert.equal(path.length, 3)
  assert.match(path[0], /^api-gateway\s+api-gateway\/[0-9a-f]{8}\s+from outside$/)
  assert.match(path[1], /^frontend\s+frontend\/[0-9a-f]{8}\s+mTLS from api-gateway$/)
  assert.match(path[2], /^add-svc\s+add-svc\/[0-9a-f]{8}\s+mTLS from frontend$/)

  const rows = await page.getByRole("table", { name: "instances" }).getByRole("row").allInnerTexts()
  assert.ok(rows.filter((row) => row.startsWith("add-svc")).length > 1, `instances of add-svc in:\n${rows.join("\n")}`)
  if (picture) await page.screenshot({ path: picture })
}

async function complains(page) {
  await compute(page, "1", "add", "2")
  await reads(alert(page), "add-svc does not answer")
  await reads(alert(page), "Is the job add-svc running and healthy?")
  assert.equal(await output(page).textContent(), "")
  await compute(page, "1", "sub", "2")
  await reads(output(page), /^-1$/)
  assert.equal(await alert(page).textContent(), "")
}
