# A TCP echo through the mesh: two servers, one client, no port chosen by hand.

job "echo" {
  update {
    min_healthy_time = "2s"
  }

  group "server" {
    count = 2

    # Nomad withdraws the service first and waits this long before it stops
    # anything: peers have gone elsewhere by then.
    shutdown_delay = "3s"

    network {
      mode = "host"
      port "echo" {
        host_network = "loopback" # the app is not reachable from outside
      }
      port "mesh" {} # the sidecar is: mTLS comes in here
    }

    service {
      name = "echo"
      port = "echo"
      check {
        type     = "tcp"
        interval = "2s"
        timeout  = "1s"
      }
    }

    task "socat" {
      driver = "raw_exec"
      config {
        command = "socat"
        args = [
          "TCP-LISTEN:${NOMAD_PORT_echo},bind=${NOMAD_IP_echo},fork,reuseaddr",
          "SYSTEM:sed -u s/^/instance-${NOMAD_ALLOC_INDEX}--/",
        ]
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "connect-proxy-echo" {
      driver       = "connect"
      kill_timeout = "10s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
        service = "echo"
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

  group "client" {
    network {
      mode = "host"
      port "mesh" {}
      port "up_echo" {
        host_network = "loopback" # the app finds echo at NOMAD_ADDR_up_echo
      }
    }

    task "greeter" {
      driver = "raw_exec"
      config {
        command = "sh"
        args = ["-c", <<-EOT
          while sleep 2; do
            echo "hello from ${NOMAD_ALLOC_ID}" | socat -t 1 - TCP:${NOMAD_ADDR_up_echo}
          done
        EOT
        ]
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "connect-proxy-client" {
      driver       = "connect"
      kill_timeout = "10s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
        service = "echo-client"
        sidecar_service {
          port       = "mesh"
          standalone = true # the client offers no service itself
          proxy {
            upstreams {
              destination_name = "echo"
              port             = "up_echo"
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
