# Quotes and a shop that asks for them, for Nomad's own Connect: bridge networking, and
# sidecars that Nomad makes.

job "migrate" {
  update {
    min_healthy_time = "2s"
  }

  group "quotes" {
    count          = 2
    shutdown_delay = "5s"

    network {
      mode = "bridge"
      port "quotes" {
        to = -1
      }
    }

    service {
      name = "quotes"
      port = "quotes"
      connect {
        sidecar_service {}
      }
    }

    task "quotes" {
      driver = "raw_exec"
      config {
        command = "socat"
        args    = ["TCP-LISTEN:${NOMAD_PORT_quotes},fork,reuseaddr", "SYSTEM:echo quote of instance ${NOMAD_ALLOC_INDEX}"]
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }

  group "shop" {
    network {
      mode = "bridge"
    }

    service {
      name = "shop"
      connect {
        sidecar_service {
          proxy {
            upstreams {
              destination_name = "quotes"
              local_bind_port  = 7180
            }
          }
        }
      }
    }

    task "shop" {
      driver = "raw_exec"
      config {
        command = "sh"
        args    = ["-c", "while sleep 2; do socat -t 1 - TCP:$NOMAD_UPSTREAM_ADDR_quotes; done"]
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
