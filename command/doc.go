// Package command is what a person runs: nomad-driver-connect <command>. It
// looks and behaves like nomad and consul: results go to stdout, everything
// else to stderr, and the exit status is 1 when there is no result.
//
// The bootstrap command:
//
//	flags ─▶ bootstrapOptions ─ validate ─▶ fetch (Consul) ─▶ bootstrap.Inputs ─▶ JSON
//
// bootstrap_flags.go has the flags, bootstrap.go the way from one end to the
// other, fetch.go what is asked of Consul, gateway.go what -register tells it.
//
// The hook command (hook.go, write.go) is the way from a file to package hook
// and back. With -serve (serve.go) it hands over to package serve.
package command
