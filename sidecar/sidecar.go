package sidecar

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"nomad-driver-connect/consul"
	"nomad-driver-connect/process"
)

// Emit tells the user of the sidecar what happened, in a sentence.
type Emit func(sentence string)

// Sidecar is one proxy, from its registration to its end.
type Sidecar struct {
	spec   Spec
	consul *consul.Client
	agents *consul.Agents
	watch  *consul.Watch
	admin  admin
	emit   Emit
	log    hclog.Logger
	undo   undo

	// Set while it starts or is attached to; not changed after.
	attached bool // by Attach, not by Start
	version  string
	agent    consul.AgentInfo
	parent   *ParentService // nil when standalone
	proc     *process.Process
	started  time.Time
	oomKills uint64 // in the cgroup, before Envoy was started

	// The app's address; supervise's alone.
	local struct{ network, address string }

	status atomic.Pointer[Status]
	stop   chan stopRequest
	done   chan struct{}
}

// Phase is where a sidecar is on its way.
type Phase string

// The phases, in their order.
const (
	Warming  Phase = "warming"  // Envoy is ready, the local service has not answered yet
	Serving  Phase = "serving"  // peers are routed to it
	Draining Phase = "draining" // withdrawn; connections from peers come to their end
	Exited   Phase = "exited"
)

// Status is a snapshot of a sidecar.
type Status struct {
	Phase        Phase
	ProxyID      string
	Listener     string
	EnvoyVersion string
	Process      process.Identity
	StartedAt    time.Time
	Exit         process.Exit // meaningful when Phase is Exited
}

// State is what must be remembered to find a sidecar again. It holds no secret.
type State struct {
	Process      process.Identity
	StartedAt    time.Time
	EnvoyVersion string
	Parent       *ParentService // nil when standalone

	// OOMKills is how many processes the kernel had killed in the cgroup, for
	// want of memory, before this one was started.
	OOMKills uint64
}

type stopRequest struct {
	signal   syscall.Signal
	deadline time.Time
}

// Host is what a sidecar has of the program that it lives in.
type Host struct {
	Agents *consul.Agents // shared by all sidecars
	Watch  *consul.Watch  // shared by all sidecars
	Emit   Emit
	Log    hclog.Logger
}

func newSidecar(spec Spec, host Host) (*Sidecar, error) {
	client, err := consul.New(spec.Consul)
	if err != nil {
		return nil, err
	}
	return &Sidecar{
		spec:   spec,
		consul: client,
		agents: host.Agents,
		watch:  host.Watch,
		admin:  newAdmin(spec.Run.Dir),
		emit:   host.Emit,
		log:    host.Log,
		stop:   make(chan stopRequest),
		done:   make(chan struct{}),
	}, nil
}

// Start registers the proxy, starts Envoy and returns when it is ready for the
// app. When it fails, nothing is left behind; an *InvalidError is the user's
// mistake, every other error may pass.
func Start(ctx context.Context, spec Spec, host Host) (*Sidecar, error) {
	s, err := newSidecar(spec, host)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		if undoErr := s.undo.run(context.WithoutCancel(ctx)); undoErr != nil {
			s.log.Error("something is left behind of a sidecar that did not start", "proxy", s.proxyID(), "error", undoErr)
		}
		s.consul.Close()
		return nil, err
	}
	s.publish(Warming, process.Exit{})
	go s.supervise(context.WithoutCancel(ctx))
	return s, nil
}

// ErrForgotten is Attach's answer when neither Envoy nor its directory is
// there any more: the sidecar was destroyed before, or the machine restarted.
var ErrForgotten = errors.New("neither Envoy nor its run directory is there any more")

// Attach finds a sidecar again that an earlier life of this program started.
// One whose Envoy has gone in the meantime is Exited at once.
func Attach(ctx context.Context, spec Spec, state State, host Host) (*Sidecar, error) {
	s, err := newSidecar(spec, host)
	if err != nil {
		return nil, err
	}
	s.attached, s.version, s.started = true, state.EnvoyVersion, state.StartedAt
	s.parent, s.oomKills = state.Parent, state.OOMKills
	s.undo.push(s.removeRunDir)
	s.undo.push(s.withdraw)
	if s.proc, err = process.Attach(state.Process); err != nil {
		s.consul.Close()
		return nil, err
	}
	if s.proc == nil {
		if _, err := os.Stat(spec.Run.Dir); errors.Is(err, fs.ErrNotExist) {
			s.consul.Close()
			return nil, ErrForgotten
		}
		s.proc = process.Gone(state.Process)
	} else {
		s.undo.push(s.kill)
	}
	s.publish(Warming, process.Exit{})
	go s.supervise(context.WithoutCancel(ctx))
	return s, nil
}

// State gives what Attach needs.
func (s *Sidecar) State() State {
	return State{Process: s.proc.ID, StartedAt: s.started, EnvoyVersion: s.version, Parent: s.parent, OOMKills: s.oomKills}
}

// Status gives the latest snapshot.
func (s *Sidecar) Status() Status { return *s.status.Load() }

// Done is closed when Envoy is gone and Status tells how it ended.
func (s *Sidecar) Done() <-chan struct{} { return s.done }

// User is whom Envoy runs as.
func (s *Sidecar) User() process.User { return s.spec.Run.User }

// Signal goes to Envoy.
func (s *Sidecar) Signal(sig syscall.Signal) error { return s.proc.Signal(sig) }

// Stop withdraws the registration, lets the connections from peers come to
// their end, then ends Envoy with the signal, and with SIGKILL of all its
// processes when the timeout has passed. It returns when Envoy is gone.
func (s *Sidecar) Stop(sig syscall.Signal, timeout time.Duration) {
	req := stopRequest{signal: sig, deadline: time.Now().Add(timeout)}
	select {
	case s.stop <- req:
	case <-s.done:
	}
	<-s.done
}

// Destroy leaves nothing behind, whatever state the sidecar is in.
func (s *Sidecar) Destroy(ctx context.Context) error {
	s.Stop(syscall.SIGKILL, consul.RequestTimeout)
	err := s.undo.run(ctx)
	s.consul.Close()
	return err
}

func (s *Sidecar) publish(phase Phase, exit process.Exit) {
	s.status.Store(&Status{
		Phase:        phase,
		ProxyID:      s.proxyID(),
		Listener:     s.spec.Listener.HostPort(),
		EnvoyVersion: s.version,
		Process:      s.proc.ID,
		StartedAt:    s.started,
		Exit:         exit,
	})
}

func (s *Sidecar) proxyID() string { return s.spec.proxyID(s.parent) }
