// Package agents starts a real Consul and a real Nomad with the driver
// installed, as an operator would: configuration files, data directories, the
// plugin in plugin_dir. Ports come from the kernel, everything else lies below
// one directory, and Close leaves nothing behind.
//
// It knows the built binary and the public APIs, nothing of the driver's inside.
package agents
