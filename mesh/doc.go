// Package mesh is a proxy's membership in the mesh: what Consul is told of it, by
// us, by Nomad, or by nobody. It knows no processes beyond their identity, and
// not what runs.
//
//	registration.go  what Consul is told of a proxy of ours; pure
//	scraped.go       what its meta says of where it is scraped; pure
//	place.go         where a sidecar is, and what it is between; pure
//	parent.go        the service that a sidecar stands before
//	rights.go        what its ACL token has to give
//	own.go           the member that we register
//	look.go          what has become of it
//	nomads.go        the member that Nomad's own Connect registers
//	replaced.go      its checks of Nomad's, and ours in their places
//	ready.go         the ready check of both, and what it follows
//	verdict.go       what it says; pure
//	vouch.go         checks that Consul has not run yet, run for it
//	run.go           one run of one
//	none.go          a proxy that is no member
//
// Nobody polls here: the watch of the node says when it is time to look. Only while
// Consul has not run a check of the service itself is it looked at again and again.
package mesh
