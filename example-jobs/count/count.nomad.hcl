# A counter and its dashboard, in the shape of the tutorial of Nomad's Connect.
# One file for the three ways to have a sidecar.

variable "way" {
  type        = string
  default     = "bridge"
  description = "bridge: Nomad's own Connect, whose sidecars this driver runs; hook: the same on the host network, through the hook; task: sidecars written out as tasks"
  validation {
    condition     = contains(["bridge", "hook", "task"], var.way)
    error_message = "It is bridge, hook or task."
  }
}

variable "release" {
  type        = string
  default     = "1"
  description = "another one is another version of the job"
}

locals {
  mode   = var.way == "bridge" ? "bridge" : "host"
  native = var.way == "task" ? [] : [1]
}

job "count" {
  update {
    min_healthy_time = "2s"
  }

  group "api" {
    count          = 2
    shutdown_delay = "3s"

    network {
      mode = local.mode
      port "api" {
        to = -1 # the same number inside and outside
      }
      dynamic "port" {
        for_each = var.way == "task" ? ["mesh"] : []
        labels   = [port.value]
        content {}
      }
    }

    service {
      name = "count-api"
      port = "api"
      dynamic "connect" {
        for_each = local.native
        content {
          sidecar_service {}
          sidecar_task {
            driver       = "connect"
            kill_timeout = "10s"
            config {
              bootstrap {} # Nomad writes it
            }
          }
        }
      }
    }

    task "api" {
      driver = "raw_exec"
      config {
        command = "node"
        args    = ["${NOMAD_TASK_DIR}/api.js"]
      }
      env {
        RELEASE = var.release
      }
      template {
        destination = "local/api.js"
        data        = <<-EOT
          // Counts up, for everybody who asks.
          let count = 0
          require("http").createServer((_, answer) => {
            answer.setHeader("Content-Type", "application/json")
            answer.end(JSON.stringify({ count: ++count, instance: process.env.NOMAD_ALLOC_INDEX, release: process.env.RELEASE }))
          }).listen(process.env.NOMAD_PORT_api)
        EOT
      }
      resources {
        cpu    = 50
        memory = 64
      }
    }

    dynamic "task" {
      for_each = var.way == "task" ? ["connect-proxy-count-api"] : []
      labels   = [task.value]
      content {
        driver       = "connect"
        kill_timeout = "10s"
        lifecycle {
          hook    = "prestart"
          sidecar = true
        }
        config {
          service = "count-api"
          sidecar_service {
            port = "mesh"
          }
        }
      }
    }
  }

  group "dashboard" {
    shutdown_delay = "3s"

    network {
      mode = local.mode
      port "http" {
        to = -1
      }
      dynamic "port" {
        for_each = var.way == "task" ? ["mesh", "up_api"] : []
        labels   = [port.value]
        content {}
      }
    }

    service {
      name = "count-dashboard"
      port = "http"
      dynamic "connect" {
        for_each = local.native
        content {
          sidecar_service {
            proxy {
              upstreams {
                destination_name = "count-api"
                local_bind_port  = 8080
              }
            }
          }
          sidecar_task {
            driver       = "connect"
            kill_timeout = "10s"
            config {
              bootstrap {} # Nomad writes it
            }
          }
        }
      }
    }

    task "dashboard" {
      driver = "raw_exec"
      config {
        command = "node"
        args    = ["${NOMAD_TASK_DIR}/dashboard.js"]
      }
      env {
        COUNT_API = var.way == "task" ? "127.0.0.1:${NOMAD_PORT_up_api}" : "${NOMAD_UPSTREAM_ADDR_count_api}"
      }
      template {
        destination = "local/dashboard.js"
        data        = <<-EOT
          // Asks the API, over a new connection each time, and shows what it says.
          const http = require("http")
          http.createServer((_, answer) => {
            http.get("http://" + process.env.COUNT_API, { agent: false }, (said) => {
              answer.writeHead(said.statusCode, { "Content-Type": "application/json" })
              said.pipe(answer)
            }).on("error", (e) => answer.writeHead(502).end("the API does not answer: " + e.message + "\n"))
          }).listen(process.env.NOMAD_PORT_http)
        EOT
      }
      resources {
        cpu    = 50
        memory = 64
      }
    }

    dynamic "task" {
      for_each = var.way == "task" ? ["connect-proxy-count-dashboard"] : []
      labels   = [task.value]
      content {
        driver       = "connect"
        kill_timeout = "10s"
        lifecycle {
          hook    = "prestart"
          sidecar = true
        }
        config {
          service = "count-dashboard"
          sidecar_service {
            port = "mesh"
            proxy {
              upstreams {
                destination_name = "count-api"
                port             = "up_api"
              }
            }
          }
        }
      }
    }
  }
}
