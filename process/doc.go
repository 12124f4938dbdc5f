// Package process starts processes that outlive us, finds them again, watches
// them and tells how they ended. It knows neither Envoy nor Consul.
//
// A process is told from every other one by its Identity, and held by a pidfd:
// a bare pid, or that of a group, is acted on only while the process still
// stands for it. Watching one costs a goroutine and no thread.
//
// It runs in a Cgroup that somebody else has made, and is born there. Limits,
// usage and the kernel's kills for want of memory are those of the whole group,
// whatever runs in it: several generations of a program, or what they start.
//
// Its Listeners can be taken by us while it runs, so that who connects after a crash
// waits for the next process, and is not refused.
//
// It may run in a Network that somebody else has made, where it can be talked to.
//
// What starts has no privileges and no way to any. Beyond that a Confinement takes from
// it what it does not need: files by Landlock, system calls by seccomp. Between fork and
// exec a child makes system calls only, which were listed before there was one (birth), and
// we wait for it no longer than we like: who holds its file holds up nobody else.
//
// A Command does one thing and ends, and all that it has started ends with it: it runs in
// a cgroup of its own within that of its task. Run bounds its time and what is kept of its
// output; Stream has somebody at the other end.
//
// Reading order: process_linux.go, identity_linux.go, launch_linux.go, birth_linux.go,
// fork_linux.go, then confine_linux.go with its grants, Landlock and seccomp, then
// command_linux.go, stream_linux.go, run_linux.go and cell_linux.go, then cgroup_linux.go
// with its join, limits and usage, oom_linux.go, network_linux.go, and of sockets descriptors_linux.go,
// listeners_linux.go, take_sockets_linux.go, sockets_linux.go and siblings_linux.go; addresses_linux.go stands alone.
package process
