package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
)

// get gives the answer's body and status. The body has no more than a number of bytes.
func (a *Admin) get(ctx context.Context, path string, most int64) ([]byte, int, error) {
	return a.ask(ctx, http.MethodGet, path, most)
}

// Post makes Envoy do what a path of its API stands for, such as
// "/healthcheck/fail". An answer other than 200 is an error with Envoy's words.
func (a *Admin) Post(ctx context.Context, path string) error {
	body, code, err := a.ask(ctx, http.MethodPost, path, maxWord)
	if err == nil && code != http.StatusOK {
		err = refused(body, code)
	}
	return err
}

// refused is Envoy's answer to what it does not do.
func refused(body []byte, code int) error {
	return fmt.Errorf("Envoy answers %d: %s", code, words(body))
}

// words are an answer as a sentence has it.
func words(body []byte) string { return truncate(strings.TrimSpace(string(body))) }

// Whoever answers may be no Envoy, or one that its job has taken over: what is read of
// an answer is bounded by what Envoy has to say there.
const (
	maxWord = 4 << 10  // "LIVE", "OK", or why not
	maxList = 1 << 20  // numbers, or listeners: a thousand have about half of it
	maxDump = 16 << 20 // all that Envoy was sent
)

// tooLongError is an answer of more bytes than Envoy has to say.
type tooLongError struct {
	path string
	most int64
}

func (e *tooLongError) Error() string {
	return fmt.Sprintf("the answer to %s has more than %d bytes, which is more than Envoy says there: look at what answers in its place", e.path, e.most)
}

func (a *Admin) ask(ctx context.Context, method, path string, most int64) ([]byte, int, error) {
	resp, err := a.request(ctx, method, path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if err == nil && int64(len(body)) > most {
		name, _, _ := strings.Cut(path, "?")
		body, err = body[:most], &tooLongError{name, most}
	}
	return body, resp.StatusCode, err
}

func (a *Admin) request(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, nil)
	if err != nil {
		return nil, err
	}
	return a.client.Do(req)
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
	body, _, err := a.get(ctx, "/ready", maxWord)
	var tooLong *tooLongError
	if err != nil && !errors.As(err, &tooLong) { // what is too long is shown from its beginning
		return Progress{}, ctx.Err()
	}
	p := Progress{Answers: true, State: words(body)}
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
	body, _, err := a.get(ctx, "/server_info", maxList) // it names all extensions
	var info struct {
		Version string `json:"version"`
	}
	if err != nil || json.Unmarshal(body, &info) != nil {
		return "unknown"
	}
	if parts := strings.SplitN(info.Version, "/", 3); len(parts) > 1 {
		return truncate(parts[1])
	}
	return truncate(info.Version)
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
