# A check and another service are on a port that is mapped to the app's, and the
# service with the sidecar says the app's number.
variable "app" {}

job "field-mapped" {
  type = "service"

  group "g" {
    network {
      mode = "host"
      port "http" {
        to = 4433
      }
    }
    service {
      name = "field-ingress"
      port = "http"
      check {
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "1s"
      }
    }
    service {
      name = "field-mapped"
      port = 4433
      check {
        name     = "alive"
        type     = "http"
        port     = "http"
        path     = "/health/alive"
        interval = "1s"
        timeout  = "1s"
      }
      connect {
        sidecar_service {
          proxy {
            upstreams {
              destination_name = "db"
              local_bind_port  = 15432
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
        E2E_APP = "0.0.0.0:4433"
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }
  }
}
