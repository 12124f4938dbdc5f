# The edge of the calculator, for the hook: Nomad's own connect stanza on the host network. Envoy is the
# gateway, too: the same driver runs it with a bootstrap of the job's own.

variable "edge_port" {
  type        = number
  default     = 8080
  description = "where those outside the mesh come in"
}

job "api-gateway" {
  update {
    min_healthy_time = "2s"
  }

  group "api-gateway" {
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
      port "edge" {
        static           = var.edge_port
        ignore_collision = true # Envoys of one user share a port
      }
      port "health" {}
    }

    service {
      name = "api-gateway"
      port = "edge"
      check {
        type     = "http"
        port     = "health"
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
              destination_name = "frontend"
              local_bind_port  = 9191
              config {
                protocol = "http" # each request goes to the next instance
              }
            }
          }
        }
      }
    }

    task "api-gateway" {
      driver       = "connect"
      user         = "18080" # of both edges; the operator leaves it to jobs
      kill_timeout = "10s"
      config {
        bootstrap {
          path = "local/edge.yaml"
        }
      }
      env {
        UPSTREAM_PORT = "${NOMAD_UPSTREAM_PORT_frontend}"
      }
      template {
        destination = "local/edge.yaml"
        data        = file("src/edge.yaml")
      }
      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
