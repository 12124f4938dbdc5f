# Every field that a connect block with a sidecar can have on the host network.
job "hook-fields" {
  group "g" {
    network {
      mode = "host"
      port "http" {
        host_network = "lan"
      }
      port "metrics" {}
    }
    volume "certs" {
      type   = "host"
      source = "certs"
    }
    service {
      name = "hook-fields"
      port = "http"
      connect {
        sidecar_service {
          port                      = "mesh"
          tags                      = ["a", "b"]
          disable_default_tcp_check = true
          meta {
            owner = "me"
          }
          proxy {
            local_service_address = "127.0.0.3"
            local_service_port    = 7401
            config {
              protocol                 = "http"
              local_connect_timeout_ms = 250
              envoy_stats_tags         = ["a=b"]
              text                     = "%%{ $${a b} is only a text"
            }
            expose {
              path {
                path            = "/metrics"
                protocol        = "http2"
                local_path_port = 7402
                listener_port   = "metrics"
              }
            }
            upstreams {
              destination_name      = "db"
              destination_type      = "service"
              destination_namespace = "ns"
              destination_partition = "part"
              destination_peer      = "peer"
              datacenter            = "dc2"
              local_bind_address    = "127.0.0.2"
              local_bind_port       = 7403
              mesh_gateway {
                mode = "remote"
              }
              config {
                protocol                     = "tcp"
                connect_timeout_ms           = 5000
                envoy_listener_json          = "{}"
                envoy_cluster_json           = "{}"
                balance_outbound_connections = "exact_balance"
                limits {
                  max_connections         = 1
                  max_pending_requests    = 2
                  max_concurrent_requests = 3
                }
                passive_health_check {
                  interval                  = "10s"
                  max_failures              = 4
                  enforcing_consecutive_5xx = 5
                  max_ejection_percent      = 6
                  base_ejection_time        = "30s"
                }
                mesh_gateway {
                  mode = "local"
                }
              }
            }
            upstreams {
              destination_name       = "cache"
              local_bind_socket_path = "${NOMAD_ALLOC_DIR}/tmp/cache.sock"
              local_bind_socket_mode = "0660"
            }
          }
        }
        sidecar_task {
          name           = "mesh"
          driver         = "connect"
          user           = "envoy"
          kill_timeout   = "20s"
          shutdown_delay = "1s"
          kill_signal    = "SIGTERM"
          config {
            consul {
              address = "127.0.0.1:8500"
            }
            envoy {
              log_level = "debug"
              args      = ["--disable-extensions", "x"]
            }
            ready {
              timeout = "10s"
            }
            drain {
              timeout = "5s"
            }
          }
          env {
            A = "b"
          }
          meta {
            c = "d"
          }
          resources {
            cpu        = 100
            memory     = 64
            memory_max = 128
          }
          logs {
            max_files     = 3
            max_file_size = 4
          }
          volume_mount {
            volume      = "certs"
            destination = "/certs"
          }
          identity {
            name = "mesh"
            aud  = ["consul.io"]
            file = true
          }
        }
      }
    }
    task "app" {
      driver = "raw_exec"
      config {
        command = "sleep"
        args    = ["300"]
      }
    }
  }
}
