# Two services of a name, ports that map, an app on loopback, paths and sockets.
job "hook-services" {
  update {
    min_healthy_time = "1s"
  }
  group "g" {
    network {
      port "http" {
        to = 7201
      }
      port "admin" {
        host_network = "loopback"
      }
      port "metrics" {
        to = -1
      }
      port "mesh" {}
    }
    service {
      name         = "hook-services"
      port         = "http"
      address_mode = "alloc"
      check {
        type         = "http"
        path         = "/"
        interval     = "2s"
        timeout      = "1s"
        expose       = true
        address_mode = "alloc"
      }
      connect {
        sidecar_service {
          port = "mesh"
          proxy {
            expose {
              path {
                path            = "/metrics"
                protocol        = "http"
                local_path_port = 7201
                listener_port   = "metrics"
              }
            }
            upstreams {
              destination_name       = "hook-echo"
              local_bind_socket_path = "${NOMAD_ALLOC_DIR}/tmp/echo.sock"
              local_bind_socket_mode = "0660"
            }
            upstreams {
              destination_name   = "hook-other"
              local_bind_port    = 7202
              local_bind_address = "127.0.0.2"
              mesh_gateway {
                mode = "none"
              }
            }
          }
        }
        sidecar_task {
          name           = "mesh-web"
          kill_timeout   = "6s"
          shutdown_delay = "1s"
          kill_signal    = "SIGTERM"
          resources {
            cpu    = 20
            memory = 64
          }
          env {
            A = "b"
          }
          meta {
            c = "d"
          }
        }
      }
    }
    service {
      name = "hook-services"
      port = "admin"
      connect {
        sidecar_service {
          disable_default_tcp_check = true
        }
        sidecar_task {
          driver = "connect"
          resources {
            cpu    = 20
            memory = 64
          }
        }
      }
    }
    task "app" {
      driver = "raw_exec"
      config {
        command = "sh"
        args = ["-c", <<-EOT
          answer='SYSTEM:echo HTTP/1.0 200 OK; echo'
          socat TCP-LISTEN:$NOMAD_PORT_http,fork,reuseaddr "$answer" &
          exec socat TCP-LISTEN:$NOMAD_PORT_admin,bind=127.0.0.1,fork,reuseaddr "$answer"
        EOT
        ]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
