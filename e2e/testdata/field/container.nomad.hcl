# The sidecar's task is a container's, as it is where a job says no driver.
variable "app" {}

job "field-container" {
  type = "service"

  group "g" {
    network {
      mode = "host"
      port "expose_check" {
        to = -1
      }
    }
    service {
      name = "field-container"
      port = "8081"
      check {
        type     = "http"
        path     = "/opt/nifi/"
        port     = "expose_check"
        interval = "1s"
        timeout  = "1s"
      }
      connect {
        sidecar_service {
          proxy {
            expose {
              path {
                path            = "/opt/nifi/"
                protocol        = "http"
                local_path_port = 8081
                listener_port   = "expose_check"
              }
            }
          }
        }
        sidecar_task {
          config {
            image = "envoyproxy/envoy:v1.11.2"
          }
          resources {
            cpu    = 20
            memory = 64
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
        E2E_APP = "127.0.0.1:8081"
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }
  }
}
