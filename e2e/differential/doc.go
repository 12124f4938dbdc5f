// Package differential has jobs that are submitted to Nomad both ways: to its own
// Connect in bridge mode, and through the hook on the host network. What Nomad's
// server makes of the one is the measure of the other. Every difference is in a
// table, with its reason.
//
//	Jobs ─ native, hook ─▶ api.Job, as the server has it ─ View ─▶ names and values ─ Table
package differential
