# A server that is alone; the client is an agent of its own, as in production.
name      = "demo-server"
data_dir  = "/var/lib/nomad-server"
bind_addr = "127.0.0.1"

# Forwarded ports come in from outside. That anybody who gets here may run anything is for a
# demo; elsewhere turn ACLs on.
addresses {
  http = "0.0.0.0"
}
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}

ports {
  http = 4646
  rpc  = 4647
  serf = 4648
}

server {
  enabled          = true
  bootstrap_expect = 1
  raft_multiplier  = 1
}

disable_update_check = true
