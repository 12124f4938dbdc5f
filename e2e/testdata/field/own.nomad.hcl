# The job has a port of the name that Nomad gives the sidecar's, and a name from meta.
variable "app" {}

job "field-own" {
  type = "service"
  meta {
    env = "prod"
  }
  group "g" {
    network {
      mode = "host"
      port "http" {}
      port "connect-proxy-field-own-prod" {
        static = 25001
      }
    }
    service {
      name = "field-own-${NOMAD_META_env}"
      port = "http"
      connect {
        sidecar_service {}
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
