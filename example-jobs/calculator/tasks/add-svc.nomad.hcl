# The sum of two numbers, with this driver's task.

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
      port "mesh" {} # mTLS comes in here
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

    task "connect-proxy-add-svc" {
      driver       = "connect"
      kill_timeout = "10s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
        service = "add-svc"
        sidecar_service {
          port = "mesh"
          proxy {
            config {
              protocol = "http" # the app hears who asks
            }
          }
        }
      }
      resources {
        cpu    = 100
        memory = 128
      }
    }
  }
}
