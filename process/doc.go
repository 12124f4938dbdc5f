// Package process starts processes that outlive us, finds them again, watches
// them and tells how they ended. It knows neither Envoy nor Consul.
//
// A process is told from every other one by its Identity, and held by a pidfd:
// a bare pid, or that of a group, is acted on only while the process still
// stands for it. Watching one
// costs a goroutine and no thread.
//
// Reading order: process_linux.go, identity_linux.go, launch_linux.go.
package process
