package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"runtime"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// OnError is what is done with a job that cannot be rewritten.
type OnError string

// Refuse is the default.
const (
	Refuse OnError = "refuse"
	Pass   OnError = "pass"
)

// proxy hands requests on to Nomad.
type proxy struct {
	nomad   *upstream
	hooked  hooked
	onError OnError
	limit   int // of a body
	reverse *httputil.ReverseProxy
	turns   chan struct{} // as many jobs are rewritten at a time: large ones take memory
}

func newProxy(nomad *upstream, config Config) *proxy {
	p := &proxy{
		nomad: nomad, hooked: hooked{config.Hook, config.Ignore}, onError: config.OnError,
		limit: cmp.Or(config.limit, maxBody), turns: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	p.reverse = &httputil.ReverseProxy{
		Transport: nomad.transport,
		Rewrite:   p.direct,
		ModifyResponse: func(answer *http.Response) error {
			return addWarnings(answer, noteOf(answer.Request.Context()).warnings)
		},
		ErrorHandler: p.sayWhy,
		ErrorLog:     config.Log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	return p
}

// direct leaves everything of a request as it came, but where it goes. The Host
// stays, too: Nomad compares it with the Origin that a browser tells of a terminal.
func (p *proxy) direct(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme, r.Out.URL.Host = p.nomad.target.Scheme, p.nomad.target.Host
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if carriesJob(r) && r.Body != http.NoBody {
		switch err := p.rewrite(r); {
		case err != nil && r.Context().Err() != nil:
			p.sayWhy(w, r, err)
			return
		case err != nil:
			p.refuse(w, r, err)
			return
		}
	}
	p.reverse.ServeHTTP(w, r)
}

// rewrite puts the job as it is after the hook into the request. With Pass one that
// cannot be goes on as it is, and a warning says so.
func (p *proxy) rewrite(r *http.Request) error {
	note := noteOf(r.Context())
	b, err := readBody(r, p.limit)
	var v verdict
	if err == nil {
		v, err = p.inTurn(r, b.text)
	}
	var unread *unreadError
	switch {
	case errors.As(err, &unread) || r.Context().Err() != nil:
		return err
	case err != nil && p.onError == Pass:
		note.job, note.reason = "passed", err.Error()
		note.warnings = []string{"the job was passed to Nomad without the hook, as the operator wants (-on-error=pass): " + oneLine(err.Error())}
		b.asCame(r)
		return nil
	case err != nil:
		return err
	}
	note.job, note.warnings = "unchanged", v.warnings
	if v.changed {
		note.job = "rewritten"
	}
	setBody(r, v.body)
	r.Header.Del("Content-Encoding") // it is unpacked
	return nil
}

// inTurn waits until few enough jobs are rewritten. Who has left waits no more, and
// nobody does when the server ends.
func (p *proxy) inTurn(r *http.Request, text []byte) (verdict, error) {
	select {
	case p.turns <- struct{}{}:
	case <-r.Context().Done():
		return verdict{}, context.Cause(r.Context())
	}
	defer func() { <-p.turns }()
	return p.hooked.rewriteBody(text, r.URL.Query())
}

// oneLine is an error as one entry of a list or of a log.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

// refuse answers in Nomad's place, and in its way.
func (p *proxy) refuse(w http.ResponseWriter, r *http.Request, err error) {
	note := noteOf(r.Context())
	note.job, note.reason = "refused", err.Error()
	status := http.StatusBadRequest
	if errors.Is(err, errTooLarge) {
		status = http.StatusRequestEntityTooLarge
		w.Header().Set("Connection", "close") // the rest is not read
	}
	answer(w, status, refusal(err))
}

// refusal is an error of the hook, which has a line for every service.
func refusal(err error) string {
	lines := strings.Split(err.Error(), "\n")
	if len(lines) == 1 {
		return "nomad-driver-connect hook: " + lines[0]
	}
	return fmt.Sprintf("nomad-driver-connect hook: %d errors:\n\n* %s", len(lines), strings.Join(lines, "\n* "))
}

// sayWhy answers when Nomad does not.
func (p *proxy) sayWhy(w http.ResponseWriter, r *http.Request, err error) {
	note := noteOf(r.Context())
	note.reason = err.Error()
	switch {
	case errors.Is(context.Cause(r.Context()), errEnding):
		answer(w, http.StatusServiceUnavailable, "nomad-driver-connect hook: the server before Nomad ends, and the request has not in time; ask again when it is back")
		return
	case r.Context().Err() != nil:
		return // the client is gone, and reads nothing
	}
	answer(w, http.StatusBadGateway, fmt.Sprintf("nomad-driver-connect hook: Nomad at %s does not answer: %v; is its agent running, and is -nomad its address?", p.nomad.name, err))
}

func answer(w http.ResponseWriter, status int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, sentence)
}
