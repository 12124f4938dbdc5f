// Package process starts processes that outlive us, finds them again, watches
// them and tells how they ended. It knows neither Envoy nor Consul.
//
// A process is told from every other one by its Identity, and held by a pidfd:
// a bare pid, or that of a group, is acted on only while the process still
// stands for it. Watching one
// costs a goroutine and no thread.
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
// Reading order: process_linux.go, identity_linux.go, launch_linux.go, then
// cgroup_linux.go with its limits, join and usage, oom_linux.go, network_linux.go, and
// of sockets descriptors_linux.go, listeners_linux.go, take_sockets_linux.go,
// sockets_linux.go and siblings_linux.go; addresses_linux.go stands alone.
package process
