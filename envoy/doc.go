// Package envoy is Envoy as a program: its file, its command line, its admin API, what
// it says of its way to ready, and how its generations find each other at a hot
// restart. It starts no Envoy and watches none; that is its callers' part.
//
//	               ┌ Binary ─ Version, Validate
//	Options ─ Args ┤
//	               └ a generation ◀─ Admin ─▶ Progress ─ Missing, TookOver
//	                     │
//	                     ├─ SharedMemory (all generations)
//	                     └─ sockets ─ StandIn (one that has left)
//
// It knows nothing of Consul, of Nomad, of services or how they are registered. Whom
// Envoy hears its configuration from is a ManagementServer, and what it sends is not
// judged. An Envoy and its generations are known by their working directory, which
// no others share. Only what is said to a user who named a wrong file or argument
// speaks of the driver, and calls its settings as the user writes them.
//
// Where Envoy promises nothing of what is used here (shared memory, the messages
// between generations) the file of its source is named, and what is not as expected
// is an error.
//
// Reading order, each file for itself:
//
//	args.go          the command line, and what users may add to it
//	binary.go        is the file an Envoy, and what does it make of a bootstrap
//	admin.go         how the admin API is reached; how far Envoy has come
//	dump.go          what Envoy says of clusters and listeners
//	ready.go         what readiness means; pure
//	shared_memory.go what lets a generation in
//	stand_in.go      what generations say to each other
package envoy
