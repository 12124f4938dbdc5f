package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"nomad-driver-connect/bootstrap"
)

// adminSocket is the name of the admin API's socket in the run directory.
const adminSocket = "admin.sock"

// admin talks to Envoy's admin API.
type admin struct {
	at     bootstrap.AdminAddress
	client *http.Client
}

// newAdmin reaches the admin API of Envoys in a place.
func newAdmin(run Run, at bootstrap.AdminAddress) admin {
	dial := func(ctx context.Context, _, _ string) (conn net.Conn, err error) {
		if at.Network == "unix" && !filepath.IsAbs(at.Address) {
			return dialBelow(ctx, run.Dir, at.Address)
		}
		err = run.Network.Do(func() (err error) {
			var dialer net.Dialer
			conn, err = dialer.DialContext(ctx, at.Network, at.Address)
			return err
		})
		return conn, err
	}
	return admin{at: at, client: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// dialBelow reaches a socket through a descriptor of a directory, since the paths
// of sockets end at 108 bytes and Nomad's directories are longer.
func dialBelow(ctx context.Context, dir, path string) (net.Conn, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	var dialer net.Dialer
	return dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), path))
}

// get gives the answer's body and status.
func (a admin) get(ctx context.Context, path string) ([]byte, int, error) {
	return a.ask(ctx, http.MethodGet, path)
}

// post makes Envoy do something.
func (a admin) post(ctx context.Context, path string) error {
	body, code, err := a.ask(ctx, http.MethodPost, path)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("Envoy answers %d: %s", code, strings.TrimSpace(string(body)))
	}
	return err
}

// maxAnswer is more than any answer of Envoy has.
const maxAnswer = 64 << 20

func (a admin) ask(ctx context.Context, method, path string) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, nil)
	if err != nil {
		return nil, 0, err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return body, resp.StatusCode, err
}

// readyStats are the stats that tell how far Envoy has come with Consul.
const readyStats = `^(server\.hot_restart_epoch|control_plane\.connected_state|cluster_manager\.(warming_clusters|cds\.update_(success|rejected))|listener_manager\.(total_listeners_warming|workers_started|lds\.update_(success|rejected)))$`

// progress is how far Envoy has come on its way to ready.
type progress struct {
	answers          bool   // the admin API is there
	epoch            int    // of the generation that answers
	state            string // LIVE, PRE_INITIALIZING, INITIALIZING, DRAINING
	connected        bool   // has an xDS stream to Consul
	clusters         int    // updates of clusters taken
	listeners        int    // updates of listeners taken
	clustersRefused  int
	listenersRefused int
	warming          int    // clusters and listeners that wait for something
	workers          bool   // the workers have started, the listeners listen
	refusal          string // Envoy's words on what it refused, if any
}

// progress asks Envoy. An admin API that does not answer yet is an answer.
func (a admin) progress(ctx context.Context) progress {
	body, _, err := a.get(ctx, "/ready")
	if err != nil {
		return progress{}
	}
	p := progress{answers: true, state: strings.TrimSpace(string(body))}
	stats, code, err := a.get(ctx, "/stats?filter="+url.QueryEscape(readyStats))
	if err != nil || code != http.StatusOK {
		return p
	}
	for name, value := range parseStats(stats) {
		switch name {
		case "server.hot_restart_epoch":
			p.epoch = value
		case "control_plane.connected_state":
			p.connected = value > 0
		case "cluster_manager.cds.update_success":
			p.clusters = value
		case "cluster_manager.cds.update_rejected":
			p.clustersRefused = value
		case "listener_manager.lds.update_success":
			p.listeners = value
		case "listener_manager.lds.update_rejected":
			p.listenersRefused = value
		case "cluster_manager.warming_clusters", "listener_manager.total_listeners_warming":
			p.warming += value
		case "listener_manager.workers_started":
			p.workers = value > 0
		}
	}
	return p
}

// version asks for Envoy's version: "1.36.4", or what it says instead.
func (a admin) version(ctx context.Context) string {
	body, _, err := a.get(ctx, "/server_info")
	var info struct {
		Version string `json:"version"`
	}
	if err != nil || json.Unmarshal(body, &info) != nil {
		return "unknown"
	}
	if parts := strings.Split(info.Version, "/"); len(parts) > 1 {
		return parts[1]
	}
	return info.Version
}

// closed tells an Envoy that has closed its admin API, as one does when its
// successor begins, from one that does not answer.
func closed(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// parseStats reads lines of "name: number".
func parseStats(body []byte) map[string]int {
	stats := make(map[string]int)
	for line := range strings.Lines(string(body)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if n, err := strconv.Atoi(value); ok && err == nil {
			stats[name] = n
		}
	}
	return stats
}
