package sidecar

import (
	"context"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"nomad-driver-connect/bootstrap"
	"nomad-driver-connect/consul"
	"nomad-driver-connect/envoy"
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
	admin  envoy.Admin
	needs  envoy.Needs // what Envoy is to hear before it is ready
	host   Host
	emit   Emit
	log    hclog.Logger
	undo   undo

	registrar registrar

	// Set while it starts or is attached to; not changed after.
	attached bool   // by Attach, not by Start
	version  string // of the Envoy that it starts with
	agent    consul.AgentInfo
	parent   *ParentService // nil when standalone
	started  time.Time

	oomKills atomic.Uint64 // in the cgroup, that are told of or were before Envoy
	running  atomic.Pointer[generations]
	status   atomic.Pointer[Status]
	stop     chan stopRequest
	hup      chan struct{} // asks for a hot restart
	done     chan struct{}
}

// current is the generation that serves.
func (s *Sidecar) current() generation { return s.running.Load().current }

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
	Epoch        int // how often Envoy was hot restarted
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

// Host is what a sidecar has of the program that it lives in.
type Host struct {
	Agents *consul.Agents // shared by all sidecars
	Watch  *consul.Watch  // shared by all sidecars
	Emit   Emit
	Log    hclog.Logger

	// Renew gives the specification as it would be now: with the token that
	// lies in the task's file, and the node's Envoy.
	Renew func(Spec) (Spec, error)
}

func newSidecar(spec Spec, host Host) (*Sidecar, error) {
	client, err := consul.New(spec.Consul)
	if err != nil {
		return nil, err
	}
	s := &Sidecar{
		spec:   spec,
		consul: client,
		agents: host.Agents,
		watch:  host.Watch,
		admin:  envoy.NewAdmin(bootstrap.AdminAddress{Network: "unix", Address: adminSocket}, spec.Run.Dir, spec.Run.Network),
		needs:  envoy.Needs{Stream: true, Clusters: true, Listeners: true},
		host:   host,
		emit:   host.Emit,
		log:    host.Log,
		stop:   make(chan stopRequest),
		hup:    make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
	s.chooseRegistrar() // readGiven may know better
	return s, nil
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
	go s.supervise(context.WithoutCancel(ctx), nil)
	return s, nil
}

// Spec is the specification, complete with what was found when it was started.
func (s *Sidecar) Spec() Spec { return s.spec }

// State gives what Attach needs.
func (s *Sidecar) State() State {
	return State{Process: s.current().proc.ID, StartedAt: s.started, EnvoyVersion: s.version, Parent: s.parent, OOMKills: s.oomKills.Load()}
}

// Status gives the latest snapshot.
func (s *Sidecar) Status() Status { return *s.status.Load() }

// Done is closed when Envoy is gone and Status tells how it ended.
func (s *Sidecar) Done() <-chan struct{} { return s.done }

// User is whom Envoy runs as.
func (s *Sidecar) User() process.User { return s.spec.Run.User }

// Signal goes to Envoy; SIGHUP asks for a hot restart, whose result is told in
// an event.
func (s *Sidecar) Signal(sig syscall.Signal) error {
	if sig != syscall.SIGHUP {
		return s.current().proc.Signal(sig)
	}
	select {
	case <-s.done:
		return os.ErrProcessDone
	default:
	}
	select {
	case s.hup <- struct{}{}:
	default: // it is asked for already
	}
	return nil
}

func (s *Sidecar) publish(phase Phase, exit process.Exit) {
	s.status.Store(&Status{
		Phase:        phase,
		ProxyID:      s.proxyID(),
		Listener:     s.spec.Listener.HostPort(),
		EnvoyVersion: s.current().version,
		Epoch:        s.current().epoch,
		Process:      s.current().proc.ID,
		StartedAt:    s.started,
		Exit:         exit,
	})
}

func (s *Sidecar) proxyID() string { return s.spec.proxyID(s.parent) }
