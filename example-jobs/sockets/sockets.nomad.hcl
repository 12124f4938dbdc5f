# A mesh in which no app has a TCP port: the server listens on a unix socket, and the client
# finds it at one. The only ports are the public listeners of the sidecars, mTLS.

variable "user" {
  description = "whom the apps run as: any user of the machines but the sidecars'"
  default     = "www-data"
}

variable "group" {
  description = "the group of that user: its members, and nobody else, reach the sockets"
  default     = "www-data"
}

job "sockets" {
  update {
    min_healthy_time = "2s"
  }

  group "server" {
    shutdown_delay = "3s"

    network {
      mode = "host"
      port "mesh" {} # mTLS comes in here
    }

    service {
      name = "greet" # it has no port: its app has none
    }

    task "greet" {
      driver = "raw_exec"
      user   = var.user
      config {
        command = "sh"
        # The directory lets only the group and the sidecar in, so that the socket may be
        # everybody's. (A socket's path ends at 107 characters: it is bound as a relative one.)
        args = ["-c", <<-EOT
          cd "$NOMAD_ALLOC_DIR/tmp/app"
          exec socat UNIX-LISTEN:greet.sock,mode=0666,unlink-early,fork 'SYSTEM:sed -u s/^/welcome--/'
        EOT
        ]
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "connect-proxy-greet" {
      driver       = "connect"
      kill_timeout = "10s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
        service = "greet"
        sidecar_service {
          port = "mesh"
          proxy {
            local_service_socket_path  = "${NOMAD_ALLOC_DIR}/tmp/app/greet.sock"
            local_service_socket_group = var.group # makes the socket
          }
        }
      }
      resources {
        cpu    = 100
        memory = 128
      }
    }
  }

  group "client" {
    network {
      mode = "host"
      port "mesh" {}
    }

    task "guest" {
      driver = "raw_exec"
      user   = var.user
      config {
        command = "sh"
        args = ["-c", <<-EOT
          cd "$NOMAD_ALLOC_DIR/tmp/mesh"
          while sleep 2; do
            echo "$NOMAD_TASK_NAME" | socat -t 1 - UNIX-CONNECT:greet.sock
          done
        EOT
        ]
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "connect-proxy-guest" {
      driver       = "connect"
      kill_timeout = "10s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
        service = "guest"
        sidecar_service {
          port       = "mesh"
          standalone = true
          proxy {
            upstreams {
              destination_name        = "greet"
              local_bind_socket_path  = "${NOMAD_ALLOC_DIR}/tmp/mesh/greet.sock"
              local_bind_socket_group = var.group # connects to it
              local_bind_socket_mode  = "0660"
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
