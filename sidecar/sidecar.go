package sidecar

import (
	"context"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"nomad-driver-connect/process"
)

// Emit tells the user of the sidecar what happened, in a sentence.
type Emit func(sentence string)

// Host is what a sidecar has of the program that it lives in.
type Host struct {
	Emit   Emit
	Log    hclog.Logger
	Timing Timing

	// StartBy is when all of the start is to be over, of which the sidecar's is a part;
	// zero where nobody minds.
	StartBy time.Time

	// Changed looks at what lies on the node and belongs to the sidecar: tokens,
	// the binary, the operator's settings. It tells whether anything is other than
	// it was when it last looked. It may take as long as a job's file lets it.
	Changed func() (bool, error)

	// Spread is the time that changes which are in no hurry are taken up within, so
	// that a mesh does not restart in one beat; never leaves them to the next start,
	// or to SIGHUP.
	Spread func() (within time.Duration, never bool)

	// LogAt is the command that shows what the program has written, however far it came;
	// nil where there is none.
	LogAt func() string

	// Addresses are those of the machine.
	Addresses Addresses

	// AppListens is where the other tasks of the allocation accept connections.
	AppListens func() []netip.AddrPort
}

// Addresses are the IP addresses of a machine.
type Addresses interface {
	Has(address netip.Addr) bool

	// Follow tells when they have changed. News that nobody has read yet are one.
	Follow() (news <-chan struct{}, stop func())
}

// Sidecar is one proxy, from its registration to its end.
type Sidecar struct {
	spec    Spec
	member  Member
	program Program
	Host
	undo undo

	// Set while it starts or is attached to; not changed after.
	attached bool    // by Attach, not by Start
	first    *Launch // what the first generation was started with; nil when that is not known
	ready    bool    // the first generation is, or an older one was
	started  time.Time

	oomKills  atomic.Uint64 // in the cgroup, that are told of or were before the start
	explained atomic.Pointer[explained]
	at        atomic.Pointer[Place]
	running   atomic.Pointer[generations]
	status    atomic.Pointer[Status]

	hup       chan struct{} // asks for a hot restart
	stop      chan stopRequest
	unstopped context.Context // ends when a stop is asked for
	askStop   func()
	done      chan struct{} // closed when the program is gone
	over      chan struct{} // closed when nothing is left to do
}

// place is where the proxy is in the mesh.
func (s *Sidecar) place() Place { return *s.at.Load() }

// current is the generation that serves.
func (s *Sidecar) current() generation { return s.running.Load().current }

// Phase is where a sidecar is on its way.
type Phase string

// The phases, in their order.
const (
	Warming  Phase = "warming"  // it is ready, the local service has not answered yet
	Serving  Phase = "serving"  // peers are routed to it
	Draining Phase = "draining" // withdrawn; connections from peers come to their end
	Exited   Phase = "exited"
)

// Status is a snapshot of a sidecar.
type Status struct {
	Phase     Phase
	Place     Place
	Version   string // of the program
	Epoch     int    // how often it was hot restarted
	Process   process.Identity
	StartedAt time.Time
	Exit      process.Exit // meaningful when Phase is Exited
	Failure   string       // why it has ended although its program could have gone on, as a sentence
}

// State is what must be remembered to find a sidecar again. It holds no secret.
type State struct {
	Process   process.Identity
	StartedAt time.Time
	Version   string // of the program
	Place     Place

	// OOMKills is how many processes the kernel had killed in the cgroup, for
	// want of memory, before this one was started.
	OOMKills uint64
}

func newSidecar(spec Spec, member Member, program Program, host Host) *Sidecar {
	s := &Sidecar{
		spec:    spec,
		member:  member,
		program: program,
		Host:    host,
		hup:     make(chan struct{}, 1),
		stop:    make(chan stopRequest),
		done:    make(chan struct{}),
		over:    make(chan struct{}),
	}
	s.at.Store(&Place{})
	s.unstopped, s.askStop = context.WithCancel(context.Background())
	return s
}

// Start registers the proxy, starts its program and returns when the app may start:
// when the program is ready, or at once where the app reaches nobody through it.
// From then on ctx ends the supervision, and not the program. When it fails, nothing is left behind; an *InvalidError is the user's
// mistake, every other error may pass.
func Start(ctx context.Context, spec Spec, member Member, program Program, host Host) (*Sidecar, error) {
	s := newSidecar(spec, member, program, host)
	if err := s.startInTime(ctx); err != nil {
		if undoErr := s.undo.run(context.WithoutCancel(ctx)); undoErr != nil {
			s.Log.Error("something is left behind of a sidecar that did not start", "proxy", s.place().ID, "error", undoErr)
		}
		return nil, err
	}
	s.publish(Warming, process.Exit{})
	go s.supervise(ctx, nil)
	return s, nil
}

// State gives what Attach needs.
func (s *Sidecar) State() State {
	now := s.current()
	return State{Process: now.proc.ID, StartedAt: s.started, Version: now.version, Place: s.place(), OOMKills: s.oomKills.Load()}
}

// Status gives the latest snapshot.
func (s *Sidecar) Status() Status { return *s.status.Load() }

// Done is closed when the program is gone and Status tells how it ended.
func (s *Sidecar) Done() <-chan struct{} { return s.done }

// User is whom the program runs as.
func (s *Sidecar) User() process.User { return s.spec.Run.User }

// Signal goes to the program; SIGHUP asks for a hot restart, whose result is told
// in an event.
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
	now := s.current()
	s.status.Store(&Status{
		Phase:     phase,
		Place:     s.place(),
		Version:   now.version,
		Epoch:     now.epoch,
		Process:   now.proc.ID,
		StartedAt: s.started,
		Exit:      exit,
	})
}
