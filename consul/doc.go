// Package consul is the Consul agent of this node: what is asked of it to
// render bootstraps, and what it is told of sidecars. It knows neither
// processes nor Nomad.
//
//	client.go   how the agent is reached; requests and their failures
//	agent.go    what the agent says of itself, and where it serves xDS
//	agents.go   what agents said, remembered for a short while
//	restart.go  what traffic loses when the agent is restarted
//	services.go registrations
//	checks.go   their checks
//	alias.go    alias checks that are wrong after a restart of the agent
//	watch.go    which services come and go, once for the node
//	inputs.go   what a bootstrap is rendered from, in parallel requests
package consul
