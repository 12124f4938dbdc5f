# The same two groups with sidecars as tasks of this driver: every port is dynamic.

job "migrate" {
  update {
    min_healthy_time = "2s"
  }

  group "quotes" {
    count          = 2
    shutdown_delay = "5s"

    network {
      mode = "host"
      port "quotes" {}
      port "mesh" {}
    }

    service {
      name = "quotes"
      port = "quotes"
    }

    task "quotes" {
      driver = "raw_exec"
      config {
        command = "socat"
        args    = ["TCP-LISTEN:${NOMAD_PORT_quotes},fork,reuseaddr", "SYSTEM:echo a quote"]
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "proxy" {
      driver       = "connect"
      kill_timeout = "10s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
        service = "quotes"
        sidecar_service {
          port = "mesh"
        }
      }
      resources {
        cpu    = 100
        memory = 128
      }
    }
  }

  group "shop" {
    network {
      mode = "host"
      port "mesh" {}
      port "up_quotes" {}
    }

    task "shop" {
      driver = "raw_exec"
      config {
        command = "sh"
        args    = ["-c", "while sleep 2; do socat -t 1 - TCP:127.0.0.1:$NOMAD_PORT_up_quotes; done"]
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "proxy" {
      driver       = "connect"
      kill_timeout = "10s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
        service = "shop"
        sidecar_service {
          port       = "mesh"
          standalone = true
          proxy {
            upstreams {
              destination_name = "quotes"
              port             = "up_quotes"
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
