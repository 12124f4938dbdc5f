package fake

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
)

// stat is one line of Envoy's statistics.
type stat struct {
	name  string
	value int64
}

// admin is the admin API.
func (g *generation) admin() http.Handler {
	mux := http.NewServeMux()
	done := func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "OK") }
	mux.HandleFunc("POST /healthcheck/fail", func(w http.ResponseWriter, r *http.Request) {
		if g.listener != nil {
			g.listener.tell()
		}
		done(w, r)
	})
	mux.HandleFunc("POST /healthcheck/ok", done)
	mux.HandleFunc("POST /drain_listeners", done)
	mux.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, g.state()) })
	mux.HandleFunc("/server_info", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"version":%q}`, longVersion)
	})
	mux.HandleFunc("/stats", g.tellStats)
	mux.HandleFunc("/listeners", g.tellListeners)
	mux.HandleFunc("/config_dump", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"configs":[{"dynamic_listeners":[{"name":"db","error_state":{"details":"cannot bind '127.0.0.1:9191'"}}]}]}`)
	})
	if g.behaviour == Hung {
		return hangable(mux)
	}
	return mux
}

// tellListeners answers with the public listener, as Envoy does with all.
func (g *generation) tellListeners(w http.ResponseWriter, _ *http.Request) {
	if g.listener == nil {
		_, _ = fmt.Fprint(w, `{}`)
		return
	}
	host, port, _ := net.SplitHostPort(g.listener.Addr().String())
	_, _ = fmt.Fprintf(w, `{"listener_statuses":[{"name":"public_listener","local_address":{"socket_address":{"address":%q,"port_value":%s}}}]}`, host, port)
}

// hangable stops to answer when there is a HangFile.
func hangable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if exists(HangFile) {
			<-r.Context().Done() // who asked has given up
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
}

// hasBegun tells whether the generation gets as far as to serve.
func (g *generation) hasBegun() bool {
	return g.behaviour != Alone && g.behaviour != LateMortal && g.behaviour != Usurper
}

func (g *generation) state() string {
	if g.hasBegun() {
		return "LIVE"
	}
	return "PRE_INITIALIZING"
}

// tellStats answers with the statistics whose name has a match of the filter, as
// Envoy does.
func (g *generation) tellStats(w http.ResponseWriter, r *http.Request) {
	filter, err := regexp.Compile(r.URL.Query().Get("filter"))
	if err != nil {
		http.Error(w, "Invalid regex: "+err.Error(), http.StatusBadRequest)
		return
	}
	for _, s := range g.stats() {
		if filter.MatchString(s.name) {
			_, _ = fmt.Fprintf(w, "%s: %d\n", s.name, s.value)
		}
	}
}

func (g *generation) stats() []stat {
	begun := oneIf(g.hasBegun())
	stats := []stat{
		{"server.hot_restart_epoch", int64(g.epoch)},
		{"control_plane.connected_state", begun},
		{"cluster_manager.cds.update_success", begun},
		{"listener_manager.lds.update_success", oneIf(g.hasBegun() && g.behaviour != Picky)},
		{"listener_manager.lds.update_rejected", oneIf(g.behaviour == Picky)},
		{"listener_manager.workers_started", begun},
	}
	if g.listener != nil {
		stats = append(stats, stat{g.listener.statName() + ".downstream_cx_active", g.listener.open.Load()})
	}
	return stats
}

func oneIf(condition bool) int64 {
	if condition {
		return 1
	}
	return 0
}
