# The calculator's page and its API, with this driver's task.

job "frontend" {
  update {
    min_healthy_time = "2s"
  }

  group "frontend" {
    count          = 2
    shutdown_delay = "3s"

    restart { # for the app and its sidecar: soon, and elsewhere when this node cannot
      attempts = 5
      interval = "1m"
      delay    = "1s"
      mode     = "fail"
    }

    network {
      mode = "host"
      port "http" {
        host_network = "loopback"
      }
      port "mesh" {} # mTLS comes in here
      port "up_add" {
        host_network = "loopback"
      }
      port "up_sub" {
        host_network = "loopback"
      }
    }

    service {
      name = "frontend"
      port = "http"
      check {
        type     = "http"
        port     = "http"
        path     = "/health"
        interval = "1s"
        timeout  = "1s"
      }
    }

    task "frontend" {
      driver = "raw_exec"
      config {
        command = "node"
        args    = ["${NOMAD_TASK_DIR}/frontend.js"]
      }
      env {
        ADD_SVC = "${NOMAD_ADDR_up_add}"
        SUB_SVC = "${NOMAD_ADDR_up_sub}"
      }
      template {
        destination = "local/frontend.js"
        data        = file("src/frontend.js")
      }
      template {
        destination = "local/page.html"
        data        = file("src/page.html")
      }
      resources {
        cpu    = 100
        memory = 128
      }
    }

    task "connect-proxy-frontend" {
      driver       = "connect"
      kill_timeout = "10s"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      config {
        service = "frontend"
        sidecar_service {
          port = "mesh"
          proxy {
            config {
              protocol = "http" # the app hears who asks
            }
            upstreams {
              destination_name = "add-svc"
              port             = "up_add"
              config {
                protocol = "http" # each request goes to the next instance
              }
            }
            upstreams {
              destination_name = "sub-svc"
              port             = "up_sub"
              config {
                protocol = "http" # each request goes to the next instance
              }
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
