// Package sidecar runs one Consul service mesh proxy: its registration in
// Consul, its Envoy, and what connects the two. It knows nothing of Nomad.
// Processes as such are package process's, Consul's agent is package consul's.
//
//	            Start                              Attach
//	              │                                  │
//	survey ─ find parent ─ end orphans ─ claim ports │
//	  ─ mkdir ─ register ─ render ─ launch ─ ready   │
//	              │                                  │
//	              ▼                                  ▼
//	          warming ── local service answers ──▶ serving
//	              │                                  │
//	              ├─ lost by Consul ─▶ draining ─ registered again ─▶ back
//	              ├────────── Envoy exits ───────────┤──▶ exited
//	              └─ Stop: withdraw ─ drain ─ end ───┘
//
// One goroutine per sidecar (supervise.go) owns all that changes after Start
// or Attach. It publishes an immutable Status, and Done is closed once when
// Envoy is gone. Every step that leaves something behind pushes its opposite
// onto the undo stack (undo.go); a failed Start and Destroy run the same stack.
//
// Reading order: spec.go, sidecar.go, start.go, supervise.go, then the stage of
// interest, each with what is pure in it apart from its edge:
//
//	registration.go   render.go
//	envoy_args.go     envoy_binary.go, run_dir.go, launch.go, orphans.go
//	ready.go          envoy_admin.go, await_ready.go, drain.go, restore.go, pulse.go
//	                  resources.go
package sidecar
