// Package sidecar runs one Consul service mesh proxy: its registration in
// Consul, its Envoy process, and what connects the two. It knows nothing of
// Nomad.
//
//	            Start                              Attach
//	              │                                  │
//	probe ─ find parent ─ claim ports ─ mkdir        │
//	  ─ register ─ render ─ launch ─ await ready     │
//	              │                                  │
//	              ▼                                  ▼
//	          warming ── local service answers ──▶ serving
//	              │                                  │
//	              ├────────── Envoy exits ───────────┤──▶ exited
//	              └── Stop: withdraw ─ terminate ────┘
//
// One goroutine per sidecar (supervise.go) owns all that changes after Start
// or Attach. It publishes an immutable Status, and Done is closed once when
// Envoy is gone. Every step that leaves something behind pushes its opposite
// onto the undo stack (undo.go); a failed Start and Destroy run the same stack.
//
// Reading order: spec.go, sidecar.go, then the stage of interest:
// registration.go (pure) and consul.go (its edge), envoy_args.go (pure) and
// process_linux.go (its edge), ready.go (pure) and envoy_admin.go (its edge).
package sidecar
