// The calculator's frontend: its page, and an API that has the services compute.
// No packages. It finds them at its sidecar's upstreams.
"use strict"
const http = require("http")
const fs = require("fs")
const path = require("path")

const operators = new Map([
  ["/api/add", { service: "add-svc", address: process.env.ADD_SVC }],
  ["/api/sub", { service: "sub-svc", address: process.env.SUB_SVC }],
])
const instance = "frontend/" + process.env.NOMAD_SHORT_ALLOC_ID
const page = fs.readFileSync(path.join(__dirname, "page.html"))

// A service that is computing the same sum again does no harm, so what fails is
// tried again: an instance may have died with the sum.
const patience = 2000 // ms for all tries of a sum
const longest = 1000 // ms for one

// ask gives status and body of one try, over a connection of its own: the sidecar
// chooses an instance for it.
function ask(url) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent: false, timeout: longest }, (answer) => {
      let body = ""
      answer.setEncoding("utf8")
      answer.on("data", (chunk) => { body += chunk })
      answer.on("end", () => resolve({ status: answer.statusCode, body }))
      answer.on("error", reject)
    })
    request.on("timeout", () => request.destroy(new Error(`no answer within ${longest} ms`)))
    request.on("error", reject)
  })
}

// compute gives the answer of the operator's service, or throws why there is none.
async function compute(operator, query) {
  const began = Date.now()
  let complaint
  for (let pause = 20; Date.now() - began < patience; pause = Math.min(2 * pause, 400)) {
    try {
      const { status, body } = await ask(`http://${operator.address}/compute?${query}`)
      if (status < 500) return { status, said: JSON.parse(body) }
      complaint = body.trim() || `status ${status}`
    } catch (e) {
      complaint = e.message
    }
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
  throw new Error(`${operator.service} does not answer: ${complaint}. Is the job ${operator.service} running and healthy?`)
}

// hops are the edge and this instance, as the request has come.
function hops(request) {
  const uri = /URI=spiffe:\/\/[^;,]*\/svc\/([\w-]+)/.exec(request.headers["x-forwarded-client-cert"] || "")
  const edge = request.headers["x-calculator-edge"]
  return [
    ...(edge ? [{ service: "api-gateway", instance: edge, caller: "" }] : []),
    { service: "frontend", instance, caller: uri ? uri[1] : "" },
  ]
}

function send(response, status, body, type = "application/json") {
  response.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store" })
  response.end(type === "application/json" ? JSON.stringify(body) + "\n" : body)
}

// sendSum sends the service's answer with the whole path. Numbers are strings in it:
// JavaScript's own would lose digits.
async function sendSum(request, response, operator, query) {
  try {
    const { status, said } = await compute(operator, query)
    send(response, status, { ...said, path: [...hops(request), ...said.path] })
  } catch (e) {
    send(response, 502, { error: e.message, path: hops(request) })
  }
}

const server = http.createServer((request, response) => {
  const [pathname, query] = request.url.split("?", 2)
  const operator = operators.get(pathname)
  if (request.method !== "GET") {
    response.setHeader("Allow", "GET")
    return send(response, 405, { error: `The calculator answers GET only, not ${request.method}.` })
  }
  if (operator) return sendSum(request, response, operator, new URLSearchParams(query))
  switch (pathname) {
    case "/": return send(response, 200, page, "text/html; charset=utf-8")
    case "/health": return send(response, 200, { ready: true })
    default: return send(response, 404, { error: `There is no ${pathname}; there are /, /api/add?a=1&b=2 and /api/sub?a=1&b=2.` })
  }
})
server.listen(process.env.NOMAD_PORT_http, process.env.NOMAD_IP_http, () => console.log(`${instance} listens`))
