# The same containers on the host network.

job "compose" {
  group "db" {
    shutdown_delay = "5s"
    network {
      mode = "host"
      port "db" {}
    }
    service {
      name = "db"
      port = "db"
      connect {
        sidecar_service {}
      }
    }
    task "db" {
      driver = "docker"
      config {
        image        = "postgres:17"
        network_mode = "host"
        args         = ["-p", "${NOMAD_PORT_db}"]
      }
    }
  }

  group "web" {
    count          = 2
    shutdown_delay = "5s"
    network {
      mode = "host"
      port "http" {}
    }
    service {
      name = "web"
      port = "http"
      connect {
        sidecar_service {
          proxy {
            upstreams {
              destination_name = "db"
              local_bind_port  = 5432
            }
          }
        }
      }
    }
    task "web" {
      driver = "docker"
      config {
        image        = "example/web:1"
        network_mode = "host"
        command      = "sh"
        args         = ["-c", "until migrate; do sleep 1; done; exec web"]
      }
      env {
        LISTEN   = "127.0.0.1:${NOMAD_PORT_http}"
        DATABASE = "${NOMAD_UPSTREAM_ADDR_db}"
      }
    }
  }
}
