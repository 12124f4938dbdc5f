// Package sidecar runs one Consul service mesh proxy: its registration in
// Consul, its Envoy, and what connects the two. It knows of Nomad only what
// Consul shows. Processes as such are package process's, Envoy as a program is
// package envoy's, Consul's agent is package consul's.
//
//	            Start                              Attach
//	              │                                  │
//	survey ─ find parent ─ end orphans ─ claim ports ─ find
//	  ─ mkdir ─ memory ─ register ─ render        generations
//	  ─ launch ─ ready                               │
//	              │                                  │
//	              ▼                                  ▼
//	          warming ── local service answers ──▶ serving
//	              │                                  │
//	              ├─ lost by Consul ─▶ draining ─ registered again ─▶ back
//	              ├─ hot restart: render ─ validate ─ launch ─ ready ─▶ back
//	              ├────────── Envoy exits ───────────┤──▶ exited
//	              └─ Stop: withdraw ─ drain ─ end ───┘
//
// One goroutine per sidecar (supervise.go) owns all that changes after Start
// or Attach. It publishes an immutable Status, and Done is closed once when
// Envoy is gone. Every step that leaves something behind pushes its opposite
// onto the undo stack (undo.go); a failed Start and Destroy run the same stack.
//
// A hot restart puts another generation in the place of the current one, which
// then leaves (generation.go). What tells the generations of a sidecar from
// each other, and what they were started with, is asked of the kernel: nothing
// is kept that could be wrong after a restart of the plugin.
//
// A proxy may have its bootstrap from somebody else (given.go), as the sidecars and
// gateways of Nomad's own Connect do. It then reads, and finds what is registered,
// where others register and render; all else is the same. Who has the sidecar in
// Consul is its registrar (registrar.go, nomad_registrar.go).
//
// Reading order: spec.go, sidecar.go, start.go, supervise.go, then the stage of
// interest, each with what is pure in it apart from its edge:
//
//	registration.go   registrar.go, nomad_registrar.go
//	                  render.go, given.go, ports.go
//	                  run_dir.go, launch.go, orphans.go, await_ready.go
//	generation.go     attach.go, renew.go, hot_restart.go
//	                  gate.go, restore.go, pulse.go, resources.go
//	                  stop.go, drain.go
package sidecar
