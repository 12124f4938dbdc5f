// Does in Debian's Chromium what the forms of Nomad's UI do to a job, by the same requests.
//
//   node job_form.js URL JOB.nomad.hcl ALLOCATION
//
// The page is at the address of the server before Nomad, as the UI's is: a browser
// asks it for the page's own origin, and shows Nomad that origin for a terminal. The page itself
// is a small one of the test's: a Nomad that is built from its Go module has no UI.
import assert from "node:assert/strict"
import { readFile } from "node:fs/promises"
import { chromium } from "playwright-core"

const [url, file, allocation] = process.argv.slice(2)
const source = await readFile(file, "utf8")

const form = `<!doctype html><title>Run a job</title>
<textarea aria-label="Job definition"></textarea><button>Plan</button><button>Run</button><output></output>
<script>
const ask = async (path, data) => {
  const answer = await fetch(path, data && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data) })
  const text = await answer.text()
  if (!answer.ok) throw new Error(answer.status + ": " + text)
  return JSON.parse(text)
}
const [plan, run] = document.querySelectorAll("button")
const definition = () => document.querySelector("textarea").value
const parsed = () => ask("/v1/jobs/parse?namespace=*", { JobHCL: definition(), Variables: 'text = "served"', Canonicalize: true })
const show = (work) => async () => {
  const output = document.querySelector("output")
  output.textContent = ""
  output.textContent = await work().catch((e) => e.message)
}
plan.onclick = show(async () => {
  const Job = await parsed()
  const planned = await ask("/v1/job/" + encodeURIComponent(Job.ID) + "/plan", { Job, Diff: true })
  return "planned: " + planned.Diff.Type + "; " + planned.Warnings
})
run.onclick = show(async () => {
  const Job = await parsed()
  const run = await ask("/v1/jobs", { Job, Submission: { Source: definition(), Format: "hcl2", Variables: 'text = "served"' } })
  return "run: " + run.EvalID
})
</script>`

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
})
try {
  const page = await browser.newPage()
  await page.goto(url + "/ui/jobs/run") // a sentence that there is no UI, with its origin
  await page.setContent(form)
  await submits(page)
  await edits(page)
  await opensTerminal(page)
} finally {
  await browser.close()
}

async function says(page, button, want) {
  await page.getByRole("button", { name: button }).click()
  await page.locator("output").filter({ hasText: want }).waitFor({ timeout: 20000 })
}

// The job runs already: nothing differs. What cannot be on the host network is refused.
async function submits(page) {
  await page.getByLabel("Job definition").fill(source)
  await says(page, "Plan", /^planned: None; \d+ warnings:/)
  await says(page, "Run", /^run: [0-9a-f-]{36}$/)
  await page.getByLabel("Job definition").fill(source.replace("          proxy {", "          proxy {\n            transparent_proxy {}"))
  await says(page, "Plan", /^400: nomad-driver-connect hook: .*transparent_proxy/)
  await says(page, "Run", /^400: nomad-driver-connect hook: .*transparent_proxy/)
}

// The full definition, as Nomad has it, can be sent back with a change.
async function edits(page) {
  const differs = await page.evaluate(async () => {
    const job = await ask("/v1/job/hook-echo")
    job.Priority += 1
    const planned = await ask("/v1/job/hook-echo/plan", { Job: job, Diff: true })
    await ask("/v1/job/hook-echo", { Job: job, Submission: { Source: JSON.stringify(job), Format: "json" } })
    return { fields: planned.Diff.Fields.map((f) => f.Name), groups: planned.Diff.TaskGroups.map((g) => g.Type), now: (await ask("/v1/job/hook-echo")).Priority }
  })
  assert.deepEqual(differs, { fields: ["Priority"], groups: ["None", "None"], now: 51 })
}

async function opensTerminal(page) {
  const said = await page.evaluate((allocation) => new Promise((resolve, reject) => {
    const command = encodeURIComponent(JSON.stringify(["sh"]))
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/v1/client/allocation/${allocation}/exec?task=app&tty=true&ws_handshake=true&command=${command}`)
    let said = ""
    socket.onerror = () => reject(new Error("the terminal does not open"))
    socket.onclose = () => resolve(said)
    socket.onopen = () => {
      socket.send(JSON.stringify({ version: 1, auth_token: "" }))
      socket.send(JSON.stringify({ tty_size: { width: 99, height: 33 } }))
      socket.send(JSON.stringify({ stdin: { data: btoa("stty size; exit\n") } }))
    }
    socket.onmessage = (message) => {
      const frame = JSON.parse(message.data)
      if (frame.stdout?.data) said += atob(frame.stdout.data)
    }
  }), allocation)
  assert.match(said, /33 99/)
}
