# As for bridge networking: ports by number, and the app finds its upstream by
# Nomad's variable.
variable "text" {
  type    = string
  default = "nobody"
}

job "hook-echo" {
  update {
    min_healthy_time = "1s"
  }
  group "server" {
    network {
      mode = "host"
    }
    service {
      name = "hook-echo"
      port = "7101"
      check {
        type     = "tcp"
        interval = "2s"
        timeout  = "1s"
        expose   = true
      }
      connect {
        sidecar_service {
          tags = ["echo"]
          meta {
            owner = "test"
          }
          proxy {
            config {
              local_connect_timeout_ms = 250
              envoy_stats_tags         = ["hook=echo"]
            }
          }
        }
        sidecar_task {
          driver = "docker"
          config {
            image = "envoyproxy/envoy:v1.36.0"
          }
          resources {
            cpu    = 20
            memory = 64
          }
          logs {
            max_files = 1
          }
        }
      }
    }
    task "socat" {
      driver = "raw_exec"
      config {
        command = "socat"
        args    = ["TCP-LISTEN:7101,bind=127.0.0.1,fork,reuseaddr", "SYSTEM:sed -u s/^/${var.text}--/"]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }

  group "client" {
    service {
      name = "hook-client"
      connect {
        sidecar_service {
          proxy {
            upstreams {
              destination_name = "hook-echo"
              local_bind_port  = 7102
              config {
                connect_timeout_ms = 3000
                limits {
                  max_connections = 100
                }
                passive_health_check {
                  interval     = "10s"
                  max_failures = 5
                }
              }
            }
          }
        }
        sidecar_task {
          config {
            drain {
              timeout = "1s"
            }
          }
          resources {
            cpu    = 20
            memory = 64
          }
        }
      }
    }
    # What it is told of the upstream, it says in its log every second.
    task "app" {
      driver = "raw_exec"
      config {
        command = "sh"
        args = ["-c", <<-EOT
          while sleep 1; do
            echo hello | socat -t 1 - $ECHO
            echo hello | socat -t 1 - TCP:$NOMAD_UPSTREAM_IP_hook_echo:$NOMAD_UPSTREAM_PORT_hook_echo
          done
        EOT
        ]
      }
      env {
        ECHO = "TCP:${NOMAD_UPSTREAM_ADDR_hook_echo}"
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
