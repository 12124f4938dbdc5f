# The same two groups as people write them by hand: raw_exec around Consul's command, every
# port and every ID chosen.

job "migrate" {
  group "quotes" {
    count = 1 # the ports and IDs are taken

    network {
      mode = "host"
      port "quotes" {
        static = 7080
      }
      port "mesh" {
        static = 21000
      }
    }

    service {
      name = "quotes"
      port = "quotes"
    }

    task "quotes" {
      driver = "raw_exec"
      config {
        command = "socat"
        args    = ["TCP-LISTEN:7080,fork,reuseaddr", "SYSTEM:echo a quote"]
      }
    }

    task "proxy" {
      driver = "raw_exec"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      template {
        destination = "local/proxy.json"
        data        = <<-EOT
          {"service": {
            "name": "quotes-proxy", "id": "quotes-proxy", "kind": "connect-proxy", "port": 21000,
            "proxy": {
              "destination_service_name": "quotes",
              "local_service_port": 7080
            }
          }}
        EOT
      }
      config {
        command = "sh"
        args = ["-c", <<-EOT
          consul services register local/proxy.json &&
          exec consul connect envoy -proxy-id quotes-proxy -admin-bind 127.0.0.1:19000
        EOT
        ]
      }
      env {
        CONSUL_HTTP_TOKEN = "of the node's agent"
      }
    }
  }

  group "shop" {
    network {
      mode = "host"
      port "mesh" {
        static = 21001
      }
    }

    task "shop" {
      driver = "raw_exec"
      config {
        command = "sh"
        args    = ["-c", "while sleep 2; do socat -t 1 - TCP:127.0.0.1:7180; done"]
      }
    }

    task "proxy" {
      driver = "raw_exec"
      lifecycle {
        hook    = "prestart"
        sidecar = true
      }
      template {
        destination = "local/proxy.json"
        data        = <<-EOT
          {"service": {
            "name": "shop-proxy", "id": "shop-proxy", "kind": "connect-proxy", "port": 21001,
            "proxy": {
              "destination_service_name": "shop",
              "upstreams": [{"destination_name": "quotes", "local_bind_port": 7180}]
            }
          }}
        EOT
      }
      config {
        command = "sh"
        args = ["-c", <<-EOT
          consul services register local/proxy.json &&
          exec consul connect envoy -proxy-id shop-proxy -admin-bind 127.0.0.1:19001
        EOT
        ]
      }
      env {
        CONSUL_HTTP_TOKEN = "of the node's agent"
      }
    }
  }
}
