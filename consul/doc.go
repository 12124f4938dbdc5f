// Package consul is the Consul agent of this node: what is asked of it to
// render bootstraps, and what it is told of sidecars. It knows neither
// processes nor Nomad.
//
//	client.go   how the agent is reached
//	answers.go  how much an agent may answer
//	request.go  requests, in their turn, and their failures
//	tokens.go   the ACL tokens of now, and who keeps them
//	acl.go      what Consul knows of them: read, log in and out, what they may do
//	certificates.go those that connections are made with, as they are now
//	pool.go     the connections that all share
//	agent.go    what the agent says of itself, and where it serves xDS
//	agents.go   what agents said, remembered for a short while
//	restart.go  what traffic loses when the agent is restarted
//	services.go registrations
//	checks.go   their checks
//	definitions.go how the agent runs them
//	watch.go    what changes on the node, once for all who follow
//	follower.go who is told of what
//	query.go    the blocking queries that it asks
//	inputs.go   what a bootstrap is rendered from, in parallel requests
package consul
