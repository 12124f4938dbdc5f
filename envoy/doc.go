// Package envoy is Envoy as a program: what it is started with, its file, its command
// line, its admin API, what it says of its way to ready, and how its generations find
// each other at a hot restart. It plays the role Program of package sidecar, which
// starts and watches the processes.
//
//	Rendered ┐            ┌ Binary ─ Version, Validate
//	External ┴─ Launch ───┤
//	                      └ a generation ◀─ Admin ─▶ Progress ─ Missing, TookOver
//	                            │                └─▶ Control
//	                            ├─ shared memory (all generations)
//	                            └─ sockets ─ StandIn (one that has left, is to be
//	                                         left alone, or has crashed)
//
// It knows nothing of Consul, of Nomad, of services or how they are registered: what
// a bootstrap is rendered from comes through functions (Source). Whom Envoy hears its
// configuration from is a ManagementServer, and what that sends is not judged. An
// Envoy and its generations are known by their working directory, which no others
// share. Only what is said to a user who named a wrong file or argument speaks of the
// driver, and calls its settings as the user writes them.
//
// Where Envoy promises nothing of what is used here (shared memory, the messages
// between generations) the file of its source is named, and what is not as expected
// is an error.
//
// Reading order, each file for itself:
//
//	program.go       what all Envoys have in common
//	rendered.go      the one whose bootstrap we render
//	external.go      the one whose bootstrap somebody else wrote
//	running.go       what an Envoy runs with, as the kernel tells it
//	outdated.go      whether that is what it should run with
//	control.go       how a generation that answers is spoken with
//	args.go          the command line, and what users may add to it
//	confinement.go   what Envoy may do of what its user may; named_files.go: its files
//	binary.go        is the file an Envoy, and what does it make of a bootstrap
//	dial.go          how the admin API is reached, and whom it is answered by
//	admin.go         what it is asked; how far Envoy has come
//	ping.go          whether it is alive, at little cost
//	dump.go          what Envoy says of what was sent to it; stream.go: as it comes
//	log.go           what it says in its log alone
//	listeners.go     where it takes traffic
//	static_listeners.go  where its bootstrap has it listen, and what asks for that
//	ready.go         what readiness means; pure
//	secret_file.go   the bootstrap in memory
//	shared_memory.go what lets a generation in
//	claim.go         which of it nobody else has
//	stand_in.go      who answers for a generation that does not
//	parent.go        whether anybody answers at all
//	messages.go      what generations say to each other
package envoy
