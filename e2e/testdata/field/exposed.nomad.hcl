# Checks that are to be exposed, of apps that listen on loopback.
variable "app" {}

job "field-exposed" {
  type = "service"

  group "g" {
    network {
      mode = "host"
      port "http" {}
      port "live" {
        to = -1
      }
      port "api" {}
    }
    service {
      name = "field-label"
      port = "http"
      check {
        expose   = true
        type     = "http"
        path     = "/health"
        interval = "1s"
        timeout  = "1s"
      }
      connect {
        sidecar_service {}
      }
    }
    service {
      name = "field-number"
      port = "19001"
      check {
        expose   = true
        type     = "http"
        path     = "/health"
        interval = "1s"
        timeout  = "1s"
      }
      connect {
        sidecar_service {}
      }
    }
    service {
      name = "field-path"
      port = "api"
      check {
        type     = "http"
        port     = "live"
        path     = "/minio/health/live"
        interval = "1s"
        timeout  = "1s"
      }
      connect {
        sidecar_service {
          proxy {
            local_service_port = 19005
            expose {
              path {
                path            = "/minio/health/live"
                protocol        = "http"
                local_path_port = 19005
                listener_port   = "live"
              }
            }
          }
        }
      }
    }
    update {
      min_healthy_time = "1s"
    }
    task "app" {
      driver = "raw_exec"
      config {
        command = var.app
      }
      env {
        E2E_APP = "127.0.0.1:${NOMAD_PORT_http},127.0.0.1:19001,127.0.0.1:19005"
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }
  }
}
