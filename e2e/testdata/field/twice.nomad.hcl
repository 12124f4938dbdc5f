# Two instances of an app that listens on a number.
variable "app" {}

job "field-twice" {
  type = "service"

  group "g" {
    count = 2
    network {
      mode = "host"
    }
    service {
      name = "field-twice"
      port = "19077"
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
        E2E_APP = "127.0.0.1:19077"
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }
  }
}
