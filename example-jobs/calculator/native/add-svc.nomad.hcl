# The sum of two numbers, for the hook: Nomad's own connect stanza on the host network.

job "add-svc" {
  update {
    min_healthy_time = "2s"
  }

  group "add-svc" {
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
      name = "add-svc"
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
          }
        }
      }
    }

    task "add-svc" {
      driver = "raw_exec"
      config {
        command = "java"
        args    = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx64m", "${NOMAD_TASK_DIR}/Operator.java", "add"]
      }
      template {
        destination = "local/Operator.java"
        data        = file("src/Operator.java")
      }
      resources {
        cpu    = 100
        memory = 256
      }
    }
  }
}
