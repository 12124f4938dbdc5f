package serve

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"nomad-driver-connect/e2e/stanza"
	"nomad-driver-connect/hook"
)

// seen is a request as Nomad has got it.
type seen struct {
	*http.Request
	body string
}

// nomad is a Nomad that notes what it gets, and answers as it is told to.
type nomad struct {
	*httptest.Server
	mu       sync.Mutex
	requests []seen
}

func newNomad(t *testing.T, respond http.HandlerFunc) *nomad {
	n := &nomad{}
	n.Server = httptest.NewServer(n.noting(respond))
	t.Cleanup(n.Close)
	return n
}

func (n *nomad) noting(respond http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n.mu.Lock()
		n.requests = append(n.requests, seen{r, string(body)})
		n.mu.Unlock()
		respond(w, r)
	})
}

// got are the requests since it was asked last.
func (n *nomad) got() []seen {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer func() { n.requests = nil }()
	return n.requests
}

// one is the only request since then.
func (n *nomad) one(t *testing.T) seen {
	t.Helper()
	got := n.got()
	must.Len(t, 1, got)
	return got[0]
}

func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// log is what a server has logged.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// served is a server that runs.
type served struct {
	*Server
	url string
	log *log
	end func() error // and wait until it has ended
}

func start(t *testing.T, config Config) *served {
	t.Helper()
	s := &served{log: &log{}}
	if config.Address == "" {
		config.Address = "127.0.0.1:0"
	}
	if config.OnError == "" {
		config.OnError = Refuse
	}
	config.Log = hclog.New(&hclog.LoggerOptions{Output: s.log})
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	s.Server, err = New(ctx, config)
	must.NoError(t, err)
	s.url = "http://" + s.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	s.end = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { must.NoError(t, s.end()) })
	return s
}

// before stands a server with the defaults before a Nomad.
func before(t *testing.T, n *nomad) *served { return start(t, Config{Nomad: n.URL}) }

// client says nothing of its own and keeps what it gets as it is.
func client(t *testing.T) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	must.NoError(t, err)
	return r
}

// head is an answer without its body.
type head struct {
	StatusCode    int
	Header        http.Header
	ContentLength int64
}

// send gives the answer with its body.
func send(t *testing.T, r *http.Request) (head, string) {
	t.Helper()
	return sendBy(t, client(t), r)
}

func sendBy(t *testing.T, c *http.Client, r *http.Request) (head, string) {
	t.Helper()
	response, err := c.Do(r)
	must.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	must.NoError(t, err)
	must.NoError(t, response.Body.Close())
	return head{response.StatusCode, response.Header, response.ContentLength}, string(body)
}

func put(t *testing.T, url, body string) (head, string) {
	t.Helper()
	return send(t, request(t, http.MethodPut, url, strings.NewReader(body)))
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("it does not come about")
		}
	}
}

// jobOf is a job file's JSON.
func jobOf(t *testing.T, group string) string {
	t.Helper()
	job, err := hook.Parse(hook.Source{Path: "test", Body: []byte(stanza.Job(group))})
	must.NoError(t, err)
	text, err := json.Marshal(job)
	must.NoError(t, err)
	return string(text)
}

// meshed is a job with a sidecar, of which the hook has something to say.
func meshed(t *testing.T) string {
	return jobOf(t, "shutdown_delay = \"5s\"\n"+stanza.Network+stanza.Web(stanza.SidecarTask("driver = \"docker\"\nconfig {\n image = \"envoy\"\n}")))
}

// plain is a job that has nothing to do with the mesh.
func plain(t *testing.T) string { return jobOf(t, "network {\n mode = \"host\"\n}\n") }

// refused is a job that cannot be on the host network.
func refused(t *testing.T) string {
	return jobOf(t, stanza.Network+stanza.Web(stanza.Proxy("transparent_proxy {}")))
}

// refusedTwice is one with two errors.
func refusedTwice(t *testing.T) string {
	t.Helper()
	return strings.NewReplacer(`"Name":"web"`, `"Name":"Web"`).Replace(jobOf(t, stanza.Network+stanza.Web(stanza.Sidecar(""))+
		"service {\n name = \"Up\"\n connect {\n sidecar_service {}\n }\n}"))
}

func inside(job string) string { return `{"Job":` + job + `}` }

// jobIn is the job that a request has.
func jobIn(t *testing.T, body string) *api.Job {
	t.Helper()
	var around struct{ Job *api.Job }
	must.NoError(t, json.Unmarshal([]byte(body), &around))
	must.NotNil(t, around.Job)
	return around.Job
}

// isRewritten tells that a request has the job after the hook.
func isRewritten(t *testing.T, body string) {
	t.Helper()
	group := jobIn(t, body).TaskGroups[0]
	must.Nil(t, group.Services[0].Connect)
	must.Eq(t, "connect-proxy-web", group.Tasks[1].Name)
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := io.WriteString(w, text)
	must.NoError(t, err)
	must.NoError(t, w.Close())
	return out.String()
}

func unzipped(t *testing.T, text string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(text))
	must.NoError(t, err)
	out, err := io.ReadAll(r)
	must.NoError(t, err)
	return string(out)
}
