# {{ ansible_managed }}
name      = "demo"
data_dir  = "/var/lib/nomad-client"
bind_addr = "127.0.0.1"
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}

# The server's are the usual ones.
ports {
  http = 4656
  rpc  = 4657
  serf = 4658
}

client {
  enabled           = true
  servers           = ["127.0.0.1:4647"]
  network_interface = "{{ network_interface }}"

  # For ports that only this machine shall get to.
  host_network "loopback" {
    cidr = "127.0.0.0/8"
  }

  # No cloud is asked what this machine is.
  options = {
    "fingerprint.denylist" = "env_aws,env_gce,env_azure,env_digitalocean"

    # The usual ones and the driver's: user.denylist holds for them.
    "user.checked_drivers" = "exec,qemu,java,connect"
  }
}

plugin_dir = "/opt/nomad/plugins"
plugin "nomad-driver-connect" {
  config {
    allow {
      users = ["18080"] # the calculator's edges share a port as one user
    }
  }
}

plugin "raw_exec" {
  config {
    enabled = true
  }
}

telemetry {
  publish_allocation_metrics = true # else Nomad asks no driver for stats
}

disable_update_check = true
