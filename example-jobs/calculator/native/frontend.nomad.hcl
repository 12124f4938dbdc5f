# The calculator's page and its API, for the hook: Nomad's own connect stanza on the host network.

job "frontend" {
  update {
    min_healthy_time = "2s"
  }

  group "frontend" {
    count          = 2
    shutdown_delay = "3s"

    restart { # for the app and its sidecar: soon, and elsewhere when this node cannot
      attempts = 5
      interval = "1m"
      delay    = "1s"
      mode     = "fail"
    }

    network {
      mode = "host"
      port "http" {
        host_network = "loopback"
      }
    }

    service {
      name = "frontend"
      port = "http"
      check {
        type     = "http"
        port     = "http"
        path     = "/health"
        interval = "1s"
        timeout  = "1s"
      }
      connect {
        sidecar_service {
          proxy {
            config {
              protocol = "http" # the app hears who asks
            }
            upstreams {
              destination_name = "add-svc"
              local_bind_port  = 9191
              config {
                protocol = "http" # each request goes to the next instance
              }
            }
            upstreams {
              destination_name = "sub-svc"
              local_bind_port  = 9192
              config {
                protocol = "http" # each request goes to the next instance
              }
            }
          }
        }
      }
    }

    task "frontend" {
      driver = "raw_exec"
      config {
        command = "node"
        args    = ["${NOMAD_TASK_DIR}/frontend.js"]
      }
      env {
        ADD_SVC = "${NOMAD_UPSTREAM_ADDR_add_svc}"
        SUB_SVC = "${NOMAD_UPSTREAM_ADDR_sub_svc}"
      }
      template {
        destination = "local/frontend.js"
        data        = file("src/frontend.js")
      }
      template {
        destination = "local/page.html"
        data        = file("src/page.html")
      }
      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
