// Package sidecar is the life of a proxy beside a task group: from its registration
// to its end, through hot restarts, crashes and restarts of the plugin. It knows
// two roles (roles.go) and not who plays them: the Member is the proxy as the mesh
// knows it, the Program is what runs. It knows neither Consul nor Envoy nor Nomad.
//
//	              Start                              Attach
//	                │                                  │
//	preflight ─ join ─ end orphans                     find
//	  ─ claim ports ─ mkdir ─ prepare              generations
//	  ─ launch ─ tell                                  │
//	                │                                  │
//	                ▼                                  ▼
//	     warming ── ready, the app accepts ──▶ serving
//	                │                              │
//	                ├─ withdrawn ─▶ draining ─ told again ─▶ back
//	                ├─ hot restart: attempt ─ replace ─ confirm ─ promote ─▶ back
//	                ├─ crash: mend ─ start again ─ warm ─▶ back
//	                ├─ another one soon after ─────┤──▶ exited
//	                └─ Stop: leave ─ drain ─ end ──┘
//
// One goroutine per sidecar (supervise.go) owns all that changes after Start or
// Attach, and it alone calls the Member. It publishes an immutable Status; Done is
// closed once when the program is gone. What reads files of a job runs beside it, and
// nobody waits for that. Every step that leaves something behind pushes its opposite
// onto the undo stack (undo.go); a failed Start and Destroy run the same stack.
//
// What tells the generations of a proxy from each other, and what they were started
// with, is asked of the kernel: nothing is kept that could be wrong after a restart
// of the plugin.
//
// To begin with, read roles.go, start.go, supervise.go and stop.go. The rest is one
// file for one concern: peers.go (what the mesh hears of the proxy), address.go and
// app.go (what keeps peers away), warm.go and ready.go, liveness.go, crash.go and
// sockets.go, restart.go, later.go, replace.go and generation.go, attach.go, drain.go,
// leftovers.go, files.go, launch.go, ports.go (that the mesh knows it by), static_listeners.go
// and shared_port.go (that it has besides), run_dir.go, socket_dir.go, log_pipe.go and
// below.go, usage.go, timing.go, trouble.go.
package sidecar
