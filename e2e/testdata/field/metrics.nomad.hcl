# Every sidecar has its metrics on one number, behind a port that is mapped to it.
variable "app" {}

job "field-metrics" {
  type = "service"

  group "g" {
    count = 2
    network {
      mode = "host"
      port "http" {}
      port "envoy_metrics" {
        to = 9102
      }
      port "scrape" {
        to = -1
      }
    }
    service {
      name = "field-metrics"
      port = "http"
      meta {
        envoy_metrics_port = "${NOMAD_HOST_PORT_envoy_metrics}"
        scrape_port        = "${NOMAD_HOST_PORT_scrape}"
      }
      connect {
        sidecar_service {
          proxy {
            config {
              envoy_prometheus_bind_addr = "0.0.0.0:9102"
            }
            expose {
              path {
                path            = "/metrics"
                protocol        = "http"
                local_path_port = 9102
                listener_port   = "scrape"
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
        E2E_APP = "127.0.0.1:${NOMAD_PORT_http}"
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }
  }
}
