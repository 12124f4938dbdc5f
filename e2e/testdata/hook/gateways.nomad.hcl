# Gateways, and an app that speaks Connect itself: Nomad takes them on the host
# network as they are.
job "hook-gateways" {
  group "ingress" {
    network {
      port "in" {}
    }
    service {
      name = "hook-ingress"
      port = "in"
      connect {
        gateway {
          proxy {}
          ingress {
            listener {
              port     = 7301
              protocol = "tcp"
              service {
                name = "hook-echo"
              }
            }
          }
        }
        sidecar_task {
          driver = "docker"
          config {
            image = "envoyproxy/envoy:v1.36.0"
          }
        }
      }
    }
  }
  group "terminating" {
    network {
      mode = "host"
    }
    service {
      name = "hook-terminating"
      connect {
        gateway {
          terminating {
            service {
              name = "db"
            }
          }
        }
      }
    }
  }
  group "mesh" {
    network {
      mode = "host"
      port "wan" {}
    }
    service {
      name = "hook-mesh"
      port = "wan"
      connect {
        gateway {
          mesh {}
        }
      }
    }
  }
  group "native" {
    network {
      mode = "host"
      port "app" {}
    }
    service {
      name = "hook-native"
      port = "app"
      task = "app"
      connect {
        native = true
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
