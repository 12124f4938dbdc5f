package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/nomad/api"

	"nomad-driver-connect/hook"
)

// Config says where the server stands.
type Config struct {
	Address  string // host:port, or a unix socket: unix:///path
	TLS      TLS
	Nomad    string // http://host:port, https://host:port, or a unix socket
	NomadTLS *api.TLSConfig
	Hook     hook.Options
	Ignore   []string // codes of warnings that nobody is to be told of
	OnError  OnError
	Drain    time.Duration // how long requests may take to end when the server does
	Log      hclog.Logger

	limit int // of a body with a job; maxBody when it is 0
}

// errEnding is why requests are cut off that have not ended in time.
var errEnding = errors.New("the server ends")

// Server stands before Nomad. It listens from New on.
type Server struct {
	config   Config
	nomad    *upstream
	listener net.Listener
	http     *http.Server
	cut      context.CancelCauseFunc // ends the requests that are under way
	requests sync.WaitGroup          // terminals, too, which http.Server does not wait for
}

// New reads the certificates and opens the listener.
func New(ctx context.Context, config Config) (*Server, error) {
	nomad, err := newUpstream(config.Nomad, config.NomadTLS)
	if err != nil {
		return nil, err
	}
	secured, err := config.TLS.config(config.Log)
	if err != nil {
		return nil, err
	}
	listener, err := listen(ctx, config.Address, secured)
	if err != nil {
		return nil, err
	}
	if nomad.isAt(listener.Addr()) {
		return nil, errors.Join(fmt.Errorf("-nomad: %s is where -serve listens, so no request would reach Nomad; give Nomad's own address, which NOMAD_ADDR may not be any more", config.Nomad), listener.Close())
	}
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	s := &Server{config: config, nomad: nomad, listener: listener, cut: cut}
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 30 * time.Second, // and none for what follows: streams last as long as they do
		IdleTimeout:       10 * time.Minute, // else a client that forgets its connections keeps them
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          config.Log.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}),
	}
	return s, nil
}

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

func (s *Server) handler() http.Handler {
	nomad := newProxy(s.nomad, s.config)
	self := health{nomad: s.nomad}
	return s.counted(accessLog(s.config.Log, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == HealthPath {
			self.ServeHTTP(w, r)
			return
		}
		nomad.ServeHTTP(w, r)
	})))
}

func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		defer s.requests.Done()
		next.ServeHTTP(w, r)
	})
}

// Run serves until ctx ends. Then nobody comes in any more, and what is under way has
// the time of Drain to end by itself.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	s.config.Log.Info("serving", "address", s.listener.Addr().String(), "nomad", s.config.Nomad, "on-error", string(s.config.OnError))
	select {
	case err := <-served:
		s.cut(errEnding)
		return fmt.Errorf("serve at %s: %w", s.listener.Addr(), err)
	case <-ctx.Done():
	}
	s.drain(context.WithoutCancel(ctx))
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *Server) drain(ctx context.Context) {
	s.config.Log.Info("ending: requests that are under way may end", "within", s.config.Drain)
	ctx, cancel := context.WithTimeout(ctx, s.config.Drain)
	defer cancel()
	err := s.http.Shutdown(ctx)
	ended := make(chan struct{})
	go func() {
		s.requests.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.cut(errEnding)
	if err != nil {
		s.config.Log.Info("ending: requests have not ended in time, and are cut off")
		_ = s.http.Close()
	}
	<-ended
	s.nomad.transport.CloseIdleConnections()
}
