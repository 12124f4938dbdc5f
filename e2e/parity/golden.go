package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"

	jsonpatch "github.com/evanphx/json-patch/v5"
)

// Golden is what is kept of a case.
type Golden struct {
	// Replies are what the agent answered, by "METHOD path?query".
	Replies map[string]Reply `json:"replies"`

	// Changes are what the bootstrap has that the first case's has not, as a
	// JSON merge patch (RFC 7396); absent when there is no bootstrap.
	Changes json.RawMessage `json:"changes,omitempty"`
}

// Reply is an answer of the agent. Body is JSON, or Text is something else.
type Reply struct {
	Sent   json.RawMessage `json:"sent,omitempty"` // what it answers to
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body,omitempty"`
	Text   string          `json:"text,omitempty"`
}

// base is the file of the bootstrap that all others are compared with.
const base = "base.json"

// SaveBase keeps the bootstrap of the first case.
func SaveBase(dir string, bootstrap []byte) error {
	return write(filepath.Join(dir, base), json.RawMessage(bootstrap))
}

// Save keeps a case; bootstrap is empty when there is none.
func Save(dir string, c Case, replies map[string]Reply, bootstrap []byte) error {
	g := Golden{Replies: replies}
	if len(bootstrap) > 0 {
		from, err := os.ReadFile(filepath.Join(dir, base))
		if err != nil {
			return err
		}
		if g.Changes, err = jsonpatch.CreateMergePatch(from, bootstrap); err != nil {
			return err
		}
	}
	return write(filepath.Join(dir, c.Slug()+".json"), g)
}

// Load gives what was kept, and the bootstrap as a whole.
func Load(dir string, c Case) (g Golden, bootstrap []byte, err error) {
	content, err := os.ReadFile(filepath.Join(dir, c.Slug()+".json"))
	if err != nil {
		return g, nil, err
	}
	if err := json.Unmarshal(content, &g); err != nil || g.Changes == nil {
		return g, nil, err
	}
	from, err := os.ReadFile(filepath.Join(dir, base))
	if err != nil {
		return g, nil, err
	}
	bootstrap, err = jsonpatch.MergePatch(from, g.Changes)
	return g, bootstrap, err
}

func write(file string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(content, '\n'), 0o644)
}

// Recorder stands between the command and an agent and keeps what passes.
type Recorder struct {
	*httptest.Server
	mu      sync.Mutex
	replies map[string]Reply
}

// Record starts one before the agent at an address.
func Record(address string) *Recorder {
	r := &Recorder{replies: map[string]Reply{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(req *httputil.ProxyRequest) {
			req.SetURL(&url.URL{Scheme: "http", Host: address})
			req.Out.Header.Del("Accept-Encoding") // what is kept should be readable
		},
		ModifyResponse: r.keep,
	}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
		proxy.ServeHTTP(w, req.WithContext(context.WithValue(req.Context(), sentKey{}, body)))
	}))
	return r
}

// Replies are those since it was started.
func (r *Recorder) Replies() map[string]Reply {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.replies
}

type sentKey struct{}

// sentBody is what the command sent to the recorder.
func sentBody(r *http.Request) json.RawMessage {
	body, _ := r.Context().Value(sentKey{}).([]byte)
	return body
}

func (r *Recorder) keep(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	reply := Reply{Status: resp.StatusCode, Sent: sentBody(resp.Request)}
	var doc any
	if json.Unmarshal(body, &doc) == nil {
		reply.Body, err = json.Marshal(prune(resp.Request.URL.Path, doc))
	} else {
		reply.Text = string(body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replies[key(resp.Request)] = reply
	return err
}

func key(r *http.Request) string {
	text := r.Method + " " + r.URL.Path
	if query := r.URL.Query().Encode(); query != "" {
		text += "?" + query
	}
	return text
}

// prune leaves out what changes from run to run, and most of the 19 KB that an
// agent says of itself.
func prune(path string, doc any) any {
	switch v := doc.(type) {
	case map[string]any:
		for _, volatile := range []string{"CreateIndex", "ModifyIndex", "ContentHash", "Hash", "CreateTime", "PeerName", "TaggedAddresses"} {
			delete(v, volatile)
		}
		if path == "/v1/agent/self" {
			return map[string]any{
				"Config":      pick(v["Config"], "Version", "BindAddr"),
				"DebugConfig": pick(v["DebugConfig"], "ConnectEnabled", "GRPCPort"),
				"xDS":         pick(v["xDS"], "Ports"),
			}
		}
		for name, item := range v {
			v[name] = prune("", item)
		}
	case []any:
		for i, item := range v {
			v[i] = prune("", item)
		}
	}
	return doc
}

func pick(from any, names ...string) map[string]any {
	object, _ := from.(map[string]any)
	out := map[string]any{}
	for _, name := range names {
		if value, ok := object[name]; ok {
			out[name] = value
		}
	}
	return out
}

// Replay serves what was recorded, and nothing else.
func Replay(replies map[string]Reply) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply, ok := replies[key(r)]
		if !ok {
			http.Error(w, fmt.Sprintf("no reply is recorded to %s", key(r)), http.StatusNotImplemented)
			return
		}
		if sent, err := io.ReadAll(r.Body); err != nil || !SameJSON(sent, reply.Sent) {
			http.Error(w, fmt.Sprintf("to %s was sent %s, which is not %s (%v)", key(r), sent, reply.Sent, err), http.StatusNotImplemented)
			return
		}
		w.WriteHeader(reply.Status)
		_, _ = w.Write(append(reply.Body, reply.Text...))
	}))
}

// SameJSON tells whether two texts are the same JSON, or both empty.
func SameJSON(a, b []byte) bool {
	return reflect.DeepEqual(parsed(a), parsed(b))
}

func parsed(text []byte) any {
	var doc any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return string(text)
	}
	return doc
}
