// Package mesh is a proxy's membership in the mesh: what Consul is told of it, by
// us, by Nomad, or by nobody. It knows no processes beyond their identity, and
// not what runs.
//
//	registration.go  what Consul is told of a proxy of ours; pure
//	place.go         where a sidecar is, and what it is between; pure
//	parent.go        the service that a sidecar stands before
//	own.go           the member that we register
//	look.go          what has become of it
//	nomads.go        the member that Nomad's own Connect registers
//	none.go          a proxy that is no member
//
// Nobody polls here: the watch of the node says when it is time to look.
package mesh
