# A server that is alone. Its name and address stay what they are, whatever becomes of the
# machine's.
server           = true
bootstrap_expect = 1
node_name        = "demo"
data_dir         = "/var/lib/consul"
bind_addr        = "127.0.0.1"

# Forwarded ports come in from outside. That anybody who gets here may do anything is for a
# demo; elsewhere turn ACLs on.
addresses {
  http = "0.0.0.0"
}

ports {
  grpc     = 8502 # Envoys have their configuration from here
  grpc_tls = -1
  serf_wan = -1
  dns      = -1
}

connect {
  enabled = true
}
ui_config {
  enabled = true
}

performance {
  raft_multiplier = 1
}
disable_update_check = true
