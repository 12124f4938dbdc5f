// Package fake stands in for the two programs that the driver works with, for
// tests alone: a process where the driver starts a process, and a server where it
// talks to a server. What is tested is then all of the driver's own code, with
// the kernel, sockets and HTTP between.
//
// The fake Envoy is the test binary itself, under another name:
//
//	func TestMain(m *testing.M) {
//		fake.RunAsEnvoy()
//		os.Exit(m.Run())
//	}
//
// fake.Envoy(t, fake.Stubborn) is then the path of an Envoy that ignores SIGTERM,
// and fake.EnvoyEnv(t) belongs into its environment.
//
// The fake Consul is the HTTP API of an agent over a table of services and checks.
// It answers as Consul 1.22 does, blocking queries and limits included, and can be
// out of order in the ways in which an agent is.
//
// Reading order: envoy.go, envoy_process.go, envoy_memory.go, envoy_listener.go,
// envoy_admin.go; consul.go, consul_table.go, consul_services.go,
// consul_checks.go, consul_definitions.go, consul_alias.go, consul_catalog.go, consul_config.go,
// consul_acl.go, consul_faults.go, consul_connections.go.
package fake
