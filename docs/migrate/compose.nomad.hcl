# A docker-compose file as it is often carried over: a container for each of its services,
# with ports that Docker maps, and connect blocks put beside.

job "compose" {
  group "db" {
    network {
      mode = "host"
      port "db" {
        to = 5432
      }
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
        image = "postgres:17"
        ports = ["db"]
      }
    }
  }

  group "web" {
    count = 2
    network {
      mode = "host"
      port "http" {
        to = 8080
      }
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
    task "schema" {
      driver = "docker"
      lifecycle {
        hook = "prestart"
      }
      config {
        image        = "example/web:1"
        network_mode = "host"
        command      = "migrate"
      }
    }
    task "web" {
      driver = "docker"
      config {
        image = "example/web:1"
        ports = ["http"]
      }
    }
  }
}
