package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/process"
	"nomad-driver-connect/sidecar"
)

// Admin is a client of the admin API. It reaches whoever answers at its address:
// one generation after the other.
type Admin struct {
	at     bootstrap.AdminAddress
	client *http.Client
	dial   func(ctx context.Context) (net.Conn, error)
	kept   chan net.Conn // a connection for the next Ping
}

// NewAdmin makes a client of the admin API at an address, as Envoy sees it: a port in its
// network, or a socket in its working directory.
func NewAdmin(at bootstrap.AdminAddress, run sidecar.Run) *Admin {
	dial := func(ctx context.Context) (conn net.Conn, err error) {
		if at.Network == "unix" {
			return dialSocket(ctx, run, at.Address)
		}
		err = run.Network.Do(func() (err error) {
			var dialer net.Dialer
			conn, err = dialer.DialContext(ctx, at.Network, at.Address)
			return err
		})
		return conn, err
	}
	return &Admin{at: at, dial: dial, kept: make(chan net.Conn, 1), client: &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableKeepAlives: true, // the next generation may be there by then
	}}}
}

// Address is where the API is asked.
func (a *Admin) Address() bootstrap.AdminAddress { return a.at }

// dialSocket reaches a socket through a descriptor of the run directory, since the paths
// of sockets end at 108 bytes, and those of directories do not. What Envoy's user has
// linked there is reached with that user's rights.
func dialSocket(ctx context.Context, run sidecar.Run, name string) (conn net.Conn, err error) {
	d, err := run.OpenDir()
	if err != nil {
		return nil, err
	}
	defer func() { _ = d.Close() }()
	err = process.AsUser(run.User, func() (err error) {
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name))
		return err
	})
	return conn, err
}

// get gives the answer's body and status.
func (a *Admin) get(ctx context.Context, path string) ([]byte, int, error) {
	return a.ask(ctx, http.MethodGet, path)
}

// Post makes Envoy do what a path of its API stands for, such as
// "/healthcheck/fail". An answer other than 200 is an error with Envoy's words.
func (a *Admin) Post(ctx context.Context, path string) error {
	body, code, err := a.ask(ctx, http.MethodPost, path)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("Envoy answers %d: %s", code, strings.TrimSpace(string(body)))
	}
	return err
}

// maxAnswer is more than any answer of Envoy has.
const maxAnswer = 64 << 20

func (a *Admin) ask(ctx context.Context, method, path string) ([]byte, int, error) {
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

// readyStats are the stats that tell how far Envoy has come with its management server.
const readyStats = `^(server\.hot_restart_epoch|control_plane\.connected_state|` +
	`cluster_manager\.(warming_clusters|cds\.update_(success|rejected))|` +
	`listener_manager\.(total_listeners_warming|workers_started|lds\.update_(success|rejected)))$`

// Progress is how far Envoy has come on its way to ready.
type Progress struct {
	Answers          bool   // the admin API is there
	Epoch            int    // of the generation that answers
	State            string // LIVE, PRE_INITIALIZING, INITIALIZING, DRAINING
	Connected        bool   // has an xDS stream to its management server
	Clusters         int    // updates of clusters taken
	Listeners        int    // updates of listeners taken
	ClustersRefused  int    // updates of clusters
	ListenersRefused int    // updates of listeners
	Warming          int    // clusters and listeners that wait for something
	Workers          bool   // the workers have started, the listeners listen
}

// Progress asks Envoy. An admin API that does not answer yet is an answer; the error
// says that ctx ended before there was one.
func (a *Admin) Progress(ctx context.Context) (Progress, error) {
	body, _, err := a.get(ctx, "/ready")
	if err != nil {
		return Progress{}, ctx.Err()
	}
	p := Progress{Answers: true, State: strings.TrimSpace(string(body))}
	stats, err := a.stats(ctx, readyStats)
	if err != nil {
		return p, ctx.Err()
	}
	for name, value := range stats {
		switch name {
		case "server.hot_restart_epoch":
			p.Epoch = value
		case "control_plane.connected_state":
			p.Connected = value > 0
		case "cluster_manager.cds.update_success":
			p.Clusters = value
		case "cluster_manager.cds.update_rejected":
			p.ClustersRefused = value
		case "listener_manager.lds.update_success":
			p.Listeners = value
		case "listener_manager.lds.update_rejected":
			p.ListenersRefused = value
		case "cluster_manager.warming_clusters", "listener_manager.total_listeners_warming":
			p.Warming += value
		case "listener_manager.workers_started":
			p.Workers = value > 0
		}
	}
	return p, nil
}

// Version asks for Envoy's version: "1.36.4", what it says instead, or "unknown" when
// it says nothing.
func (a *Admin) Version(ctx context.Context) string {
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

// AdminClosed tells an Envoy that has closed its admin API, as one does when its
// successor begins, from one that does not answer.
func AdminClosed(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

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
